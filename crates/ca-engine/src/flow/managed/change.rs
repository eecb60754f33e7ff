//! Changing a managed certificate: what is wanted of it, whether anything is done for it, that it be rotated at once, that it is no more.
//!
//! Rotations change the same record meanwhile. Each change here names the revision that it saw, and is made anew over what came first.

use ca_core::audit::AuditAction;
use ca_core::managed::definition::{Deliverer, ManagedDefinition};
use ca_core::principal::Principal;
use ca_core::time::Timestamp;

use super::define::{ManagedRequest, came_first, event, judge, target_taken};
use super::query::{ManagedReference, Shown, permitted, shown};
use super::read_definition;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::authorizer::Action;
use crate::port::store::{Journal, ManagedCertificate, ManagedCourse};

/// How often a change is made anew before the caller is told to try again.
const ATTEMPTS: u32 = 8;

/// Puts another definition, and another profile, in the place of what is there; a dry run checks everything and changes nothing. With a
/// revision, only when it is the one on record. What concerns the certificate or its target has it rotated at once.
///
/// # Errors
/// Those of [`super::define::define`]; `ManagedChanged` when another revision is on record; `RotationUnderWay` when the change concerns a
/// certificate that is issued and on its way.
pub async fn redefine(
    engine: &Engine,
    principal: &Principal,
    reference: &ManagedReference,
    request: ManagedRequest,
    revision: Option<u64>,
    dry_run: bool,
) -> Result<Shown, FlowError> {
    engine.check_anchor()?;
    for _ in 0..ATTEMPTS {
        let there = permitted(engine, principal, Action::ManageCertificate, reference).await?;
        if revision.is_some_and(|revision| revision != there.revision) {
            let message = format!("revision {} is on record: look again, then change that one", there.revision);
            return Err(FlowError::new(FlowErrorKind::ManagedChanged, message));
        }
        if request.name != there.name {
            let message = format!("a name never changes; this one is `{}`", there.name);
            return Err(FlowError::invalid("name-changed", "/name", message));
        }
        let before = read_definition(&there)?;
        let definition = serde_json::to_string(&request.definition).map_err(FlowError::internal)?;
        let wanted = ManagedCertificate { profile: request.profile.clone(), definition, ..there.clone() };
        judge(engine, principal, &wanted, &request).await?;
        if let Some(other) = engine.store().managed_by_target(&wanted.definition).await?
            && other != there.id
        {
            return Err(target_taken(engine, other).await?);
        }
        if before == request.definition && there.profile == request.profile {
            return shown(engine, there).await;
        }
        let reissue = there.profile != request.profile || concerns_certificate(&before, &request.definition);
        let course = course_after(&there, &request.definition, reissue, engine.now())?;
        let delivered_by = request.definition.delivered_by;
        let wanted = ManagedCertificate { course, delivered_by, ..wanted };
        if dry_run {
            return shown(engine, wanted).await;
        }
        let event = event(AuditAction::ManagedCertificateChanged, engine.now(), principal, &there)
            .with("change", changed_members(&before, &request, &there))
            .in_request(request.request_id.as_deref());
        if let Some(changed) = write(engine, wanted, event).await? {
            return shown(engine, changed).await;
        }
    }
    Err(came_first())
}

/// Has nothing done for it until somebody resumes it: no rotation is begun or gone on with, and nothing is revoked. Repeating it is
/// harmless.
pub async fn pause_managed(
    engine: &Engine,
    principal: &Principal,
    reference: &ManagedReference,
    request_id: Option<&str>,
) -> Result<Shown, FlowError> {
    set_paused(engine, principal, reference, true, request_id).await
}

/// Ends that. What became due meanwhile is due at once.
pub async fn resume_managed(
    engine: &Engine,
    principal: &Principal,
    reference: &ManagedReference,
    request_id: Option<&str>,
) -> Result<Shown, FlowError> {
    set_paused(engine, principal, reference, false, request_id).await
}

async fn set_paused(
    engine: &Engine,
    principal: &Principal,
    reference: &ManagedReference,
    paused: bool,
    request_id: Option<&str>,
) -> Result<Shown, FlowError> {
    engine.check_anchor()?;
    for _ in 0..ATTEMPTS {
        let there = permitted(engine, principal, Action::ManageCertificate, reference).await?;
        if there.paused == paused {
            return shown(engine, there).await;
        }
        let event = event(AuditAction::ManagedCertificateChanged, engine.now(), principal, &there)
            .with("change", if paused { "paused" } else { "resumed" })
            .in_request(request_id);
        let wanted = ManagedCertificate { paused, ..there };
        if let Some(changed) = write(engine, wanted, event).await? {
            return shown(engine, changed).await;
        }
    }
    Err(came_first())
}

