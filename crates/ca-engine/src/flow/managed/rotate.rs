//! One managed certificate, brought to its target: a rotation from where it stands, step by step, each on record before the next.
//!
//! Whoever is cut off anywhere leaves a record and a target from which the same rotation goes on: its key waits in the target, its
//! certificate is found again by the rotation's name, and delivering and promoting may be repeated. Of two who do this at once, one
//! writes each step; the other sees that and stops.

use ca_core::id::{CertificateId, RotationId};
use ca_core::managed::definition::{DefinitionProblem, Deliverer, ManagedDefinition};
use ca_core::managed::{self, RotationStep, Urgency};
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::principal::Principal;
use ca_core::revocation::Standing;
use ca_core::time::Lifetime;

use super::certify::{Certified, certified_as, certify, roots};
use super::delivery::{self, DeliveryError, Expected, Wanted};
use super::look_after::{end_overlap, look_after};
use super::outcome::{self, Failure, keep};
use super::plan::{JOB, Subject, Unreadable};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::flow::revoke::revoke_superseded;
use crate::port::certificate_target::{CertificateTarget, KeyMakerError, TargetError, TargetPlace};
use crate::port::store::{FailedAttempt, Lease, ManagedCertificate, Rotation, Superseded};

/// What was done for a managed certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing had to be rotated; what else was to be done is done.
    Rested,
    /// A new certificate is current in its target.
    Rotated,
    /// An attempt failed, and is so urgent. It is on record when the next one is.
    Failed(Urgency),
    /// Another changed the record meanwhile, and goes on.
    Overtaken,
}

/// Does what is to be done now for a managed certificate. What goes wrong with it is on record and no error; an error is one of the record.
pub async fn rotate_one(
    engine: &Engine,
    lease: Option<&Lease>,
    managed: ManagedCertificate,
) -> Result<Turn, FlowError> {
    let now = engine.now();
    let mut subject = match Subject::read(engine, managed).await? {
        Ok(subject) => subject,
        Err(unreadable) => return give_notice(engine, lease, unreadable).await,
    };
    // 1. What comes between rotations.
    if !look_after(engine, lease, &mut subject, now).await? {
        return Ok(Turn::Overtaken);
    }
    // 2. Is there anything to rotate, and is that ours?
    let settings = &engine.settings().managed;
    let is_ours = subject.managed.delivered_by == Deliverer::Service;
    if !is_ours || !subject.is_to_be_rotated(settings, now) {
        subject.rest(settings, now);
        let is_kept = keep(engine, lease, &mut subject.managed, None).await?;
        return Ok(if is_kept { Turn::Rested } else { Turn::Overtaken });
    }
    // 3. From where it stands to the end.
    match advance(engine, lease, &mut subject).await {
        Ok(()) => Ok(Turn::Rotated),
        Err(obstacle) => settle(engine, lease, &JOB, &mut subject, obstacle).await,
    }
}

/// Puts on record why a rotation does not go on now, whoever makes it.
pub(super) async fn settle(
    engine: &Engine,
    lease: Option<&Lease>,
    principal: &Principal,
    subject: &mut Subject,
    obstacle: Obstacle,
) -> Result<Turn, FlowError> {
    let failure = match obstacle {
        Obstacle::Record(error) => return Err(error),
        Obstacle::Overtaken => return Ok(Turn::Overtaken),
        Obstacle::Failed(failure) => failure,
        Obstacle::Again(failure) => {
            // What is pending is delivered once more.
            if let Some(rotation) = &mut subject.managed.course.rotation {
                rotation.step = RotationStep::Issued;
            }
            failure
        }
        Obstacle::Lost(failure) => {
            let orphan = give_up(engine, subject);
            let failed = outcome::fail(engine, lease, principal, subject, failure).await?;
            if let (Some(orphan), Some(_)) = (orphan, failed) {
                revoke_orphan(engine, subject, orphan).await;
            }
            return Ok(told(subject, failed));
        }
    };
    let failed = outcome::fail(engine, lease, principal, subject, failure).await?;
    Ok(told(subject, failed))
}

