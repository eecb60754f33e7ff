//! A memory of OCSP answers before a process, as somebody might write it who takes less care than `answer_cache`: planted, to prove
//! that the auditor's bounds on answers from memory, and on those that are shared, would find it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ca_core::id::CertificateId;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::flow::answer_status::{AnswerKind, AnswerOrigin, StatusAnswer, answer_status};

use crate::lock;
use crate::operation::Known;
use crate::planted_bug::PlantedBug;
use crate::shared_place::{SharedPlace, is_planted};

/// The memory of one process.
#[derive(Clone)]
pub(crate) struct CarelessMemory {
    bug: PlantedBug,
    shared: Option<SharedPlace>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<CertificateId, StatusAnswer>,
    /// How often something was forgotten.
    forgotten: u64,
}

/// How old the last look at the sequence may be.
const RECENT: Lifetime = Lifetime::from_seconds(3);

impl CarelessMemory {
    /// The memory that is wrong in this way, if it is a bug of such a memory.
    pub(crate) fn of(bug: Option<PlantedBug>, shared: Option<&SharedPlace>) -> Option<Self> {
        let of_sharing = is_planted(bug);
        let bug = bug.filter(|bug| {
            let of_memory = matches!(
                bug,
                PlantedBug::AnswerOutlivesNews
                    | PlantedBug::AnswerLetInAfterNews
                    | PlantedBug::RevokerRemembers
                    | PlantedBug::AnswerOutlivesItself
                    | PlantedBug::FollowingNotLookedAt
            );
            of_memory || of_sharing
        })?;
        Some(Self { bug, shared: shared.cloned().filter(|_| of_sharing), state: Arc::default() })
    }

    /// The process has followed the sequence of revocations; simply, everything is forgotten.
    pub(crate) fn followed(&self) {
        if self.bug != PlantedBug::AnswerOutlivesNews {
            self.forget(|_| true);
        }
    }

    /// The process has acknowledged a revocation.
    pub(crate) fn revoked(&self, id: CertificateId) {
        if self.bug != PlantedBug::RevokerRemembers {
            self.forget(|known| *known == id);
        }
    }

    fn forget(&self, such: impl Fn(&CertificateId) -> bool) {
        let mut state = lock(&self.state);
        state.answers.retain(|id, _| !such(id));
        state.forgotten += 1;
    }

    /// What is in memory, or else the answer of the process behind it.
    pub(crate) async fn answer(&self, engine: &Engine, known: &Known, request: &[u8]) -> StatusAnswer {
        if let Some(place) = &self.shared {
            let verifies = self.bug != PlantedBug::SharedAnswerNotVerified;
            if let Some(answer) = place.careless(engine, &known.serial, verifies).await {
                return answer;
            }
            return answer_status(engine, request, |_| {}).await;
        }
        if let Some(answer) = self.recall(engine, known.id) {
            return answer;
        }
        let ticket = lock(&self.state).forgotten;
        let answer = answer_status(engine, request, |_| {}).await;
        let mut state = lock(&self.state);
        let let_in = ticket == state.forgotten || self.bug == PlantedBug::AnswerLetInAfterNews;
        if let_in && matches!(answer.kind, AnswerKind::Good | AnswerKind::Revoked) {
            state.answers.insert(known.id, answer.clone());
        }
        answer
    }

    fn recall(&self, engine: &Engine, id: CertificateId) -> Option<StatusAnswer> {
        let answer = lock(&self.state).answers.get(&id).cloned()?;
        let (now, freshness) = (engine.now(), answer.freshness?);
        let in_force = freshness.this_update <= now && now < freshness.next_update;
        let recent = engine.following().lag(now).is_some_and(|lag| lag <= RECENT);
        let origin = match self.bug {
            PlantedBug::AnswerOutlivesItself => AnswerOrigin::Outage,
            PlantedBug::FollowingNotLookedAt if in_force => AnswerOrigin::Memory,
            _ if in_force && recent => AnswerOrigin::Memory,
            _ => return None,
        };
        Some(StatusAnswer { origin, ..answer })
    }
}
