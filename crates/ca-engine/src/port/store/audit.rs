//! Audit events on record and their chain.

use async_trait::async_trait;
use ca_core::audit::{AuditEvent, ChainHash};

use super::{Lease, StoreError};

/// A committed event that has no place in the chain yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEvent {
    /// The row.
    pub row: i64,
    /// Its canonical octets.
    pub canonical: Vec<u8>,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// The sequence number of the last event; 0 when there is none.
    pub sequence: u64,
    /// Its hash; [`ca_core::audit::GENESIS`] when there is none.
    pub hash: ChainHash,
}

/// A place in the chain for a pending event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// The row.
    pub row: i64,
    /// Its sequence number.
    pub sequence: u64,
    /// Its hash.
    pub hash: ChainHash,
}

/// An event in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainedEvent {
    /// From 1, without gaps.
    pub sequence: u64,
    /// The octets that were hashed.
    pub canonical: Vec<u8>,
    /// The hash of this place.
    pub hash: ChainHash,
}

/// Which events to list; absent fields do not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// By action, as [`ca_core::audit::AuditAction::as_str`] names it.
    pub action: Option<String>,
    /// By principal reference.
    pub principal: Option<String>,
    /// By subject.
    pub subject: Option<String>,
}

/// Audit events on record. They are never changed or deleted.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Stores an event of something that changes no other row.
    async fn append_event(&self, event: AuditEvent) -> Result<(), StoreError>;

    /// Committed events without a place, in the order of their rows, at most `limit`.
    async fn pending_events(&self, limit: u32) -> Result<Vec<PendingEvent>, StoreError>;

    /// The end of the chain.
    async fn chain_head(&self) -> Result<ChainHead, StoreError>;

    /// Puts events in their places after `head`. [`StoreError::Conflict`] when the chain ends elsewhere by now;
    /// [`StoreError::Fenced`] when `lease` is not the newest.
    async fn chain_events(&self, lease: &Lease, head: &ChainHead, links: Vec<ChainLink>) -> Result<(), StoreError>;

    /// Chained events after `sequence`, in order, at most `limit`.
    async fn events_after(
        &self,
        sequence: u64,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<ChainedEvent>, StoreError>;
}
