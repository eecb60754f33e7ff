//! CRLs as files of a folder, DER, for whoever serves or copies them: `{authority}.crl`, `{authority}-delta.crl`, and shards in a folder
//! of each authority.
//!
//! The number of the list in place is read from the list itself: nothing beside it can disagree with it.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use ca_core::crl::{CrlOutline, ListName};
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::publisher::{PublishError, Publisher};

use super::number::number_in;

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
    async fn publish_crl(&self, list: &ListName, number: u64, der: &ListOctets) -> Result<(), PublishError> {
        let (folder, path, der) = (self.folder.clone(), self.path(list), der.clone());
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
pub(crate) fn put_newer_list(folder: &Path, path: &Path, number: u64, der: &ListOctets) -> io::Result<()> {
    // Held to the end: between looking at the list in place and replacing it, no other process puts a newer one there.
    let directory = File::open(folder)?;
    directory.lock()?;
    if is_file_of_list(path, der)? {
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
    for piece in der.pieces() {
        temporary.write_all(&piece?)?;
    }
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    // The name is durable when the folder is.
    directory.sync_all()
}

/// Whether a file has the octets of this list and no others. Read piece by piece: a list may be large, and most times it is the same.
fn is_file_of_list(path: &Path, list: &ListOctets) -> io::Result<bool> {
    let Some(mut file) = open(path)? else { return Ok(false) };
    if file.metadata()?.len() != list.count() {
        return Ok(false);
    }
    let mut there = Vec::new();
    for piece in list.pieces() {
        let piece = piece?;
        there.clear();
        (&mut file).take(piece.len() as u64).read_to_end(&mut there)?;
        if there != piece {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a file has these octets and no others. Read piece by piece: a list may be large, and most times it is the same.
pub(crate) fn is_file_of(path: &Path, octets: &[u8]) -> io::Result<bool> {
    let Some(mut file) = open(path)? else { return Ok(false) };
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
    let Some(mut file) = open(path)? else { return Ok(None) };
    let (mut outline, mut piece) = (CrlOutline::new(), Vec::new());
    loop {
        piece.clear();
        (&mut file).take(64 * 1024).read_to_end(&mut piece)?;
        if piece.is_empty() {
            break;
        }
        if outline.update(&piece).is_err() {
            return Ok(None);
        }
    }
    Ok(number_in(outline))
}

/// `None` when there is none.
fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
pub(super) mod tests;
