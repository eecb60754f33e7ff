//! Staging labels: each is of one version at most, and `AWSPREVIOUS` follows where `AWSCURRENT` was.

use serde_json::{Value, json};

use super::secret::Secret;
use super::{SecretsManager, invalid};
use crate::json_protocol::{AwsError, Input};

impl Secret {
    /// Gives a label to a version, wherever it was. Where that is `AWSCURRENT`, the version that had it is the previous one now.
    pub(super) fn put_label(&mut self, label: &str, token: &str) {
        let before = self.labels.insert(label.to_owned(), token.to_owned());
        if label != "AWSCURRENT" {
            return;
        }
        if let Some(before) = before.filter(|before| before != token) {
            self.labels.insert("AWSPREVIOUS".to_owned(), before);
        }
        // No version is both.
        if self.labels.get("AWSPREVIOUS").is_some_and(|previous| previous == token) {
            self.labels.remove("AWSPREVIOUS");
        }
    }

    /// The labels of a version.
    pub(super) fn labels_of(&self, token: &str) -> Vec<&str> {
        self.labels.iter().filter(|(_, labelled)| *labelled == token).map(|(label, _)| label.as_str()).collect()
    }
}

impl SecretsManager {
    pub(super) fn move_label(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["SecretId", "VersionStage", "RemoveFromVersionId", "MoveToVersionId"])?;
        let name = self.find(input.required_text("SecretId")?)?;
        let label = input.required_text("VersionStage")?;
        let (from, to) = (input.text("RemoveFromVersionId")?, input.text("MoveToVersionId")?);
        let secret = self.usable(input)?;
        for token in [from, to].into_iter().flatten() {
            if !secret.versions.contains_key(token) {
                return Err(AwsError::new(
                    "ResourceNotFoundException",
                    format!("Secrets Manager can't find the specified secret version: {token}."),
                ));
            }
        }
        let holder = secret.labels.get(label).cloned();
        if let Some(from) = from
            && holder.as_deref() != Some(from)
        {
            return Err(invalid(format!("The version {from} does not have the staging label {label}.")));
        }
        match (to, holder) {
            (Some(to), Some(holder)) if holder != to && from.is_none() => {
                return Err(invalid(format!(
                    "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to \
                     version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
                )));
            }
            (Some(to), _) => secret.put_label(label, to),
            (None, _) if label == "AWSCURRENT" => {
                return Err(invalid("You can't remove the staging label AWSCURRENT; move it to another version."));
            }
            (None, Some(_)) => {
                secret.labels.remove(label);
            }
            (None, None) => return Err(invalid("There is nothing to move.")),
        }
        Ok(json!({"ARN": secret.arn, "Name": name}))
    }
}
