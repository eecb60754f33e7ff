//! The jobs of a replica, each as `ca-server` runs it (`ca-server/src/job/`), once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ca_core::id::{AuthorityId, SinkName};
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::error::FlowError;
use ca_engine::flow::answer_status::sign_ahead;
use ca_engine::flow::bulk_revoke::{self, Advance, advance};
use ca_engine::flow::deliver_events::{self, assign_messages, deliver_due, lease_name, welcome_back};
use ca_engine::flow::expire::{self, drop_expired_idempotency, drop_stale_events};
use ca_engine::flow::follow_anchor::{Anchored, compare_again, follow};
use ca_engine::flow::follow_issuer_list::follow_issuer_list;
use ca_engine::flow::follow_revocations::follow_revocations;
use ca_engine::flow::issuance::elsewhere::{SETTLED_AFTER, settle};
use ca_engine::flow::pass_on_revocations::{self, pass_on_revocations};
use ca_engine::flow::publish_crl::{self, is_due, publish_crl};
use ca_engine::flow::publish_partial::{due_scopes, publish_partial};
use ca_engine::flow::reconcile::abandon_reservations_older_than;
use ca_engine::flow::republish::republish;
use ca_engine::flow::respond::{self, make_responder, needs_responder};
use ca_engine::flow::retire::{self, Watch, retire};
use ca_engine::flow::sequence_audit::{self, sequence_audit};
use ca_engine::flow::watch_clock::watch_clock;
use ca_engine::port::store::Lease;

use crate::foundation::{ELSEWHERE, ONLINE, authority};
use crate::lock;
use crate::shared_anchor::SharedAnchor;

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
    SignAhead,
    Clock,
    Expiry,
    Outbox,
    Anchor,
    BulkRevocation,
    /// What of the authority that issues elsewhere was ordered and never ended.
    Elsewhere,
    PassOn,
    IssuerLists,
    /// What other processes did with authorities.
    Hierarchy,
    Retire,
}

/// How many events go to a sink side by side.
const TOGETHER: u32 = 16;

/// How many times so many one run delivers.
const BATCHES: usize = 4;

/// How many batches of a bulk revocation one run makes.
const BULK_BATCHES: usize = 2;

/// After so many failures in a row it was the sink that was away.
const OUTAGE: u32 = 3;

/// What the jobs of a process remember from run to run.
#[derive(Clone, Default)]
pub(crate) struct Habits {
    /// In how many runs in a row a sink was not available.
    failures: Arc<Mutex<BTreeMap<SinkName, u32>>>,
    /// When it looks again whether a generation has done its duty.
    watch: Arc<Mutex<Watch>>,
    anchor: Option<SharedAnchor>,
    /// Whether it only answers: then it writes nothing into the anchor.
    answers_only: bool,
    /// What it knows to be in the anchor.
    anchored: Arc<futures::lock::Mutex<Anchored>>,
}

impl Habits {
    /// Those of a process that has just begun.
    pub(crate) fn of(anchor: Option<SharedAnchor>, answers_only: bool) -> Self {
        Self { anchor, answers_only, ..Self::default() }
    }

    async fn follow_anchor(&self, engine: &Engine) -> Result<(), FlowError> {
        let Some(anchor) = &self.anchor else { return Ok(()) };
        if self.answers_only {
            return compare_again(engine, anchor).await;
        }
        let mut anchored = self.anchored.lock().await;
        follow(engine, anchor, &mut anchored).await.map(drop)
    }

    /// How often the anchor could not be used so far.
    pub(crate) fn anchor_failures(&self) -> u64 {
        self.anchor.as_ref().map_or(0, SharedAnchor::failures)
    }
}

