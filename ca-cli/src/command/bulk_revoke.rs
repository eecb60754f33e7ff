//! `revoke` of many: counts first, asks, and watches until it has ended. The work is the service's; only in local mode it is done here.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use ca_api::bulk_revocation::{BulkRevocation, BulkRevocationState, RevocationCount};
use ca_core::id::BulkRevocationId;
use ca_engine::flow::bulk_revoke::{BulkRevokeRequest, BulkSelection};
use ca_engine::flow::query::CertificateName;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::enforcement;
use super::reference::read_name;
use crate::args::RevokeArgs;
use crate::exit::{Exit, Failure};
use crate::printer::{Printer, plain};
use crate::service::Service;
use crate::settings::{Settings, Target};

/// Revokes many certificates, or tells of such a revocation.
pub(super) async fn run(
    service: &dyn Service,
    args: &RevokeArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let bulk = &args.bulk;
    if let Some(id) = bulk.status {
        return show(&service.bulk_revocation(id).await?, printer).map(|()| Exit::Done);
    }
    if let Some(id) = bulk.cancel {
        return show(&service.cancel_bulk_revocation(id).await?, printer).map(|()| Exit::Done);
    }
    let began = super::now();
    let begun = match bulk.resume {
        Some(id) => service.bulk_revocation(id).await?,
        None => match begin(service, args, printer).await? {
            Some(begun) => begun,
            None => return Ok(Exit::Done),
        },
    };
    let Some(ended) = watch(service, begun, settings, printer).await? else { return Ok(Exit::Failed) };
    let Some(limit) = args.wait.filter(|_| ended.state == BulkRevocationState::Completed) else {
        return show(&ended, printer).map(|()| exit_of(&ended));
    };
    if !printer.prints_json() {
        show(&ended, printer)?;
    }
    let enforcement = enforcement::wait_for_bulk(service, read_id(&ended)?, began, limit).await?;
    printer.result(&Enforced { revocation: &ended, enforcement: &enforcement }, |enforced| {
        let lines = enforced.enforcement.iter().map(|one| format!("{}: {}\n", plain(&one.authority), one.describe()));
        lines.collect()
    })?;
    let everywhere = enforcement.iter().all(|one| one.enforcement.is_complete());
    Ok(if everywhere { exit_of(&ended) } else { Exit::Failed })
}

/// What was revoked, and where that is enforced.
#[derive(Serialize)]
struct Enforced<'a> {
    #[serde(flatten)]
    revocation: &'a BulkRevocation,
    enforcement: &'a [enforcement::OfAuthority],
}

/// Counts, asks, and begins; `None` when only a count was asked for.
async fn begin(service: &dyn Service, args: &RevokeArgs, printer: &Printer) -> Result<Option<BulkRevocation>, Failure> {
    let bulk = &args.bulk;
    let selection = match &bulk.from_file {
        Some(path) => BulkSelection::Certificates(read_names(path)?),
        None => BulkSelection::Filter(bulk.read_filter(super::now()).map_err(Failure::Usage)?),
    };
    let mut request =
        BulkRevokeRequest { selection, reason: args.reason, invalidity_date: args.invalidity_date, request_id: None };
    let key = super::new_idempotency_key()?;
    if let (true, Some(expected)) = (bulk.yes, bulk.expect) {
        return service.begin_bulk_revocation(&request, expected, &key).await.map(Some);
    }
    let count = service.count_bulk_revocation(&request).await?;
    if bulk.dry_run {
        printer.result(&count, |count| describe_count(count, printer))?;
        return Ok(None);
    }
    if let Some(expected) = bulk.expect.filter(|expected| *expected != count.count) {
        return Err(Failure::Failed(format!(
            "{expected} certificates were to be revoked, and {} fit; nothing was revoked",
            count.count
        )));
    }
    printer.note(describe_count(&count, printer).trim_end());
    if count.count == 0 {
        return Err(Failure::Failed("there is nothing to revoke".to_owned()));
    }
    ask(&count)?;
    // What was issued since the count stands.
    if let (BulkSelection::Filter(filter), Some(before)) = (&mut request.selection, &count.issued_before) {
        let before = ca_core::time::Timestamp::parse_rfc3339(before);
        filter.issued_before = Some(before.map_err(|_| Failure::failed("the service answered a time that is none"))?);
    }
    service.begin_bulk_revocation(&request, count.count, &key).await.map(Some)
}

/// Has the number typed: whoever only presses a key has not read it.
fn ask(count: &RevocationCount) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "nothing was revoked: without a terminal, say --yes --expect {} once you are sure",
            count.count
        )));
    }
    let mut terminal = io::stderr().lock();
    let asked = write!(terminal, "type {} to revoke them: ", count.count).and_then(|()| terminal.flush());
    let mut line = String::new();
    asked.and_then(|()| io::stdin().lock().read_line(&mut line)).map_err(Failure::failed)?;
    if line.trim() == count.count.to_string() {
        return Ok(());
    }
    Err(Failure::Failed("that is another number; nothing was revoked".to_owned()))
}

