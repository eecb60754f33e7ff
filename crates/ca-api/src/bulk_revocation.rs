//! Revoking many certificates by one request: `POST /v1/certificates/revoke`, and how far that has come, `/v1/revocations`.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::revocation::RevocationReason;

/// Body of `POST /v1/certificates/revoke`: which certificates, and why. Either `filter` or `certificates`.
///
/// With `dry_run` nothing is revoked, and the answer says what would be. Without it `expected_count` must be the number that fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeCertificates {
    /// All that fit and have not ended. Certificates of authorities, OCSP responders, listeners and operators are left out unless
    /// `profile` names theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<RevocationFilter>,
    /// These, each by its id, `authority:serial` or serial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 10000, example = json!(["tls:1f2e3d4c5b6a79880123456789abcdef"]))]
    pub certificates: Option<Vec<String>>,
    /// Why.
    pub reason: RevocationReason,
    /// Since when the keys must be taken as compromised (RFC 5280 §5.3.2); not in the future.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub invalidity_date: Option<String>,
    /// Count only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub dry_run: bool,
    /// How many certificates the caller means to revoke: the `count` of a dry run. Nothing is revoked when another number fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_count: Option<u64>,
}

/// What certificates must fit: at least one of `profile`, `authority`, `owner`, `name`, `subject`, `public_key_sha256` and
/// `issued_after`; all that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationFilter {
    /// Of this profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "client")]
    pub profile: Option<String>,
    /// Of this authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "tls")]
    pub authority: Option<String>,
    /// Issued at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub issued_after: Option<String>,
    /// Issued before this time. A dry run says which one keeps out what is issued after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub issued_before: Option<String>,
    /// Ending before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub expires_before: Option<String>,
    /// Asked for by this principal: `certificate:ID`, `token:ID`, `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub owner: Option<String>,
    /// With this common name or alternative name, the whole of it, in whatever case. Not together with `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 4096)]
    pub name: Option<String>,
    /// With this subject, the whole of it, an RFC 4514 string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 4096)]
    pub subject: Option<String>,
    /// With the public key whose SubjectPublicKeyInfo has this SHA-256, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub public_key_sha256: Option<String>,
}

/// Answer to a dry run: what would be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationCount {
    /// How many certificates.
    pub count: u64,
    /// The same, by authority and profile.
    pub shares: Vec<RevocationShare>,
    /// What was issued at this time or later was not counted: with it as `issued_before` of the filter the same fit tomorrow. Absent
    /// for a list of certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub issued_before: Option<String>,
    /// Some of them, the newest first.
    pub examples: Vec<RevocationExample>,
    /// Those that the caller may not revoke; they would be left out.
    pub refused: RefusedRevocations,
    /// How many are revoked already, so that nothing is to be done.
    pub already_revoked: u64,
    /// How many certificates of the service itself fit and are left out, because the filter does not name their profile.
    pub left_out: u64,
}

/// How many certificates of one authority and profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationShare {
    /// The authority's id.
    #[schema(example = "tls")]
    pub authority: String,
    /// The profile's name.
    #[schema(example = "client")]
    pub profile: String,
    /// How many.
    pub count: u64,
}

/// A certificate that would be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationExample {
    /// Its id.
    #[schema(format = "uuid")]
    pub id: String,
    /// Its authority.
    #[schema(example = "tls")]
    pub authority: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Its profile.
    pub profile: String,
    /// Its subject, an RFC 4514 string.
    pub subject: String,
    /// When it ends.
    #[schema(format = "date-time")]
    pub not_after: String,
}

/// Certificates that the caller may not revoke.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedRevocations {
    /// How many.
    pub count: u64,
    /// The ids of the first hundred.
    pub certificates: Vec<String>,
}

/// How far a bulk revocation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BulkRevocationState {
    /// Some of its certificates still stand.
    Running,
    /// Every one of its certificates has had its turn.
    Completed,
    /// Somebody ended it; what was revoked until then stays revoked.
    Canceled,
}

/// A bulk revocation: answer of `POST /v1/certificates/revoke`, `GET /v1/revocations/{revocation}` and `POST …/cancel`. It goes on
/// without anybody asking, also when the server that began it dies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkRevocation {
    /// Its id.
    #[schema(format = "uuid")]
    pub id: String,
    /// How far it has come.
    pub state: BulkRevocationState,
    /// What was asked for, in words, without names and subjects.
    #[schema(example = "profile=client,issued-before=2026-11-20T12:00:00Z")]
    pub scope: String,
    /// Why.
    pub reason: RevocationReason,
    /// Since when the keys must be taken as compromised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub invalidity_date: Option<String>,
    /// Who asked, as records name principals.
    #[schema(example = "certificate:0193467e-ca00-7000-8000-0123456789ab")]
    pub requested_by: String,
    /// When it was begun.
    #[schema(format = "date-time")]
    pub created_at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub ended_at: Option<String>,
    /// How many certificates it was to revoke.
    pub count: u64,
    /// How many it has revoked so far. Each has an audit event of its own, with the id of this bulk revocation.
    pub revoked: u64,
    /// How many somebody else had revoked, or retention had removed, when their turn came.
    pub skipped: u64,
    /// How many have not had their turn.
    pub remaining: u64,
    /// `count`, by authority and profile.
    pub shares: Vec<RevocationShare>,
    /// Those that the caller may not revoke; they are not among `count`.
    pub refused: RefusedRevocations,
    /// Of each authority the newest revocation list, where it has all that was revoked; absent while not all have their turn behind them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub lists: Vec<RevocationListNumber>,
}

/// A revocation list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationListNumber {
    /// The authority's id.
    #[schema(example = "tls")]
    pub authority: String,
    /// The list's number.
    pub number: u64,
}

/// Query of `GET /v1/revocations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BulkRevocationFilter {
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
    fn a_request_has_its_golden_shapes() {
        golden::round_trips::<RevokeCertificates>(include_str!("../testdata/revoke_certificates.json"));
        golden::round_trips::<RevokeCertificates>(include_str!("../testdata/revoke_certificates_list.json"));
    }

    #[test]
    fn answers_have_their_golden_shapes() {
        golden::round_trips::<RevocationCount>(include_str!("../testdata/revocation_count.json"));
        let page = golden::round_trips::<Page<BulkRevocation>>(include_str!("../testdata/revocations.json"));
        assert_eq!(page.items.len(), 2);
    }

    #[test]
    fn a_request_refuses_an_unknown_field() {
        for text in
            [r#"{"reason": "superseded", "fliter": {}}"#, r#"{"reason": "superseded", "filter": {"profil": "client"}}"#]
        {
            let error = golden::refusal::<RevokeCertificates>(text);
            assert!(error.contains("unknown field"), "{error}");
        }
    }
}
