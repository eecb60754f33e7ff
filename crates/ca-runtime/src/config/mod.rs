//! Configuration: one TOML file, overridden by `CA__SECTION__KEY` environment variables.
//!
//! A file per section says what its keys mean; `settings` merges file and environment, `load` finds the file. Every fault
//! is collected, so that one run tells them all. No secret is accepted from the file, and none is shown by `Debug`.

mod anchor;
mod api;
mod authority;
mod aws;
mod database;
mod fault;
mod keys;
mod listen;
mod load;
mod managed;
mod messaging;
mod nearest;
mod notices;
mod octets;
mod outbox;
mod pkcs11;
mod policies;
mod public;
mod publish;
mod redis;
mod retention;
mod seal;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod webhook;

use std::path::{Path, PathBuf};

pub use anchor::AnchorConfig;
pub use api::ApiConfig;
pub use authority::{AuthoritiesConfig, AuthorityConfig, KeyPlan};
pub use aws::{AcmPcaLimits, KmsQuotaConfig};
pub use database::DatabaseConfig;
pub use fault::{ConfigFault, ConfigProblem};
pub use listen::ListenConfig;
pub use load::{LoadError, process_environment};
pub(crate) use messaging::DEPLOYMENTS;
pub use messaging::{QueueConfig, TopicConfig};
pub use pkcs11::Pkcs11Config;
pub use policies::PoliciesConfig;
pub use public::{BaseUrl, PublicConfig};
pub use redis::RedisConfig;
pub use seal::{PassphraseSource, SealConfig, SealSource, read_seal_key};
pub use status::StatusConfig;
pub use webhook::WebhookConfig;

use ca_backends::aws::{AwsPlace, KeyPolicy};
use ca_backends::publisher::S3Target;
use ca_core::managed::reach::TargetReach;
use ca_core::time::Lifetime;
use ca_engine::engine::{ManagedSettings, NoticeSettings, OutboxSettings};
use settings::Settings;

/// The data folder when nothing names one, relative to the working directory.
pub const DEFAULT_DATA_DIR: &str = "./ca-data";

/// The file that is written into a new data folder: every key with its default, commented out.
pub const TEMPLATE: &str = include_str!("template.toml");

/// A configuration without a fault. Paths are resolved: those of the file are relative to the data folder, the data folder
/// itself to the working directory.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder.
    pub data_dir: PathBuf,
    /// Where the listeners are.
    pub listen: ListenConfig,
    /// The API's own certificate.
    pub api: ApiConfig,
    /// Addresses that certificates carry.
    pub public: PublicConfig,
    /// The record.
    pub database: DatabaseConfig,
    /// Where what was published is kept outside the database.
    pub anchor: AnchorConfig,
    /// What opens the sealed keys.
    pub seal: SealConfig,
    /// The hierarchy that `init` makes.
    pub authorities: AuthoritiesConfig,
    /// The ways to keys in tokens.
    pub pkcs11: Pkcs11Config,
    /// How long OCSP answers and CRLs live.
    pub status: StatusConfig,
    /// Where AWS is, for what uses it.
    pub aws: AwsPlace,
    /// How many signatures of KMS this process asks for in a second at most, in each account and region.
    pub kms_quota: KmsQuotaConfig,
    /// The policy of keys that are made in KMS; `None`: the one that KMS writes by itself, by which IAM decides.
    pub kms_policy: Option<KeyPolicy>,
    /// How many calls of AWS Private CA this process makes in a second at most.
    pub acm_pca: AcmPcaLimits,
    /// Where AWS Secrets Manager is: what `[aws]` says, unless its own section says otherwise.
    pub secrets_manager: AwsPlace,
    /// When managed certificates are rotated, and how many at once.
    pub managed: ManagedSettings,
    /// Where the service itself may bring them.
    pub managed_reach: TargetReach,
    /// The bucket that mirrors the lists, if there is one.
    pub s3: Option<S3Target>,
    /// Where replicas share signed OCSP answers; `None` where each signs its own.
    pub redis: Option<RedisConfig>,
    /// Receivers of events.
    pub webhooks: Vec<WebhookConfig>,
    /// Topics of SNS that events go to.
    pub topics: Vec<TopicConfig>,
    /// Queues of SQS that events go to.
    pub queues: Vec<QueueConfig>,
    /// Whether the deployments that managed certificates name are made.
    pub makes_deployments: bool,
    /// How events are delivered.
    pub outbox: OutboxSettings,
    /// How long before an end it is told of.
    pub notices: NoticeSettings,
    /// How long certificates stay on record after their end; `None`: for ever.
    pub keep_expired: Option<Lifetime>,
    /// Profiles.
    pub policies: PoliciesConfig,
}

