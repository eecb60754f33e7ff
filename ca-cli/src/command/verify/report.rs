//! What was found, for people and for programs.

use ca_core::certificate::Certificate;
use ca_core::time::Timestamp;
use serde::Serialize;

use super::path::{Path, PathFault};
use super::status::{Answer, Outcome, Says, Status};
use crate::printer::plain;

/// What the findings amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Nothing is wrong.
    Valid,
    /// Something is.
    Invalid,
    /// Who must answer did not, and may later.
    Undecided,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    verdict: Verdict,
    judged_at: String,
    looked_up: bool,
    path: Vec<Link>,
    findings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Link {
    subject: String,
    serial: String,
    not_after: String,
    status: &'static str,
    answers: Vec<SourceAnswer>,
}

#[derive(Debug, Serialize)]
struct SourceAnswer {
    kind: &'static str,
    from: String,
    says: String,
}

impl Report {
    /// Puts together what was found about the path, and the status of each of its certificates but the root.
    pub(super) fn new(path: &Path, mut findings: Vec<String>, statuses: Vec<Status>, judged_at: Timestamp) -> Self {
        let mut undecided = false;
        // A root has no status but the trust of whoever verifies.
        let is_root = path.certificates().len() == 1;
        let looked_up = is_root || statuses.first().is_some_and(|status| status.outcome != Outcome::NotLookedUp);
        for (certificate, status) in path.certificates().iter().zip(&statuses) {
            undecided |= status.outcome == Outcome::Undecided;
            if status.outcome == Outcome::Fallen {
                findings.push(fallen(certificate, status));
            }
        }
        let is_wrong = !findings.is_empty() || matches!(path.fault(), Some(PathFault::Lasting(_)));
        undecided |= matches!(path.fault(), Some(PathFault::Passing(_)));
        findings.extend(path.fault().map(|fault| fault.text().to_owned()));
        let verdict = match (is_wrong, undecided) {
            (true, _) => Verdict::Invalid,
            (false, true) => Verdict::Undecided,
            (false, false) => Verdict::Valid,
        };
        let last = path.certificates().len() - 1;
        let mut statuses = statuses.into_iter();
        let links = path.certificates().iter().enumerate().map(|(index, certificate)| {
            let status = statuses.next();
            let is_root = index == last && path.is_signed_throughout();
            Link::of(certificate, status, is_root)
        });
        Self { verdict, judged_at: judged_at.to_rfc3339(), looked_up, path: links.collect(), findings }
    }

    /// What the findings amount to.
    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The report for people.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for (index, link) in self.path.iter().enumerate() {
            text.push_str(&format!(
                "{:indent$}{}  until {}, {}\n",
                "",
                plain(&link.subject),
                link.not_after,
                link.status,
                indent = 2 * index
            ));
            for answer in &link.answers {
                let (kind, from) = (answer.kind.to_uppercase(), plain(&answer.from));
                text.push_str(&format!(
                    "{:indent$}{kind} ({from}): {}\n",
                    "",
                    plain(&answer.says),
                    indent = 2 * index + 4
                ));
            }
        }
        for finding in &self.findings {
            text.push_str(&format!("- {}\n", plain(finding)));
        }
        text.push_str(match self.verdict {
            Verdict::Valid if !self.looked_up => {
                "VALID by its chain and dates; nobody was asked whether it is revoked (--ocsp, --crl, --crl-file)"
            }
            Verdict::Valid => "VALID",
            Verdict::Invalid => "NOT VALID",
            Verdict::Undecided => "UNDECIDED: who must answer could not be reached; try again",
        });
        text
    }
}

impl Link {
    fn of(certificate: &Certificate, status: Option<Status>, is_root: bool) -> Self {
        let word = match status.as_ref().map(|status| status.outcome) {
            _ if is_root => "trusted",
            Some(Outcome::Stands) => "good",
            Some(Outcome::Fallen) => "not good",
            Some(Outcome::Undecided) => "undecided",
            Some(Outcome::NotLookedUp) | None => "status not looked up",
        };
        let subject = match certificate.subject().to_string() {
            empty if empty.is_empty() => certificate.names().first().map(ToString::to_string).unwrap_or_default(),
            subject => subject,
        };
        Self {
            subject,
            serial: certificate.serial().to_string(),
            not_after: certificate.validity().not_after.to_rfc3339(),
            status: word,
            answers: status.map(|status| status.answers.iter().map(SourceAnswer::of).collect()).unwrap_or_default(),
        }
    }
}

impl SourceAnswer {
    fn of(answer: &Answer) -> Self {
        Self { kind: answer.kind, from: answer.from.clone(), says: words(&answer.says) }
    }
}

fn words(says: &Says) -> String {
    match says {
        Says::Stands { until: Some(until) } => format!("good until {until}"),
        Says::Stands { until: None } => "good".to_owned(),
        Says::Revoked { at, reason } => format!("revoked since {at} ({reason})"),
        Says::RevokedLater { at } => format!("good then, and revoked since {at}"),
        Says::NotIssued => "unknown: this issuer never issued it".to_owned(),
        Says::Nothing { why, .. } => format!("nothing that can be believed: {why}"),
    }
}

/// Why a certificate does not stand.
fn fallen(certificate: &Certificate, status: &Status) -> String {
    let decisive = status.answers.iter().find(|answer| matches!(answer.says, Says::Revoked { .. } | Says::NotIssued));
    let why = match decisive {
        Some(answer) => words(&answer.says),
        None if status.answers.is_empty() => {
            "its status must be looked up, and it names no address for that; configure the service or give --crl-file"
                .to_owned()
        }
        None => "no source says anything about its status that can be believed".to_owned(),
    };
    format!("`{}` (serial {}): {why}", certificate.subject(), certificate.serial())
}
