//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ca_core::time::{Lifetime, Timestamp};

use crate::port::clock::Clock;

/// A clock under a test's hand. Clones share their time, so that a test, a flow and a store see the same instant.
#[derive(Clone, Debug)]
pub struct FakeClock {
    millis: Arc<AtomicI64>,
}

impl FakeClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { millis: Arc::new(AtomicI64::new(now.unix_millis())) }
    }

    /// Moves it to `now`, forwards or back, as somebody who sets a machine's clock does.
    pub fn set(&self, now: Timestamp) {
        self.millis.store(now.unix_millis(), Ordering::SeqCst);
    }

    /// Lets `lifetime` pass.
    pub fn advance(&self, lifetime: Lifetime) {
        self.set(self.now().plus(lifetime));
    }

    /// Lets some milliseconds pass.
    pub fn advance_millis(&self, millis: u64) {
        let now = self.now().unix_millis().saturating_add_unsigned(millis);
        self.set(Timestamp::from_unix_millis(now));
    }

    /// Steps back by `lifetime`: the machine's clock was ahead and has been corrected.
    pub fn step_back(&self, lifetime: Lifetime) {
        self.set(self.now().minus(lifetime));
    }
}

impl Default for FakeClock {
    /// Stands at 2026-11-20T12:00:00Z.
    fn default() -> Self {
        Self::at(Timestamp::from_unix_seconds(1_795_176_000))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.millis.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_their_time() {
        let clock = FakeClock::default();
        let other = clock.clone();
        assert_eq!(clock.now().to_rfc3339(), "2026-11-20T12:00:00Z");
        clock.advance(Lifetime::from_seconds(90));
        assert_eq!(other.now().to_rfc3339(), "2026-11-20T12:01:30Z");
        other.step_back(Lifetime::from_days(1));
        assert_eq!(clock.now().to_rfc3339(), "2026-11-19T12:01:30Z");
    }
}
