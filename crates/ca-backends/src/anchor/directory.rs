//! The anchor in a folder, of one host or shared by many (NFS, EFS).
//!
//! ```text
//! FOLDER/SHA-256 of the root's certificate/
//!     GENERATION/PROCESS.log     revocations, a line each; every process writes a file of its own
//!     GENERATION/chain           the furthest end of the audit chain
//!     crl/AUTHORITY.crl          the newest list
//! ```
//! Logs are only ever appended to. A process that fails to append writes no further into that file, so that a line that was cut
//! off can only be the last of its file; any other that cannot be read was damaged.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_engine::list_octets::ListOctets;
use ca_engine::port::anchor::{Anchor, AnchorError, AnchorHead, AnchoredRevocation, Generation, ServiceDigest};
use ca_engine::port::store::ChainHead;

use super::line;
use crate::publisher::{is_file_of, put_newer_list};

const LISTS: &str = "crl";
const CHAIN: &str = "chain";
const LOG_SUFFIX: &str = ".log";

/// An anchor in a folder. Clones share it.
#[derive(Clone, Debug)]
pub struct DirectoryAnchor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    is_whole: bool,
    /// Folders that hold published lists too.
    more_lists: Vec<PathBuf>,
    /// The logs that this process writes, by their folder.
    logs: Mutex<BTreeMap<PathBuf, File>>,
}

impl DirectoryAnchor {
    /// An anchor in `folder`, which is made when something is first written. `is_whole`: whether every process of the service
    /// writes here. `more_lists` are other folders in which published lists may lie, as `AUTHORITY.crl`.
    pub fn new(folder: PathBuf, is_whole: bool, more_lists: Vec<PathBuf>) -> Self {
        Self { inner: Arc::new(Inner { folder, is_whole, more_lists, logs: Mutex::default() }) }
    }

    /// Disks and file servers take their time: not on the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, AnchorError> + Send + 'static,
    ) -> Result<T, AnchorError> {
        let inner = Arc::clone(&self.inner);
        let stopping = |_| AnchorError::Unavailable { detail: "the process is stopping".to_owned() };
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(stopping)?
    }
}

#[async_trait]
impl Anchor for DirectoryAnchor {
    fn is_whole(&self) -> bool {
        self.inner.is_whole
    }

    fn place(&self) -> String {
        self.inner.folder.display().to_string()
    }

    async fn heads(&self, service: &ServiceDigest) -> Result<Vec<AnchorHead>, AnchorError> {
        let service = *service;
        self.blocking(move |inner| inner.heads(&service)).await
    }

    async fn revocations(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        sequence: u64,
    ) -> Result<Vec<AnchoredRevocation>, AnchorError> {
        let service = *service;
        self.blocking(move |inner| inner.revocations(&inner.generation(&service, generation), sequence)).await
    }

    async fn lists(&self, service: &ServiceDigest) -> Result<Vec<(AuthorityId, Vec<u8>)>, AnchorError> {
        let service = *service;
        self.blocking(move |inner| inner.lists(&service)).await
    }

    async fn begin(&self, service: &ServiceDigest, generation: Generation) -> Result<(), AnchorError> {
        let service = *service;
        self.blocking(move |inner| {
            let folder = inner.generation(&service, generation);
            make_folder(&folder).map_err(|error| unavailable(&folder, &error))
        })
        .await
    }

    async fn append(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        rows: &[AnchoredRevocation],
    ) -> Result<(), AnchorError> {
        let service = *service;
        let lines: String = rows.iter().map(line::write).collect();
        self.blocking(move |inner| {
            let folder = inner.generation(&service, generation);
            inner.append(&folder, &lines).map_err(|error| unavailable(&folder, &error))
        })
        .await
    }

    async fn put_list(
        &self,
        service: &ServiceDigest,
        authority: &AuthorityId,
        number: u64,
        der: &ListOctets,
    ) -> Result<(), AnchorError> {
        let (service, authority, der) = (*service, authority.clone(), der.clone());
        self.blocking(move |inner| {
            let folder = inner.service(&service).join(LISTS);
            let path = folder.join(format!("{authority}.crl"));
            make_folder(&folder)
                .and_then(|()| put_newer_list(&folder, &path, number, &der))
                .map_err(|error| unavailable(&path, &error))
        })
        .await
    }

    async fn put_chain_head(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        head: ChainHead,
    ) -> Result<(), AnchorError> {
        let service = *service;
        self.blocking(move |inner| put_chain_head(&inner.generation(&service, generation), head)).await
    }
}

impl Inner {
    fn service(&self, service: &ServiceDigest) -> PathBuf {
        self.folder.join(hex::encode(service))
    }

    fn generation(&self, service: &ServiceDigest, generation: Generation) -> PathBuf {
        self.service(service).join(generation.to_string())
    }

    fn heads(&self, service: &ServiceDigest) -> Result<Vec<AnchorHead>, AnchorError> {
        let mut heads = Vec::new();
        for path in entries(&self.service(service))? {
            // Whatever else lies there is not ours.
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let Ok(generation) = name.parse() else { continue };
            let mut newest: Option<AnchoredRevocation> = None;
            for log in logs(&path)? {
                let last = last_line(&log)?;
                if last.as_ref().map(|last| last.row.sequence) > newest.as_ref().map(|newest| newest.row.sequence) {
                    newest = last;
                }
            }
            heads.push(AnchorHead { generation, newest, chain: read_chain_head(&path)? });
        }
        heads.sort_unstable_by_key(|head| head.generation);
        Ok(heads)
    }

