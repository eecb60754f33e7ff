//! The whole store port in memory: one plain record behind one lock, so that every method is atomic.
//!
//! As honest as a database: it obeys every sentence of [`crate::port::store`] (`fake::contract` says so), keeps what was
//! acknowledged, and judges leases by the [`FakeClock`]. A process that "crashes" is a test that drops its flows and makes
//! new ones over the same store.

mod audit;
mod authority;
mod bulk_revocation;
mod certificate;
mod crl;
mod fault;
mod gateway;
mod lease;
mod managed;
mod notice;
mod outbox;
mod partial_crl;
mod personal_data;
mod record;
mod renewal;
mod reservation;
mod restore;
mod retention;
mod role;
mod status;
mod token;
mod upstream;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ca_core::audit::AuditEvent;
use ca_core::id::AuthorityId;
use ca_core::serial::Serial;
use ca_core::signing::Message;
use ca_core::time::Timestamp;

use self::fault::Faults;
use super::{FakeClock, yield_once};
use crate::port::clock::Clock;
use crate::port::store::{Access, LONGEST_LIST, OutboxMessage, Store, StoreError};

pub use self::fault::{StoreFault, StoreMethod};
pub use self::record::{
    BulkRow, CrlRow, EventRow, IdempotencyRow, Issuance, IssuanceState, LeaseRow, PublishedPartials, QueuedMessage,
    Record, UpstreamRow,
};

/// The store port in memory. Clones share the record, as replicas share a database.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    clock: FakeClock,
    inner: Arc<Mutex<Inner>>,
    longest_list: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Inner {
    record: Record,
    faults: Faults,
}

impl MemoryStore {
    /// An empty record whose database's clock is `clock`.
    pub fn new(clock: FakeClock) -> Self {
        Self { clock, inner: Arc::default(), longest_list: Arc::new(AtomicU64::new(LONGEST_LIST)) }
    }

    /// A record with the same rows and a fate of its own, whose database's clock is `clock`. Faults and calls are not copied.
    #[must_use]
    pub fn forked(&self, clock: FakeClock) -> Self {
        let record = self.lock().record.clone();
        let inner = Arc::new(Mutex::new(Inner { record, faults: Faults::default() }));
        Self { clock, inner, longest_list: Arc::new(AtomicU64::new(LONGEST_LIST)) }
    }

    /// Lets it keep no list of more octets than these.
    pub fn set_longest_list(&self, octets: u64) {
        self.longest_list.store(octets, Ordering::Relaxed);
    }

    /// The tables as they stand at this instant, past every port: for tests that hold them against what was promised, or that
    /// tamper with them.
    pub fn tables<T>(&self, look: impl FnOnce(&mut Record) -> T) -> T {
        look(&mut self.lock().record)
    }

    /// Makes the next call of `method` fail.
    pub fn fail_next(&self, method: StoreMethod, fault: StoreFault) {
        self.fail_nth(method, 1, fault);
    }

    /// Makes the `nth` call of `method` from now fail; 1 is the next. Faults are spent when they strike.
    pub fn fail_nth(&self, method: StoreMethod, nth: u32, fault: StoreFault) {
        self.lock().faults.order(method, nth, fault);
    }

    /// Makes every call fail with [`StoreError::Unavailable`] until [`Self::repair`].
    pub fn break_down(&self, detail: &str) {
        self.lock().faults.set_outage(Some(detail.to_owned()));
    }

    /// Ends [`Self::break_down`].
    pub fn repair(&self) {
        self.lock().faults.set_outage(None);
    }

    /// Every call so far, in order, those that failed too.
    pub fn calls(&self) -> Vec<StoreMethod> {
        self.lock().faults.calls().to_vec()
    }

    /// Every committed audit event, in commit order, chained or not.
    pub fn events(&self) -> Vec<AuditEvent> {
        self.lock().record.events()
    }

    /// Every committed outbox message, in commit order, delivered or not.
    pub fn outbox(&self) -> Vec<OutboxMessage> {
        self.lock().record.outbox().to_vec()
    }

    /// Whether these octets may be signed: they are those of a reservation, or of a CRL that was intended (invariant 2).
    pub fn is_intended(&self, message: Message<'_>) -> bool {
        self.lock().record.is_intended(message)
    }

    /// Every serial that was ever reserved.
    pub fn serials(&self) -> Vec<(AuthorityId, Serial)> {
        self.lock().record.serials.keys().cloned().collect()
    }

    /// Changes the event in a row of the record (from 1), as somebody does who can write to the database.
    pub fn forge_event(&self, row: usize, forge: impl FnOnce(&mut AuditEvent)) {
        forge(&mut self.lock().record.events[row - 1].event);
    }

    /// Takes a chained event from what is read, as somebody does who deletes its row.
    pub fn lose_event(&self, sequence: u64) {
        self.lock().record.lost_places.insert(sequence);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One transaction: `change` sees and changes the record alone, at one instant. It changes nothing when it fails.
    async fn transact<T>(
        &self,
        method: StoreMethod,
        change: impl FnOnce(&mut Record, Timestamp) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        yield_once().await;
        let mut inner = self.lock();
        let fault = inner.faults.strike(method);
        if let Some(StoreFault::BeforeCommit(error)) = fault {
            return Err(error);
        }
        let outcome = change(&mut inner.record, self.clock.now());
        match fault {
            Some(_) => Err(StoreError::Unknown { detail: "the test lost the acknowledgement".to_owned() }),
            None => outcome,
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn database_time(&self) -> Result<Timestamp, StoreError> {
        self.transact(StoreMethod::DatabaseTime, |_, now| Ok(now)).await
    }

    async fn access(&self) -> Result<Access, StoreError> {
        self.transact(StoreMethod::Access, |_, _| Ok(Access::ReadWrite)).await
    }
}
