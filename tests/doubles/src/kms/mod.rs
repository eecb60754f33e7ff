//! AWS KMS: keys with their states, policies, tags and aliases; signatures over messages and digests; what is sealed under symmetric keys.
//!
//! It does what the API reference and the table of key states say, also where emulators are more lenient: a digest is signed as
//! it is and never hashed again, PSS salts are as long as the digest, disabled keys do nothing, algorithms belong to kinds of keys.

mod ciphertext;
mod lifecycle;
mod material;
mod policy;
mod signature;

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;

use self::lifecycle::DELETION_DATE;
pub use self::material::KeySpec;
use self::material::Material;
use crate::json_protocol::{AwsError, Input, JsonDouble, JsonService};

/// What a key may be used for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Everything.
    Enabled,
    /// Nothing until it is enabled.
    Disabled,
    /// Nothing; it will be deleted unless that is canceled.
    PendingDeletion,
}

struct Key {
    spec: KeySpec,
    state: KeyState,
    deletion: Option<i64>,
    description: String,
    material: Material,
    /// Who may what; `None`: the one that AWS writes by itself, which leaves everything to IAM.
    policy: Option<Value>,
    tags: Vec<(String, String)>,
    /// How many more times keys are listed without it.
    unlisted: usize,
}

/// The keys of one account in one region.
#[derive(Default)]
pub struct Kms {
    keys: BTreeMap<String, Key>,
    aliases: BTreeMap<String, String>,
    quota: Option<Quota>,
    listing_lag: usize,
    key_limit: Option<usize>,
}

/// So many signatures in a second; the others are throttled.
struct Quota {
    per_second: usize,
    since: Instant,
    used: usize,
}

/// AWS KMS in memory.
pub type KmsDouble = JsonDouble<Kms>;

impl KmsDouble {
    /// Without any key.
    pub fn start() -> anyhow::Result<Self> {
        Self::of(Kms::default())
    }

    /// Makes a key and gives its ARN.
    pub fn create_key(&self, spec: KeySpec) -> String {
        let made = self.with(|kms| kms.create_key(spec, Material::generate(spec)?, String::new()));
        made.expect("a key of a kind that the double makes")
    }

    /// Puts a key in place that somebody else made, as PKCS#8, and gives its ARN.
    pub fn plant_key(&self, spec: KeySpec, pkcs8: &[u8]) -> Result<String, AwsError> {
        self.with(|kms| kms.create_key(spec, Material::from_pkcs8(spec, pkcs8)?, String::new()))
    }

    /// Sets the state of a key at once.
    pub fn set_state(&self, arn: &str, state: KeyState) {
        self.with(|kms| kms.set_state(arn, state));
    }

    /// Exchanges what is inside a key, which AWS never does: what a moved alias or a lying endpoint looks like.
    pub fn exchange_material(&self, arn: &str) {
        self.with(|kms| {
            if let Ok(id) = kms.find(arn)
                && let Some(key) = kms.keys.get_mut(&id)
            {
                key.material = Material::generate(key.spec).expect("a key of a kind that the double makes");
            }
        });
    }

    /// How many signatures are given in a second; `None`: as many as are asked for.
    pub fn set_quota(&self, per_second: Option<usize>) {
        self.with(|kms| {
            kms.quota = per_second.map(|per_second| Quota { per_second, since: Instant::now(), used: 0 });
        });
    }
}

impl JsonService for Kms {
    const TARGET: &'static str = "TrentService";
    const SIGNING_NAME: &'static str = "kms";

    fn serve(&mut self, operation: &str, input: &Input) -> Result<Value, AwsError> {
        match operation {
            "CreateKey" => self.create(input),
            "DescribeKey" => self.describe(input),
            "ListKeys" => self.list(input),
            "ListResourceTags" => self.list_tags(input),
            "GetKeyPolicy" => self.policy(input),
            "GetPublicKey" => self.public_key(input),
            "Sign" => self.sign(input),
            "Encrypt" => self.encrypt(input),
            "Decrypt" => self.decrypt(input),
            "ReEncrypt" => self.re_encrypt(input),
            "RotateKeyOnDemand" => self.rotate(input),
            "DisableKey" => self.switch(input, KeyState::Disabled),
            "EnableKey" => self.switch(input, KeyState::Enabled),
            "ScheduleKeyDeletion" => self.schedule_deletion(input),
            "CancelKeyDeletion" => self.cancel_deletion(input),
            "CreateAlias" => self.create_alias(input),
            "UpdateAlias" => self.update_alias(input),
            _ => Err(AwsError::new(
                "UnknownOperationException",
                format!("the double of KMS does not know {operation}; it is to be added, not passed over"),
            )),
        }
    }
}

impl Kms {
    /// Sets the state of a key at once, as an administrator does between two calls.
    pub fn set_state(&mut self, arn: &str, state: KeyState) {
        let id = self.find(arn).expect("a key of this double");
        let key = self.keys.get_mut(&id).expect("found");
        key.state = state;
        key.deletion = (state == KeyState::PendingDeletion).then_some(DELETION_DATE);
    }

