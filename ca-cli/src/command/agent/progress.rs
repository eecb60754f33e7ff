//! What the agent remembers of a certificate between rounds and restarts: when it means to renew, what went wrong, whom it told. Losing it does
//! no harm: it is asked and told again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ca_core::time::{Lifetime, Timestamp};
use ca_runtime::file::{self, Access, Existing};
use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// What is remembered. Instants are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Progress {
    /// SHA-256 of the certificate that all of this is about, hexadecimal.
    pub(super) certificate: Option<String>,
    /// The rotation after which the command was run that hears of a change.
    pub(super) reloaded: Option<String>,
    /// Within which time the service wants it renewed, and the instant that was drawn there.
    pub(super) window: Option<DrawnWindow>,
    /// When the service is to be asked for the window again.
    pub(super) ask_again_at: i64,
    /// How often in a row it failed.
    pub(super) failures: u32,
    /// When it is tried again.
    pub(super) next_at: i64,
    /// When and how it failed last.
    pub(super) last_failure: Option<LastFailure>,
    /// The urgency that somebody was alerted of.
    pub(super) alerted: Option<String>,
}

/// A window, and the instant in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DrawnWindow {
    /// Its start.
    pub(super) start: i64,
    /// Its end.
    pub(super) end: i64,
    /// When it is to be renewed.
    pub(super) drawn: i64,
}

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastFailure {
    /// When.
    pub(super) at: i64,
    /// What is wrong and what would be right.
    pub(super) detail: String,
}

/// The longest pause that is ever made; one that is longer is of a clock that was set since.
const LONGEST_PAUSE: Lifetime = Lifetime::from_days(400);

impl Progress {
    /// Reads what is remembered; nothing where there is nothing, or nothing that can be read.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        match fs::read(path) {
            Ok(octets) => Ok(serde_json::from_slice(&octets).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failure::of_file(path, error)),
        }
    }

    /// Remembers it.
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let octets = serde_json::to_vec_pretty(self).map_err(Failure::failed)?;
        file::write(path, &octets, Access::Public, Existing::Replace).map_err(|error| Failure::of_file(path, error))
    }

    /// The file of a certificate.
    pub(super) fn path(state_dir: &Path, name: &str) -> PathBuf {
        state_dir.join(format!("{name}.json"))
    }

    /// Turns to another certificate: what was so of the one before is so no more, but who was told of it.
    pub(super) fn turn_to(&mut self, certificate: Option<String>) {
        if self.certificate != certificate {
            *self = Self { certificate, reloaded: self.reloaded.take(), ..Self::default() };
        }
    }

    /// Forgets every pause: the clock was set, or somebody wants it tried now.
    pub(super) fn forget_pauses(&mut self) {
        self.next_at = 0;
        self.ask_again_at = 0;
    }

    /// Whether a pause is over.
    pub(super) fn is_over(until: i64, now: Timestamp) -> bool {
        let until = Timestamp::from_unix_millis(until);
        until <= now || until > now.plus(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_and_read_and_what_is_broken_counts_as_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Progress::path(folder.path(), "web");
        assert_eq!(Progress::read(&path).expect("absent"), Progress::default());
        let progress = Progress { failures: 3, reloaded: Some("r".to_owned()), ..Progress::default() };
        progress.write(&path).expect("written");
        assert_eq!(Progress::read(&path).expect("there"), progress);
        fs::write(&path, "{").expect("written");
        assert_eq!(Progress::read(&path).expect("broken"), Progress::default());
    }

    #[test]
    fn another_certificate_begins_anew_and_is_told_of_once() {
        let mut progress = Progress {
            certificate: Some("a".to_owned()),
            reloaded: Some("r".to_owned()),
            failures: 3,
            ..Progress::default()
        };
        progress.turn_to(Some("a".to_owned()));
        assert_eq!(progress.failures, 3);
        progress.turn_to(Some("b".to_owned()));
        assert_eq!((progress.failures, progress.reloaded.as_deref()), (0, Some("r")));
    }

    #[test]
    fn a_pause_of_another_clock_is_none() {
        let now = Timestamp::from_unix_seconds(1_000_000_000);
        let at = |lifetime: Lifetime| now.plus(lifetime).unix_millis();
        assert!(Progress::is_over(now.unix_millis(), now) && Progress::is_over(0, now));
        assert!(!Progress::is_over(at(Lifetime::from_days(1)), now));
        assert!(Progress::is_over(at(Lifetime::from_days(4_000)), now));
    }
}
