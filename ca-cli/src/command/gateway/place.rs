//! Where the bundle lies, and what must outlive a restart: the last good bundle, the newest numbers ever seen, and which bundle
//! the gateway has loaded.
//!
//! The state's own copy comes first, then the file that the gateway reads: cut off in between, the next round goes on.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ca_core::crl::{AuthorityMark, ListMark};
use serde::{Deserialize, Serialize};

use super::good::{Good, generation};
use crate::exit::Failure;
use crate::files::write_durably;

/// The folder of the state, held by this process alone, and the file of the gateway.
pub(super) struct Place {
    crl_file: PathBuf,
    generation_file: Option<PathBuf>,
    folder: PathBuf,
    state: State,
    /// What the file of the gateway was when it was last found to hold the generation.
    seen: Option<(Stamp, String)>,
    /// Held for as long as this lives.
    lock: File,
}

impl Drop for Place {
    /// The lock is given back by name: a hook or a test of the configuration that is being started holds a copy of the file
    /// until it becomes its program, and closing ours alone would leave the lock with it.
    fn drop(&mut self) {
        // Nothing can be done about a failure; the kernel gives the lock back with the last copy of the file.
        let _ = self.lock.unlock();
    }
}

/// What the state holds beside the lists.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// The generation that the gateway has loaded.
    loaded: Option<String>,
    /// The generations that this program may have put into the gateway's file: the last one, and, if the write was cut off, the one
    /// before. None: it never wrote there, or by a version that did not say so.
    #[serde(default)]
    written: Vec<String>,
    /// The newest list ever in place of each authority.
    #[serde(default)]
    newest: BTreeMap<String, Newest>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    number: u64,
    sha256: String,
}

/// What became of the gateway's files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Put {
    /// Whether one was written.
    pub(super) written: bool,
    /// What somebody else had made of the lists in place, when they did.
    pub(super) other_octets: Option<String>,
}

/// Why a bundle is not in place.
#[derive(Debug)]
pub(super) enum NotPut {
    /// It cannot be written, or read.
    Failed(String),
    /// The state's copy is another than was kept there: the bundle must be fetched again.
    CopyChanged(String),
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Place {
    /// Opens the state, making it if it is not there. `told` hears of a state that cannot be read.
    pub(super) fn open(
        crl_file: &Path,
        generation_file: Option<&Path>,
        folder: &Path,
        told: &mut dyn FnMut(String),
    ) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| Failure::of_file(folder, error))?;
        let lock_file = folder.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_file);
        let lock = lock.map_err(|error| Failure::of_file(&lock_file, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::Busy(format!("another `ca-cli gateway run` is at work in {}", folder.display())));
            }
            Err(TryLockError::Error(error)) => return Err(Failure::of_file(&lock_file, error)),
        }
        let path = folder.join(STATE_FILE);
        let state = match fs::read(&path) {
            Ok(octets) => serde_json::from_slice(&octets).unwrap_or_else(|error| {
                told(format!("{} cannot be read and is made anew: {error}", path.display()));
                State::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(Failure::of_file(&path, error)),
        };
        Ok(Self {
            crl_file: crl_file.to_path_buf(),
            generation_file: generation_file.map(Path::to_path_buf),
            folder: folder.to_path_buf(),
            state,
            seen: None,
            lock,
        })
    }

    /// The bundles that may be found: the state's copy, then what the gateway reads.
    pub(super) fn bundles(&self) -> Vec<(PathBuf, String)> {
        [self.folder.join(LISTS_FILE), self.crl_file.clone()]
            .into_iter()
            // What is not there or no text is no bundle; it will be written anew.
            .filter_map(|path| fs::read_to_string(&path).ok().map(|text| (path, text)))
            .collect()
    }

    /// The newest list ever in place of each authority.
    pub(super) fn newest(&self) -> BTreeMap<AuthorityMark, ListMark> {
        let read = |(authority, newest): (&String, &Newest)| {
            let mut mark = [0; 32];
            let mut sha256 = [0; 32];
            hex::decode_to_slice(authority, &mut mark).ok()?;
            hex::decode_to_slice(&newest.sha256, &mut sha256).ok()?;
            Some((mark, ListMark { number: newest.number, sha256 }))
        };
        self.state.newest.iter().filter_map(read).collect()
    }

    /// Writes a bundle into the state, where it stays whatever becomes of the gateway's file.
    pub(super) fn keep(&mut self, good: &Good, pem: &str) -> Result<(), String> {
        write_durably(&self.folder.join(LISTS_FILE), pem.as_bytes()).map_err(|error| error.to_string())?;
        for (authority, mark) in &good.marks {
            let newest = Newest { number: mark.number, sha256: hex::encode(mark.sha256) };
            self.state.newest.insert(hex::encode(authority), newest);
        }
        self.write_state()
    }

    /// Whether the state holds this bundle, octet for octet.
    pub(super) fn keeps(&self, good: &Good) -> bool {
        fs::read(self.folder.join(LISTS_FILE)).is_ok_and(|octets| generation(&octets) == good.generation)
    }

    /// Sees to it that the gateway's files hold this bundle and its name.
    pub(super) fn put(&mut self, good: &Good) -> Result<Put, NotPut> {
        let put = self.put_lists(good)?;
        // After the lists: a gateway that reads both in between knows the lists by an older name, which claims less.
        let Some(path) = &self.generation_file else { return Ok(put) };
        let text = generation_text(path, &good.generation);
        if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(put);
        }
        write_durably(path, text.as_bytes()).map_err(failed)?;
        Ok(Put { written: true, ..put })
    }

    fn put_lists(&mut self, good: &Good) -> Result<Put, NotPut> {
        let stamp = Stamp::of(&self.crl_file);
        if let (Some(stamp), Some((seen, generation))) = (stamp, &self.seen)
            && stamp == *seen
            && *generation == good.generation
        {
            return Ok(Put::default());
        }
        let there = fs::read(&self.crl_file).ok();
        let is_there = there.as_ref().is_some_and(|octets| generation(octets) == good.generation);
        let mut put = Put { written: !is_there, other_octets: None };
        if is_there {
            self.remember_written(vec![good.generation.clone()])?;
        } else {
            let kept = self.folder.join(LISTS_FILE);
            let pem = fs::read(&kept).map_err(|error| NotPut::CopyChanged(format!("{}: {error}", kept.display())))?;
            if generation(&pem) != good.generation {
                return Err(NotPut::CopyChanged(format!("{} was changed by somebody else", kept.display())));
            }
            let before = there.as_deref().map(generation);
            let is_ours = before.as_ref().is_some_and(|before| self.state.written.contains(before));
            // Of a file that is not there the gateway has loaded something once: else no write of it has succeeded yet.
            let is_expected = before.is_some() || self.state.loaded.is_some();
            if !is_ours && is_expected && !self.state.written.is_empty() {
                put.other_octets = Some(self.describe_other(there.as_deref(), before.as_deref()));
            }
            // Said before it is done: what is written and not yet said would look like somebody else's after a crash.
            let mut written: Vec<_> = before.filter(|_| is_ours).into_iter().collect();
            written.push(good.generation.clone());
            self.remember_written(written)?;
            write_durably(&self.crl_file, &pem).map_err(failed)?;
        }
        self.seen = Stamp::of(&self.crl_file).map(|stamp| (stamp, good.generation.clone()));
        Ok(put)
    }

    fn remember_written(&mut self, written: Vec<String>) -> Result<(), NotPut> {
        if self.state.written == written {
            return Ok(());
        }
        self.state.written = written;
        self.write_state().map_err(NotPut::Failed)
    }

    fn describe_other(&self, there: Option<&[u8]>, generation: Option<&str>) -> String {
        let file = self.crl_file.display();
        match there.zip(generation) {
            None => format!("{file} was gone, or could not be read; the lists are put back"),
            Some((octets, generation)) => format!(
                "{file} had other octets than this sidecar wrote ({} octets, generation {generation}); the lists are put \
                 back. Find out who else writes there, and what the gateway let in meanwhile",
                octets.len()
            ),
        }
    }

    /// The generation that the gateway has loaded, as far as is known.
    pub(super) fn loaded(&self) -> Option<&str> {
        self.state.loaded.as_deref()
    }

    /// Remembers that the gateway has loaded a generation, or that what it has is not known.
    pub(super) fn set_loaded(&mut self, generation: Option<&str>) -> Result<(), String> {
        self.state.loaded = generation.map(str::to_owned);
        self.write_state()
    }

    fn write_state(&self) -> Result<(), String> {
        let text = serde_json::to_vec_pretty(&self.state).map_err(|error| error.to_string())?;
        write_durably(&self.folder.join(STATE_FILE), &text).map_err(|error| error.to_string())
    }
}

