//! One rotation: its steps at the target, and the word that each was made.
//!
//! What is begun is gone on with by whoever comes next, so a rotation may be left between two steps at any time.

use std::sync::Arc;

use ca_api::managed::{ManagedDefinition as WireDefinition, ManagedRotationStep as Step};
use ca_api::managed_rotation::{DueRotation, RotationFailure, RotationRemedy, RotationReport, WorkerRotation};
use ca_api::problem::ProblemType;
use ca_core::certificate::Certificate;
use ca_core::id::RotationId;
use ca_core::managed::definition::{DefinitionProblem, ManagedDefinition};
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::pem;
use ca_engine::flow::managed::delivery::{self, DeliveryError, Expected, Wanted};
use ca_engine::port::certificate_target::{CertificateTarget, KeyMakerError, ManagedPorts, TargetError, TargetPlace};
use serde::Serialize;

use super::super::now;
use super::reach::Reach;
use super::stop::Stop;
use crate::exit::{Exit, Failure};
use crate::service::remote::Remote;

/// What every rotation of a round is given.
pub(super) struct Bench {
    /// The service.
    pub(super) remote: Arc<Remote>,
    /// Targets and keys.
    pub(super) ports: ManagedPorts,
    /// What may be touched.
    pub(super) reach: Reach,
    /// The roots that a chain may end in.
    pub(super) roots: Vec<Certificate>,
    /// Whether to leave it at the next step.
    pub(super) stop: Stop,
}

/// A rotation that is over.
#[derive(Debug, Serialize)]
pub(super) struct Rotated {
    /// Of what.
    pub(super) name: String,
    /// Where.
    pub(super) target: String,
    /// How many seconds it took.
    pub(super) seconds: u64,
}

/// A rotation that failed. The service knows it.
#[derive(Debug, Serialize)]
pub(super) struct Failed {
    /// Of what.
    pub(super) name: String,
    /// What is wrong and what would be right.
    pub(super) detail: String,
}

/// What became of a rotation.
pub(super) enum Became {
    /// It is over.
    Rotated(Rotated),
    /// It failed, and the service knows why.
    Failed(Failed),
    /// It was left for later, or is another's.
    Left,
    /// The service is not there.
    Away(String),
}

/// Why it does not go on.
enum Ended {
    /// The target, the key or the definition; the service does not know yet.
    Here(DeliveryError),
    /// The definition says what this program cannot read.
    Definition(DefinitionProblem),
    /// The service said no, or nothing.
    Service(Failure),
    /// Somebody wishes this program to end.
    Stopped,
}

impl From<DeliveryError> for Ended {
    fn from(error: DeliveryError) -> Self {
        Self::Here(error)
    }
}

impl From<DefinitionProblem> for Ended {
    fn from(problem: DefinitionProblem) -> Self {
        Self::Definition(problem)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Service(failure)
    }
}

/// A definition as the domain has it: the wire and the domain write it alike.
pub(super) fn definition_of(wire: &WireDefinition) -> Result<ManagedDefinition, Failure> {
    let read = serde_json::to_value(wire).and_then(serde_json::from_value);
    read.map_err(|error| {
        Failure::Failed(format!("a definition that this program does not understand: {error}; take a newer ca-cli"))
    })
}

/// Makes a rotation, from where it is.
pub(super) async fn rotate(bench: &Bench, due: DueRotation) -> Became {
    let began = tokio::time::Instant::now();
    let begun = match bench.remote.begin_rotation(&due.managed).await {
        Ok(begun) => begun,
        Err(failure) => return refused(&due.name, failure),
    };
    let id = begun.rotation.id.clone();
    match steps(bench, begun).await {
        Ok(Some(target)) => Became::Rotated(Rotated { name: due.name, target, seconds: began.elapsed().as_secs() }),
        Ok(None) | Err(Ended::Stopped) => Became::Left,
        Err(Ended::Service(failure)) => refused(&due.name, failure),
        Err(Ended::Here(error)) => tell(bench, due, &id, failure_of(&error)).await,
        Err(Ended::Definition(problem)) => {
            let detail = format!("{}: {}", problem.pointer, problem.message);
            tell(bench, due, &id, RotationFailure { detail, remedy: RotationRemedy::Retry, may_pass: false }).await
        }
    }
}

/// What the service is told of a step that was not made.
fn failure_of(error: &DeliveryError) -> RotationFailure {
    let (remedy, may_pass) = match error {
        DeliveryError::KeyGone => (RotationRemedy::Begin, true),
        DeliveryError::NotRight { .. } => (RotationRemedy::Deliver, false),
        DeliveryError::Target(TargetError::Unavailable { .. })
        | DeliveryError::Key(KeyMakerError::Unavailable { .. })
        | DeliveryError::Overtaken => (RotationRemedy::Retry, true),
        _ => (RotationRemedy::Retry, false),
    };
    RotationFailure { detail: error.to_string(), remedy, may_pass }
}

