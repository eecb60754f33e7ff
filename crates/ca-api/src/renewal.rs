//! Renewal: the request for a successor, and when a certificate should be renewed (RFC 9773 §4.2).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /v1/certificates/{certificate}/renew`: either `csr`, or `reuse_key` set to true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewCertificate {
    /// A certificate signing request in PEM, over a new key or the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub csr: Option<String>,
    /// Keep the key of the certificate that is renewed; only its holder, proved by mutual TLS, may ask for that.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schema(default = false)]
    pub reuse_key: bool,
    /// How long the successor shall be valid; absent: the profile's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,18}[smhd]$", example = "90d")]
    pub validity: Option<String>,
}

/// Answer of `POST /v1/renewal-nonce`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RenewalNonce {
    /// The nonce, for one proof.
    pub nonce: String,
    /// Until when it is good.
    #[schema(format = "date-time")]
    pub expires_at: String,
}

/// Body of `POST /v1/certificates/{certificate}/renew-expired`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewExpiredCertificate {
    /// A certificate signing request in PEM, over a new key.
    #[schema(max_length = 65536)]
    pub csr: String,
    /// A JWS (RFC 7515) in the compact serialization, by the key of the certificate that has ended. Its header has `alg` (ES256, ES384, ES512,
    /// PS256, RS256 or EdDSA), `x5c` (that certificate first), `nonce` and `url` (that of this request), and may have `typ`; its payload has
    /// `csr_sha256` (SHA-256 over the DER of the request, base64url) and `iat` (seconds since 1970, at most five minutes ago).
    #[schema(max_length = 65536)]
    pub proof: String,
}

/// Answer of `GET /v1/certificates/{certificate}/renewal-info`: RFC 9773's RenewalInfo, in that RFC's spelling.
///
/// The header `Retry-After` says when to ask again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RenewalInfo {
    /// When to renew: at a random time in the window; at once when it lies in the past.
    pub suggested_window: SuggestedWindow,
    /// A page that explains why the window is where it is.
    #[serde(rename = "explanationURL", default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uri")]
    pub explanation_url: Option<String>,
}

/// The window in which to renew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuggestedWindow {
    /// Its start.
    #[schema(format = "date-time")]
    pub start: String,
    /// Its end, after the start.
    #[schema(format = "date-time")]
    pub end: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn a_request_has_its_golden_shapes() {
        golden::round_trips::<RenewCertificate>(include_str!("../testdata/renew_certificate.json"));
        let reuse =
            golden::round_trips::<RenewCertificate>(include_str!("../testdata/renew_certificate_reuse_key.json"));
        assert!(reuse.reuse_key && reuse.csr.is_none());
    }

    #[test]
    fn a_request_refuses_an_unknown_field() {
        let error = golden::refusal::<RenewCertificate>(r#"{"reuseKey": true}"#);
        assert!(error.contains("unknown field `reuseKey`"), "{error}");
    }

    #[test]
    fn renewing_after_the_end_has_its_golden_shapes() {
        golden::round_trips::<RenewalNonce>(include_str!("../testdata/renewal_nonce.json"));
        golden::round_trips::<RenewExpiredCertificate>(include_str!("../testdata/renew_expired_certificate.json"));
        let error = golden::refusal::<RenewExpiredCertificate>(r#"{"csr": "", "proof": "", "validity": "90d"}"#);
        assert!(error.contains("unknown field `validity`"), "{error}");
    }

    #[test]
    fn renewal_info_is_spelled_as_rfc_9773_spells_it() {
        golden::round_trips::<RenewalInfo>(include_str!("../testdata/renewal_info.json"));
    }
}
