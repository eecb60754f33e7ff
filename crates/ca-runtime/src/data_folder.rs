//! The data folder: what lies where in it, and that nobody else may write there.
//!
//! The same for `dev`, `serve` and local mode. Who may use it at the same time is the business of [`crate::lock`].

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::file;

/// The configuration, if there is one.
pub const CONFIG_FILE: &str = "config.toml";
/// The passphrase that `dev` and local mode make.
pub const PASSPHRASE_FILE: &str = "seal.passphrase";

const ROOT_KEY_FILE: &str = "root/root.key";
const FOLDERS: [&str; 4] = ["root", "admin", "api", "crl"];

/// A data folder that was looked at: it is a folder, ours, and nobody else may write in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolder {
    path: PathBuf,
}

impl DataFolder {
    /// Opens a data folder; its inner folders are made where they are missing.
    pub fn open(path: &Path) -> Result<Self, DataFolderError> {
        let path = path.canonicalize().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => DataFolderError::Missing { path: path.to_path_buf() },
            _ => DataFolderError::Io { path: path.to_path_buf(), source },
        })?;
        let owner = rustix::process::geteuid().as_raw();
        check(&path, owner)?;
        for name in FOLDERS {
            let inner = path.join(name);
            make_folder(&inner)?;
            check(&inner, owner)?;
        }
        Ok(Self { path })
    }

    /// Opens a data folder, making it (mode 0700) when it is missing.
    pub fn create(path: &Path) -> Result<Self, DataFolderError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| DataFolderError::Io { path: parent.to_path_buf(), source })?;
        }
        make_folder(path)?;
        Self::open(path)
    }

    /// Removes what writers left that died between writing a file and putting it in its place. Only for who is alone here.
    pub fn remove_leftovers(&self) -> Result<(), DataFolderError> {
        for folder in FOLDERS.iter().map(|name| self.path.join(name)).chain([self.path.clone()]) {
            let failed = |source| DataFolderError::Io { path: folder.clone(), source };
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let is_leftover = entry.file_name().as_encoded_bytes().starts_with(file::TEMPORARY_PREFIX.as_bytes());
                if is_leftover && entry.file_type().map_err(failed)?.is_file() {
                    fs::remove_file(entry.path()).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// The folder, as an absolute path without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.toml`
    pub fn config_file(&self) -> PathBuf {
        self.path.join(CONFIG_FILE)
    }

    /// `seal.passphrase`
    pub fn passphrase_file(&self) -> PathBuf {
        self.path.join(PASSPHRASE_FILE)
    }

    /// `root/root.key`
    pub fn root_key_file(&self) -> PathBuf {
        self.path.join(ROOT_KEY_FILE)
    }

    /// `admin/`: certificate, key and settings of the first administrator.
    pub fn admin_folder(&self) -> PathBuf {
        self.path.join("admin")
    }

    /// `api/`: the certificate of the API's listener and its key.
    pub fn api_folder(&self) -> PathBuf {
        self.path.join("api")
    }

    /// `crl/`: published lists.
    pub fn crl_folder(&self) -> PathBuf {
        self.path.join("crl")
    }
}

fn make_folder(path: &Path) -> Result<(), DataFolderError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        // Whatever it is, the check that follows judges it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(DataFolderError::Io { path: path.to_path_buf(), source }),
    }
}

/// Whoever may write in a folder may replace every file in it, modes notwithstanding.
fn check(path: &Path, us: u32) -> Result<(), DataFolderError> {
    // Not followed: a link inside the folder would lead out of it.
    let metadata =
        fs::symlink_metadata(path).map_err(|source| DataFolderError::Io { path: path.to_path_buf(), source })?;
    let path = path.to_path_buf();
    if !metadata.is_dir() {
        return Err(DataFolderError::NotAFolder { path });
    }
    if metadata.uid() != us {
        return Err(DataFolderError::OwnedByAnother { path, owner: metadata.uid(), us });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(DataFolderError::OthersMayWrite { path, mode: metadata.mode() & 0o7777 });
    }
    Ok(())
}

