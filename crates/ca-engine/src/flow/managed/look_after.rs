//! What comes between rotations: the end of an overlap, a server that is to show the new certificate, and a worker that does not come.

use ca_core::certificate::Certificate;
use ca_core::managed::Urgency;
use ca_core::managed::definition::Deliverer;
use ca_core::time::Timestamp;

use super::outcome::{keep, told};
use super::plan::{JOB, Subject};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::flow::revoke::revoke_superseded;
use crate::port::store::{Journal, Lease};

/// Does what is to be done now besides rotating. `false` when another changed the record since it was read.
pub async fn look_after(
    engine: &Engine,
    lease: Option<&Lease>,
    subject: &mut Subject,
    now: Timestamp,
) -> Result<bool, FlowError> {
    if subject.managed.course.superseded.is_some_and(|superseded| superseded.revoke_at <= now) {
        // First, and kept apart: of two that do this, one writes, and both have revoked the same.
        if end_overlap(engine, subject).await {
            subject.managed.course.superseded = None;
            if !keep(engine, lease, &mut subject.managed, None).await? {
                return Ok(false);
            }
        }
    }
    if let Some(until) = subject.managed.course.probe_until {
        let journal = probe(engine, subject, until, now).await;
        if subject.managed.course.probe_until.is_none() && !keep(engine, lease, &mut subject.managed, journal).await? {
            return Ok(false);
        }
    }
    let is_late = subject.managed.delivered_by == Deliverer::Worker && subject.managed.course.next_at <= now;
    if let Some(journal) = is_late.then(|| late_worker(subject, now)).flatten() {
        return keep(engine, lease, &mut subject.managed, Some(journal)).await;
    }
    Ok(true)
}

/// Revokes what was superseded; returns whether that is done. What was revoked otherwise, or is not on record any more, needs nothing.
pub(super) async fn end_overlap(engine: &Engine, subject: &Subject) -> bool {
    let Some(superseded) = subject.managed.course.superseded else { return true };
    match revoke_superseded(engine, &JOB, superseded.certificate).await {
        Ok(_) => true,
        Err(error) if is_over(error.kind) => true,
        Err(error) => {
            let (name, certificate) = (&subject.managed.name, superseded.certificate);
            let detail = error.detail.as_deref().unwrap_or_default();
            tracing::warn!(managed = name, %certificate, %error, detail, "a superseded certificate was not revoked; it is tried again");
            false
        }
    }
}

fn is_over(kind: FlowErrorKind) -> bool {
    matches!(kind, FlowErrorKind::AlreadyRevoked | FlowErrorKind::NotFound | FlowErrorKind::Removed)
}

/// Looks at what is served; says so where it is another for too long.
async fn probe(engine: &Engine, subject: &mut Subject, until: Timestamp, now: Timestamp) -> Option<Journal> {
    let (Some(endpoint), Some(current)) = (&subject.definition.endpoint, &subject.current) else {
        subject.managed.course.probe_until = None;
        return None;
    };
    let address = &endpoint.address;
    let target = &subject.definition.target;
    let detail = match engine.managed().probe.served(endpoint).await {
        Ok(shown) if shown.first() == Some(&current.der) => {
            tracing::info!(managed = subject.managed.name, address, "the new certificate is served");
            subject.managed.course.probe_until = None;
            return None;
        }
        Ok(shown) => {
            let shown = shown.first().and_then(|der| Certificate::from_der(der).ok());
            let shown = shown.map_or_else(|| "none".to_owned(), |shown| format!("that with serial {}", shown.serial()));
            format!(
                "certificate {} is current in {target}, but {address} shows another ({shown}); have the server read it again",
                current.id
            )
        }
        Err(error) => format!("certificate {} is current in {target}, but {error}; is the server up?", current.id),
    };
    if now < until {
        return None;
    }
    tracing::error!(managed = subject.managed.name, detail, "the new certificate is not served");
    let urgency = subject.urgency_at(now).max(Urgency::Warning);
    let journal = told(&JOB, subject, urgency, &detail, now, 0);
    subject.managed.course.probe_until = None;
    Some(journal)
}

/// Tells that no worker brings what is due, once for each urgency.
fn late_worker(subject: &mut Subject, now: Timestamp) -> Option<Journal> {
    let urgency = subject.urgency_at(now);
    let course = &mut subject.managed.course;
    if urgency == Urgency::Notice || course.told.is_some_and(|told| told >= urgency) {
        return None;
    }
    course.told = Some(urgency);
    let last = course.last_failure.as_ref().map(|failure| format!("; its last attempt failed: {}", failure.error));
    let detail = format!(
        "no worker has brought it to {}, which is due since {}{}; is one running that may write there?",
        subject.definition.target,
        subject.due_at(),
        last.unwrap_or_default()
    );
    tracing::error!(
        managed = subject.managed.name,
        detail,
        urgency = urgency.as_str(),
        "a managed certificate is not delivered"
    );
    Some(told(&JOB, subject, urgency, &detail, now, subject.managed.course.failures))
}
