//! How far a drill came: a file of this machine, so that the same command goes on with it and every step has its time.

use std::collections::BTreeMap;
use std::path::Path;

use ca_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::exit::Failure;
use crate::files;

/// A step of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    /// The next generation issues.
    Rollover,
    /// Holders are asked to renew.
    Windows,
    /// Managed certificates are rotated.
    Managed,
    /// What was replaced is revoked.
    Revocation,
}

impl Step {
    /// What it is called for people.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Rollover => "next generation",
            Self::Windows => "renewal windows",
            Self::Managed => "managed certificates",
            Self::Revocation => "revocation",
        }
    }
}

/// When a step was begun and ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Course {
    pub(super) begun_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended_at: Option<String>,
    /// How many it was about.
    #[serde(default)]
    pub(super) count: u64,
}

impl Course {
    /// How long it took, in seconds.
    pub(super) fn seconds(&self) -> Option<f64> {
        let read = |text: &str| Timestamp::parse_rfc3339(text).ok();
        let (begun, ended) = (read(&self.begun_at)?, read(self.ended_at.as_deref()?)?);
        Some(ended.unix_millis().saturating_sub(begun.unix_millis()) as f64 / 1_000.0)
    }
}

/// How far a drill came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) authority: String,
    pub(super) begun_at: String,
    #[serde(default)]
    pub(super) steps: BTreeMap<Step, Course>,
    /// The managed certificates that it has rotated, each with what was current when it began.
    #[serde(default)]
    pub(super) managed: BTreeMap<String, String>,
    /// The move of renewal windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) window_move: Option<String>,
    /// The bulk revocation under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revocation: Option<String>,
}

impl State {
    /// What an earlier run wrote, or a new one.
    pub(super) fn open(path: &Path, authority: &str, now: Timestamp) -> Result<Self, Failure> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self {
                    authority: authority.to_owned(),
                    begun_at: now.to_rfc3339(),
                    steps: BTreeMap::new(),
                    managed: BTreeMap::new(),
                    window_move: None,
                    revocation: None,
                });
            }
            Err(error) => return Err(Failure::of_file(path, error)),
        };
        let state: Self = serde_json::from_slice(&text).map_err(|error| Failure::of_file(path, error))?;
        if state.authority != authority {
            let message = format!("it is the drill of {}; name another file with --state", state.authority);
            return Err(Failure::of_file(path, message));
        }
        Ok(state)
    }

    /// Writes it down; on return it survives the loss of power.
    pub(super) fn keep(&self, path: &Path) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(self).map_err(Failure::failed)?;
        files::write_durably(path, &text).map_err(Failure::failed)
    }

    /// Whether a step was ended, by this run or an earlier one.
    pub(super) fn is_ended(&self, step: Step) -> bool {
        self.steps.get(&step).is_some_and(|course| course.ended_at.is_some())
    }

    /// Begins a step, or goes on with one that was begun and not ended. One that was ended is begun again, with its count.
    pub(super) fn begin(&mut self, step: Step, now: Timestamp) {
        let before = self.steps.get(&step);
        if before.is_some_and(|course| course.ended_at.is_none()) {
            return;
        }
        let count = before.map_or(0, |course| course.count);
        self.steps.insert(step, Course { begun_at: now.to_rfc3339(), ended_at: None, count });
    }

    /// Ends a step that was about so many.
    pub(super) fn end(&mut self, step: Step, count: u64, now: Timestamp) {
        if let Some(course) = self.steps.get_mut(&step) {
            course.ended_at = Some(now.to_rfc3339());
            course.count = count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_goes_on_where_it_was_left_and_each_step_has_its_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("drill.json");
        let at = |seconds: i64| Timestamp::from_unix_seconds(1_795_176_000 + seconds);
        let mut state = State::open(&path, "tls", at(0)).expect("a new one");
        state.begin(Step::Rollover, at(0));
        state.keep(&path).expect("kept");
        let mut state = State::open(&path, "tls", at(50)).expect("the same");
        assert!(!state.is_ended(Step::Rollover));
        state.begin(Step::Rollover, at(50));
        state.end(Step::Rollover, 1, at(60));
        assert_eq!(state.steps[&Step::Rollover].seconds(), Some(60.0), "from when it was first begun");
        state.keep(&path).expect("kept");
        assert!(State::open(&path, "tls", at(70)).expect("the same").is_ended(Step::Rollover));
        let other = State::open(&path, "document", at(70)).expect_err("another's").to_string();
        assert!(other.contains("drill of tls"), "{other}");
    }
}
