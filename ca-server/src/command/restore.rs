//! `ca-server restore FILE` and `ca-server restore --reconcile`: a record from a backup, brought up to what was published since.

use std::path::PathBuf;

use anyhow::{Context, bail};
use ca_engine::anchor_verdict::RECONCILE_COMMAND;
use ca_engine::flow::recover::Recovered;
use ca_engine::flow::restore::{Evidence, RestoreReport};
use ca_runtime::backup::load_backup;
use ca_runtime::open::{Purpose, Runtime};

use super::backup::{Progress, read_passphrase};
use super::{load, say};
use crate::args::{Global, RestoreArgs};

pub(super) async fn restore(global: &Global, args: &RestoreArgs) -> anyhow::Result<()> {
    let config = load(global)?;
    if let Some(file) = &args.file {
        let Some(passphrase_file) = &args.passphrase_file else {
            bail!("name the passphrase's file, --passphrase-file")
        };
        let passphrase = read_passphrase(passphrase_file)?;
        let progress = Progress::new("restored");
        load_backup(&config, &passphrase, file, &|octets| progress.tell(octets)).await?;
        say(format!("{} is restored; it is now compared with what was published since", file.display()));
    }
    let evidence = if args.accept_without_anchor { Evidence::RecordAlone } else { Evidence::Anchor };
    let reconciled = async {
        let runtime = Runtime::open(config, Purpose::Restore).await?;
        let report = runtime.restore_record(evidence).await?;
        runtime.close().await;
        anyhow::Ok(report)
    };
    let report = reconciled.await.with_context(|| match args.file {
        Some(_) => format!("the record is restored, and closed until `{RECONCILE_COMMAND}` has succeeded"),
        None => "the record was not brought up to what was published".to_owned(),
    })?;
    match report {
        Some(report) => tell(&report),
        None => say("the record holds everything that was published; there is nothing to do"),
    }
    Ok(())
}

fn tell(report: &RestoreReport) {
    let count = |what: usize| what.to_string();
    let row = |what: &str, number: String| say(format!("{what:<66}{number:>8}"));
    row("revoked since the backup, and revoked again", count(report.revoked.len()));
    row("issued and revoked since the backup: their serials answer as revoked", count(report.lost.len()));
    row("revoked since the backup, removed after their retention before", count(report.removed.len()));
    row("released since the backup, and on hold again", count(report.held_again.len()));
    row("issuances under way when the backup was made: answer as revoked", report.abandoned.to_string());
    row("enrolment tokens withdrawn, since they may have been used", report.tokens_withdrawn.to_string());
    if let Some((end, noted)) = report.audit_gap {
        row("audit events missing at least", (noted - end).to_string());
    }
    for (authority, known, floor) in &report.lists {
        say(format!("CRL of {authority}: number {known} is the newest known, the next is above {floor}"));
    }
    for (authority, serial) in &report.held_again {
        say(format!("on hold again: {authority}:{serial}; `ca-cli unhold` ends it"));
    }
    for (certificate, role) in &report.roles {
        say(format!("role {role}: certificate {certificate}"));
    }
    say("");
    if !report.with_anchor {
        say("WITHOUT AN ANCHOR: whatever was revoked after the backup is valid again. Revoke it again now.");
        say("");
    }
    if let Some(since) = report.since {
        say(format!("certificates issued after {since} are not on record; OCSP says `unknown` of them until"));
    }
    match report.with_anchor {
        true => say("  their holders present them to the API, or `ca-server import FILE` takes them back"),
        false => say("  `ca-server import FILE` takes them back: nobody else knows whether they were revoked"),
    }
    say("look at the roles above: one that was withdrawn after the backup is back, and one that was granted is gone");
    say("next: ca-server serve; make new enrolment tokens; `ca-server admin reset` when a role is not as it should be");
}

/// `ca-server import FILE…`: takes certificates back on record that were issued after the backup.
pub(super) async fn import(global: &Global, files: &[PathBuf]) -> anyhow::Result<()> {
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    let mut failed = 0;
    for file in files {
        let imported = async {
            let octets = std::fs::read(file)?;
            anyhow::Ok(runtime.import_certificate(&octets).await?)
        };
        match imported.await {
            Ok(Recovered::Taken(stored)) => say(format!("{}: on record as {}", file.display(), stored.id)),
            Ok(Recovered::Known(stored)) => say(format!("{}: was on record, as {}", file.display(), stored.id)),
            Err(error) => {
                failed += 1;
                super::warn(format!("{}: {error:#}", file.display()));
            }
        }
    }
    runtime.close().await;
    if failed > 0 {
        bail!("{failed} of {} certificates were not taken back", files.len());
    }
    Ok(())
}
