//! `authority compromise-drill`: what is to be done when the key of an authority is compromised, counted, or done and timed.
//!
//! Over the API alone, as anybody with the role could do it by hand. What needs the root's key is done on its host; the drill waits.

mod state;
mod survey;

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ca_api::bulk_revocation::{BulkRevocation, BulkRevocationState, RevocationCount};
use ca_core::id::AuthorityId;
use ca_core::time::Timestamp;
use ca_engine::flow::bulk_revoke::{BulkRevokeRequest, BulkSelection};
use ca_engine::flow::managed::query::ManagedReference;
use ca_engine::flow::query::CertificateName;
use ca_engine::flow::renewal_windows::MoveRequest;
use serde::Serialize;

use self::state::{State, Step};
use self::survey::{Survey, certificates, everything_of, next_generation};
use crate::args::{CompromiseDrillArgs, DrillRevocation};
use crate::exit::{Exit, Failure};
use crate::printer::Printer;
use crate::service::Service;

/// How often it is looked whether something has come about.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The most certificates that one request revokes by their ids.
const MOST_NAMED: usize = 10_000;

/// What a drill found, did and left.
#[derive(Debug, Serialize)]
struct Report {
    authority: String,
    /// The generation that issues in its place; absent when there is none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_generation: Option<String>,
    /// Whether it was done, and not only counted.
    executed: bool,
    steps: Vec<StepReport>,
    /// Certificates of the authority that are in force at the end, by profile.
    left: Vec<Left>,
    /// Managed certificates that are still below it.
    managed_left: Vec<String>,
    /// Certificates of the service itself that are in force, which it renews by itself.
    of_the_service: u64,
}

#[derive(Debug, Serialize)]
struct StepReport {
    step: Step,
    count: u64,
    /// How long it took; absent for one that was only counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    detail: String,
}

#[derive(Debug, Serialize)]
struct Left {
    profile: String,
    count: u64,
}

/// Counts what a compromise would take, or does it.
pub(super) async fn run(service: &dyn Service, args: &CompromiseDrillArgs, printer: &Printer) -> Result<Exit, Failure> {
    let survey = Survey::take(service, &args.id, super::now()).await?;
    if !args.execute {
        printer.result(&planned(args, &survey), describe)?;
        return Ok(Exit::Done);
    }
    confirm(args, &survey)?;
    let path = args.state.clone().unwrap_or_else(|| PathBuf::from(format!("compromise-drill-{}.json", args.id)));
    let state = State::open(&path, args.id.as_str(), super::now())?;
    let mut drill = Drill { service, args, printer, path: &path, state };
    let next = drill.await_next_generation().await?;
    drill.move_windows().await?;
    drill.rotate_managed().await?;
    drill.revoke(&next).await?;
    let report = drill.report(&next).await?;
    let is_whole = report.managed_left.is_empty();
    printer.result(&report, describe)?;
    Ok(if is_whole { Exit::Done } else { Exit::Failed })
}

/// What would be done, and what would be left.
fn planned(args: &CompromiseDrillArgs, survey: &Survey) -> Report {
    let paused = survey.managed.values().filter(|one| one.paused).count() as u64;
    let managed = survey.managed.len() as u64;
    let step = |step, count, detail: String| StepReport { step, count, seconds: None, detail };
    let rollover = match &survey.next {
        Some((next, true)) => format!("{} issues in its place", next.id),
        Some((next, false)) => {
            format!("{} is announced, and issues from {}", next.id, next.issues_from.as_deref().unwrap_or_default())
        }
        None => {
            format!("is to be made where the root's key is: ca-server authority rollover {} --issue-after 15s", args.id)
        }
    };
    let revocation = match args.revoke {
        DrillRevocation::None => (0, "nothing is revoked".to_owned()),
        DrillRevocation::Replaced => (managed - paused, "at least these, and what its holders renew".to_owned()),
        DrillRevocation::All => (survey.count.count, "all of them".to_owned()),
    };
    let asked = format!("asked to renew within {}, in {} waves", args.within, args.waves);
    let rotated = match paused {
        0 => "rotated within the service's quotas".to_owned(),
        paused => format!("rotated within the service's quotas, but for {paused} that are paused"),
    };
    Report {
        authority: args.id.to_string(),
        next_generation: survey.next.as_ref().map(|(next, _)| next.id.clone()),
        executed: false,
        steps: vec![
            step(Step::Rollover, 1, rollover),
            step(Step::Windows, survey.count.count.saturating_sub(managed), asked),
            step(Step::Managed, managed, rotated),
            step(Step::Revocation, revocation.0, revocation.1),
        ],
        left: match args.revoke {
            DrillRevocation::All => Vec::new(),
            _ => left(&survey.count),
        },
        managed_left: survey.managed.values().filter(|one| one.paused).map(|one| one.name.clone()).collect(),
        of_the_service: survey.count.left_out,
    }
}

