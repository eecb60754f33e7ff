//! Signs what many ask for before it is needed, so that nobody waits for the record at the half of an answer's life.
//!
//! Each process does it for its own memory, under no lease: what it signs it would sign with the next question.

use ca_core::ocsp::{CertId, OcspRequest};
use ca_core::time::Lifetime;

use super::{Question, remembered};
use crate::answer_cache::HotAnswer;
use crate::engine::{Engine, NoncePolicy};
use crate::error::FlowError;
use crate::following::Knowledge;
use crate::status_answer::StatusAnswer;

/// How often it is to be done: what was asked for in none of eight such counts is not signed ahead.
pub const INTERVAL: Lifetime = Lifetime::from_seconds(10);

/// How many answers one run signs at the most, the hottest first.
const MOST: usize = 1_000;

/// Signs anew the hottest of the answers that would be signed at the next question, or soon; returns how many.
pub async fn sign_ahead(engine: &Engine) -> Result<u64, FlowError> {
    let now = engine.now();
    let due = |answer: &StatusAnswer| {
        answer.freshness.is_some_and(|freshness| {
            freshness.is_in_force(now) && !freshness.is_young(now.plus(Lifetime::from_seconds(2 * INTERVAL.seconds())))
        })
    };
    let hot = engine.answer_cache().count_hot(due);
    // While the record cannot be followed nothing is signed; and nothing that nobody would be given.
    let in_vain = engine.following().knowledge(now) == Knowledge::Unreachable
        || engine.settings().nonce == NoncePolicy::Require
        || engine.check_anchor().is_err();
    if in_vain {
        return Ok(0);
    }
    let mut signed = 0;
    for answer in hot.into_iter().take(MOST) {
        signed += u64::from(renew(engine, &answer).await?);
    }
    Ok(signed)
}

async fn renew(engine: &Engine, hot: &HotAnswer) -> Result<bool, FlowError> {
    let cert_id = CertId::from_der(&hot.cert_id).map_err(FlowError::internal)?;
    let request = OcspRequest { certificates: vec![cert_id], nonce: None };
    let hierarchy = engine.hierarchy();
    let Some(authority) = hierarchy.authority(&hot.authority) else { return Ok(false) };
    let question = Question { authority, hierarchy: &hierarchy, request: &request };
    remembered::renew(engine, &question, &hot.serial).await
}
