//! Opens what was sealed when its time has come: a list and its responder, by their number. Each opening is a line that goes on with
//! the transcript, written before anything is opened.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ca_core::ceremony::{Entry, Transcript, read_chain};
use ca_core::hash::sha256;
use ca_core::time::{Lifetime, Timestamp};

use super::seal::unseal;
use super::{CeremonyError, OPENINGS_FILE, TRANSCRIPT_FILE, read, read_text, verify};
use crate::file::{self, Access, Existing};
use crate::seal::Passphrase;

/// How long before its time something may be opened: as long as it overlaps with what came before it.
const EARLY: Lifetime = Lifetime::from_days(30);

/// What was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The files that are there now.
    pub files: Vec<PathBuf>,
    /// From when on they may be used.
    pub begins: Timestamp,
}

/// Opens list `number` and its responder, in the output folder of a ceremony that verifies.
pub fn open(
    folder: &Path,
    number: u64,
    passphrase: &Passphrase,
    operators: &[String],
    now: Timestamp,
) -> Result<Opened, CeremonyError> {
    let verified = verify(folder, None)?;
    if let Some(fault) = verified.faults.into_iter().next() {
        return Err(CeremonyError::Previous { folder: folder.to_path_buf(), fault });
    }
    let refused = |detail: String| CeremonyError::Sealed { path: folder.to_path_buf(), detail };
    let wanted = number.to_string();
    let sealed: Vec<&Entry> = verified
        .summary
        .of("file")
        .filter(|entry| entry.details.contains_key("opens_to") && entry.details.get("number") == Some(&wanted))
        .collect();
    let begins = sealed
        .first()
        .and_then(|entry| Timestamp::parse_rfc3339(entry.details.get("begins")?).ok())
        .ok_or_else(|| refused(format!("no list {number} was sealed in this ceremony")))?;
    if now < begins.minus(EARLY) {
        return Err(refused(format!(
            "list {number} is for the time from {begins} on, and now is {now}: leave it sealed"
        )));
    }
    // 1. Everything opens, and is what the transcript says.
    let mut clear = Vec::new();
    for entry in &sealed {
        let detail = |name: &str| entry.details.get(name).map(String::as_str).unwrap_or_default();
        let path = folder.join(detail("file"));
        let octets = unseal(&path, &read(&path)?, passphrase)?;
        if hex::encode(sha256(&octets)) != detail("opens_to_sha256") {
            return Err(CeremonyError::Sealed { path, detail: "it holds something else than was sealed".to_owned() });
        }
        clear.push((detail("file").to_owned(), folder.join(detail("opens_to")), octets));
    }
    // 2. On record, then on the disk.
    for (name, _, _) in clear.iter().filter(|(name, _, _)| !verified.opened.contains(name)) {
        let entry = Entry::new(now.floor_to_second(), "opened").with("file", name);
        append(folder, &entry.with("operators", operators.join(", ")))?;
    }
    let mut files = Vec::new();
    for (_, path, octets) in clear {
        let access = if path.extension().is_some_and(|kind| kind == "key") { Access::Private } else { Access::Public };
        match file::write(&path, &octets, access, Existing::Keep) {
            // What is there is what the transcript says: the folder has been verified.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            written => written.map_err(|source| CeremonyError::Io { path: path.clone(), source })?,
        }
        files.push(path);
    }
    Ok(Opened { files, begins })
}

fn append(folder: &Path, entry: &Entry) -> Result<(), CeremonyError> {
    let path = folder.join(OPENINGS_FILE);
    let mut text = read_text(&folder.join(TRANSCRIPT_FILE))?;
    if path.symlink_metadata().is_ok() {
        text.push_str(&read_text(&path)?);
    }
    let broken = |error: &dyn std::fmt::Display| CeremonyError::Previous {
        folder: folder.to_path_buf(),
        fault: format!("{OPENINGS_FILE}: {error}"),
    };
    let summary = read_chain(&text).map_err(|error| broken(&error))?;
    let line = Transcript::after(&summary).append(entry);
    let mut log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .open(&path)
        .map_err(|source| CeremonyError::Io { path: path.clone(), source })?;
    log.write_all(line.as_bytes()).and_then(|()| log.sync_all()).map_err(|source| CeremonyError::Io { path, source })
}
