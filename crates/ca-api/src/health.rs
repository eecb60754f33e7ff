//! Health: whether the process lives, and whether it can do its work.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer of `GET /health`: the process lives. Nothing is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: Liveness,
}

/// That the process lives; dead ones do not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Liveness {
    /// It answers.
    Ok,
}

/// Answer of `GET /ready`, with 200 when ready and 503 when not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether the replica can do its work.
    pub status: ReadinessStatus,
    /// What can be done with the record; on the admin listener only. A replica whose record can only be read is ready for what it
    /// can do: it answers about status and what is on record, and refuses changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<RecordAccess>,
    /// What was looked at; on the admin listener only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<ReadinessCheck>>,
}

/// Whether a replica can do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadinessStatus {
    /// It can.
    Ready,
    /// It cannot; send requests elsewhere.
    NotReady,
}

/// What a replica can do with the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordAccess {
    /// All.
    ReadWrite,
    /// It can read it: the database is a standby, or its user may do no more.
    ReadOnly,
}

/// One thing that must be in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadinessCheck {
    /// What was looked at: `store`, `keys`, `clock`, `crl` …
    #[schema(example = "clock")]
    pub name: String,
    /// Whether it is in order.
    pub ready: bool,
    /// What is wrong, and what would be right; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn health_and_readiness_have_their_golden_shapes() {
        golden::round_trips::<Health>(include_str!("../testdata/health.json"));
        golden::round_trips::<Readiness>(include_str!("../testdata/ready.json"));
        let details = golden::round_trips::<Readiness>(include_str!("../testdata/not_ready_details.json"));
        assert_eq!(details.status, ReadinessStatus::NotReady);
        let standby = golden::round_trips::<Readiness>(include_str!("../testdata/ready_read_only.json"));
        assert_eq!(standby.access, Some(RecordAccess::ReadOnly));
    }
}
