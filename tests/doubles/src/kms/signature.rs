//! Public keys and signatures: over a message, which is hashed here, or over a digest, which is signed as it is.

use aws_lc_rs::digest::{self, Digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::material::{SIGNING_ALGORITHMS, digest_of};
use super::{Kms, Quota, arn_of, check_dry_run, check_length, usage, usage_of};
use crate::json_protocol::{AwsError, Input};

impl Kms {
    pub(super) fn public_key(&self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["KeyId", "GrantTokens"])?;
        let id = self.find(input.required_text("KeyId")?)?;
        self.permitted(&id, "kms:GetPublicKey", None)?;
        let key = self.usable(&id)?;
        if key.spec.is_symmetric() {
            return Err(AwsError::new(
                "UnsupportedOperationException",
                format!("You cannot get the public key of {}, which is symmetric.", arn_of(&id)),
            ));
        }
        Ok(json!({
            "KeyId": arn_of(&id),
            "PublicKey": BASE64_STANDARD.encode(key.material.public_key()?),
            "CustomerMasterKeySpec": key.spec.as_str(),
            "KeySpec": key.spec.as_str(),
            "KeyUsage": usage_of(key.spec),
            "SigningAlgorithms": key.spec.signing_algorithms(),
        }))
    }

    pub(super) fn sign(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["KeyId", "Message", "MessageType", "SigningAlgorithm", "GrantTokens", "DryRun"])?;
        let key_id = input.required_text("KeyId")?;
        let message = input.octets("Message")?;
        let message_type = input.text("MessageType")?.unwrap_or("RAW");
        let algorithm = input.required_text("SigningAlgorithm")?;
        check_length("message", message.len(), 4_096)?;
        check_enum("messageType", message_type, &["RAW", "DIGEST", "EXTERNAL_MU"])?;
        check_enum("signingAlgorithm", algorithm, &SIGNING_ALGORITHMS)?;
        if input.member("GrantTokens").and_then(Value::as_array).is_some_and(|tokens| !tokens.is_empty()) {
            return Err(AwsError::new("InvalidGrantTokenException", "the double gives no grants"));
        }
        self.take_from_quota()?;
        let id = self.find(key_id)?;
        self.permitted(&id, "kms:Sign", Some(algorithm))?;
        let key = self.usable(&id)?;
        if key.spec.is_symmetric() {
            return Err(usage(&id, "ENCRYPT_DECRYPT", "Sign"));
        }
        if !key.spec.signing_algorithms().contains(&algorithm) {
            return Err(AwsError::new(
                "InvalidKeyUsageException",
                format!("Algorithm {algorithm} is incompatible with key spec {}.", key.spec.as_str()),
            ));
        }
        // Every algorithm of the double's kinds of keys has one.
        let by = digest_of(algorithm).ok_or_else(|| AwsError::validation("no digest"))?;
        let digest = match message_type {
            "DIGEST" => Digest::import_less_safe(&message, by)
                .map_err(|_| AwsError::validation(format!("Digest is invalid length for algorithm {algorithm}.")))?,
            "RAW" => digest::digest(by, &message),
            _ => return Err(AwsError::validation(format!("{message_type} is not supported for {algorithm}."))),
        };
        check_dry_run(input)?;
        Ok(json!({
            "KeyId": arn_of(&id),
            "Signature": BASE64_STANDARD.encode(key.material.sign(algorithm, &digest)?),
            "SigningAlgorithm": algorithm,
        }))
    }

    fn take_from_quota(&mut self) -> Result<(), AwsError> {
        let Some(quota) = &mut self.quota else { return Ok(()) };
        if quota.since.elapsed() >= Duration::from_secs(1) {
            *quota = Quota { per_second: quota.per_second, since: Instant::now(), used: 0 };
        }
        if quota.used >= quota.per_second {
            return Err(AwsError::new(
                "ThrottlingException",
                "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
            ));
        }
        quota.used += 1;
        Ok(())
    }
}

fn check_enum(name: &str, value: &str, known: &[&str]) -> Result<(), AwsError> {
    if known.contains(&value) {
        return Ok(());
    }
    Err(AwsError::validation(format!(
        "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must satisfy enum \
         value set: [{}]",
        known.join(", ")
    )))
}