fn left(count: &RevocationCount) -> Vec<Left> {
    count.shares.iter().map(|share| Left { profile: share.profile.clone(), count: share.count }).collect()
}

/// Has the authority's id typed: whoever only presses a key has not read it.
fn confirm(args: &CompromiseDrillArgs, survey: &Survey) -> Result<(), Failure> {
    let typed = match &args.confirm {
        Some(typed) => typed.to_string(),
        None if !io::stdin().is_terminal() => {
            let id = &args.id;
            return Err(Failure::Usage(format!(
                "nothing was changed: without a terminal, say --confirm {id} once you are sure"
            )));
        }
        None => {
            let mut terminal = io::stderr().lock();
            let (id, count, managed) = (&args.id, survey.count.count, survey.managed.len());
            write!(
                terminal,
                "{count} certificates of {id} are in force, {managed} of them managed; type {id} to replace them: "
            )
            .and_then(|()| terminal.flush())
            .map_err(Failure::failed)?;
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map_err(Failure::failed)?;
            line.trim().to_owned()
        }
    };
    if typed == args.id.as_str() {
        return Ok(());
    }
    Err(Failure::Failed("that is another authority; nothing was changed".to_owned()))
}

/// A drill that is carried out. Each step looks first what is there, so that it may be made again.
struct Drill<'a> {
    service: &'a dyn Service,
    args: &'a CompromiseDrillArgs,
    printer: &'a Printer,
    path: &'a Path,
    state: State,
}

