//! Rotations that a worker makes: the service decides, certifies and keeps the record; the worker, which stands where the target is, has
//! the key and says how far it has come.
//!
//! The steps on record are those of [`super::rotate`], and are made in the same order. Who begins one, or says something of it, is left
//! alone by the others for [`HOLD`]; two who are at it all the same find one key in the target, and ask for one certificate.

use ca_core::csr::ParsedCsr;
use ca_core::id::{ManagedCertificateId, RotationId};
use ca_core::managed::RotationStep;
use ca_core::managed::definition::{Deliverer, ManagedDefinition};
use ca_core::principal::Principal;
use ca_core::revocation::Standing;
use ca_core::time::Lifetime;

use super::certify::{Certified, certified_as, certify};
use super::outcome::{self, Failure, keep};
use super::plan::Subject;
use super::rotate::{Obstacle, is_key_good, lost, make_room, of_issuing, settle};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::flow::query::permit;
use crate::port::authorizer::{Action, Resource};
use crate::port::store::{ManagedCertificate, Rotation};

/// How long other workers leave a rotation alone after its worker was heard of.
pub const HOLD: Lifetime = Lifetime::from_seconds(15);

/// How many of those that are due are looked at together, and the most that are told.
pub const MOST_DUE: u32 = 1_000;

/// A managed certificate that a worker is to bring to its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// As it is on record.
    pub managed: ManagedCertificate,
    /// What is wanted.
    pub definition: ManagedDefinition,
}

/// A rotation that a worker is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Underway {
    /// As it is on record.
    pub managed: ManagedCertificate,
    /// What is wanted.
    pub definition: ManagedDefinition,
    /// How far it has come. One that was promoted is over.
    pub rotation: Rotation,
    /// Whether the key that is current is to be certified again: it is wanted, and fit for it.
    pub keep_key: bool,
    /// Its certificate, once it is issued.
    pub certified: Option<Certified>,
}

/// Those that workers are to bring to their targets now, what ends first before all others and what has nothing in place before that; at
/// most `limit`. Of those that the principal may not deliver nothing is told, nor of those whose definition cannot be read.
pub async fn due_for_workers(engine: &Engine, principal: &Principal, limit: u32) -> Result<Vec<Due>, FlowError> {
    permit(engine, principal, Action::DeliverManaged, Resource::Service)?;
    let mut found = engine.store().due_managed(Deliverer::Worker, engine.now(), MOST_DUE).await?;
    found.sort_by_key(|managed| (managed.course.current.map(|current| current.not_after), managed.course.next_at));
    let mut due = Vec::new();
    for managed in found {
        match serde_json::from_str(&managed.definition) {
            Ok(definition) => due.push(Due { managed, definition }),
            Err(error) => {
                tracing::error!(managed = managed.name, %error, "a managed certificate has a definition that cannot be read");
            }
        }
        if due.len() >= limit as usize {
            break;
        }
    }
    Ok(due)
}

/// Begins a rotation, or goes on with the one under way.
///
/// # Errors
/// `ManagedPaused`; `ManagedChanged` when nothing is to be done for it now, which is so while another worker is at it, or when another
/// came first.
pub async fn begin_rotation(engine: &Engine, principal: &Principal, name: &str) -> Result<Underway, FlowError> {
    engine.check_anchor()?;
    let mut subject = deliverable(engine, principal, name).await?;
    let now = engine.now();
    let managed = &mut subject.managed;
    if !managed.is_due(Deliverer::Worker, now) {
        let message = format!("nothing is to be done for `{}` before {}", managed.name, managed.course.next_at);
        return Err(FlowError::new(FlowErrorKind::ManagedChanged, message));
    }
    if managed.course.rotation.is_none() {
        let id = RotationId::new(now, engine.random()?);
        managed.course.rotation = Some(Rotation { id, step: RotationStep::Begun, certificate: None, begun_at: now });
        managed.course.asked = false;
    }
    hold(engine, &mut subject).await?;
    underway(engine, subject).await
}

