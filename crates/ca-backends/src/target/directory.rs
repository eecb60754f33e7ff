//! Key, certificate and chain as files of a folder that is switched as a whole: `key.pem`, `certificate.pem`, `chain.pem`, and
//! `fullchain.pem` (certificate, then chain).
//!
//! What readers name is a link, `DIR`; beside it lie the versions it has led to, `.DIR.versions/ROTATION/`, and links to what is pending
//! and what was there before. One rename leads `DIR` elsewhere, so a reader that opens the folder once has key and certificate of one
//! rotation. Who opens its files one by one by their whole paths may fall between two: it reloads after the rotation anyhow.
//!
//! A file keeps mode and owner of the one before it. Everything is on the disk before something leads there.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown, symlink};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use ca_core::certificate::Certificate;
use ca_core::id::RotationId;
use ca_core::pem;
use ca_engine::port::certificate_target::{
    CertificateTarget, HeldCertificate, PrivateKeyOctets, StagedKey, TargetError, TargetPlace,
};
use zeroize::Zeroizing;

use self::version::Version;

mod version;

/// A folder of this host.
#[derive(Clone, Debug)]
pub struct DirectoryTarget {
    link: PathBuf,
    #[cfg(test)]
    faults: tests::Faults,
}

impl DirectoryTarget {
    /// The folder that readers name. Its parent exists; it does not itself, or was put there by this.
    pub fn new(link: PathBuf) -> Self {
        Self {
            link,
            #[cfg(test)]
            faults: tests::Faults::default(),
        }
    }

    /// Does what touches the disk, which takes milliseconds or longer: not on the async threads.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, TargetError> + Send + 'static,
    ) -> Result<T, TargetError> {
        let target = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&Place::of(&target)?)).await;
        done.unwrap_or_else(|_| Err(unavailable(&target_name(&self.link), "the process is stopping")))
    }
}

#[async_trait]
impl CertificateTarget for DirectoryTarget {
    async fn staged(&self) -> Result<Option<StagedKey>, TargetError> {
        self.on_disk(|place| {
            let Some(version) = place.version(TargetPlace::Pending)? else { return Ok(None) };
            Ok(Some(StagedKey { rotation: version.rotation, request: version.request()? }))
        })
        .await
    }

    async fn stage(&self, staged: &StagedKey, key: &PrivateKeyOctets) -> Result<(), TargetError> {
        let text = Zeroizing::new(pem::encode("PRIVATE KEY", key.as_pkcs8()));
        let request = pem::encode("CERTIFICATE REQUEST", &staged.request);
        let rotation = staged.rotation;
        self.on_disk(move |place| {
            let _turn = place.take_turn()?;
            if place.version(TargetPlace::Pending)?.is_some_and(|pending| pending.rotation == rotation) {
                return Ok(());
            }
            let version = place.make_version(rotation)?;
            place.write(&version, version::KEY, text.as_bytes(), 0o600)?;
            place.write(&version, version::REQUEST, request.as_bytes(), 0o644)?;
            place.lead(&place.pending, &version)?;
            place.prune()
        })
        .await
    }

    async fn deliver(&self, rotation: RotationId, certificate: &[u8], chain: &[Vec<u8>]) -> Result<(), TargetError> {
        let certificate = pem::encode("CERTIFICATE", certificate);
        let chain: String = chain.iter().map(|certificate| pem::encode("CERTIFICATE", certificate)).collect();
        self.on_disk(move |place| {
            let _turn = place.take_turn()?;
            let pending = place.version(TargetPlace::Pending)?.filter(|pending| pending.rotation == rotation);
            let Some(pending) = pending else { return Err(not_pending(rotation)) };
            place.write(&pending, version::CHAIN, chain.as_bytes(), 0o644)?;
            place.write(&pending, version::FULL_CHAIN, format!("{certificate}{chain}").as_bytes(), 0o644)?;
            // Last: where there is one, all of it is there.
            place.write(&pending, version::CERTIFICATE, certificate.as_bytes(), 0o644)
        })
        .await
    }

    async fn look(&self, place: TargetPlace) -> Result<Option<HeldCertificate>, TargetError> {
        self.on_disk(move |target| match target.version(place)? {
            Some(version) => version.held(),
            None => Ok(None),
        })
        .await
    }

