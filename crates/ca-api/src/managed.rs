//! Managed certificates, whose rotation the service owns: `/v1/managed-certificates` and what is below it.
//!
//! What is wanted has the same shape in the request, in the answer and in the files that `ca-cli managed apply` reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Body of `POST /v1/managed-certificates` and of `PUT …/{managed}`, and a table `[[managed]]` of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewManagedCertificate {
    /// What people call it; no two have the same, and it never changes.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,126}$", example = "web")]
    pub name: String,
    /// The profile that says what the certificate may contain.
    #[schema(min_length = 1, max_length = 64, example = "server")]
    pub profile: String,
    /// The subject, an RFC 4514 string; absent: none but what the profile adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4096, example = "O=Example")]
    pub subject: Option<String>,
    /// The subject alternative names, each `TYPE:VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100, example = json!(["dns:www.example.com"]))]
    pub subject_alternative_names: Vec<String>,
    /// How long each certificate shall be valid; absent: the profile's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,18}[smhd]$", example = "90d")]
    pub validity: Option<String>,
    /// The kind of key; absent: `p256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "p256")]
    pub key_type: Option<String>,
    /// Whether the key that is current is certified again, instead of a new one each time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keep_key: bool,
    /// Where certificate and key are wanted.
    pub target: ManagedTarget,
    /// Who brings them there; absent: the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_by: Option<ManagedDeliverer>,
    /// How long before its end a certificate is rotated: a part of its lifetime, or a length of time; absent: `1/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,9}/[0-9]{1,9}$|^[0-9]{1,18}[smhd]$", example = "1/3")]
    pub renew_before: Option<String>,
    /// What is told to take a new certificate: `codedeploy:APPLICATION/GROUP`, `ecs:CLUSTER/SERVICE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16, example = json!(["ecs:web/frontend"]))]
    pub hooks: Vec<String>,
    /// Where a new certificate is to be seen served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<ManagedEndpoint>,
    /// How long after its successor is current the one before is revoked; absent: the service never revokes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,18}[smhd]$", example = "24h")]
    pub revoke_superseded_after: Option<String>,
}

/// Where a managed certificate and its key are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ManagedTarget {
    /// A folder of PEM files that is switched as a whole.
    Directory {
        /// Its path, absolute.
        #[schema(example = "/etc/web/tls")]
        path: String,
    },
    /// A secret of AWS Secrets Manager.
    SecretsManager {
        /// Its name, or its ARN.
        #[schema(min_length = 1, max_length = 2048, example = "tls/web")]
        secret: String,
        /// The region; absent: the one of the process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        /// Whether it is made when it is not there.
        #[serde(default, skip_serializing_if = "is_false")]
        create: bool,
        /// How its value is written; absent: `json`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        layout: Option<SecretLayout>,
        /// ARN, id or alias of the KMS key that encrypts it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kms_key: Option<String>,
        /// Tags that it has.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        tags: BTreeMap<String, String>,
        /// Regions that it is replicated to, each with the KMS key there, or an empty text for the service's own.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        replicas: BTreeMap<String, String>,
    },
    /// A PKCS#12 file.
    Pkcs12 {
        /// Its path, absolute.
        #[schema(example = "/etc/web/tls.p12")]
        path: String,
        /// The file that has its passphrase, absolute.
        passphrase_file: String,
    },
}

/// How the value of a secret is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretLayout {
    /// A JSON object.
    Json,
    /// Key, certificate and chain in PEM, one after the other.
    Pem,
}

/// Who brings a managed certificate to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ManagedDeliverer {
    /// The service.
    Service,
    /// A worker that stands where the target is.
    Worker,
}

/// Where a certificate is to be seen served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagedEndpoint {
    /// `host:port`.
    #[schema(example = "www.example.com:443")]
    pub address: String,
    /// The name that is asked for in the handshake; absent: the host of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// How long after it became current; absent: `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,18}[smhd]$", example = "10m")]
    pub within: Option<String>,
}

/// Query of `POST /v1/managed-certificates` and of `PUT …/{managed}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ManagedOptions {
    /// Everything is checked, and nothing is changed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// Nothing is changed unless this is the revision on record; of `PUT` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1)]
    pub revision: Option<u64>,
}

/// A managed certificate on record. Item of `GET /v1/managed-certificates`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedCertificate {
    /// Its id, a UUID.
    #[schema(format = "uuid")]
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The principal that owns it, and is told of failures.
    pub owner: String,
    /// The profile that decides, at each rotation again.
    #[schema(example = "server")]
    pub profile: String,
    /// What is wanted and where.
    #[serde(flatten)]
    pub definition: ManagedDefinition,
    /// Whether nothing is done for it until somebody resumes it.
    pub paused: bool,
    /// Rises by one with every change of what is on record of it.
    #[schema(minimum = 1)]
    pub revision: u64,
    /// When it was added.
    #[schema(format = "date-time")]
    pub created_at: String,
    /// The principal that added it.
    pub created_by: String,
    /// What is current in its target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<ManagedCurrent>,
    /// The rotation under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<ManagedRotation>,
    /// What was current before, and is to be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded: Option<ManagedSuperseded>,
    /// How often it failed since something last succeeded.
    pub failures: u32,
    /// The last of those failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<ManagedFailure>,
    /// When something is to be done next: a rotation, an attempt, the end of an overlap.
    #[schema(format = "date-time")]
    pub next_at: String,
}

