//! Versions that lie beside a link, which one rename leads from one to the next.
//!
//! What readers name is a link, `NAME`; beside it lie the versions it has led to, `.NAME.versions/ROTATION/`, and links to what is pending
//! (`.NAME.pending`) and what was there before (`.NAME.previous`). A link leads to the folder of a version, or to one file in it. What a
//! version holds is the business of the targets that use this.
//!
//! A file keeps mode and owner of the one before it. Everything is on the disk before something leads there.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown, symlink};
use std::path::{Path, PathBuf};

use ca_core::certificate::Certificate;
use ca_core::csr::ParsedCsr;
use ca_core::id::RotationId;
use ca_core::pem;
use ca_engine::port::certificate_target::{HeldCertificate, StagedKey, TargetError, TargetPlace};
use zeroize::Zeroizing;

/// The request that a certificate was asked for with, in a version's folder.
const REQUEST: &str = ".request.pem";

/// What a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeadsTo {
    /// The folder of a version.
    Folder,
    /// The file in it that has the link's own name.
    File,
}

/// A link, and what lies beside it.
pub(super) struct Versions {
    link: PathBuf,
    leads_to: LeadsTo,
    /// The link's own name.
    name: String,
    parent: PathBuf,
    versions: PathBuf,
    pending: PathBuf,
    previous: PathBuf,
    #[cfg(test)]
    faults: Faults,
}

impl Versions {
    /// Of a link, which is there or not; its parent exists.
    pub(super) fn of(link: &Path, leads_to: LeadsTo, #[cfg(test)] faults: Faults) -> Result<Self, TargetError> {
        let refused = |detail: String| TargetError::Refused { detail };
        let name = link.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'));
        let what = if leads_to == LeadsTo::Folder { "folder" } else { "file" };
        let name = name.ok_or_else(|| refused(format!("{} names no {what}", link.display())))?;
        let parent = link.parent().filter(|parent| parent.is_dir());
        let parent = parent.ok_or_else(|| refused(format!("{}: its folder is not there; make it", link.display())))?;
        Ok(Self {
            link: link.to_owned(),
            leads_to,
            name: name.to_owned(),
            versions: parent.join(format!(".{name}.versions")),
            pending: parent.join(format!(".{name}.pending")),
            previous: parent.join(format!(".{name}.previous")),
            parent: parent.to_owned(),
            #[cfg(test)]
            faults,
        })
    }

