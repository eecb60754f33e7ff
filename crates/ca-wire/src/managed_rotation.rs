//! Rotations that workers make.

use ca_api::managed as wire;
use ca_api::managed_rotation::{DueRotation, RotationRemedy, WorkerRotation};
use ca_core::managed::RotationStep;
use ca_core::pem;
use ca_engine::error::FlowError;
use ca_engine::flow::managed::worker::{Due, Remedy, Underway};

use crate::managed::{current, definition, rotation};

/// A managed certificate that a worker is to bring to its target now.
pub fn due_rotation(due: &Due) -> Result<DueRotation, FlowError> {
    let managed = &due.managed;
    Ok(DueRotation {
        managed: managed.id.to_string(),
        name: managed.name.clone(),
        definition: definition(&managed.definition)?,
        current: managed.course.current.as_ref().map(|there| current(there, None)),
        failures: managed.course.failures,
    })
}

/// A rotation that a worker is at.
pub fn worker_rotation(underway: &Underway) -> Result<WorkerRotation, FlowError> {
    let managed = &underway.managed;
    let chain = underway.certified.as_ref().map(|certified| {
        let certificates = std::iter::once(&certified.certificate.der).chain(&certified.chain);
        certificates.map(|der| pem::encode("CERTIFICATE", der)).collect()
    });
    Ok(WorkerRotation {
        managed: managed.id.to_string(),
        name: managed.name.clone(),
        rotation: rotation(&underway.rotation),
        definition: definition(&managed.definition)?,
        keep_key: underway.keep_key,
        certificate_chain: chain,
        next_at: managed.course.next_at.to_rfc3339(),
    })
}

/// A step by its name on the wire.
pub const fn read_step(step: wire::ManagedRotationStep) -> RotationStep {
    match step {
        wire::ManagedRotationStep::Begun => RotationStep::Begun,
        wire::ManagedRotationStep::Issued => RotationStep::Issued,
        wire::ManagedRotationStep::Delivered => RotationStep::Delivered,
        wire::ManagedRotationStep::Verified => RotationStep::Verified,
        wire::ManagedRotationStep::Promoted => RotationStep::Promoted,
    }
}

/// A remedy by its name on the wire.
pub const fn read_remedy(remedy: RotationRemedy) -> Remedy {
    match remedy {
        RotationRemedy::Retry => Remedy::Retry,
        RotationRemedy::Deliver => Remedy::Deliver,
        RotationRemedy::Begin => Remedy::Begin,
    }
}
