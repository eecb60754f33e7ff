//! Certificates: the request for one, the certificate on record, and how lists of them are filtered.
//!
//! Not here: revocation (`revocation.rs`), renewal (`renewal.rs`), search by personal data (`search.rs`).

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::revocation::Revocation;

/// Media type of a certificate with its chain in PEM (RFC 8555 §9.1), for `Accept` on a certificate.
pub const PEM_CERTIFICATE_CHAIN: &str = "application/pem-certificate-chain";

/// Media type of one certificate in DER (RFC 2585 §4.1), for `Accept` on a certificate.
pub const PKIX_CERT: &str = "application/pkix-cert";

/// Request header that makes `POST /v1/certificates` and its like safe to repeat, at most 255 visible ASCII characters.
///
/// Its scope is principal, route and key, for 24 hours: the same body gets the same certificate, another body 409.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Body of `POST /v1/certificates`: a certificate is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCertificate {
    /// The profile that says what the certificate may contain.
    #[schema(min_length = 1, max_length = 64, example = "server")]
    pub profile: String,
    /// The certificate signing request (RFC 2986) in PEM; its signature is the proof of possession.
    #[schema(max_length = 65536)]
    pub csr: String,
    /// The subject, an RFC 4514 string; absent: the one of the request, as far as the profile allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096, example = "CN=api.example.com,O=Example")]
    pub subject: Option<String>,
    /// The subject alternative names; absent: those of the request, when the profile allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 1000)]
    pub subject_alternative_names: Option<Vec<SubjectAlternativeName>>,
    /// How long it shall be valid; absent: the profile's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,18}[smhd]$", example = "90d")]
    pub validity: Option<String>,
}

/// A certificate on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// The certificate's name in this API, a UUID.
    #[schema(format = "uuid")]
    pub id: String,
    /// The serial number in lower-case hexadecimal, an even number of digits; unique only within its authority.
    #[schema(pattern = "^([0-9a-f]{2}){1,20}$")]
    pub serial: String,
    /// The authority that issued it.
    #[schema(example = "tls")]
    pub authority: String,
    /// The profile it was issued under.
    #[schema(example = "server")]
    pub profile: String,
    /// The subject, an RFC 4514 string; empty when the certificate has none.
    pub subject: String,
    /// The subject alternative names, in the order of the certificate.
    pub subject_alternative_names: Vec<SubjectAlternativeName>,
    /// First second of validity.
    #[schema(format = "date-time")]
    pub not_before: String,
    /// Last second of validity.
    #[schema(format = "date-time")]
    pub not_after: String,
    /// Whether it stands, at the time of the answer.
    pub status: CertificateStatus,
    /// Since when and why it is revoked or held; absent when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
    /// The id of the certificate that this one succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub renews: Option<String>,
    /// The principal that asked for it: `certificate:ID`, `token:ID`, `local` or `job:NAME`.
    #[schema(example = "certificate:0193467e-ca00-7000-8000-0123456789ab")]
    pub owner: String,
    /// SHA-256 of the DER.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub fingerprint_sha256: String,
    /// The certificate in PEM.
    pub certificate: String,
    /// Its chain in PEM, issuer first, root left out; empty when the root is the issuer.
    pub chain: String,
}

/// Whether a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CertificateStatus {
    /// Issued, within its validity, neither revoked nor held.
    Active,
    /// Revoked for good; stays so after it expires.
    Revoked,
    /// On hold (`certificateHold`); invalid until the hold is ended.
    Held,
    /// Its validity has passed, and it was never revoked.
    Expired,
}

/// One subject alternative name (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectAlternativeName {
    /// Which kind of name it is.
    #[serde(rename = "type")]
    pub kind: SubjectAlternativeNameType,
    /// The name, in the form that its type says.
    #[schema(min_length = 1, max_length = 4096)]
    pub value: String,
}

