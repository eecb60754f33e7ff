//! Gives answers from memory: signed once for all who ask for the same in the first half of its life, and dropped when the
//! sequence of revocations tells of its serial.
//!
//! While the record cannot be followed, what is in memory is given until its `nextUpdate`, and nothing new is signed.

use ca_core::serial::Serial;

use super::{Question, shared, signed};
use crate::answer_cache::flight::{Landing, Seat};
use crate::engine::Engine;
use crate::error::FlowError;
use crate::flow::follow_revocations::assure_following;
use crate::following::Knowledge;
use crate::status_answer::{AnswerOrigin, StatusAnswer};

/// How often one who waits for another's signature begins anew because that one was cut off.
const MAXIMUM_FLIGHTS: usize = 3;

/// What is in memory about this serial alone, if it will do.
pub(super) fn recall_fresh(engine: &Engine, question: &Question<'_>, serial: &Serial) -> Option<StatusAnswer> {
    recall(engine, question, serial, Need::Fresh)
}

/// Answers a question about this serial alone, without a nonce, that memory has no good answer to: signed by one for all who
/// wait; else what is in memory, as long as it is in force.
pub(super) async fn answer(
    engine: &Engine,
    question: &Question<'_>,
    serial: &Serial,
) -> Result<StatusAnswer, FlowError> {
    match together(engine, question, serial).await {
        Err(error) => recall(engine, question, serial, Need::InForce).ok_or(error),
        answered => answered,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// One that would be given to anybody; while the record cannot be followed, one in force.
    Fresh,
    /// Better than nothing.
    InForce,
}

fn recall(engine: &Engine, question: &Question<'_>, serial: &Serial, need: Need) -> Option<StatusAnswer> {
    let cert_id = question.request.certificates.first()?;
    let answer = engine.answer_cache().get(question.authority.id(), serial, cert_id.as_der())?;
    let now = engine.now();
    let freshness = answer.freshness?;
    let knowledge = engine.following().knowledge(now);
    if knowledge == Knowledge::Current && freshness.is_young(now) {
        return Some(StatusAnswer { origin: AnswerOrigin::Memory, ..answer });
    }
    let will_do = need == Need::InForce || knowledge == Knowledge::Unreachable;
    (will_do && freshness.is_in_force(now)).then_some(StatusAnswer { origin: AnswerOrigin::Outage, ..answer })
}

async fn together(engine: &Engine, question: &Question<'_>, serial: &Serial) -> Result<StatusAnswer, FlowError> {
    let cert_id = question.request.certificates[0].as_der();
    for _ in 0..MAXIMUM_FLIGHTS {
        match engine.flights().join(cert_id) {
            Seat::Pilot(pilot) => {
                // Somebody may have landed between the look and the joining.
                if let Some(answer) = recall(engine, question, serial, Need::Fresh) {
                    pilot.land(Landing::Answered);
                    return Ok(answer);
                }
                let outcome = sign_and_keep(engine, question, serial).await;
                pilot.land(match &outcome {
                    Ok(_) => Landing::Answered,
                    Err(error) => Landing::Failed(error.clone()),
                });
                return outcome;
            }
            Seat::Passenger(landed) => match landed.await {
                Ok(Landing::Failed(error)) => return Err(error),
                Ok(Landing::Answered) => match recall(engine, question, serial, Need::Fresh) {
                    Some(answer) => return Ok(answer),
                    // It may not be kept, or something has changed since: what another was told is not told again.
                    None => break,
                },
                // Whoever signed went away.
                Err(_) => {}
            },
        }
    }
    signed::answer(engine, question).await
}

/// Signs anew what is in memory, as for one who asks when it is not fresh any more; returns whether it did. Whoever asks
/// meanwhile is given what is there.
pub(super) async fn renew(engine: &Engine, question: &Question<'_>, serial: &Serial) -> Result<bool, FlowError> {
    match engine.flights().join(question.request.certificates[0].as_der()) {
        // Somebody is at it.
        Seat::Passenger(_) => Ok(false),
        Seat::Pilot(pilot) => {
            let outcome = sign(engine, question, serial).await;
            pilot.land(match &outcome {
                Ok(_) => Landing::Answered,
                Err(error) => Landing::Failed(error.clone()),
            });
            outcome.map(|_| true)
        }
    }
}

async fn sign_and_keep(engine: &Engine, question: &Question<'_>, serial: &Serial) -> Result<StatusAnswer, FlowError> {
    let cache = engine.answer_cache();
    let authority = question.authority.id();
    // Before the record is asked, and after the sequence was looked at: what is dropped from here on keeps the answer out.
    assure_following(engine).await?;
    let ticket = cache.ticket(authority, serial);
    if let Some(answer) = shared::take(engine, question, serial).await {
        let cert_id = question.request.certificates[0].as_der();
        cache.insert(ticket, authority, serial, cert_id, &answer);
        return Ok(answer);
    }
    sign(engine, question, serial).await
}

/// Asks the record, and keeps what was signed.
async fn sign(engine: &Engine, question: &Question<'_>, serial: &Serial) -> Result<StatusAnswer, FlowError> {
    let cache = engine.answer_cache();
    let authority = question.authority.id();
    // As above: drawn before the record is asked.
    assure_following(engine).await?;
    let ticket = cache.ticket(authority, serial);
    let cert_id = question.request.certificates[0].as_der();
    let answer = signed::answer(engine, question).await?;
    if answer.kind.may_be_kept() && cache.insert(ticket, authority, serial, cert_id, &answer) {
        shared::give(engine, question, serial, &answer);
    }
    Ok(answer)
}
