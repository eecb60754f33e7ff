//! A key that KMS is to make: its kind, its tags, and a policy that lets some sign and others administer, and nobody do both unseen.

use ca_core::key::KeyType;
use serde_json::{Value, json};
use thiserror::Error;

/// The tag that has the id of the making.
pub const CREATION_TAG: &str = "cartorio-ca:creation";
/// The tag that has the id of the authority.
pub const AUTHORITY_TAG: &str = "cartorio-ca:authority";

/// A key to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsKeyOrder {
    /// The region.
    pub region: String,
    /// The id of its making: 1 to 256 letters and digits, never used for another key.
    pub creation: String,
    /// The authority whose key it is to be.
    pub authority: String,
    /// What kind: one that [`key_spec_of`] knows.
    pub key_type: KeyType,
    /// For people.
    pub description: String,
    /// Who may what, in JSON; `None`: KMS writes the one by which IAM decides.
    pub policy: Option<String>,
}

/// The name that AWS has for a kind of key; `None` for one that cannot be made there, or that signs no lists there.
pub const fn key_spec_of(key_type: KeyType) -> Option<&'static str> {
    match key_type {
        KeyType::Rsa2048 => Some("RSA_2048"),
        KeyType::Rsa3072 => Some("RSA_3072"),
        KeyType::Rsa4096 => Some("RSA_4096"),
        KeyType::P256 => Some("ECC_NIST_P256"),
        KeyType::P384 => Some("ECC_NIST_P384"),
        KeyType::P521 => Some("ECC_NIST_P521"),
        KeyType::Ed25519 => None,
    }
}

/// The algorithms that a policy leaves to a kind of key: those that certificates and lists are signed with.
const fn algorithms_of(key_type: KeyType) -> &'static [&'static str] {
    match key_type {
        KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => {
            &["RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512"]
        }
        KeyType::P256 => &["ECDSA_SHA_256"],
        KeyType::P384 => &["ECDSA_SHA_384"],
        KeyType::P521 => &["ECDSA_SHA_512"],
        KeyType::Ed25519 => &[],
    }
}

/// What whoever administers a key does with it. Neither to sign nor to grant; but who may change a policy may let himself in by it.
const TO_ADMINISTER: [&str; 15] = [
    "kms:DescribeKey",
    "kms:GetPublicKey",
    "kms:GetKeyPolicy",
    "kms:PutKeyPolicy",
    "kms:ListKeyPolicies",
    "kms:ListGrants",
    "kms:RevokeGrant",
    "kms:ListResourceTags",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateKeyDescription",
    "kms:EnableKey",
    "kms:DisableKey",
    "kms:ScheduleKeyDeletion",
    "kms:CancelKeyDeletion",
];

/// A role or user of IAM, or an account as a whole: `arn:aws:iam::111122223333:role/ca`, `…:root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalArn(String);

impl PrincipalArn {
    /// Reads an ARN, of any partition.
    pub fn parse(text: &str) -> Result<Self, PrincipalProblem> {
        let parts: Vec<&str> = text.split(':').collect();
        let [arn, partition, service, "", account, resource] = parts[..] else {
            return Err(PrincipalProblem::NotAnArn);
        };
        if arn != "arn" || !partition.starts_with("aws") {
            return Err(PrincipalProblem::NotAnArn);
        }
        if service == "sts" {
            return Err(PrincipalProblem::Session);
        }
        let is_account = account.len() == 12 && account.bytes().all(|octet| octet.is_ascii_digit());
        let is_plain = |name: &str| {
            !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"/_+=,.@-".contains(&octet))
        };
        let is_known = resource == "root"
            || ["role/", "user/"].iter().any(|kind| resource.strip_prefix(kind).is_some_and(is_plain));
        match service == "iam" && is_account && is_known {
            true => Ok(Self(text.to_owned())),
            false => Err(PrincipalProblem::NotAnArn),
        }
    }

    /// The account as a whole: whom IAM lets there.
    pub fn account_root(&self) -> Self {
        // Checked when it was read: six parts, the last of which names the one.
        let account = self.0.rsplit_once(':').map_or("", |(account, _)| account);
        Self(format!("{account}:root"))
    }
}

/// Why a text names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PrincipalProblem {
    /// It is something else.
    #[error("it is not the ARN of a role or user of IAM; write it like `arn:aws:iam::111122223333:role/ca`")]
    NotAnArn,
    /// It is a session, which ends.
    #[error("it is a session, which ends; write the role itself, like `arn:aws:iam::111122223333:role/ca`")]
    Session,
}

