//! What a rule is, and the words to write one in.

use super::inspection::Inspection;

/// One rule: its stable name, the text that states it, and the function that says what breaks it.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) clause: &'static str,
    pub(super) check: fn(&Inspection<'_>) -> Result<(), String>,
}

/// A list of rules whose names are those of their functions.
macro_rules! rules {
    ($($check:ident => $clause:literal),* $(,)?) => {
        &[$($crate::lint::rule::Rule { name: stringify!($check), clause: $clause, check: $check }),*]
    };
}
pub(super) use rules;

/// `Ok` when the condition holds, else the message.
pub(super) fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}
