//! Search by what may be personal data, which has no place in a URL: `POST /v1/certificates/search`.
//!
//! The answer is a [`crate::page::Page`] of certificates, newest first.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::CertificateStatus;

/// Body of `POST /v1/certificates/search`: one of `subject` and `name`; all else that is given must hold too.
///
/// Either compares the whole value and not parts of it: personal data is stored encrypted and found by a keyed index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateSearch {
    /// The whole subject, an RFC 4514 string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 4096, example = "CN=Ana Souza,O=Example")]
    pub subject: Option<String>,
    /// A subject alternative name's value or a common name, in whatever case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 4096, example = "ana@example.com")]
    pub name: Option<String>,
    /// Only certificates that stand so now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CertificateStatus>,
    /// Only those of this profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Only those of this authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// At most so many items a page; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 512)]
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn a_search_has_its_golden_shape() {
        golden::round_trips::<CertificateSearch>(include_str!("../testdata/certificate_search.json"));
    }

    #[test]
    fn a_search_refuses_an_unknown_field() {
        let error = golden::refusal::<CertificateSearch>(r#"{"cpf": "12345678909"}"#);
        assert!(error.contains("unknown field `cpf`"), "{error}");
    }
}
