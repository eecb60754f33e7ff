//! Rollover on the host that holds the root's key: beside a running service, which need not stop for it.

use std::path::PathBuf;
use std::sync::Arc;

use ca_core::certificate::Certificate;
use ca_core::id::AuthorityId;
use ca_core::policy::AuthorityConstraints;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::error::{FlowError, FlowErrorKind};
use ca_engine::flow::follow_anchor::anchored_authorities;
use ca_engine::flow::retire;
use ca_engine::flow::rollover::{Announced, GenerationKey, LEASE, LEASE_NAME, LEAST_NOTICE, RolloverPlan, roll_over};
use ca_engine::flow::rollover_elsewhere::{import_certificate, request_certificate};
use ca_engine::generation::line_of;
use ca_engine::hierarchy::Authority;
use ca_engine::port::anchor::Anchor;
use ca_engine::port::external_keys::ExternalKeys;
use ca_engine::port::store::{KeyHome, Lease, StoreError};
use thiserror::Error;

use crate::config::{AuthoritiesConfig, KeyPlan};
use crate::external_keys::HeldKeys;
use crate::file;
use crate::hierarchy::{InitError, SUBORDINATES};
use crate::open::Runtime;
use crate::operator_message::operator_message;

impl Runtime {
    /// Makes the next generation of the line that `id` is of, as the configuration describes the line now, and announces it: it
    /// issues after `notice`. The root's key is lent from its file for as long as it takes, when its file is what holds it.
    /// `below` is the authority that signs it, where it is another than that of the generation before.
    pub async fn roll_over(
        &self,
        id: &AuthorityId,
        below: Option<&AuthorityId>,
        notice: Lifetime,
    ) -> Result<Announced, RolloverError> {
        let plan = self.rollover_plan(id, below, notice).await?;
        let lease = self.rollover_lease().await?;
        let rolled = self.with_parents_key(plan, &lease).await;
        self.engine.store().release_lease(&lease).await?;
        rolled
    }

    /// Makes the key of the next generation and asks for its certificate, for whoever holds the key above it elsewhere: the id
    /// that it will have, and a PKCS #10 request in PEM. Asked again, it is the same key.
    pub async fn request_generation(
        &self,
        id: &AuthorityId,
        below: Option<&AuthorityId>,
    ) -> Result<(AuthorityId, String), RolloverError> {
        let plan = self.rollover_plan(id, below, LEAST_NOTICE).await?;
        let lease = self.rollover_lease().await?;
        let asked = request_certificate(&self.engine, &Principal::LocalOperator, plan, &lease).await;
        self.engine.store().release_lease(&lease).await?;
        Ok(asked?)
    }

    /// Takes the certificate that such a request came back with, PEM or DER, and announces the generation.
    pub async fn import_generation(
        &self,
        id: &AuthorityId,
        below: Option<&AuthorityId>,
        certificate: &[u8],
        notice: Lifetime,
    ) -> Result<Announced, RolloverError> {
        let read = match std::str::from_utf8(certificate) {
            Ok(text) => Certificate::from_pem(text),
            Err(_) => Certificate::from_der(certificate),
        };
        let certificate = read.map_err(|error| RolloverError::NoCertificate { detail: error.to_string() })?;
        let plan = self.rollover_plan(id, below, notice).await?;
        let lease = self.rollover_lease().await?;
        let taken = import_certificate(&self.engine, &Principal::LocalOperator, plan, &certificate, &lease).await;
        self.engine.store().release_lease(&lease).await?;
        Ok(taken?)
    }

