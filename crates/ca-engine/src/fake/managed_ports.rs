//! What rotations need beside the record, in memory: targets by what they are called, keys that are counted, servers that show what a
//! test gave them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ca_core::key::KeyType;
use ca_core::managed::definition::{EndpointDefinition, TargetDefinition};
use zeroize::Zeroizing;

use super::certificate_target::MemoryTarget;
use super::signer::ScriptedSigner;
use super::yield_once;
use crate::port::certificate_target::{
    CertificateTarget, CertificateTargets, EndpointProbe, KeyMaker, KeyMakerError, MadeKey, ManagedPorts,
    PrivateKeyOctets, ProbeError, TargetError,
};
use crate::port::signer::Signer;

/// Targets in memory, each made when it is opened first. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryTargets {
    targets: Arc<Mutex<BTreeMap<String, MemoryTarget>>>,
    refusals: Arc<Mutex<BTreeMap<String, TargetError>>>,
}

impl MemoryTargets {
    /// The target of this definition.
    pub fn target(&self, definition: &TargetDefinition) -> MemoryTarget {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.entry(definition.to_string()).or_default().clone()
    }

    /// Has every opening of a target fail, or none any more.
    pub fn refuse(&self, definition: &TargetDefinition, error: Option<TargetError>) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => refusals.insert(definition.to_string(), error),
            None => refusals.remove(&definition.to_string()),
        };
    }
}

#[async_trait]
impl CertificateTargets for MemoryTargets {
    async fn open(&self, target: &TargetDefinition) -> Result<Arc<dyn CertificateTarget>, TargetError> {
        yield_once().await;
        let refusal = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).get(&target.to_string()).cloned();
        match refusal {
            Some(error) => Err(error),
            None => Ok(Arc::new(self.target(target))),
        }
    }

    /// Secrets are refused that begin with `out-of-reach`.
    fn refusal(&self, target: &TargetDefinition) -> Option<String> {
        matches!(target, TargetDefinition::SecretsManager { secret, .. } if secret.starts_with("out-of-reach"))
            .then(|| "it is out of reach".to_owned())
    }
}

/// Makes real keys, and counts them. Clones share count and script.
#[derive(Clone, Debug, Default)]
pub struct CountedKeys {
    made: Arc<Mutex<u64>>,
    faults: Arc<Mutex<VecDeque<bool>>>,
}

impl CountedKeys {
    /// How many were made.
    pub fn made(&self) -> u64 {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of the next calls fail, in order; after them none does.
    pub fn script(&self, faults: impl IntoIterator<Item = bool>) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }
}

#[async_trait]
impl KeyMaker for CountedKeys {
    async fn make(&self, key_type: KeyType) -> Result<MadeKey, KeyMakerError> {
        yield_once().await;
        if self.faults.lock().unwrap_or_else(PoisonError::into_inner).pop_front() == Some(true) {
            return Err(KeyMakerError::Unavailable { detail: "failed by the test".to_owned() });
        }
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let signer = ScriptedSigner::generate(key_type);
        let octets = PrivateKeyOctets::new(Zeroizing::new(signer.to_pkcs8()));
        Ok(MadeKey { octets, signer: Arc::new(signer) as Arc<dyn Signer> })
    }

    async fn read(&self, octets: PrivateKeyOctets) -> Result<MadeKey, KeyMakerError> {
        yield_once().await;
        // The fake is told the type of a key that it reads; tests keep keys of this one.
        let signer = ScriptedSigner::from_pkcs8(KeyType::P256, octets.as_pkcs8());
        Ok(MadeKey { octets, signer: Arc::new(signer) as Arc<dyn Signer> })
    }
}

/// Servers, by address, each showing the chain that a test gave it. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ShownChains {
    shown: Arc<Mutex<BTreeMap<String, Vec<Vec<u8>>>>>,
}

impl ShownChains {
    /// What a server shows from now on, its own certificate first.
    pub fn show(&self, address: &str, chain: Vec<Vec<u8>>) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).insert(address.to_owned(), chain);
    }
}

#[async_trait]
impl EndpointProbe for ShownChains {
    async fn served(&self, endpoint: &EndpointDefinition) -> Result<Vec<Vec<u8>>, ProbeError> {
        yield_once().await;
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = || ProbeError { address: endpoint.address.clone(), detail: "nobody answers".to_owned() };
        shown.get(&endpoint.address).cloned().ok_or_else(failed)
    }
}

/// All of them together.
#[derive(Clone, Debug, Default)]
pub struct MemoryManagedPorts {
    /// The targets.
    pub targets: MemoryTargets,
    /// Keys.
    pub keys: CountedKeys,
    /// What is served.
    pub probe: ShownChains,
}

impl MemoryManagedPorts {
    /// As flows take them.
    pub fn ports(&self) -> ManagedPorts {
        ManagedPorts {
            targets: Arc::new(self.targets.clone()),
            keys: Arc::new(self.keys.clone()),
            probe: Arc::new(self.probe.clone()),
        }
    }
}
