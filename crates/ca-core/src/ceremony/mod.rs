//! Key ceremonies: the reviewed script, what it leads to, and the transcript that proves what was done.
//!
//! Nothing here reads a file, a clock or chance, and nothing is signed: whoever carries a [`Plan`] out does that, in the order of its
//! acts, and writes an [`Entry`] for each.

mod fault;
mod opening;
mod plan;
mod root;
mod script;
mod transcript;

pub use fault::ScriptFault;
pub use opening::{Opening, OpeningFault, SealedFile, opening};
pub use plan::{Act, ListPeriod, Past, Plan, PlanFault, RevokedEarlier, plan};
pub use root::{Kind, RootKey, RootScript};
pub use script::{Revocation, Script, Subordinate};
pub use transcript::{Entry, Summary, Transcript, TranscriptFault, TranscriptStatement, read_chain, statement};

#[cfg(test)]
mod tests;