    fn create_key(&mut self, spec: KeySpec, material: Material, description: String) -> Result<String, AwsError> {
        if self.key_limit.is_some_and(|most| self.keys.len() >= most) {
            return Err(AwsError::new("LimitExceededException", "The account has as many keys as it may."));
        }
        let id = format!("1234abcd-12ab-34cd-56ef-{:012x}", self.keys.len() + 1);
        let key = Key {
            spec,
            state: KeyState::Enabled,
            deletion: None,
            description,
            material,
            policy: None,
            tags: Vec::new(),
            unlisted: self.listing_lag,
        };
        self.keys.insert(id.clone(), key);
        Ok(arn_of(&id))
    }

    /// The id of a key by its id, its ARN, or an alias by name or ARN.
    fn find(&self, key_id: &str) -> Result<String, AwsError> {
        let name = key_id.strip_prefix(ARN_START).unwrap_or(key_id);
        if name.starts_with("alias/") {
            let id = self.aliases.get(name).cloned();
            return id
                .ok_or_else(|| AwsError::new("NotFoundException", format!("Alias {ARN_START}{name} is not found.")));
        }
        self.find_key(key_id)
    }

    fn find_key(&self, key_id: &str) -> Result<String, AwsError> {
        if key_id.is_empty() || key_id.len() > 2_048 {
            return Err(AwsError::validation("Value at 'keyId' failed to satisfy constraint: length"));
        }
        let id = match key_id.strip_prefix("arn:") {
            None => key_id,
            Some(rest) => {
                let parts: Vec<&str> = rest.split(':').collect();
                match parts[..] {
                    ["aws", "kms", region, ..] if region != Self::REGION => {
                        return Err(AwsError::new("NotFoundException", format!("Invalid arn {region}")));
                    }
                    ["aws", "kms", _, account, _] if account != ACCOUNT => {
                        return Err(AwsError::new(
                            "AccessDeniedException",
                            format!("The key {key_id} is of another account, which does not let this one use it."),
                        ));
                    }
                    ["aws", "kms", _, _, resource] => resource.strip_prefix("key/").unwrap_or(resource),
                    _ => return Err(AwsError::new("InvalidArnException", format!("Invalid arn {key_id}"))),
                }
            }
        };
        match self.keys.contains_key(id) {
            true => Ok(id.to_owned()),
            false => Err(not_found(id)),
        }
    }

    fn usable(&self, id: &str) -> Result<&Key, AwsError> {
        let key = self.keys.get(id).ok_or_else(|| not_found(id))?;
        match key.state {
            KeyState::Enabled => Ok(key),
            KeyState::Disabled => Err(AwsError::new("DisabledException", format!("{} is disabled.", arn_of(id)))),
            KeyState::PendingDeletion => {
                Err(AwsError::new("KMSInvalidStateException", format!("{} is pending deletion.", arn_of(id))))
            }
        }
    }

    fn not_pending_deletion(&self, id: &str) -> Result<(), AwsError> {
        match self.keys.get(id).map(|key| key.state) {
            Some(KeyState::PendingDeletion) => {
                Err(AwsError::new("KMSInvalidStateException", format!("{} is pending deletion.", arn_of(id))))
            }
            _ => Ok(()),
        }
    }
}

fn usage_of(spec: KeySpec) -> &'static str {
    if spec.is_symmetric() { "ENCRYPT_DECRYPT" } else { "SIGN_VERIFY" }
}

fn usage(id: &str, usage: &str, operation: &str) -> AwsError {
    AwsError::new(
        "InvalidKeyUsageException",
        format!("{} key usage is {usage} which is not valid for {operation}.", arn_of(id)),
    )
}

fn not_found(id: &str) -> AwsError {
    AwsError::new("NotFoundException", format!("Key '{}' does not exist", arn_of(id)))
}

fn arn_of(id: &str) -> String {
    format!("{ARN_START}key/{id}")
}

fn check_length(name: &str, length: usize, most: usize) -> Result<(), AwsError> {
    let bound = match length {
        0 => "greater than or equal to 1".to_owned(),
        length if length > most => format!("less than or equal to {most}"),
        _ => return Ok(()),
    };
    Err(AwsError::validation(format!(
        "1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must have length {bound}"
    )))
}

fn check_dry_run(input: &Input) -> Result<(), AwsError> {
    match input.flag("DryRun")? {
        true => Err(AwsError {
            status: 412,
            code: "DryRunOperationException",
            message: "The request would have succeeded, but the DryRun option is set.".to_owned(),
        }),
        false => Ok(()),
    }
}

/// The double's account.
const ACCOUNT: &str = "111122223333";
/// What every ARN of the double begins with.
const ARN_START: &str = "arn:aws:kms:sa-east-1:111122223333:";

#[cfg(test)]
mod tests;
