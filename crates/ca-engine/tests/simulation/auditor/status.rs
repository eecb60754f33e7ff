//! Answers about the status of a certificate: true at some moment between question and answer, and well made.
//!
//! What a process says from memory may be older, within bounds (invariant 4). Whatever the clocks say: nothing older than its last
//! look at the sequence of revocations, nor than a change that it acknowledged itself. And by the true time: [`MEMORY`] while it
//! follows the record, and the life of an answer while it cannot, as long as the clock that counts them was not set.

use ca_core::id::AuthorityId;
use ca_core::ocsp::{CertStatus, ParsedResponse, SingleResponse};
use ca_core::revocation::Standing;
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::flow::answer_status::{AnswerKind, AnswerOrigin, StatusAnswer};
use ca_engine::port::clock::Clock;

use super::issuance::Phase;
use super::{AHEAD, Auditor, Process};

/// How long an answer may be relied on at the most: the settings of this service.
const OCSP_VALIDITY: Lifetime = Lifetime::from_seconds(3_600);

/// How far an answer from memory may be behind the record: a look at the sequence counts for three seconds, and a clock that counts
/// whole seconds is up to one late.
const MEMORY: Lifetime = Lifetime::from_seconds(4);

/// One answer of so many is read and verified as a relying party does.
const READ_ONE_IN: u64 = 3;

/// A question about a serial on its way.
pub(crate) struct Question {
    process: Process,
    number: (AuthorityId, Serial),
    /// The step at which it was asked.
    since: u64,
    /// The step before which nothing may have been so that the process says: see [`Auditor::known_since`].
    known: u64,
}

impl Auditor {
    /// A process is asked about a serial.
    pub(crate) fn asked(&self, process: Process, authority: &AuthorityId, serial: &Serial) -> Question {
        let number = (authority.clone(), serial.clone());
        let known = self.known_since(process, self.numbers.get(&number).copied());
        Question { process, number, since: self.step, known }
    }

    /// OCSP answered a question; the clock of the process says `now`.
    pub(crate) fn answered(&mut self, question: &Question, answer: &StatusAnswer, now: Timestamp) {
        let Question { process, number, since, .. } = question;
        let (authority, serial) = number;
        let kind = answer.kind;
        let such = |phase| match kind {
            AnswerKind::Good => phase == Phase::Standing(Standing::Active),
            AnswerKind::Revoked => {
                matches!(phase, Phase::Abandoned(_) | Phase::Standing(Standing::Revoked(_)))
            }
            _ => phase == Phase::Reserved,
        };
        if !matches!(kind, AnswerKind::Good | AnswerKind::Revoked | AnswerKind::Unknown) {
            return;
        }
        match self.is_excused(*process, *since) {
            Ok(true) => return,
            Ok(false) => {}
            Err(what) => return self.violated(what),
        }
        if let Some(what) = outlived(answer, now) {
            self.violated(format!("the OCSP answer about {serial}: {what}"));
        }
        let from_memory = matches!(answer.origin, AnswerOrigin::Memory | AnswerOrigin::Outage);
        self.tally.remembered += u64::from(from_memory);
        self.tally.shared += u64::from(answer.origin == AnswerOrigin::Shared);
        let id = self.numbers.get(number);
        let since = self.earliest(question, answer);
        let history = id.and_then(|id| self.histories.get(id));
        let begun_since = history.is_none_or(|history| history.phases[0].0 > since);
        let unknown_before = kind == AnswerKind::Unknown && begun_since;
        if !unknown_before && !history.is_some_and(|history| history.was_since(since, such)) {
            let phases = history.map(|history| format!("{:?}", history.phases)).unwrap_or_default();
            let origin = answer.origin;
            self.violated(format!(
                "OCSP says {kind:?} of {serial} ({origin:?}), which must have been so since {since}; it stood so: {phases}"
            ));
        }
        if self.step.is_multiple_of(READ_ONE_IN)
            && let Err(what) = self.read_answer(authority, answer)
        {
            self.violated(format!("the OCSP answer about {serial}: {what}"));
        }
    }

    /// Since when what an answer says must have been so at some time.
    fn earliest(&self, question: &Question, answer: &StatusAnswer) -> u64 {
        let Question { process, since, known, .. } = *question;
        let by_time = match (answer.origin, answer.freshness) {
            // What another process has signed is held to the same.
            (AnswerOrigin::Memory | AnswerOrigin::Shared, _) => {
                let bound = self.step_before(since, MEMORY);
                // A clock that was set back since the last look shows it as recent for longer.
                if self.followed_by_its_clock(process) { bound } else { 0 }
            }
            (AnswerOrigin::Outage, Some(_)) => {
                let bound = self.step_before(since, OCSP_VALIDITY);
                if self.counts_time_since(process, bound) { bound } else { 0 }
            }
            _ => since,
        };
        by_time.max(known)
    }

    fn read_answer(&self, authority: &AuthorityId, answer: &StatusAnswer) -> Result<(), String> {
        let parsed = ParsedResponse::from_der(&answer.der).map_err(|error| error.to_string())?;
        let ParsedResponse::Answered(response) = parsed else { return Err("it gives no status".to_owned()) };
        let issuer = self.issuers.get(authority).ok_or("it is of no authority")?;
        let produced = response.produced_at();
        response.verify(issuer.subject(), issuer.public_key(), produced).map_err(|error| error.to_string())?;
        let [SingleResponse { status, this_update, next_update: Some(next_update), .. }] = response.responses() else {
            return Err("it is not about one certificate, for some time".to_owned());
        };
        let told = match status {
            CertStatus::Good => AnswerKind::Good,
            CertStatus::Revoked { .. } => AnswerKind::Revoked,
            CertStatus::Unknown => AnswerKind::Unknown,
        };
        if told != answer.kind || next_update.since(*this_update) > OCSP_VALIDITY {
            return Err(format!("it says {status:?} until {next_update}"));
        }
        if self.is_ahead(*this_update, AHEAD) {
            return Err(format!("it is dated {this_update}; the time is {}", self.truth.now()));
        }
        Ok(())
    }

    /// A certificate was accepted as a credential by a process that was asked.
    pub(crate) fn admitted(&mut self, question: &Question) {
        let Question { process, number, since, .. } = question;
        match self.is_excused(*process, *since) {
            Ok(true) => return,
            Ok(false) => {}
            Err(what) => return self.violated(what),
        }
        let history = self.numbers.get(number).and_then(|id| self.histories.get(id));
        if !history.is_some_and(|history| history.was_since(*since, Phase::is_good)) {
            let serial = &number.1;
            self.violated(format!(
                "certificate {serial} was accepted as a credential, asked at {since}, and is not active"
            ));
        }
    }
}

/// What is wrong with an answer from memory that its own clock says is not in force.
fn outlived(answer: &StatusAnswer, now: Timestamp) -> Option<String> {
    let signed_before = matches!(answer.origin, AnswerOrigin::Memory | AnswerOrigin::Outage | AnswerOrigin::Shared);
    let freshness = answer.freshness.filter(|_| signed_before)?;
    let in_force = freshness.this_update <= now && now < freshness.next_update;
    (!in_force).then(|| {
        format!("it is given at {now} and is in force from {} to {}", freshness.this_update, freshness.next_update)
    })
}