/// Certifies the key that lies in the target. Asked for again, it is the certificate that was made.
///
/// # Errors
/// `ManagedChanged` when this rotation is not under way any more, or another came first; those of an issuance, which are on record as its
/// failure, unless they may pass within seconds.
pub async fn certify_rotation(
    engine: &Engine,
    principal: &Principal,
    name: &str,
    rotation: RotationId,
    csr: ParsedCsr,
) -> Result<Underway, FlowError> {
    engine.check_anchor()?;
    let mut subject = deliverable(engine, principal, name).await?;
    let rotation = of(&subject, rotation)?;
    if rotation.step.has_certificate() {
        let spki_sha256 = csr.public_key().spki_sha256();
        let underway = underway(engine, subject).await?;
        let is_its = underway.certified.as_ref().is_some_and(|made| made.certificate.spki_sha256 == spki_sha256);
        return if is_its { Ok(underway) } else { Err(of_another_key(&rotation)) };
    }
    match certify(engine, principal, &subject.managed, &subject.definition, &rotation, csr).await {
        Ok(certified) => {
            let (step, certificate) = (RotationStep::Issued, Some(certified.certificate.id));
            subject.managed.course.rotation = Some(Rotation { step, certificate, ..rotation });
            hold(engine, &mut subject).await?;
            underway(engine, subject).await
        }
        Err(error) => {
            match of_issuing(error.clone(), "to issue") {
                // The same request may be answered in a moment.
                Obstacle::Failed(failure) if failure.may_pass => {}
                obstacle => drop(settle(engine, None, principal, &mut subject, obstacle).await?),
            }
            Err(error)
        }
    }
}

/// Puts a step on record that was made at the target; repeating it is harmless. With the last, the certificate is current.
///
/// # Errors
/// `InvalidRequest` for a step before which another is to be made; `ManagedChanged` as for [`certify_rotation`].
pub async fn advance_rotation(
    engine: &Engine,
    principal: &Principal,
    name: &str,
    rotation: RotationId,
    step: RotationStep,
) -> Result<Underway, FlowError> {
    engine.check_anchor()?;
    let mut subject = deliverable(engine, principal, name).await?;
    if let Some(over) = promoted(engine, &subject, rotation).await? {
        return Ok(over);
    }
    let rotation = of(&subject, rotation)?;
    if step <= rotation.step {
        return underway(engine, subject).await;
    }
    if rotation.step.next() != Some(step) || !step.has_certificate() || step == RotationStep::Issued {
        let message = format!("it is {}: after that comes {}", rotation.step.as_str(), after(rotation.step));
        return Err(FlowError::invalid("step-out-of-turn", "/step", message));
    }
    let certified = match rotation.certificate {
        Some(certificate) => certified_as(engine, certificate).await,
        None => Err(FlowError::internal(format!("rotation {} has no certificate", rotation.id))),
    };
    let certified = match certified {
        Ok(certified) if certified.certificate.standing == Standing::Active => certified,
        Ok(_) => {
            return give_up(engine, principal, subject, "its certificate was revoked before it was in place").await;
        }
        Err(error) if error.kind == FlowErrorKind::NotFound => {
            return give_up(engine, principal, subject, "its certificate is not on record any more").await;
        }
        Err(error) => return Err(error),
    };
    if step != RotationStep::Promoted {
        subject.managed.course.rotation = Some(Rotation { step, ..rotation });
        hold(engine, &mut subject).await?;
        return underway(engine, subject).await;
    }
    if let Err(obstacle) = make_room(engine, None, &mut subject).await {
        return Err(refusal(obstacle));
    }
    let certificate = certified.certificate.clone();
    if !outcome::finish(engine, None, principal, &mut subject, &rotation, certificate).await? {
        return Err(came_first());
    }
    tracing::info!(managed = subject.managed.name, rotation = %rotation.id, "a worker has brought a certificate to its target");
    let Subject { managed, definition, .. } = subject;
    let rotation = Rotation { step, ..rotation };
    Ok(Underway { managed, definition, rotation, keep_key: false, certified: Some(certified) })
}

/// How a rotation goes on that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// From where it is.
    Retry,
    /// What is pending is delivered again.
    Deliver,
    /// It is over: the key that was certified is lost. Its certificate is revoked, and another rotation is begun.
    Begin,
}

/// A worker says why a rotation does not go on: that is on record, and it is tried again later. Returns it as it is on record then.
///
/// # Errors
/// `ManagedChanged` as for [`certify_rotation`].
pub async fn fail_rotation(
    engine: &Engine,
    principal: &Principal,
    name: &str,
    rotation: RotationId,
    failure: Failure,
    remedy: Remedy,
) -> Result<Underway, FlowError> {
    engine.check_anchor()?;
    let mut subject = deliverable(engine, principal, name).await?;
    let rotation = of(&subject, rotation)?;
    let obstacle = match remedy {
        Remedy::Retry => Obstacle::Failed(failure),
        Remedy::Deliver if rotation.step.has_certificate() => Obstacle::Again(failure),
        Remedy::Deliver => Obstacle::Failed(failure),
        Remedy::Begin => Obstacle::Lost(failure),
    };
    settle(engine, None, principal, &mut subject, obstacle).await?;
    let Subject { managed, definition, .. } = subject;
    let rotation = managed.course.rotation.unwrap_or(rotation);
    Ok(Underway { managed, definition, rotation, keep_key: false, certified: None })
}