/// Why a rotation does not go on now.
pub(super) enum Obstacle {
    /// A step failed; it may be made again.
    Failed(Failure),
    /// What is pending is not right: it is to be delivered again.
    Again(Failure),
    /// This rotation comes to no end any more: another is to be begun.
    Lost(Failure),
    /// Another changed the record.
    Overtaken,
    /// The record does not answer.
    Record(FlowError),
}

async fn advance(engine: &Engine, lease: Option<&Lease>, subject: &mut Subject) -> Result<(), Obstacle> {
    let wanted = read(&subject.definition)?;
    let target = engine.managed().targets.open(&subject.definition.target).await?;
    begin(engine, lease, subject, &*target).await?;
    let mut made: Option<Certified> = None;
    loop {
        let Some(rotation) = subject.managed.course.rotation else { return Ok(()) };
        if made.is_none()
            && let Some(id) = rotation.certificate
        {
            made = Some(certified_as(engine, id).await.map_err(|error| of_issuing(error, "to find"))?);
        }
        let Some(certified) = &made else {
            made = Some(issue(engine, lease, subject, &*target, &rotation, &wanted).await?);
            continue;
        };
        if certified.certificate.standing != Standing::Active {
            return Err(lost("its certificate was revoked before it was in place; another is made"));
        }
        let (roots, der) = (roots(engine), certified.certificate.der.as_slice());
        let expected = Expected { rotation: rotation.id, certificate: der, roots: &roots, names: &wanted.names };
        match rotation.step {
            RotationStep::Begun | RotationStep::Issued => {
                delivery::deliver(&*target, rotation.id, der, &certified.chain).await?;
                step(engine, lease, subject, RotationStep::Delivered).await?;
            }
            RotationStep::Delivered => {
                delivery::verify(&*target, TargetPlace::Pending, &expected, engine.now()).await?;
                step(engine, lease, subject, RotationStep::Verified).await?;
            }
            RotationStep::Verified | RotationStep::Promoted => {
                promote(engine, &*target, &expected).await?;
                make_room(engine, lease, subject).await?;
                let certificate = certified.certificate.clone();
                let is_kept = outcome::finish(engine, lease, &JOB, subject, &rotation, certificate).await;
                return if is_kept.map_err(Obstacle::Record)? { Ok(()) } else { Err(Obstacle::Overtaken) };
            }
        }
    }
}

/// What of a definition a rotation needs.
struct Read {
    subject: DistinguishedName,
    names: Vec<GeneralName>,
}

fn read(definition: &ManagedDefinition) -> Result<Read, Obstacle> {
    definition.check().map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(|problem| format!("{}: {problem}", problem.pointer)).collect();
        refused(format!("its definition cannot be used: {}", problems.join("; ")))
    })?;
    let unusable = |problem: DefinitionProblem| refused(problem.message);
    Ok(Read {
        subject: definition.parsed_subject().map_err(unusable)?.unwrap_or_else(DistinguishedName::empty),
        names: definition.names().map_err(unusable)?,
    })
}

/// Gives the rotation its name, on record before anything is done in it. The target is looked at first: what somebody else put there is left
/// alone.
async fn begin(
    engine: &Engine,
    lease: Option<&Lease>,
    subject: &mut Subject,
    target: &dyn CertificateTarget,
) -> Result<(), Obstacle> {
    if subject.managed.course.rotation.is_some() {
        return Ok(());
    }
    target.look(TargetPlace::Current).await?;
    let now = engine.now();
    let random = engine.random().map_err(|error| Obstacle::Record(error.into()))?;
    let id = RotationId::new(now, random);
    let course = &mut subject.managed.course;
    course.rotation = Some(Rotation { id, step: RotationStep::Begun, certificate: None, begun_at: now });
    course.asked = false;
    kept(keep(engine, lease, &mut subject.managed, None).await)
}

