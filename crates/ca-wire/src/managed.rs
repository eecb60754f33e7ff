//! Managed certificates.

use ca_api::managed as wire;
use ca_core::id::ProfileName;
use ca_core::key::KeyType;
use ca_core::managed::definition::{Hook, ManagedDefinition};
use ca_core::managed::{RenewBefore, RotationStep};
use ca_core::time::Timestamp;
use ca_engine::error::{Fault, FlowError};
use ca_engine::flow::managed::define::ManagedRequest;
use ca_engine::flow::managed::query::{ManagedStanding, Shown};

/// Reads what is wanted; every value that cannot be read is told, with its place. What may be left out is filled in as the domain
/// has it: a definition is written alike everywhere.
pub fn read_request(body: &wire::NewManagedCertificate) -> Result<ManagedRequest, Vec<Fault>> {
    let mut faults = Vec::new();
    let profile: Option<ProfileName> = read("profile-name-invalid", "/profile", &body.profile, &mut faults);
    if let Some(text) = &body.key_type {
        read::<KeyType>("key-type-invalid", "/key_type", text, &mut faults);
    }
    if let Some(text) = &body.renew_before {
        read::<RenewBefore>("renew-before-invalid", "/renew_before", text, &mut faults);
    }
    for (place, text) in body.hooks.iter().enumerate() {
        read::<Hook>("hook-invalid", &format!("/hooks/{place}"), text, &mut faults);
    }
    let Some(profile) = profile.filter(|_| faults.is_empty()) else { return Err(faults) };
    match read_definition(body) {
        Ok(definition) => Ok(ManagedRequest { name: body.name.clone(), profile, definition, request_id: None }),
        Err(error) => {
            let (code, message) = ("definition-invalid".to_owned(), error.to_string());
            Err(vec![Fault { code, pointer: String::new(), message }])
        }
    }
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(
    code: &str,
    pointer: &str,
    text: &str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    text.parse()
        .map_err(|error: T::Err| {
            faults.push(Fault { code: code.to_owned(), pointer: pointer.to_owned(), message: error.to_string() });
        })
        .ok()
}

fn read_definition(body: &wire::NewManagedCertificate) -> Result<ManagedDefinition, serde_json::Error> {
    let mut value = serde_json::to_value(body)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("name");
        fields.remove("profile");
    }
    serde_json::from_value(value)
}

/// The body that asks for what is wanted.
pub fn request(request: &ManagedRequest) -> Result<wire::NewManagedCertificate, FlowError> {
    let mut value = serde_json::to_value(&request.definition).map_err(FlowError::internal)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("name".to_owned(), request.name.as_str().into());
        fields.insert("profile".to_owned(), request.profile.as_str().into());
    }
    serde_json::from_value(value).map_err(FlowError::internal)
}

/// A managed certificate on record. An error when what is on record cannot be read as a definition.
pub fn managed_certificate(shown: &Shown) -> Result<wire::ManagedCertificate, FlowError> {
    let managed = &shown.managed;
    let definition = serde_json::from_str(&managed.definition).map_err(FlowError::internal)?;
    let course = &managed.course;
    Ok(wire::ManagedCertificate {
        id: managed.id.to_string(),
        name: managed.name.clone(),
        owner: managed.owner.clone(),
        profile: managed.profile.to_string(),
        definition,
        paused: managed.paused,
        revision: managed.revision,
        created_at: managed.created_at.to_rfc3339(),
        created_by: managed.created_by.clone(),
        current: course.current.as_ref().map(|current| wire::ManagedCurrent {
            certificate: current.certificate.to_string(),
            not_after: current.not_after.to_rfc3339(),
            due_at: shown.due_at.map(Timestamp::to_rfc3339),
        }),
        rotation: course.rotation.as_ref().map(|rotation| wire::ManagedRotation {
            id: rotation.id.to_string(),
            step: step(rotation.step),
            certificate: rotation.certificate.map(|id| id.to_string()),
            begun_at: rotation.begun_at.to_rfc3339(),
        }),
        superseded: course.superseded.as_ref().map(|superseded| wire::ManagedSuperseded {
            certificate: superseded.certificate.to_string(),
            revoke_at: superseded.revoke_at.to_rfc3339(),
        }),
        failures: course.failures,
        last_failure: course
            .last_failure
            .as_ref()
            .map(|failure| wire::ManagedFailure { at: failure.at.to_rfc3339(), detail: failure.error.clone() }),
        next_at: course.next_at.to_rfc3339(),
    })
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

/// How the whole stands.
pub fn status(standing: &ManagedStanding) -> wire::ManagedStatus {
    let counts = standing.counts;
    wire::ManagedStatus {
        active: counts.active,
        paused: counts.paused,
        due: counts.due,
        rotating: counts.rotating,
        failing: counts.failing,
        rotations_per_hour: standing.rotations_per_hour(),
        done_at: standing.done_at().map(Timestamp::to_rfc3339),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> wire::NewManagedCertificate {
        serde_json::from_str(text).expect("a body")
    }

    #[test]
    fn what_is_asked_for_is_read_as_the_record_has_it_and_asked_for_again() {
        let targets = include_str!("../../ca-api/testdata/managed_targets.json");
        let targets: Vec<wire::ManagedTarget> = serde_json::from_str(targets).expect("targets");
        for text in [
            include_str!("../../ca-api/testdata/new_managed_certificate.json"),
            include_str!("../../ca-api/testdata/new_managed_certificate_minimal.json"),
        ] {
            for target in &targets {
                let body = wire::NewManagedCertificate { target: target.clone(), ..body(text) };
                let read = read_request(&body).expect("faultless");
                assert_eq!(read.definition.check(), Ok(()), "{:?}", read.definition);
                assert_eq!(read_request(&request(&read).expect("a body")), Ok(read.clone()));
                // The record, the API and a file have one shape.
                let record = serde_json::to_value(&read.definition).expect("JSON");
                let shown: wire::ManagedDefinition = serde_json::from_value(record.clone()).expect("a definition");
                let shown = serde_json::to_value(shown).expect("JSON");
                for (name, value) in record.as_object().expect("an object") {
                    assert!(name == "target" || shown.get(name) == Some(value), "{name}: {shown}");
                }
            }
        }
    }

    #[test]
    fn every_value_that_cannot_be_read_is_told_with_its_place() {
        let body = body(
            r#"{"name": "web", "profile": "Server!", "key_type": "dsa", "renew_before": "often", "hooks": ["ecs:a/b", "mail"],
                "target": {"kind": "directory", "path": "/etc/web/tls"}}"#,
        );
        let faults = read_request(&body).expect_err("faults");
        let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(places, ["/profile", "/key_type", "/renew_before", "/hooks/1"]);
        assert!(faults.iter().all(|fault| !fault.message.is_empty()), "{faults:?}");
    }
}
