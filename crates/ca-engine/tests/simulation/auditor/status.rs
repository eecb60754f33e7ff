//! Answers about the status of a certificate.

use ca_core::id::AuthorityId;
use ca_core::revocation::Standing;
use ca_core::serial::Serial;
use ca_engine::flow::answer_status::AnswerKind;

use super::Auditor;
use super::issuance::Phase;

impl Auditor {
    /// OCSP answered a question that was asked at the step `since`: the answer was true at some moment in between.
    pub(crate) fn answered(&mut self, authority: &AuthorityId, serial: &Serial, kind: AnswerKind, since: u64) {
        let id = self.numbers.get(&(authority.clone(), serial.clone()));
        let history = id.and_then(|id| self.histories.get(id));
        let such = |phase| match kind {
            AnswerKind::Good => phase == Phase::Standing(Standing::Active),
            AnswerKind::Revoked => {
                matches!(phase, Phase::Abandoned(_) | Phase::Standing(Standing::Revoked(_)))
            }
            AnswerKind::Unknown => phase == Phase::Reserved,
            _ => true,
        };
        let begun = history.is_none_or(|history| history.phases[0].0 > since);
        let unknown_before = kind == AnswerKind::Unknown && begun;
        let told = matches!(kind, AnswerKind::Good | AnswerKind::Revoked | AnswerKind::Unknown);
        if told && !unknown_before && !history.is_some_and(|history| history.was_since(since, such)) {
            let phases = history.map(|history| format!("{:?}", history.phases)).unwrap_or_default();
            self.violated(format!("OCSP says {kind:?} of {serial}, asked at {since}; it stood so: {phases}"));
        }
    }
}