    async fn current_key(&self) -> Result<Option<PrivateKeyOctets>, TargetError> {
        self.on_disk(|place| match place.version(TargetPlace::Current)? {
            Some(version) => version.private_key().map(Some),
            None => Ok(None),
        })
        .await
    }

    async fn promote(&self, rotation: RotationId) -> Result<(), TargetError> {
        self.on_disk(move |place| {
            let _turn = place.take_turn()?;
            let current = place.version(TargetPlace::Current)?;
            if current.as_ref().is_none_or(|current| current.rotation != rotation) {
                let pending = place.version(TargetPlace::Pending)?.filter(|pending| pending.rotation == rotation);
                let Some(pending) = pending else { return Err(not_pending(rotation)) };
                let refused = |detail: &str| Err(TargetError::Refused { detail: detail.to_owned() });
                let Some(held) = pending.held()? else { return refused("its certificate was not delivered") };
                match Certificate::from_der(&held.certificate) {
                    Ok(certificate) if certificate.public_key().spki_sha256() == held.key_spki_sha256 => {}
                    _ => return refused("the certificate is of another key"),
                }
                if let Some(current) = &current {
                    place.lead(&place.previous, current)?;
                }
                place.lead(&place.link, &pending)?;
            }
            // Again, when that was cut off.
            if place.version(TargetPlace::Pending)?.is_some_and(|pending| pending.rotation == rotation) {
                place.forget_pending()?;
            }
            place.prune()
        })
        .await
    }
}

/// The folder, and what lies beside it.
struct Place {
    link: PathBuf,
    parent: PathBuf,
    versions: PathBuf,
    pending: PathBuf,
    previous: PathBuf,
    #[cfg(test)]
    faults: tests::Faults,
}

impl Place {
    fn of(target: &DirectoryTarget) -> Result<Self, TargetError> {
        let link = &target.link;
        let refused = |detail: String| TargetError::Refused { detail };
        let name = link.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'));
        let name = name.ok_or_else(|| refused(format!("{} names no folder", link.display())))?;
        let parent = link.parent().filter(|parent| parent.is_dir());
        let parent = parent.ok_or_else(|| refused(format!("{}: its folder is not there; make it", link.display())))?;
        Ok(Self {
            link: link.clone(),
            versions: parent.join(format!(".{name}.versions")),
            pending: parent.join(format!(".{name}.pending")),
            previous: parent.join(format!(".{name}.previous")),
            parent: parent.to_owned(),
            #[cfg(test)]
            faults: target.faults.clone(),
        })
    }

    /// A step that changes the disk; tests cut it off.
    fn step<T>(&self, path: &Path, step: impl FnOnce() -> io::Result<T>) -> Result<T, TargetError> {
        let failed = |error: io::Error| unavailable(&target_name(path), &error.to_string());
        #[cfg(test)]
        self.faults.strike().map_err(failed)?;
        let done = step().map_err(failed)?;
        #[cfg(test)]
        self.faults.strike().map_err(failed)?;
        Ok(done)
    }

