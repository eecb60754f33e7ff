//! Opens what was sealed when its time has come: a list and its responder, by their number. Each opening is a line that goes on with
//! the transcript, written before anything is opened.

use std::io;
use std::path::{Path, PathBuf};

use ca_core::ceremony::{Entry, SealedFile, Transcript, opening, read_chain};
use ca_core::hash::sha256;
use ca_core::time::Timestamp;

use super::seal::unseal;
use super::{CeremonyError, OPENINGS_FILE, TRANSCRIPT_FILE, read, read_text, verify};
use crate::file::{self, Access, Existing};
use crate::seal::Passphrase;

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
    let opening = opening(&verified.summary, number, now)
        .map_err(|fault| CeremonyError::NotOpened { folder: folder.to_path_buf(), fault })?;
    // 1. Everything opens, and is what the transcript says.
    let mut clear = Vec::new();
    for SealedFile { file, opens_to, opens_to_sha256 } in opening.files {
        let path = folder.join(&file);
        let octets = unseal(&path, &read(&path)?, passphrase)?;
        if hex::encode(sha256(&octets)) != opens_to_sha256 {
            return Err(CeremonyError::Sealed { path, detail: "it holds something else than was sealed".to_owned() });
        }
        clear.push((file, folder.join(opens_to), octets));
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
    Ok(Opened { files, begins: opening.begins })
}

fn append(folder: &Path, entry: &Entry) -> Result<(), CeremonyError> {
    let path = folder.join(OPENINGS_FILE);
    let transcript = read_text(&folder.join(TRANSCRIPT_FILE))?;
    let mut openings = if path.symlink_metadata().is_ok() { read_text(&path)? } else { String::new() };
    let broken = |error: &dyn std::fmt::Display| CeremonyError::Previous {
        folder: folder.to_path_buf(),
        fault: format!("{OPENINGS_FILE}: {error}"),
    };
    let summary = read_chain(&format!("{transcript}{openings}")).map_err(|error| broken(&error))?;
    openings.push_str(&Transcript::after(&summary).append(entry));
    // Replaced whole: half a line would be a broken chain for ever.
    file::write(&path, openings.as_bytes(), Access::Public, Existing::Replace)
        .map_err(|source| CeremonyError::Io { path, source })
}
