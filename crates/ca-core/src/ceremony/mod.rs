//! Key ceremonies: the reviewed script, what it leads to, and the transcript that proves what was done.
//!
//! Nothing here reads a file, a clock or chance, and nothing is signed: whoever carries a [`Plan`] out does that, in the order of its
//! acts, and writes an [`Entry`] for each.

mod plan;
mod script;
mod transcript;

pub use plan::{Act, ListPeriod, Past, Plan, PlanFault, RevokedEarlier, plan};
pub use script::{Kind, Revocation, RootScript, Script, ScriptFault, Subordinate};
pub use transcript::{Entry, Summary, Transcript, TranscriptFault, TranscriptStatement, read_chain, statement};

#[cfg(test)]
mod tests;