/// What is wanted, with everything that was left out of a request filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedDefinition {
    /// The subject, an RFC 4514 string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The subject alternative names, each `TYPE:VALUE`.
    #[serde(default)]
    #[schema(required)]
    pub subject_alternative_names: Vec<String>,
    /// How long each certificate is valid; absent: the profile's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<String>,
    /// The kind of key.
    #[schema(example = "p256")]
    pub key_type: String,
    /// Whether the key that is current is certified again.
    pub keep_key: bool,
    /// Where certificate and key are wanted.
    pub target: ManagedTarget,
    /// Who brings them there.
    pub delivered_by: ManagedDeliverer,
    /// How long before its end a certificate is rotated.
    #[schema(example = "1/3")]
    pub renew_before: String,
    /// What is told to take a new certificate.
    #[serde(default)]
    #[schema(required)]
    pub hooks: Vec<String>,
    /// Where a new certificate is to be seen served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<ManagedEndpoint>,
    /// How long after its successor is current the one before is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_superseded_after: Option<String>,
}

/// What is current in a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedCurrent {
    /// The certificate's id.
    #[schema(format = "uuid")]
    pub certificate: String,
    /// When it ends.
    #[schema(format = "date-time")]
    pub not_after: String,
    /// When it is due to be rotated; absent where the certificate's record is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub due_at: Option<String>,
}

/// How far a rotation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ManagedRotationStep {
    /// It has a name; its key may lie in the target.
    Begun,
    /// Its certificate is on record.
    Issued,
    /// Key and certificate are pending in the target.
    Delivered,
    /// They were read back and are right.
    Verified,
    /// They are current in the target.
    Promoted,
}

/// A rotation under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedRotation {
    /// Its id.
    #[schema(format = "uuid")]
    pub id: String,
    /// The last step that was made.
    pub step: ManagedRotationStep,
    /// The certificate's id, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    pub certificate: Option<String>,
    /// When it was begun.
    #[schema(format = "date-time")]
    pub begun_at: String,
}

/// A certificate that another took the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedSuperseded {
    /// The certificate's id.
    #[schema(format = "uuid")]
    pub certificate: String,
    /// When it is to be revoked.
    #[schema(format = "date-time")]
    pub revoke_at: String,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedFailure {
    /// When.
    #[schema(format = "date-time")]
    pub at: String,
    /// What is wrong, and what would be right.
    pub detail: String,
}

/// Query of `GET /v1/managed-certificates`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ManagedFilter {
    /// At most so many items; absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Answer to `GET /v1/managed-certificates/status`: how the whole stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagedStatus {
    /// Those that are not paused.
    pub active: u64,
    /// Those that are paused.
    pub paused: u64,
    /// Of the active, those for which something is to be done now.
    pub due: u64,
    /// Of the active, those with a rotation under way.
    pub rotating: u64,
    /// Of the active, those that failed since something last succeeded.
    pub failing: u64,
    /// Rotations an hour, by what was rotated in the last ten minutes.
    pub rotations_per_hour: u64,
    /// When what is due will have been rotated at that rate; absent when nothing is due, or nothing was rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub done_at: Option<String>,
}

// serde's `skip_serializing_if` takes a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::page::Page;

    #[test]
    fn a_request_has_its_golden_shapes() {
        golden::round_trips::<NewManagedCertificate>(include_str!("../testdata/new_managed_certificate.json"));
        let least = golden::round_trips::<NewManagedCertificate>(include_str!(
            "../testdata/new_managed_certificate_minimal.json"
        ));
        assert_eq!((least.key_type, least.delivered_by, least.keep_key), (None, None, false));
        golden::round_trips::<Vec<ManagedTarget>>(include_str!("../testdata/managed_targets.json"));
    }

    #[test]
    fn a_request_refuses_an_unknown_field_wherever_it_stands() {
        for (body, field) in [
            (r#"{"name": "a", "profile": "server", "san": [], "target": {"kind": "directory", "path": "/a"}}"#, "san"),
            (r#"{"name": "a", "profile": "server", "target": {"kind": "directory", "path": "/a", "mode": 1}}"#, "mode"),
        ] {
            let error = golden::refusal::<NewManagedCertificate>(body);
            assert!(error.contains(&format!("unknown field `{field}`")), "{error}");
        }
        let error = golden::refusal::<NewManagedCertificate>(
            r#"{"name": "a", "profile": "server", "target": {"kind": "tape"}}"#,
        );
        assert!(error.contains("unknown variant `tape`"), "{error}");
    }

    #[test]
    fn answers_have_their_golden_shapes() {
        let page =
            golden::round_trips::<Page<ManagedCertificate>>(include_str!("../testdata/managed_certificates.json"));
        assert_eq!(page.items.len(), 2);
        assert!(page.items[1].current.is_none());
        golden::round_trips::<ManagedStatus>(include_str!("../testdata/managed_status.json"));
    }
}
