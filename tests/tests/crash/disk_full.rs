//! The disk is full: changes are refused with 503 and nothing is half done; status is told all the same, even after a restart;
//! and all is well once there is room.

use std::time::Duration;

use anyhow::{Context, ensure};
use ca_api::certificate::{Certificate, NewCertificate};
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_core::crl::ParsedCrl;
use ca_core::ocsp::CertStatus;
use ca_e2e::cli::Terminal;
use ca_e2e::client::{eventually, send};
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::ledger::Ledger;
use ca_e2e::outage::{AGREEMENT, Judge, Lists};
use ca_e2e::record::damage;
use ca_e2e::small_disk::SmallDisk;
use ca_e2e::stack::{Site, Stack};
use ca_e2e::status::Subject;
use reqwest::Method;
use reqwest::header::ACCEPT_ENCODING;

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
    let issued = eventually(Duration::from_secs(10), "a certificate", || async {
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

/// The administrator's command line says that the operator must make room, and that trying again may help.
fn by_command_line_is_refused(stack: &Stack, command: &[&str]) -> anyhow::Result<()> {
    let folder = stack.data_folder().join("admin");
    let [root, certificate, key] =
        ["ca.crt", "admin.crt", "admin.key"].map(|file| folder.join(file).display().to_string());
    let url = stack.api_url();
    let connection = ["--url", &url, "--root", &root, "--cert", &certificate, "--key", &key];
    Terminal::new()?.refused(3, &[&connection, command].concat(), &["no storage left", "must make room"]).map(drop)
}
