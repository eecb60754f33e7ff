//! A line in which callers wait for their turn, first come, first served, at a pace that yields when AWS says that it is too fast.
//!
//! Who was turned away by AWS keeps its place: it is first when the next turn comes, so that nobody overtakes it and nobody starves.
//! When AWS refuses, the pace is halved, once in half a second at the most, since several may have been on their way; each second
//! without a refusal it recovers by a tenth of what is configured, and never beyond that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::pace::QueueFull;

/// The slowest pace that AWS's refusals lead to: a turn every two seconds.
const SLOWEST: f64 = 0.5;
/// Refusals within so long of each other are one.
const TOGETHER: Duration = Duration::from_millis(500);

/// Callers in the order in which they came.
pub(crate) struct Line(Mutex<Queue>);

/// A place in the line, kept from the first attempt of a call to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

/// Whose turn it is, and when the next one is; the time is given.
struct Queue {
    /// Who waits; the smallest place is the first.
    waiting: BTreeMap<Place, Arc<Notify>>,
    arrivals: u64,
    /// When the next turn is.
    next: Instant,
    /// The pace that is configured, in turns a second.
    full: f64,
    /// The pace of now.
    pace: f64,
    /// When the pace was last halved.
    halved: Option<Instant>,
    /// When AWS last refused, or the pace last recovered.
    unquiet: Instant,
    longest_wait: Duration,
}

/// What somebody who waits is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is its turn.
    Now,
    /// It is the first, and this is when its turn comes.
    At(Instant),
    /// Others are before it.
    Behind,
}

/// Leaves the line when it falls, also in the middle of the wait.
struct Waiting<'a> {
    line: &'a Line,
    place: Place,
}

impl Line {
    /// `per_second` turns a second, at least one; nobody joins who would wait longer than `longest_wait`.
    pub(crate) fn new(per_second: u32, longest_wait: Duration) -> Self {
        Self(Mutex::new(Queue::new(per_second, longest_wait, Instant::now())))
    }

    /// Joins the line at its end; refused at once when the wait would be too long.
    pub(crate) fn join(&self) -> Result<Place, QueueFull> {
        self.lock().join(Instant::now())
    }

    /// Waits until a place is the first and the next turn has come.
    pub(crate) async fn turn(&self, place: Place) {
        let called = Arc::new(Notify::new());
        self.lock().waiting.insert(place, Arc::clone(&called));
        let _waiting = Waiting { line: self, place };
        loop {
            let turn = self.lock().take(place, Instant::now());
            match turn {
                Turn::Now => return,
                // One that was there before may come back meanwhile, or the pace be slowed.
                Turn::At(next) => tokio::time::sleep_until(next).await,
                Turn::Behind => called.notified().await,
            }
        }
    }

    /// AWS said that it was too fast.
    pub(crate) fn too_fast(&self) {
        self.lock().too_fast(Instant::now());
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn new(per_second: u32, longest_wait: Duration, now: Instant) -> Self {
        let full = f64::from(per_second.max(1));
        Self {
            waiting: BTreeMap::new(),
            arrivals: 0,
            next: now,
            full,
            pace: full,
            halved: None,
            unquiet: now,
            longest_wait,
        }
    }

    fn join(&mut self, now: Instant) -> Result<Place, QueueFull> {
        let ahead = self.waiting.len() as f64 / self.pace;
        let wait = self.next.saturating_duration_since(now) + Duration::from_secs_f64(ahead);
        if wait > self.longest_wait {
            return Err(QueueFull { retry_after: wait });
        }
        self.arrivals += 1;
        Ok(Place(self.arrivals))
    }

    fn take(&mut self, place: Place, now: Instant) -> Turn {
        if self.waiting.first_key_value().is_none_or(|(first, _)| *first != place) {
            return Turn::Behind;
        }
        if self.next > now {
            return Turn::At(self.next);
        }
        self.recover(now);
        // No turns are saved up: what AWS counts in any second stays below the pace.
        self.next = now + Duration::from_secs_f64(1.0 / self.pace);
        Turn::Now
    }

    fn too_fast(&mut self, now: Instant) {
        if self.halved.is_none_or(|halved| now >= halved + TOGETHER) {
            self.pace = (self.pace / 2.0).max(SLOWEST).min(self.full);
            self.halved = Some(now);
        }
        self.unquiet = now;
        self.next = self.next.max(now + Duration::from_secs_f64(1.0 / self.pace));
    }

    fn recover(&mut self, now: Instant) {
        let quiet = now.saturating_duration_since(self.unquiet).as_secs();
        if self.pace < self.full && quiet > 0 {
            self.pace = (self.pace + self.full / 10.0 * quiet as f64).min(self.full);
            self.unquiet = now;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut queue = self.line.lock();
        queue.waiting.remove(&self.place);
        if let Some((_, first)) = queue.waiting.first_key_value() {
            first.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