/// The steps that are left; the target in words when they are made, nothing when the rotation is not this worker's after all.
async fn steps(bench: &Bench, begun: WorkerRotation) -> Result<Option<String>, Ended> {
    let definition = definition_of(&begun.definition)?;
    if !bench.reach.has(&begun.name, &definition.target) {
        return Ok(None);
    }
    let names = definition.names()?;
    let subject = definition.parsed_subject()?;
    let rotation: RotationId = begun.rotation.id.parse().map_err(Failure::failed)?;
    let wanted = Wanted {
        rotation,
        subject: subject.unwrap_or_else(DistinguishedName::empty),
        key_type: definition.key_type,
        keep_key: begun.keep_key,
    };
    let target = bench.ports.targets.open(&definition.target).await.map_err(DeliveryError::from)?;
    let report = |report: RotationReport| {
        let (remote, managed, id) = (&bench.remote, &begun.managed, &begun.rotation.id);
        async move { remote.report_rotation(managed, id, &report).await }
    };
    let mut at = begun.clone();
    loop {
        if bench.stop.is_wished() {
            return Err(Ended::Stopped);
        }
        let step = match at.rotation.step {
            Step::Begun => {
                // What somebody else put there is left alone.
                target.look(TargetPlace::Current).await.map_err(DeliveryError::from)?;
                let csr = delivery::stage(&*target, &*bench.ports.keys, &wanted).await?;
                let csr = pem::encode("CERTIFICATE REQUEST", csr.der());
                at = report(RotationReport { csr: Some(csr), ..RotationReport::default() }).await?;
                continue;
            }
            Step::Promoted => return Ok(Some(definition.target.to_string())),
            step => make(&*target, &bench.roots, rotation, &names, step, &chain_of(&at)?).await?,
        };
        at = report(RotationReport { step: Some(step), ..RotationReport::default() }).await?;
    }
}

/// Makes the step after `step` with the certificate that is there; returns which that is.
async fn make(
    target: &dyn CertificateTarget,
    roots: &[Certificate],
    rotation: RotationId,
    names: &[GeneralName],
    step: Step,
    chain: &[Vec<u8>],
) -> Result<Step, Ended> {
    let Some((certificate, above)) = chain.split_first() else {
        return Err(Failure::failed("the service answered without the certificate that it has issued").into());
    };
    let expected = Expected { rotation, certificate, roots, names };
    Ok(match step {
        Step::Begun | Step::Issued => {
            delivery::deliver(target, rotation, certificate, above).await?;
            Step::Delivered
        }
        Step::Delivered => {
            delivery::verify(target, TargetPlace::Pending, &expected, now()).await?;
            Step::Verified
        }
        Step::Verified | Step::Promoted => {
            delivery::promote(target, &expected, now()).await.map_err(|error| match error {
                // What is pending is not what was verified.
                DeliveryError::Target(TargetError::Refused { detail }) => DeliveryError::NotRight { detail },
                error => error,
            })?;
            Step::Promoted
        }
    })
}

/// The DER of the certificate of a rotation and of those above it.
fn chain_of(at: &WorkerRotation) -> Result<Vec<Vec<u8>>, Failure> {
    let text = at.certificate_chain.as_deref().unwrap_or_default();
    let certificates = Certificate::all_from_pem(text)
        .map_err(|error| Failure::Failed(format!("the service answered no certificate of the rotation: {error}")))?;
    Ok(certificates.iter().map(|certificate| certificate.der().to_vec()).collect())
}

/// Tells the service why a rotation does not go on.
async fn tell(bench: &Bench, due: DueRotation, rotation: &str, failure: RotationFailure) -> Became {
    let detail = failure.detail.clone();
    let plain = detail.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let told = RotationFailure { detail: plain.take(LONGEST_FAILURE).collect(), ..failure };
    let report = RotationReport { failure: Some(told), ..RotationReport::default() };
    match bench.remote.report_rotation(&due.managed, rotation, &report).await {
        Ok(_) => Became::Failed(Failed { name: due.name, detail }),
        Err(failure) => match refused(&due.name, failure) {
            Became::Failed(refused) => Became::Failed(Failed {
                detail: format!("{detail}; and the service was not told: {}", refused.detail),
                name: refused.name,
            }),
            became => became,
        },
    }
}

/// What it means that the service did not do as asked.
fn refused(name: &str, failure: Failure) -> Became {
    if OF_ANOTHER.iter().any(|kind| failure.is(*kind)) {
        return Became::Left;
    }
    match failure.exit() {
        Exit::Unreachable => Became::Away(failure.to_string()),
        _ => Became::Failed(Failed { name: name.to_owned(), detail: failure.to_string() }),
    }
}

/// Another is at it, has done it, or has changed what is wanted.
const OF_ANOTHER: [ProblemType; 3] =
    [ProblemType::ManagedCertificateChanged, ProblemType::ManagedCertificatePaused, ProblemType::NotFound];

/// As much of what is wrong is told, in characters.
const LONGEST_FAILURE: usize = 1_000;
