//! How many calls a second go out, and how long one may wait for its turn: AWS counts calls by account and region, refuses what
//! is too much, and counts the refused ones too.
//!
//! Turns are given in the order in which they are asked for. A turn that lies too far ahead is none: who asks is told when to ask
//! again, and nothing queues without bound.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Turns at a steady pace, after a pause some of them at once.
pub(crate) struct Pace {
    /// When the next turn is, if nothing is left over from the past.
    next: Mutex<Instant>,
    between: Duration,
    /// How far in the past turns may lie that are still there to be taken.
    saved: Duration,
    longest_wait: Duration,
}

/// The next free turn lies too far ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull {
    /// When to ask again.
    pub(crate) retry_after: Duration,
}

impl Pace {
    /// `per_second` turns a second, at least one; a fifth of a second's turns may be taken at once.
    pub(crate) fn new(per_second: u32, longest_wait: Duration) -> Self {
        let between = Duration::from_secs(1) / per_second.max(1);
        let saved = Duration::from_millis(200).max(between);
        Self { next: Mutex::new(Instant::now()), between, saved, longest_wait }
    }

    /// Waits for a turn, or is told at once that it would be too long. Dropping the future gives the turn away.
    pub(crate) async fn turn(&self) -> Result<(), QueueFull> {
        let wait = self.reserve(Instant::now())?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn reserve(&self, now: Instant) -> Result<Duration, QueueFull> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(now.checked_sub(self.saved).unwrap_or(now));
        let wait = turn.saturating_duration_since(now);
        if wait > self.longest_wait {
            return Err(QueueFull { retry_after: wait });
        }
        *next = turn + self.between;
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_turns_in_order_and_refuses_what_lies_too_far_ahead() {
        let pace = Pace::new(10, Duration::from_secs(1));
        let start = Instant::now();
        // Two turns of the fifth of a second, and one that is due now.
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let later = at(60.0);
        let mut waits = Vec::new();
        let refused = loop {
            match pace.reserve(later) {
                Ok(wait) => waits.push(wait.as_millis()),
                Err(full) => break full,
            }
        };
        assert_eq!(waits, [0, 0, 0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000]);
        assert_eq!(refused.retry_after, Duration::from_millis(1_100));
        // Half a second on, five more fit.
        let later = at(60.5);
        let taken = std::iter::from_fn(|| pace.reserve(later).ok()).count();
        assert_eq!(taken, 5);
    }

    #[tokio::test]
    async fn never_more_than_its_pace_over_a_long_time() {
        let pace = Pace::new(250, Duration::from_secs(1));
        let start = Instant::now() + Duration::from_secs(5);
        let mut taken = 0;
        for millis in 0..10_000 {
            while pace.reserve(start + Duration::from_millis(millis)).is_ok_and(|wait| wait.is_zero()) {
                taken += 1;
            }
            if taken > 3_000 {
                break;
            }
        }
        // What was asked for too early was reserved all the same: the second that may be waited for, and what was saved.
        assert!(taken <= 2_600, "{taken}");
    }
}
