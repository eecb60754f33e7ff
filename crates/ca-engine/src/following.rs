//! How far this process has followed the sequence of revocations, and when it did so last.
//!
//! What is done with it is [`crate::flow::follow_revocations`]'s.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex as DelayLock, PoisonError};

use ca_core::time::{Lifetime, Timestamp};
use futures::lock::{Mutex, MutexGuard};

use crate::port::store::RevocationRow;

/// How old the last look at the sequence may be: with a look each second, one may fail and one be late.
pub(crate) const LOOK_LIFETIME: Lifetime = Lifetime::from_seconds(3);

/// How long a look may take before it counts as one that fails.
const LOOK_PATIENCE: Lifetime = Lifetime::from_seconds(2);

/// For how long a follower is taken to be at it still. Longer than any adapter waits for its database.
const ATTEMPT_LIFETIME: Lifetime = Lifetime::from_seconds(20);

/// A process's place in the sequence.
#[derive(Default)]
pub struct Following {
    position: Mutex<Option<Position>>,
    /// The number it stands at, to be shown.
    sequence: AtomicU64,
    /// The instant of which it knows every revocation; in milliseconds, 0 before the first look.
    followed_at: AtomicI64,
    /// When the follower began its last attempt; in milliseconds, 0 while there is no follower.
    attempted_at: AtomicI64,
    /// Whether the follower's last attempt came to nothing.
    failed: AtomicBool,
    /// How long after they were made revocations were seen, in milliseconds, until somebody takes them.
    delays: DelayLock<Vec<u64>>,
}

/// So many delays wait to be taken at the most: nobody may be there who does.
const MOST_DELAYS: usize = 10_000;

/// The newest entry that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    /// What it says, to see that the record is still the same; `None` until it was read once.
    pub(crate) newest: Option<RevocationRow>,
}

/// What is known of the sequence at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// It was looked at in the last seconds.
    Current,
    /// It was not, though the follower tried: the record does not answer.
    Unreachable,
    /// It was not, and nobody tried, or who tries has just begun.
    Unattended,
}

impl Following {
    /// The number of the newest revocation that this process knows.
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Relaxed)
    }

    /// How long ago the sequence was looked at last; `None` before the first time.
    pub fn lag(&self, now: Timestamp) -> Option<Lifetime> {
        match self.followed_at.load(Ordering::Acquire) {
            0 => None,
            millis => Some(distance(now, millis)),
        }
    }

    /// How long after they were made the revocations were seen that came since the last call, in milliseconds, by the clocks of
    /// who revoked and of this process.
    pub fn take_delays(&self) -> Vec<u64> {
        std::mem::take(&mut *self.delays.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A revocation of that instant is seen now.
    pub(crate) fn seen(&self, revoked_at: Timestamp, now: Timestamp) {
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        if delays.len() < MOST_DELAYS {
            delays.push(u64::try_from(now.unix_millis() - revoked_at.unix_millis()).unwrap_or(0));
        }
    }

    pub(crate) fn knowledge(&self, now: Timestamp) -> Knowledge {
        let within = |millis: i64, lifetime| millis != 0 && distance(now, millis) <= lifetime;
        if within(self.followed_at.load(Ordering::Acquire), LOOK_LIFETIME) {
            return Knowledge::Current;
        }
        let attempted_at = self.attempted_at.load(Ordering::Acquire);
        let is_slow = || distance(now, attempted_at) >= LOOK_PATIENCE;
        match within(attempted_at, ATTEMPT_LIFETIME) && (self.failed.load(Ordering::Acquire) || is_slow()) {
            true => Knowledge::Unreachable,
            false => Knowledge::Unattended,
        }
    }

    /// The follower begins. What is returned says how it ended; dropped without a word it was cut off, and has failed.
    pub(crate) fn attempt(&self, now: Timestamp) -> Attempt<'_> {
        self.attempted_at.store(now.unix_millis(), Ordering::Release);
        Attempt { following: self, succeeded: false }
    }

    /// Every revocation that was committed before `as_of` is known.
    pub(crate) fn followed(&self, as_of: Timestamp) {
        self.followed_at.store(as_of.unix_millis(), Ordering::Release);
    }

    /// The position, for one who follows at a time.
    pub(crate) async fn position(&self) -> MutexGuard<'_, Option<Position>> {
        self.position.lock().await
    }

    pub(crate) fn show(&self, sequence: u64) {
        self.sequence.store(sequence, Ordering::Relaxed);
    }
}

/// An attempt of the follower.
pub(crate) struct Attempt<'a> {
    following: &'a Following,
    succeeded: bool,
}

impl Attempt<'_> {
    pub(crate) fn succeeded(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.following.failed.store(!self.succeeded, Ordering::Release);
    }
}

/// How far apart two instants are, either way: after the clock was set nothing is known to be recent.
fn distance(now: Timestamp, millis: i64) -> Lifetime {
    let then = Timestamp::from_unix_millis(millis);
    now.since(then).max(then.since(now))
}
