//! The disk is full: changes are refused with 503 and nothing is half done; status is told all the same, even after a restart;
//! and all is well once there is room.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_api::bulk_revocation::{BulkRevocation, BulkRevocationState};
use ca_api::certificate::{Certificate, CertificateStatus, NewCertificate};
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_core::crl::ParsedCrl;
use ca_core::ocsp::CertStatus;
use ca_e2e::cli::Terminal;
use ca_e2e::client::{Client, eventually, send};
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::ledger::Ledger;
use ca_e2e::many::issue_many;
use ca_e2e::outage::{AGREEMENT, Judge, Lists};
use ca_e2e::record::{damage, number};
use ca_e2e::small_disk::SmallDisk;
use ca_e2e::stack::{EMBEDDED, PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_e2e::tools::run;
use reqwest::Method;
use reqwest::header::ACCEPT_ENCODING;
use serde_json::json;

/// How many changes the database may still hold in room that it had taken before.
const SOON: usize = 200;

fn order(name: &str) -> anyhow::Result<NewCertificate> {
    Ok(request("server", SubjectKey::generate()?.csr(name, &[name])?))
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_changes_while_the_disk_is_full_and_goes_on_when_there_is_room() -> anyhow::Result<()> {
    let mut site = Site::empty(&[])?;
    let disk = SmallDisk::under(&mut site, 24)?;
    let (made, said) = site.run(&["init"])?;
    ensure!(made, "{said}");
    let stack = site.serve()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let (known, _) = administrator.enrol("server", "known.example").await?;
    let subject = Subject::of(&known)?;

    disk.fill()?;
    let mut received: Vec<Certificate> = Vec::new();
    let refused = loop {
        let answer = administrator.post(route::CERTIFICATES, &order("late.example")?).await?;
        if answer.status != 201 {
            break answer;
        }
        received.push(answer.json()?);
        ensure!(received.len() < SOON, "the disk is full, and nothing is refused");
    };
    let problem = refused.expect_problem(ProblemType::Unavailable)?;
    ensure!(problem.detail.contains("storage"), "{}", problem.detail);
    ensure!(problem.retry_after.is_some() && !refused.header("retry-after").is_empty(), "no hint when to come again");
    let revocation = serde_json::json!({ "reason": "superseded" });
    let path = format!("/v1/certificates/{}/revoke", known.id);
    administrator.post(&path, &revocation).await?.expect_problem(ProblemType::Unavailable)?;
    by_command_line_is_refused(&stack, &["revoke", &known.id, "--reason", "superseded"])?;
    // What was not committed is told nowhere; what is there is told.
    ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good, "a revocation that was refused");
    public.get("/crl/tls.crl").await?.expect(200)?;
    administrator.get(&format!("/v1/certificates/{}", known.id)).await?.expect(200)?;
    ensure!(stack.logs().iter().any(|line| line.contains("full")), "the log is silent");

    // A machine that is restarted with its disk full still tells the status of what it issued.
    let stack = stack.kill().serve().context("with a full disk")?;
    ensure!(subject.ask_ocsp(&stack.public()?).await? == CertStatus::Good, "no status after a restart");

    disk.make_room()?;
    let issued = eventually(PATIENCE, "a certificate", || async {
        let answer = administrator.post(route::CERTIFICATES, &order("in-time.example")?).await?;
        Ok(if answer.status == 201 { Some(answer.json::<Certificate>()?) } else { None })
    })
    .await?;
    administrator.revoke(&known.id, "superseded").await?;
    ensure!(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }), "not revoked");
    eventually(AGREEMENT, "the revocation in the CRL", || async {
        Ok(subject.is_listed(&public.get("/crl/tls.crl").await?.expect(200)?.body)?.then_some(()))
    })
    .await?;
    for certificate in received.iter().chain([&issued]) {
        let found: Certificate =
            administrator.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?.json()?;
        ensure!(found.certificate == certificate.certificate, "{} is another one", certificate.id);
    }

    // A restart closes what the full disk left open.
    let stack = stack.stop()?.serve()?;
    let judge = Judge::new(&stack).await?;
    judge.nothing_is_open()?;
    judge.list_is_complete(&Ledger::default(), &mut Lists::default()).await?;
    judge.serials_are_unique()?;
    judge.audit_chain_is_whole(&Ledger::default()).await
}

