//! The outbox: messages of committed changes, and what is on its way to which sink.
//!
//! A message is stored in the transaction of its change ([`super::Journal`]), and its number rises with every message. Changes
//! commit in another order than their messages are numbered, so nothing here goes by a number that was seen before: what is done
//! is taken away. Of one certificate, however, the order of numbers is the order of commits: whoever stores a message about a
//! certificate has locked its serial number before, and keeps it until the commit.

use async_trait::async_trait;
use ca_core::id::{CertificateId, DeliveryId, SinkName};
use ca_core::time::Timestamp;

use super::{Journal, Lease, StoreError};

/// That a message is to go to a sink. A delivery begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The number of the message.
    pub sequence: u64,
    /// Where it goes.
    pub sink: SinkName,
    /// The delivery's name, new.
    pub id: DeliveryId,
}

/// A message that a sink has not taken yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its name; the same at every attempt.
    pub id: DeliveryId,
    /// The sink.
    pub sink: SinkName,
    /// The number of the message: of two about one certificate the later change has the higher.
    pub sequence: u64,
    /// What it tells of: [`super::OutboxMessage::topic`].
    pub topic: String,
    /// The certificate it is about.
    pub certificate: Option<CertificateId>,
    /// JSON; no personal data, no secrets.
    pub payload: String,
    /// When the change was made.
    pub created_at: Timestamp,
    /// Whether it is tried again.
    pub state: DeliveryState,
    /// How often it was tried, since it was assigned or replayed.
    pub attempts: u32,
    /// The last attempt, which failed.
    pub last_attempt: Option<FailedAttempt>,
}

/// Whether a delivery is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is, from this instant on by the database's clock, once those before it of the same certificate are done.
    Pending {
        /// When.
        next_attempt_at: Timestamp,
    },
    /// A dead letter: it is not, unless it is replayed. It holds up none of its certificate.
    Dead,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// When, by the database's clock.
    pub at: Timestamp,
    /// Why, without secrets.
    pub error: String,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Of which delivery.
    pub id: DeliveryId,
    /// How.
    pub verdict: Verdict,
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The sink has it: the delivery is forgotten.
    Delivered,
    /// It is tried again.
    Retry {
        /// After so many milliseconds.
        after_millis: u64,
        /// Why the attempt failed.
        error: String,
    },
    /// It becomes a dead letter.
    Dead {
        /// Why the last attempt failed.
        error: String,
    },
}

/// How a sink stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// When the change was made whose pending delivery has the lowest number; `None` when nothing is pending.
    pub oldest_pending: Option<Timestamp>,
    /// Dead letters; of very many, the first ten thousand are counted.
    pub dead: u64,
}

/// The outbox on record.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// The numbers of messages that go to no sink yet, in order, at most `limit`.
    async fn unassigned_messages(&self, limit: u32) -> Result<Vec<u64>, StoreError>;

    /// Begins deliveries, due at once, in the place of their messages. Those of messages that are assigned already or dropped come
    /// to nothing. [`StoreError::Fenced`] when `lease` is not the newest.
    async fn assign_messages(&self, lease: &Lease, assignments: Vec<Assignment>) -> Result<(), StoreError>;

    /// Drops messages that go to no sink, of changes made before an instant: of the `limit` with the lowest numbers. Returns how
    /// many. [`StoreError::Fenced`] as above.
    async fn drop_unassigned(&self, lease: &Lease, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Deliveries to `sink` that are due by the database's clock, those that are due for longest first, at most `limit`. Of one
    /// certificate only that with the lowest number of all that are pending.
    async fn due_deliveries(&self, sink: &SinkName, limit: u32) -> Result<Vec<Delivery>, StoreError>;

    /// Records how attempts ended, all or none. One whose delivery is not pending any more changes nothing.
    /// [`StoreError::Fenced`] as above.
    async fn settle_deliveries(&self, lease: &Lease, settlements: Vec<Settlement>) -> Result<(), StoreError>;

    /// Makes every pending delivery to `sink` due at once; attempts stay counted. Returns how many were not due.
    /// [`StoreError::Fenced`] as above.
    async fn hasten_deliveries(&self, lease: &Lease, sink: &SinkName) -> Result<u64, StoreError>;

    /// One delivery; `None` when there is none of that name, or the sink has it.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError>;

    /// Deliveries, newest first, after `after`, at most `limit`: dead letters only, those that are pending, or both.
    async fn deliveries(
        &self,
        dead: Option<bool>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError>;

    /// Makes a delivery due at once, as if it had never been tried; `false` when there is none of that name.
    async fn replay_delivery(&self, id: DeliveryId, journal: Journal) -> Result<bool, StoreError>;

    /// Drops deliveries that began before an instant, whatever their state: at most `limit`. Returns how many.
    /// [`StoreError::Fenced`] as above.
    async fn drop_deliveries(&self, lease: &Lease, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// How a sink stands.
    async fn backlog(&self, sink: &SinkName) -> Result<Backlog, StoreError>;
}
