//! Policies and tags of keys: what is taken of them when a key is made, what they allow the double's one caller, and how keys are found
//! by their tags.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ACCOUNT, Kms, arn_of, not_found};
use crate::json_protocol::{AwsError, Input};

/// The role that everybody who calls has. Its own policy lets it do everything, where a key's policy leaves that to IAM.
const CALLER: &str = "arn:aws:iam::111122223333:role/ca";
/// The principal by which a key's policy leaves something to IAM.
const ROOT: &str = "arn:aws:iam::111122223333:root";

impl Kms {
    /// How many more times keys are listed without a key that is made from now on: lists lag behind at AWS.
    pub fn set_listing_lag(&mut self, times: usize) {
        self.listing_lag = times;
    }

    /// How many keys the account may have; `None`: as many as are made.
    pub fn set_key_limit(&mut self, most: Option<usize>) {
        self.key_limit = most;
    }

    /// The ARNs of all keys, in the order in which they were made.
    pub fn arns(&self) -> Vec<String> {
        self.keys.keys().map(|id| arn_of(id)).collect()
    }

    pub(super) fn list(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["Limit", "Marker"])?;
        let limit = input.number("Limit")?.unwrap_or(100);
        let page = usize::try_from(limit).ok().filter(|limit| (1..=1_000).contains(limit));
        let page = page.ok_or_else(|| AwsError::validation("Limit must be between 1 and 1000."))?;
        let from = match input.text("Marker")? {
            None => 0,
            Some(marker) => marker.parse().map_err(|_| AwsError::new("InvalidMarkerException", "Invalid marker"))?,
        };
        let listed: Vec<Value> = self
            .keys
            .iter()
            .filter(|(_, key)| key.unlisted == 0)
            .map(|(id, _)| json!({"KeyId": id, "KeyArn": arn_of(id)}))
            .collect();
        if from == 0 {
            for key in self.keys.values_mut() {
                key.unlisted = key.unlisted.saturating_sub(1);
            }
        }
        let shown: Vec<Value> = listed.iter().skip(from).take(page).cloned().collect();
        let end = from + shown.len();
        let mut answer = json!({"Keys": shown, "Truncated": end < listed.len()});
        if end < listed.len() {
            answer["NextMarker"] = json!(end.to_string());
        }
        Ok(answer)
    }

    pub(super) fn list_tags(&self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["KeyId", "Limit", "Marker"])?;
        let id = self.find_key(input.required_text("KeyId")?)?;
        let key = self.keys.get(&id).ok_or_else(|| not_found(&id))?;
        let tags: Vec<Value> =
            key.tags.iter().map(|(name, value)| json!({"TagKey": name, "TagValue": value})).collect();
        Ok(json!({"Tags": tags, "Truncated": false}))
    }

    pub(super) fn policy(&self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["KeyId", "PolicyName"])?;
        let id = self.find_key(input.required_text("KeyId")?)?;
        let key = self.keys.get(&id).ok_or_else(|| not_found(&id))?;
        let policy = key.policy.clone().unwrap_or_else(|| json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "Enable IAM User Permissions", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*",
            }],
        }));
        Ok(json!({"Policy": policy.to_string(), "PolicyName": "default"}))
    }

    /// Refuses what a key's policy does not let the caller do.
    pub(super) fn permitted(&self, id: &str, action: &str, algorithm: Option<&str>) -> Result<(), AwsError> {
        let key = self.keys.get(id).ok_or_else(|| not_found(id))?;
        match key.policy.as_ref().is_none_or(|policy| allows(policy, action, algorithm)) {
            true => Ok(()),
            false => Err(AwsError::new(
                "AccessDeniedException",
                format!(
                    "User: arn:aws:sts::{ACCOUNT}:assumed-role/ca/service is not authorized to perform: {action} on resource: {} \
                     because no resource-based policy allows the {action} action",
                    arn_of(id)
                ),
            )),
        }
    }
}

/// The tags of a key that is to be made.
pub(super) fn tags_of(input: &Input) -> Result<Vec<(String, String)>, AwsError> {
    let Some(tags) = input.member("Tags") else { return Ok(Vec::new()) };
    let no_tag = || AwsError::new("TagException", "a tag has a TagKey and a TagValue");
    let mut names = BTreeSet::new();
    let mut read = Vec::new();
    for tag in tags.as_array().ok_or_else(no_tag)? {
        let text = |name: &str| tag.get(name).and_then(Value::as_str).ok_or_else(no_tag);
        let (name, value) = (text("TagKey")?, text("TagValue")?);
        let is_allowed = |text: &str, most: usize| {
            text.len() <= most && text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c))
        };
        if name.is_empty() || name.starts_with("aws:") || !is_allowed(name, 128) || !is_allowed(value, 256) {
            return Err(AwsError::new("TagException", format!("the tag {name} is not valid")));
        }
        if !names.insert(name) {
            return Err(AwsError::new("TagException", format!("the tag {name} is there twice")));
        }
        read.push((name.to_owned(), value.to_owned()));
    }
    Ok(read)
}

/// The policy of a key that is to be made; refused when it would lock the caller out.
pub(super) fn policy_of(input: &Input) -> Result<Option<Value>, AwsError> {
    let malformed = |message: &str| AwsError::new("MalformedPolicyDocumentException", message);
    let Some(text) = input.text("Policy")? else { return Ok(None) };
    let policy: Value = serde_json::from_str(text).map_err(|_| malformed("Policy is not JSON."))?;
    if policy["Version"] != "2012-10-17" || !policy["Statement"].is_array() {
        return Err(malformed("Policy has no version or no statements."));
    }
    let here = format!("arn:aws:iam::{ACCOUNT}:");
    let foreign = |principal: &String| !principal.starts_with(&here);
    if statements(&policy).flat_map(|statement| texts(&statement["Principal"]["AWS"])).any(|one| foreign(&one)) {
        return Err(malformed("Policy contains a statement with one or more invalid principals."));
    }
    match allows(&policy, "kms:PutKeyPolicy", None) {
        true => Ok(Some(policy)),
        false => Err(malformed("The new key policy will not allow you to update the key policy in the future.")),
    }
}

fn allows(policy: &Value, action: &str, algorithm: Option<&str>) -> bool {
    statements(policy).any(|statement| {
        let is_meant = texts(&statement["Principal"]["AWS"]).iter().any(|one| one == CALLER || one == ROOT);
        let is_allowed = texts(&statement["Action"]).iter().any(|one| one == action || one == "kms:*");
        let only = texts(&statement["Condition"]["StringEquals"]["kms:SigningAlgorithm"]);
        let fits = only.is_empty() || algorithm.is_some_and(|algorithm| only.iter().any(|one| one == algorithm));
        statement["Effect"] == "Allow" && is_meant && is_allowed && fits
    })
}

fn statements(policy: &Value) -> impl Iterator<Item = &Value> {
    policy["Statement"].as_array().into_iter().flatten()
}

/// A text, or several.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
