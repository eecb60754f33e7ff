//! `ceremony`: on a machine without network; no service is asked, and none is there.

use std::io;
use std::sync::Arc;

use ca_engine::port::clock::Clock;
use ca_engine::port::entropy::Entropy;
use ca_runtime::ceremony::{Ceremony, CeremonyError, Mode, Verified, open, run as carry_out, verify};
use ca_runtime::clock::SystemClock;
use ca_runtime::config::PassphraseSource;
use ca_runtime::entropy::SystemEntropy;
use ca_runtime::seal::Passphrase;
use serde::Serialize;

use super::now;
use crate::args::{CeremonyCommand, CeremonyOpenArgs, CeremonyPlanArgs, CeremonyRunArgs, CeremonyVerifyArgs};
use crate::exit::{Exit, Failure};
use crate::printer::Printer;

pub(super) async fn run(command: &CeremonyCommand, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        CeremonyCommand::Plan(args) => plan(args, printer),
        CeremonyCommand::Run(args) => carry(args, printer).await,
        CeremonyCommand::Verify(args) => check(args, printer),
        CeremonyCommand::Open(args) => open_sealed(args, printer),
    }
}

#[derive(Serialize)]
struct Planned {
    fingerprint: String,
    acts: Vec<String>,
}

fn plan(args: &CeremonyPlanArgs, printer: &Printer) -> Result<Exit, Failure> {
    let ceremony = Ceremony::read(&args.script).map_err(failure)?;
    let acts = acts(&ceremony)?;
    let planned = Planned { fingerprint: ceremony.fingerprint(), acts };
    printer.result(&planned, |planned| {
        let mut lines = ceremony.heading();
        lines.extend(planned.acts.iter().enumerate().map(|(index, act)| format!("{:>3}. {act}", index + 1)));
        lines.push(format!("the fingerprint of all of this, to be typed when it is run: {}", planned.fingerprint));
        lines.join("\n")
    })?;
    Ok(Exit::Done)
}

fn acts(ceremony: &Ceremony) -> Result<Vec<String>, Failure> {
    Ok(ceremony.plan(now()).map_err(failure)?.acts.iter().map(ToString::to_string).collect())
}

async fn carry(args: &CeremonyRunArgs, printer: &Printer) -> Result<Exit, Failure> {
    let ceremony = Ceremony::read(&args.script).map_err(failure)?;
    let mode = if args.rehearsal { Mode::Rehearsal } else { Mode::Real };
    // The fingerprint itself is not shown: it comes from the paper that was reviewed.
    ceremony.heading().iter().for_each(|line| printer.note(line));
    for (index, act) in acts(&ceremony)?.iter().enumerate() {
        printer.note(format!("{:>3}. {act}", index + 1));
    }
    printer.note(format!("the clock of this machine says {}; compare it with a watch", now()));
    if mode == Mode::Rehearsal {
        printer.note("this is a rehearsal: the root's key is thrown away");
    }
    printer.note("type the fingerprint of the reviewed script, as `ceremony plan` printed it:");
    let mut typed = String::new();
    io::stdin().read_line(&mut typed).map_err(Failure::failed)?;
    if typed.trim().to_lowercase() != ceremony.fingerprint() {
        return Err(Failure::Failed(
            "that is not the fingerprint of this script with what it names; nothing was done".to_owned(),
        ));
    }
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
    let clock = SystemClock;
    let tell = |act: &str| printer.note(format!("{} {act} …", clock.now().floor_to_second()));
    let output = carry_out(&ceremony, mode, &clock, &entropy, &tell).await.map_err(failure)?;
    printer.note(format!("{}: done, and the transcript is signed", output.display()));
    report(&verify(&output, None).map_err(failure)?, printer)
}

fn check(args: &CeremonyVerifyArgs, printer: &Printer) -> Result<Exit, Failure> {
    let fingerprint = args.root_fingerprint.as_ref().map(|fingerprint| fingerprint.0);
    report(&verify(&args.folder, fingerprint).map_err(failure)?, printer)
}

#[derive(Serialize)]
struct Report<'a> {
    whole: bool,
    rehearsal: bool,
    root: String,
    root_fingerprint_sha256: String,
    acts: usize,
    faults: &'a [String],
    absent: &'a [String],
    opened: Vec<&'a String>,
}

fn report(verified: &Verified, printer: &Printer) -> Result<Exit, Failure> {
    let report = Report {
        whole: verified.faults.is_empty(),
        rehearsal: verified.is_rehearsal,
        root: verified.root.subject().to_string(),
        root_fingerprint_sha256: hex::encode(verified.root.fingerprint_sha256()),
        acts: verified.summary.entries.len(),
        faults: &verified.faults,
        absent: &verified.absent,
        opened: verified.opened.iter().collect(),
    };
    printer.result(&report, |report| {
        let mut lines = vec![
            format!("root: {}", report.root),
            format!("      SHA-256 {}", report.root_fingerprint_sha256),
            format!("the transcript has {} lines", report.acts),
        ];
        if report.rehearsal {
            lines.push("it was a rehearsal: nothing of it is to be trusted".to_owned());
        }
        lines.extend(report.opened.iter().map(|file| format!("opened: {file}")));
        lines.extend(report.absent.iter().map(|file| format!("not here: {file}")));
        lines.extend(report.faults.iter().map(|fault| format!("WRONG: {fault}")));
        lines.push(if report.whole { "whole".to_owned() } else { "NOT whole".to_owned() });
        lines.join("\n")
    })?;
    Ok(if report.whole { Exit::Done } else { Exit::Failed })
}

fn open_sealed(args: &CeremonyOpenArgs, printer: &Printer) -> Result<Exit, Failure> {
    if args.operator.len() < 2 {
        return Err(Failure::Usage("name at least two people who open it, each with --operator".to_owned()));
    }
    let passphrase =
        Passphrase::read(&PassphraseSource::File(args.passphrase_file.clone())).map_err(Failure::failed)?;
    let opened = open(&args.folder, args.number, &passphrase, &args.operator, now()).map_err(failure)?;
    for file in &opened.files {
        printer.note(format!("{} is there", file.display()));
    }
    printer.note(format!(
        "for the time from {} on: `ca-server import-crl` and `import-responder` take them",
        opened.begins
    ));
    Ok(Exit::Done)
}

fn failure(error: CeremonyError) -> Failure {
    match error {
        CeremonyError::Script(_) => Failure::Usage(error.to_string()),
        error => Failure::failed(error),
    }
}
