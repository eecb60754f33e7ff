//! The calls of AWS Secrets Manager, at a pace and past a breaker.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::{ReplicaRegionType, Tag};
use ca_engine::port::certificate_target::TargetError;
use zeroize::Zeroizing;

use super::content::EMPTY;
use super::fault::{self, Outcome};
use super::plan::{SecretPlan, empty_value};
use crate::aws::{AwsAccess, Call, CallError, Caller, Failure, Patience, Tally};

/// Calls in a second at most. AWS takes 50 of those that write, and 10,000 of those that read, of a whole account in a region.
const WRITES_PER_SECOND: u32 = 40;
const READS_PER_SECOND: u32 = 2_000;
/// How long a call waits for its turn: a wave of rotations takes the time that it takes.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);
const PATIENCE: Patience = Patience {
    attempts: 5,
    first_pause: Duration::from_millis(100),
    longest_pause: Duration::from_secs(2),
    within: Duration::from_secs(15),
    first_rest: Duration::from_secs(1),
};
/// What ten thousand calls cost, divided by ten thousand, in millionths of a US dollar.
const MICRO_DOLLARS: u64 = 5;

/// The way to the secrets of one account and region. Clones share pace and breaker.
#[derive(Clone)]
pub struct SecretsManager {
    client: Client,
    reader: Arc<Caller>,
    writer: Arc<Caller>,
    tally: Arc<Tally>,
}

/// What is known of a secret without its values.
pub(super) struct Described {
    pub(super) labels: Labels,
    kms_key: Option<String>,
    tags: BTreeMap<String, String>,
    replicas: Vec<String>,
}

/// Which version has a label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels(BTreeMap<String, String>);

impl Labels {
    pub(super) fn of(&self, label: &str) -> Option<&str> {
        self.0.get(label).map(String::as_str)
    }

    fn from_versions(versions: Option<&HashMap<String, Vec<String>>>) -> Self {
        let each = versions.into_iter().flatten();
        Self(
            each.flat_map(|(version, labels)| labels.iter().map(move |label| (label.clone(), version.clone())))
                .collect(),
        )
    }
}

impl SecretsManager {
    /// Nothing is asked yet.
    pub fn new(access: &AwsAccess) -> Self {
        Self::with_attempts_of(access, ATTEMPT)
    }

