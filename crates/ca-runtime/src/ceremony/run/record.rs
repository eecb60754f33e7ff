//! The transcript while it is written.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use ca_core::ceremony::{Entry, Transcript};

use super::super::CeremonyError;

/// A transcript: each line is on the disk before what it announces is done.
pub(super) struct Record {
    pub(super) path: PathBuf,
    file: File,
    transcript: Transcript,
}

impl Record {
    pub(super) fn begin(path: PathBuf) -> Result<Self, CeremonyError> {
        let opened = OpenOptions::new().append(true).create_new(true).mode(0o644).open(&path);
        let file = opened.map_err(|source| CeremonyError::Io { path: path.clone(), source })?;
        Ok(Self { path, file, transcript: Transcript::default() })
    }

    pub(super) fn write(&mut self, entry: &Entry) -> Result<(), CeremonyError> {
        let line = self.transcript.append(entry);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_all());
        written.map_err(|source| CeremonyError::Io { path: self.path.clone(), source })
    }
}
