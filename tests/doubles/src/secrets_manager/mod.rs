//! AWS Secrets Manager: secrets with versions and staging labels, replicas, tags, and deletion that can be taken back.
//!
//! It does what the API reference says, also where emulators are more lenient: a version token names one content for ever, a value
//! is at most 65,536 octets and either text or octets, one version has a label, keys that nobody made encrypt nothing, versions
//! without a label go when there are too many, and a secret that is to be deleted is not read.

mod label;
mod secret;
mod value;
mod version;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::secret::Secret;
use crate::json_protocol::{AwsError, Input, JsonDouble, JsonService};

/// The secrets of one account in one region.
#[derive(Default)]
pub struct SecretsManager {
    secrets: BTreeMap<String, Secret>,
    /// ARNs of the keys that may encrypt; the service's own always may.
    keys: Vec<String>,
    /// How many secrets were made: no ARN is given twice, not even to a secret of the same name.
    made: usize,
    /// Unix seconds; moves only when a test says so.
    now: i64,
}

/// AWS Secrets Manager in memory.
pub type SecretsManagerDouble = JsonDouble<SecretsManager>;

impl SecretsManagerDouble {
    /// Without any secret.
    pub fn start() -> anyhow::Result<Self> {
        Self::of(SecretsManager { now: 1_795_176_000, ..SecretsManager::default() })
    }

    /// Lets a key of KMS encrypt secrets.
    pub fn know_key(&self, arn: &str) {
        self.with(|service| service.keys.push(arn.to_owned()));
    }

    /// Lets time pass.
    pub fn advance(&self, seconds: i64) {
        self.with(|service| service.now += seconds);
    }

    /// The text of the version with a label; `None` when there is no such secret or version, or its value is no text.
    pub fn text(&self, secret: &str, label: &str) -> Option<String> {
        let answer = self.ask("GetSecretValue", json!({"SecretId": secret, "VersionStage": label})).ok()?;
        answer["SecretString"].as_str().map(str::to_owned)
    }

    /// The versions of a secret with the labels that each has; without those that have none.
    pub fn labels(&self, secret: &str) -> BTreeMap<String, Vec<String>> {
        let Ok(answer) = self.ask("DescribeSecret", json!({"SecretId": secret})) else { return BTreeMap::new() };
        serde_json::from_value(answer["VersionIdsToStages"].clone()).unwrap_or_default()
    }
}

impl JsonService for SecretsManager {
    const TARGET: &'static str = "secretsmanager";
    const SIGNING_NAME: &'static str = "secretsmanager";

    fn serve(&mut self, operation: &str, input: &Input) -> Result<Value, AwsError> {
        match operation {
            "CreateSecret" => self.create(input),
            "DescribeSecret" => self.describe(input),
            "UpdateSecret" => self.update(input),
            "DeleteSecret" => self.delete(input),
            "RestoreSecret" => self.restore(input),
            "TagResource" => self.tag(input),
            "UntagResource" => self.untag(input),
            "ReplicateSecretToRegions" => self.replicate(input),
            "PutSecretValue" => self.put_value(input),
            "GetSecretValue" => self.value(input),
            "ListSecretVersionIds" => self.versions(input),
            "UpdateSecretVersionStage" => self.move_label(input),
            _ => Err(AwsError::new(
                "UnknownOperationException",
                format!("the double of Secrets Manager does not know {operation}; it is to be added, not passed over"),
            )),
        }
    }
}

impl SecretsManager {
    /// The name of a secret by its name, its ARN, or its ARN without the six letters at the end.
    fn find(&self, secret_id: &str) -> Result<String, AwsError> {
        if secret_id.is_empty() || secret_id.len() > 2_048 {
            return Err(AwsError::validation("Invalid length for parameter SecretId"));
        }
        let Some(rest) = secret_id.strip_prefix("arn:") else {
            return if self.secrets.contains_key(secret_id) { Ok(secret_id.to_owned()) } else { Err(not_found()) };
        };
        let parts: Vec<&str> = rest.splitn(6, ':').collect();
        match parts[..] {
            ["aws", "secretsmanager", region, ..] if region != Self::REGION => {
                Err(AwsError::validation(format!("Invalid region {region} in the ARN")))
            }
            ["aws", "secretsmanager", _, account, ..] if account != ACCOUNT => Err(AwsError::new(
                "AccessDeniedException",
                format!("{secret_id} is of another account, which does not let this one use it."),
            )),
            ["aws", "secretsmanager", _, _, "secret", name] => {
                let is_it = |(known, secret): &(&String, &Secret)| secret.arn == secret_id || known.as_str() == name;
                self.secrets.iter().find(is_it).map(|(known, _)| known.clone()).ok_or_else(not_found)
            }
            _ => Err(AwsError::new("InvalidParameterException", format!("Invalid ARN {secret_id}"))),
        }
    }

    /// The secret that is asked for, which may be about to be deleted.
    fn any(&mut self, input: &Input) -> Result<&mut Secret, AwsError> {
        let name = self.find(input.required_text("SecretId")?)?;
        self.secrets.get_mut(&name).ok_or_else(not_found)
    }

    /// The secret that is asked for, which must not be about to be deleted.
    fn usable(&mut self, input: &Input) -> Result<&mut Secret, AwsError> {
        let secret = self.any(input)?;
        match secret.deletion {
            None => Ok(secret),
            Some(_) => Err(AwsError::new(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            )),
        }
    }

    /// Refuses a key that does not encrypt: one that nobody made, or that was taken away.
    fn check_key(&self, key: Option<&str>) -> Result<(), AwsError> {
        match key {
            Some(key) if key != OWN_KEY && !self.keys.iter().any(|known| known == key) => Err(AwsError::new(
                "EncryptionFailure",
                format!("Secrets Manager can't encrypt the protected secret text using the provided KMS key {key}."),
            )),
            _ => Ok(()),
        }
    }
}

fn not_found() -> AwsError {
    AwsError::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

/// The double's account.
const ACCOUNT: &str = "111122223333";
/// The service's own key.
const OWN_KEY: &str = "alias/aws/secretsmanager";

#[cfg(test)]
mod tests;
