//! What is wrong at the gateway: told when it begins, now and then while it lasts, and when it is over.

use std::collections::BTreeMap;

use ca_core::time::{Lifetime, Timestamp};

use crate::exit::Exit;
use crate::printer::{Printer, plain};

/// What can be wrong. Each has a time series of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AlarmKind {
    /// The authorities of the gateway cannot be read.
    CaFile,
    /// The service does not answer.
    Service,
    /// What it answers may not be used.
    List,
    /// Nothing can be written.
    Write,
    /// What was in place is not what was put there.
    OtherOctets,
    /// The gateway did not read its lists anew.
    Reload,
    /// The gateway's configuration lets something outlive a revocation.
    Configuration,
    /// The gateway itself shows that it does not enforce the lists in place.
    Probe,
    /// The service does not take the gateway's word.
    Statement,
    /// A list ends soon, or has ended, or there is none.
    NextUpdate,
}

impl AlarmKind {
    /// Every kind.
    pub(super) const ALL: [Self; 10] = [
        Self::CaFile,
        Self::Service,
        Self::List,
        Self::Write,
        Self::OtherOctets,
        Self::Reload,
        Self::Configuration,
        Self::Probe,
        Self::Statement,
        Self::NextUpdate,
    ];

    /// Its name in metrics and reports.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::CaFile => "ca-file",
            Self::Service => "service",
            Self::List => "list",
            Self::Write => "write",
            Self::OtherOctets => "other-octets",
            Self::Reload => "reload",
            Self::Configuration => "configuration",
            Self::Probe => "probe",
            Self::Statement => "statement",
            Self::NextUpdate => "next-update",
        }
    }
}

/// What was found wrong in one round.
pub(super) type Findings = BTreeMap<AlarmKind, String>;

/// How a round ends for who asked for one.
pub(super) fn exit_of(findings: &Findings) -> Exit {
    if findings.is_empty() {
        return Exit::Done;
    }
    // The lists in place are good for as long as they are: nothing is wrong yet.
    if findings.keys().all(|kind| *kind == AlarmKind::Service) { Exit::Unreachable } else { Exit::Failed }
}

/// What is wrong at present.
#[derive(Default)]
pub(super) struct Alarms {
    standing: BTreeMap<AlarmKind, Told>,
}

struct Told {
    text: String,
    at: Timestamp,
}

impl Alarms {
    /// Takes over what a round found, telling what is new, what lasts, and what is over.
    pub(super) fn settle(&mut self, findings: &Findings, now: Timestamp, printer: &Printer) {
        for line in self.news(findings, now) {
            match line {
                News::Raised(text) => printer.warning(format!("gateway: {}", plain(&text))),
                News::Over(text) => printer.note(format!("gateway: {text}")),
            }
        }
    }

    fn news(&mut self, findings: &Findings, now: Timestamp) -> Vec<News> {
        let mut news = Vec::new();
        self.standing.retain(|kind, _| {
            let lasts = findings.contains_key(kind);
            if !lasts {
                news.push(News::Over(format!("the alarm `{}` is over", kind.as_str())));
            }
            lasts
        });
        for (kind, text) in findings {
            let quiet_for = |told: &Told| now.since(told.at);
            let is_told = self.standing.get(kind).is_some_and(|told| match told.text == *text {
                true => quiet_for(told) < AGAIN_AFTER,
                false => quiet_for(told) < CHANGED_AFTER,
            });
            if !is_told {
                news.push(News::Raised(text.clone()));
                self.standing.insert(*kind, Told { text: text.clone(), at: now });
            }
        }
        news
    }
}

#[derive(Debug, PartialEq, Eq)]
enum News {
    Raised(String),
    Over(String),
}

/// What lasts is told again after so long.
const AGAIN_AFTER: Lifetime = Lifetime::from_seconds(600);
/// What goes on changing is not told each second.
const CHANGED_AFTER: Lifetime = Lifetime::from_seconds(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: AlarmKind, text: &str) -> Findings {
        Findings::from([(kind, text.to_owned())])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn an_alarm_is_told_when_it_begins_now_and_then_and_when_it_is_over() {
        let mut alarms = Alarms::default();
        let away = found(AlarmKind::Service, "away");
        let raised = |text: &str| vec![News::Raised(text.to_owned())];
        assert_eq!(alarms.news(&away, at(0)), raised("away"));
        assert_eq!(alarms.news(&away, at(1)), []);
        assert_eq!(alarms.news(&away, at(600)), raised("away"));
        let refused = found(AlarmKind::Service, "refused");
        assert_eq!(alarms.news(&refused, at(605)), [], "it changes all the time");
        assert_eq!(alarms.news(&refused, at(611)), raised("refused"));
        assert!(matches!(&alarms.news(&Findings::new(), at(612))[..], [News::Over(_)]));
        assert_eq!(alarms.news(&Findings::new(), at(613)), []);
    }

    #[test]
    fn a_service_that_is_away_is_no_failure_yet() {
        assert_eq!(exit_of(&Findings::new()), Exit::Done);
        assert_eq!(exit_of(&found(AlarmKind::Service, "")), Exit::Unreachable);
        let mut both = found(AlarmKind::Service, "");
        both.extend(found(AlarmKind::NextUpdate, ""));
        assert_eq!(exit_of(&both), Exit::Failed);
        for kind in AlarmKind::ALL.into_iter().filter(|kind| *kind != AlarmKind::Service) {
            assert_eq!(exit_of(&found(kind, "")), Exit::Failed, "{kind:?}");
        }
    }
}
