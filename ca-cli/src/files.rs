//! The files of an issued certificate: what they are called, what may be overwritten, and that they appear complete or not
//! at all.
//!
//! Every file is written under a temporary name in its folder and synced before the first is moved into place; the
//! certificate comes last, so that whoever finds NAME.crt finds its key too.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ca_core::certificate::Certificate;
use tempfile::NamedTempFile;
use thiserror::Error;

/// The name of files without their ending: no folder, no blank, nothing that a shell or a listing would hide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileName(String);

impl FileName {
    /// Made from the name that a certificate is for: `*.example.com` becomes `_.example.com`.
    pub(crate) fn of_subject(name: &str) -> Result<Self, FilesError> {
        let text = name.strip_prefix("*.").map_or_else(|| name.to_owned(), |rest| format!("_.{rest}"));
        Self::given(&text)
    }

    /// As given by `--file-name`.
    pub(crate) fn given(text: &str) -> Result<Self, FilesError> {
        let forbidden = |character: char| {
            character.is_whitespace() || character.is_control() || matches!(character, '/' | '\\' | '*' | '?' | '\0')
        };
        let fits = !text.is_empty() && text.len() <= LONGEST_NAME && !text.starts_with(['.', '-']);
        // A certificate called `ca` would take the place of the root's.
        let is_root = ROOT_FILE.strip_suffix(".crt") == Some(text);
        if !fits || is_root || text.chars().any(forbidden) {
            return Err(FilesError::Name { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The file with this ending in `folder`.
    fn file(&self, folder: &Path, ending: &str) -> PathBuf {
        folder.join(format!("{}.{ending}", self.0))
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What to write.
pub(crate) struct Contents<'a> {
    /// The certificate, then its chain, PEM.
    pub(crate) certificate: &'a str,
    /// The key, PKCS#8 PEM; absent when it is kept elsewhere.
    pub(crate) key: Option<&'a str>,
    /// PKCS#12.
    pub(crate) pkcs12: Option<&'a [u8]>,
    /// The root.
    pub(crate) root: &'a Certificate,
}

/// Where files go, and whether what is there may be overwritten.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    folder: PathBuf,
    name: FileName,
    replace: Replace,
}

/// What to do about files that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replace {
    /// Refuse.
    Never,
    /// Overwrite them (`--force`).
    Overwrite,
    /// Keep them as FILE.old (`renew`). The root's file is none of them.
    KeepOld,
}

impl Destination {
    /// NAME.crt, NAME.key and ca.crt in `folder`.
    pub(crate) fn new(folder: PathBuf, name: FileName, replace: Replace) -> Self {
        Self { folder, name, replace }
    }

    /// `NAME.crt`
    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.name.file(&self.folder, "crt")
    }

    /// `NAME.key`
    pub(crate) fn key_file(&self) -> PathBuf {
        self.name.file(&self.folder, "key")
    }

    /// `NAME.p12`
    pub(crate) fn pkcs12_file(&self) -> PathBuf {
        self.name.file(&self.folder, "p12")
    }

    /// `ca.crt`
    pub(crate) fn root_file(&self) -> PathBuf {
        self.folder.join(ROOT_FILE)
    }

    /// Refuses what [`Destination::write`] would refuse, before a certificate is asked for in vain. Makes the folder.
    pub(crate) fn check(&self, with_key: bool, with_pkcs12: bool, roots: &[Certificate]) -> Result<(), FilesError> {
        fs::create_dir_all(&self.folder).map_err(|source| FilesError::io(&self.folder, source))?;
        if self.replace == Replace::Never {
            let key = with_key.then(|| self.key_file());
            let pkcs12 = with_pkcs12.then(|| self.pkcs12_file());
            let files = [Some(self.certificate_file()), key, pkcs12];
            if let Some(path) = files.into_iter().flatten().find(|path| path.symlink_metadata().is_ok()) {
                return Err(FilesError::Exists { path });
            }
        }
        if !roots.is_empty() && self.replace != Replace::Overwrite {
            let there = self.root_there()?;
            if there.is_some_and(|there| !roots.iter().any(|root| root.der() == there)) {
                return Err(FilesError::OtherRoot { path: self.root_file() });
            }
        }
        // That the folder can be written and has room is found out now.
        Staged::new(self.certificate_file(), &[0; ROOM], PRIVATE).map(drop)
    }

    /// Writes the files; returns those that are new, in the order of their importance.
    pub(crate) fn write(&self, contents: &Contents<'_>) -> Result<Vec<PathBuf>, FilesError> {
        let root_is_there = match self.root_there()? {
            Some(there) if there == contents.root.der() => true,
            Some(_) if self.replace != Replace::Overwrite => {
                return Err(FilesError::OtherRoot { path: self.root_file() });
            }
            _ => false,
        };
        // 1. Everything under temporary names, so that a full disk leaves nothing behind.
        let mut staged = Vec::new();
        if let Some(key) = contents.key {
            staged.push(Staged::new(self.key_file(), key.as_bytes(), PRIVATE)?);
        }
        if let Some(pkcs12) = contents.pkcs12 {
            staged.push(Staged::new(self.pkcs12_file(), pkcs12, PRIVATE)?);
        }
        if !root_is_there {
            staged.push(Staged::new(self.root_file(), contents.root.to_pem().as_bytes(), PUBLIC)?);
        }
        staged.push(Staged::new(self.certificate_file(), contents.certificate.as_bytes(), PUBLIC)?);
        // 2. Into place, the certificate last.
        self.place(staged)?;
        let folder = File::open(&self.folder).and_then(|folder| folder.sync_all());
        folder.map_err(|source| FilesError::io(&self.folder, source))?;
        let key = contents.key.map(|_| self.key_file());
        let pkcs12 = contents.pkcs12.map(|_| self.pkcs12_file());
        let root = (!root_is_there).then(|| self.root_file());
        Ok([Some(self.certificate_file()), key, pkcs12, root].into_iter().flatten().collect())
    }

    fn place(&self, staged: Vec<Staged>) -> Result<(), FilesError> {
        if self.replace == Replace::KeepOld {
            for file in &staged {
                keep_old(&file.path)?;
            }
        }
        let mut placed: Vec<PathBuf> = Vec::new();
        for file in staged {
            let path = file.path.clone();
            match file.place(self.replace != Replace::Never) {
                Ok(()) => placed.push(path),
                Err(error) => {
                    // Nothing was there before, so nothing is lost by taking back what is ours.
                    if self.replace == Replace::Never {
                        for ours in &placed {
                            let _ = fs::remove_file(ours);
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The root in `ca.crt`, if that is there.
    fn root_there(&self) -> Result<Option<Vec<u8>>, FilesError> {
        let path = self.root_file();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Certificate::from_pem(&text).map(|root| root.der().to_vec()).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Octets that are no text are no root of ours.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Some(Vec::new())),
            Err(source) => Err(FilesError::io(&path, source)),
        }
    }
}

/// A file that is written, synced, and not in its place yet.
struct Staged {
    path: PathBuf,
    temporary: NamedTempFile,
}

impl Staged {
    fn new(path: PathBuf, octets: &[u8], mode: u32) -> Result<Self, FilesError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let write = || -> io::Result<NamedTempFile> {
            let mut temporary = tempfile::Builder::new()
                .prefix(TEMPORARY_PREFIX)
                .permissions(Permissions::from_mode(mode))
                .tempfile_in(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?;
            temporary.write_all(octets)?;
            temporary.as_file().sync_all()?;
            Ok(temporary)
        };
        // Only the kind: the error itself names the temporary file, which means nothing to anybody.
        let temporary = write().map_err(|error| FilesError::io(&path, error.kind().into()))?;
        Ok(Self { path, temporary })
    }

    fn place(self, replace: bool) -> Result<(), FilesError> {
        let placed = match replace {
            true => self.temporary.persist(&self.path),
            false => self.temporary.persist_noclobber(&self.path),
        };
        match placed {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(FilesError::Exists { path: self.path })
            }
            Err(error) => Err(FilesError::io(&self.path, error.error)),
        }
    }
}

/// Keeps what is at `path` under FILE.old too; the file itself stays where it is until the new one takes its place.
fn keep_old(path: &Path) -> Result<(), FilesError> {
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    let old = PathBuf::from(old);
    let failed = |source| FilesError::io(&old, source);
    match fs::remove_file(&old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    match fs::hard_link(path, &old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// A path for people: without the `./` that the working directory brings.
pub(crate) fn shown(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(".").unwrap_or(path).display()
}

/// Writes one file that must not be there, mode 0600: secrets.
pub(crate) fn write_secret(path: &Path, octets: &[u8]) -> Result<(), FilesError> {
    Staged::new(path.to_path_buf(), octets, PRIVATE)?.place(false)
}

/// Writes one file, replacing what is there, mode 0644.
pub(crate) fn write_public(path: &Path, octets: &[u8]) -> Result<(), FilesError> {
    Staged::new(path.to_path_buf(), octets, PUBLIC)?.place(true)
}

/// Writes one file, replacing what is there, mode 0644; on return it survives the loss of power under its name.
pub(crate) fn write_durably(path: &Path, octets: &[u8]) -> Result<(), FilesError> {
    write_public(path, octets)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| FilesError::io(folder, source))
}

/// The root, beside every certificate.
pub(crate) const ROOT_FILE: &str = "ca.crt";

const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;
const TEMPORARY_PREFIX: &str = ".ca-cli-";
/// More than all files of one certificate take: a key of RSA 4096, a long chain, the same again as PKCS#12.
const ROOM: usize = 65_536;
/// File systems take 255 octets; `.crt.old` must fit too.
const LONGEST_NAME: usize = 240;

/// Why files were not written.
#[derive(Debug, Error)]
pub(crate) enum FilesError {
    /// A name that no file should have.
    #[error("`{text}` cannot be the name of files; give one with --file-name (no blanks, no `/`, not `ca`)")]
    Name {
        /// What was given.
        text: String,
    },
    /// It is there.
    #[error("{} is there already; --force overwrites it", shown(path))]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another root.
    #[error(
        "{} holds another root than the one of this certificate; choose another folder with --out, or overwrite it with --force",
        shown(path)
    )]
    OtherRoot {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{}: {source}", shown(path))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FilesError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }
}

#[cfg(test)]
mod tests;