/// Why a folder cannot be the data folder.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataFolderError {
    /// There is none.
    #[error("there is no data folder {}; `ca-server init` makes one", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Something else is in its place, a symbolic link inside the data folder included.
    #[error("{} is not a folder; name one that is, or that can be made", path.display())]
    NotAFolder {
        /// What was found.
        path: PathBuf,
    },
    /// Another user's.
    #[error("{} belongs to user {owner}, who could put other keys into it, and this is user {us}; run as its owner, or give it away with chown", path.display())]
    OwnedByAnother {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// Writable for group or others.
    #[error("others may write in {} (mode {mode:04o}), and could put other keys into it; `chmod go-w {}` ends that", path.display(), path.display())]
    OthersMayWrite {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system refused.
    #[error("{}: {}", path.display(), file::complaint(source))]
    Io {
        /// What was to be read or made.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
    }

    #[test]
    fn makes_a_folder_for_its_owner_alone() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = DataFolder::create(&parent.path().join("new/pki")).expect("made");
        for path in [folder.path().to_path_buf(), folder.admin_folder(), folder.crl_folder(), folder.api_folder()] {
            assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o700, "{}", path.display());
        }
        assert_eq!(DataFolder::open(folder.path()).expect("still ours"), folder);
    }

    #[test]
    fn clears_away_what_dead_writers_left_and_nothing_else() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = DataFolder::create(parent.path()).expect("made");
        let kept = [folder.config_file(), folder.crl_folder().join("tls.crl")];
        let left = [folder.path().join(".new-a1B2c3"), folder.root_key_file().with_file_name(".new-d4E5f6")];
        for file in kept.iter().chain(&left) {
            fs::write(file, "").expect("written");
        }
        folder.remove_leftovers().expect("cleared");
        assert!(kept.iter().all(|file| file.exists()));
        assert!(!left.iter().any(|file| file.exists()));
    }

    #[test]
    fn refuses_a_folder_in_which_others_may_write() {
        let parent = tempfile::tempdir().expect("a folder");
        for mode in [0o770, 0o702, 0o1777] {
            set_mode(parent.path(), mode);
            let error = DataFolder::create(parent.path()).expect_err("others may write");
            assert!(matches!(error, DataFolderError::OthersMayWrite { mode: found, .. } if found == mode), "{error}");
        }
        set_mode(parent.path(), 0o755);
        let folder = DataFolder::create(parent.path()).expect("others may only read");
        set_mode(&folder.admin_folder(), 0o777);
        let error = DataFolder::open(folder.path()).expect_err("others may write inside");
        assert!(matches!(error, DataFolderError::OthersMayWrite { .. }), "{error}");
    }

    #[test]
    fn refuses_what_is_no_folder_and_links_that_lead_out() {
        let parent = tempfile::tempdir().expect("a folder");
        let file = parent.path().join("file");
        fs::write(&file, "").expect("written");
        assert!(matches!(DataFolder::create(&file), Err(DataFolderError::NotAFolder { .. })));

        let folder = parent.path().join("pki");
        fs::create_dir(&folder).expect("made");
        symlink(parent.path(), folder.join("root")).expect("linked");
        assert!(matches!(DataFolder::open(&folder), Err(DataFolderError::NotAFolder { .. })));

        assert!(matches!(DataFolder::open(&parent.path().join("absent")), Err(DataFolderError::Missing { .. })));
    }

    #[test]
    fn refuses_the_folder_of_another_user() {
        let parent = tempfile::tempdir().expect("a folder");
        let us = rustix::process::geteuid().as_raw();
        let error = check(parent.path(), us.wrapping_add(1)).expect_err("not theirs");
        assert!(matches!(error, DataFolderError::OwnedByAnother { owner, .. } if owner == us), "{error}");
    }
}
