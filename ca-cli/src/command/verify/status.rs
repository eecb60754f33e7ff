//! Whether the certificates of a path still stand: OCSP responders and revocation lists are asked, and believed only with a
//! signature of the issuer (or of whom it delegated) and within their time.

use ca_core::certificate::Certificate;
use ca_core::crl::ParsedCrl;
use ca_core::ocsp::{CertId, CertIdHash, CertStatus, IssuerIdentity, ParsedResponse, request};
use ca_core::revocation::RevocationReason;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::port::entropy::Entropy;
use ca_runtime::entropy::SystemEntropy;

use super::parse_lists;
use crate::exit::Failure;
use crate::fetch::Fetcher;
use crate::service::Service;

/// An OCSP answer for one certificate has some 2,000 octets.
const LARGEST_ANSWER: usize = 64 << 10;
/// A list of a million entries has some 40 MB.
const LARGEST_LIST: usize = 256 << 20;
/// Clocks are never quite the same.
const SKEW: Lifetime = Lifetime::from_seconds(300);

/// Which sources must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// OCSP must.
    pub(super) ocsp: bool,
    /// A revocation list must be had.
    pub(super) crl: bool,
}

/// Who is asked.
pub(super) struct StatusSources<'a> {
    /// The configured service.
    pub(super) service: Option<&'a dyn Service>,
    /// The addresses in certificates, unless nobody is to be asked.
    pub(super) fetcher: Option<&'a Fetcher>,
    /// Lists that were given.
    pub(super) lists: Vec<ParsedCrl>,
    /// The present, in which answers must be current.
    pub(super) now: Timestamp,
    /// When the certificate must stand.
    pub(super) judged_at: Timestamp,
    /// Which sources must answer.
    pub(super) wanted: Wanted,
}

/// What one source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// `ocsp` or `crl`.
    pub(super) kind: &'static str,
    /// Where it comes from.
    pub(super) from: String,
    /// What it says.
    pub(super) says: Says,
}

/// What a source can say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// The certificate stands.
    Stands {
        /// Until when that may be relied on.
        until: Option<Timestamp>,
    },
    /// It is revoked or on hold.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why, as RFC 5280 names it.
        reason: String,
    },
    /// It was revoked, but only after the time that is judged.
    RevokedLater {
        /// Since when.
        at: Timestamp,
    },
    /// The issuer's responder does not know it.
    NotIssued,
    /// Nothing that can be believed.
    Nothing {
        /// Why not.
        why: String,
        /// Whether it may say something later.
        may_pass: bool,
    },
}

/// What became of one certificate of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// What the sources said.
    pub(super) answers: Vec<Answer>,
    /// What they amount to.
    pub(super) outcome: Outcome,
}

/// What the answers about one certificate amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It stands.
    Stands,
    /// It does not.
    Fallen,
    /// A source that must answer did not, and may later.
    Undecided,
    /// There was nobody to ask.
    NotLookedUp,
}