    async fn rollover_plan(
        &self,
        id: &AuthorityId,
        below: Option<&AuthorityId>,
        notice: Lifetime,
    ) -> Result<RolloverPlan, RolloverError> {
        let line = line_of(id);
        let known = SUBORDINATES.iter().any(|(known, _)| *known == line.as_str());
        if !known {
            return Err(RolloverError::NotALine { id: id.clone() });
        }
        let key = match &self.subordinate_config(&line).key {
            KeyPlan::PrivateCa(arn) => {
                return Err(RolloverError::Root(InitError::HeldByAws { arn: arn.to_string() }));
            }
            KeyPlan::MadeInKms(key_type) => match self.generation_to_come(id).await? {
                Some(next) => Some(GenerationKey::given(self.key_made_in_kms(&next, *key_type).await?)),
                None => Some(self.no_key(&line).await?),
            },
            KeyPlan::Token { uri, make } => match self.generation_to_come(id).await? {
                Some(_) => Some(GenerationKey::given(self.find_or_make_in_token(id, uri, *make, &|_| {}).await?)),
                None => Some(self.no_key(&line).await?),
            },
            KeyPlan::Software(_) | KeyPlan::External(_) => None,
        };
        let means = Means {
            engine: &self.engine,
            authorities: &self.config.authorities,
            external_keys: &self.external_keys,
            anchor: &*self.anchor,
        };
        means.plan(id, below, key, notice).await
    }

    /// For a line whose next generation is made and not announced: the flow goes on with that one, and needs no key.
    async fn no_key(&self, line: &AuthorityId) -> Result<GenerationKey, RolloverError> {
        let newest = self.newest(line)?;
        let home = newest.record().key_home.clone();
        if matches!(home, KeyHome::Sealed(_) | KeyHome::File) {
            return Ok(GenerationKey::Make(newest.certificate().public_key().key_type()));
        }
        let signer = self.engine.external_keys().find(&home).await.map_err(InitError::from)?;
        Ok(GenerationKey::Given { home, signer })
    }

    fn newest(&self, line: &AuthorityId) -> Result<Arc<Authority>, RolloverError> {
        let newest = self.engine.hierarchy().generations(line).pop().map(|(_, newest)| Arc::clone(newest));
        newest.ok_or_else(|| RolloverError::NotALine { id: line.clone() })
    }

    /// How the key of a line's next generation comes to be; `None` for what is no line.
    pub(crate) fn plan_of_line(&self, line: &AuthorityId) -> Option<&KeyPlan> {
        let line = line_of(line);
        let is_known = SUBORDINATES.iter().any(|(known, _)| *known == line.as_str());
        is_known.then(|| &self.subordinate_config(&line).key)
    }

    /// Whether the key above a line can be had on this host; it is given back at once.
    pub(crate) async fn parents_key_is_at_hand(&self, line: &AuthorityId) -> Result<(), RolloverError> {
        let Some(parent) = self.newest(&line_of(line))?.record().parent.clone() else { return Ok(()) };
        if !self.engine.authority(&parent)?.can_sign() {
            self.lend_root_key(&parent).await?;
            self.engine.return_signer(&parent).await?;
        }
        Ok(self.engine.authority(&parent).map(drop)?)
    }

    async fn rollover_lease(&self) -> Result<Lease, RolloverError> {
        let holder = format!("rollover-{}", hex::encode(self.engine.random::<8>().map_err(FlowError::from)?));
        self.engine.store().acquire_lease(LEASE_NAME, &holder, LEASE).await?.ok_or(RolloverError::InProgress)
    }

    async fn with_parents_key(&self, plan: RolloverPlan, lease: &Lease) -> Result<Announced, RolloverError> {
        let engine = &self.engine;
        engine.reload_hierarchy().await?;
        let hierarchy = engine.hierarchy();
        let before = || hierarchy.generations(&plan.line).pop().and_then(|(_, newest)| newest.record().parent.clone());
        let file = plan
            .below
            .clone()
            .or_else(before)
            .and_then(|parent| engine.hierarchy().authority(&parent).cloned())
            .filter(|parent| parent.record().key_home.is_offline() && !parent.can_sign());
        let Some(parent) = file else {
            return Ok(roll_over(engine, &Principal::LocalOperator, plan, lease).await?);
        };
        self.lend_root_key(parent.id()).await?;
        let rolled = roll_over(engine, &Principal::LocalOperator, plan, lease).await;
        // Whatever came of it: the key is given back.
        engine.return_signer(parent.id()).await?;
        Ok(rolled?)
    }

