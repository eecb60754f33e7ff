//! Signed answers in memory: found without a lock, dropped when the standing of their certificate changes, bounded by octets.
//!
//! The table is fixed: sets of a few slots, and a serial belongs to one set, whatever the form of the CertID that asks for it. A
//! reader loads slots and nothing else. Who changes a set holds its lock, under which it also counts how often something was
//! dropped from it: an answer is let in only if nothing was dropped since its ticket was drawn, which happens before the record
//! is asked. So an answer that was read before a revocation never outlives the news of it, in whatever order they arrive.
//!
//! What makes room is a hand that goes round over all slots and spares, once, what was asked for since it last came by.

pub(crate) mod flight;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use ca_core::id::AuthorityId;
use ca_core::serial::Serial;
use ca_core::time::Timestamp;

use crate::status_answer::StatusAnswer;

/// How many slots a set has.
const WAYS: usize = 8;

/// One slot for so many octets of the bound: half of what most answers take, so that sets seldom run full before the bound is
/// reached.
const OCTETS_OF_A_SLOT: usize = 512;

/// What an entry takes beside its octets: itself, two counted pointers, what the allocator rounds up.
const OVERHEAD: usize = 256;

/// Signed answers, by CertID.
pub struct AnswerCache {
    sets: Box<[Set]>,
    bound: usize,
    octets: AtomicUsize,
    entries: AtomicUsize,
    hand: AtomicUsize,
}

#[derive(Default)]
struct Set {
    slots: [ArcSwapOption<Entry>; WAYS],
    /// How often something was to be dropped from here. Held by who changes the slots.
    drops: Mutex<u64>,
}

/// An answer and what it is about.
struct Entry {
    authority: AuthorityId,
    serial: Serial,
    /// As it was asked for: the answer repeats it octet for octet.
    cert_id: Vec<u8>,
    answer: StatusAnswer,
    /// Whether it was asked for since the hand came by.
    asked_for: AtomicBool,
    /// Whether it was asked for since the last count.
    asked_since_count: AtomicBool,
    /// In which of the last eight counts it had been asked for: the newest is the highest bit, so that what was long ago fades.
    heat: AtomicU8,
}

/// An answer that many ask for.
pub(crate) struct HotAnswer {
    pub(crate) authority: AuthorityId,
    pub(crate) serial: Serial,
    pub(crate) cert_id: Vec<u8>,
    pub(crate) heat: u8,
}

/// Drawn before the record is asked; lets the answer in if nothing was dropped meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    drops: u64,
}

impl AnswerCache {
    /// An empty cache that holds at most `bound` octets; 0 keeps nothing.
    pub fn new(bound: usize) -> Self {
        let slots = (bound / OCTETS_OF_A_SLOT).next_power_of_two();
        let sets = (0..slots.div_ceil(WAYS)).map(|_| Set::default()).collect();
        Self { sets, bound, octets: AtomicUsize::new(0), entries: AtomicUsize::new(0), hand: AtomicUsize::new(0) }
    }

    /// The octets that its entries take.
    pub fn octets(&self) -> usize {
        self.octets.load(Ordering::Relaxed)
    }

    /// How many answers it has.
    pub fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// The answer to this CertID, if there is one, however old it is.
    pub(crate) fn get(&self, authority: &AuthorityId, serial: &Serial, cert_id: &[u8]) -> Option<StatusAnswer> {
        self.set(authority, serial).slots.iter().find_map(|slot| {
            let entry = slot.load();
            let entry = entry.as_ref().filter(|entry| entry.cert_id == cert_id && entry.authority == *authority)?;
            // Written only when it changes: a line that all cores read is not to travel at each answer.
            for mark in [&entry.asked_for, &entry.asked_since_count] {
                if !mark.load(Ordering::Relaxed) {
                    mark.store(true, Ordering::Relaxed);
                }
            }
            Some(entry.answer.clone())
        })
    }

    /// To be drawn before the record is asked about a serial.
    pub(crate) fn ticket(&self, authority: &AuthorityId, serial: &Serial) -> Ticket {
        Ticket { drops: *self.set(authority, serial).lock() }
    }

    /// Keeps an answer, unless something was dropped since the ticket was drawn. Returns whether it did.
    pub(crate) fn insert(
        &self,
        ticket: Ticket,
        authority: &AuthorityId,
        serial: &Serial,
        cert_id: &[u8],
        answer: &StatusAnswer,
    ) -> bool {
        let entry = Entry {
            authority: authority.clone(),
            serial: serial.clone(),
            cert_id: cert_id.to_vec(),
            answer: answer.clone(),
            asked_for: AtomicBool::new(false),
            asked_since_count: AtomicBool::new(false),
            heat: AtomicU8::new(0),
        };
        if entry.octets() > self.bound {
            return false;
        }
        let set = self.set(authority, serial);
        {
            let drops = set.lock();
            if *drops != ticket.drops {
                return false;
            }
            let place = set.place_for(&entry);
            if let Some(before) = &*place.load()
                && before.is_about(&entry)
            {
                entry.heat.store(before.heat.load(Ordering::Relaxed), Ordering::Relaxed);
                let asked = before.asked_since_count.load(Ordering::Relaxed);
                entry.asked_since_count.store(asked, Ordering::Relaxed);
            }
            self.put(place, Some(Arc::new(entry)));
        }
        self.make_room();
        true
    }