impl StatusSources<'_> {
    /// The status of each certificate of a path but the last, which is the root.
    pub(super) async fn of_path(&self, path: &[Certificate]) -> Vec<Status> {
        let lists = self.own_lists().await;
        let mut statuses = Vec::new();
        for (certificate, issuer) in path.iter().zip(path.iter().skip(1)) {
            let mut answers = Vec::new();
            // Without a wish for one of them, both are asked.
            if self.wanted.ocsp || !self.wanted.crl {
                answers.extend(self.ask_responders(certificate, issuer).await);
            }
            if self.wanted.crl || !self.wanted.ocsp {
                answers.extend(self.look_into_lists(certificate, issuer, &lists).await);
            }
            let outcome = amount_to(&answers, self.wanted);
            statuses.push(Status { answers, outcome });
        }
        statuses
    }

    async fn ask_responders(&self, certificate: &Certificate, issuer: &Certificate) -> Vec<Answer> {
        let mut answers = Vec::new();
        let identity = IssuerIdentity::new(issuer.subject().as_der(), issuer.public_key().subject_public_key());
        let id = CertId::new(CertIdHash::Sha1, &identity, certificate.serial());
        let mut nonce = [0; 32];
        let nonce = SystemEntropy::new().fill(&mut nonce).is_ok().then_some(nonce);
        let asked = request::encode(&[id], nonce.as_ref());
        if let Some(service) = self.service {
            let answered = service.ocsp(asked.clone()).await;
            let says = answered.map_or_else(nothing, |der| self.read_answer(&der, nonce, certificate, issuer));
            answers.push(Answer { kind: OCSP, from: "the service".to_owned(), says });
        }
        if let Some(fetcher) = self.fetcher {
            for url in certificate.ocsp_urls() {
                let answered = fetcher.post_ocsp(url, asked.clone(), LARGEST_ANSWER).await;
                let says = answered.map_or_else(nothing, |der| self.read_answer(&der, nonce, certificate, issuer));
                answers.push(Answer { kind: OCSP, from: url.clone(), says });
            }
        }
        answers
    }

    /// What an OCSP response says, once it is proved (RFC 6960 §3.2).
    fn read_answer(
        &self,
        der: &[u8],
        nonce: Option<[u8; 32]>,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Says {
        let unusable = |why: String| Says::Nothing { why, may_pass: false };
        let response = match ParsedResponse::from_der(der) {
            Ok(ParsedResponse::Answered(response)) => response,
            Ok(ParsedResponse::Failed(error)) => {
                return Says::Nothing { why: format!("it answers {}", error.as_str()), may_pass: true };
            }
            Err(error) => return unusable(error.to_string()),
        };
        if let Err(error) = response.verify(issuer.subject(), issuer.public_key(), self.now) {
            return unusable(error.to_string());
        }
        // A responder may leave the nonce out (RFC 9654 §2.1); another one is a replay.
        if let (Some(sent), Some(received)) = (nonce, response.nonce())
            && received != sent
        {
            return unusable("it answers another request (the nonces differ)".to_owned());
        }
        let identity = IssuerIdentity::new(issuer.subject().as_der(), issuer.public_key().subject_public_key());
        let Some(single) = response.find(&identity, certificate.serial()) else {
            return unusable("it answers about another certificate".to_owned());
        };
        if let Some(why) = self.not_current(single.this_update, single.next_update) {
            return unusable(why);
        }
        match single.status {
            CertStatus::Good => Says::Stands { until: single.next_update },
            CertStatus::Revoked { at, reason } => {
                let reason = reason.map_or("unspecified", |reason| reason.as_str()).to_owned();
                self.revoked(at, at, reason)
            }
            CertStatus::Unknown => Says::NotIssued,
        }
    }

    /// The lists of the service, or why they are not to be had.
    async fn own_lists(&self) -> Option<Result<Vec<ParsedCrl>, Failure>> {
        let service = self.service.filter(|_| self.wanted.crl || !self.wanted.ocsp)?;
        Some(service.revocation_lists().await)
    }

    async fn look_into_lists(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        own: &Option<Result<Vec<ParsedCrl>, Failure>>,
    ) -> Vec<Answer> {
        let mut answers = Vec::new();
        let given = self.lists.iter().filter(|list| list.issuer() == issuer.subject());
        for list in given {
            let says = self.read_list(list, certificate, issuer);
            answers.push(Answer { kind: CRL, from: "--crl-file".to_owned(), says });
        }
        match own {
            Some(Ok(lists)) => {
                for list in lists.iter().filter(|list| list.issuer() == issuer.subject()) {
                    let says = self.read_list(list, certificate, issuer);
                    answers.push(Answer { kind: CRL, from: "the service".to_owned(), says });
                }
            }
            Some(Err(failure)) => {
                let says = Says::Nothing { why: failure.to_string(), may_pass: is_unreachable(failure) };
                answers.push(Answer { kind: CRL, from: "the service".to_owned(), says });
            }
            None => {}
        }
        if let Some(fetcher) = self.fetcher {
            for url in certificate.crl_urls() {
                let says = match fetcher.get(url, LARGEST_LIST).await {
                    Ok(octets) => match parse_lists(octets).map(|lists| lists.into_iter().next()) {
                        Ok(Some(list)) => self.read_list(&list, certificate, issuer),
                        Ok(None) => Says::Nothing { why: "there is no list".to_owned(), may_pass: false },
                        Err(error) => Says::Nothing { why: error.to_string(), may_pass: false },
                    },
                    Err(failure) => nothing(failure),
                };
                answers.push(Answer { kind: CRL, from: url.clone(), says });
            }
        }
        answers
    }

    /// What a revocation list says, once it is proved (RFC 5280 §6.3.3).
    fn read_list(&self, list: &ParsedCrl, certificate: &Certificate, issuer: &Certificate) -> Says {
        let unusable = |why: String| Says::Nothing { why, may_pass: false };
        if let Err(error) = list.verify(issuer.subject(), issuer.public_key()) {
            return unusable(error.to_string());
        }
        if list.is_delta() {
            return unusable("it is a delta, which says nothing by itself".to_owned());
        }
        let is_of_its_part =
            list.distribution_point().is_none_or(|point| certificate.crl_urls().iter().any(|url| url == point));
        if !is_of_its_part || !list.covers(certificate.is_authority()) {
            return unusable("it covers other certificates of this issuer".to_owned());
        }
        if let Some(why) = self.not_current(list.this_update(), list.next_update()) {
            return unusable(why);
        }
        match list.find(certificate.serial()) {
            None => Says::Stands { until: list.next_update() },
            Some(entry) => {
                let reason = entry.reason.and_then(|reason| RevocationReason::from_code(reason.code()));
                let reason = reason.unwrap_or(RevocationReason::Unspecified).to_string();
                let bad_since = entry.invalidity_date.map_or(entry.revoked_at, |date| date.min(entry.revoked_at));
                self.revoked(entry.revoked_at, bad_since, reason)
            }
        }
    }

    fn revoked(&self, at: Timestamp, bad_since: Timestamp, reason: String) -> Says {
        match bad_since > self.judged_at {
            true => Says::RevokedLater { at },
            false => Says::Revoked { at, reason },
        }
    }

    /// Why an answer of this period may not be relied on now, if it may not.
    fn not_current(&self, this_update: Timestamp, next_update: Option<Timestamp>) -> Option<String> {
        if this_update > self.now.plus(SKEW) {
            return Some(format!("it is of {this_update}, which is yet to come; is the clock right?"));
        }
        let next_update = next_update.filter(|next| next.plus(SKEW) < self.now)?;
        Some(format!("it was good until {next_update} only"))
    }
}