    pub(super) fn with_attempts_of(access: &AwsAccess, attempt: Duration) -> Self {
        let config = aws_sdk_secretsmanager::config::Builder::from(access.config())
            // Tried again by the caller, as AWS says.
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(attempt).operation_attempt_timeout(attempt).build(),
            )
            .build();
        let tally = Arc::new(Tally::default());
        let caller = |per_second| Arc::new(Caller::new(per_second, LONGEST_WAIT, PATIENCE, Arc::clone(&tally)));
        let (reader, writer) = (caller(READS_PER_SECOND), caller(WRITES_PER_SECOND));
        Self { client: Client::from_conf(config), reader, writer, tally }
    }

    /// How often what was called, and what it cost.
    pub fn counts(&self) -> Vec<crate::aws::CallCount> {
        self.tally.counts()
    }

    /// What a secret is like; `None` when there is none.
    pub(super) async fn describe(&self, secret: &str) -> Result<Option<Described>, TargetError> {
        let attempt = || async {
            let call = self.client.describe_secret().secret_id(secret).send().await;
            call.map_err(|error| Failure::of(&error))
        };
        match self.reader.call(call_of("DescribeSecret"), attempt).await {
            Ok(described) if described.deleted_date().is_some() => Err(fault::to_be_deleted(secret)),
            Ok(described) => Ok(Some(Described {
                labels: Labels::from_versions(described.version_ids_to_stages()),
                kms_key: described.kms_key_id().map(str::to_owned),
                tags: described
                    .tags()
                    .iter()
                    .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
                    .collect(),
                replicas: described
                    .replication_status()
                    .iter()
                    .filter_map(|replica| replica.region().map(str::to_owned))
                    .collect(),
            })),
            Err(error) => match fault::outcome(&error) {
                Outcome::NotFound => Ok(None),
                _ => Err(fault::of(secret, "DescribeSecret", error)),
            },
        }
    }

    /// Makes a secret that holds nothing yet; one that was just made is as good.
    pub(super) async fn create(&self, plan: &SecretPlan) -> Result<(), TargetError> {
        let tags: Vec<Tag> =
            plan.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        let replicas = replica_types(&plan.replicas);
        let attempt = || async {
            let mut request = self
                .client
                .create_secret()
                .name(&plan.name)
                .client_request_token(EMPTY)
                .secret_string(empty_value())
                .description("A certificate and its key, kept by the certificate authority");
            request = request.set_kms_key_id(plan.kms_key.clone());
            if !tags.is_empty() {
                request = request.set_tags(Some(tags.clone()));
            }
            if !replicas.is_empty() {
                request = request.set_add_replica_regions(Some(replicas.clone()));
            }
            request.send().await.map_err(|error| Failure::of(&error))
        };
        match self.writer.call(call_of("CreateSecret"), attempt).await {
            Ok(_) => Ok(()),
            Err(error) => match fault::outcome(&error) {
                Outcome::Exists => Ok(()),
                _ => Err(fault::of(&plan.name, "CreateSecret", error)),
            },
        }
    }

    /// Gives a secret the key, the tags and the replicas that it is to have and has not; nothing is taken away.
    pub(super) async fn adjust(&self, plan: &SecretPlan, described: &Described) -> Result<(), TargetError> {
        if let Some(key) = plan.kms_key.as_deref().filter(|key| described.kms_key.as_deref() != Some(*key)) {
            let attempt = || async {
                let call = self.client.update_secret().secret_id(&plan.name).kms_key_id(key).send().await;
                call.map_err(|error| Failure::of(&error))
            };
            self.asked(&plan.name, "UpdateSecret", attempt).await?;
        }
        let is_new = |(key, value): &(&String, &String)| described.tags.get(*key) != Some(*value);
        let tags: Vec<Tag> =
            plan.tags.iter().filter(is_new).map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
        if !tags.is_empty() {
            let attempt = || async {
                let call = self.client.tag_resource().secret_id(&plan.name).set_tags(Some(tags.clone())).send().await;
                call.map_err(|error| Failure::of(&error))
            };
            self.asked(&plan.name, "TagResource", attempt).await?;
        }
        let mut missing = plan.replicas.clone();
        missing.retain(|region, _| !described.replicas.contains(region));
        if !missing.is_empty() {
            let replicas = replica_types(&missing);
            let attempt = || async {
                let request = self.client.replicate_secret_to_regions().secret_id(&plan.name);
                let call = request.set_add_replica_regions(Some(replicas.clone())).send().await;
                call.map_err(|error| Failure::of(&error))
            };
            self.asked(&plan.name, "ReplicateSecretToRegions", attempt).await?;
        }
        Ok(())
    }

    /// The text of a version.
    pub(super) async fn value(&self, secret: &str, version: &str) -> Result<Zeroizing<String>, TargetError> {
        let attempt = || async {
            let call = self.client.get_secret_value().secret_id(secret).version_id(version).send().await;
            call.map_err(|error| Failure::of(&error))
        };
        let answer = self.reader.call(call_of("GetSecretValue"), attempt).await;
        let answer = answer.map_err(|error| fault::of(secret, "GetSecretValue", error))?;
        // Octets are nobody's here.
        Ok(Zeroizing::new(answer.secret_string.unwrap_or_default()))
    }

    /// Puts a version there with a label. One that is there already, with this content or another, keeps content and labels.
    pub(super) async fn put(&self, secret: &str, version: &str, value: &str, label: &str) -> Result<(), TargetError> {
        let attempt = || async {
            let request = self.client.put_secret_value().secret_id(secret).client_request_token(version);
            let call = request.secret_string(value).version_stages(label).send().await;
            call.map_err(|error| Failure::of(&error))
        };
        match self.writer.call(call_of("PutSecretValue"), attempt).await {
            Ok(_) => Ok(()),
            Err(error) => match fault::outcome(&error) {
                Outcome::Exists => Ok(()),
                _ => Err(fault::of(secret, "PutSecretValue", error)),
            },
        }
    }

    /// Moves a label from the version that has it to another, or takes it away.
    pub(super) async fn move_label(
        &self,
        secret: &str,
        label: &str,
        to: Option<&str>,
        from: Option<&str>,
    ) -> Result<(), TargetError> {
        let attempt = || async {
            let request = self.client.update_secret_version_stage().secret_id(secret).version_stage(label);
            let request = request.set_move_to_version_id(to.map(str::to_owned));
            let call = request.set_remove_from_version_id(from.map(str::to_owned)).send().await;
            call.map_err(|error| Failure::of(&error))
        };
        self.asked(secret, "UpdateSecretVersionStage", attempt).await.map(drop)
    }

    async fn asked<T, F>(
        &self,
        secret: &str,
        operation: &'static str,
        attempt: impl Fn() -> F,
    ) -> Result<T, TargetError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let answered: Result<T, CallError> = self.writer.call(call_of(operation), attempt).await;
        answered.map_err(|error| fault::of(secret, operation, error))
    }
}

fn call_of(operation: &'static str) -> Call {
    Call { operation, micro_dollars: MICRO_DOLLARS }
}

fn replica_types(replicas: &BTreeMap<String, Option<String>>) -> Vec<ReplicaRegionType> {
    let of = |(region, key): (&String, &Option<String>)| {
        ReplicaRegionType::builder().region(region).set_kms_key_id(key.clone()).build()
    };
    replicas.iter().map(of).collect()
}
