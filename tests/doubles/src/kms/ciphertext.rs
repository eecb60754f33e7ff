//! What is sealed under symmetric keys, with an encryption context that must be the same when it is opened.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::material::context_octets;
use super::{Kms, arn_of, check_dry_run, check_length, usage};
use crate::json_protocol::{AwsError, Input};

impl Kms {
    pub(super) fn encrypt(&self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&[
            "KeyId",
            "Plaintext",
            "EncryptionContext",
            "EncryptionAlgorithm",
            "GrantTokens",
            "DryRun",
        ])?;
        let plaintext = input.octets("Plaintext")?;
        check_length("plaintext", plaintext.len(), 4_096)?;
        let id = self.find(input.required_text("KeyId")?)?;
        let blob = self.seal(&id, &plaintext, &input.texts("EncryptionContext")?)?;
        check_dry_run(input)?;
        Ok(json!({
            "KeyId": arn_of(&id),
            "CiphertextBlob": BASE64_STANDARD.encode(blob),
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        }))
    }

    pub(super) fn decrypt(&self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&[
            "KeyId",
            "CiphertextBlob",
            "EncryptionContext",
            "EncryptionAlgorithm",
            "GrantTokens",
            "DryRun",
            "Recipient",
        ])?;
        let blob = input.octets("CiphertextBlob")?;
        check_length("ciphertextBlob", blob.len(), 6_144)?;
        let (id, plaintext) = self.open(&blob, input.text("KeyId")?, &input.texts("EncryptionContext")?)?;
        check_dry_run(input)?;
        Ok(json!({
            "KeyId": arn_of(&id),
            "Plaintext": BASE64_STANDARD.encode(plaintext),
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        }))
    }

    pub(super) fn re_encrypt(&self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&[
            "CiphertextBlob",
            "SourceKeyId",
            "SourceEncryptionContext",
            "SourceEncryptionAlgorithm",
            "DestinationKeyId",
            "DestinationEncryptionContext",
            "DestinationEncryptionAlgorithm",
            "GrantTokens",
            "DryRun",
        ])?;
        let blob = input.octets("CiphertextBlob")?;
        check_length("ciphertextBlob", blob.len(), 6_144)?;
        let destination = self.find(input.required_text("DestinationKeyId")?)?;
        let context = input.texts("SourceEncryptionContext")?;
        let (source, plaintext) = self.open(&blob, input.text("SourceKeyId")?, &context)?;
        let blob = self.seal(&destination, &plaintext, &input.texts("DestinationEncryptionContext")?)?;
        check_dry_run(input)?;
        Ok(json!({
            "CiphertextBlob": BASE64_STANDARD.encode(blob),
            "SourceKeyId": arn_of(&source),
            "KeyId": arn_of(&destination),
            "SourceEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "DestinationEncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        }))
    }

    /// A sealed text names its key, as that of AWS does, so that `Decrypt` needs none.
    fn seal(&self, id: &str, plaintext: &[u8], context: &BTreeMap<String, String>) -> Result<Vec<u8>, AwsError> {
        let key = self.usable(id)?;
        if !key.spec.is_symmetric() {
            return Err(usage(id, "SIGN_VERIFY", "Encrypt"));
        }
        let mut blob = id.as_bytes().to_vec();
        blob.push(0);
        blob.append(&mut key.material.encrypt(plaintext, &context_octets(context))?);
        Ok(blob)
    }

    fn open(
        &self,
        blob: &[u8],
        wanted: Option<&str>,
        context: &BTreeMap<String, String>,
    ) -> Result<(String, Vec<u8>), AwsError> {
        // AWS tells nothing of why.
        let invalid = || AwsError::new("InvalidCiphertextException", "");
        let wanted = wanted.map(|wanted| self.find(wanted)).transpose()?;
        let end = blob.iter().position(|octet| *octet == 0).ok_or_else(invalid)?;
        let id = std::str::from_utf8(&blob[..end]).map_err(|_| invalid())?.to_owned();
        if !self.keys.contains_key(&id) {
            return Err(invalid());
        }
        if let Some(wanted) = wanted
            && wanted != id
        {
            return Err(AwsError::new(
                "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation.",
            ));
        }
        let key = self.usable(&id)?;
        let plaintext = key.material.decrypt(&blob[end + 1..], &context_octets(context)).ok_or_else(invalid)?;
        Ok((id, plaintext))
    }
}
