//! Versions of a secret: put, read, listed, and pruned.

use serde_json::{Value, json};

use super::secret::Secret;
use super::version::{Content, Version, token};
use super::{SecretsManager, invalid};
use crate::json_protocol::{AwsError, Input};

/// How many versions are kept, about.
const MOST_VERSIONS: usize = 100;
/// For how long a version is kept whatever their number, in seconds.
const KEPT_FOR: i64 = 86_400;

impl Secret {
    /// Keeps a version, and lets go of the oldest that nobody names if there are too many.
    pub(super) fn add(&mut self, token: &str, content: Content, now: i64) {
        self.versions.insert(token.to_owned(), Version { content, made_at: now });
        while self.versions.len() > MOST_VERSIONS {
            let is_labelled = |token: &String| self.labels.values().any(|labelled| labelled == token);
            let oldest = self
                .versions
                .iter()
                .filter(|(token, version)| !is_labelled(token) && version.made_at + KEPT_FOR <= now)
                .min_by_key(|(_, version)| version.made_at)
                .map(|(token, _)| token.clone());
            match oldest {
                Some(oldest) => self.versions.remove(&oldest),
                None => break,
            };
        }
    }
}

impl SecretsManager {
    pub(super) fn put_value(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["SecretId", "ClientRequestToken", "SecretString", "SecretBinary", "VersionStages"])?;
        let content =
            Content::of(input)?.ok_or_else(|| invalid("You must provide either SecretString or SecretBinary."))?;
        let token = token(input)?;
        let labels = labels(input)?;
        let name = self.find(input.required_text("SecretId")?)?;
        let now = self.now;
        let key = self.usable(input)?.key.clone();
        self.check_key(key.as_deref())?;
        let secret = self.usable(input)?;
        match secret.versions.get(&token) {
            Some(version) if version.content != content => {
                return Err(AwsError::new(
                    "ResourceExistsException",
                    format!("You can't change the value of the secret version {token}; it has another already."),
                ));
            }
            // Asked again: it is there, and its labels are where they were moved to since.
            Some(_) => {}
            None => {
                secret.add(&token, content, now);
                for label in &labels {
                    secret.put_label(label, &token);
                }
                // The first version is the current one.
                if !secret.labels.contains_key("AWSCURRENT") {
                    secret.put_label("AWSCURRENT", &token);
                }
            }
        }
        let labels = secret.labels_of(&token);
        Ok(json!({"ARN": secret.arn, "Name": name, "VersionId": token, "VersionStages": labels}))
    }

    pub(super) fn value(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["SecretId", "VersionId", "VersionStage"])?;
        let name = self.find(input.required_text("SecretId")?)?;
        let (version_id, label) = (input.text("VersionId")?, input.text("VersionStage")?);
        let key = self.usable(input)?.key.clone();
        // What a lost key has encrypted nobody reads.
        self.check_key(key.as_deref()).map_err(|_| {
            AwsError::new("DecryptionFailure", "Secrets Manager can't decrypt the protected secret text using the key.")
        })?;
        let secret = self.usable(input)?;
        let labelled = secret.labels.get(label.unwrap_or("AWSCURRENT"));
        let token = match (version_id, label) {
            (Some(version_id), None) => version_id.to_owned(),
            (Some(version_id), Some(_)) if labelled.is_none_or(|labelled| labelled != version_id) => {
                return Err(invalid("The version id and the version stage are not of the same version."));
            }
            _ => labelled.cloned().ok_or_else(|| no_version(label.unwrap_or("AWSCURRENT")))?,
        };
        let version = secret.versions.get(&token).ok_or_else(|| no_version(&token))?;
        let mut answer = json!({
            "ARN": secret.arn,
            "Name": name,
            "VersionId": token,
            "VersionStages": secret.labels_of(&token),
            "CreatedDate": version.made_at,
        });
        match &version.content {
            Content::Text(text) => answer["SecretString"] = json!(text),
            Content::Octets(octets) => answer["SecretBinary"] = json!(base64_of(octets)),
        }
        Ok(answer)
    }

    pub(super) fn versions(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["SecretId", "IncludeDeprecated", "MaxResults", "NextToken"])?;
        let name = self.find(input.required_text("SecretId")?)?;
        let includes_deprecated = input.flag("IncludeDeprecated")?;
        let secret = self.any(input)?;
        let versions: Vec<Value> = secret
            .versions
            .iter()
            .map(|(token, version)| (token, version, secret.labels_of(token)))
            .filter(|(_, _, labels)| includes_deprecated || !labels.is_empty())
            .map(|(token, version, labels)| {
                json!({"VersionId": token, "VersionStages": labels, "CreatedDate": version.made_at})
            })
            .collect();
        Ok(json!({"ARN": secret.arn, "Name": name, "Versions": versions}))
    }
}

fn labels(input: &Input) -> Result<Vec<String>, AwsError> {
    let Some(labels) = input.member("VersionStages") else { return Ok(vec!["AWSCURRENT".to_owned()]) };
    let labels = labels.as_array().filter(|labels| (1..=20).contains(&labels.len()));
    let labels = labels.ok_or_else(|| invalid("VersionStages must have 1 to 20 members."))?;
    labels.iter().map(|label| label.as_str().map(str::to_owned).ok_or_else(|| invalid("A stage is a text."))).collect()
}

fn no_version(named: &str) -> AwsError {
    AwsError::new(
        "ResourceNotFoundException",
        format!("Secrets Manager can't find the specified secret value for staging label or version: {named}"),
    )
}

fn base64_of(octets: &[u8]) -> String {
    use base64::Engine;

    base64::prelude::BASE64_STANDARD.encode(octets)
}
