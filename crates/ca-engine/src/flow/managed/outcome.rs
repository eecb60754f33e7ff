//! How a rotation ended: with what is current, with a failure that is tried again, or given up and begun anew. Each is one commit, with
//! the event that tells of it.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::managed::Urgency;
use ca_core::managed::definition::Hook;
use ca_core::principal::Principal;
use ca_core::time::Timestamp;
use serde_json::json;

use super::plan::Subject;
use crate::engine::Engine;
use crate::error::FlowError;
use crate::port::store::{
    FailedAttempt, Journal, Lease, ManagedCertificate, ManagedCurrent, OutboxMessage, Rotation, StoredCertificate,
    Superseded,
};

/// The longest text of a failure on record, in characters.
const LONGEST_DETAIL: usize = 1_000;

/// How often what may pass by itself fails before it is told while there is time.
const QUIET_FAILURES: u32 = 3;

/// Puts a managed certificate on record as it is now; `false` when another changed it since it was read.
pub async fn keep(
    engine: &Engine,
    lease: Option<&Lease>,
    managed: &mut ManagedCertificate,
    journal: Option<Journal>,
) -> Result<bool, FlowError> {
    let is_kept = engine.store().change_managed(lease, managed.clone(), journal).await?;
    managed.revision += u64::from(is_kept);
    Ok(is_kept)
}

/// What a rotation brought is current in its target, and was read back from there. What was current before is revoked after the overlap, where
/// the definition has one. `false` when another changed the record since it was read.
pub async fn finish(
    engine: &Engine,
    lease: Option<&Lease>,
    principal: &Principal,
    subject: &mut Subject,
    rotation: &Rotation,
    certificate: StoredCertificate,
) -> Result<bool, FlowError> {
    let now = engine.now();
    let journal = rotated(principal, subject, rotation, &certificate, now);
    let overlap = subject.definition.overlap().ok().flatten();
    let course = &mut subject.managed.course;
    let before = course.current.filter(|current| current.certificate != certificate.id);
    if let (Some(before), Some(overlap)) = (before, overlap) {
        course.superseded = Some(Superseded { certificate: before.certificate, revoke_at: now.plus(overlap) });
    }
    course.current = Some(ManagedCurrent {
        certificate: certificate.id,
        rotation: rotation.id,
        not_after: certificate.validity.not_after,
    });
    course.rotation = None;
    (course.failures, course.last_failure, course.told) = (0, None, None);
    let endpoint = subject.definition.endpoint.as_ref();
    course.probe_until = endpoint.and_then(|endpoint| endpoint.time().ok()).map(|time| now.plus(time));
    subject.current = Some(certificate);
    subject.rest(&engine.settings().managed, now);
    keep(engine, lease, &mut subject.managed, Some(journal)).await
}

/// How a failure is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong and what would be right; without secrets.
    pub detail: String,
    /// Whether it may pass by itself: nobody is told at once.
    pub may_pass: bool,
}

/// An attempt failed: it is on record, tried again later, and told once for each urgency. Returns how urgent it is; `None` when another
/// changed the record since it was read.
pub async fn fail(
    engine: &Engine,
    lease: Option<&Lease>,
    principal: &Principal,
    subject: &mut Subject,
    failure: Failure,
) -> Result<Option<Urgency>, FlowError> {
    let now = engine.now();
    let urgency = subject.urgency_at(now);
    let Failure { mut detail, may_pass } = failure;
    if let Some((end, _)) = detail.char_indices().nth(LONGEST_DETAIL) {
        detail.truncate(end);
    }
    let course = &mut subject.managed.course;
    course.failures = course.failures.saturating_add(1);
    course.last_failure = Some(FailedAttempt { at: now, error: detail });
    let is_worse = course.told.is_none_or(|told| told < urgency);
    let is_told = is_worse && (!may_pass || urgency > Urgency::Notice || course.failures >= QUIET_FAILURES);
    if is_told {
        course.told = Some(urgency);
    }
    let journal = is_told.then(|| failed(principal, subject, urgency, now));
    subject.rest(&engine.settings().managed, now);
    Ok(keep(engine, lease, &mut subject.managed, journal).await?.then_some(urgency))
}

fn rotated(
    principal: &Principal,
    subject: &Subject,
    rotation: &Rotation,
    certificate: &StoredCertificate,
    now: Timestamp,
) -> Journal {
    let managed = &subject.managed;
    let target = subject.definition.target.to_string();
    let superseded = subject.current.as_ref().filter(|current| current.id != certificate.id);
    let mut event = AuditEvent::new(now, AuditAction::CertificateRotated, principal.reference(), name(managed))
        .with("name", &managed.name)
        .with("rotation", rotation.id)
        .with("authority", &certificate.authority)
        .with("certificate", certificate.id)
        .with("serial", &certificate.serial)
        .with("not_after", certificate.validity.not_after)
        .with("target", &target);
    if let Some(superseded) = superseded {
        event = event.with("superseded", superseded.id);
    }
    let hooks: Vec<String> = subject.definition.hooks.iter().map(Hook::to_string).collect();
    let payload = json!({
        "authority": certificate.authority.as_str(),
        "certificate": certificate.id.to_string(),
        "hooks": hooks,
        "managed": managed.id.to_string(),
        "name": managed.name,
        "not_after": certificate.validity.not_after.to_rfc3339(),
        "owner": managed.owner,
        "rotation": rotation.id.to_string(),
        "serial": certificate.serial.to_string(),
        "superseded": superseded.map(|superseded| superseded.id.to_string()),
        "superseded_serial": superseded.map(|superseded| superseded.serial.to_string()),
        "target": target,
    });
    Journal::of(event).telling(OutboxMessage {
        topic: "certificate.rotated",
        certificate: None,
        payload: payload.to_string(),
    })
}

/// What tells the owner of a failure, or of a server that still shows another certificate.
pub fn failed(principal: &Principal, subject: &Subject, urgency: Urgency, now: Timestamp) -> Journal {
    let (managed, course) = (&subject.managed, &subject.managed.course);
    let detail = course.last_failure.as_ref().map_or("", |failure| failure.error.as_str());
    told(principal, subject, urgency, detail, now, managed.course.failures)
}

/// The same with another detail.
pub fn told(
    principal: &Principal,
    subject: &Subject,
    urgency: Urgency,
    detail: &str,
    now: Timestamp,
    failures: u32,
) -> Journal {
    let managed = &subject.managed;
    let target = subject.definition.target.to_string();
    let event = AuditEvent::new(now, AuditAction::RotationFailed, principal.reference(), name(managed))
        .with("name", &managed.name)
        .with("urgency", urgency.as_str())
        .with("failures", failures)
        .with("target", &target)
        .with("detail", detail);
    let current = managed.course.current;
    let payload = json!({
        "certificate": current.map(|current| current.certificate.to_string()),
        "detail": detail,
        "failures": failures,
        "managed": managed.id.to_string(),
        "name": managed.name,
        "not_after": current.map(|current| current.not_after.to_rfc3339()),
        "owner": managed.owner,
        "profile": managed.profile.as_str(),
        "target": target,
        "urgency": urgency.as_str(),
    });
    Journal::of(event).telling(OutboxMessage {
        topic: "rotation.failed",
        certificate: None,
        payload: payload.to_string(),
    })
}

/// How events name it.
fn name(managed: &ManagedCertificate) -> String {
    format!("managed-certificate:{}", managed.id)
}