    /// Drops every answer about a serial, and keeps out what is being made from an earlier look at the record. Returns how many
    /// there were.
    pub(crate) fn drop_serial(&self, authority: &AuthorityId, serial: &Serial) -> usize {
        let set = self.set(authority, serial);
        let mut drops = set.lock();
        *drops += 1;
        let about = |slot: &&ArcSwapOption<Entry>| {
            slot.load().as_ref().is_some_and(|entry| entry.serial == *serial && entry.authority == *authority)
        };
        let dropped: Vec<_> = set.slots.iter().filter(about).collect();
        for slot in &dropped {
            self.put(slot, None);
        }
        dropped.len()
    }

    /// Drops everything, and keeps out what is being made.
    pub(crate) fn clear(&self) {
        for set in &self.sets {
            let mut drops = set.lock();
            *drops += 1;
            for slot in &set.slots {
                self.put(slot, None);
            }
        }
    }

    /// Counts who was asked for since the last count, and returns those that were, for which `is_due` says yes; the hottest first.
    pub(crate) fn count_hot(&self, is_due: impl Fn(&StatusAnswer) -> bool) -> Vec<HotAnswer> {
        let mut hot = Vec::new();
        for slot in self.sets.iter().flat_map(|set| &set.slots) {
            let entry = slot.load();
            let Some(entry) = &*entry else { continue };
            let asked = entry.asked_since_count.swap(false, Ordering::Relaxed);
            let heat = entry.heat.load(Ordering::Relaxed) >> 1 | if asked { 0x80 } else { 0 };
            entry.heat.store(heat, Ordering::Relaxed);
            if heat != 0 && is_due(&entry.answer) {
                let (authority, serial) = (entry.authority.clone(), entry.serial.clone());
                hot.push(HotAnswer { authority, serial, cert_id: entry.cert_id.clone(), heat });
            }
        }
        hot.sort_by(|one, other| other.heat.count_ones().cmp(&one.heat.count_ones()).then(other.heat.cmp(&one.heat)));
        hot
    }

    /// What is believed of which serial: every answer.
    pub(crate) fn beliefs(&self) -> impl Iterator<Item = (AuthorityId, Serial, StatusAnswer)> {
        let slots = self.sets.iter().flat_map(|set| &set.slots);
        slots.filter_map(|slot| {
            let entry = slot.load_full()?;
            Some((entry.authority.clone(), entry.serial.clone(), entry.answer.clone()))
        })
    }

    /// Puts an entry into a slot whose set is locked, in the place of what is there.
    fn put(&self, slot: &ArcSwapOption<Entry>, entry: Option<Arc<Entry>>) {
        if let Some(entry) = &entry {
            self.octets.fetch_add(entry.octets(), Ordering::Relaxed);
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(before) = slot.swap(entry) {
            self.octets.fetch_sub(before.octets(), Ordering::Relaxed);
            self.entries.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Sends the hand on until the bound is kept. Every slot is looked at twice at the most.
    fn make_room(&self) {
        let slots = self.sets.len() * WAYS;
        for _ in 0..2 * slots {
            if self.octets() <= self.bound {
                return;
            }
            let number = self.hand.fetch_add(1, Ordering::Relaxed) % slots;
            let set = &self.sets[number / WAYS];
            let slot = &set.slots[number % WAYS];
            let spared = slot.load().as_ref().is_none_or(|entry| entry.asked_for.swap(false, Ordering::Relaxed));
            if !spared {
                let _locked = set.lock();
                self.put(slot, None);
            }
        }
    }

    fn set(&self, authority: &AuthorityId, serial: &Serial) -> &Set {
        // Who asks cannot choose what is kept (only serials on record are), so keys of the hash need be no secret.
        let mut hasher = DefaultHasher::new();
        (authority, serial).hash(&mut hasher);
        let hash = hasher.finish() as usize;
        // The number of sets is a power of two.
        &self.sets[hash & (self.sets.len() - 1)]
    }
}

impl Set {
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.drops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where an entry goes: in place of the answer before it, else into an empty slot, else in place of the oldest.
    fn place_for(&self, entry: &Entry) -> &ArcSwapOption<Entry> {
        let rank = |slot: &ArcSwapOption<Entry>| match &*slot.load() {
            Some(there) if there.is_about(entry) => (0, None),
            None => (1, None),
            Some(there) => (2, there.since()),
        };
        self.slots.iter().min_by_key(|slot| rank(slot)).unwrap_or(&self.slots[0])
    }
}

impl Entry {
    fn octets(&self) -> usize {
        self.answer.der.len() + self.cert_id.len() + self.authority.as_str().len() + OVERHEAD
    }

    /// Whether both answer the same question.
    fn is_about(&self, other: &Self) -> bool {
        self.cert_id == other.cert_id && self.authority == other.authority
    }

    fn since(&self) -> Option<Timestamp> {
        self.answer.freshness.map(|freshness| freshness.this_update)
    }
}
