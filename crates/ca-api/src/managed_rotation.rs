//! Rotations that a worker makes: `GET /v1/rotations`, `POST /v1/managed-certificates/{managed}/rotation` and
//! `PUT …/rotation/{rotation}`.
//!
//! The service decides, certifies and keeps the record; the worker has the key and the target, and says how far it has come.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::managed::{ManagedCurrent, ManagedDefinition, ManagedRotation, ManagedRotationStep};

/// Query of `GET /v1/rotations`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DueFilter {
    /// At most so many; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// A managed certificate that a worker is to bring to its target now. Item of `GET /v1/rotations`, the most urgent first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DueRotation {
    /// The managed certificate's id.
    #[schema(format = "uuid")]
    pub managed: String,
    /// What people call it.
    #[schema(example = "web")]
    pub name: String,
    /// What is wanted and where.
    pub definition: ManagedDefinition,
    /// What is current in its target; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<ManagedCurrent>,
    /// How often it failed since something last succeeded.
    pub failures: u32,
}

/// A rotation that a worker has begun or goes on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerRotation {
    /// The managed certificate's id.
    #[schema(format = "uuid")]
    pub managed: String,
    /// What people call it.
    #[schema(example = "web")]
    pub name: String,
    /// How far it has come.
    pub rotation: ManagedRotation,
    /// What is wanted and where.
    pub definition: ManagedDefinition,
    /// Whether the key that is current is to be certified again: it is wanted, and fit for it.
    pub keep_key: bool,
    /// The certificate of this rotation once it is issued, and what is above it up to the root, which is left out: PEM, issuer after
    /// issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_chain: Option<String>,
    /// Until when other workers leave it alone, or when it is tried again after a failure.
    #[schema(format = "date-time")]
    pub next_at: String,
}

/// Body of `PUT /v1/managed-certificates/{managed}/rotation/{rotation}`: exactly one of its members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationReport {
    /// The request, PEM, of the key that lies in the target: it is to be certified. Names in it count for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub csr: Option<String>,
    /// A step that was made: `delivered`, `verified` or `promoted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<ManagedRotationStep>,
    /// Why it does not go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RotationFailure>,
}

/// Why a rotation does not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationFailure {
    /// What is wrong and what would be right, without secrets.
    #[schema(min_length = 1, max_length = 1000, example = "the target refuses: there is no secret tls/web; make it")]
    pub detail: String,
    /// How it goes on, when its time has come.
    #[serde(default)]
    pub remedy: RotationRemedy,
    /// Whether it may pass by itself: then the owner is told only when it lasts.
    #[serde(default)]
    pub may_pass: bool,
}

/// How a rotation goes on that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RotationRemedy {
    /// From where it is.
    #[default]
    Retry,
    /// What is pending is not right, and is delivered again.
    Deliver,
    /// The key that was certified is not to be had any more: it is over, its certificate is revoked, and another is begun.
    Begin,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::page::Page;

    #[test]
    fn every_shape_has_its_golden_file() {
        golden::round_trips::<Page<DueRotation>>(include_str!("../testdata/due_rotations.json"));
        let begun = golden::round_trips::<WorkerRotation>(include_str!("../testdata/worker_rotation.json"));
        assert_eq!(begun.certificate_chain, None);
        for report in golden::round_trips::<Vec<RotationReport>>(include_str!("../testdata/rotation_reports.json")) {
            let members = [report.csr.is_some(), report.step.is_some(), report.failure.is_some()];
            assert_eq!(members.into_iter().filter(|is_there| *is_there).count(), 1);
        }
    }

    #[test]
    fn a_report_refuses_what_it_does_not_know() {
        assert!(golden::refusal::<RotationReport>(r#"{"key": "…"}"#).contains("unknown field `key`"));
        assert!(golden::refusal::<RotationReport>(r#"{"step": "lost"}"#).contains("unknown variant `lost`"));
    }
}
