//! The ports a certificate authority needs and the flows that use them.
//!
//! A flow is one story told in numbered steps: [`flow::issue`], [`flow::renew`], [`flow::revoke`] … Flows know no SQL, HTTP or
//! cloud word; they reach the world through the traits of [`port`], which adapters in other crates implement. Nothing here
//! starts a task, sleeps, reads a clock or makes randomness but through a port, so that all of it can be simulated.
#![warn(missing_docs)]

pub mod anchor_verdict;
pub mod answer_cache;
pub mod changed_serials;
pub mod clock_verdict;
pub mod engine;
pub mod error;
#[cfg(any(test, feature = "testkit"))]
pub mod fake;
pub mod flow;
pub mod following;
pub mod generation;
pub mod hierarchy;
pub mod lineage;
pub mod port;
mod published_lists;
mod settings;
mod shard_news;
pub mod shard_plan;
pub mod shared_use;
mod status_answer;
