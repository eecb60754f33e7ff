//! Revocation: the reasons (RFC 5280 §5.3.1), and what a certificate says of its own.
//!
//! Not here: which change of reason is legal, which is the domain's business.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// That a certificate is revoked or held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revocation {
    /// When it was revoked, as OCSP and CRL tell it.
    #[schema(format = "date-time")]
    pub revoked_at: String,
    /// Why.
    pub reason: RevocationReason,
    /// Since when the key must be taken as compromised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub invalidity_date: Option<String>,
}

/// Why a certificate is revoked, by RFC 5280's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RevocationReason {
    /// No reason is told.
    Unspecified,
    /// The subject's key is known to others, or may be; the key is blocked for ever.
    KeyCompromise,
    /// The issuer's key is known to others, or may be.
    #[serde(rename = "cACompromise")]
    CaCompromise,
    /// The subject's name or other information has changed.
    AffiliationChanged,
    /// Another certificate has taken its place.
    Superseded,
    /// It is no longer needed.
    CessationOfOperation,
    /// Invalid for a while; may be ended by `unhold`.
    CertificateHold,
    /// A privilege that the certificate carries was withdrawn.
    PrivilegeWithdrawn,
    /// The key of an attribute authority is known to others, or may be.
    #[serde(rename = "aACompromise")]
    AaCompromise,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn reasons_are_named_as_rfc_5280_names_them() {
        let reasons = golden::round_trips::<Vec<RevocationReason>>(include_str!("../testdata/revocation_reasons.json"));
        assert_eq!(reasons.len(), 9);
    }

    #[test]
    fn what_a_certificate_says_has_its_golden_shape() {
        golden::round_trips::<Revocation>(include_str!("../testdata/revocation.json"));
    }
}