/// A managed certificate by its id or name, that the principal may deliver, and that workers do. Without permission, whether it exists is not told.
async fn deliverable(engine: &Engine, principal: &Principal, name: &str) -> Result<Subject, FlowError> {
    permit(engine, principal, Action::DeliverManaged, Resource::Service)?;
    let not_found =
        || FlowError::new(FlowErrorKind::NotFound, "no managed certificate of that name is brought by workers");
    // A UUID is an id: no name is one.
    let managed = match name.parse::<ManagedCertificateId>() {
        Ok(id) => engine.store().managed(id).await?,
        Err(_) => engine.store().managed_by_name(name).await?,
    };
    let managed = managed.ok_or_else(not_found)?;
    if managed.delivered_by != Deliverer::Worker {
        return Err(not_found());
    }
    if managed.paused {
        let message = format!("`{}` is paused, and nothing is done for it", managed.name);
        return Err(FlowError::new(FlowErrorKind::ManagedPaused, message));
    }
    Subject::read(engine, managed).await?.map_err(|unreadable| {
        FlowError::internal(format!("the definition of `{}`: {}", unreadable.managed.name, unreadable.detail))
    })
}

/// The rotation of this name, if it is the one under way.
fn of(subject: &Subject, id: RotationId) -> Result<Rotation, FlowError> {
    let under_way = subject.managed.course.rotation.filter(|rotation| rotation.id == id);
    under_way.ok_or_else(|| {
        let message = format!("rotation {id} of `{}` is not under way any more", subject.managed.name);
        FlowError::new(FlowErrorKind::ManagedChanged, message)
    })
}

/// The rotation of this name, if it is over and what it brought is current: an answer may have been lost.
async fn promoted(engine: &Engine, subject: &Subject, id: RotationId) -> Result<Option<Underway>, FlowError> {
    let Some(current) = subject.managed.course.current.filter(|current| current.rotation == id) else {
        return Ok(None);
    };
    if subject.managed.course.rotation.is_some_and(|rotation| rotation.id == id) {
        return Ok(None);
    }
    let rotation = Rotation {
        id,
        step: RotationStep::Promoted,
        certificate: Some(current.certificate),
        begun_at: subject.managed.created_at,
    };
    let certified = Some(certified_as(engine, current.certificate).await?);
    let (managed, definition) = (subject.managed.clone(), subject.definition.clone());
    Ok(Some(Underway { managed, definition, rotation, keep_key: false, certified }))
}

/// Keeps what was changed, and the others away from it for a while.
async fn hold(engine: &Engine, subject: &mut Subject) -> Result<(), FlowError> {
    subject.managed.course.next_at = engine.now().plus(HOLD);
    match keep(engine, None, &mut subject.managed, None).await? {
        true => Ok(()),
        false => Err(came_first()),
    }
}

async fn underway(engine: &Engine, subject: Subject) -> Result<Underway, FlowError> {
    let gone = || FlowError::internal(format!("`{}` has no rotation under way", subject.managed.name));
    let rotation = subject.managed.course.rotation.ok_or_else(gone)?;
    let keep_key = subject.definition.keep_key && is_key_good(engine, &subject).await.map_err(refusal)?;
    let certified = match rotation.certificate {
        Some(certificate) => Some(certified_as(engine, certificate).await?),
        None => None,
    };
    let Subject { managed, definition, .. } = subject;
    Ok(Underway { managed, definition, rotation, keep_key, certified })
}

/// Ends a rotation whose certificate is worth nothing.
async fn give_up(
    engine: &Engine,
    principal: &Principal,
    mut subject: Subject,
    why: &str,
) -> Result<Underway, FlowError> {
    settle(engine, None, principal, &mut subject, lost(&format!("{why}; another is made"))).await?;
    Err(FlowError::new(FlowErrorKind::ManagedChanged, format!("{why}: begin another rotation")))
}

/// What a worker is told of an obstacle that is not its own.
fn refusal(obstacle: Obstacle) -> FlowError {
    match obstacle {
        Obstacle::Record(error) => error,
        Obstacle::Overtaken => came_first(),
        Obstacle::Failed(failure) | Obstacle::Again(failure) | Obstacle::Lost(failure) => {
            FlowError::new(FlowErrorKind::Unavailable, failure.detail)
        }
    }
}

fn after(step: RotationStep) -> &'static str {
    match step.next() {
        Some(RotationStep::Issued) => "its certificate, for which a request is given",
        Some(next) => next.as_str(),
        None => "nothing",
    }
}

fn of_another_key(rotation: &Rotation) -> FlowError {
    let message = format!(
        "rotation {} has its certificate, which is for another key than this; go on with the key that waits in the target",
        rotation.id
    );
    FlowError::invalid("key-differs", "/csr", message)
}

fn came_first() -> FlowError {
    FlowError::new(FlowErrorKind::ManagedChanged, "another came first; look again what is due")
}
