//! One round: ask for news, judge them, put them in place, have the gateway read them. Whatever fails is found again in the
//! next round, and the last good bundle stays.

use std::collections::BTreeMap;
use std::fs;

use ca_core::certificate::Certificate;
use ca_core::crl::{AuthorityMark, BundleFault, BundleScope, CrlBundle, ListFault, ListMark, PEM_LABEL, ParsedCrl};
use ca_core::pem;
use ca_core::time::{Lifetime, Timestamp};
use serde::Serialize;

use super::alarm::{AlarmKind, Alarms, Findings};
use super::check;
use super::good::{Good, generation};
use super::metrics;
use super::place::{NotPut, Place};
use super::reload::Reload;
use super::settings::GatewaySettings;
use super::speaker::Speaker;
use crate::exit::{Exit, Failure};
use crate::fetch::{Fetched, Fetcher};
use crate::files::write_public;
use crate::printer::Printer;

/// A file of lists: a million entries have some 40 MB, a third more in PEM.
const LARGEST_LISTS: usize = 256 << 20;
/// Metrics whose alarms did not change are written again after so long.
const METRICS_AFTER: Lifetime = Lifetime::from_seconds(15);
/// The alarm about lists that somebody else changed stands for so long after the last time: long enough to be collected and for an
/// alert's patience.
const OTHER_OCTETS_STAND: Lifetime = Lifetime::from_seconds(600);

/// Keeps the lists of one gateway.
pub(super) struct Keeper {
    settings: GatewaySettings,
    fetcher: Fetcher,
    roots: Vec<Certificate>,
    printer: Printer,
    place: Place,
    speaker: Option<Speaker>,
    alarms: Alarms,
    good: Option<Good>,
    /// The generation of the authorities' file that `good` and `answer` were judged by.
    scope: Option<String>,
    answer: Answer,
    /// What `gateway check` found last.
    configuration: Option<Option<String>>,
    heard_at: Option<Timestamp>,
    loaded_at: Option<Timestamp>,
    metrics: Option<(Timestamp, Findings)>,
    /// When the lists in place were last found to be others than were put there, and how.
    other_octets: Option<(Timestamp, String)>,
}

/// The service's last answer.
#[derive(Default)]
struct Answer {
    etag: Option<String>,
    /// The lists in it, as long as they are not in place.
    unsettled: Option<Vec<ParsedCrl>>,
}

/// What became of a round.
#[derive(Debug, Serialize)]
pub(super) struct Round {
    /// What is in place.
    #[serde(flatten)]
    pub(super) good: Option<Good>,
    /// Whether the gateway's file was written.
    pub(super) changed: bool,
    /// Whether the gateway read its lists anew.
    pub(super) reloaded: bool,
    /// Whether the service was told what the gateway enforces.
    pub(super) stated: bool,
    /// What is wrong.
    pub(super) alarms: BTreeMap<&'static str, String>,
    #[serde(skip)]
    pub(super) findings: Findings,
}

impl Keeper {
    /// Gets ready. `roots` are those that the connection trusts; none means any that the gateway does.
    pub(super) fn new(
        settings: GatewaySettings,
        roots: Vec<Certificate>,
        fetcher: Fetcher,
        printer: &Printer,
    ) -> Result<Self, Failure> {
        let mut told = |text: String| printer.warning(format!("gateway: {text}"));
        let place =
            Place::open(&settings.crl_file, settings.generation_file.as_deref(), &settings.state_dir, &mut told)?;
        let speaker = settings.speaker.clone().map(Speaker::new);
        Ok(Self {
            speaker,
            settings,
            fetcher,
            roots,
            printer: printer.clone(),
            place,
            alarms: Alarms::default(),
            good: None,
            scope: None,
            answer: Answer::default(),
            configuration: None,
            heard_at: None,
            loaded_at: None,
            metrics: None,
            other_octets: None,
        })
    }