/// Has it rotated at once, or an attempt that waits made at once. Repeating it before that is harmless.
pub async fn rotate_managed(
    engine: &Engine,
    principal: &Principal,
    reference: &ManagedReference,
    request_id: Option<&str>,
) -> Result<Shown, FlowError> {
    engine.check_anchor()?;
    for _ in 0..ATTEMPTS {
        let there = permitted(engine, principal, Action::ManageCertificate, reference).await?;
        if there.paused {
            let message = format!("`{}` is paused, and nothing is done for it; resume it first", there.name);
            return Err(FlowError::new(FlowErrorKind::ManagedPaused, message));
        }
        let now = engine.now();
        if there.course.asked && there.course.next_at <= now {
            return shown(engine, there).await;
        }
        let event = event(AuditAction::ManagedCertificateChanged, now, principal, &there)
            .with("change", "to be rotated at once")
            .in_request(request_id);
        let course = ManagedCourse { asked: true, next_at: there.course.next_at.min(now), ..there.course.clone() };
        if let Some(changed) = write(engine, ManagedCertificate { course, ..there }, event).await? {
            return shown(engine, changed).await;
        }
    }
    Err(came_first())
}

/// Takes it from the record: nothing is rotated any more, and nothing revoked. Its certificates stay what they are, and its target stays
/// as it is.
pub async fn remove_managed(
    engine: &Engine,
    principal: &Principal,
    reference: &ManagedReference,
    request_id: Option<&str>,
) -> Result<(), FlowError> {
    engine.check_anchor()?;
    for _ in 0..ATTEMPTS {
        let there = permitted(engine, principal, Action::ManageCertificate, reference).await?;
        let course = &there.course;
        let left = [
            ("current", course.current.as_ref().map(|current| current.certificate)),
            ("under_way", course.rotation.as_ref().and_then(|rotation| rotation.certificate)),
            ("superseded", course.superseded.as_ref().map(|superseded| superseded.certificate)),
        ];
        let mut event = event(AuditAction::ManagedCertificateRemoved, engine.now(), principal, &there);
        for (name, id) in left {
            // They stay valid, and nobody looks after them from here on.
            if let Some(id) = id {
                event = event.with(name, format!("certificate:{id}"));
            }
        }
        let journal = Journal::of(event.in_request(request_id));
        if engine.store().remove_managed(there.id, there.revision, journal).await? {
            return Ok(());
        }
    }
    Err(came_first())
}

/// Writes a change over the revision that it saw; `None` when that is not the one on record any more.
async fn write(
    engine: &Engine,
    wanted: ManagedCertificate,
    event: ca_core::audit::AuditEvent,
) -> Result<Option<ManagedCertificate>, FlowError> {
    let written = engine.store().change_managed(None, wanted.clone(), Some(Journal::of(event))).await?;
    Ok(written.then(|| ManagedCertificate { revision: wanted.revision + 1, ..wanted }))
}

/// Whether what is current is not what is wanted any more.
fn concerns_certificate(before: &ManagedDefinition, after: &ManagedDefinition) -> bool {
    before.subject != after.subject
        || before.subject_alternative_names != after.subject_alternative_names
        || before.key_type != after.key_type
        || before.target != after.target
        || before.delivered_by != after.delivered_by
}

/// How far it has come once another definition is in place. A rotation that was begun is begun anew, under what is wanted now; when the
/// next one is due, the service finds out at once.
fn course_after(
    there: &ManagedCertificate,
    wanted: &ManagedDefinition,
    reissue: bool,
    now: Timestamp,
) -> Result<ManagedCourse, FlowError> {
    let mut course = there.course.clone();
    let is_issued = course.rotation.as_ref().is_some_and(|rotation| rotation.step.has_certificate());
    if reissue && is_issued {
        let message = format!(
            "`{}` is being rotated, and its new certificate is issued: wait until that has ended, or remove it and add it \
             again",
            there.name
        );
        return Err(FlowError::new(FlowErrorKind::RotationUnderWay, message).retry_after(60));
    }
    if !is_issued {
        course.rotation = None;
        course.failures = 0;
        course.last_failure = None;
        course.told = None;
    }
    course.asked |= reissue && course.current.is_some();
    match wanted.delivered_by {
        Deliverer::Service => {
            course.next_at = course.next_at.min(now);
            course.watch_at = None;
        }
        // A worker that comes would rotate it: the service looks first, unless it is to be rotated.
        Deliverer::Worker if course.asked || course.current.is_none() => course.next_at = course.next_at.min(now),
        Deliverer::Worker => course.watch_at = Some(now),
    }
    Ok(course)
}

/// Which members of the definition were changed, for the event.
fn changed_members(before: &ManagedDefinition, request: &ManagedRequest, there: &ManagedCertificate) -> String {
    let fields = |definition: &ManagedDefinition| match serde_json::to_value(definition) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (old, new) = (fields(before), fields(&request.definition));
    let mut changed: Vec<&str> = Vec::new();
    if there.profile != request.profile {
        changed.push("profile");
    }
    for name in old.keys().chain(new.keys()) {
        if old.get(name) != new.get(name) && !changed.contains(&name.as_str()) {
            changed.push(name);
        }
    }
    changed.sort_unstable();
    changed.join(", ")
}
