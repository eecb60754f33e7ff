//! Adding a managed certificate. What would be refused at a rotation is refused here, all of it at once, and nothing is issued.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::{ManagedCertificateId, ProfileName};
use ca_core::managed::definition::{DefinitionProblem, Deliverer, ManagedDefinition};
use ca_core::policy::{self, Foreseen, Origin, PlannedRequest, Surroundings};
use ca_core::principal::Principal;
use ca_core::profile::Profile;
use ca_core::time::Timestamp;

use super::read_definition;
use crate::engine::Engine;
use crate::error::{Fault, FlowError, FlowErrorKind};
use crate::flow::issuance::violations;
use crate::flow::issue::{issuing_authority, profile};
use crate::flow::query::permit;
use crate::port::authorizer::{Action, Resource};
use crate::port::store::{Journal, ManagedAddition, ManagedCertificate, ManagedCourse};

/// The longest name, in characters.
const LONGEST_NAME: usize = 127;

/// The name of what tells of all of them in the API.
const RESERVED_NAME: &str = "status";

/// What is wanted, under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedRequest {
    /// What people shall call it.
    pub name: String,
    /// The profile that decides.
    pub profile: ProfileName,
    /// What is wanted and where.
    pub definition: ManagedDefinition,
    /// The request it came with.
    pub request_id: Option<String>,
}

/// What came of adding one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defined {
    /// It as it is on record, or would be after a dry run.
    pub managed: ManagedCertificate,
    /// Whether it is new; else it was there, the very same.
    pub is_new: bool,
}

/// Adds a managed certificate, due at once; a dry run checks everything and adds nothing. Whoever adds one must be allowed to have the
/// very certificate that it defines. Asked for again, it is the one that is there.
///
/// # Errors
/// `ManagedExists` when another has its name or its target; every violation at once when definition or profile do not allow it.
pub async fn define(
    engine: &Engine,
    principal: &Principal,
    request: ManagedRequest,
    dry_run: bool,
) -> Result<Defined, FlowError> {
    engine.check_anchor()?;
    let now = engine.now();
    let managed = new_record(engine, principal, &request, now)?;
    // 1. May this principal manage it, may it be, and may the principal have it?
    judge(engine, principal, &managed, &request).await?;
    // 2. Is it there?
    if let Some(there) = engine.store().managed_by_name(&request.name).await? {
        return same(there, &request);
    }
    if let Some(other) = engine.store().managed_by_target(&managed.definition).await? {
        return Err(target_taken(engine, other).await?);
    }
    if dry_run {
        return Ok(Defined { managed, is_new: true });
    }
    // 3. Put it on record.
    let event = event(AuditAction::ManagedCertificateAdded, now, principal, &managed)
        .with("profile", &managed.profile)
        .with("target", &request.definition.target)
        .in_request(request.request_id.as_deref());
    match engine.store().add_managed(managed.clone(), Journal::of(event)).await? {
        ManagedAddition::Added => Ok(Defined { managed, is_new: true }),
        ManagedAddition::NameTaken(id) => match engine.store().managed(id).await? {
            Some(there) => same(there, &request),
            None => Err(came_first()),
        },
        ManagedAddition::TargetTaken(id) => Err(target_taken(engine, id).await?),
    }
}

/// Whether the principal may define this, and the profile would grant it; every violation at once.
pub(super) async fn judge(
    engine: &Engine,
    principal: &Principal,
    managed: &ManagedCertificate,
    request: &ManagedRequest,
) -> Result<(), FlowError> {
    permit(engine, principal, Action::ManageCertificate, resource(managed))?;
    let mut faults: Vec<Fault> = name_fault(&request.name).into_iter().collect();
    let checked = request.definition.check();
    match checked {
        Ok(()) => {
            faults.extend(out_of_reach(engine, &request.definition));
            faults.extend(never_deployed(engine, &request.definition));
        }
        Err(problems) => faults.extend(problems.into_iter().map(definition_fault)),
    }
    let profile = match profile(engine, &request.profile) {
        Ok(profile) => profile,
        Err(unknown) if faults.is_empty() => return Err(unknown),
        Err(unknown) => {
            faults.extend(unknown.faults);
            return Err(refusal(FlowErrorKind::InvalidRequest, faults));
        }
    };
    let kind = if faults.is_empty() { FlowErrorKind::ProfileViolation } else { FlowErrorKind::InvalidRequest };
    let foreseen = match foresee(engine, &profile, &request.definition) {
        Ok(foreseen) => foreseen,
        Err(violations) => {
            faults.extend(violations);
            None
        }
    };
    // What cannot be read was told above, and cannot be held against a profile.
    let Some((foreseen, names)) = foreseen.filter(|_| faults.is_empty()) else {
        return Err(refusal(kind, faults));
    };
    let common_names = foreseen.subject.common_names();
    let resource = Resource::Profile {
        name: profile.name(),
        internal: profile.is_internal(),
        common_names: &common_names,
        names: &names,
    };
    permit(engine, principal, Action::IssueCertificate, resource)?;
    issuing_authority(engine, &profile).await?;
    Ok(())
}

/// What the service itself would never deliver to. Where a worker may is its operator's to say.
fn out_of_reach(engine: &Engine, definition: &ManagedDefinition) -> Option<Fault> {
    let is_ours = definition.delivered_by == Deliverer::Service;
    let message = engine.managed().targets.refusal(&definition.target).filter(|_| is_ours)?;
    Some(Fault { code: "target-out-of-reach".to_owned(), pointer: "/target".to_owned(), message })
}

