//! What callers were promised, and what they never heard of; kept while they work, for those who watch meanwhile.
//!
//! [`crate::load`] writes it, [`crate::outage`] judges by it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// How many certificates wait for their revocation among replicas, so that `good` was said of them at every replica before.
const WAITING: usize = 100;

/// A certificate that a caller received.
#[derive(Debug, PartialEq, Eq)]
pub struct Promise {
    /// Its id.
    pub id: String,
    /// Its authority.
    pub authority: String,
    /// Its serial, lower-case hexadecimal.
    pub serial: String,
    /// Its octets.
    pub der: Vec<u8>,
}

/// What a caller asked for: it can be asked for again, by the same caller under the same key.
#[derive(Clone, Debug)]
pub struct Application {
    /// Which of the callers.
    pub caller: usize,
    /// The name that it is for.
    pub name: String,
    /// The idempotency key.
    pub key: String,
}

/// What callers were promised, and what they never heard of.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Certificates received.
    pub issued: Vec<(Application, Arc<Promise>)>,
    /// Revocations acknowledged, with their reasons.
    pub revoked: Vec<(Arc<Promise>, &'static str)>,
    /// When, in the same order.
    pub(crate) acknowledged: Vec<Instant>,
    /// Applications whose answer never came.
    pub unheard: Vec<Application>,
    /// Revocations whose answer never came.
    pub unheard_revocations: Vec<(Arc<Promise>, &'static str)>,
    /// How often a caller was told to come again later: 503 with `Retry-After`.
    pub turned_away: u64,
    /// How often a caller who asked again was told that the first request is still at work: 409 with `Retry-After`.
    pub in_progress: u64,
    /// Questions that nobody answered in time, here or there.
    pub timed_out: u64,
    /// Questions that found nobody, or whose connection broke.
    pub cut_off: u64,
}

impl Ledger {
    /// Adds another one's promises.
    pub fn take_in(&mut self, other: Self) {
        self.issued.extend(other.issued);
        self.revoked.extend(other.revoked);
        self.acknowledged.extend(other.acknowledged);
        self.unheard.extend(other.unheard);
        self.unheard_revocations.extend(other.unheard_revocations);
        self.turned_away += other.turned_away;
        self.in_progress += other.in_progress;
        self.timed_out += other.timed_out;
        self.cut_off += other.cut_off;
    }
}

/// What callers at work were promised so far.
#[derive(Clone)]
pub struct Promises(pub(crate) Arc<SharedLedger>);

impl Promises {
    /// One of the revocations that were acknowledged so far, two of three times one of the newest hundred; `None` while there is
    /// none. `chance`, from 0 to 1, chooses.
    pub fn revocation(&self, chance: f64) -> Option<Acknowledged> {
        let ledger = self.0.ledger();
        let count = ledger.revoked.len();
        let (window, chance) = match chance * 3.0 {
            chance if chance < 2.0 => (count.min(100), chance / 2.0),
            chance => (count, chance - 2.0),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a small count")]
        let back = 1 + ((chance * window as f64) as usize).min(window.saturating_sub(1));
        let place = count.checked_sub(back)?;
        let (promise, reason) = ledger.revoked[place].clone();
        Some(Acknowledged { promise, reason, at: ledger.acknowledged[place] })
    }

    /// One of the certificates that are to be revoked.
    pub fn to_be_revoked(&self, chance: f64) -> Option<Arc<Promise>> {
        let waiting = self.0.revocable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a small count")]
        waiting.get((chance * waiting.len() as f64) as usize).cloned()
    }
}

/// A revocation that was acknowledged.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Of which certificate.
    pub promise: Arc<Promise>,
    /// Why.
    pub reason: &'static str,
    /// When the caller was told.
    pub at: Instant,
}

/// What callers at work share.
#[derive(Default)]
pub(crate) struct SharedLedger {
    pub(crate) stop: AtomicBool,
    pub(crate) failed: AtomicBool,
    ledger: Mutex<Ledger>,
    revocable: Mutex<VecDeque<Arc<Promise>>>,
}

impl SharedLedger {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn revocable(&self) -> MutexGuard<'_, VecDeque<Arc<Promise>>> {
        self.revocable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Of one service the newest first: those are the ones that a crash could lose. Of replicas the oldest.
    pub(crate) fn next_to_revoke(&self, patient: bool) -> Option<Arc<Promise>> {
        let mut waiting = self.revocable();
        match patient {
            true if waiting.len() <= WAITING => None,
            true => waiting.pop_front(),
            false => waiting.pop_back(),
        }
    }
}