/// The kinds of subject alternative names, and how the value of each is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub enum SubjectAlternativeNameType {
    /// dNSName: `api.example.com`, `*.example.com`.
    #[serde(rename = "dns")]
    Dns,
    /// iPAddress: `192.0.2.1`, `2001:db8::1`.
    #[serde(rename = "ip")]
    Ip,
    /// rfc822Name: `ana@example.com`.
    #[serde(rename = "email")]
    Email,
    /// uniformResourceIdentifier: `spiffe://example.org/web`.
    #[serde(rename = "uri")]
    Uri,
    /// otherName 1.3.6.1.4.1.311.20.2.3, the user principal name: `ana@corp.example.com`.
    #[serde(rename = "upn")]
    Upn,
    /// Any other otherName: `OID=TEXT` for a UTF8String, `OID=#HEX` for the DER of any value.
    #[serde(rename = "otherName")]
    OtherName,
    /// directoryName: an RFC 4514 string.
    #[serde(rename = "directoryName")]
    DirectoryName,
    /// registeredID: a dotted OID.
    #[serde(rename = "registeredID")]
    RegisteredId,
}

/// Query of `GET /v1/certificates`; all filters given must hold. Newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CertificateFilter {
    /// Only certificates that stand so now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub status: Option<CertificateStatus>,
    /// Only those of this profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Only those of this authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Only those whose validity ends before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(format = "date-time")]
    pub expires_before: Option<String>,
    /// Only those issued at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(format = "date-time")]
    pub issued_after: Option<String>,
    /// Only those that this principal asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Only those with this serial number, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(pattern = "^[0-9a-fA-F]{1,40}$")]
    pub serial: Option<String>,
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

    #[test]
    fn a_request_has_its_golden_shapes() {
        golden::round_trips::<NewCertificate>(include_str!("../testdata/new_certificate.json"));
        golden::round_trips::<NewCertificate>(include_str!("../testdata/new_certificate_minimal.json"));
    }

    #[test]
    fn a_request_refuses_an_unknown_field() {
        let error = golden::refusal::<NewCertificate>(r#"{"profile": "server", "csr": "", "sans": []}"#);
        assert!(error.contains("unknown field `sans`"), "{error}");
        let error = golden::refusal::<SubjectAlternativeName>(r#"{"type": "dns", "value": "a", "critical": true}"#);
        assert!(error.contains("unknown field `critical`"), "{error}");
    }

    #[test]
    fn a_certificate_has_its_golden_shapes() {
        golden::round_trips::<Certificate>(include_str!("../testdata/certificate.json"));
        let revoked = golden::round_trips::<Certificate>(include_str!("../testdata/certificate_revoked.json"));
        assert_eq!(revoked.status, CertificateStatus::Revoked);
    }

    #[test]
    fn a_reader_skips_fields_that_a_newer_server_adds() {
        let newer = include_str!("../testdata/certificate.json").replacen('{', r#"{"added_later": 1,"#, 1);
        serde_json::from_str::<Certificate>(&newer).expect("responses may grow");
    }

    #[test]
    fn every_kind_of_name_has_its_golden_shape() {
        let names = golden::round_trips::<Vec<SubjectAlternativeName>>(include_str!(
            "../testdata/subject_alternative_names.json"
        ));
        assert_eq!(names.len(), 9);
    }

    #[test]
    fn statuses_are_named_as_the_contract_says() {
        for (status, name) in [
            (CertificateStatus::Active, "active"),
            (CertificateStatus::Revoked, "revoked"),
            (CertificateStatus::Held, "held"),
            (CertificateStatus::Expired, "expired"),
        ] {
            assert_eq!(serde_json::to_value(status).expect("a string"), name);
        }
    }

    #[test]
    fn a_filter_refuses_an_unknown_parameter() {
        golden::round_trips::<CertificateFilter>(include_str!("../testdata/certificate_filter.json"));
        let error = golden::refusal::<CertificateFilter>(r#"{"state": "active"}"#);
        assert!(error.contains("unknown field `state`"), "{error}");
    }
}