/// Hooks of which nobody would ever hear.
fn never_deployed(engine: &Engine, definition: &ManagedDefinition) -> Option<Fault> {
    let is_fault = !definition.hooks.is_empty() && !engine.settings().managed.deployments;
    let message = "this service makes no deployments: set `deployments.enabled` in its configuration, or name no hooks";
    is_fault.then(|| Fault {
        code: "deployments-off".to_owned(),
        pointer: "/hooks".to_owned(),
        message: message.to_owned(),
    })
}

type Names = Vec<ca_core::name::GeneralName>;

/// What the profile would grant, and the names; `None` when the definition's own values cannot be read.
fn foresee(
    engine: &Engine,
    profile: &Profile,
    definition: &ManagedDefinition,
) -> Result<Option<(Foreseen, Names)>, Vec<Fault>> {
    let read = (definition.parsed_subject(), definition.names(), definition.parsed_validity());
    let (Ok(subject), Ok(names), Ok(validity)) = read else { return Ok(None) };
    let request = PlannedRequest { key_type: definition.key_type, subject: subject.as_ref(), names: &names, validity };
    // Whoever defines it, a rotation certifies neither what is the service's own nor for its own names.
    let surroundings = Surroundings { origin: Origin::Api, reserved_names: &engine.settings().api_names };
    match policy::foresee(profile, &request, &surroundings) {
        Ok(foreseen) => Ok(Some((foreseen, names))),
        Err(broken) => Err(violations(broken).faults),
    }
}

fn refusal(kind: FlowErrorKind, faults: Vec<Fault>) -> FlowError {
    FlowError::of_faults(kind, "the managed certificate cannot be as it is asked for", faults)
}

fn definition_fault(problem: DefinitionProblem) -> Fault {
    Fault { code: "definition-invalid".to_owned(), pointer: problem.pointer, message: problem.message }
}

/// Whether a text can be the name of a managed certificate: it is a part of paths, and no id.
pub fn is_name(name: &str) -> bool {
    let is_plain = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    let is_right = begins_well && name.len() <= LONGEST_NAME && name.chars().all(is_plain);
    is_right && name != RESERVED_NAME && name.parse::<ManagedCertificateId>().is_err()
}

fn name_fault(name: &str) -> Option<Fault> {
    (!is_name(name)).then(|| Fault {
        code: "name-invalid".to_owned(),
        pointer: "/name".to_owned(),
        message: format!(
            "`{name}` cannot be a name: it has a-z, 0-9 and . _ - after the first, {LONGEST_NAME} characters at most, and is \
             neither a UUID nor `{RESERVED_NAME}`"
        ),
    })
}

/// A record of what is asked for, due at once.
fn new_record(
    engine: &Engine,
    principal: &Principal,
    request: &ManagedRequest,
    now: Timestamp,
) -> Result<ManagedCertificate, FlowError> {
    Ok(ManagedCertificate {
        id: ManagedCertificateId::new(now, engine.random()?),
        name: request.name.clone(),
        owner: principal.reference(),
        profile: request.profile.clone(),
        definition: serde_json::to_string(&request.definition).map_err(FlowError::internal)?,
        delivered_by: request.definition.delivered_by,
        paused: false,
        revision: 1,
        created_at: now,
        created_by: principal.reference(),
        course: ManagedCourse::begin(now),
    })
}

/// The one that is there, if it is what is asked for.
fn same(there: ManagedCertificate, request: &ManagedRequest) -> Result<Defined, FlowError> {
    if there.profile == request.profile && read_definition(&there)? == request.definition {
        return Ok(Defined { managed: there, is_new: false });
    }
    let message = format!(
        "there is a managed certificate `{}` that is defined otherwise; change that one, or choose another name",
        there.name
    );
    Err(conflict("name-taken", "/name", message))
}

/// Tells which other has the target.
pub(super) async fn target_taken(engine: &Engine, other: ManagedCertificateId) -> Result<FlowError, FlowError> {
    Ok(match engine.store().managed(other).await? {
        Some(other) => {
            let message = format!(
                "the managed certificate `{}` has that target: two would overwrite each other; remove one of them, or choose \
                 another target",
                other.name
            );
            conflict("target-taken", "/target", message)
        }
        None => came_first(),
    })
}

fn conflict(code: &str, pointer: &str, message: String) -> FlowError {
    let fault = Fault { code: code.to_owned(), pointer: pointer.to_owned(), message: message.clone() };
    FlowError::new(FlowErrorKind::ManagedExists, message).with_faults(vec![fault])
}

/// Others came first too often.
pub(super) fn came_first() -> FlowError {
    FlowError::new(FlowErrorKind::Overloaded, "another change came first; try again").retry_after(1)
}

/// The event of a change, which names the managed certificate by its id and by its name.
pub(super) fn event(
    action: AuditAction,
    now: Timestamp,
    principal: &Principal,
    managed: &ManagedCertificate,
) -> AuditEvent {
    let subject = format!("managed-certificate:{}", managed.id);
    AuditEvent::new(now, action, principal.reference(), subject).with("name", &managed.name)
}

/// A managed certificate as the access policy sees it.
pub(super) fn resource(managed: &ManagedCertificate) -> Resource<'_> {
    Resource::Managed { id: managed.id, name: &managed.name, profile: &managed.profile, owner: &managed.owner }
}
