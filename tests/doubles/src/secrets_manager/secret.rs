//! How secrets come, go and are described: their key, tags and replicas.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::version::{self, Content, Version};
use super::{ACCOUNT, OWN_KEY, SecretsManager, invalid};
use crate::json_protocol::{AwsError, Input, JsonService};

/// One secret.
pub(super) struct Secret {
    pub(super) arn: String,
    pub(super) key: Option<String>,
    pub(super) description: String,
    pub(super) tags: BTreeMap<String, String>,
    /// By region, the key there.
    pub(super) replicas: BTreeMap<String, Option<String>>,
    /// Unix seconds of when it will be gone.
    pub(super) deletion: Option<i64>,
    /// By token.
    pub(super) versions: BTreeMap<String, Version>,
    /// Which version has a label.
    pub(super) labels: BTreeMap<String, String>,
}

impl SecretsManager {
    pub(super) fn create(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&[
            "Name",
            "ClientRequestToken",
            "Description",
            "KmsKeyId",
            "SecretString",
            "SecretBinary",
            "Tags",
            "AddReplicaRegions",
            "ForceOverwriteReplicaSecret",
        ])?;
        let name = input.required_text("Name")?;
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "/_+=.@-".contains(letter);
        if name.is_empty() || name.len() > 512 || !name.chars().all(is_allowed) {
            return Err(AwsError::validation(
                "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
            ));
        }
        let content = Content::of(input)?;
        let token = version::token(input)?;
        if let Some(secret) = self.secrets.get(name) {
            let is_same = secret.versions.get(&token).is_some_and(|version| Some(&version.content) == content.as_ref());
            return match secret.deletion {
                Some(_) => Err(AwsError::new(
                    "InvalidRequestException",
                    "You can't create this secret because a secret with this name is already scheduled for deletion.",
                )),
                None if is_same => Ok(named(name, secret, Some(&token))),
                None => Err(AwsError::new(
                    "ResourceExistsException",
                    format!("The operation failed because the secret {name} already exists."),
                )),
            };
        }
        let key = input.text("KmsKeyId")?.map(str::to_owned);
        self.check_key(key.as_deref())?;
        self.made += 1;
        let mut secret = Secret {
            arn: format!("arn:aws:secretsmanager:{}:{ACCOUNT}:secret:{name}-{:06}", Self::REGION, self.made),
            key,
            description: input.text("Description")?.unwrap_or_default().to_owned(),
            tags: tags(input)?,
            replicas: regions(input)?,
            deletion: None,
            versions: BTreeMap::new(),
            labels: BTreeMap::new(),
        };
        let made = content.is_some().then_some(token.as_str());
        if let Some(content) = content {
            secret.add(&token, content, self.now);
            secret.put_label("AWSCURRENT", &token);
        }
        let answer = named(name, &secret, made);
        self.secrets.insert(name.to_owned(), secret);
        Ok(answer)
    }

    pub(super) fn describe(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["SecretId"])?;
        let name = self.find(input.required_text("SecretId")?)?;
        let secret = &self.secrets[&name];
        let mut stages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (label, token) in &secret.labels {
            stages.entry(token).or_default().push(label);
        }
        let tags: Vec<Value> = secret.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
        let mut answer = json!({
            "ARN": secret.arn,
            "Name": name,
            "Description": secret.description,
            "Tags": tags,
            "VersionIdsToStages": stages,
            "ReplicationStatus": replication(secret),
        });
        // The service's own key is not told.
        if let Some(key) = secret.key.as_deref().filter(|key| *key != OWN_KEY) {
            answer["KmsKeyId"] = json!(key);
        }
        if let Some(deletion) = secret.deletion {
            answer["DeletedDate"] = json!(deletion);
        }
        Ok(answer)
    }

    pub(super) fn update(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["SecretId", "Description", "KmsKeyId", "ClientRequestToken"])?;
        let key = input.text("KmsKeyId")?.map(str::to_owned);
        self.check_key(key.as_deref())?;
        let name = self.find(input.required_text("SecretId")?)?;
        let secret = self.usable(input)?;
        if let Some(key) = key {
            secret.key = Some(key);
        }
        if let Some(description) = input.text("Description")? {
            secret.description = description.to_owned();
        }
        Ok(named(&name, secret, None))
    }

    pub(super) fn delete(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["SecretId", "RecoveryWindowInDays", "ForceDeleteWithoutRecovery"])?;
        let name = self.find(input.required_text("SecretId")?)?;
        let now = self.now;
        if input.flag("ForceDeleteWithoutRecovery")? {
            if input.member("RecoveryWindowInDays").is_some() {
                return Err(invalid(
                    "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
                ));
            }
            let arn = self.secrets.remove(&name).map(|secret| secret.arn);
            return Ok(json!({"ARN": arn, "Name": name, "DeletionDate": now}));
        }
        let days = input.number("RecoveryWindowInDays")?.unwrap_or(30);
        if !(7..=30).contains(&days) {
            return Err(invalid("RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."));
        }
        let secret = self.usable(input)?;
        secret.deletion = Some(now + days * 86_400);
        Ok(json!({"ARN": secret.arn, "Name": name, "DeletionDate": secret.deletion}))
    }

    pub(super) fn restore(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["SecretId"])?;
        let name = self.find(input.required_text("SecretId")?)?;
        let secret = self.any(input)?;
        secret.deletion = None;
        Ok(json!({"ARN": secret.arn, "Name": name}))
    }

    pub(super) fn tag(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["SecretId", "Tags"])?;
        let added = tags(input)?;
        self.usable(input)?.tags.extend(added);
        Ok(Value::Null)
    }

    pub(super) fn untag(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["SecretId", "TagKeys"])?;
        let keys: Vec<String> = list(input, "TagKeys")?
            .iter()
            .map(|key| key.as_str().map(str::to_owned).ok_or_else(|| invalid("TagKeys are texts.")))
            .collect::<Result<_, _>>()?;
        self.usable(input)?.tags.retain(|key, _| !keys.contains(key));
        Ok(Value::Null)
    }

    pub(super) fn replicate(&mut self, input: &Input) -> Result<Value, AwsError> {
        input.check_names(&["SecretId", "AddReplicaRegions", "ForceOverwriteReplicaSecret"])?;
        let added = regions(input)?;
        let secret = self.usable(input)?;
        secret.replicas.extend(added);
        Ok(json!({"ARN": secret.arn, "ReplicationStatus": replication(secret)}))
    }
}