/// Watches until it has ended; `None` when the caller has seen enough. It goes on all the same, but in local mode.
async fn watch(
    service: &dyn Service,
    begun: BulkRevocation,
    settings: &Settings,
    printer: &Printer,
) -> Result<Option<BulkRevocation>, Failure> {
    let id = read_id(&begun)?;
    let mut there = begun;
    // From here on, and not anew for each look: what is pressed between two looks counts too.
    let mut interrupts = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let progress = printer.counter(there.count, "revoking");
    progress.place(there.revoked + there.skipped);
    while there.state == BulkRevocationState::Running {
        tokio::select! {
            advanced = service.advance_bulk_revocation(id) => {
                there = advanced.inspect_err(|_| {
                    progress.suspend(|| printer.note(how_to_look(id, settings)));
                })?;
            }
            Some(()) = interrupts.recv() => {
                drop(progress);
                service.leave_bulk_revocation(id).await?;
                printer.note(how_to_look(id, settings));
                return Ok(None);
            }
        }
        progress.place(there.revoked + there.skipped);
    }
    Ok(Some(there))
}

fn how_to_look(id: BulkRevocationId, settings: &Settings) -> String {
    match &settings.target {
        Target::Local(folder) => format!(
            "revocation {id} is not done: `ca-cli --local {} revoke --resume {id}` goes on with it, and so does a server on \
             that folder",
            folder.display()
        ),
        _ => format!(
            "revocation {id} goes on at the service: `ca-cli revoke --status {id}` shows how far it has come, --resume {id} \
             watches it, --cancel {id} ends it"
        ),
    }
}

fn show(there: &BulkRevocation, printer: &Printer) -> Result<(), Failure> {
    printer.result(there, describe)
}

fn exit_of(ended: &BulkRevocation) -> Exit {
    if ended.state == BulkRevocationState::Completed { Exit::Done } else { Exit::Failed }
}

fn describe(there: &BulkRevocation) -> String {
    let state = match there.state {
        BulkRevocationState::Running => "is running",
        BulkRevocationState::Completed => "is completed",
        BulkRevocationState::Canceled => "was canceled",
    };
    let mut text = format!("revocation {} {state}: {} of {} revoked", there.id, there.revoked, there.count);
    for (count, what) in [(there.skipped, "revoked or removed by others before"), (there.remaining, "left")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if there.refused.count > 0 {
        text.push_str(&format!("\n{} were left out, because you may not revoke them", there.refused.count));
    }
    for list in &there.lists {
        text.push_str(&format!("\nrevocation list {} of {} has them", list.number, plain(&list.authority)));
    }
    text.push('\n');
    text
}

fn describe_count(count: &RevocationCount, printer: &Printer) -> String {
    let mut text = format!("{} certificates fit\n", count.count);
    if !count.shares.is_empty() {
        let rows = count.shares.iter();
        let rows = rows.map(|share| [share.authority.clone(), share.profile.clone(), share.count.to_string()]);
        text.push_str(&printer.table(["AUTHORITY", "PROFILE", "CERTIFICATES"], rows));
    }
    if !count.examples.is_empty() {
        text.push_str(if (count.examples.len() as u64) < count.count { "the newest of them:\n" } else { "" });
        let rows = count.examples.iter().map(|example| {
            [format!("{}:{}", example.authority, example.serial), example.subject.clone(), example.not_after.clone()]
        });
        text.push_str(&printer.table(["CERTIFICATE", "SUBJECT", "VALID UNTIL"], rows));
    }
    for (number, what) in [
        (count.already_revoked, "are revoked already"),
        (count.refused.count, "you may not revoke; they would be left out"),
        (count.left_out, "of the service itself are left out: name their profile if they are meant"),
    ] {
        if number > 0 {
            text.push_str(&format!("{number} {what}\n"));
        }
    }
    text
}

/// The certificates that a file names, one a line; empty lines and those that begin with `#` are passed over. Every fault is told.
fn read_names(path: &Path) -> Result<Vec<CertificateName>, Failure> {
    let text = match path == Path::new("-") {
        true => io::read_to_string(io::stdin()).map_err(|error| Failure::Failed(format!("standard input: {error}"))),
        false => std::fs::read_to_string(path).map_err(|error| Failure::of_file(path, error)),
    }?;
    let (mut names, mut faults) = (Vec::new(), String::new());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match read_name(line) {
            Some(name) => names.push(name),
            None => faults.push_str(&format!("\n  line {number}: no id, no AUTHORITY:SERIAL and no serial number")),
        }
    }
    match (faults.is_empty(), names.is_empty()) {
        (true, false) => Ok(names),
        (true, true) => Err(Failure::Usage(format!("{}: there is no certificate in it", path.display()))),
        (false, _) => Err(Failure::Usage(format!(
            "{}: nothing was revoked, because some lines are wrong:{faults}",
            path.display()
        ))),
    }
}

fn read_id(there: &BulkRevocation) -> Result<BulkRevocationId, Failure> {
    there.id.parse().map_err(|_| Failure::failed("the service answered an id that is none"))
}