    fn what(&self) -> &'static str {
        match self.leads_to {
            LeadsTo::Folder => "folder",
            LeadsTo::File => "file",
        }
    }

    /// The key that is pending.
    pub(super) fn staged(&self) -> Result<Option<StagedKey>, TargetError> {
        let Some(version) = self.version(TargetPlace::Pending)? else { return Ok(None) };
        Ok(Some(StagedKey { rotation: version.rotation, request: version.request()? }))
    }

    /// Makes a version pending, with its request and what `write_key` puts into it; nothing where it is pending already.
    pub(super) fn stage(
        &self,
        staged: &StagedKey,
        write_key: impl FnOnce(&Version) -> Result<(), TargetError>,
    ) -> Result<(), TargetError> {
        let _turn = self.take_turn()?;
        if self.version(TargetPlace::Pending)?.is_some_and(|pending| pending.rotation == staged.rotation) {
            return Ok(());
        }
        let version = self.make_version(staged.rotation)?;
        write_key(&version)?;
        self.write(&version, REQUEST, pem::encode("CERTIFICATE REQUEST", &staged.request).as_bytes(), 0o644)?;
        self.lead(&self.pending, &version)?;
        self.prune()
    }

    /// Lets `write` put the certificate into the pending version of a rotation.
    pub(super) fn deliver(
        &self,
        rotation: RotationId,
        write: impl FnOnce(&Version) -> Result<(), TargetError>,
    ) -> Result<(), TargetError> {
        let _turn = self.take_turn()?;
        write(&self.pending_of(rotation)?)
    }

    /// What a place holds, as `read` reads it from a version.
    pub(super) fn look<T>(
        &self,
        place: TargetPlace,
        read: impl FnOnce(&Version) -> Result<Option<T>, TargetError>,
    ) -> Result<Option<T>, TargetError> {
        self.version(place)?.map_or(Ok(None), |version| read(&version))
    }

    /// Leads the link to the pending version, if `held` reads a pair in it.
    pub(super) fn promote(
        &self,
        rotation: RotationId,
        held: impl FnOnce(&Version) -> Result<Option<HeldCertificate>, TargetError>,
    ) -> Result<(), TargetError> {
        let _turn = self.take_turn()?;
        let current = self.version(TargetPlace::Current)?;
        if current.as_ref().is_none_or(|current| current.rotation != rotation) {
            let pending = self.pending_of(rotation)?;
            let refused = |detail: &str| Err(TargetError::Refused { detail: detail.to_owned() });
            let Some(held) = held(&pending)? else { return refused("its certificate was not delivered") };
            match Certificate::from_der(&held.certificate) {
                Ok(certificate) if certificate.public_key().spki_sha256() == held.key_spki_sha256 => {}
                _ => return refused("the certificate is of another key"),
            }
            if let Some(current) = &current {
                self.lead(&self.previous, current)?;
            }
            self.lead(&self.link, &pending)?;
        }
        // Again, when that was cut off.
        if self.version(TargetPlace::Pending)?.is_some_and(|pending| pending.rotation == rotation) {
            self.forget_pending()?;
        }
        self.prune()
    }

    fn pending_of(&self, rotation: RotationId) -> Result<Version, TargetError> {
        let pending = self.version(TargetPlace::Pending)?.filter(|pending| pending.rotation == rotation);
        let refused = || TargetError::Refused { detail: format!("rotation {rotation} is not pending") };
        pending.ok_or_else(refused)
    }

    /// A step that changes the disk; tests cut it off.
    fn step<T>(&self, path: &Path, step: impl FnOnce() -> io::Result<T>) -> Result<T, TargetError> {
        let failed = |error: io::Error| unavailable(&name_of(path), &error.to_string());
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
        folder.map_err(|error| unavailable(&name_of(&self.versions), &error.to_string()))
    }

    /// The version that a place leads to.
    fn version(&self, place: TargetPlace) -> Result<Option<Version>, TargetError> {
        let link = match place {
            TargetPlace::Pending => &self.pending,
            TargetPlace::Current => &self.link,
            TargetPlace::Previous => &self.previous,
        };
        let foreign = |what: &str| {
            let detail = format!("{} {what}; move it away, or name another {}", link.display(), self.what());
            TargetError::Foreign { detail }
        };
        match link.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable(&name_of(link), &error.to_string())),
            Ok(metadata) if !metadata.is_symlink() => return Err(foreign("is no link that was put there")),
            Ok(_) => {}
        }
        let leads_to = link.read_link().map_err(|error| unavailable(&name_of(link), &error.to_string()))?;
        let leads_to = self.parent.join(&leads_to);
        let folder = match self.leads_to {
            LeadsTo::Folder => leads_to,
            LeadsTo::File if leads_to.file_name().and_then(|name| name.to_str()) == Some(&self.name) => {
                leads_to.parent().unwrap_or(&leads_to).to_owned()
            }
            LeadsTo::File => return Err(foreign("leads elsewhere")),
        };
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
            self.step(&folder, || fs::remove_dir_all(&folder))?;
        }
        self.step(&folder, || DirBuilder::new().mode(0o755).create(&folder))?;
        Ok(Version { rotation, folder })
    }

    /// Writes a file of a version, whole or not at all, with mode and owner of the one that is current.
    pub(super) fn write(&self, version: &Version, name: &str, octets: &[u8], mode: u32) -> Result<(), TargetError> {
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
        let leads_to = match self.leads_to {
            LeadsTo::Folder => version.folder.clone(),
            LeadsTo::File => version.folder.join(&self.name),
        };
        let leads_to = leads_to.strip_prefix(&self.parent).unwrap_or(&leads_to);
        // Beside the versions: a rename does not leave the file system, and what is left of one that was cut off is overwritten.
        let new = self.versions.join(".link");
        self.step(link, || {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            File::open(&self.versions)?.sync_all()?;
            symlink(leads_to, &new)
        })?;
        self.step(link, || {
            fs::rename(&new, link)?;
            File::open(&self.parent)?.sync_all()
        })
    }

    fn forget_pending(&self) -> Result<(), TargetError> {
        self.step(&self.pending, || {
            fs::remove_file(&self.pending)?;
            File::open(&self.parent)?.sync_all()
        })
    }

    /// Removes the versions that nothing leads to: keys that nobody needs are not kept.
    fn prune(&self) -> Result<(), TargetError> {
        let mut kept = Vec::new();
        for place in [TargetPlace::Pending, TargetPlace::Current, TargetPlace::Previous] {
            kept.extend(self.version(place)?.map(|version| version.folder));
        }
        let failed = |error: io::Error| unavailable(&name_of(&self.versions), &error.to_string());
        for entry in fs::read_dir(&self.versions).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_version = entry.file_name().to_str().is_some_and(|name| name.parse::<RotationId>().is_ok());
            if is_version && !kept.contains(&entry.path()) {
                self.step(&entry.path(), || fs::remove_dir_all(entry.path()))?;
            }
        }
        Ok(())
    }
}

