//! Receivers of events, which every replica delivers to: they refuse, are away, are slow, and lose their answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ca_core::id::SinkName;
use ca_core::time::Lifetime;
use ca_engine::port::sink::{Sink, SinkError, SinkEvent};

use crate::auditor::Auditor;
use crate::executor::{nap, naps};
use crate::foundation::SINKS;
use crate::lock;
use crate::random::Random;

/// One receiver. Clones are the same.
#[derive(Clone)]
pub(crate) struct Receiver {
    name: SinkName,
    state: Arc<Mutex<State>>,
    auditor: Arc<Mutex<Auditor>>,
    /// Whether nothing goes wrong any more.
    repaired: Arc<AtomicBool>,
}

struct State {
    random: Random,
    /// How many events more it does not answer.
    away_for: u64,
}

/// What becomes of an event that is offered.
#[derive(Clone, Copy)]
enum Fate {
    Take,
    TakeAndLoseAnswer,
    Refuse,
    GoAway,
    RefuseForGood,
}

/// A receiver of every name.
pub(crate) fn receivers(seed: u64, auditor: &Arc<Mutex<Auditor>>) -> BTreeMap<SinkName, Receiver> {
    let receiver = |(number, name): (u64, &&str)| {
        let name: SinkName = name.parse().expect("a sink's name");
        let random = Random::new(seed ^ (0x51_4e_00 + number));
        let state = Arc::new(Mutex::new(State { random, away_for: 0 }));
        (name.clone(), Receiver { name, state, auditor: auditor.clone(), repaired: Arc::default() })
    };
    (0..).zip(&SINKS).map(receiver).collect()
}

impl Receiver {
    /// From now on it takes everything at once.
    pub(crate) fn repair(&self) {
        self.repaired.store(true, Ordering::SeqCst);
    }

    fn draw(&self) -> (usize, Fate) {
        if self.repaired.load(Ordering::SeqCst) {
            return (1, Fate::Take);
        }
        let mut state = lock(&self.state);
        let polls = state.random.weighted(&[(8, 1), (2, 4), (1, 12)]);
        if state.away_for > 0 {
            state.away_for -= 1;
            return (polls, Fate::GoAway);
        }
        let fate = state.random.weighted(&[
            (24, Fate::Take),
            (3, Fate::TakeAndLoseAnswer),
            (5, Fate::Refuse),
            (2, Fate::GoAway),
            (1, Fate::RefuseForGood),
        ]);
        if matches!(fate, Fate::GoAway) {
            state.away_for = state.random.within(0..10);
        }
        (polls, fate)
    }
}

#[async_trait]
impl Sink for Receiver {
    async fn deliver(&self, event: &SinkEvent) -> Result<(), SinkError> {
        let (polls, fate) = self.draw();
        naps(polls).await;
        let is_taken = matches!(fate, Fate::Take | Fate::TakeAndLoseAnswer);
        if is_taken {
            lock(&self.auditor).event_taken(&self.name, event.id);
            nap().await;
        }
        let detail = || "the receiver does not want it".to_owned();
        let error = match fate {
            Fate::Take => return Ok(()),
            Fate::Refuse => SinkError::Refused { detail: detail() },
            Fate::RefuseForGood => SinkError::Gone { detail: detail() },
            Fate::TakeAndLoseAnswer => SinkError::Unavailable { detail: detail(), retry_after: None },
            Fate::GoAway => {
                let retry_after = Some(Lifetime::from_seconds(3));
                SinkError::Unavailable { detail: detail(), retry_after }
            }
        };
        lock(&self.auditor).attempt_failed(event.id, matches!(fate, Fate::RefuseForGood));
        Err(error)
    }
}