    /// Held while something is looked at and changed: other processes wait.
    fn take_turn(&self) -> Result<File, TargetError> {
        if !self.versions.is_dir() {
            self.step(&self.versions, || match DirBuilder::new().mode(0o755).create(&self.versions) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                made => made,
            })?;
        }
        let folder = File::open(&self.versions).and_then(|folder| folder.lock().map(|()| folder));
        folder.map_err(|error| unavailable(&target_name(&self.versions), &error.to_string()))
    }

    /// The version that a place leads to.
    fn version(&self, place: TargetPlace) -> Result<Option<Version>, TargetError> {
        let link = match place {
            TargetPlace::Pending => &self.pending,
            TargetPlace::Current => &self.link,
            TargetPlace::Previous => &self.previous,
        };
        let foreign = |what: &str| {
            let detail = format!("{} {what}; move it away, or name another folder", link.display());
            TargetError::Foreign { detail }
        };
        match link.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable(&target_name(link), &error.to_string())),
            Ok(metadata) if !metadata.is_symlink() => return Err(foreign("is no link that was put there")),
            Ok(_) => {}
        }
        let leads_to = link.read_link().map_err(|error| unavailable(&target_name(link), &error.to_string()))?;
        let folder = self.parent.join(&leads_to);
        let rotation = folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        match rotation {
            Some(rotation) if folder.parent() == Some(&self.versions) => Ok(Some(Version { rotation, folder })),
            _ => Err(foreign("leads elsewhere")),
        }
    }

    /// The folder of a new version, which nothing leads to yet. What an attempt that was cut off left of it goes.
    fn make_version(&self, rotation: RotationId) -> Result<Version, TargetError> {
        let folder = self.versions.join(rotation.to_string());
        let in_use = self.version(TargetPlace::Current)?.is_some_and(|current| current.rotation == rotation);
        if in_use {
            return Err(TargetError::Refused { detail: format!("rotation {rotation} is current already") });
        }
        if folder.is_dir() {
            self.step(&folder, || std::fs::remove_dir_all(&folder))?;
        }
        self.step(&folder, || DirBuilder::new().mode(0o755).create(&folder))?;
        Ok(Version { rotation, folder })
    }

    /// Writes a file of a version, whole or not at all, with mode and owner of the one that is current.
    fn write(&self, version: &Version, name: &str, octets: &[u8], mode: u32) -> Result<(), TargetError> {
        let path = version.folder.join(name);
        let model = self.version(TargetPlace::Current)?.and_then(|current| current.folder.join(name).metadata().ok());
        let mode = model.as_ref().map_or(mode, |model| model.mode() & 0o777);
        self.step(&path, || {
            let mut file = tempfile::Builder::new()
                .prefix(".new-")
                // Nobody else reads it before it has its owner.
                .permissions(Permissions::from_mode(0o600))
                .tempfile_in(&version.folder)?;
            file.write_all(octets)?;
            if let Some(model) = &model {
                let own = file.as_file().metadata()?;
                if (own.uid(), own.gid()) != (model.uid(), model.gid()) {
                    fchown(file.as_file(), Some(model.uid()), Some(model.gid()))?;
                }
            }
            file.as_file().set_permissions(Permissions::from_mode(mode))?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(&version.folder)?.sync_all()
        })
    }

    /// Leads a link to a version, in one rename.
    fn lead(&self, link: &Path, version: &Version) -> Result<(), TargetError> {
        let leads_to = version.folder.strip_prefix(&self.parent).unwrap_or(&version.folder);
        // Beside the versions: a rename does not leave the file system, and what is left of one that was cut off is overwritten.
        let new = self.versions.join(".link");
        self.step(link, || {
            match std::fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            File::open(&self.versions)?.sync_all()?;
            symlink(leads_to, &new)
        })?;
        self.step(link, || {
            std::fs::rename(&new, link)?;
            File::open(&self.parent)?.sync_all()
        })
    }

    fn forget_pending(&self) -> Result<(), TargetError> {
        self.step(&self.pending, || {
            std::fs::remove_file(&self.pending)?;
            File::open(&self.parent)?.sync_all()
        })
    }

    /// Removes the versions that nothing leads to: keys that nobody needs are not kept.
    fn prune(&self) -> Result<(), TargetError> {
        let mut kept = Vec::new();
        for place in [TargetPlace::Pending, TargetPlace::Current, TargetPlace::Previous] {
            kept.extend(self.version(place)?.map(|version| version.folder));
        }
        let failed = |error: io::Error| unavailable(&target_name(&self.versions), &error.to_string());
        for entry in std::fs::read_dir(&self.versions).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_version = entry.file_name().to_str().is_some_and(|name| name.parse::<RotationId>().is_ok());
            if is_version && !kept.contains(&entry.path()) {
                self.step(&entry.path(), || std::fs::remove_dir_all(entry.path()))?;
            }
        }
        Ok(())
    }
}

fn target_name(path: &Path) -> String {
    path.display().to_string()
}

fn unavailable(path: &str, detail: &str) -> TargetError {
    TargetError::Unavailable { detail: format!("{path}: {detail}") }
}

fn not_pending(rotation: RotationId) -> TargetError {
    TargetError::Refused { detail: format!("rotation {rotation} is not pending") }
}

#[cfg(test)]
mod tests;
