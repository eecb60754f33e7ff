//! Asking for a revocation, and the answer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::Certificate;
use crate::revocation::RevocationReason;

/// Body of `POST /v1/certificates/{certificate}/revoke`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeCertificate {
    /// Why.
    pub reason: RevocationReason,
    /// Since when the key must be taken as compromised (RFC 5280 §5.3.2); not in the future.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub invalidity_date: Option<String>,
}

/// Answer of `POST /v1/certificates/{certificate}/revoke`: the certificate as it stands then, and after `keyCompromise` what else
/// the key reaches. Those certificates stand until they are revoked themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokedCertificate {
    /// The certificate.
    #[serde(flatten)]
    pub certificate: Certificate,
    /// Ids of other certificates of the same key that are not revoked for good; absent when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["0193467e-ca00-7000-8000-0123456789ac"]))]
    pub same_key: Vec<String>,
    /// Ids of certificates that descend from it by renewals since the invalidity date (since ever without one) and are not
    /// revoked for good: who had the key may have made them. They have lost their roles. Absent when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["0193467e-ca00-7000-8000-0123456789ad"]))]
    pub successors: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn a_request_has_its_golden_shapes() {
        golden::round_trips::<RevokeCertificate>(include_str!("../testdata/revoke_certificate.json"));
        golden::round_trips::<RevokeCertificate>(include_str!("../testdata/revoke_certificate_minimal.json"));
    }

    #[test]
    fn an_answer_has_its_golden_shapes() {
        golden::round_trips::<RevokedCertificate>(include_str!("../testdata/revoked_certificate.json"));
        golden::round_trips::<RevokedCertificate>(include_str!("../testdata/certificate_revoked.json"));
    }

    #[test]
    fn an_unknown_reason_is_refused_with_the_ones_there_are() {
        let error = golden::refusal::<RevokeCertificate>(r#"{"reason": "keycompromise"}"#);
        assert!(error.contains("`keycompromise`") && error.contains("`keyCompromise`"), "{error}");
    }
}