fn failed(error: impl std::fmt::Display) -> NotPut {
    NotPut::Failed(error.to_string())
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Some(Self { inode: metadata.ino(), length: metadata.len(), modified })
    }
}

/// What a gateway loads beside the lists, so that it can be asked which it has loaded.
fn generation_text(path: &Path, generation: &str) -> String {
    if path.extension().is_some_and(|extension| extension == "conf") {
        return format!(
            "# Written by `ca-cli gateway run`: which lists a worker has loaded.\nlocation = {GENERATION_PATH} {{\n    \
             default_type text/plain;\n    add_header Cache-Control no-store always;\n    return 200 {generation};\n}}\n"
        );
    }
    generation.to_owned()
}

/// Where a gateway tells which lists it has loaded.
pub(super) const GENERATION_PATH: &str = "/.well-known/ca-gateway";

const LISTS_FILE: &str = "lists.pem";
const STATE_FILE: &str = "state.json";

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> Result<Place, Failure> {
        Place::open(&folder.join("crls.pem"), None, &folder.join("state"), &mut |told| panic!("{told}"))
    }

    #[test]
    fn two_sidecars_do_not_share_a_state() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = open(folder.path()).expect("opened");
        assert!(matches!(open(folder.path()), Err(Failure::Busy(_))));
        drop(first);
        assert!(open(folder.path()).is_ok());
    }

    #[test]
    fn a_state_is_given_back_although_a_child_holds_a_copy_of_its_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = open(folder.path()).expect("opened");
        let _inherited = first.lock.try_clone().expect("copied");
        drop(first);
        assert!(open(folder.path()).is_ok());
    }

    #[test]
    fn what_is_loaded_outlives_a_restart_and_a_broken_state_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut place = open(folder.path()).expect("opened");
        place.set_loaded(Some("abc")).expect("written");
        drop(place);
        assert_eq!(open(folder.path()).expect("opened").loaded(), Some("abc"));
        fs::write(folder.path().join("state/state.json"), "{").expect("written");
        let mut told = Vec::new();
        let place = Place::open(&folder.path().join("crls.pem"), None, &folder.path().join("state"), &mut |text| {
            told.push(text);
        });
        assert_eq!(place.expect("opened").loaded(), None);
        assert_eq!(told.len(), 1);
    }
}