fn named(name: &str, secret: &Secret, version: Option<&str>) -> Value {
    let mut answer = json!({"ARN": secret.arn, "Name": name});
    if let Some(version) = version {
        answer["VersionId"] = json!(version);
    }
    answer
}

fn replication(secret: &Secret) -> Vec<Value> {
    let told = |(region, key): (&String, &Option<String>)| json!({"Region": region, "KmsKeyId": key.as_deref().unwrap_or(OWN_KEY), "Status": "InSync"});
    secret.replicas.iter().map(told).collect()
}

fn tags(input: &Input) -> Result<BTreeMap<String, String>, AwsError> {
    let mut tags = BTreeMap::new();
    for tag in list(input, "Tags")? {
        let (Some(key), Some(value)) = (tag["Key"].as_str(), tag["Value"].as_str()) else {
            return Err(invalid("A tag has a Key and a Value."));
        };
        if key.is_empty() || key.len() > 128 || key.starts_with("aws:") || value.len() > 256 {
            return Err(invalid(format!("The tag {key} is not allowed.")));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    if tags.len() > 50 {
        return Err(invalid("A secret has at most 50 tags."));
    }
    Ok(tags)
}

fn regions(input: &Input) -> Result<BTreeMap<String, Option<String>>, AwsError> {
    let mut regions = BTreeMap::new();
    for replica in list(input, "AddReplicaRegions")? {
        let region = replica["Region"].as_str().ok_or_else(|| invalid("A replica has a Region."))?;
        if region == SecretsManager::REGION {
            return Err(invalid(format!("Invalid replica region {region}: the secret is there.")));
        }
        regions.insert(region.to_owned(), replica["KmsKeyId"].as_str().map(str::to_owned));
    }
    Ok(regions)
}

fn list<'a>(input: &'a Input, name: &str) -> Result<&'a [Value], AwsError> {
    match input.member(name) {
        None => Ok(&[]),
        Some(value) => value
            .as_array()
            .map(Vec::as_slice)
            .ok_or_else(|| AwsError::new("SerializationException", format!("{name} is no list"))),
    }
}
