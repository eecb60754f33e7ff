//! The place where the processes of a seed share signed answers: it loses entries, brings old ones back, and somebody else puts
//! there what was never signed, as anybody may who can write there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ca_core::ocsp::{CertStatus, ParsedResponse};
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::flow::answer_status::{AnswerKind, AnswerOrigin, Freshness, StatusAnswer};
use ca_engine::port::shared_answers::{Condition, Lookup, SharedAnswers};

use crate::executor::nap;
use crate::lock;
use crate::planted_bug::PlantedBug;
use crate::random::Random;

/// A place that all processes share; it keeps for ever whatever it was given.
#[derive(Clone)]
pub(crate) struct SharedPlace {
    entries: Arc<Mutex<BTreeMap<String, Vec<Vec<u8>>>>>,
    random: Arc<Mutex<Random>>,
}

/// In one of so many seeds answers are shared.
const SHARED_ONE_IN: usize = 2;

impl SharedPlace {
    /// The place of a seed, if there is one; always where such a bug is planted.
    pub(crate) fn of(seed: u64, bug: Option<PlantedBug>) -> Option<Self> {
        let mut random = Random::new(seed ^ 0x5a_2ed);
        let is_there = random.one_in(SHARED_ONE_IN) || is_planted(bug);
        is_there.then(|| Self { entries: Arc::default(), random: Arc::new(Mutex::new(random)) })
    }

    async fn find(&self, key: &str) -> Lookup {
        nap().await;
        let mut random = lock(&self.random);
        let entries = lock(&self.entries);
        match random.below(20) {
            0 => return Lookup::Unavailable,
            1 => return Lookup::Absent,
            _ => {}
        }
        // One that belongs elsewhere, now and then.
        let there = match random.one_in(20) {
            true => entries.values().nth(random.below(entries.len().max(1))),
            false => entries.get(key),
        };
        let Some(newest) = there.and_then(|there| there.last()) else { return Lookup::Absent };
        let mut der = match random.one_in(3) {
            // One that was there before.
            true => there.map_or(newest, |there| &there[random.below(there.len())]).clone(),
            false => newest.clone(),
        };
        if random.one_in(10) {
            let place = random.below(der.len());
            der[place] ^= 1 << random.below(8);
        }
        Lookup::Found(der)
    }

    /// What somebody gives who does not look closely: what lies there about a serial and is in force by itself. Who verifies gives
    /// what was put there by a process, who does not, what was bent.
    pub(crate) async fn careless(&self, engine: &Engine, serial: &Serial, verifies: bool) -> Option<StatusAnswer> {
        let ending = format!(":{serial}");
        let key = lock(&self.entries).keys().find(|key| key.ends_with(&ending)).cloned()?;
        let Lookup::Found(der) = self.find(&key).await else { return None };
        let Ok(ParsedResponse::Answered(response)) = ParsedResponse::from_der(&der) else { return None };
        let [single] = response.responses() else { return None };
        let (now, this_update, next_update) = (engine.now(), single.this_update, single.next_update?);
        let is_sound = lock(&self.entries).values().any(|there| there.contains(&der));
        let such = single.cert_id.serial().as_ref() == Some(serial) && single.status == CertStatus::Good;
        let in_force = this_update <= now && now < next_update;
        let follows = engine.following().lag(now).is_some_and(|lag| lag <= Lifetime::from_seconds(3));
        (such && in_force && follows && is_sound == verifies).then(|| StatusAnswer {
            der: der.into(),
            kind: AnswerKind::Good,
            freshness: Some(Freshness { this_update, next_update }),
            origin: AnswerOrigin::Shared,
        })
    }
}

/// Whether it is a bug of who takes answers from there.
pub(crate) fn is_planted(bug: Option<PlantedBug>) -> bool {
    matches!(bug, Some(PlantedBug::SharedAnswerOfChangedSerial | PlantedBug::SharedAnswerNotVerified))
}

#[async_trait]
impl SharedAnswers for SharedPlace {
    async fn get(&self, key: &str) -> Lookup {
        self.find(key).await
    }

    fn put(&self, key: String, der: Arc<[u8]>, _: Lifetime) {
        if !lock(&self.random).one_in(20) {
            lock(&self.entries).entry(key).or_default().push(der.to_vec());
        }
    }

    fn condition(&self) -> Condition {
        Condition { answers: true, ..Condition::default() }
    }
}