    /// Destroys the key of a retired authority; `fingerprint` is that of its certificate. Returns whether there was one.
    pub async fn destroy_authority_key(&self, id: &AuthorityId, fingerprint: &str) -> Result<bool, RolloverError> {
        Ok(retire::destroy_key(&self.engine, &Principal::LocalOperator, id, fingerprint).await?)
    }
}

/// What a rollover is planned by.
pub(crate) struct Means<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) authorities: &'a AuthoritiesConfig,
    pub(crate) external_keys: &'a HeldKeys,
    pub(crate) anchor: &'a dyn Anchor,
}

impl Means<'_> {
    /// The next generation of the line that `id` is of, as the configuration describes the line now. `key` is its key where that was
    /// found or made before.
    pub(crate) async fn plan(
        &self,
        id: &AuthorityId,
        below: Option<&AuthorityId>,
        key: Option<GenerationKey>,
        notice: Lifetime,
    ) -> Result<RolloverPlan, RolloverError> {
        let line = line_of(id);
        let known = SUBORDINATES.iter().find(|(known, _)| *known == line.as_str());
        let Some((_, purposes)) = known else { return Err(RolloverError::NotALine { id: id.clone() }) };
        let config = self.authorities.of_line(&line);
        let key = match (key, &config.key) {
            (Some(key), _) => key,
            (None, KeyPlan::Software(key_type)) => GenerationKey::Make(*key_type),
            (None, KeyPlan::External(home)) => {
                let signer = self.external_keys.find(home).await.map_err(InitError::from)?;
                GenerationKey::Given { home: home.clone(), signer }
            }
            (None, KeyPlan::PrivateCa(arn)) => {
                return Err(RolloverError::Root(InitError::HeldByAws { arn: arn.to_string() }));
            }
            (None, KeyPlan::MadeInKms(_) | KeyPlan::Token { .. }) => return Err(RolloverError::KeyByHand { line }),
        };
        Ok(RolloverPlan {
            below: below.cloned(),
            subject: config.subject.clone(),
            validity: Some(config.validity),
            constraints: AuthorityConstraints {
                extended_key_usage: purposes.to_vec(),
                name_constraints: config.name_constraints.clone(),
            },
            key,
            taken: anchored_authorities(self.engine, self.anchor).await,
            notice,
            line,
        })
    }
}

/// Why no generation was made, or no key destroyed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RolloverError {
    /// The root, or nothing that is known.
    #[error("`{id}` is not rolled over: that is done with tls and document; another root is another anchor of trust")]
    NotALine {
        /// What was named.
        id: AuthorityId,
    },
    /// What was to be imported is no certificate.
    #[error("this is not a certificate, PEM or DER: {detail}")]
    NoCertificate {
        /// Why not.
        detail: String,
    },
    /// A file.
    #[error("{}: {}", path.display(), file::complaint(source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key that nobody makes by itself.
    #[error(
        "the key of the next generation of `{line}` is to be made in a token or in AWS KMS: that is done by `ca-server authority \
         rollover {line}`, by somebody who sees what is made and what it costs"
    )]
    KeyByHand {
        /// The line.
        line: AuthorityId,
    },
    /// Another process is at work.
    #[error("another rollover is at work on this database, or was cut off less than {} ago; try again then", LEASE)]
    InProgress,
    /// The root's key.
    #[error(transparent)]
    Root(#[from] InitError),
    /// The record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A flow; the operator sees what callers do not.
    #[error("{}", operator_message(.0))]
    Flow(FlowError),
}

impl RolloverError {
    /// Whether the same may succeed later as it is.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::InProgress => true,
            Self::Flow(error) => matches!(error.kind, FlowErrorKind::Overloaded | FlowErrorKind::Unavailable),
            _ => false,
        }
    }
}

impl From<FlowError> for RolloverError {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}
