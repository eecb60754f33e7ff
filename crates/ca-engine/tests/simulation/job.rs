//! The jobs of a replica, each as `ca-server` runs it (`ca-server/src/job/`), once.

use std::sync::Arc;

use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::error::FlowError;
use ca_engine::flow::expire::drop_expired_idempotency;
use ca_engine::flow::follow_revocations::follow_revocations;
use ca_engine::flow::publish_crl::{self, is_due, publish_crl, republish};
use ca_engine::flow::reconcile::abandon_reservations_older_than;
use ca_engine::flow::respond::{self, make_responder, needs_responder};
use ca_engine::flow::sequence_audit::{self, sequence_audit};
use ca_engine::flow::watch_clock::watch_clock;
use ca_engine::port::store::Lease;

use crate::foundation::{ONLINE, authority};

/// How long a lease lasts unless it is prolonged.
const LEASE: Lifetime = Lifetime::from_seconds(8);

/// No issuance takes this long.
pub(crate) const PATIENCE: Lifetime = Lifetime::from_seconds(300);

/// How long a list may lie unchanged.
const CRL_INTERVAL: Lifetime = Lifetime::from_days(1);

/// What a replica does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    Crl,
    Responders,
    AuditChain,
    Reservations,
    Follow,
    Revocations,
    Clock,
    IdempotencyKeys,
}

impl Job {
    /// Runs it once.
    pub(crate) async fn run(self, engine: Arc<Engine>, holder: String) -> Result<(), FlowError> {
        match self {
            Self::Crl => {
                for id in ONLINE {
                    crl(&engine, &holder, &authority(id)).await?;
                }
            }
            Self::Responders => {
                engine.reload_hierarchy().await?;
                for id in ONLINE {
                    responder(&engine, &holder, &authority(id)).await?;
                }
            }
            Self::AuditChain => {
                if engine.store().pending_events(1).await?.is_empty() {
                    return Ok(());
                }
                if let Some(lease) = lease(&engine, sequence_audit::LEASE_NAME, &holder).await? {
                    sequence_audit(&engine, &lease).await?;
                }
            }
            Self::Reservations => {
                if lease(&engine, "reservations", &holder).await?.is_some() {
                    let job = Principal::Job("reservations");
                    abandon_reservations_older_than(&engine, &job, PATIENCE).await?;
                }
            }
            Self::Follow => {
                republish(&engine).await?;
            }
            Self::Revocations => {
                follow_revocations(&engine).await?;
            }
            Self::Clock => {
                watch_clock(&engine).await?;
            }
            Self::IdempotencyKeys => {
                drop_expired_idempotency(&engine).await?;
            }
        }
        Ok(())
    }
}

async fn lease(engine: &Engine, name: &str, holder: &str) -> Result<Option<Lease>, FlowError> {
    Ok(engine.store().acquire_lease(name, holder, LEASE).await?)
}

async fn crl(engine: &Engine, holder: &str, id: &AuthorityId) -> Result<(), FlowError> {
    if !can_serve(engine, id)? || !is_due(engine, id, CRL_INTERVAL).await? {
        return Ok(());
    }
    let Some(lease) = lease(engine, &publish_crl::lease_name(id), holder).await? else { return Ok(()) };
    // Another replica may have made it while this one waited for the lease.
    if is_due(engine, id, CRL_INTERVAL).await? {
        publish_crl(engine, &Principal::Job("crl"), id, &lease).await?;
    }
    Ok(())
}

async fn responder(engine: &Engine, holder: &str, id: &AuthorityId) -> Result<(), FlowError> {
    if !can_serve(engine, id)? || !needs_responder(engine, id, engine.now()) {
        return Ok(());
    }
    let Some(lease) = lease(engine, &respond::lease_name(id), holder).await? else { return Ok(()) };
    engine.reload_hierarchy().await?;
    if needs_responder(engine, id, engine.now()) {
        make_responder(engine, &Principal::Job("responders"), id, Some(&lease)).await?;
    }
    Ok(())
}

/// Whether an authority's key can be used here, and is worth it.
fn can_serve(engine: &Engine, id: &AuthorityId) -> Result<bool, FlowError> {
    let authority = engine.authority(id)?;
    Ok(authority.can_sign() && !authority.has_ended(engine.now()))
}