impl Job {
    /// Runs it once.
    pub(crate) async fn run(self, engine: Arc<Engine>, holder: String, habits: Habits) -> Result<(), FlowError> {
        match self {
            Self::Crl => {
                for id in known(&engine) {
                    crl(&engine, &holder, &id).await?;
                }
            }
            Self::Responders => {
                engine.reload_hierarchy().await?;
                for id in known(&engine) {
                    responder(&engine, &holder, &id).await?;
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
            Self::SignAhead => {
                sign_ahead(&engine).await?;
            }
            Self::Clock => {
                watch_clock(&engine).await?;
            }
            Self::Expiry => {
                if let Some(lease) = lease(&engine, expire::LEASE_NAME, &holder).await? {
                    drop_expired_idempotency(&engine).await?;
                    drop_stale_events(&engine, &lease).await?;
                }
            }
            Self::Anchor => habits.follow_anchor(&engine).await?,
            Self::BulkRevocation => {
                for operation in engine.store().running_bulk_revocations().await? {
                    for _ in 0..BULK_BATCHES {
                        let Some(lease) = lease(&engine, bulk_revoke::LEASE_NAME, &holder).await? else {
                            return Ok(());
                        };
                        if !matches!(advance(&engine, &lease, &operation).await?, Advance::Batch(_)) {
                            break;
                        }
                    }
                }
            }
            Self::Elsewhere => {
                let before = engine.now().minus(SETTLED_AFTER);
                settle(&engine, &Principal::Job("issuances-elsewhere"), before).await?;
            }
            Self::PassOn => {
                let id = authority(ELSEWHERE);
                if engine.authority(&id)?.hand().is_ok()
                    && lease(&engine, &pass_on_revocations::lease_name(&id), &holder).await?.is_some()
                {
                    pass_on_revocations(&engine, &id).await?;
                }
            }
            Self::IssuerLists => {
                let id = authority(ELSEWHERE);
                if engine.authority(&id)?.hand().is_ok()
                    && let Some(lease) = lease(&engine, &publish_crl::lease_name(&id), &holder).await?
                {
                    follow_issuer_list(&engine, &Principal::Job("issuer-lists"), &id, &lease, None).await?;
                }
            }
            Self::Hierarchy => {
                engine.follow_hierarchy().await?;
            }
            Self::Retire => {
                if lease(&engine, retire::LEASE_NAME, &holder).await?.is_some() {
                    let mut watch = lock(&habits.watch).clone();
                    let retired = retire(&engine, &Principal::Job("rollover"), &mut watch).await;
                    *lock(&habits.watch) = watch;
                    retired?;
                }
            }
            Self::Outbox => {
                assign(&engine, &holder).await?;
                for sink in engine.sinks().keys() {
                    deliver(&engine, &holder, sink, &habits).await?;
                }
            }
        }
        Ok(())
    }
}

/// The authorities that a process knows, those first that every record has.
fn known(engine: &Engine) -> Vec<AuthorityId> {
    let hierarchy = engine.hierarchy();
    let all: Vec<AuthorityId> = hierarchy.authorities().iter().map(|authority| authority.id().clone()).collect();
    let first = ONLINE.into_iter().chain([ELSEWHERE]).map(authority).filter(|id| all.contains(id));
    let first: Vec<AuthorityId> = first.collect();
    let others = all.into_iter().filter(|id| !first.contains(id));
    first.iter().cloned().chain(others).collect()
}

async fn lease(engine: &Engine, name: &str, holder: &str) -> Result<Option<Lease>, FlowError> {
    Ok(engine.store().acquire_lease(name, holder, LEASE).await?)
}

async fn assign(engine: &Engine, holder: &str) -> Result<(), FlowError> {
    if engine.store().unassigned_messages(1).await?.is_empty() {
        return Ok(());
    }
    if let Some(lease) = lease(engine, deliver_events::LEASE_NAME, holder).await? {
        assign_messages(engine, &lease).await?;
    }
    Ok(())
}

async fn deliver(engine: &Engine, holder: &str, sink: &SinkName, habits: &Habits) -> Result<(), FlowError> {
    for _ in 0..BATCHES {
        if engine.store().due_deliveries(sink, 1).await?.is_empty() {
            break;
        }
        let Some(lease) = lease(engine, &lease_name(sink), holder).await? else { break };
        let failures = lock(&habits.failures).get(sink).copied().unwrap_or(0);
        let attempts = deliver_due(engine, &lease, sink, if failures > 0 { 1 } else { TOGETHER }).await?;
        if attempts.iter().any(|attempt| attempt.sink_unavailable) {
            lock(&habits.failures).insert(sink.clone(), failures + 1);
            break;
        }
        if failures >= OUTAGE {
            welcome_back(engine, &lease, sink).await?;
        }
        lock(&habits.failures).remove(sink);
    }
    Ok(())
}

async fn crl(engine: &Engine, holder: &str, id: &AuthorityId) -> Result<(), FlowError> {
    if !can_serve(engine, id)? {
        return Ok(());
    }
    if is_due(engine, id, CRL_INTERVAL).await? {
        let Some(lease) = lease(engine, &publish_crl::lease_name(id), holder).await? else { return Ok(()) };
        // Another replica may have made it while this one waited for the lease.
        if is_due(engine, id, CRL_INTERVAL).await? {
            publish_crl(engine, &Principal::Job("crl"), id, &lease).await?;
        }
    }
    if due_scopes(engine, id, CRL_INTERVAL).await?.is_empty() {
        return Ok(());
    }
    let Some(lease) = lease(engine, &publish_crl::lease_name(id), holder).await? else { return Ok(()) };
    for scope in due_scopes(engine, id, CRL_INTERVAL).await? {
        publish_partial(engine, &Principal::Job("crl"), id, scope, &lease).await?;
    }
    Ok(())
}

async fn responder(engine: &Engine, holder: &str, id: &AuthorityId) -> Result<(), FlowError> {
    if !has_hand(engine, id)? || !needs_responder(engine, id, engine.now()) {
        return Ok(());
    }
    let Some(lease) = lease(engine, &respond::lease_name(id), holder).await? else { return Ok(()) };
    engine.reload_hierarchy().await?;
    if needs_responder(engine, id, engine.now()) {
        make_responder(engine, &Principal::Job("responders"), id, Some(&lease)).await?;
    }
    Ok(())
}

/// Whether an authority's certificates can be had here, and it is worth it.
fn has_hand(engine: &Engine, id: &AuthorityId) -> Result<bool, FlowError> {
    let authority = engine.authority(id)?;
    Ok(authority.hand().is_ok() && !authority.has_ended(engine.now()))
}

/// Whether an authority's key can be used here, and is worth it.
fn can_serve(engine: &Engine, id: &AuthorityId) -> Result<bool, FlowError> {
    let authority = engine.authority(id)?;
    Ok(authority.can_sign() && !authority.has_ended(engine.now()))
}
