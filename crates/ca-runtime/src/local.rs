//! Local mode: a whole service in a folder, for one command at a time. Nobody else runs its jobs, so each command does what is
//! due before it opens and after it is done.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::error::FlowError;
use ca_engine::flow::bulk_revoke;
use ca_engine::flow::establish::equip_authority;
use ca_engine::flow::expire;
use ca_engine::flow::follow_anchor::{self, Anchored};
use ca_engine::flow::publish_crl;
use ca_engine::flow::publish_partial::{due_scopes, publish_partial};
use ca_engine::flow::reconcile::abandon_reservations_before;
use ca_engine::flow::republish::republish;
use ca_engine::flow::retire::{Watch, retire};
use ca_engine::flow::sequence_audit::{self, sequence_audit};
use ca_engine::hierarchy::Authority;
use ca_engine::port::store::{BulkRevocation, Lease, PublishedCrl, StoreError};
use ca_engine::port::wrapping_key::WrappingError;
use thiserror::Error;

use crate::config::{Config, LoadError, TEMPLATE};
use crate::file::{self, Access, Existing};
use crate::hierarchy::{InitError, Progress};
use crate::lock::LockError;
use crate::open::{OpenError, Purpose, Runtime};
use crate::operator_message::operator_message;
use crate::seal::SealError;

/// How long one piece of work after a command may take.
const LEASE: Lifetime = Lifetime::from_seconds(60);
/// How often a lease of another is asked for, and how long apart: longer in all than a server's leases last.
const PATIENCE: u32 = 60;
const PAUSE: Duration = Duration::from_millis(250);
/// The holder of its leases.
const HOLDER: &str = "local";

/// A folder that was opened, and whether it was made just now.
pub struct Local {
    /// The service in it.
    pub runtime: Runtime,
    /// The authorities that were made; none when they were there.
    pub made: Vec<AuthorityId>,
}

