//! Authorities: the certificate authorities of this service, their keys and their revocation lists.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A certificate authority. Answer of `GET /v1/authorities/{authority}`, item of `GET /v1/authorities`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Authority {
    /// Its name in this API: `root`, `tls`, `document`, `tls-2` …
    #[schema(pattern = "^[a-z0-9-]{1,64}$", example = "tls")]
    pub id: String,
    /// What it still does.
    pub status: AuthorityStatus,
    /// From when on it issues, when that has not come yet: a later generation is announced before it issues. Until then the
    /// generation before it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub issues_from: Option<String>,
    /// The authority that issued its certificate; absent for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "root")]
    pub parent: Option<String>,
    /// The subject of its certificate, an RFC 4514 string.
    pub subject: String,
    /// The serial number of its certificate, in lower-case hexadecimal.
    #[schema(pattern = "^([0-9a-f]{2}){1,20}$")]
    pub serial: String,
    /// First second of validity.
    #[schema(format = "date-time")]
    pub not_before: String,
    /// Last second of validity.
    #[schema(format = "date-time")]
    pub not_after: String,
    /// SHA-256 of the DER of its certificate.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub fingerprint_sha256: String,
    /// Its key.
    pub key: AuthorityKey,
    /// Its newest complete revocation list; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<RevocationList>,
    /// How long a revocation takes at most until OCSP and CRL tell it, caches of well-behaved clients included.
    #[schema(pattern = "^[0-9]{1,18}[smhd]$", example = "10s")]
    pub revocation_visible_within: String,
    /// Its certificate in PEM.
    pub certificate: String,
    /// The certificates above it in PEM, root left out; empty when the root issued it.
    pub chain: String,
}

/// What an authority still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthorityStatus {
    /// Issues, and signs CRL and OCSP.
    Active,
    /// No longer issues, still signs CRL and OCSP.
    Retiring,
    /// Does neither.
    Retired,
}

/// What may be told of an authority's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthorityKey {
    /// The kind of key: `rsa2048`, `rsa3072`, `rsa4096`, `p256`, `p384`, `p521` or `ed25519`.
    #[serde(rename = "type")]
    #[schema(example = "p256")]
    pub kind: String,
    /// Where it lives.
    pub home: KeyHome,
    /// Whether the replica that answers can sign with it; false for a root whose key was moved away.
    pub available: bool,
}

/// Where the key of an authority lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyHome {
    /// In the store, sealed; of a root: in a file, encrypted.
    Software,
    /// In AWS KMS.
    Kms,
    /// In a PKCS#11 token.
    Pkcs11,
    /// In AWS Private CA, which issues by itself.
    AcmPca,
}

/// A complete revocation list that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationList {
    /// The CRL number (RFC 5280 §5.2.3).
    #[schema(minimum = 0)]
    pub number: u64,
    /// When it was made.
    #[schema(format = "date-time")]
    pub this_update: String,
    /// When the next one comes at the latest.
    #[schema(format = "date-time")]
    pub next_update: String,
    /// How many certificates are on it.
    #[schema(minimum = 0)]
    pub entries: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::page::Page;

    #[test]
    fn an_authority_has_its_golden_shapes() {
        let root = golden::round_trips::<Authority>(include_str!("../testdata/authority_root.json"));
        assert_eq!(root.parent, None);
        golden::round_trips::<Page<Authority>>(include_str!("../testdata/authorities.json"));
    }

    #[test]
    fn statuses_and_homes_are_named_as_the_contract_says() {
        assert_eq!(
            serde_json::to_value([AuthorityStatus::Active, AuthorityStatus::Retiring, AuthorityStatus::Retired])
                .expect("strings"),
            serde_json::json!(["active", "retiring", "retired"])
        );
        assert_eq!(
            serde_json::to_value([KeyHome::Software, KeyHome::Kms, KeyHome::Pkcs11, KeyHome::AcmPca]).expect("strings"),
            serde_json::json!(["software", "kms", "pkcs11", "acm-pca"])
        );
    }
}
