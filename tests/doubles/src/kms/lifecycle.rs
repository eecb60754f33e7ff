//! How keys come, go and are named: made, described, rotated, disabled, deleted, and their aliases.

use serde_json::{Value, json};

use super::material::{KeySpec, Material};
use super::policy::{policy_of, tags_of};
use super::{ACCOUNT, ARN_START, KeyState, Kms, arn_of, not_found, usage_of};
use crate::json_protocol::{AwsError, Input};

/// When a key that is scheduled for it is deleted; nobody waits for that.
pub(super) const DELETION_DATE: i64 = 1_797_768_000;

impl Kms {
    pub(super) fn create(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["KeySpec", "KeyUsage", "Description", "Tags", "Policy", "Origin"])?;
        let spec = input.text("KeySpec")?.unwrap_or("SYMMETRIC_DEFAULT");
        let Some(spec) = KeySpec::parse(spec) else {
            return Err(AwsError::validation(format!("the double of KMS makes no key of the kind {spec}")));
        };
        let usage = input.text("KeyUsage")?.unwrap_or("ENCRYPT_DECRYPT");
        if usage != usage_of(spec) {
            // RSA keys may encrypt at AWS; the double has no such keys and says so.
            return Err(AwsError::validation(format!(
                "KeyUsage {usage} is not compatible with KeySpec {} here",
                spec.as_str()
            )));
        }
        let description = input.text("Description")?.unwrap_or_default().to_owned();
        let (tags, policy) = (tags_of(input)?, policy_of(input)?);
        let arn = self.create_key(spec, Material::generate(spec)?, description)?;
        let id = self.find(&arn)?;
        if let Some(key) = self.keys.get_mut(&id) {
            (key.tags, key.policy) = (tags, policy);
        }
        Ok(json!({"KeyMetadata": self.metadata(&id)}))
    }

    pub(super) fn describe(&self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["KeyId", "GrantTokens"])?;
        Ok(json!({"KeyMetadata": self.metadata(&self.find(input.required_text("KeyId")?)?)}))
    }

    fn metadata(&self, id: &str) -> Value {
        let key = &self.keys[id];
        let mut metadata = json!({
            "AWSAccountId": ACCOUNT,
            "KeyId": id,
            "Arn": arn_of(id),
            "CreationDate": 1_795_176_000,
            "Enabled": key.state == KeyState::Enabled,
            "Description": key.description,
            "KeyUsage": usage_of(key.spec),
            "KeyState": format!("{:?}", key.state),
            "Origin": "AWS_KMS",
            "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": key.spec.as_str(),
            "KeySpec": key.spec.as_str(),
            "MultiRegion": false,
        });
        if key.spec.is_symmetric() {
            metadata["EncryptionAlgorithms"] = json!(["SYMMETRIC_DEFAULT"]);
        } else {
            metadata["SigningAlgorithms"] = json!(key.spec.signing_algorithms());
        }
        if let Some(deletion) = key.deletion {
            metadata["DeletionDate"] = json!(deletion);
        }
        metadata
    }

    pub(super) fn rotate(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["KeyId"])?;
        let id = self.find(input.required_text("KeyId")?)?;
        self.usable(&id)?;
        let key = self.keys.get_mut(&id).ok_or_else(|| not_found(&id))?;
        if !key.spec.is_symmetric() {
            return Err(AwsError::new(
                "UnsupportedOperationException",
                format!("{} is asymmetric and cannot be rotated.", arn_of(&id)),
            ));
        }
        key.material.rotate()?;
        Ok(json!({"KeyId": arn_of(&id)}))
    }

    pub(super) fn switch(&mut self, input: &Input, state: KeyState) -> Result<Value, AwsError> {
        input.check_names(&["KeyId"])?;
        let id = self.find(input.required_text("KeyId")?)?;
        self.not_pending_deletion(&id)?;
        let key = self.keys.get_mut(&id).ok_or_else(|| not_found(&id))?;
        key.state = state;
        Ok(Value::Null)
    }

    pub(super) fn schedule_deletion(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["KeyId", "PendingWindowInDays"])?;
        let days = input.number("PendingWindowInDays")?.unwrap_or(30);
        if !(7..=30).contains(&days) {
            return Err(AwsError::validation("PendingWindowInDays must be between 7 and 30."));
        }
        let id = self.find(input.required_text("KeyId")?)?;
        self.not_pending_deletion(&id)?;
        let key = self.keys.get_mut(&id).ok_or_else(|| not_found(&id))?;
        key.state = KeyState::PendingDeletion;
        key.deletion = Some(DELETION_DATE);
        Ok(json!({
            "KeyId": arn_of(&id),
            "DeletionDate": DELETION_DATE,
            "KeyState": "PendingDeletion",
            "PendingWindowInDays": days,
        }))
    }

    pub(super) fn cancel_deletion(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["KeyId"])?;
        let id = self.find(input.required_text("KeyId")?)?;
        let key = self.keys.get_mut(&id).ok_or_else(|| not_found(&id))?;
        if key.state != KeyState::PendingDeletion {
            return Err(AwsError::new("KMSInvalidStateException", format!("{} is not pending deletion.", arn_of(&id))));
        }
        // It is not enabled by that.
        key.state = KeyState::Disabled;
        key.deletion = None;
        Ok(json!({"KeyId": arn_of(&id)}))
    }

    pub(super) fn create_alias(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["AliasName", "TargetKeyId"])?;
        let name = input.required_text("AliasName")?;
        if !name.starts_with("alias/") || name.starts_with("alias/aws/") {
            return Err(AwsError::validation("Alias must start with the prefix \"alias/\"."));
        }
        let id = self.find_key(input.required_text("TargetKeyId")?)?;
        self.not_pending_deletion(&id)?;
        if self.aliases.contains_key(name) {
            return Err(AwsError::new(
                "AlreadyExistsException",
                format!("An alias with the name {name} already exists"),
            ));
        }
        self.aliases.insert(name.to_owned(), id);
        Ok(Value::Null)
    }

    pub(super) fn update_alias(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["AliasName", "TargetKeyId"])?;
        let name = input.required_text("AliasName")?;
        let id = self.find_key(input.required_text("TargetKeyId")?)?;
        self.not_pending_deletion(&id)?;
        let target = self
            .aliases
            .get_mut(name)
            .ok_or_else(|| AwsError::new("NotFoundException", format!("Alias {ARN_START}{name} is not found.")))?;
        *target = id;
        Ok(Value::Null)
    }
}
