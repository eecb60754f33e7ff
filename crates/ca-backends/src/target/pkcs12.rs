//! Key, certificate and chain in one PKCS#12 file under a passphrase, as Java, Windows and browsers read them.
//!
//! What readers name is a link, `FILE`, to the file of one rotation (see `versions`), so a reader has key and certificate of one rotation
//! however it opens it. The key that waits for its certificate lies in such a file too, under the same passphrase; in clear it is in
//! memory alone. The passphrase is the first line of another file, which is read each time.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use ca_core::id::RotationId;
use ca_engine::port::certificate_target::{
    CertificateTarget, HeldCertificate, PrivateKeyOctets, StagedKey, TargetError, TargetPlace,
};
use ca_engine::port::signer::Signer;
use zeroize::Zeroizing;

#[cfg(test)]
use super::versions::Faults;
use super::versions::{LeadsTo, Version, Versions, name_of, unavailable};
use crate::pkcs12::{self, Pkcs12Contents, Pkcs12Error};
use crate::signer::SoftwareSigner;

/// A PKCS#12 file of this host.
#[derive(Clone, Debug)]
pub struct Pkcs12Target {
    link: PathBuf,
    passphrase_file: PathBuf,
    iterations: u32,
    #[cfg(test)]
    faults: Faults,
}

impl Pkcs12Target {
    /// The file that readers name, and the one whose first line is its passphrase. The first's folder exists; it does not itself, or was
    /// put there by this.
    pub fn new(link: PathBuf, passphrase_file: PathBuf) -> Self {
        Self {
            link,
            passphrase_file,
            iterations: pkcs12::ITERATIONS,
            #[cfg(test)]
            faults: Faults::default(),
        }
    }

    /// Does what touches the disk and derives keys, which takes long: not on the async threads.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, TargetError> + Send + 'static,
    ) -> Result<T, TargetError> {
        let target = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&Files::of(target)?));
        done.await.unwrap_or_else(|_| Err(unavailable(&name_of(&self.link), "the process is stopping")))
    }
}

#[async_trait]
impl CertificateTarget for Pkcs12Target {
    async fn staged(&self) -> Result<Option<StagedKey>, TargetError> {
        self.on_disk(|files| files.versions.staged()).await
    }

    async fn stage(&self, staged: &StagedKey, key: &PrivateKeyOctets) -> Result<(), TargetError> {
        let staged = staged.clone();
        let key = Zeroizing::new(key.as_pkcs8().to_vec());
        self.on_disk(move |files| files.versions.stage(&staged, |version| files.write(version, &key, &[]))).await
    }

    async fn deliver(&self, rotation: RotationId, certificate: &[u8], chain: &[Vec<u8>]) -> Result<(), TargetError> {
        let certificates: Vec<Vec<u8>> = std::iter::once(certificate.to_vec()).chain(chain.iter().cloned()).collect();
        self.on_disk(move |files| {
            files.versions.deliver(rotation, |pending| {
                let there = files.read(pending)?;
                if there.certificates == certificates {
                    return Ok(());
                }
                let certificates: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
                files.write(pending, &there.key, &certificates)
            })
        })
        .await
    }

    async fn look(&self, place: TargetPlace) -> Result<Option<HeldCertificate>, TargetError> {
        self.on_disk(move |files| files.versions.look(place, |version| files.held(version))).await
    }

    async fn current_key(&self) -> Result<Option<PrivateKeyOctets>, TargetError> {
        self.on_disk(|files| {
            files
                .versions
                .look(TargetPlace::Current, |version| Ok(Some(PrivateKeyOctets::new(files.read(version)?.key))))
        })
        .await
    }

    async fn promote(&self, rotation: RotationId) -> Result<(), TargetError> {
        self.on_disk(move |files| files.versions.promote(rotation, |version| files.held(version))).await
    }
}

/// The versions of a file, and what opens them.
struct Files {
    versions: Versions,
    name: String,
    passphrase_file: PathBuf,
    passphrase: Zeroizing<String>,
    iterations: u32,
}

impl Files {
    fn of(target: Pkcs12Target) -> Result<Self, TargetError> {
        let versions = Versions::of(
            &target.link,
            LeadsTo::File,
            #[cfg(test)]
            target.faults,
        )?;
        let name = target.link.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let passphrase = read_passphrase(&target.passphrase_file)?;
        Ok(Self { versions, name, passphrase_file: target.passphrase_file, passphrase, iterations: target.iterations })
    }

    /// What a program lists the key as (Java's alias): the file's name without what is after its last dot, the same at each rotation.
    fn alias(&self) -> &str {
        self.name.rsplit_once('.').map_or(self.name.as_str(), |(stem, _)| stem)
    }

    fn write(&self, version: &Version, key: &[u8], certificates: &[&[u8]]) -> Result<(), TargetError> {
        let refused = |error: Pkcs12Error| TargetError::Refused { detail: error.to_string() };
        let file = pkcs12::encode(self.alias(), key, certificates, &self.passphrase, self.iterations);
        self.versions.write(version, &self.name, &file.map_err(refused)?, 0o600)
    }

    fn read(&self, version: &Version) -> Result<Pkcs12Contents, TargetError> {
        let octets = version.octets(&self.name)?.ok_or_else(|| version.foreign(&self.name, "is missing"))?;
        pkcs12::decode(&octets, &self.passphrase).map_err(|error| {
            let path = version.folder.join(&self.name);
            TargetError::Foreign {
                detail: format!(
                    "{}: {error}; put the passphrase that it has into {}, or, for another passphrase, move {} away and rotate",
                    path.display(),
                    self.passphrase_file.display(),
                    self.name
                ),
            }
        })
    }

    /// Everything but the key, of which only its public part leaves. `None` while there is no certificate.
    fn held(&self, version: &Version) -> Result<Option<HeldCertificate>, TargetError> {
        let contents = self.read(version)?;
        let mut certificates = contents.certificates.into_iter();
        let Some(certificate) = certificates.next() else { return Ok(None) };
        let signer = SoftwareSigner::from_pkcs8(&contents.key)
            .map_err(|_| version.foreign(&self.name, "has no key of a kind that is issued for"))?;
        Ok(Some(HeldCertificate {
            rotation: version.rotation,
            certificate,
            chain: certificates.collect(),
            key_spki_sha256: signer.public_key().spki_sha256(),
        }))
    }
}

/// As much of a passphrase file is read.
const LONGEST_PASSPHRASE_FILE: usize = 4_096;

/// The first line of a file.
fn read_passphrase(path: &Path) -> Result<Zeroizing<String>, TargetError> {
    let refused = |why: &dyn std::fmt::Display| TargetError::Refused {
        detail: format!("the passphrase file {}: {why}; its first line is the passphrase", path.display()),
    };
    // A pipe would be waited for, and a device has no end.
    if !fs::metadata(path).map_err(|error| refused(&error))?.is_file() {
        return Err(refused(&"not a regular file"));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST_PASSPHRASE_FILE));
    let opened = File::open(path).map_err(|error| refused(&error))?;
    opened.take(LONGEST_PASSPHRASE_FILE as u64).read_to_end(&mut text).map_err(|error| refused(&error))?;
    let text = std::str::from_utf8(&text).map_err(|_| refused(&"not UTF-8 text"))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(refused(&"there is none in it"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests;
