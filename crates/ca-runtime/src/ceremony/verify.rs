//! Whether what a ceremony left is whole: the chain of its transcript, the root's signature over it, and the digest of every file that
//! lies beside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ca_core::ceremony::{Entry, Summary, read_chain, statement};
use ca_core::certificate::Certificate;
use ca_core::hash::sha256;

use super::{
    CeremonyError, OPENINGS_FILE, ROOT_FILE, SIGNATURE_FILE, STATEMENT_FILE, TRANSCRIPT_FILE, read, read_text,
};

/// What was found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The transcript.
    pub summary: Summary,
    /// The root whose key signed it.
    pub root: Certificate,
    /// Whether it was a rehearsal.
    pub is_rehearsal: bool,
    /// Everything that is wrong; none means that it is whole.
    pub faults: Vec<String>,
    /// Files that it names and that are not there: moved away, or destroyed.
    pub absent: Vec<String>,
    /// Sealed files that were opened.
    pub opened: BTreeSet<String>,
}

/// Verifies the output folder of a ceremony. `fingerprint` is the root's, where it is known on another way: whoever changes everything
/// could make a root of their own.
pub fn verify(folder: &Path, fingerprint: Option<[u8; 32]>) -> Result<Verified, CeremonyError> {
    let mut faults = Vec::new();
    let text = read_text(&folder.join(TRANSCRIPT_FILE))?;
    let root_path = folder.join(ROOT_FILE);
    let root = Certificate::from_pem(&read_text(&root_path)?)
        .map_err(|source| CeremonyError::Certificate { path: root_path, source })?;
    // 1. The chain; without it nothing else means anything.
    let broken = |error: &dyn std::fmt::Display| CeremonyError::Previous {
        folder: folder.to_path_buf(),
        fault: format!("{TRANSCRIPT_FILE}: {error}"),
    };
    let summary = read_chain(&text).map_err(|error| broken(&error))?;
    // 2. The signature, and who made it.
    let stated = statement(&text);
    if read_text(&folder.join(STATEMENT_FILE))? != stated.as_str() {
        faults.push(format!("{STATEMENT_FILE} is about another transcript than {TRANSCRIPT_FILE}"));
    }
    let signature = read(&folder.join(SIGNATURE_FILE))?;
    let algorithm = root.public_key().key_type().signature_algorithm();
    if root.public_key().verify(algorithm, stated.as_str().as_bytes(), &signature).is_err() {
        faults.push(format!("{SIGNATURE_FILE} is no signature of the root's key over {TRANSCRIPT_FILE}"));
    }
    let own = hex::encode(root.fingerprint_sha256());
    let named =
        summary.of("file").find(|entry| entry.details.get("kind").is_some_and(|kind| kind == "root-certificate"));
    if named.and_then(|entry| entry.details.get("fingerprint_sha256")) != Some(&own) {
        faults.push(format!("{ROOT_FILE} is not the root of the transcript"));
    }
    if fingerprint.is_some_and(|expected| expected != root.fingerprint_sha256()) {
        faults.push(format!("the root has the fingerprint {own}, which is not the one that was given"));
    }
    if summary.entries.last().is_none_or(|entry| entry.act != "end") {
        faults.push("the transcript does not say that the ceremony ended".to_owned());
    }
    // 3. What was opened since.
    let openings = openings(folder, &text, &mut faults)?;
    let opened = openings.iter().filter_map(|entry| entry.details.get("file")).cloned().collect();
    // 4. The files.
    let absent = check_files(folder, &summary, &mut faults)?;
    let is_rehearsal = summary
        .entries
        .first()
        .and_then(|entry| entry.details.get("rehearsal"))
        .is_none_or(|rehearsal| rehearsal != "false");
    Ok(Verified { summary, root, is_rehearsal, faults, absent, opened })
}

/// The lines that go on with the transcript.
fn openings(folder: &Path, transcript: &str, faults: &mut Vec<String>) -> Result<Vec<Entry>, CeremonyError> {
    let path = folder.join(OPENINGS_FILE);
    if path.symlink_metadata().is_err() {
        return Ok(Vec::new());
    }
    let text = read_text(&path)?;
    let before = transcript.lines().count();
    match read_chain(&format!("{transcript}{text}")) {
        Ok(summary) => Ok(summary.entries.into_iter().skip(before).collect()),
        Err(error) => {
            faults.push(format!("{OPENINGS_FILE}, counted on from {TRANSCRIPT_FILE}: {error}"));
            Ok(Vec::new())
        }
    }
}

fn check_files(folder: &Path, summary: &Summary, faults: &mut Vec<String>) -> Result<Vec<String>, CeremonyError> {
    let mut expected: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
    for entry in summary.of("file") {
        let detail = |name: &str| entry.details.get(name).map(String::as_str);
        if let (Some(file), Some(digest)) = (detail("file"), detail("sha256")) {
            expected.insert(file, (digest, true));
        }
        if let (Some(file), Some(digest)) = (detail("opens_to"), detail("opens_to_sha256")) {
            expected.insert(file, (digest, false));
        }
    }
    let mut absent = Vec::new();
    for (file, (digest, is_output)) in &expected {
        let path = folder.join(file);
        match path.symlink_metadata() {
            Err(_) if *is_output => absent.push((*file).to_owned()),
            Err(_) => {}
            Ok(_) if hex::encode(sha256(&read(&path)?)) != *digest => {
                faults.push(format!("{file} is not what the transcript says: it was changed"));
            }
            Ok(_) => {}
        }
    }
    let own = [TRANSCRIPT_FILE, STATEMENT_FILE, SIGNATURE_FILE, OPENINGS_FILE];
    let failed = |source| CeremonyError::Io { path: folder.to_path_buf(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let is_key = key_digest(summary).is_some_and(|digest| {
            read(&folder.join(&name)).is_ok_and(|octets| hex::encode(sha256(&octets)) == *digest)
        });
        if !own.contains(&name.as_str()) && !expected.contains_key(name.as_str()) && !is_key {
            faults.push(format!("{name} is in the folder, and the transcript does not name it"));
        }
    }
    Ok(absent)
}

/// The root's key may lie anywhere, here too.
fn key_digest(summary: &Summary) -> Option<&String> {
    summary.of("key-written").next()?.details.get("sha256")
}
