//! Authorities of a world.

use std::sync::Arc;

use ca_core::id::AuthorityId;
use ca_core::key::KeyType;
use ca_core::policy::AuthorityConstraints;
use ca_core::principal::Principal;
use ca_core::usage::ExtendedKeyUsage;
use ca_engine::error::FlowError;
use ca_engine::flow::establish::{AuthorityPlan, establish_authority};
use ca_engine::port::keyring::KeyRoom;
use ca_engine::port::signer::Signer;
use ca_engine::port::store::KeyHome;
use futures::executor::block_on;

use super::{WitnessSigner, World, dn, id};

/// The plan of an authority: `document…` is for documents, every other for TLS; a root is for all.
pub(crate) fn plan(authority: &str, parent: Option<&str>, key_home: KeyHome) -> AuthorityPlan {
    let purposes = if authority.starts_with("document") {
        vec![ExtendedKeyUsage::DOCUMENT_SIGNING, ExtendedKeyUsage::EMAIL_PROTECTION]
    } else {
        vec![ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH]
    };
    AuthorityPlan {
        id: id(authority),
        subject: dn(&format!("CN=Test {authority}")),
        parent: parent.map(id),
        validity: None,
        constraints: AuthorityConstraints {
            extended_key_usage: if parent.is_some() { purposes } else { Vec::new() },
            ..AuthorityConstraints::default()
        },
        key_home,
    }
}

impl World {
    /// Establishes an authority by its [`plan`].
    pub(crate) fn establish(&self, authority: &str, parent: Option<&str>) {
        self.try_establish(authority, parent).expect("an authority is established");
    }

    /// As [`Self::establish`], where it may fail.
    pub(crate) fn try_establish(&self, authority: &str, parent: Option<&str>) -> Result<(), FlowError> {
        let (key_home, signer) = match parent {
            None => (KeyHome::File, self.root_signer()),
            Some(_) => {
                let (sealed, signer) =
                    block_on(self.engine.keyring().generate(KeyRoom::Authorities, KeyType::P256)).expect("a key");
                let key_home = KeyHome::Sealed(sealed.id.clone());
                block_on(self.store().add_key(sealed)).expect("a key on record");
                (key_home, signer)
            }
        };
        self.try_establish_by(&plan(authority, parent, key_home), signer)
    }

    /// Establishes what a plan says.
    pub(crate) fn try_establish_by(&self, plan: &AuthorityPlan, signer: Arc<dyn Signer>) -> Result<(), FlowError> {
        block_on(establish_authority(&self.engine, &Principal::LocalOperator, plan, signer))
    }

    /// The root's key, which looks at the record before it signs.
    pub(crate) fn root_signer(&self) -> Arc<dyn Signer> {
        Arc::new(WitnessSigner::new(Arc::new(self.root.clone()), self.store.clone()))
    }

    /// Brings the root's key, as its ceremony does.
    pub(crate) fn lend_root(&self) -> AuthorityId {
        block_on(self.engine.lend_signer(id("root"), self.root_signer())).expect("the root's key");
        id("root")
    }
}
