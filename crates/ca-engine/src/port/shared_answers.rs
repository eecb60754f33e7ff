//! Signed answers that replicas share outside the record.

use std::sync::Arc;

use async_trait::async_trait;
use ca_core::time::Lifetime;

/// A place that others write to as well: it may lose what it was given, keep it for too long, or hold what nobody here has put
/// there. Nothing that comes from it is believed; who asks judges it ([`crate::flow::answer_status`]).
#[async_trait]
pub trait SharedAnswers: Send + Sync {
    /// What lies there under a key. Takes at most 20 milliseconds, and no time while the place is known not to answer.
    async fn get(&self, key: &str) -> Lookup;

    /// Puts an answer there for so long. Returns at once and promises nothing: the answer may be put there later, or never.
    fn put(&self, key: String, der: Arc<[u8]>, lifetime: Lifetime);

    /// How the place fares, for metrics.
    fn condition(&self) -> Condition;
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// These octets, whatever they are.
    Found(Vec<u8>),
    /// Nothing.
    Absent,
    /// The place does not answer, or not in time.
    Unavailable,
}

/// How a place fares since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Whether it is asked at present.
    pub answers: bool,
    /// How often it ceased to answer.
    pub failures: u64,
    /// How many answers were not put there, since it did not answer or too many waited.
    pub dropped: u64,
}
