//! Key, certificate and chain as files of a folder that is switched as a whole: `key.pem`, `certificate.pem`, `chain.pem`, and
//! `fullchain.pem` (certificate, then chain).
//!
//! What readers name is a link, `DIR`, to the folder of one rotation (see `versions`). So a reader that opens the folder once has key and
//! certificate of one rotation. Who opens its files one by one by their whole paths may fall between two: it reloads after the rotation
//! anyhow.

use std::path::PathBuf;

use async_trait::async_trait;
use ca_core::id::RotationId;
use ca_core::pem;
use ca_engine::port::certificate_target::{
    CertificateTarget, HeldCertificate, PrivateKeyOctets, StagedKey, TargetError, TargetPlace,
};
use zeroize::Zeroizing;

#[cfg(test)]
use super::versions::Faults;
use super::versions::{LeadsTo, Versions, name_of, unavailable};

mod version;

/// A folder of this host.
#[derive(Clone, Debug)]
pub struct DirectoryTarget {
    link: PathBuf,
    #[cfg(test)]
    faults: Faults,
}

impl DirectoryTarget {
    /// The folder that readers name. Its parent exists; it does not itself, or was put there by this.
    pub fn new(link: PathBuf) -> Self {
        Self {
            link,
            #[cfg(test)]
            faults: Faults::default(),
        }
    }

    /// Does what touches the disk, which takes milliseconds or longer: not on the async threads.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Versions) -> Result<T, TargetError> + Send + 'static,
    ) -> Result<T, TargetError> {
        let target = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let versions = Versions::of(
                &target.link,
                LeadsTo::Folder,
                #[cfg(test)]
                target.faults,
            );
            work(&versions?)
        });
        done.await.unwrap_or_else(|_| Err(unavailable(&name_of(&self.link), "the process is stopping")))
    }
}

#[async_trait]
impl CertificateTarget for DirectoryTarget {
    async fn staged(&self) -> Result<Option<StagedKey>, TargetError> {
        self.on_disk(Versions::staged).await
    }

    async fn stage(&self, staged: &StagedKey, key: &PrivateKeyOctets) -> Result<(), TargetError> {
        let text = Zeroizing::new(pem::encode("PRIVATE KEY", key.as_pkcs8()));
        let staged = staged.clone();
        self.on_disk(move |versions| {
            versions.stage(&staged, |version| versions.write(version, version::KEY, text.as_bytes(), 0o600))
        })
        .await
    }

    async fn deliver(&self, rotation: RotationId, certificate: &[u8], chain: &[Vec<u8>]) -> Result<(), TargetError> {
        let certificate = pem::encode("CERTIFICATE", certificate);
        let chain: String = chain.iter().map(|certificate| pem::encode("CERTIFICATE", certificate)).collect();
        self.on_disk(move |versions| {
            versions.deliver(rotation, |pending| {
                versions.write(pending, version::CHAIN, chain.as_bytes(), 0o644)?;
                let whole = format!("{certificate}{chain}");
                versions.write(pending, version::FULL_CHAIN, whole.as_bytes(), 0o644)?;
                // Last: where there is one, all of it is there.
                versions.write(pending, version::CERTIFICATE, certificate.as_bytes(), 0o644)
            })
        })
        .await
    }

    async fn look(&self, place: TargetPlace) -> Result<Option<HeldCertificate>, TargetError> {
        self.on_disk(move |versions| versions.look(place, version::held)).await
    }

    async fn current_key(&self) -> Result<Option<PrivateKeyOctets>, TargetError> {
        self.on_disk(|versions| versions.look(TargetPlace::Current, |version| version::private_key(version).map(Some)))
            .await
    }

    async fn promote(&self, rotation: RotationId) -> Result<(), TargetError> {
        self.on_disk(move |versions| versions.promote(rotation, version::held)).await
    }
}

#[cfg(test)]
mod tests;
