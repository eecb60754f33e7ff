//! Audit: the events of `GET /v1/audit`, with the hash chain that puts them in order.
//!
//! An event's hash is SHA-256 over the previous hash, the sequence number (8 octets, big-endian) and the event's canonical
//! octets: JSON of `action at details principal request_id subject`, keys sorted, no blanks. A reader can so check the chain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// One event and its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Its place, from 1 on, without gaps.
    #[schema(minimum = 1)]
    pub sequence: u64,
    /// When it happened, by the service's clock.
    #[schema(format = "date-time")]
    pub at: String,
    /// What happened: `certificate-issued`, `certificate-revoked`, `token-created` … The list may grow.
    #[schema(example = "certificate-issued")]
    pub action: String,
    /// Who did it: `certificate:ID`, `token:ID`, `local` or `job:NAME`.
    pub principal: String,
    /// To what: `certificate:ID`, `authority:ID`, `token:ID` …
    pub subject: String,
    /// The request it belongs to; null when there was none.
    #[schema(required)]
    pub request_id: Option<String>,
    /// Further facts, by name; no personal data, no secrets.
    pub details: BTreeMap<String, String>,
    /// The hash of this event.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub hash: String,
}

/// Query of `GET /v1/audit`; all filters given must hold. Oldest first. A filtered list has gaps and proves no chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    /// Only events after this sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0)]
    pub after: Option<u64>,
    /// Only events of this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only events of this principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Only events about this subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// At most so many items a page; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 512)]
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::page::Page;

    #[test]
    fn events_have_their_golden_shape() {
        let page = golden::round_trips::<Page<AuditEvent>>(include_str!("../testdata/audit_events.json"));
        assert_eq!(page.items.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_filter_refuses_an_unknown_parameter() {
        golden::round_trips::<AuditFilter>(include_str!("../testdata/audit_filter.json"));
        let error = golden::refusal::<AuditFilter>(r#"{"actor": "local"}"#);
        assert!(error.contains("unknown field `actor`"), "{error}");
    }
}
