//! Writing files such that a reader, or a crash, finds all of the new octets or none, and reading those that are private.

use std::error::Error;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// What the name of a file begins with before it is in its place; the publisher of CRLs has the same.
pub(crate) const TEMPORARY_PREFIX: &str = ".new-";

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner alone: mode 0600.
    Private,
    /// Everybody the folder lets in: mode 0644, less what the umask takes.
    Public,
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Public => 0o644,
        }
    }
}

/// What to do about a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail with [`io::ErrorKind::AlreadyExists`].
    Keep,
    /// Put the new file in its place.
    Replace,
}

/// Writes a file: under a name of its own first, synced, then moved into place, the folder synced. A symbolic link at `path`
/// is a file that is there already: it is kept or replaced, never followed.
pub fn write(path: &Path, octets: &[u8], access: Access, existing: Existing) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .permissions(Permissions::from_mode(access.mode()))
        .tempfile_in(folder)?;
    temporary.write_all(octets)?;
    temporary.as_file().sync_all()?;
    match existing {
        Existing::Replace => temporary.persist(path).map_err(|error| error.error)?,
        Existing::Keep => temporary.persist_noclobber(path).map_err(|error| error.error)?,
    };
    // The name is durable when the folder is.
    File::open(folder)?.sync_all()
}

/// What to do about a symbolic link in a file's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Follow it: files that the operator names (secrets are often mounted as links).
    Follow,
    /// Fail: files of the data folder.
    Refuse,
}

/// Reads a regular file of at most 64 KiB that holds a secret; `None` when there is none.
pub fn read_private(path: &Path, links: Links) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // Without O_NONBLOCK, a named pipe put in the file's place would hang the reader.
    let flags = match links {
        Links::Follow => OFlags::NONBLOCK,
        Links::Refuse => OFlags::NONBLOCK | OFlags::NOFOLLOW,
    };
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // Room for all of it at once: a vector that grew would leave copies behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).min(LARGEST) + 1));
    (&file).take(LARGEST as u64 + 1).read_to_end(&mut octets)?;
    if octets.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than any key or passphrase"));
    }
    Ok(Some(octets))
}

/// No key or passphrase is larger, in octets.
const LARGEST: usize = 65_536;

/// Removes a file if it is there, and makes that durable.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What the system said of a file; what would be right, where the disk is full.
pub(crate) fn complaint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => format!("{error}; make room on that disk"),
        _ => error.to_string(),
    }
}

/// Whether the disk was full, by an error or one of its causes.
pub(crate) fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::StorageFull)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_private_file_is_for_its_owner_alone_from_the_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        write(&path, b"secret", Access::Private, Existing::Keep).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o600);
        assert_eq!(read_private(&path, Links::Refuse).expect("readable").expect("there").as_slice(), b"secret");
    }

    #[test]
    fn keeps_what_is_there_unless_told_to_replace_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        write(&path, b"first", Access::Public, Existing::Keep).expect("written");
        let error = write(&path, b"second", Access::Public, Existing::Keep).expect_err("it is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("there"), b"first");
        write(&path, b"third", Access::Public, Existing::Replace).expect("replaced");
        assert_eq!(fs::read(&path).expect("there"), b"third");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no temporary file stays");
    }

    #[test]
    fn follows_symbolic_links_only_where_told_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "precious").expect("written");
        symlink(&target, &link).expect("linked");
        assert!(read_private(&link, Links::Refuse).is_err());
        assert_eq!(read_private(&link, Links::Follow).expect("readable").expect("there").as_slice(), b"precious");
        let error = write(&link, b"new", Access::Private, Existing::Keep).expect_err("it is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        write(&link, b"new", Access::Private, Existing::Replace).expect("replaced");
        assert_eq!(fs::read(&target).expect("there"), b"precious");
        assert!(fs::symlink_metadata(&link).expect("there").is_file());
    }

    #[test]
    fn of_a_full_disk_it_is_told_what_to_do() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(complaint(&full).ends_with("; make room on that disk"), "{}", complaint(&full));
        assert!(is_disk_full(&full));
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(complaint(&other), other.to_string());
        assert!(!is_disk_full(&other));
    }

    #[test]
    fn reads_no_pipe_and_no_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("a pipe");
        assert!(read_private(&pipe, Links::Follow).is_err());
        assert!(read_private(folder.path(), Links::Follow).is_err());
        assert!(read_private(&folder.path().join("absent"), Links::Refuse).expect("no error").is_none());
    }
}
