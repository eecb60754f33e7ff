//! A place for shared answers in memory, which a test can fill, empty and take away.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ca_core::time::{Lifetime, Timestamp};

use super::{FakeClock, yield_once};
use crate::port::clock::Clock;
use crate::port::shared_answers::{Condition, Lookup, SharedAnswers};

/// Octets and when they end, by key.
type Entries = BTreeMap<String, (Vec<u8>, Timestamp)>;

/// Answers in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemorySharedAnswers {
    clock: FakeClock,
    entries: Arc<Mutex<Entries>>,
    is_away: Arc<AtomicBool>,
}

impl MemorySharedAnswers {
    /// An empty place, by whose clock entries end.
    pub fn new(clock: FakeClock) -> Self {
        Self { clock, entries: Arc::default(), is_away: Arc::default() }
    }

    /// Takes the place away, or brings it back with what is in it.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// What lies there, ended or not.
    pub fn entries(&self) -> BTreeMap<String, Vec<u8>> {
        self.lock().iter().map(|(key, (der, _))| (key.clone(), der.clone())).collect()
    }

    /// Puts something there as somebody may who is none of ours; it does not end.
    pub fn plant(&self, key: &str, octets: &[u8]) {
        let ends = self.clock.now().plus(Lifetime::from_days(36_500));
        self.lock().insert(key.to_owned(), (octets.to_vec(), ends));
    }

    /// Loses everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SharedAnswers for MemorySharedAnswers {
    async fn get(&self, key: &str) -> Lookup {
        yield_once().await;
        if self.is_away.load(Ordering::SeqCst) {
            return Lookup::Unavailable;
        }
        let now = self.clock.now();
        match self.lock().get(key).filter(|(_, ends)| now < *ends) {
            Some((der, _)) => Lookup::Found(der.clone()),
            None => Lookup::Absent,
        }
    }

    fn put(&self, key: String, der: Arc<[u8]>, lifetime: Lifetime) {
        if !self.is_away.load(Ordering::SeqCst) {
            let ends = self.clock.now().plus(lifetime);
            self.lock().insert(key, (der.to_vec(), ends));
        }
    }

    fn condition(&self) -> Condition {
        Condition { answers: !self.is_away.load(Ordering::SeqCst), ..Condition::default() }
    }
}
