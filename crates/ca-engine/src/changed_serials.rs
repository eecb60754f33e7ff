//! Every serial number whose standing has ever changed, as the sequence of revocations tells it from its first entry on.
//!
//! Of such a serial an old answer may be false, however well it is signed; so nothing is believed of it that comes from a place to
//! which others write. Only hashes are kept: two serials that share one are both taken for changed, which costs a signature.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ca_core::id::AuthorityId;
use ca_core::serial::Serial;

/// How many are kept at the most, some 80 MB of them. With more, nothing is known of any serial.
const MAXIMUM: usize = 4_000_000;

/// The serials that have changed, as far as they are known.
pub struct ChangedSerials {
    known: Mutex<Known>,
    maximum: usize,
}

#[derive(Default)]
struct Known {
    hashes: HashSet<u64>,
    reading: Reading,
}

/// How far the sequence was read, from its beginning to where following began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    /// Nobody follows yet.
    #[default]
    NotBegun,
    /// Up to this number.
    To(u64),
    /// All of it.
    Complete,
    /// There are too many.
    GivenUp,
}

impl Default for ChangedSerials {
    fn default() -> Self {
        Self::bounded(MAXIMUM)
    }
}

impl ChangedSerials {
    fn bounded(maximum: usize) -> Self {
        Self { known: Mutex::default(), maximum }
    }

    /// How many are known.
    pub fn count(&self) -> usize {
        self.lock().hashes.len()
    }

    /// Whether the whole sequence was read, so that of a serial that is not here it is known that it never changed.
    pub fn is_complete(&self) -> bool {
        self.lock().reading == Reading::Complete
    }

    /// Whether the standing of this serial has never changed; no while the sequence is not read to its end.
    pub(crate) fn never_changed(&self, authority: &AuthorityId, serial: &Serial) -> bool {
        let known = self.lock();
        known.reading == Reading::Complete && !known.hashes.contains(&hash(authority, serial))
    }

    /// Following begins, maybe over another record: nothing is known.
    pub(crate) fn begin(&self) {
        *self.lock() = Known { hashes: HashSet::new(), reading: Reading::To(0) };
    }

    /// A serial has changed.
    pub(crate) fn add(&self, authority: &AuthorityId, serial: &Serial) {
        let mut known = self.lock();
        if matches!(known.reading, Reading::To(_) | Reading::Complete) {
            known.hashes.insert(hash(authority, serial));
            if known.hashes.len() > self.maximum {
                *known = Known { hashes: HashSet::new(), reading: Reading::GivenUp };
                tracing::warn!(
                    maximum = self.maximum,
                    "more revocations than can be kept in memory: OCSP answers are not shared by this replica"
                );
            }
        }
    }

    /// After which number of the sequence reading goes on; `None` when there is nothing to be read.
    pub(crate) fn unread_after(&self) -> Option<u64> {
        match self.lock().reading {
            Reading::To(sequence) => Some(sequence),
            _ => None,
        }
    }

    /// The sequence was read up to a number, or to its end.
    pub(crate) fn read_to(&self, sequence: Option<u64>) {
        let mut known = self.lock();
        if matches!(known.reading, Reading::To(_)) {
            known.reading = sequence.map_or(Reading::Complete, Reading::To);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(authority: &AuthorityId, serial: &Serial) -> u64 {
    // Nobody but the service chooses serials, and two that meet cost no more than a signature: its keys need be no secret.
    let mut hasher = DefaultHasher::new();
    (authority, serial).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls() -> AuthorityId {
        "tls".parse().expect("an authority's id")
    }

    fn serial(number: u8) -> Serial {
        Serial::from_random([number; 16])
    }

    #[test]
    fn nothing_is_known_to_be_unchanged_before_all_of_the_sequence_was_read() {
        let changed = ChangedSerials::default();
        assert!(!changed.never_changed(&tls(), &serial(1)), "nobody follows");
        changed.begin();
        assert_eq!(changed.unread_after(), Some(0));
        changed.add(&tls(), &serial(1));
        changed.read_to(Some(1_000));
        assert_eq!(changed.unread_after(), Some(1_000));
        assert!(!changed.never_changed(&tls(), &serial(2)), "half of it was read");
        changed.read_to(None);
        assert!(changed.never_changed(&tls(), &serial(2)) && changed.unread_after().is_none());
        assert!(!changed.never_changed(&tls(), &serial(1)));
        changed.add(&tls(), &serial(2));
        assert!(!changed.never_changed(&tls(), &serial(2)));
        // Of another record nothing is known.
        changed.begin();
        assert!(!changed.never_changed(&tls(), &serial(3)) && changed.count() == 0);
    }

    #[test]
    fn with_too_many_of_them_nothing_is_known_of_any() {
        let changed = ChangedSerials::bounded(2);
        changed.begin();
        changed.read_to(None);
        for number in 1..=3 {
            changed.add(&tls(), &serial(number));
        }
        assert!(!changed.never_changed(&tls(), &serial(9)) && changed.count() == 0);
        changed.read_to(None);
        changed.add(&tls(), &serial(4));
        assert!(!changed.is_complete());
    }
}
