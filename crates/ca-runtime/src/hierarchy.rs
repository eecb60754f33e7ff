//! Making the hierarchy: the root, `tls` and `document`, as the configuration describes them.
//!
//! Harmless to repeat: what is there is left alone, what an interrupted set-up left unfinished is finished.

use std::sync::Arc;

use ca_core::id::{AuthorityId, IdError};
use ca_core::key::KeyType;
use ca_core::policy::AuthorityConstraints;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_core::usage::ExtendedKeyUsage;
use ca_engine::error::FlowError;
use ca_engine::flow::establish::{AuthorityPlan, equip_authority, establish_authority};
use ca_engine::flow::publish_crl;
use ca_engine::flow::reconcile::abandon_reservations_before;
use ca_engine::flow::respond::{make_responder, needs_responder};
use ca_engine::generation::line_of;
use ca_engine::port::keyring::{KeyRoom, Keyring, KeyringError};
use ca_engine::port::signer::{Signer, SignerError};
use ca_engine::port::store::{AuthorityState, KeyHome, Lease, StoreError};
use thiserror::Error;

use crate::config::{AuthorityConfig, KeyPlan};
use crate::open::Runtime;
use crate::operator_message::operator_message;
pub use crate::private_ca_fault::PrivateCaError;
use crate::root_key::{RootKeyError, RootKeyFile};

/// The id of the first root.
pub const ROOT: &str = "root";

/// How long a ceremony's CRL may take.
const CEREMONY: Lifetime = Lifetime::from_seconds(60);

/// How long a set-up may take; one that dies is waited for as long.
const SET_UP: Lifetime = Lifetime::from_seconds(60);

/// The authorities below the root, and what they may certify.
pub(crate) const SUBORDINATES: [(&str, &[ExtendedKeyUsage]); 2] = [
    ("tls", &[ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH]),
    ("document", &[ExtendedKeyUsage::DOCUMENT_SIGNING, ExtendedKeyUsage::EMAIL_PROTECTION]),
];

/// Where a key that is not made here is, and the key.
pub(crate) type KeyElsewhere = (KeyHome, Arc<dyn Signer>);

/// What is going on; RSA keys take a while.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The key of an authority is being made.
    MakingKey {
        /// Whose.
        authority: AuthorityId,
        /// What kind.
        key_type: KeyType,
    },
    /// KMS has made a key, or had made it before, and the record says which.
    MadeInKms {
        /// Whose.
        authority: AuthorityId,
        /// Its ARN.
        arn: String,
    },
    /// An authority has its certificate, its first CRL and its first OCSP responder.
    Established {
        /// Which.
        authority: AuthorityId,
    },
    /// An authority that another holds publishes no list, so there will be none.
    PublishesNoList {
        /// Which.
        authority: AuthorityId,
    },
}

impl Runtime {
    /// Makes the authorities that are missing; returns them, the root first. None when all are there.
    ///
    /// The root's key is made in its file and used from there; it leaves the process's memory before this returns.
    pub async fn init_hierarchy(&self, progress: &(dyn Fn(Progress) + Sync)) -> Result<Vec<AuthorityId>, InitError> {
        self.alone(self.init_alone(progress)).await
    }

