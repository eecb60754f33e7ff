//! The two locks of a data folder.
//!
//! `lock` is held shared by what works on the running record (`dev`, `serve`, `job`, `backup`) and exclusively by what must be
//! alone (`init`, `restore`, `migrate`, `admin reset`, local mode). `lock.server` is held by one `dev` or `serve` at a time.
//! The kernel gives a lock back when its process ends, however it ends. What is written inside the files only says who holds
//! them, for the message to the one that is refused.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::{Pid, test_kill_process};
use thiserror::Error;

use crate::data_folder::DataFolder;
use crate::file;

const FOLDER_LOCK: &str = "lock";
const SERVER_LOCK: &str = "lock.server";

/// A lock that is held until it is dropped.
#[derive(Debug)]
#[must_use = "a lock is given back when it is dropped"]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Given back by name: a child that is being started holds a copy of the file until it becomes its program, and closing
    /// ours alone would leave the lock with it.
    fn drop(&mut self) {
        // Nothing can be done about a failure; the kernel gives the lock back with the last copy of the file.
        let _ = self.file.unlock();
    }
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    Shared,
    Exclusive,
}

impl DataFolder {
    /// The folder's lock, beside others that hold it this way. `command` says who we are, as in `ca-server job run`.
    pub fn lock_shared(&self, command: &str) -> Result<Lock, LockError> {
        acquire(&self.path().join(FOLDER_LOCK), Sharing::Shared, command)
    }

    /// The folder's lock, alone.
    pub fn lock_exclusive(&self, command: &str) -> Result<Lock, LockError> {
        acquire(&self.path().join(FOLDER_LOCK), Sharing::Exclusive, command)
    }

    /// The lock that one server holds, beside [`Self::lock_shared`].
    pub fn lock_server(&self, command: &str) -> Result<Lock, LockError> {
        acquire(&self.path().join(SERVER_LOCK), Sharing::Exclusive, command)
    }
}