#[test]
fn a_backup_onto_a_full_disk_leaves_no_half_file_and_the_record_as_it_is() -> anyhow::Result<()> {
    let mut site = Site::empty(&[])?;
    let disk = SmallDisk::under(&mut site, 24)?;
    let (made, said) = site.run(&["init"])?;
    ensure!(made, "{said}");
    let passphrase = site.work_folder().join("backup.passphrase").display().to_string();
    std::fs::write(&passphrase, "a passphrase of this backup alone")?;
    let target = site.own_data_folder().join("record.backup").display().to_string();
    let backup = ["backup", &target, "--passphrase-file", &passphrase];
    disk.fill()?;
    let (succeeded, said) = site.run(&backup)?;
    ensure!(!succeeded && said.contains("make room"), "{said}");
    disk.make_room()?;
    for entry in std::fs::read_dir(site.data_folder())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(!name.contains(".new-") && name != "record.backup", "{name} was left");
    }
    let (succeeded, said) = site.run(&backup)?;
    ensure!(succeeded, "{said}");
    site.serve()?.stop()?;
    Ok(())
}

/// How many entries make a list whose compressed form is more than is kept in memory (4 MiB): of each, 16 octets are chance.
const ENTRIES: u32 = 320_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_list_for_whose_compressed_form_there_is_no_room_is_sent_as_it_is() -> anyhow::Result<()> {
    let mut site = Site::embedded()?;
    damage(
        &site,
        &format!(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {ENTRIES})
             INSERT INTO serials (serial, authority, certificate_id, state, reason, revoked_at, not_after)
             SELECT CAST(x'40' || randomblob(15) AS BLOB), 'tls', randomblob(16), 3, 4, 1767225600000, 4102444800000 FROM numbers"
        ),
    )?;
    let lists = site.own_data_folder().join("crl");
    let disk = SmallDisk::at(&mut site, &lists, 160)?;
    let stack = site.serve()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let (certificate, _) = administrator.enrol("client", "listed.example").await?;
    administrator.revoke(&certificate.id, "superseded").await?;
    eventually(Duration::from_secs(120), "the long list", || async {
        let answer = send(public.request(Method::HEAD, "/crl/tls.crl")).await?.expect(200)?;
        let size: u64 = answer.header("content-length").parse()?;
        Ok((size > u64::from(ENTRIES) * 16).then_some(()))
    })
    .await?;
    let fetch = || public.get_with("/crl/tls.crl", ACCEPT_ENCODING, "gzip");
    disk.fill()?;
    let plain = fetch().await?.expect(200)?;
    ensure!(plain.header("content-encoding").is_empty(), "compressed without room");
    ensure!(ParsedCrl::from_der(plain.body)?.entries().count() == ENTRIES as usize + 1);
    ensure!(stack.logs().iter().any(|line| line.contains("cannot be compressed")), "the log is silent");
    disk.make_room()?;
    let compressed = fetch().await?.expect(200)?;
    ensure!(compressed.header("content-encoding") == "gzip", "not compressed with room");
    ensure!(compressed.body.len() > 4 << 20, "it needed no room: {}", compressed.body.len());
    Ok(())
}

/// So many are revoked.
const MANY: usize = 1_500;

/// What is left on the disk: enough for some of them.
const LEFT: u64 = 512 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_revocation_that_meets_a_full_disk_goes_on_when_there_is_room() -> anyhow::Result<()> {
    let mut site = Site::empty(&[EMBEDDED])?;
    let disk = SmallDisk::under(&mut site, 64)?;
    let (made, said) = site.run(&["init"])?;
    ensure!(made, "{said}");
    let mut stack = site.serve()?;
    let administrator = Arc::new(stack.administrator()?);
    let issued = issue_many(Arc::clone(&administrator), "client", "full.example.test", MANY).await?;
    // On record, and held up until the disk is full.
    hold_up(&stack, FAR_AWAY)?;
    let body = json!({ "filter": { "profile": "client" }, "reason": "superseded", "expected_count": MANY });
    let begun: BulkRevocation = administrator.post("/v1/certificates/revoke", &body).await?.expect(202)?.json()?;
    let path = format!("/v1/revocations/{}", begun.id);
    release_without_room_in_the_log(&mut stack, &disk).await?;
    eventually(PATIENCE, "the log says that the job has no room", || async {
        Ok(stack.logs().iter().any(|line| line.contains("bulk") && line.contains("no space left")).then_some(()))
    })
    .await?;
    let stuck: BulkRevocation = administrator.get(&path).await?.expect(200)?.json()?;
    ensure!(stuck.state == BulkRevocationState::Running && stuck.remaining > 0, "{stuck:?}");
    ensure!(stuck.revoked + stuck.remaining == MANY as u64, "{stuck:?}");
    // What is told to be revoked is, and nothing else: one entry of the sequence for each.
    let revoked = "SELECT count(*) FROM revocations";
    ensure!(number(&stack, revoked)? == i64::try_from(stuck.revoked)?, "{stuck:?}");
    let alone = revoke_while_there_is_room(&administrator, &issued).await?;

    // A process that dies meanwhile takes nothing of it back; the next one folds the log, which may give a batch room.
    let stack = stack.kill().serve().context("with a full disk")?;
    let administrator = stack.administrator()?;
    let still: BulkRevocation = administrator.get(&path).await?.expect(200)?.json()?;
    ensure!(still.revoked >= stuck.revoked, "{still:?}");
    disk.make_room()?;
    let ended = eventually(PATIENCE, "the bulk revocation ends", || async {
        let there: BulkRevocation = administrator.get(&path).await?.expect(200)?.json()?;
        Ok((there.state != BulkRevocationState::Running).then_some(there))
    })
    .await?;
    ensure!((ended.revoked, ended.skipped, ended.remaining) == (MANY as u64 - alone, alone, 0), "{ended:?}");
    let public = stack.public()?;
    eventually(PATIENCE, "the list has all of them", || async {
        let list = ParsedCrl::from_der(public.get("/crl/tls.crl").await?.expect(200)?.body)?;
        Ok((list.entries().count() == MANY).then_some(()))
    })
    .await?;
    // Each once, whatever was begun and taken back.
    ensure!(number(&stack, revoked)? == MANY as i64);
    Judge::new(&stack).await?.audit_chain_is_whole(&Ledger::default()).await
}

