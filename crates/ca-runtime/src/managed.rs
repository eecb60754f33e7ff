//! The way to the targets of managed certificates, as this build and the configuration have it, and the keys that are made for them.

use std::sync::Arc;

use async_trait::async_trait;
use ca_backends::aws::{AwsPlace, EndpointUrl, PlaceProblem, Region};
use ca_backends::endpoint_probe::TlsProbe;
use ca_backends::signer::SoftwareSigner;
use ca_backends::target::{DirectoryTarget, Pkcs12Target};
use ca_core::key::KeyType;
use ca_core::managed::definition::TargetDefinition;
use ca_core::managed::reach::TargetReach;
use ca_engine::port::certificate_target::{
    CertificateTarget, CertificateTargets, KeyMaker, KeyMakerError, MadeKey, ManagedPorts, PrivateKeyOctets,
    TargetError,
};
use ca_engine::port::signer::Signer;
use zeroize::Zeroizing;

use crate::aws_calls::AwsCalls;
use crate::config::Config;
use crate::secrets_managers::SecretsManagers;

/// The targets of a configuration.
pub(crate) struct Targets {
    reach: TargetReach,
    secrets_managers: SecretsManagers,
}

impl Targets {
    /// Nothing is asked of any.
    pub(crate) fn new(config: &Config) -> Self {
        Self { reach: config.managed_reach.clone(), ..Self::at(config.secrets_manager.clone()) }
    }

    /// Those of a process without a configuration, with AWS there, which looks itself at what it may touch.
    fn at(place: AwsPlace) -> Self {
        let reach = TargetReach { directories: vec!["/".into()], secrets: None };
        Self { reach, secrets_managers: SecretsManagers::new(place) }
    }

    /// Calls of AWS so far.
    pub(crate) fn aws_calls(&self) -> Vec<AwsCalls> {
        self.secrets_managers.calls()
    }
}

#[async_trait]
impl CertificateTargets for Targets {
    async fn open(&self, target: &TargetDefinition) -> Result<Arc<dyn CertificateTarget>, TargetError> {
        // Looked at again: what was defined may have been so before the configuration was narrowed.
        if let Some(detail) = self.refusal(target) {
            return Err(TargetError::Refused { detail });
        }
        match target {
            TargetDefinition::Directory { path } => Ok(Arc::new(DirectoryTarget::new(path.into()))),
            TargetDefinition::SecretsManager { .. } => self.secrets_managers.open(target).await,
            TargetDefinition::Pkcs12 { path, passphrase_file } => {
                Ok(Arc::new(Pkcs12Target::new(path.into(), passphrase_file.into())))
            }
        }
    }

    fn refusal(&self, target: &TargetDefinition) -> Option<String> {
        let what = self.reach.refusal(target)?;
        let key = match target {
            TargetDefinition::SecretsManager { .. } => "managed.secrets",
            TargetDefinition::Directory { .. } | TargetDefinition::Pkcs12 { .. } => "managed.directories",
        };
        Some(format!("{what}: `{key}` in the configuration of the service says where; or have a worker bring it there"))
    }
}

/// Makes keys in memory.
pub(crate) struct SoftwareKeys;

#[async_trait]
impl KeyMaker for SoftwareKeys {
    async fn make(&self, key_type: KeyType) -> Result<MadeKey, KeyMakerError> {
        let made = tokio::task::spawn_blocking(move || SoftwareSigner::generate(key_type)).await;
        let unavailable = |detail: String| KeyMakerError::Unavailable { detail };
        let made = made.map_err(|_| unavailable("the process is stopping".to_owned()))?;
        let (octets, signer) = made.map_err(|error| unavailable(error.to_string()))?;
        let octets = PrivateKeyOctets::new(Zeroizing::new(octets.as_der().to_vec()));
        Ok(MadeKey { octets, signer: Arc::new(signer) as Arc<dyn Signer> })
    }

    async fn read(&self, octets: PrivateKeyOctets) -> Result<MadeKey, KeyMakerError> {
        let signer = SoftwareSigner::from_pkcs8(octets.as_pkcs8())
            .map_err(|error| KeyMakerError::Malformed { detail: error.to_string() })?;
        Ok(MadeKey { octets, signer: Arc::new(signer) as Arc<dyn Signer> })
    }
}

/// What rotations need.
pub(crate) fn ports(targets: &Arc<Targets>) -> ManagedPorts {
    ManagedPorts { targets: targets.clone(), keys: Arc::new(SoftwareKeys), probe: Arc::new(TlsProbe) }
}

/// The same for a process that has no configuration of the service: a worker. AWS is where `region` and `endpoint_url` say, else where
/// the SDK finds it.
pub fn ports_of_worker(region: Option<&str>, endpoint_url: Option<&str>) -> Result<ManagedPorts, PlaceProblem> {
    let place = AwsPlace {
        region: region.map(Region::parse).transpose()?,
        endpoint_url: endpoint_url.map(EndpointUrl::parse).transpose()?,
    };
    Ok(ports(&Arc::new(Targets::at(place))))
}