/// The key first, in its target; then the certificate for it.
async fn issue(
    engine: &Engine,
    lease: Option<&Lease>,
    subject: &mut Subject,
    target: &dyn CertificateTarget,
    rotation: &Rotation,
    wanted: &Read,
) -> Result<Certified, Obstacle> {
    let definition = &subject.definition;
    let wants = Wanted {
        rotation: rotation.id,
        subject: wanted.subject.clone(),
        key_type: definition.key_type,
        keep_key: definition.keep_key && is_key_good(engine, subject).await?,
    };
    let csr = delivery::stage(target, &*engine.managed().keys, &wants).await?;
    let certified = certify(engine, &JOB, &subject.managed, definition, rotation, csr).await;
    let certified = certified.map_err(|error| of_issuing(error, "to issue"))?;
    if let Some(rotation) = &mut subject.managed.course.rotation {
        (rotation.step, rotation.certificate) = (RotationStep::Issued, Some(certified.certificate.id));
    }
    kept(keep(engine, lease, &mut subject.managed, None).await)?;
    Ok(certified)
}

/// Whether the key that is current may be certified again: its certificate was not revoked, and the key is not blocked.
pub(super) async fn is_key_good(engine: &Engine, subject: &Subject) -> Result<bool, Obstacle> {
    let Some(current) = subject.current.as_ref().filter(|current| current.standing == Standing::Active) else {
        return Ok(false);
    };
    let is_blocked = engine.store().is_key_blocked(&current.spki_sha256).await;
    Ok(!is_blocked.map_err(|error| Obstacle::Record(error.into()))?)
}

async fn step(
    engine: &Engine,
    lease: Option<&Lease>,
    subject: &mut Subject,
    step: RotationStep,
) -> Result<(), Obstacle> {
    if let Some(rotation) = &mut subject.managed.course.rotation {
        rotation.step = step;
    }
    kept(keep(engine, lease, &mut subject.managed, None).await)
}

/// Where it is refused, what is pending is not what was verified.
async fn promote(engine: &Engine, target: &dyn CertificateTarget, expected: &Expected<'_>) -> Result<(), Obstacle> {
    delivery::promote(target, expected, engine.now()).await.map_err(|error| match error {
        DeliveryError::Target(TargetError::Refused { detail }) => Obstacle::Again(Failure { detail, may_pass: false }),
        error => error.into(),
    })
}

/// There is room for one certificate whose overlap is not over: the one before it is revoked now, which two successors have.
pub(super) async fn make_room(engine: &Engine, lease: Option<&Lease>, subject: &mut Subject) -> Result<(), Obstacle> {
    if subject.managed.course.superseded.is_none() {
        return Ok(());
    }
    if !end_overlap(engine, subject).await {
        let detail = "the certificate before the last could not be revoked, and is to be before its second successor is \
                      recorded; the log says why";
        return Err(Obstacle::Failed(Failure { detail: detail.to_owned(), may_pass: true }));
    }
    subject.managed.course.superseded = None;
    kept(keep(engine, lease, &mut subject.managed, None).await)
}

/// Forgets the rotation. Its certificate, whose key nobody has any more, is revoked: by the next look where there is room on record for that;
/// else it is returned.
fn give_up(engine: &Engine, subject: &mut Subject) -> Option<CertificateId> {
    let course = &mut subject.managed.course;
    let orphan = course.rotation.take().and_then(|rotation| rotation.certificate)?;
    if course.superseded.is_some() {
        return Some(orphan);
    }
    course.superseded = Some(Superseded { certificate: orphan, revoke_at: engine.now() });
    None
}

async fn revoke_orphan(engine: &Engine, subject: &Subject, orphan: CertificateId) {
    if let Err(error) = revoke_superseded(engine, &JOB, orphan).await {
        let name = &subject.managed.name;
        tracing::error!(managed = name, certificate = %orphan, %error, "a certificate whose key is lost was not revoked; revoke it");
    }
}