/// What answers about one certificate amount to. One that says it has fallen outweighs all others.
fn amount_to(answers: &[Answer], wanted: Wanted) -> Outcome {
    if answers.iter().any(|answer| matches!(answer.says, Says::Revoked { .. } | Says::NotIssued)) {
        return Outcome::Fallen;
    }
    let stands = |kind: Option<&str>| {
        let of_kind = |answer: &&Answer| kind.is_none_or(|kind| answer.kind == kind);
        let says = |answer: &Answer| matches!(answer.says, Says::Stands { .. } | Says::RevokedLater { .. });
        answers.iter().filter(of_kind).any(says)
    };
    let must = [(wanted.ocsp, Some(OCSP)), (wanted.crl, Some(CRL)), (!wanted.ocsp && !wanted.crl, None)];
    if must.iter().all(|(asked, kind)| !asked || stands(*kind)) {
        return Outcome::Stands;
    }
    let may_pass = answers.iter().any(|answer| matches!(answer.says, Says::Nothing { may_pass: true, .. }));
    match (answers.is_empty(), wanted.ocsp || wanted.crl, may_pass) {
        (true, false, _) => Outcome::NotLookedUp,
        (_, _, true) => Outcome::Undecided,
        // What cannot be believed now will not be believed later; what must answer has no address.
        _ => Outcome::Fallen,
    }
}

fn nothing(failure: Failure) -> Says {
    Says::Nothing { may_pass: is_unreachable(&failure), why: failure.to_string() }
}

fn is_unreachable(failure: &Failure) -> bool {
    failure.exit() == crate::exit::Exit::Unreachable
}

/// The kinds of sources.
pub(super) const OCSP: &str = "ocsp";
pub(super) const CRL: &str = "crl";

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Wanted = Wanted { ocsp: false, crl: false };
    const BOTH: Wanted = Wanted { ocsp: true, crl: true };
    const OCSP_ONLY: Wanted = Wanted { ocsp: true, crl: false };

    fn answers(says: &[(&'static str, Says)]) -> Vec<Answer> {
        says.iter().map(|(kind, says)| Answer { kind, from: String::new(), says: says.clone() }).collect()
    }

    fn stands() -> Says {
        Says::Stands { until: None }
    }

    fn nothing(may_pass: bool) -> Says {
        Says::Nothing { why: String::new(), may_pass }
    }

    fn revoked() -> Says {
        Says::Revoked { at: Timestamp::from_unix_seconds(0), reason: "superseded".to_owned() }
    }

    #[test]
    fn one_source_that_says_revoked_outweighs_all_others() {
        for wanted in [NONE, BOTH, OCSP_ONLY] {
            assert_eq!(amount_to(&answers(&[(OCSP, stands()), (CRL, revoked())]), wanted), Outcome::Fallen);
            assert_eq!(amount_to(&answers(&[(OCSP, Says::NotIssued), (CRL, stands())]), wanted), Outcome::Fallen);
        }
    }

    #[test]
    fn one_good_answer_is_enough_unless_more_is_asked_for() {
        let half = answers(&[(OCSP, nothing(true)), (CRL, stands())]);
        assert_eq!(amount_to(&half, NONE), Outcome::Stands);
        assert_eq!(amount_to(&half, BOTH), Outcome::Undecided);
        assert_eq!(amount_to(&half, OCSP_ONLY), Outcome::Undecided);
        assert_eq!(amount_to(&answers(&[(OCSP, stands()), (CRL, stands())]), BOTH), Outcome::Stands);
    }

    #[test]
    fn what_cannot_be_believed_never_counts_as_good() {
        assert_eq!(amount_to(&answers(&[(OCSP, nothing(false)), (CRL, nothing(false))]), NONE), Outcome::Fallen);
        assert_eq!(amount_to(&answers(&[(OCSP, nothing(true)), (CRL, nothing(false))]), NONE), Outcome::Undecided);
    }

    #[test]
    fn nobody_to_ask_is_told_apart_from_nobody_answering() {
        assert_eq!(amount_to(&[], NONE), Outcome::NotLookedUp);
        // What must answer has no address: that is a finding.
        assert_eq!(amount_to(&[], OCSP_ONLY), Outcome::Fallen);
    }
}