/// Revokes certificates one by one until that is refused for want of room, which what was begun and taken back may have left in the
/// log for a few. Gives how many were revoked so.
async fn revoke_while_there_is_room(administrator: &Client, issued: &[Certificate]) -> anyhow::Result<u64> {
    let mut revoked = 0;
    for certificate in issued.iter().rev() {
        let path = format!("/v1/certificates/{}", certificate.id);
        if administrator.get(&path).await?.expect(200)?.json::<Certificate>()?.status == CertificateStatus::Revoked {
            continue;
        }
        let answer = administrator.post(&format!("{path}/revoke"), &json!({ "reason": "superseded" })).await?;
        if answer.status != 200 {
            ensure!(answer.expect_problem(ProblemType::Unavailable)?.detail.contains("storage"));
            return Ok(revoked);
        }
        revoked += 1;
    }
    anyhow::bail!("{revoked} were revoked on a full disk, and none was refused")
}

/// An instant that no test sees.
const FAR_AWAY: i64 = 99_999_999_999_999;

/// Takes the lease of bulk revocations away from the service until an instant.
fn hold_up(site: &Site, until: i64) -> anyhow::Result<()> {
    let sql = format!(
        "INSERT INTO leases (name, holder, token, expires_at) VALUES ('bulk-revocation', 'a test', 1000, {until})
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = leases.token + 1,
             expires_at = excluded.expires_at;
         PRAGMA wal_checkpoint(TRUNCATE);"
    );
    damage(site, &sql)
}

/// Gives that lease back and fills the disk while the server stands still. Its write-ahead log is empty then: one that was folded
/// into the database keeps its length, and would hold megabytes of changes on a full disk.
async fn release_without_room_in_the_log(stack: &mut Stack, disk: &SmallDisk) -> anyhow::Result<()> {
    let pid = stack.process().id().to_string();
    let signal = |signal: &str| run("kill", [signal, &pid], Path::new("/")).map(drop);
    let stack = &*stack;
    let log = disk.seen_at().join("ca.db-wal");
    eventually(Duration::from_secs(180), "the server stands still and holds no lock", || async {
        signal("-STOP")?;
        // In the middle of a commit it would hold one for ever.
        if hold_up(stack, 0).is_ok() && std::fs::metadata(&log)?.len() == 0 {
            return Ok(Some(()));
        }
        signal("-CONT")?;
        hold_up(stack, FAR_AWAY)?;
        Ok(None)
    })
    .await?;
    disk.fill_but(LEFT)?;
    signal("-CONT")
}

/// The administrator's command line says that the operator must make room, and that trying again may help.
fn by_command_line_is_refused(stack: &Stack, command: &[&str]) -> anyhow::Result<()> {
    let folder = stack.data_folder().join("admin");
    let [root, certificate, key] =
        ["ca.crt", "admin.crt", "admin.key"].map(|file| folder.join(file).display().to_string());
    let url = stack.api_url();
    let connection = ["--url", &url, "--root", &root, "--cert", &certificate, "--key", &key];
    Terminal::new()?.refused(3, &[&connection, command].concat(), &["no storage left", "must make room"]).map(drop)
}
