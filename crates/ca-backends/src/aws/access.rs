//! The SDK's configuration: region, endpoint, credentials as the SDK finds them, and how long anything may take.

use std::fmt;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use thiserror::Error;

use super::place::AwsPlace;

/// How long one attempt may take, before what is sent or fetched adds to it.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(5);
/// How often something is attempted in all.
const ATTEMPTS: u32 = 3;
/// How long to wait for a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// What clients of AWS are made from.
#[derive(Clone)]
pub struct AwsAccess {
    config: SdkConfig,
}

impl AwsAccess {
    /// Reads environment and profile, and asks the instance where it must; credentials are looked for when they are needed, so
    /// that a role that is not there yet is no fault of a start.
    pub async fn find(place: &AwsPlace) -> Result<Self, AwsFault> {
        Self::load(aws_config::defaults(BehaviorVersion::latest()), place).await
    }

    /// The same for calls that name a region each, `region` among them: nothing is asked when the configuration names none.
    #[cfg(feature = "aws-calls")]
    pub async fn find_for(place: &AwsPlace, region: &str) -> Self {
        use aws_config::environment::EnvironmentVariableRegionProvider;
        use aws_config::meta::region::RegionProviderChain;
        use aws_config::profile::ProfileFileRegionProvider;

        let mut found = place.clone();
        if found.region.is_none() {
            // Where credentials are fetched by way of a region, it is that of the environment or the profile.
            let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(ProfileFileRegionProvider::new());
            let name = chain.region().await.map_or_else(|| region.to_owned(), |region| region.to_string());
            found.region = super::Region::parse(&name).ok();
        }
        Self { config: Self::configure(aws_config::defaults(BehaviorVersion::latest()), &found).await }
    }

    async fn load(loader: ConfigLoader, place: &AwsPlace) -> Result<Self, AwsFault> {
        let config = Self::configure(loader, place).await;
        if config.region().is_none() {
            return Err(AwsFault::NoRegion);
        }
        Ok(Self { config })
    }

    async fn configure(loader: ConfigLoader, place: &AwsPlace) -> SdkConfig {
        let mut loader = loader
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS)
                    .with_initial_backoff(FIRST_BACKOFF)
                    .with_max_backoff(LONGEST_BACKOFF),
            )
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build(),
            );
        if let Some(region) = &place.region {
            loader = loader.region(Region::new(region.as_str().to_owned()));
        }
        if let Some(url) = &place.endpoint_url {
            loader = loader.endpoint_url(url.as_str());
        }
        loader.load().await
    }

    /// With these keys and no look at the environment.
    #[cfg(test)]
    pub(crate) async fn of_tests(endpoint_url: &str) -> Self {
        use aws_credential_types::Credentials;

        let place = AwsPlace {
            region: super::Region::parse("sa-east-1").ok(),
            endpoint_url: super::EndpointUrl::parse(endpoint_url).ok(),
        };
        let loader = aws_config::defaults(BehaviorVersion::latest()).credentials_provider(Credentials::new(
            "AKIDTEST",
            "a-secret-of-the-tests",
            None,
            None,
            "tests",
        ));
        Self::load(loader, &place).await.expect("a region")
    }

    /// The region that the configuration, the environment, the profile or the instance names.
    pub fn region(&self) -> Option<String> {
        self.config.region().map(ToString::to_string)
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Whether it is AWS itself that is asked, by the names that it gives to buckets.
    #[cfg(feature = "aws-s3")]
    pub(crate) fn is_aws_itself(&self) -> bool {
        self.config.endpoint_url().is_none()
    }
}

impl fmt::Debug for AwsAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsAccess").field("region", &self.config.region()).finish_non_exhaustive()
    }
}

/// Why AWS cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AwsFault {
    /// Nothing says which region.
    #[error("no region is known; set `aws.region` (CA__AWS__REGION), or AWS_REGION as ECS and Lambda do")]
    NoRegion,
}
