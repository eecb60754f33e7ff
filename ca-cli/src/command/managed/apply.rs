//! `managed apply`: what is on record becomes what a file says, after a plan was shown and confirmed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use ca_api::managed::{ManagedCertificate, NewManagedCertificate};
use ca_api::problem::ProblemType;
use ca_core::managed::definition::TargetDefinition;
use ca_engine::flow::managed::define::ManagedRequest;
use ca_engine::flow::managed::query::ManagedReference;
use ca_wire::managed::read_request;
use serde::{Deserialize, Serialize};

use super::all;
use crate::args::ManagedApplyArgs;
use crate::exit::{Exit, Failure};
use crate::printer::{Printer, plain};
use crate::service::Service;

/// A file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManagedFile {
    /// What it wants.
    #[serde(default)]
    managed: Vec<NewManagedCertificate>,
}

/// What is to be done about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Add,
    Change,
    Remove,
    Leave,
}

/// A line of the plan.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Step {
    name: String,
    action: Action,
    /// Which fields are changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<String>,
    #[serde(skip)]
    wanted: Option<ManagedRequest>,
}

/// What would be done, and whether it was.
#[derive(Serialize)]
struct Plan {
    steps: Vec<Step>,
    applied: bool,
}

pub(super) async fn run(service: &dyn Service, args: &ManagedApplyArgs, printer: &Printer) -> Result<Exit, Failure> {
    let wanted = read(&args.file)?;
    let steps = plan(wanted, &all(service).await?, args.prune)?;
    check(service, &steps).await?;
    let mut plan = Plan { steps, applied: false };
    let has_work = plan.steps.iter().any(|step| step.action != Action::Leave);
    if args.dry_run || !has_work {
        printer.result(&plan, |plan| describe(plan, printer))?;
        return Ok(Exit::Done);
    }
    if !args.yes {
        printer.note(describe(&plan, printer).trim_end());
        ask()?;
    }
    carry_out(service, &plan.steps, printer).await?;
    plan.applied = true;
    printer.result(&plan, |plan| describe(plan, printer))?;
    Ok(Exit::Done)
}

/// Reads a file; every fault is told, with the name of what it is about.
fn read(path: &Path) -> Result<BTreeMap<String, ManagedRequest>, Failure> {
    let text = match path == Path::new("-") {
        true => io::read_to_string(io::stdin()).map_err(|error| Failure::Failed(format!("standard input: {error}"))),
        false => std::fs::read_to_string(path).map_err(|error| Failure::of_file(path, error)),
    }?;
    let file: ManagedFile =
        toml::from_str(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    let (mut wanted, mut targets, mut faults) = (BTreeMap::new(), BTreeMap::new(), String::new());
    for one in &file.managed {
        match read_request(one) {
            Ok(request) => {
                if let Some(other) = targets.insert(place(&request), one.name.clone()) {
                    faults.push_str(&format!("\n  {}: it has the target of {other}; each needs its own", one.name));
                }
                if wanted.insert(one.name.clone(), request).is_some() {
                    faults.push_str(&format!("\n  {}: it is there twice", one.name));
                }
            }
            Err(told) => {
                for fault in told {
                    let place = fault.pointer.trim_start_matches('/');
                    faults.push_str(&format!("\n  {}: {place}: {}", one.name, fault.message));
                }
            }
        }
    }
    match (faults.is_empty(), wanted.is_empty()) {
        (false, _) => Err(Failure::Usage(format!("{}: nothing was changed:{}", path.display(), plain_lines(&faults)))),
        (true, true) => Err(Failure::Usage(format!("{}: there is no [[managed]] in it", path.display()))),
        (true, false) => Ok(wanted),
    }
}

/// What makes a target the one that it is.
fn place(request: &ManagedRequest) -> (&'static str, &'static str, String, Option<String>) {
    let deliverer = request.definition.delivered_by.as_str();
    match request.definition.target.clone() {
        TargetDefinition::Directory { path } => (deliverer, "directory", path, None),
        TargetDefinition::Pkcs12 { path, .. } => (deliverer, "pkcs12", path, None),
        TargetDefinition::SecretsManager { secret, region, .. } => (deliverer, "secrets-manager", secret, region),
    }
}

/// What is to be done: removals first, since they leave targets, then changes, then additions.
fn plan(
    mut wanted: BTreeMap<String, ManagedRequest>,
    there: &[ManagedCertificate],
    prune: bool,
) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    for one in there {
        let name = one.name.clone();
        let step = match wanted.remove(&one.name) {
            Some(request) => {
                let fields = changed_fields(one, &request)?;
                let action = if fields.is_empty() { Action::Leave } else { Action::Change };
                Step { name, action, fields, wanted: Some(request) }
            }
            None if prune => Step { name, action: Action::Remove, fields: Vec::new(), wanted: None },
            None => continue,
        };
        steps.push(step);
    }
    steps.extend(wanted.into_iter().map(|(name, request)| Step {
        name,
        action: Action::Add,
        fields: Vec::new(),
        wanted: Some(request),
    }));
    steps.sort_by_key(|step| match step.action {
        Action::Remove => 0,
        Action::Change => 1,
        Action::Add => 2,
        Action::Leave => 3,
    });
    Ok(steps)
}