impl Config {
    /// Judges the text of a configuration file (TOML; empty for none) and the environment: those of its pairs whose name
    /// begins with `CA__`. Without `data_dir` in either, the data folder is [`DEFAULT_DATA_DIR`].
    pub fn check(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<ConfigFault>> {
        Self::check_with_default(text, environment, Path::new(DEFAULT_DATA_DIR))
    }

    fn check_with_default(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        default_data_dir: &Path,
    ) -> Result<Self, Vec<ConfigFault>> {
        let mut settings = Settings::read(text, environment);
        let data_dir = settings.text("data_dir").map_or_else(|| default_data_dir.to_path_buf(), PathBuf::from);
        if data_dir.as_os_str().is_empty() {
            settings.invalid("data_dir", "it is empty; name a folder, as in `./ca-data`");
        }
        let listen = ListenConfig::read(&mut settings);
        let public = PublicConfig::read(&mut settings, &listen);
        let database = DatabaseConfig::read(&mut settings, &data_dir);
        let status = StatusConfig::read(&mut settings);
        let s3 = publish::read_s3(&mut settings, &status);
        let authorities = AuthoritiesConfig::read(&mut settings);
        let webhooks = webhook::read(&mut settings, &data_dir);
        let topics = messaging::read_topics(&mut settings);
        let queues = messaging::read_queues(&mut settings);
        messaging::check_names(&mut settings, &webhooks, &topics, &queues);
        let aws = aws::read(&mut settings);
        let secrets_manager = aws::read_secrets_manager(&mut settings, &aws);
        let makes_deployments = settings.flag("deployments.enabled");
        let config = Self {
            api: ApiConfig::read(&mut settings, &data_dir),
            anchor: AnchorConfig::read(&mut settings, &data_dir, &database),
            database,
            seal: SealConfig::read(&mut settings, &data_dir),
            pkcs11: Pkcs11Config::read(&mut settings, &data_dir, &authorities),
            authorities,
            status,
            aws,
            kms_quota: aws::read_kms_quota(&mut settings),
            kms_policy: aws::read_kms_policy(&mut settings),
            acm_pca: aws::read_acm_pca_limits(&mut settings),
            secrets_manager,
            managed: managed::read(&mut settings, makes_deployments),
            managed_reach: managed::read_reach(&mut settings),
            s3,
            redis: redis::read(&mut settings, &data_dir),
            webhooks,
            topics,
            queues,
            makes_deployments,
            outbox: outbox::read(&mut settings),
            notices: notices::read(&mut settings),
            keep_expired: retention::read(&mut settings),
            policies: PoliciesConfig::read(&mut settings, &data_dir),
            data_dir,
            listen,
            public,
        };
        settings.finish(config)
    }

    /// Whether events go anywhere.
    pub fn has_sinks(&self) -> bool {
        !self.webhooks.is_empty() || !self.topics.is_empty() || !self.queues.is_empty() || self.makes_deployments
    }

    /// The same configuration for `ca-server dev`: every listener must be loopback, and certificates carry the URLs of the
    /// public listener when no other base is configured (its port must be fixed for that).
    pub fn for_development(mut self, here: PathBuf) -> Result<Self, Vec<ConfigFault>> {
        let faults: Vec<ConfigFault> = self
            .listen
            .named()
            .into_iter()
            .filter(|(_, address)| !address.ip().is_loopback())
            .map(|(key, address)| {
                ConfigFault::invalid(
                    key,
                    format!("{address} is not loopback, and `dev` listens nowhere else; use `serve`"),
                )
            })
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        if self.public.base_url.is_none() && self.listen.public.port() != 0 {
            self.public.base_url = Some(BaseUrl::of_listener(self.listen.public));
        }
        if self.managed_reach.directories.is_empty() {
            self.managed_reach.directories.push(here);
        }
        Ok(self)
    }
}