    /// One round. What is wrong is told, not returned.
    pub(super) async fn round(&mut self, now: Timestamp) -> Round {
        let mut findings = Findings::new();
        // 1. Whose lists.
        let scope = match self.read_scope() {
            Ok(scope) => Some(scope),
            Err(failure) => {
                findings.insert(AlarmKind::CaFile, failure.to_string());
                None
            }
        };
        // 2. News.
        if let Some(scope) = &scope
            && let Err((kind, text)) = self.look_for_news(scope, now).await
        {
            findings.insert(kind, text);
        }
        // 3. Into place; also what somebody else changed there.
        let mut changed = false;
        if let Some(good) = self.good.clone() {
            match self.place.put(&good) {
                Ok(put) => {
                    changed = put.written;
                    self.other_octets = put.other_octets.map(|text| (now, text)).or(self.other_octets.take());
                }
                Err(NotPut::Failed(text)) => {
                    findings.insert(AlarmKind::Write, text);
                }
                Err(NotPut::CopyChanged(text)) => {
                    // The next round fetches it again, however little is new about it.
                    self.answer = Answer::default();
                    findings.insert(AlarmKind::Write, text);
                }
            }
            if changed {
                self.tell_lists(&good);
            }
        }
        self.recall_other_octets(&mut findings, now);
        // 4. Into the gateway.
        let reloaded = self.load(&mut findings, changed, now).await;
        self.check_configuration(&mut findings, reloaded).await;
        // 5. What comes of it, said where somebody may wait for it.
        let stated = self.state(&mut findings, now).await;
        // 6. How long that is good for.
        self.judge_end(&mut findings, now);
        self.alarms.settle(&findings, now, &self.printer);
        self.write_metrics(&findings, now);
        let alarms = findings.iter().map(|(kind, text)| (kind.as_str(), text.clone())).collect();
        Round { good: self.good.clone(), changed, reloaded, stated, alarms, findings }
    }

    /// What somebody else did to the lists in place was put right at once, and is a matter for people all the same.
    fn recall_other_octets(&mut self, findings: &mut Findings, now: Timestamp) {
        self.other_octets.take_if(|(at, _)| now.since(*at) >= OTHER_OCTETS_STAND);
        if let Some((_, text)) = &self.other_octets {
            findings.insert(AlarmKind::OtherOctets, text.clone());
        }
    }

    /// The authorities of the gateway. Where they changed, what is in place is judged again.
    fn read_scope(&mut self) -> Result<BundleScope, Failure> {
        let path = &self.settings.ca_file;
        let text = fs::read_to_string(path).map_err(|error| Failure::of_file(path, error))?;
        let certificates = Certificate::all_from_pem(&text).map_err(|error| Failure::of_file(path, error))?;
        let scope = BundleScope::new(certificates).map_err(|error| Failure::of_file(path, error))?;
        let is_trusted = |root: &Certificate| self.roots.is_empty() || self.roots.contains(root);
        if let Some(stranger) = scope.roots().find(|root| !is_trusted(root)) {
            return Err(Failure::of_file(
                path,
                format!(
                    "`{}` is a root, but not one that --root (CA_ROOT, or the configuration) names",
                    stranger.subject()
                ),
            ));
        }
        let generation = generation(text.as_bytes());
        if self.scope.as_ref() != Some(&generation) {
            self.answer = Answer::default();
            self.good = self.last_good(&scope);
            self.scope = Some(generation);
        }
        Ok(scope)
    }

    /// What lies in place, if it is a bundle of these authorities.
    fn last_good(&mut self, scope: &BundleScope) -> Option<Good> {
        let mut good = None;
        for (path, text) in self.place.bundles() {
            match CrlBundle::reassemble(scope, &lists_in(&text).0) {
                Ok(bundle) => {
                    let found = Good::of(&bundle, &text);
                    let is_newer = good.as_ref().is_none_or(|(good, _): &(Good, String)| newer(&found, good));
                    // Text around the lists would be another file than this program writes.
                    if is_newer && bundle.to_pem() == text {
                        good = Some((found, text));
                    }
                }
                Err(faults) => {
                    let told = told(&faults);
                    self.printer.note(format!("gateway: {} is not used as it stands: {told}", path.display()));
                }
            }
        }
        let (good, text) = good?;
        // So that the state has what the gateway's file alone had.
        if let Err(error) = self.place.keep(&good, &text) {
            self.printer.warning(format!("gateway: {error}"));
        }
        Some(good)
    }