/// Which fields of what is on record are another than what is wanted.
fn changed_fields(there: &ManagedCertificate, wanted: &ManagedRequest) -> Result<Vec<String>, Failure> {
    let old = serde_json::to_value(&there.definition).map_err(Failure::failed)?;
    let new = serde_json::to_value(&wanted.definition).map_err(Failure::failed)?;
    let names = [&old, &new].into_iter().filter_map(|value| value.as_object()).flat_map(|fields| fields.keys());
    let names: BTreeSet<&String> = names.collect();
    let mut changed: Vec<String> =
        names.into_iter().filter(|name| differs(old.get(name.as_str()), new.get(name.as_str()))).cloned().collect();
    if there.profile != wanted.profile.as_str() {
        changed.insert(0, "profile".to_owned());
    }
    Ok(changed)
}

/// Whether two values mean something else: what is empty or false may be left out.
fn differs(one: Option<&serde_json::Value>, other: Option<&serde_json::Value>) -> bool {
    normal(one) != normal(other)
}

fn normal(value: Option<&serde_json::Value>) -> serde_json::Value {
    use serde_json::Value;
    match value {
        None | Some(Value::Bool(false)) => Value::Null,
        Some(Value::Array(items)) if items.is_empty() => Value::Null,
        Some(Value::Object(fields)) => {
            let kept = fields.iter().map(|(name, value)| (name.clone(), normal(Some(value))));
            let kept: serde_json::Map<_, _> = kept.filter(|(_, value)| !value.is_null()).collect();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        Some(value) => value.clone(),
    }
}

/// Asks the service about everything before anything is changed; every refusal is told.
async fn check(service: &dyn Service, steps: &[Step]) -> Result<(), Failure> {
    // What another has now may be free once the plan is carried out.
    let moves = steps.iter().any(|step| matches!(step.action, Action::Remove | Action::Change));
    let mut faults = String::new();
    for step in steps {
        let Some(wanted) = &step.wanted else { continue };
        let judged = match step.action {
            Action::Add => service.add_managed(wanted, true).await,
            Action::Change => {
                let name = ManagedReference::Name(step.name.clone());
                service.change_managed(&name, wanted, true).await
            }
            Action::Remove | Action::Leave => continue,
        };
        match judged {
            Ok(_) => {}
            Err(taken) if moves && taken.is(ProblemType::ManagedCertificateExists) => {}
            Err(refusal) => match refusal.problem() {
                Some(problem) if (400..500).contains(&problem.status) => {
                    faults.push_str(&format!("\n  {}: {}", step.name, problem.detail));
                    for violation in problem.errors.iter().filter(|violation| violation.detail != problem.detail) {
                        faults.push_str(&format!(
                            "\n    {}: {}",
                            violation.pointer.trim_start_matches('/'),
                            violation.detail
                        ));
                    }
                }
                _ => return Err(refusal),
            },
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Failure::Failed(format!("nothing was changed:{}", plain_lines(&faults))))
    }
}

async fn carry_out(service: &dyn Service, steps: &[Step], printer: &Printer) -> Result<(), Failure> {
    let work: Vec<&Step> = steps.iter().filter(|step| step.action != Action::Leave).collect();
    let progress = printer.counter(work.len() as u64, "applying");
    for (done, step) in work.iter().enumerate() {
        let name = ManagedReference::Name(step.name.clone());
        let made = match (step.action, &step.wanted) {
            (Action::Add, Some(wanted)) => service.add_managed(wanted, false).await.map(|_| ()),
            (Action::Change, Some(wanted)) => service.change_managed(&name, wanted, false).await.map(|_| ()),
            (Action::Remove, _) => service.remove_managed(&name).await,
            _ => Ok(()),
        };
        made.inspect_err(|_| {
            progress.suspend(|| {
                let left = work.len() - done;
                printer.note(format!(
                    "{done} of {} done; {left} left, from {} on: apply it again",
                    work.len(),
                    step.name
                ));
            });
        })?;
        progress.advance();
    }
    Ok(())
}

fn ask() -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage("nothing was changed: without a terminal, say --yes once you are sure".to_owned()));
    }
    let mut terminal = io::stderr().lock();
    let asked = write!(terminal, "type yes to do it: ").and_then(|()| terminal.flush());
    let mut line = String::new();
    asked.and_then(|()| io::stdin().lock().read_line(&mut line)).map_err(Failure::failed)?;
    if line.trim() == "yes" { Ok(()) } else { Err(Failure::Failed("nothing was changed".to_owned())) }
}

fn describe(plan: &Plan, printer: &Printer) -> String {
    let count = |action| plan.steps.iter().filter(|step| step.action == action).count();
    let rows = plan.steps.iter().filter(|step| step.action != Action::Leave).map(|step| {
        let sign = match step.action {
            Action::Add => "+ add",
            Action::Change => "~ change",
            Action::Remove | Action::Leave => "- remove",
        };
        [sign.to_owned(), step.name.clone(), step.fields.join(", ")]
    });
    let rows: Vec<_> = rows.collect();
    let mut text = if rows.is_empty() { String::new() } else { printer.table(["", "NAME", "FIELDS"], rows) };
    let (added, changed, removed, left) =
        (count(Action::Add), count(Action::Change), count(Action::Remove), count(Action::Leave));
    let tense = if plan.applied { "done" } else { "to do" };
    text.push_str(&format!("{tense}: {added} added, {changed} changed, {removed} removed; {left} as they should be\n"));
    text
}

fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}