fn acquire(path: &Path, sharing: Sharing, command: &str) -> Result<Lock, LockError> {
    let io_error = |source| LockError::Io { path: path.to_path_buf(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(io_error)?;
    let attempt = match sharing {
        Sharing::Shared => file.try_lock_shared(),
        Sharing::Exclusive => file.try_lock(),
    };
    match attempt {
        Ok(()) => {
            sign(&mut file, sharing, command).map_err(io_error)?;
            Ok(Lock { file })
        }
        Err(TryLockError::WouldBlock) => Err(LockError::Held {
            path: path.to_path_buf(),
            command: command.to_owned(),
            holders: holders(&read(&mut file).map_err(io_error)?),
        }),
        Err(TryLockError::Error(source)) => Err(io_error(source)),
    }
}

/// Writes who holds the lock. Holders that share it are kept; two that come at the same instant may lose a line of each
/// other, never the lock.
fn sign(file: &mut File, sharing: Sharing, command: &str) -> io::Result<()> {
    let mut lines = match sharing {
        Sharing::Shared => holders(&read(file)?),
        Sharing::Exclusive => Vec::new(),
    };
    let host = rustix::system::uname();
    lines.push(format!("{command}, process {} on {}", std::process::id(), host.nodename().to_string_lossy()));
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all((lines.join("\n") + "\n").as_bytes())
}

fn read(file: &mut File) -> io::Result<String> {
    let mut octets = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(16_384).read_to_end(&mut octets)?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// The lines of a lock file whose processes are alive. Those of another host (a container with a name of its own) cannot be
/// asked and are believed.
fn holders(text: &str) -> Vec<String> {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let is_gone = |line: &str| {
        let (process, on) = line.rsplit_once(" on ")?;
        let process: i32 = process.rsplit_once("process ")?.1.parse().ok()?;
        Some(on == host && test_kill_process(Pid::from_raw(process)?) == Err(rustix::io::Errno::SRCH))
    };
    text.lines().filter(|line| !line.is_empty() && is_gone(line) != Some(true)).map(str::to_owned).collect()
}

/// Why a lock was not got.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody holds it.
    #[error("{}", held(path, command, holders))]
    Held {
        /// The lock.
        path: PathBuf,
        /// Who wanted it.
        command: String,
        /// Who holds it, as they wrote it down.
        holders: Vec<String>,
    },
    /// The system refused.
    #[error("{}: {}", path.display(), file::complaint(source))]
    Io {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn held(path: &Path, command: &str, holders: &[String]) -> String {
    let folder = path.parent().unwrap_or(path).display();
    let who = match holders {
        [] => "another process".to_owned(),
        some => some.join("; "),
    };
    format!(
        "{command} cannot use the data folder {folder}: it is in use by {who}; stop that first, or wait until it is done"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, DataFolder) {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = DataFolder::create(parent.path()).expect("made");
        (parent, folder)
    }

    #[test]
    fn shared_holders_keep_an_exclusive_one_out_and_are_named() {
        let (_parent, folder) = folder();
        let server = folder.lock_shared("ca-server serve").expect("free");
        let job = folder.lock_shared("ca-server job run").expect("shared");
        let error = folder.lock_exclusive("ca-cli --local").expect_err("held").to_string();
        for part in ["ca-cli --local", "ca-server serve", "ca-server job run", &std::process::id().to_string()] {
            assert!(error.contains(part), "{error}");
        }
        drop(server);
        assert!(folder.lock_exclusive("ca-cli --local").is_err());
        drop(job);
        let _alone = folder.lock_exclusive("ca-cli --local").expect("free again");
    }

    #[test]
    fn an_exclusive_holder_keeps_everybody_out() {
        let (_parent, folder) = folder();
        let alone = folder.lock_exclusive("ca-server init").expect("free");
        for refused in [folder.lock_shared("ca-server serve"), folder.lock_exclusive("ca-server restore")] {
            assert!(refused.expect_err("held").to_string().contains("ca-server init"));
        }
        drop(alone);
        let _shared = folder.lock_shared("ca-server serve").expect("free again");
    }

    #[test]
    fn one_server_at_a_time_and_jobs_beside_it() {
        let (_parent, folder) = folder();
        let _shared = folder.lock_shared("ca-server serve").expect("free");
        let _server = folder.lock_server("ca-server serve").expect("free");
        let _second = folder.lock_shared("ca-server dev").expect("shared");
        assert!(matches!(folder.lock_server("ca-server dev"), Err(LockError::Held { .. })));
        let _job = folder.lock_shared("ca-server job run").expect("shared");
    }

    #[test]
    fn is_given_back_although_a_child_holds_a_copy_of_the_file() {
        let (_parent, folder) = folder();
        let alone = folder.lock_exclusive("ca-server init").expect("free");
        let _inherited = alone.file.try_clone().expect("copied");
        drop(alone);
        let _again = folder.lock_exclusive("ca-server restore").expect("free again");
    }

    #[test]
    fn forgets_holders_that_are_gone() {
        // Above the largest process id there can be (2^22): never alive.
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let us = format!("ca-server serve, process {} on {host}", std::process::id());
        let gone = format!("ca-server job run, process 99999999 on {host}");
        let elsewhere = "ca-server serve, process 99999999 on elsewhere".to_owned();
        let text = format!("{us}\n{gone}\n{elsewhere}\nunreadable\n");
        assert_eq!(holders(&text), [us, elsewhere, "unreadable".to_owned()]);
    }

    #[test]
    fn follows_no_link_that_takes_the_place_of_a_lock() {
        let (parent, folder) = folder();
        std::os::unix::fs::symlink(parent.path().join("elsewhere"), folder.path().join(FOLDER_LOCK)).expect("linked");
        assert!(matches!(folder.lock_shared("ca-server serve"), Err(LockError::Io { .. })));
        assert!(!parent.path().join("elsewhere").exists());
    }
}