/// The log has every failure.
fn told(subject: &Subject, failed: Option<Urgency>) -> Turn {
    let Some(urgency) = failed else { return Turn::Overtaken };
    let managed = &subject.managed;
    let detail = managed.course.last_failure.as_ref().map_or("", |failure| failure.error.as_str());
    tracing::warn!(
        managed = managed.name,
        urgency = urgency.as_str(),
        failures = managed.course.failures,
        next_at = %managed.course.next_at,
        detail,
        "a managed certificate was not rotated"
    );
    Turn::Failed(urgency)
}

/// A definition that cannot be read is a failure like any other, of something that is not known.
async fn give_notice(engine: &Engine, lease: Option<&Lease>, unreadable: Unreadable) -> Result<Turn, FlowError> {
    let Unreadable { mut managed, detail } = unreadable;
    let now = engine.now();
    let error = format!("its definition cannot be read: {detail}; give it another");
    tracing::error!(managed = managed.name, error, "a managed certificate cannot be rotated");
    let course = &mut managed.course;
    course.failures = course.failures.saturating_add(1);
    course.last_failure = Some(FailedAttempt { at: now, error });
    let left = course.current.map_or(Lifetime::ZERO, |current| current.not_after.since(now));
    course.next_at = now.plus(managed::retry_after(managed.id, course.failures, left));
    course.watch_at = course.watch_at.map(|_| course.next_at);
    let is_kept = keep(engine, lease, &mut managed, None).await?;
    Ok(if is_kept { Turn::Failed(Urgency::Warning) } else { Turn::Overtaken })
}

fn kept(done: Result<bool, FlowError>) -> Result<(), Obstacle> {
    match done {
        Ok(true) => Ok(()),
        Ok(false) => Err(Obstacle::Overtaken),
        Err(error) => Err(Obstacle::Record(error)),
    }
}

fn refused(detail: String) -> Obstacle {
    Obstacle::Failed(Failure { detail, may_pass: false })
}

pub(super) fn lost(detail: &str) -> Obstacle {
    Obstacle::Lost(Failure { detail: detail.to_owned(), may_pass: true })
}

/// What an issuer said. Under a name that was used for another request, the definition was changed meanwhile.
pub(super) fn of_issuing(error: FlowError, what: &str) -> Obstacle {
    if let Some(detail) = &error.detail {
        tracing::warn!(%error, detail, "{what} the certificate of a rotation failed");
    }
    let may_pass = matches!(
        error.kind,
        FlowErrorKind::Unavailable
            | FlowErrorKind::Overloaded
            | FlowErrorKind::RequestInProgress
            | FlowErrorKind::SigningSuspended
    );
    let failure = Failure { detail: error.to_string(), may_pass };
    match error.kind {
        FlowErrorKind::IdempotencyConflict | FlowErrorKind::KeyBlocked | FlowErrorKind::NotFound => {
            Obstacle::Lost(failure)
        }
        _ => Obstacle::Failed(failure),
    }
}

impl From<TargetError> for Obstacle {
    fn from(error: TargetError) -> Self {
        let may_pass = matches!(error, TargetError::Unavailable { .. });
        Self::Failed(Failure { detail: error.to_string(), may_pass })
    }
}

impl From<DeliveryError> for Obstacle {
    fn from(error: DeliveryError) -> Self {
        let detail = error.to_string();
        match error {
            DeliveryError::Target(error) => error.into(),
            DeliveryError::Key(KeyMakerError::Unavailable { .. }) | DeliveryError::Overtaken => {
                Self::Failed(Failure { detail, may_pass: true })
            }
            DeliveryError::KeyGone => {
                Self::Lost(Failure { detail: format!("{detail}; another is made"), may_pass: true })
            }
            DeliveryError::NotRight { .. } => Self::Again(Failure { detail, may_pass: false }),
            _ => refused(detail),
        }
    }
}