    /// Asks for lists other than the last, and takes them over if they may be used.
    async fn look_for_news(&mut self, scope: &BundleScope, now: Timestamp) -> Result<(), (AlarmKind, String)> {
        let url = &self.settings.crl_url;
        let fetched = self.fetcher.get_unless(url, self.answer.etag.as_deref(), LARGEST_LISTS).await;
        let fetched = fetched.map_err(|failure| match failure.exit() {
            Exit::Unreachable => (AlarmKind::Service, failure.to_string()),
            _ => (AlarmKind::List, failure.to_string()),
        })?;
        self.heard_at = Some(now);
        if let Fetched::New { octets, etag } = fetched {
            self.answer = Answer::default();
            let text = String::from_utf8(octets).map_err(|_| (AlarmKind::List, format!("{url} is not PEM")))?;
            let (lists, unreadable) = lists_in(&text);
            if lists.is_empty() {
                let why = unreadable.unwrap_or_else(|| "there is no list in it".to_owned());
                return Err((AlarmKind::List, format!("{url}: {why}")));
            }
            self.answer = Answer { etag, unsettled: Some(lists) };
        }
        let Some(lists) = self.answer.unsettled.take() else { return Ok(()) };
        match CrlBundle::assemble(scope, &lists, &self.floor(), now) {
            Ok(bundle) => {
                let text = bundle.to_pem();
                let good = Good::of(&bundle, &text);
                if self.good.as_ref() != Some(&good) || !self.place.keeps(&good) {
                    if let Err(error) = self.place.keep(&good, &text) {
                        self.answer.unsettled = Some(lists);
                        return Err((AlarmKind::Write, error));
                    }
                    self.good = Some(good);
                }
                Ok(())
            }
            Err(faults) => {
                self.answer.unsettled = Some(lists);
                // What begins in a moment is waited for, not worried about.
                let waits = |fault: &BundleFault| matches!(fault.wrong, ListFault::NotYet { .. });
                if faults.iter().all(waits) && self.good.is_some() {
                    return Ok(());
                }
                Err((AlarmKind::List, told(&faults)))
            }
        }
    }

    /// What no list may be older than.
    fn floor(&self) -> BTreeMap<AuthorityMark, ListMark> {
        let mut floor = self.place.newest();
        for (authority, mark) in self.good.iter().flat_map(|good| &good.marks) {
            if floor.get(authority).is_none_or(|floor| floor.number < mark.number) {
                floor.insert(*authority, mark.clone());
            }
        }
        floor
    }

    /// Has the gateway read the lists that are in place, unless it has.
    async fn load(&mut self, findings: &mut Findings, changed: bool, now: Timestamp) -> bool {
        let Some(good) = &self.good else { return false };
        // What is not in place cannot be loaded. What was put back may have been loaded in between, as it was.
        if findings.contains_key(&AlarmKind::Write) || (!changed && self.place.loaded() == Some(&good.generation)) {
            return false;
        }
        let generation = good.generation.clone();
        if let Err(text) = self.settings.reload.run().await {
            findings.insert(AlarmKind::Reload, format!("the gateway has not loaded the lists in place: {text}"));
            if changed && let Err(text) = self.place.set_loaded(None) {
                findings.insert(AlarmKind::Write, text);
            }
            return false;
        }
        self.loaded_at = Some(now);
        if let Err(text) = self.place.set_loaded(Some(&generation)) {
            findings.insert(AlarmKind::Write, text);
        }
        self.settings.reload != Reload::Nothing
    }