    fn revocations(&self, folder: &Path, sequence: u64) -> Result<Vec<AnchoredRevocation>, AnchorError> {
        let mut rows = BTreeMap::new();
        for log in logs(folder)? {
            let text = fs::read_to_string(&log).map_err(|error| unavailable(&log, &error))?;
            for (number, read) in complete_lines(&text).map(line::read).enumerate() {
                let revocation = read.ok_or_else(|| damaged(&log, number + 1))?;
                if revocation.row.sequence <= sequence {
                    continue;
                }
                let number = revocation.row.sequence;
                if let Some(other) = rows.insert(number, revocation.clone())
                    && other.row != revocation.row
                {
                    let detail = format!("{}: two logs have different revocations {number}", folder.display());
                    return Err(AnchorError::Damaged { detail });
                }
            }
        }
        Ok(rows.into_values().collect())
    }

    fn lists(&self, service: &ServiceDigest) -> Result<Vec<(AuthorityId, Vec<u8>)>, AnchorError> {
        let mut lists: Vec<(AuthorityId, Vec<u8>)> = Vec::new();
        let own = self.service(service).join(LISTS);
        for folder in std::iter::once(&own).chain(&self.more_lists) {
            for path in entries(folder)? {
                let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".crl"));
                let Some(authority) = name.and_then(|name| name.parse().ok()) else { continue };
                // Most times the same lies in both places, and it may be large.
                let mut is_new = true;
                for (_, known) in lists.iter().filter(|(known, _)| *known == authority) {
                    is_new &= !is_file_of(&path, known).map_err(|error| unavailable(&path, &error))?;
                }
                if is_new {
                    lists.push((authority, fs::read(&path).map_err(|error| unavailable(&path, &error))?));
                }
            }
        }
        Ok(lists)
    }

    /// Appends to this process's log of a generation and syncs it. After a failure the next lines go into a new file: what follows
    /// a line that was cut off would be lost with it.
    fn append(&self, folder: &Path, lines: &str) -> io::Result<()> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut log = match logs.remove(folder) {
            Some(log) => log,
            None => new_log(folder)?,
        };
        log.write_all(lines.as_bytes())?;
        log.sync_data()?;
        logs.insert(folder.to_path_buf(), log);
        Ok(())
    }
}

/// A log of a name that no other has, durable as a name.
fn new_log(folder: &Path) -> io::Result<File> {
    make_folder(folder)?;
    let log = tempfile::Builder::new()
        .prefix("")
        .rand_bytes(12)
        .suffix(LOG_SUFFIX)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    let (file, _path) = log.keep().map_err(|error| error.error)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// The paths in a folder, in order; none where there is no folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, AnchorError> {
    let read = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()),
    };
    let mut paths = read.map_err(|error| unavailable(folder, &error))?;
    paths.sort_unstable();
    Ok(paths)
}

fn logs(folder: &Path) -> Result<Vec<PathBuf>, AnchorError> {
    let mut logs = entries(folder)?;
    logs.retain(|path| path.as_os_str().as_encoded_bytes().ends_with(LOG_SUFFIX.as_bytes()));
    Ok(logs)
}

/// The last line that was written whole, read from the end of the file alone.
fn last_line(log: &Path) -> Result<Option<AnchoredRevocation>, AnchorError> {
    let (octets, is_whole) = tail(log).map_err(|error| unavailable(log, &error))?;
    let text = String::from_utf8_lossy(&octets);
    match complete_lines(&text).last() {
        Some(last) => line::read(last).map(Some).ok_or_else(|| damaged(log, 0)),
        // A file of one line that was cut off has none.
        None if is_whole => Ok(None),
        None => Err(damaged(log, 0)),
    }
}

/// The end of a file, long enough for two lines, and whether that is all of it.
fn tail(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(2 * line::LONGEST as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut octets = Vec::new();
    file.read_to_end(&mut octets)?;
    Ok((octets, from == 0))
}

/// The lines that end; what follows the last end was cut off.
fn complete_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'))
}

/// Puts an end of the chain in the place of a nearer one. Held to the end: between looking and replacing no other comes.
fn put_chain_head(folder: &Path, head: ChainHead) -> Result<(), AnchorError> {
    let failed = |error: io::Error| unavailable(folder, &error);
    make_folder(folder).map_err(failed)?;
    let directory = File::open(folder).map_err(failed)?;
    directory.lock().map_err(failed)?;
    if read_chain_head(folder)?.is_some_and(|known| known.sequence >= head.sequence) {
        return Ok(());
    }
    let write = || {
        let mut temporary = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        writeln!(temporary, "{} {}", head.sequence, hex::encode(head.hash))?;
        temporary.as_file().sync_all()?;
        temporary.persist(folder.join(CHAIN)).map_err(|error| error.error)?;
        directory.sync_all()
    };
    write().map_err(failed)
}

fn read_chain_head(folder: &Path) -> Result<Option<ChainHead>, AnchorError> {
    let path = folder.join(CHAIN);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| unavailable(&path, &error))?,
    };
    let parsed = text.trim_end().split_once(' ').and_then(|(sequence, hash)| {
        let hash = hex::decode(hash).ok()?.try_into().ok()?;
        Some(ChainHead { sequence: sequence.parse().ok()?, hash })
    });
    parsed.map(Some).ok_or_else(|| damaged(&path, 1))
}

/// Makes a folder and those above it, for their owner alone, durably.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for above in folder.ancestors().skip(1).take(3) {
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

fn unavailable(path: &Path, error: &io::Error) -> AnchorError {
    AnchorError::Unavailable { detail: format!("{}: {error}", path.display()) }
}

/// `number` is that of the line; 0 for the last.
fn damaged(path: &Path, number: usize) -> AnchorError {
    let place = if number == 0 { "its last line".to_owned() } else { format!("line {number}") };
    AnchorError::Damaged { detail: format!("{}: {place} is not what was written", path.display()) }
}

#[cfg(test)]
mod tests;