    /// Does the work of a set-up while nobody else does any on the same record.
    pub(crate) async fn alone<T, E: From<InitError>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        if !self.is_shared() {
            // The lock on the folder keeps everybody else away.
            return work.await;
        }
        let lease = self.set_up_lease().await?;
        let done = work.await;
        self.engine.store().release_lease(&lease).await.map_err(InitError::from)?;
        done
    }

    async fn set_up_lease(&self) -> Result<Lease, InitError> {
        let holder = format!("init-{}", hex::encode(self.engine.random::<8>().map_err(FlowError::from)?));
        let lease = self.engine.store().acquire_lease("init", &holder, SET_UP).await?.ok_or(InitError::InProgress)?;
        self.engine.reload_hierarchy().await?;
        Ok(lease)
    }

    async fn init_alone(&self, progress: &(dyn Fn(Progress) + Sync)) -> Result<Vec<AuthorityId>, InitError> {
        let root: AuthorityId = ROOT.parse()?;
        let subordinates = SUBORDINATES
            .iter()
            .map(|(id, purposes)| Ok((id.parse()?, *purposes)))
            .collect::<Result<Vec<_>, IdError>>()?;
        let missing: Vec<AuthorityId> = std::iter::once(&root)
            .chain(subordinates.iter().map(|(id, _)| id))
            .filter(|id| self.engine.hierarchy().authority(id).is_none())
            .cloned()
            .collect();
        // What AWS Private CA holds is not made here; a root is, if anything is to be below it.
        let (private, own): (Vec<_>, Vec<_>) =
            subordinates.into_iter().partition(|(id, _)| self.private_ca_of(id).is_some());
        let is_external = self.engine.hierarchy().authority(&root).is_some_and(|root| root.is_external());
        let is_missing = |id: &AuthorityId| missing.contains(id);
        let makes_own = !own.is_empty() && (is_missing(&root) || own.iter().any(|(id, _)| is_missing(id)));
        if makes_own && (is_external || self.waits_for_certificates().await?) {
            return Err(InitError::WaitsForCertificates);
        }
        // The first CRL is the last thing an authority is given: without it, its set-up was interrupted. Of a root that others
        // hold it is theirs to give.
        if !own.is_empty()
            && !is_external
            && (makes_own || !publish_crl::has_published_list(&self.engine, &root).await?)
        {
            // What an interrupted set-up reserved is closed first: nobody else is at work here.
            abandon_reservations_before(&self.engine, &Principal::LocalOperator, self.engine.now()).await?;
            let made = self.make_missing(&root, &own, &missing, progress).await;
            // Whatever came of it: the root's key is given back.
            self.engine.return_signer(&root).await?;
            made?;
        }
        for (id, purposes) in private.iter().filter(|(id, _)| is_missing(id)) {
            if let Some(arn) = self.private_ca_of(id) {
                self.adopt_private_ca(id, arn, purposes, own.is_empty(), progress).await?;
            }
        }
        for (id, _) in own.iter().chain(&private) {
            // One whose time is over after a rollover makes no list and no responder any more.
            let authority = self.engine.authority(id)?;
            if authority.record().state != AuthorityState::Retired && !authority.has_ended(self.engine.now()) {
                equip_authority(&self.engine, &Principal::LocalOperator, id).await?;
            }
        }
        // A root above authorities of AWS has an id of theirs where there is none of this service.
        Ok(missing.into_iter().filter(|id| self.engine.hierarchy().authority(id).is_some()).collect())
    }

    /// The yearly ceremony on the host that holds the root's key file: the root's next CRL, and its next OCSP responder once
    /// the present one is past half of its life. The key leaves the process's memory before this returns.
    pub async fn refresh_root(&self) -> Result<(), InitError> {
        let root: AuthorityId = ROOT.parse()?;
        self.lend_root_key(&root).await?;
        let refreshed = self.refresh_lent_root(&root).await;
        self.engine.return_signer(&root).await?;
        refreshed
    }

    async fn refresh_lent_root(&self, root: &AuthorityId) -> Result<(), InitError> {
        let principal = Principal::LocalOperator;
        if needs_responder(&self.engine, root, self.engine.now()) {
            make_responder(&self.engine, &principal, root, None).await?;
        }
        let name = publish_crl::lease_name(root);
        let lease = self.engine.store().acquire_lease(&name, "ceremony", CEREMONY).await?.ok_or(InitError::Busy)?;
        publish_crl::publish_crl(&self.engine, &principal, root, &lease).await?;
        Ok(self.engine.store().release_lease(&lease).await?)
    }

    /// One that is held elsewhere is at hand all the time.
    pub(crate) async fn lend_root_key(&self, root: &AuthorityId) -> Result<(), InitError> {
        let authority = self.engine.authority(root)?;
        if !authority.record().key_home.is_offline() {
            return Ok(());
        }
        let signer = self.root_key_file()?.open(authority.certificate().public_key()).await?;
        Ok(self.engine.lend_signer(root.clone(), signer).await?)
    }

    async fn make_missing(
        &self,
        root: &AuthorityId,
        subordinates: &[(AuthorityId, &[ExtendedKeyUsage])],
        missing: &[AuthorityId],
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), InitError> {
        // Whatever is wrong with a key that is elsewhere is found out before the first authority is there.
        let mut keys = self.keys_elsewhere(missing, progress).await?;
        if missing.contains(root) {
            self.make_root(root, keys.remove(root), progress).await?;
        } else {
            self.lend_root_key(root).await?;
            equip_authority(&self.engine, &Principal::LocalOperator, root).await?;
        }
        for (id, purposes) in subordinates.iter().filter(|(id, _)| missing.contains(id)) {
            self.make_subordinate(root, id, purposes, keys.remove(id), progress).await?;
        }
        Ok(())
    }

    async fn make_root(
        &self,
        id: &AuthorityId,
        elsewhere: Option<KeyElsewhere>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), InitError> {
        let config = &self.config.authorities.root;
        let (key_home, signer) = match (elsewhere, &config.key) {
            (Some(found), _) => found,
            (None, KeyPlan::Software(key_type)) => {
                progress(Progress::MakingKey { authority: id.clone(), key_type: *key_type });
                (KeyHome::File, self.root_key_file()?.load_or_generate(*key_type, &self.entropy).await?)
            }
            (None, KeyPlan::PrivateCa(arn)) => return Err(InitError::HeldByAws { arn: arn.to_string() }),
            (None, _) => return Err(InitError::KeyNotMade { authority: id.clone() }),
        };
        let plan = AuthorityPlan {
            id: id.clone(),
            subject: config.subject.clone(),
            parent: None,
            validity: Some(config.validity),
            constraints: AuthorityConstraints::default(),
            key_home,
        };
        establish_authority(&self.engine, &Principal::LocalOperator, &plan, signer).await?;
        progress(Progress::Established { authority: id.clone() });
        Ok(())
    }

    async fn make_subordinate(
        &self,
        root: &AuthorityId,
        id: &AuthorityId,
        purposes: &[ExtendedKeyUsage],
        elsewhere: Option<KeyElsewhere>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), InitError> {
        let config = self.subordinate_config(id);
        let (key_home, signer) = match (elsewhere, &config.key) {
            (Some(found), _) => found,
            (None, KeyPlan::Software(key_type)) => {
                progress(Progress::MakingKey { authority: id.clone(), key_type: *key_type });
                let (sealed, signer) = self.keyring.generate(KeyRoom::Authorities, *key_type).await?;
                let key_home = KeyHome::Sealed(sealed.id.clone());
                self.engine.store().add_key(sealed).await?;
                (key_home, signer)
            }
            (None, KeyPlan::PrivateCa(arn)) => return Err(InitError::HeldByAws { arn: arn.to_string() }),
            (None, _) => return Err(InitError::KeyNotMade { authority: id.clone() }),
        };
        let plan = AuthorityPlan {
            id: id.clone(),
            subject: config.subject.clone(),
            parent: Some(root.clone()),
            validity: Some(config.validity),
            constraints: AuthorityConstraints {
                extended_key_usage: purposes.to_vec(),
                name_constraints: config.name_constraints.clone(),
            },
            key_home,
        };
        establish_authority(&self.engine, &Principal::LocalOperator, &plan, signer).await?;
        progress(Progress::Established { authority: id.clone() });
        Ok(())
    }

    pub(crate) fn subordinate_config(&self, id: &AuthorityId) -> &AuthorityConfig {
        self.config.authorities.of_line(&line_of(id))
    }

    /// The root's key file, or why this process has none.
    pub(crate) fn root_key_file(&self) -> Result<&RootKeyFile, InitError> {
        self.root_key.as_ref().ok_or(InitError::NoRootKey)
    }
}

