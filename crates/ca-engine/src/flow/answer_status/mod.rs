//! Answers OCSP requests (RFC 6960, RFC 9919): read, find whose they are, and then from memory (`remembered`), else from the
//! record, signed by the delegated responder (`signed`), unless another replica has signed the same (`shared`).

mod ahead;
mod remembered;
mod shared;
mod signed;

use std::sync::Arc;

use ca_core::ocsp::{OcspRequest, ResponderError, error_response, request};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};

use crate::engine::{Engine, NoncePolicy};
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::{Authority, Hierarchy};
use crate::port::store::AuthorityState;

pub use ahead::{INTERVAL as AHEAD_INTERVAL, sign_ahead};

pub use crate::status_answer::{AnswerKind, AnswerOrigin, Freshness, StatusAnswer};

/// A request that one of our authorities is to answer.
struct Question<'a> {
    authority: &'a Authority,
    hierarchy: &'a Hierarchy,
    request: &'a OcspRequest,
}

impl Question<'_> {
    /// The serial number, when others may be given the same answer: asked for alone, and bound to no nonce.
    fn shared_serial(&self) -> Option<Serial> {
        match &self.request.certificates[..] {
            [only] if self.request.nonce.is_none() => only.serial(),
            _ => None,
        }
    }
}

/// A request of which memory has no answer.
pub struct Unanswered {
    request: OcspRequest,
    hierarchy: Arc<Hierarchy>,
    /// Which of the hierarchy's authorities answers.
    authority: usize,
}

impl Unanswered {
    fn question(&self) -> Question<'_> {
        let authority = &self.hierarchy.authorities()[self.authority];
        Question { authority, hierarchy: &self.hierarchy, request: &self.request }
    }
}

/// Answers one request. Never fails: what goes wrong becomes an OCSP error, and `on_fault` is told for the log.
pub async fn answer_status(engine: &Engine, request_der: &[u8], mut on_fault: impl FnMut(&FlowError)) -> StatusAnswer {
    match answer_at_once(engine, request_der, &mut on_fault) {
        Ok(answer) => answer,
        Err(unanswered) => answer_by_record(engine, &unanswered, on_fault).await,
    }
}

/// The first half of [`answer_status`]: what can be answered without waiting for anybody.
pub fn answer_at_once(
    engine: &Engine,
    request_der: &[u8],
    on_fault: impl FnOnce(&FlowError),
) -> Result<StatusAnswer, Unanswered> {
    // 1. Read the request.
    let Ok(mut request) = request::parse(request_der) else {
        return Ok(refusal(ResponderError::MalformedRequest, AnswerKind::Malformed));
    };
    match engine.settings().nonce {
        NoncePolicy::Allow => {}
        // RFC 9919 §4: a responder that signs ahead answers without one.
        NoncePolicy::Ignore => request.nonce = None,
        // RFC 6960 has no word for it; this client is not authorized to ask so.
        NoncePolicy::Require if request.nonce.is_none() => {
            return Ok(refusal(ResponderError::Unauthorized, AnswerKind::Unauthorized));
        }
        NoncePolicy::Require => {}
    }
    // 2. Whose is it? The first CertID of ours decides who signs; nothing of ours is `unauthorized`.
    let hierarchy = engine.hierarchy();
    let authority = request
        .certificates
        .iter()
        .find_map(|cert_id| hierarchy.authorities().iter().position(|authority| authority.identity().matches(cert_id)));
    let Some(authority) = authority else {
        return Ok(refusal(ResponderError::Unauthorized, AnswerKind::Unauthorized));
    };
    // Of an authority that others hold, this service answers when it was given a responder for it. A retired one makes no responder any
    // more: once the last has ended, nobody speaks for it (RFC 6960 §2.3), and no later try helps.
    let asked = &hierarchy.authorities()[authority];
    let is_silent = asked.is_external() || asked.record().state == AuthorityState::Retired;
    if is_silent && hierarchy.responder(asked.id(), engine.now()).is_none() {
        return Ok(refusal(ResponderError::Unauthorized, AnswerKind::Unauthorized));
    }
    // 3. A record that may be old calls nothing good, and neither does what was read from it before.
    if let Err(error) = engine.check_anchor() {
        on_fault(&error);
        return Ok(try_later());
    }
    // 4. What is in memory, if it will do.
    let unanswered = Unanswered { request, hierarchy, authority };
    let question = unanswered.question();
    let remembered = question.shared_serial().and_then(|serial| remembered::recall_fresh(engine, &question, &serial));
    remembered.ok_or(unanswered)
}

/// The second half of [`answer_status`]: asks the record and signs.
pub async fn answer_by_record(
    engine: &Engine,
    unanswered: &Unanswered,
    on_fault: impl FnOnce(&FlowError),
) -> StatusAnswer {
    let question = unanswered.question();
    let answered = match question.shared_serial() {
        Some(serial) => remembered::answer(engine, &question, &serial).await,
        None => signed::answer(engine, &question).await,
    };
    answered.unwrap_or_else(|error| {
        on_fault(&error);
        match error.kind {
            FlowErrorKind::InternalError => failed(),
            _ => try_later(),
        }
    })
}

/// `tryLater`: the same request may succeed another time.
pub fn try_later() -> StatusAnswer {
    refusal(ResponderError::TryLater, AnswerKind::TryLater)
}

/// `internalError`: something is wrong here.
pub fn failed() -> StatusAnswer {
    refusal(ResponderError::InternalError, AnswerKind::Failed)
}

fn refusal(error: ResponderError, kind: AnswerKind) -> StatusAnswer {
    StatusAnswer { der: error_response(error).into(), kind, freshness: None, origin: AnswerOrigin::Refusal }
}

/// How long clients may keep an answer: `max_age`, but never past `nextUpdate` (RFC 9919 §5).
pub fn cache_lifetime(freshness: &Freshness, now: Timestamp, max_age: Lifetime) -> Lifetime {
    max_age.min(freshness.next_update.since(now))
}
