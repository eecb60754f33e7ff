//! CRLs as files of a folder, DER, for whoever serves or copies them: `{authority}.crl`, `{authority}-delta.crl`, and shards in a folder
//! of each authority.
//!
//! The number of the list in place is read from the list itself: nothing beside it can disagree with it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ca_core::crl::{ListName, ParsedCrl};
use ca_engine::port::publisher::{PublishError, Publisher};

/// Publishes into a folder that exists. Processes that share it take turns.
#[derive(Clone, Debug)]
pub struct DirectoryPublisher {
    folder: PathBuf,
}

impl DirectoryPublisher {
    /// Publishes into `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The file of a list. Ids are checked text (`[a-z0-9-]+`): they cannot lead out of the folder.
    pub fn path(&self, list: &ListName) -> PathBuf {
        self.folder.join(list.to_string())
    }
}

#[async_trait]
impl Publisher for DirectoryPublisher {
    async fn publish_crl(&self, list: &ListName, number: u64, der: &Arc<[u8]>) -> Result<(), PublishError> {
        let (folder, path, der) = (self.folder.clone(), self.path(list), Arc::clone(der));
        // Syncing a disk takes milliseconds, or longer: not on the async threads.
        let published = tokio::task::spawn_blocking(move || {
            let place = folder_of(&folder, &path).and_then(|folder| put_newer_list(folder, &path, number, &der));
            place.map_err(|error| format!("{}: {error}", path.display()))
        });
        match published.await {
            Ok(result) => result.map_err(|detail| PublishError { detail }),
            Err(_) => Err(PublishError { detail: "the process is stopping".to_owned() }),
        }
    }
}

/// The folder that a list lies in, made if it is one of an authority's shards.
fn folder_of<'a>(folder: &Path, path: &'a Path) -> io::Result<&'a Path> {
    let place = path.parent().unwrap_or(path);
    if place != folder && !place.is_dir() {
        // CRLs are public.
        match DirBuilder::new().mode(0o755).create(place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => File::open(folder)?.sync_all()?,
        }
    }
    Ok(place)
}

/// Puts a list in place of one with a lower number, atomically and durably; processes that share the folder take turns.
pub(crate) fn put_newer_list(folder: &Path, path: &Path, number: u64, der: &Arc<[u8]>) -> io::Result<()> {
    // Held to the end: between looking at the list in place and replacing it, no other process puts a newer one there.
    let directory = File::open(folder)?;
    directory.lock()?;
    if is_file_of(path, der)? {
        return Ok(());
    }
    if number_in_place(path)?.is_some_and(|in_place| in_place >= number) {
        return Ok(());
    }
    let mut temporary = tempfile::Builder::new()
        .prefix(".new-")
        // CRLs are public.
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    temporary.write_all(der)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    // The name is durable when the folder is.
    directory.sync_all()
}

/// Whether a file has these octets and no others. Read piece by piece: a list may be large, and most times it is the same.
pub(crate) fn is_file_of(path: &Path, octets: &[u8]) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() != octets.len() as u64 {
        return Ok(false);
    }
    let mut piece = vec![0; 64 * 1024];
    let mut rest = octets;
    loop {
        let read = match file.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match rest.strip_prefix(&piece[..read]) {
            // Its end, and ours.
            Some(after) if read == 0 => return Ok(after.is_empty()),
            Some(after) => rest = after,
            None => return Ok(false),
        }
    }
}

/// The number of the list in place; `None` when there is none, or it is damaged and better replaced.
fn number_in_place(path: &Path) -> io::Result<Option<u64>> {
    let der = match fs::read(path) {
        Ok(der) => der,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(crl) = ParsedCrl::from_der(der) else { return Ok(None) };
    // RFC 5280 §5.2.3 allows 20 octets; a number that does not fit into ours is above each of them.
    Ok(crl.number_octets().map(|_| crl.number().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests;
