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
    /// Every revocation list that is published for it.
    #[serde(default)]
    pub revocation_lists: RevocationLists,
    /// How long a revocation takes at most until OCSP and CRL tell it, caches of well-behaved clients included.
    #[schema(pattern = "^[0-9]{1,18}[smhd]$", example = "10s")]
    pub revocation_visible_within: String,
    /// The issuer that holds its key and makes its certificates and its list; absent where this service signs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerElsewhere>,
    /// Its certificate in PEM.
    pub certificate: String,
    /// The certificates above it in PEM, root left out; empty when the root issued it.
    pub chain: String,
}

/// What the issuer of an authority elsewhere does by itself, and how far it is behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IssuerElsewhere {
    /// Its list, as it was found last.
    pub list: IssuerList,
    /// How long a revocation takes at most until the OCSP responder of this service tells it: it does not wait for the issuer.
    #[schema(pattern = "^[0-9]{1,18}[smhd]$", example = "6s")]
    pub ocsp_visible_within: String,
    /// How many revocations on record its newest list here may not tell of yet.
    #[schema(minimum = 0)]
    pub unlisted_revocations: u64,
    /// When the first of them was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub unlisted_since: Option<String>,
}

/// What is known of the list that an issuer elsewhere publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerList {
    /// Nobody has looked yet.
    Unknown,
    /// It is configured to publish none: OCSP alone tells of revocations.
    NotPublished,
    /// It publishes one, and has made none yet.
    NotMadeYet,
    /// It publishes one.
    Published,
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

/// The published revocation lists of an authority, by kind. A kind that it does not have is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationLists {
    /// The one that has everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<PublishedList>,
    /// What has changed since a complete list (RFC 5280 §5.2.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<PublishedList>,
    /// Those that cover a part of the certificates each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<ShardLists>,
}

/// A revocation list as it is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishedList {
    /// The shard's number; absent for a list that is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 16383)]
    pub shard: Option<u32>,
    /// Where it is, as certificates name it; absent where the service has no `public.base_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uri", example = "http://pki.example.org/crl/tls.crl")]
    pub url: Option<String>,
    /// The CRL number (RFC 5280 §5.2.3). Deltas and complete lists are numbered in one sequence, each shard in one of its own.
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
    /// How long its DER is, in octets.
    #[schema(minimum = 0)]
    pub octets: u64,
}

/// Up to so many shards are told one by one; more are summed up only.
pub const SHARDS_TOLD: usize = 64;

/// The shards of an authority together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShardLists {
    /// How many there are.
    #[schema(minimum = 1)]
    pub count: u64,
    /// How many certificates are on them together.
    #[schema(minimum = 0)]
    pub entries: u64,
    /// How long they are together, in octets.
    #[schema(minimum = 0)]
    pub octets: u64,
    /// When the oldest of them was made.
    #[schema(format = "date-time")]
    pub oldest_this_update: String,
    /// When the first of them ends.
    #[schema(format = "date-time")]
    pub first_next_update: String,
    /// Each of them, by number; none when there are more than 64.
    pub lists: Vec<PublishedList>,
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
        let elsewhere = golden::round_trips::<Authority>(include_str!("../testdata/authority_elsewhere.json"));
        assert_eq!(elsewhere.issuer.map(|issuer| issuer.list), Some(IssuerList::Published));
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
        let lists = [IssuerList::Unknown, IssuerList::NotPublished, IssuerList::NotMadeYet, IssuerList::Published];
        assert_eq!(
            serde_json::to_value(lists).expect("strings"),
            serde_json::json!(["unknown", "not-published", "not-made-yet", "published"])
        );
    }
}
