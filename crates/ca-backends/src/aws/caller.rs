//! Calls of one service of AWS in one account and region: at a pace, past a breaker, tried again when AWS says that it may help, and
//! counted. The SDK's own retries are off where this is used: they wait for seconds, and try again what stays refused.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::breaker::{Breaker, Open};
use super::failure::{Failure, Refusal};
use super::line::{Line, Place};
use super::pace::{Pace, QueueFull};
use super::tally::{CallOutcome, Tally};

/// How often something is attempted, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How often in all.
    pub(crate) attempts: u32,
    /// The longest pause before the second attempt; it doubles for each after it.
    pub(crate) first_pause: Duration,
    /// The longest pause before any.
    pub(crate) longest_pause: Duration,
    /// No attempt begins later than this after the first.
    pub(crate) within: Duration,
    /// How long an endpoint that fails again and again is left alone at first.
    pub(crate) first_rest: Duration,
}

/// Calls that AWS counts together share it: of one service, account and region, and of KMS of one family of keys.
pub(crate) struct Caller {
    turns: Turns,
    /// Of the endpoint, which calls that are counted apart have in common.
    breaker: Arc<Breaker>,
    patience: Patience,
    tally: Arc<Tally>,
    /// Spreads the pauses of those that failed together.
    spread: RandomState,
    pauses: AtomicU64,
}

/// Who goes out when.
enum Turns {
    /// Each at the next turn that is free; who is refused by AWS comes back behind the others, after a pause.
    Steady(Pace),
    /// In the order of arrival, whatever AWS refuses in between.
    InLine(Line),
}

/// An operation, and what an answer to it costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The operation, as in `Sign`.
    pub(crate) operation: &'static str,
    /// In millionths of a US dollar.
    pub(crate) micro_dollars: u64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// There are too many calls: here, or as AWS counts them.
    Busy {
        /// What happened.
        detail: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// It fails inside, is silent, or cannot be reached.
    Unavailable {
        /// What happened.
        detail: String,
    },
    /// It is refused.
    Refused(Refusal),
}

impl Caller {
    /// `per_second` calls go out at most; none waits longer than `longest_wait` for its turn.
    pub(crate) fn new(per_second: u32, longest_wait: Duration, patience: Patience, tally: Arc<Tally>) -> Self {
        Self::with(Turns::Steady(Pace::new(per_second, longest_wait)), patience, tally)
    }

    /// The same in a [`Line`]: for calls of which AWS takes few, so that many wait.
    #[cfg_attr(not(feature = "backend-acm-pca"), expect(dead_code, reason = "only AWS Private CA is asked so seldom"))]
    pub(crate) fn in_line(per_second: u32, longest_wait: Duration, patience: Patience, tally: Arc<Tally>) -> Self {
        Self::with(Turns::InLine(Line::new(per_second, longest_wait)), patience, tally)
    }

    fn with(turns: Turns, patience: Patience, tally: Arc<Tally>) -> Self {
        Self {
            turns,
            breaker: Arc::new(Breaker::new(patience.first_rest)),
            patience,
            tally,
            spread: RandomState::new(),
            pauses: AtomicU64::new(0),
        }
    }

    /// The same way to the same endpoint, at a pace of its own: for calls that AWS counts apart.
    #[cfg_attr(not(feature = "backend-kms"), expect(dead_code, reason = "only KMS counts calls to one endpoint apart"))]
    pub(crate) fn counted_apart(&self, per_second: u32, longest_wait: Duration) -> Self {
        Self {
            turns: Turns::Steady(Pace::new(per_second, longest_wait)),
            breaker: Arc::clone(&self.breaker),
            patience: self.patience,
            tally: Arc::clone(&self.tally),
            spread: RandomState::new(),
            pauses: AtomicU64::new(0),
        }
    }

    /// Makes a call, several times if AWS says that it may help. `attempt` makes one attempt, which ends by itself.
    pub(crate) async fn call<T, F>(&self, call: Call, attempt: impl Fn() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let operation = call.operation;
        let begun = Instant::now();
        let mut made = 0;
        let mut place = None;
        loop {
            self.enter(operation, &mut place).await?;
            made += 1;
            let failure = match attempt().await {
                Ok(answer) => {
                    self.breaker.answered();
                    self.tally.count(operation, CallOutcome::Answered, call.micro_dollars);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            let last = match failure {
                Failure::Refused(refusal) => {
                    self.breaker.answered();
                    self.tally.count(operation, CallOutcome::Refused, 0);
                    return Err(CallError::Refused(refusal));
                }
                Failure::NotSent(detail) => {
                    self.tally.count(operation, CallOutcome::Failed, 0);
                    return Err(CallError::Unavailable { detail: format!("{operation} could not be sent: {detail}") });
                }
                Failure::Throttled(refusal) => {
                    self.breaker.answered();
                    self.tally.count(operation, CallOutcome::Throttled, 0);
                    if let Turns::InLine(line) = &self.turns {
                        line.too_fast();
                        if made < self.patience.attempts && begun.elapsed() < self.patience.within {
                            // First in the line again, which has slowed down: no pause besides.
                            continue;
                        }
                    }
                    CallError::Busy {
                        detail: format!("{operation} is refused with {refusal}, {made} times in a row"),
                        retry_after: Duration::from_secs(1),
                    }
                }
                Failure::Passing(detail) => {
                    self.tally.count(operation, CallOutcome::Failed, 0);
                    if self.breaker.failed(Instant::now()) {
                        warn!(operation, %detail, "AWS fails again and again; it is left alone for a while");
                    }
                    CallError::Unavailable { detail: format!("{operation} failed {made} times in a row: {detail}") }
                }
            };
            let pause = self.pause(made);
            if made >= self.patience.attempts || begun.elapsed() + pause > self.patience.within {
                return Err(last);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn enter(&self, operation: &'static str, place: &mut Option<Place>) -> Result<(), CallError> {
        if let Err(Open { retry_after }) = self.breaker.admit(Instant::now()) {
            self.tally.count(operation, CallOutcome::Resting, 0);
            let detail = format!(
                "{operation} was not tried: the calls before it failed, and the next one goes out in {} ms",
                retry_after.as_millis()
            );
            return Err(CallError::Unavailable { detail });
        }
        let full = |QueueFull { retry_after }| {
            self.tally.count(operation, CallOutcome::QueueFull, 0);
            let detail = format!("too many calls wait for their turn; {operation} was not tried");
            CallError::Busy { detail, retry_after }
        };
        match &self.turns {
            Turns::Steady(pace) => pace.turn().await.map_err(full),
            Turns::InLine(line) => {
                let place = match *place {
                    Some(kept) => kept,
                    None => *place.insert(line.join().map_err(full)?),
                };
                line.turn(place).await;
                Ok(())
            }
        }
    }

    /// Any time up to a limit that doubles: what failed together does not come back together.
    fn pause(&self, made: u32) -> Duration {
        let doubled = self.patience.first_pause.saturating_mul(1 << made.saturating_sub(1).min(16));
        let limit = doubled.min(self.patience.longest_pause);
        let chance = self.spread.hash_one(self.pauses.fetch_add(1, Ordering::Relaxed)) % 1_000;
        limit.mul_f64((chance + 1) as f64 / 1_000.0)
    }
}

#[cfg(test)]
mod tests;
