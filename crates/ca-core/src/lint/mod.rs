//! Linting before signing.

use std::fmt;

/// A rule that something about to be signed breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the rule, stable.
    pub rule: &'static str,
    /// The text that states it, like `RFC 5280 §5.1.2.1`.
    pub clause: &'static str,
    /// What was found and what would be right.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.rule, self.detail, self.clause)
    }
}
