//! A breaker: an endpoint that fails again and again is left alone for a while, so that nobody waits for what will not come and
//! nothing is heaped upon what may be recovering.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many failures in a row open it.
const FAILURES: u32 = 8;
/// How long it stays open at most.
const LONGEST_REST: Duration = Duration::from_secs(15);

/// Lets calls through, none, or one that tries.
pub(crate) struct Breaker {
    /// How long it stays open at first.
    first_rest: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    /// All go through; so many failed in a row.
    Closed { failures: u32 },
    /// None goes through until then.
    Open { until: Instant, rest: Duration },
    /// One tries. Should it never be heard of again, the next one tries then.
    Trying { until: Instant, rest: Duration },
}

/// Nothing is let through now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// When the next call may try.
    pub(crate) retry_after: Duration,
}

impl Breaker {
    /// One that stays open for `first_rest` at first, and longer each time.
    pub(crate) fn new(first_rest: Duration) -> Self {
        Self { first_rest, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Whether a call may go out now.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Open> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } | State::Trying { until, .. } if now < until => {
                Err(Open { retry_after: until - now })
            }
            State::Open { rest, .. } | State::Trying { rest, .. } => {
                *state = State::Trying { until: now + rest, rest };
                Ok(())
            }
        }
    }

    /// It answered, were it to refuse.
    pub(crate) fn answered(&self) {
        *self.lock() = State::Closed { failures: 0 };
    }

    /// It failed inside, or was silent. Says whether that closed the way to it.
    pub(crate) fn failed(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match *state {
            State::Closed { failures } if failures + 1 < FAILURES => {
                *state = State::Closed { failures: failures + 1 };
                false
            }
            State::Closed { .. } => {
                *state = State::Open { until: now + self.first_rest, rest: self.first_rest };
                true
            }
            // It was on its way before, and says nothing new.
            State::Open { .. } => false,
            State::Trying { rest, .. } => {
                let rest = (rest * 2).min(LONGEST_REST);
                *state = State::Open { until: now + rest, rest };
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST_REST: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn opens_after_failures_in_a_row_and_closes_when_one_that_tries_is_answered() {
        let breaker = Breaker::new(FIRST_REST);
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for _ in 1..FAILURES {
            assert!(!breaker.failed(start));
        }
        breaker.answered();
        for _ in 1..FAILURES {
            assert!(!breaker.failed(start), "an answer in between begins the count anew");
        }
        assert!(breaker.failed(start));
        assert!(!breaker.failed(start), "what was on its way changes nothing");
        assert_eq!(breaker.admit(start), Err(Open { retry_after: FIRST_REST }));
        // One tries; the others wait for what becomes of it.
        assert_eq!(breaker.admit(at(1)), Ok(()));
        assert!(breaker.admit(at(1)).is_err());
        breaker.failed(at(1));
        assert_eq!(breaker.admit(at(2)), Err(Open { retry_after: Duration::from_secs(1) }));
        // One that is never heard of again does not keep it open.
        assert_eq!(breaker.admit(at(3)), Ok(()));
        assert!(breaker.admit(at(4)).is_err());
        assert_eq!(breaker.admit(at(5)), Ok(()));
        breaker.answered();
        assert_eq!((breaker.admit(at(5)), breaker.admit(at(5))), (Ok(()), Ok(())));
        assert!(!breaker.failed(at(5)));
    }

    #[tokio::test]
    async fn rests_longer_each_time_but_never_for_long() {
        let breaker = Breaker::new(FIRST_REST);
        let mut now = Instant::now();
        for _ in 0..FAILURES {
            breaker.failed(now);
        }
        let mut rests = Vec::new();
        for _ in 0..6 {
            let rest = breaker.admit(now).expect_err("open").retry_after;
            rests.push(rest.as_secs());
            now += rest;
            breaker.admit(now).expect("one tries");
            breaker.failed(now);
        }
        assert_eq!(rests, [1, 2, 4, 8, 15, 15]);
    }
}
