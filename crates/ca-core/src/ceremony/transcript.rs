//! The transcript: a line of JSON for every act, each with the hash of everything before it, and a statement over all of it that the
//! root's key signs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::audit::{ChainHash, GENESIS, link};
use crate::hash::sha256;
use crate::signing::{Message, Signable, sealed};
use crate::time::Timestamp;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, by the clock of the machine.
    pub at: Timestamp,
    /// What was done, in a word: `begin`, `intent`, `file`, `revoked` …
    pub act: String,
    /// Facts, by name; no secrets.
    pub details: BTreeMap<String, String>,
}

impl Entry {
    /// A line without details.
    pub fn new(at: Timestamp, act: &str) -> Self {
        Self { at, act: act.to_owned(), details: BTreeMap::new() }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.details.insert(name.to_owned(), value.to_string());
        self
    }
}

/// Its fields stand in alphabetical order, as they are hashed.
#[derive(Serialize)]
struct Canonical<'a> {
    act: &'a str,
    at: String,
    details: &'a BTreeMap<String, String>,
    number: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    act: String,
    at: String,
    details: BTreeMap<String, String>,
    hash: String,
    number: u64,
}

/// Writes the lines of a transcript, or goes on with one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    number: u64,
    hash: ChainHash,
}

impl Default for Transcript {
    fn default() -> Self {
        Self { number: 0, hash: GENESIS }
    }
}

impl Transcript {
    /// Goes on after what was read.
    pub fn after(summary: &Summary) -> Self {
        Self { number: summary.entries.len() as u64, hash: summary.hash }
    }

    /// The next line, with its end.
    pub fn append(&mut self, entry: &Entry) -> String {
        self.number += 1;
        self.hash = link(&self.hash, self.number, &canonical(entry, self.number));
        let line = Line {
            act: entry.act.clone(),
            at: entry.at.to_rfc3339(),
            details: entry.details.clone(),
            hash: hex::encode(self.hash),
            number: self.number,
        };
        // Cannot fail: strings and maps of strings are always JSON.
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
        text
    }
}

fn canonical(entry: &Entry, number: u64) -> Vec<u8> {
    let canonical = Canonical { act: &entry.act, at: entry.at.to_rfc3339(), details: &entry.details, number };
    // Cannot fail, as above.
    serde_json::to_vec(&canonical).unwrap_or_default()
}

/// A transcript that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its lines.
    pub entries: Vec<Entry>,
    /// The hash of the last.
    pub hash: ChainHash,
}

impl Summary {
    /// The lines of an act.
    pub fn of<'a>(&'a self, act: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.act == act)
    }
}

/// Reads a transcript and follows its chain. Each line must be written exactly as [`Transcript::append`] writes it.
pub fn read_chain(text: &str) -> Result<Summary, TranscriptFault> {
    let mut transcript = Transcript::default();
    let mut entries = Vec::new();
    if !text.ends_with('\n') {
        return Err(TranscriptFault::CutOff);
    }
    for (index, text) in text.split_inclusive('\n').enumerate() {
        let number = index as u64 + 1;
        let line: Line = serde_json::from_str(text).map_err(|_| TranscriptFault::NotALine { number })?;
        let at = Timestamp::parse_rfc3339(&line.at).map_err(|_| TranscriptFault::NotALine { number })?;
        let entry = Entry { at, act: line.act, details: line.details };
        // Hash, number and every octet of the line at once.
        if transcript.append(&entry) != text {
            return Err(TranscriptFault::Broken { number });
        }
        entries.push(entry);
    }
    if entries.is_empty() {
        return Err(TranscriptFault::CutOff);
    }
    Ok(Summary { entries, hash: transcript.hash })
}

/// What is signed of a transcript: a text, which begins with a letter and so is no DER that could be taken for a certificate or list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptStatement(String);

/// The statement over the octets of a transcript.
pub fn statement(transcript: &str) -> TranscriptStatement {
    TranscriptStatement(format!(
        "Cartorio CA ceremony transcript, SHA-256\n{}\n",
        hex::encode(sha256(transcript.as_bytes()))
    ))
}

impl TranscriptStatement {
    /// The text, as it is signed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl sealed::Sealed for TranscriptStatement {}

impl Signable for TranscriptStatement {
    fn message(&self) -> Message<'_> {
        Message::Whole(self.0.as_bytes())
    }
}

/// Where a transcript is not whole.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TranscriptFault {
    /// Its end is missing.
    #[error("its end is missing")]
    CutOff,
    /// A line that is none.
    #[error("line {number} is not a line of a transcript")]
    NotALine {
        /// Which, from 1.
        number: u64,
    },
    /// A line, or one before it, was changed.
    #[error("line {number} does not hash to what it says: it or an earlier one was changed, moved or taken out")]
    Broken {
        /// Which, from 1.
        number: u64,
    },
}
