//! Carrying a bulk revocation out: one batch a commit, under a lease, from wherever it was left.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::profile::ProfileKind;
use ca_core::revocation::Standing;
use ca_core::time::Timestamp;

use super::selection::decide;
use crate::engine::Engine;
use crate::error::FlowError;
use crate::flow::revoke::{Asked, compromised_since, reach, revocation_journal};
use crate::flow::watch_clock::dependable_now;
use crate::port::store::{
    BatchChange, BatchOutcome, BulkBatch, BulkRevocation, Journal, Lease, StandingChange, StoredCertificate,
};

/// The lease under which bulk revocations are carried out.
pub const LEASE_NAME: &str = "bulk-revocation";

/// What one step has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// So many certificates had their turn.
    Batch(u64),
    /// There was nothing left: it is completed.
    Completed,
    /// It was ended, or somebody else came first.
    Superseded,
}

/// Makes the next batch of a bulk revocation, or completes it.
pub async fn advance(engine: &Engine, lease: &Lease, operation: &BulkRevocation) -> Result<Advance, FlowError> {
    // 1. Is the record the newest, and the clock to be trusted?
    engine.check_anchor()?;
    let now = dependable_now(engine).await?;
    // 2. What is left?
    let Some(batch) = engine.store().next_batch(operation.id).await? else {
        return complete(engine, lease, operation, now).await;
    };
    // 3. Each certificate is decided from where it stands now.
    let (change, certificates) = decide_all(engine, operation, &batch, now).await?;
    // 4. One commit. Whatever the outcome, this process believes nothing of what it has signed about them.
    let outcome = engine.store().change_batch(lease, change).await;
    for certificate in &certificates {
        engine.standing_changed(&certificate.authority, &certificate.serial);
    }
    let outcome = outcome?;
    if certificates.iter().any(|certificate| is_ours(engine, certificate)) {
        let _ = engine.reload_hierarchy().await;
    }
    Ok(match outcome {
        BatchOutcome::Made { stale } => Advance::Batch((batch.certificates.len() - stale.len()) as u64),
        BatchOutcome::Superseded => Advance::Superseded,
    })
}

async fn decide_all(
    engine: &Engine,
    operation: &BulkRevocation,
    batch: &BulkBatch,
    now: Timestamp,
) -> Result<(BatchChange, Vec<StoredCertificate>), FlowError> {
    let asked = Asked {
        principal: operation.requested_by.clone(),
        request_id: operation.request_id.clone(),
        bulk_revocation: Some(operation.id),
    };
    let mut change = BatchChange { id: operation.id, number: batch.number, changes: Vec::new(), skipped: Vec::new() };
    let mut certificates = Vec::with_capacity(batch.certificates.len());
    for id in &batch.certificates {
        // One that is not there was removed after its retention: it has ended.
        let Some(certificate) = engine.store().certificate(*id).await? else {
            change.skipped.push(*id);
            continue;
        };
        let Some(revocation) = decide(&certificate, operation.reason, operation.invalidity_date, now)? else {
            change.skipped.push(*id);
            continue;
        };
        let reach = reach(engine, &certificate, &revocation).await?;
        change.changes.push(StandingChange {
            id: *id,
            from: certificate.standing,
            to: Standing::Revoked(revocation),
            compromised_since: compromised_since(&certificate, &revocation),
            journal: revocation_journal(&asked, &certificate, &revocation, &reach, now),
        });
        certificates.push(certificate);
    }
    Ok((change, certificates))
}

async fn complete(
    engine: &Engine,
    lease: &Lease,
    operation: &BulkRevocation,
    now: Timestamp,
) -> Result<Advance, FlowError> {
    // Its batches are gone, so that its counts do not change any more.
    let Some(there) = engine.store().bulk_revocation(operation.id).await? else { return Ok(Advance::Superseded) };
    let subject = format!("bulk-revocation:{}", there.id);
    let event = AuditEvent::new(now, AuditAction::BulkRevocationCompleted, there.requested_by, subject)
        .with("revoked", there.revoked)
        .with("skipped", there.skipped)
        .in_request(there.request_id.as_deref());
    match engine.store().end_bulk_revocation(Some(lease), there.id, Journal::of(event)).await? {
        true => Ok(Advance::Completed),
        false => Ok(Advance::Superseded),
    }
}

/// Whether it is one of the service's own, so that the hierarchy is to be read again.
fn is_ours(engine: &Engine, certificate: &StoredCertificate) -> bool {
    engine.profiles().get(&certificate.profile).is_none_or(|profile| profile.kind() != ProfileKind::Leaf)
}