    /// Looks at nginx's configuration, at the start and whenever nginx read it anew. While it is wrong, it is looked at each time.
    async fn check_configuration(&mut self, findings: &mut Findings, reloaded: bool) {
        let Some(conf) = &self.settings.nginx_conf else { return };
        if reloaded || self.configuration != Some(None) {
            self.configuration = Some(check::faults(conf).await);
        }
        if let Some(Some(text)) = &self.configuration {
            findings.insert(AlarmKind::Configuration, text.clone());
        }
    }

    /// Says what the gateway enforces, once it has loaded what is in place and that still holds.
    async fn state(&mut self, findings: &mut Findings, now: Timestamp) -> bool {
        let (Some(speaker), Some(good)) = (&mut self.speaker, &self.good) else { return false };
        let is_doubtful = findings.contains_key(&AlarmKind::Write) || findings.contains_key(&AlarmKind::Configuration);
        if is_doubtful || self.place.loaded() != Some(&good.generation) {
            return false;
        }
        match speaker.speak(good, now).await {
            Ok(said) => said,
            Err((kind, text)) => {
                findings.entry(kind).or_insert(text);
                false
            }
        }
    }

    fn judge_end(&self, findings: &mut Findings, now: Timestamp) {
        let text = match self.good.as_ref().and_then(Good::first_to_end) {
            None => "there are no lists in place: the gateway refuses every client".to_owned(),
            Some(list) if list.next_update < now => format!(
                "the list of `{}` in place has ended at {}: the gateway refuses every client",
                list.issuer, list.next_update
            ),
            Some(list) if list.next_update.minus(self.settings.alarm_before) <= now => format!(
                "the list of `{}` in place ends at {}; from then on the gateway refuses every client",
                list.issuer, list.next_update
            ),
            Some(_) => return,
        };
        findings.insert(AlarmKind::NextUpdate, text);
    }

    fn tell_lists(&self, good: &Good) {
        for list in good.lists() {
            let (issuer, number, entries, end) = (&list.issuer, list.number, list.entries, list.next_update);
            self.printer
                .note(format!("gateway: list {number} of `{issuer}` is in place: {entries} entries, until {end}"));
        }
    }

    fn write_metrics(&mut self, findings: &Findings, now: Timestamp) {
        let Some(path) = &self.settings.metrics_file else { return };
        let is_told =
            self.metrics.as_ref().is_some_and(|(at, told)| told == findings && now.since(*at) < METRICS_AFTER);
        if is_told {
            return;
        }
        let text = metrics::render(self.good.as_ref(), findings, self.heard_at, self.loaded_at);
        match write_public(path, text.as_bytes()) {
            Ok(()) => self.metrics = Some((now, findings.clone())),
            Err(error) => {
                self.printer.warning(format!("gateway: {error}"));
                // Not each second.
                self.metrics = Some((now, findings.clone()));
            }
        }
    }
}

/// The lists in a PEM text that can be read, and why the first one that cannot be could not.
fn lists_in(text: &str) -> (Vec<ParsedCrl>, Option<String>) {
    let blocks = match pem::decode_all(PEM_LABEL, text) {
        Ok(blocks) => blocks,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut unreadable = None;
    let mut lists = Vec::new();
    for block in blocks {
        match ParsedCrl::from_der(block) {
            Ok(list) => lists.push(list),
            Err(error) => unreadable = unreadable.or(Some(error.to_string())),
        }
    }
    (lists, unreadable)
}

/// Whether no list of `one` is older than in `other`, and one is newer.
fn newer(one: &Good, other: &Good) -> bool {
    let number = |good: &Good, authority| good.marks.get(authority).map(|mark: &ListMark| mark.number);
    one.marks.keys().all(|authority| number(one, authority) >= number(other, authority))
        && one.marks.keys().any(|authority| number(one, authority) > number(other, authority))
}

fn told(faults: &[BundleFault]) -> String {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
