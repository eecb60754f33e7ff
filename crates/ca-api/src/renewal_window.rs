//! Renewal windows that were moved: `POST /v1/renewal-windows`, `GET`, `DELETE …/{move}`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whose windows: certificates that have all of these. At least one of `authority`, `profile` and `certificate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewalScope {
    /// Their issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, example = "tls")]
    pub authority: Option<String>,
    /// Their profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, example = "server")]
    pub profile: Option<String>,
    /// One certificate, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub certificate: Option<String>,
    /// Issued at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub issued_after: Option<String>,
    /// Issued before this time, which is not after now; absent in a request: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub issued_before: Option<String>,
}

/// Where the windows are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MovedWindow {
    /// Where the first begins; absent in a request: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub start: Option<String>,
    /// Where the last ends.
    #[schema(format = "date-time")]
    pub end: String,
}

/// Body of `POST /v1/renewal-windows`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveRenewalWindows {
    /// Whose windows.
    pub scope: RenewalScope,
    /// Where they shall be.
    pub window: MovedWindow,
    /// Into how many parts of equal length the window is cut: each certificate is in one of them. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10000)]
    pub waves: Option<u32>,
    /// A page that explains it to those who look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uri", max_length = 2048)]
    pub explanation_url: Option<String>,
}

/// A move on record. Item of `GET /v1/renewal-windows`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RenewalWindowMove {
    /// Its name, a UUID.
    #[schema(format = "uuid")]
    pub id: String,
    /// Whose windows.
    pub scope: RenewalScope,
    /// Where they are.
    pub window: MovedWindow,
    /// Into how many parts the window is cut.
    #[schema(minimum = 1)]
    pub waves: u32,
    /// A page that explains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uri")]
    pub explanation_url: Option<String>,
    /// The principal that moved them.
    pub moved_by: String,
    /// When they were moved.
    #[schema(format = "date-time")]
    pub moved_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::page::Page;

    #[test]
    fn a_request_has_its_golden_shapes() {
        golden::round_trips::<MoveRenewalWindows>(include_str!("../testdata/move_renewal_windows.json"));
        let least =
            golden::round_trips::<MoveRenewalWindows>(include_str!("../testdata/move_renewal_windows_minimal.json"));
        assert_eq!((least.waves, least.window.start), (None, None));
    }

    #[test]
    fn a_request_refuses_an_unknown_field() {
        let body = r#"{"scope": {"name": "a.example"}, "window": {"end": "2026-11-21T12:00:00Z"}}"#;
        let error = golden::refusal::<MoveRenewalWindows>(body);
        assert!(error.contains("unknown field `name`"), "{error}");
    }

    #[test]
    fn moves_have_their_golden_shape() {
        let page = golden::round_trips::<Page<RenewalWindowMove>>(include_str!("../testdata/renewal_windows.json"));
        assert_eq!(page.items.len(), 2);
    }
}