/// Who may use the keys that are made, and who may administer them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    signers: Vec<PrincipalArn>,
    administrators: Vec<PrincipalArn>,
}

impl KeyPolicy {
    /// Those who sign, and those who administer: without any, the accounts of the signers, by their IAM, so that nobody is locked out
    /// when a role is gone. `None` when nobody signs.
    pub fn new(signers: Vec<PrincipalArn>, mut administrators: Vec<PrincipalArn>) -> Option<Self> {
        if signers.is_empty() {
            return None;
        }
        if administrators.is_empty() {
            for account in signers.iter().map(PrincipalArn::account_root) {
                if !administrators.contains(&account) {
                    administrators.push(account);
                }
            }
        }
        Some(Self { signers, administrators })
    }

    /// The policy of a key, in JSON as people read it.
    pub fn to_json(&self, key_type: KeyType) -> String {
        let names = |principals: &[PrincipalArn]| -> Vec<Value> {
            principals.iter().map(|principal| json!(principal.0)).collect()
        };
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Administer",
                    "Effect": "Allow",
                    "Principal": { "AWS": names(&self.administrators) },
                    "Action": TO_ADMINISTER,
                    "Resource": "*",
                },
                {
                    "Sid": "Sign",
                    "Effect": "Allow",
                    "Principal": { "AWS": names(&self.signers) },
                    "Action": "kms:Sign",
                    "Resource": "*",
                    "Condition": { "StringEquals": { "kms:SigningAlgorithm": algorithms_of(key_type) } },
                },
                {
                    "Sid": "Look",
                    "Effect": "Allow",
                    "Principal": { "AWS": names(&self.signers) },
                    "Action": ["kms:GetPublicKey", "kms:DescribeKey", "kms:ListResourceTags"],
                    "Resource": "*",
                },
            ],
        });
        // Cannot fail: a value of JSON is always JSON.
        serde_json::to_string_pretty(&policy).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(text: &str) -> PrincipalArn {
        PrincipalArn::parse(text).expect(text)
    }

    #[test]
    fn takes_roles_users_and_accounts_and_nothing_else() {
        for text in [
            "arn:aws:iam::111122223333:role/ca",
            "arn:aws:iam::111122223333:role/service-role/ca.prod@home",
            "arn:aws-us-gov:iam::111122223333:user/ana",
            "arn:aws:iam::111122223333:root",
        ] {
            assert!(PrincipalArn::parse(text).is_ok(), "{text}");
        }
        let session = PrincipalArn::parse("arn:aws:sts::111122223333:assumed-role/ca/service");
        assert_eq!(session, Err(PrincipalProblem::Session));
        for text in [
            "",
            "*",
            "role/ca",
            "arn:aws:iam::1111:role/ca",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role/*",
            "arn:aws:iam::111122223333:group/ca",
            "arn:aws:iam:sa-east-1:111122223333:role/ca",
            "arn:aws:kms::111122223333:role/ca",
        ] {
            assert_eq!(PrincipalArn::parse(text), Err(PrincipalProblem::NotAnArn), "{text}");
        }
    }

    #[test]
    fn who_signs_may_not_administer_and_who_administers_may_not_sign() {
        let signer = principal("arn:aws:iam::111122223333:role/ca");
        let policy = KeyPolicy::new(vec![signer], Vec::new()).expect("a policy").to_json(KeyType::P384);
        let policy: Value = serde_json::from_str(&policy).expect("JSON");
        let statement = |sid: &str| {
            let all = policy["Statement"].as_array().expect("statements");
            all.iter().find(|statement| statement["Sid"] == sid).cloned().expect(sid)
        };
        let administer = statement("Administer");
        assert_eq!(administer["Principal"]["AWS"], json!(["arn:aws:iam::111122223333:root"]), "IAM of the account");
        let actions = administer["Action"].as_array().expect("actions");
        for never in ["kms:*", "kms:Sign", "kms:CreateGrant"] {
            assert!(!actions.contains(&json!(never)), "{never}");
        }
        assert!(actions.contains(&json!("kms:PutKeyPolicy")), "nobody is locked out");
        let sign = statement("Sign");
        assert_eq!(sign["Action"], "kms:Sign");
        assert_eq!(sign["Principal"]["AWS"], json!(["arn:aws:iam::111122223333:role/ca"]));
        assert_eq!(sign["Condition"]["StringEquals"]["kms:SigningAlgorithm"], json!(["ECDSA_SHA_384"]));
        assert_eq!(statement("Look")["Principal"], sign["Principal"]);
        assert_eq!(KeyPolicy::new(Vec::new(), vec![principal("arn:aws:iam::111122223333:root")]), None);
    }
}
