//! Answers about the status of a certificate: true at some moment between question and answer, and well made.

use ca_core::id::{AuthorityId, CertificateId};
use ca_core::ocsp::{CertStatus, ParsedResponse, SingleResponse};
use ca_core::revocation::Standing;
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use ca_engine::flow::answer_status::{AnswerKind, AnswerOrigin, StatusAnswer};
use ca_engine::port::clock::Clock;

use super::issuance::Phase;
use super::{AHEAD, Auditor};

/// How long an answer may be relied on at the most: the settings of this service.
const OCSP_VALIDITY: Lifetime = Lifetime::from_seconds(3_600);

/// How far an answer from memory may be behind the record.
const MEMORY: Lifetime = Lifetime::from_seconds(5);

/// One answer of so many is read and verified as a relying party does.
const READ_ONE_IN: u64 = 3;

impl Auditor {
    /// OCSP answered a question that was asked at the step `since`.
    pub(crate) fn answered(&mut self, authority: &AuthorityId, serial: &Serial, answer: &StatusAnswer, since: u64) {
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
        let since = self.earliest(answer, since);
        let id = self.numbers.get(&(authority.clone(), serial.clone()));
        let history = id.and_then(|id| self.histories.get(id));
        let begun_since = history.is_none_or(|history| history.phases[0].0 > since);
        let unknown_before = kind == AnswerKind::Unknown && begun_since;
        if !unknown_before && !history.is_some_and(|history| history.was_since(since, such)) {
            let phases = history.map(|history| format!("{:?}", history.phases)).unwrap_or_default();
            self.violated(format!("OCSP says {kind:?} of {serial}, asked at {since}; it stood so: {phases}"));
        }
        if self.step.is_multiple_of(READ_ONE_IN)
            && let Err(what) = self.read_answer(authority, answer)
        {
            self.violated(format!("the OCSP answer about {serial}: {what}"));
        }
    }

    /// Since when what an answer says must have been so at some time, when it was asked for at the step `since`: an answer from
    /// memory may be some seconds behind the record (invariant 4), as long as the clock that counts them was not set; while the
    /// record cannot be followed it may be as old as it says.
    fn earliest(&self, answer: &StatusAnswer, since: u64) -> u64 {
        match (answer.origin, answer.freshness) {
            (AnswerOrigin::Memory, _) => {
                let bound = self.step_before(since, MEMORY);
                if self.clock_set >= bound { self.step_before(since, OCSP_VALIDITY) } else { bound }
            }
            (AnswerOrigin::Outage, Some(_)) => self.step_before(since, OCSP_VALIDITY),
            _ => since,
        }
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

    /// A certificate was accepted as a credential by a process that was asked at the step `since`.
    pub(crate) fn admitted(&mut self, id: CertificateId, since: u64) {
        if !self.histories.get(&id).is_some_and(|history| history.was_since(since, Phase::is_good)) {
            self.violated(format!(
                "certificate {id} was accepted as a credential, asked at {since}, and is not active"
            ));
        }
    }
}