/// A version that a link leads to.
pub(super) struct Version {
    pub(super) rotation: RotationId,
    pub(super) folder: PathBuf,
}

impl Version {
    /// The DER of the request.
    fn request(&self) -> Result<Vec<u8>, TargetError> {
        let text = self.text(REQUEST)?.ok_or_else(|| self.foreign(REQUEST, "is missing"))?;
        let request = ParsedCsr::from_pem(&text).map_err(|_| self.foreign(REQUEST, "is no signing request"))?;
        Ok(request.der().to_vec())
    }

    /// A file of the version that is text; wiped, since it may be the key.
    pub(super) fn text(&self, name: &str) -> Result<Option<Zeroizing<String>>, TargetError> {
        let Some(mut octets) = self.octets(name)? else { return Ok(None) };
        match String::from_utf8(std::mem::take(&mut *octets)) {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                Err(self.foreign(name, "is not PEM"))
            }
        }
    }

    /// A file of the version.
    pub(super) fn octets(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, TargetError> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(octets) => Ok(Some(Zeroizing::new(octets))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(&name_of(&path), &error.to_string())),
        }
    }

    /// What is wrong with one of its files.
    pub(super) fn foreign(&self, name: &str, what: &str) -> TargetError {
        let detail = format!("{} {what}; somebody changed it", self.folder.join(name).display());
        TargetError::Foreign { detail }
    }
}

pub(super) fn name_of(path: &Path) -> String {
    path.display().to_string()
}

pub(super) fn unavailable(path: &str, detail: &str) -> TargetError {
    TargetError::Unavailable { detail: format!("{path}: {detail}") }
}

/// Cuts off at a step: that step and all after it fail, as when the process dies there. 0: never.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(std::sync::Arc<std::sync::atomic::AtomicU32>);

#[cfg(test)]
impl Faults {
    pub(super) fn cut_off_at(step: u32) -> Self {
        Self(std::sync::Arc::new(std::sync::atomic::AtomicU32::new(step)))
    }

    fn strike(&self) -> io::Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        match self.0.load(SeqCst) {
            0 => Ok(()),
            1 => Err(io::Error::other("cut off by the test")),
            left => {
                self.0.store(left - 1, SeqCst);
                Ok(())
            }
        }
    }
}