impl Drill<'_> {
    /// Waits until another generation issues: nothing is replaced by what the compromised key would sign.
    async fn await_next_generation(&mut self) -> Result<AuthorityId, Failure> {
        if !self.state.is_ended(Step::Rollover) {
            self.begin(Step::Rollover)?;
        }
        let id = &self.args.id;
        let spinner = self.printer.spinner(format!("waiting for the next generation of {id}"));
        let mut told = None;
        loop {
            match next_generation(&self.service.authorities().await?, id, super::now()) {
                Some((next, true)) => {
                    drop(spinner);
                    let next: AuthorityId = next.id.parse().map_err(Failure::failed)?;
                    if !self.state.is_ended(Step::Rollover) {
                        self.end(Step::Rollover, 1)?;
                    }
                    return Ok(next);
                }
                Some((next, false)) => {
                    let from = next.issues_from.clone().unwrap_or_default();
                    if told.as_ref() != Some(&from) {
                        spinner
                            .suspend(|| self.printer.note(format!("{} is announced, and issues from {from}", next.id)));
                        told = Some(from);
                    }
                }
                None if told.is_none() => {
                    let command = format!("ca-server authority rollover {id} --issue-after 15s");
                    spinner.suspend(|| {
                        self.printer
                            .note(format!("run this where the root's key is; the drill goes on then:\n  {command}"));
                    });
                    told = Some(String::new());
                }
                None => {}
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn move_windows(&mut self) -> Result<(), Failure> {
        if self.state.is_ended(Step::Windows) {
            return Ok(());
        }
        self.begin(Step::Windows)?;
        let request = MoveRequest {
            authority: Some(self.args.id.clone()),
            profile: None,
            certificate: None,
            issued_after: None,
            issued_before: None,
            start: None,
            end: super::now().plus(self.args.within),
            waves: self.args.waves,
            explanation_url: None,
            request_id: None,
        };
        let moved = self.service.move_renewal_windows(request).await?;
        self.state.window_move = Some(moved.id);
        let survey = Survey::take(self.service, &self.args.id, super::now()).await?;
        let asked = survey.count.count.saturating_sub(survey.managed.len() as u64);
        self.end(Step::Windows, asked)
    }

    async fn rotate_managed(&mut self) -> Result<(), Failure> {
        let survey = Survey::take(self.service, &self.args.id, super::now()).await?;
        if self.state.is_ended(Step::Managed) && survey.managed.values().all(|one| one.paused) {
            return Ok(());
        }
        self.begin(Step::Managed)?;
        for one in survey.managed.values().filter(|one| !one.paused) {
            if let Some(current) = &one.current {
                self.state.managed.entry(one.name.clone()).or_insert_with(|| current.certificate.clone());
            }
        }
        self.keep()?;
        for name in survey.managed.values().filter(|one| !one.paused).map(|one| one.name.clone()) {
            self.service.rotate_managed(&ManagedReference::Name(name)).await?;
        }
        let total = self.state.managed.len();
        let progress = self.printer.counter(total as u64, "rotating managed certificates");
        let until = super::now().plus(self.args.within);
        loop {
            let there = super::managed::all(self.service).await?;
            let is_left = |name: &str, old: &str| {
                let current = there.iter().find(|one| one.name == name).and_then(|one| one.current.as_ref());
                current.is_some_and(|current| current.certificate == old)
            };
            let left = self.state.managed.iter().filter(|(name, old)| is_left(name, old)).count();
            progress.place((total - left) as u64);
            if left == 0 {
                drop(progress);
                return self.end(Step::Managed, total as u64);
            }
            if super::now() >= until {
                drop(progress);
                self.printer.warning(format!(
                    "{left} of {total} managed certificates are not rotated within {}; the service goes on, and so does this \
                     command when it is given again",
                    self.args.within
                ));
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn revoke(&mut self, next: &AuthorityId) -> Result<(), Failure> {
        if self.args.revoke == DrillRevocation::None {
            return Ok(());
        }
        self.begin(Step::Revocation)?;
        // One that a run before this one had begun.
        if let Some(id) = self.state.revocation.take() {
            let id = id.parse().map_err(|_| Failure::failed("the state file names a revocation by no id"))?;
            let there = self.service.bulk_revocation(id).await?;
            self.watch(there).await?;
        }
        let survey = Survey::take(self.service, &self.args.id, super::now()).await?;
        let requests: Vec<BulkRevokeRequest> = match self.args.revoke {
            DrillRevocation::All => vec![everything_of(&self.args.id, self.args.reason)],
            _ => {
                let replaced = self.replaced(&survey, next).await?;
                let named = |ids: &[CertificateName]| BulkRevokeRequest {
                    selection: BulkSelection::Certificates(ids.to_vec()),
                    reason: self.args.reason,
                    invalidity_date: None,
                    request_id: None,
                };
                replaced.chunks(MOST_NAMED).map(named).collect()
            }
        };
        let mut revoked = 0;
        for request in requests {
            let count = self.service.count_bulk_revocation(&request).await?.count;
            if count == 0 {
                continue;
            }
            let key = super::new_idempotency_key()?;
            let begun = self.service.begin_bulk_revocation(&request, count, &key).await?;
            self.state.revocation = Some(begun.id.clone());
            self.keep()?;
            revoked += self.watch(begun).await?;
            self.state.revocation = None;
        }
        let before = self.state.steps.get(&Step::Revocation).map_or(0, |course| course.count);
        self.end(Step::Revocation, before + revoked)
    }

    /// Watches a bulk revocation to its end; returns how many were revoked.
    async fn watch(&self, begun: BulkRevocation) -> Result<u64, Failure> {
        let id = begun.id.parse().map_err(|_| Failure::failed("the service answered an id that is none"))?;
        let progress = self.printer.counter(begun.count, "revoking");
        let mut there = begun;
        while there.state == BulkRevocationState::Running {
            progress.place(there.revoked + there.skipped);
            there = self.service.advance_bulk_revocation(id).await?;
        }
        Ok(there.revoked)
    }

    /// What is in force and has a successor from the next generation: of managed certificates what was current before, of others what
    /// was renewed.
    async fn replaced(&self, survey: &Survey, next: &AuthorityId) -> Result<Vec<CertificateName>, Failure> {
        let still: BTreeSet<&String> = survey
            .managed
            .values()
            .filter_map(|one| one.current.as_ref())
            .map(|current| &current.certificate)
            .collect();
        let renewed =
            certificates(self.service, next, super::now()).await?.into_iter().filter_map(|(_, renews)| renews);
        let old: BTreeSet<String> = self.state.managed.values().cloned().chain(renewed).collect();
        let replaced = old.iter().filter(|id| survey.in_force.contains(*id) && !still.contains(id));
        replaced.map(|id| id.parse().map(CertificateName::Id).map_err(Failure::failed)).collect()
    }

    async fn report(&self, next: &AuthorityId) -> Result<Report, Failure> {
        let survey = Survey::take(self.service, &self.args.id, super::now()).await?;
        let steps = self.state.steps.iter().map(|(step, course)| StepReport {
            step: *step,
            count: course.count,
            seconds: course.seconds(),
            detail: match course.ended_at {
                Some(_) => String::new(),
                None => "not ended: the same command goes on with it".to_owned(),
            },
        });
        Ok(Report {
            authority: self.args.id.to_string(),
            next_generation: Some(next.to_string()),
            executed: true,
            steps: steps.collect(),
            left: left(&survey.count),
            managed_left: survey.managed.into_keys().collect(),
            of_the_service: survey.count.left_out,
        })
    }

    fn begin(&mut self, step: Step) -> Result<(), Failure> {
        self.state.begin(step, super::now());
        self.keep()
    }

    fn end(&mut self, step: Step, count: u64) -> Result<(), Failure> {
        let now: Timestamp = super::now();
        self.state.end(step, count, now);
        self.keep()
    }

    fn keep(&self) -> Result<(), Failure> {
        self.state.keep(self.path)
    }
}

fn describe(report: &Report) -> String {
    let mut text = match report.executed {
        true => format!("drill of {}:\n", report.authority),
        false => format!("drill of {}; nothing was changed, and --execute would do this:\n", report.authority),
    };
    for step in &report.steps {
        let time = step.seconds.map(|seconds| format!(", {seconds:.1} s")).unwrap_or_default();
        let detail = if step.detail.is_empty() { String::new() } else { format!(": {}", step.detail) };
        text.push_str(&format!("  {}: {}{time}{detail}\n", step.step.words(), step.count));
    }
    let left: u64 = report.left.iter().map(|left| left.count).sum();
    let shares: Vec<String> = report.left.iter().map(|left| format!("{} {}", left.count, left.profile)).collect();
    let tense = if report.executed { "left" } else { "in force today" };
    text.push_str(&match left {
        0 => format!("{tense}: nothing\n"),
        _ => format!("{tense}: {left} certificates ({})\n", shares.join(", ")),
    });
    if !report.managed_left.is_empty() {
        text.push_str(&format!("managed certificates that would stay: {}\n", report.managed_left.join(", ")));
    }
    if report.of_the_service > 0 {
        text.push_str(&format!(
            "{} certificates of the service itself are in force besides: operators renew theirs, the service its own\n",
            report.of_the_service
        ));
    }
    text
}
