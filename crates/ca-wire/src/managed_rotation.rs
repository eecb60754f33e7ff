//! Rotations that workers make.

use ca_api::managed as wire;
use ca_api::managed_rotation::{DueRotation, RotationRemedy, WorkerRotation};
use ca_core::managed::RotationStep;
use ca_core::managed::definition::ManagedDefinition;
use ca_core::pem;
use ca_engine::error::FlowError;
use ca_engine::flow::managed::worker::{Due, Remedy, Underway};

/// A managed certificate that a worker is to bring to its target now.
pub fn due_rotation(due: &Due) -> Result<DueRotation, FlowError> {
    let managed = &due.managed;
    Ok(DueRotation {
        managed: managed.id.to_string(),
        name: managed.name.clone(),
        definition: definition(&managed.definition)?,
        current: managed.course.current.as_ref().map(|current| wire::ManagedCurrent {
            certificate: current.certificate.to_string(),
            not_after: current.not_after.to_rfc3339(),
            due_at: None,
        }),
        failures: managed.course.failures,
    })
}

/// A rotation that a worker is at.
pub fn worker_rotation(underway: &Underway) -> Result<WorkerRotation, FlowError> {
    let (managed, rotation) = (&underway.managed, &underway.rotation);
    let chain = underway.certified.as_ref().map(|certified| {
        let certificates = std::iter::once(&certified.certificate.der).chain(&certified.chain);
        certificates.map(|der| pem::encode("CERTIFICATE", der)).collect()
    });
    Ok(WorkerRotation {
        managed: managed.id.to_string(),
        name: managed.name.clone(),
        rotation: wire::ManagedRotation {
            id: rotation.id.to_string(),
            step: step(rotation.step),
            certificate: rotation.certificate.map(|id| id.to_string()),
            begun_at: rotation.begun_at.to_rfc3339(),
        },
        definition: definition(&managed.definition)?,
        keep_key: underway.keep_key,
        certificate_chain: chain,
        next_at: managed.course.next_at.to_rfc3339(),
    })
}

/// A definition: the record and the wire write it alike.
fn definition(text: &str) -> Result<wire::ManagedDefinition, FlowError> {
    // What the domain leaves out when it is empty, the wire fills in.
    let read: ManagedDefinition = serde_json::from_str(text).map_err(FlowError::internal)?;
    let mut value = serde_json::to_value(read).map_err(FlowError::internal)?;
    if let Some(fields) = value.as_object_mut() {
        for name in ["subject_alternative_names", "hooks"] {
            fields.entry(name).or_insert_with(|| serde_json::Value::Array(Vec::new()));
        }
    }
    serde_json::from_value(value).map_err(FlowError::internal)
}

const fn step(step: RotationStep) -> wire::ManagedRotationStep {
    match step {
        RotationStep::Begun => wire::ManagedRotationStep::Begun,
        RotationStep::Issued => wire::ManagedRotationStep::Issued,
        RotationStep::Delivered => wire::ManagedRotationStep::Delivered,
        RotationStep::Verified => wire::ManagedRotationStep::Verified,
        RotationStep::Promoted => wire::ManagedRotationStep::Promoted,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_of_the_record_is_one_of_the_wire_and_is_read_again() {
        let text =
            r#"{"subject": "CN=web", "target": {"kind": "directory", "path": "/srv/web"}, "delivered_by": "worker"}"#;
        let wire = definition(text).expect("a definition");
        assert_eq!((wire.key_type.as_str(), wire.renew_before.as_str(), wire.hooks.len()), ("p256", "1/3", 0));
        let domain: ManagedDefinition =
            serde_json::from_value(serde_json::to_value(&wire).expect("JSON")).expect("the domain reads it");
        assert_eq!(domain, serde_json::from_str(text).expect("a definition"));
    }

    #[test]
    fn steps_have_their_names_on_the_wire() {
        for made in RotationStep::ALL {
            assert_eq!(read_step(step(made)), made);
            let name = serde_json::to_value(step(made)).expect("JSON");
            assert_eq!(name, serde_json::Value::String(made.as_str().to_owned()));
        }
    }
}