/// Why the hierarchy was not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InitError {
    /// The root's key.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// This process may not use authorities' keys.
    #[error("this process was given no passphrase for the keys of authorities; it cannot use the root's")]
    NoRootKey,
    /// Another process makes the hierarchy in the same database, or died while it did.
    #[error("another `init` is at work on this database, or was cut off less than a minute ago; try again in a minute")]
    InProgress,
    /// A root that others hold was chosen before.
    #[error(
        "this hierarchy was begun with a root that others hold: give the certificates they signed to \
         `ca-server init --external-root --import FILE`"
    )]
    WaitsForCertificates,
    /// Another process makes the root's CRL.
    #[error("another process is making the root's CRL; try again in a minute")]
    Busy,
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyringError),
    /// A key that is elsewhere is of another kind than the configuration says.
    #[error(
        "the key of {authority} in {home} is {found}, and `authority.{authority}.key_type` says {key_type}; correct one of them"
    )]
    OtherKeyType {
        /// Whose key.
        authority: AuthorityId,
        /// Where it is.
        home: KeyHome,
        /// What it is.
        found: KeyType,
        /// What it should be.
        key_type: KeyType,
    },
    /// A token did not make a key.
    #[error(
        "the key of `{authority}` was not made in {home}: {source}; when that is put right, run this again: what was made is found"
    )]
    NotMadeInToken {
        /// Whose key.
        authority: AuthorityId,
        /// Where.
        home: KeyHome,
        /// Why not.
        source: SignerError,
    },
    /// A key that KMS is to make, which is the business of other commands.
    #[error(
        "the key of `{authority}` is to be made in AWS KMS, and was not yet: run `ca-server init`, or `ca-server authority rollover` \
         for a later generation, which show first what they are going to make"
    )]
    KeyNotMade {
        /// Whose key.
        authority: AuthorityId,
    },
    /// A note about a key that KMS was asked for makes no sense.
    #[error("what the record says of the key of `{authority}` in KMS is damaged; restore the database from a backup")]
    DamagedNote {
        /// Whose key.
        authority: AuthorityId,
    },
    /// A key that is held elsewhere.
    #[error(transparent)]
    ExternalKey(#[from] SignerError),
    /// AWS Private CA certifies no authority of this service.
    #[error(
        "{arn} is held by AWS Private CA, which gives its key to nobody: a root, and a hierarchy below a root of others, have keys of \
             their own"
    )]
    HeldByAws {
        /// Which.
        arn: String,
    },
    /// An authority that AWS Private CA holds.
    #[error(transparent)]
    PrivateCa(Box<PrivateCaError>),
    /// The record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A flow; the operator sees what callers do not.
    #[error("{}", operator_message(.0))]
    Flow(FlowError),
    /// A built-in id that is none.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl From<FlowError> for InitError {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}

impl From<PrivateCaError> for InitError {
    fn from(error: PrivateCaError) -> Self {
        Self::PrivateCa(Box::new(error))
    }
}
