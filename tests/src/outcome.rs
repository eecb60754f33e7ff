//! How a command ended, and what it said.

use anyhow::ensure;

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was asked for.
    pub command: String,
    /// The exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Outcome {
    /// Itself, if it ended with this status.
    pub fn ended_with(self, code: i32) -> anyhow::Result<Self> {
        ensure!(self.code == Some(code), "`ca-cli {}` should end with {code}: {self:?}", self.command);
        ensure!(!self.errors.contains("panicked"), "{self:?}");
        Ok(self)
    }

    /// Both streams.
    pub fn said(&self) -> String {
        format!("{}{}", self.output, self.errors)
    }
}