/// Opens the service in `folder`; on first use the folder, its configuration, passphrase, database and hierarchy are made.
/// `environment` are the `CA__…` variables.
pub async fn open_local(
    folder: &Path,
    environment: &[(String, String)],
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Local, LocalError> {
    let config = Config::load_folder(folder, environment)?;
    let runtime = Runtime::open(config, Purpose::Local).await?;
    runtime.write_config_template()?;
    // The folder is ours alone: whoever reserved these is dead.
    abandon_reservations_before(&runtime.engine, &Principal::LocalOperator, runtime.engine.now()).await?;
    let made = runtime.init_hierarchy(progress).await?;
    republish(&runtime.engine).await?;
    Ok(Local { runtime, made })
}

impl Runtime {
    /// Writes the commented configuration into a data folder that has none.
    pub fn write_config_template(&self) -> Result<(), LocalError> {
        let path = self.data_folder.config_file();
        match file::write(&path, TEMPLATE.as_bytes(), Access::Private, Existing::Keep) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(LocalError::Io { path, source: error }),
            _ => Ok(()),
        }
    }

    /// What the jobs of a server would do about a command that is done: CRLs that are due, the audit events' places in their
    /// chain, what was published in the anchor, and events that nobody is to be told of. Authorities whose key is offline are
    /// passed over.
    pub async fn settle(&self) -> Result<(), LocalError> {
        retire(&self.engine, &Principal::LocalOperator, &mut Watch::default()).await?;
        let store = self.engine.store();
        let (now, interval) = (self.engine.now(), self.config.status.crl_interval);
        // One that has ended signs no more lists, and must not fail the command that comes after its end.
        let signing = |authority: &&Arc<Authority>| authority.can_sign() && !authority.has_ended(now);
        for authority in self.engine.hierarchy().authorities().iter().filter(signing) {
            if publish_crl::is_due(&self.engine, authority.id(), interval).await? {
                self.publish_next_crl(authority.id()).await?;
            }
            self.publish_due_parts(authority.id(), interval).await?;
        }
        let lease = self.lease(sequence_audit::LEASE_NAME).await?;
        sequence_audit(&self.engine, &lease).await?;
        store.release_lease(&lease).await?;
        follow_anchor::follow(&self.engine, &*self.anchor, &mut Anchored::default()).await?;
        // A server on this folder delivers them, if it has somebody to tell.
        if !self.config.has_sinks() && !store.unassigned_messages(1).await?.is_empty() {
            let lease = self.lease(expire::LEASE_NAME).await?;
            expire::drop_stale_events(&self.engine, &lease).await?;
            store.release_lease(&lease).await?;
        }
        Ok(())
    }

    /// Makes the next batch of a bulk revocation, where no server runs that would. Lists are [`Self::settle`]'s business.
    pub async fn advance_bulk_revocation(&self, operation: &BulkRevocation) -> Result<(), LocalError> {
        let lease = self.lease(bulk_revoke::LEASE_NAME).await?;
        let advanced = bulk_revoke::advance(&self.engine, &lease, operation).await;
        self.engine.store().release_lease(&lease).await?;
        Ok(advanced.map(|_| ())?)
    }

    /// Publishes the CRL of an authority now, due or not. For the root this is the yearly ceremony: its key is lent from its
    /// file for as long as it takes, and its OCSP responder is renewed too when that is due.
    pub async fn publish_crl_now(&self, id: &AuthorityId) -> Result<Arc<PublishedCrl>, LocalError> {
        let authority = self.engine.authority(id)?;
        if authority.can_sign() || authority.is_external() || !authority.record().key_home.is_offline() {
            return self.publish_next_crl(id).await;
        }
        let signer = self.root_key_file()?.open(authority.certificate().public_key()).await.map_err(InitError::from)?;
        self.engine.lend_signer(id.clone(), signer).await?;
        let published = self.publish_with_lent_key(id).await;
        // Whatever came of it: the key is given back.
        self.engine.return_signer(id).await?;
        published
    }

    async fn publish_with_lent_key(&self, id: &AuthorityId) -> Result<Arc<PublishedCrl>, LocalError> {
        equip_authority(&self.engine, &Principal::LocalOperator, id).await?;
        self.publish_next_crl(id).await
    }

    async fn publish_next_crl(&self, id: &AuthorityId) -> Result<Arc<PublishedCrl>, LocalError> {
        let lease = self.lease(&publish_crl::lease_name(id)).await?;
        let published = publish_crl::publish_crl(&self.engine, &Principal::LocalOperator, id, &lease).await?;
        self.engine.store().release_lease(&lease).await?;
        Ok(published)
    }

    /// The shards and the delta of an authority, as they are due.
    async fn publish_due_parts(&self, id: &AuthorityId, interval: Lifetime) -> Result<(), LocalError> {
        let due = due_scopes(&self.engine, id, interval).await?;
        if due.is_empty() {
            return Ok(());
        }
        let lease = self.lease(&publish_crl::lease_name(id)).await?;
        for scope in due {
            publish_partial(&self.engine, &Principal::LocalOperator, id, scope, &lease).await?;
        }
        Ok(self.engine.store().release_lease(&lease).await?)
    }

    /// A lease. The folder is ours alone, so that another holder is a server that was killed: its lease ends in seconds.
    pub(crate) async fn lease(&self, name: &str) -> Result<Lease, LocalError> {
        for _ in 0..PATIENCE {
            if let Some(lease) = self.engine.store().acquire_lease(name, HOLDER, LEASE).await? {
                return Ok(lease);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(LocalError::Busy)
    }
}

/// Why local mode does not work on a folder.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LocalError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// The wiring.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The hierarchy.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A flow; the operator sees what callers do not.
    #[error("{}", operator_message(.0))]
    Flow(FlowError),
    /// A file.
    #[error("{}: {}", path.display(), file::complaint(source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A lease that another process holds, although the folder is locked.
    #[error("a job that was interrupted less than a minute ago still holds its place; try again in a minute")]
    Busy,
}

impl LocalError {
    /// Whether the same may succeed later as it is: once nobody else is at work there, or the disk has room.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Busy | Self::Init(InitError::Busy) | Self::Open(OpenError::Lock(LockError::Held { .. })) => true,
            Self::Open(OpenError::Database(ca_store::OpenError::Full { .. })) => true,
            Self::Open(OpenError::Seal(
                SealError::External { source: WrappingError::Unavailable { .. }, .. }
                | SealError::NotWrapped(WrappingError::Unavailable { .. }),
            )) => true,
            Self::Store(error)
            | Self::Init(InitError::Store(error))
            | Self::Open(OpenError::Store(error) | OpenError::Seal(SealError::Store(error))) => {
                !matches!(error, StoreError::Inconsistent { .. } | StoreError::NoPersonalDataKey { .. })
            }
            other => file::is_disk_full(other),
        }
    }
}

impl From<FlowError> for LocalError {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root_key::RootKeyError;

    #[test]
    fn what_ends_by_itself_is_told_from_what_somebody_must_mend() {
        let path = PathBuf::from("root.key");
        let of_file =
            |kind: io::ErrorKind| LocalError::Init(RootKeyError::Io { path: path.clone(), source: kind.into() }.into());
        let of_store = |error| LocalError::Open(OpenError::Seal(SealError::Store(error)));
        let detail = || "test".to_owned();
        let full = ca_store::OpenError::Full { database: ca_store::Database::File(path.clone()), detail: detail() };
        for temporary in [
            LocalError::Busy,
            LocalError::Init(InitError::Busy),
            of_file(io::ErrorKind::StorageFull),
            of_store(StoreError::Full { detail: detail() }),
            LocalError::Open(full.into()),
        ] {
            assert!(temporary.is_temporary(), "{temporary}");
        }
        let newer = ca_store::OpenError::Newer { found: 2, known: 1 };
        for lasting in [
            of_file(io::ErrorKind::PermissionDenied),
            of_store(StoreError::Inconsistent { detail: detail() }),
            LocalError::Open(newer.into()),
        ] {
            assert!(!lasting.is_temporary(), "{lasting}");
        }
    }
}
