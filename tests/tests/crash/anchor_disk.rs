//! The disk of the anchor is full: the service goes on and says so, and what it could not write there is written when there is
//! room again, whoever was killed meanwhile.

use std::path::Path;

use anyhow::{Context, ensure};
use ca_api::certificate::Certificate;
use ca_core::ocsp::CertStatus;
use ca_e2e::anchor::{self, anchored};
use ca_e2e::client::eventually;
use ca_e2e::small_disk::SmallDisk;
use ca_e2e::stack::{EMBEDDED, PATIENCE, Site, Stack};
use ca_e2e::status::Subject;

/// How many are revoked while the disk is full: more than fit into the room that a log has in its last page.
const WHILE_FULL: usize = 60;

/// Whether the log says that the anchor cannot be written, and why.
async fn says_so(stack: &Stack) -> anyhow::Result<()> {
    let line = |line: &String| line.contains("\"anchor\"") && line.contains("No space left");
    eventually(PATIENCE, "the log says that the anchor's disk is full", || async {
        Ok(stack.logs().iter().any(line).then_some(()))
    })
    .await
}

async fn is_revoked(certificate: &Certificate, stack: &Stack) -> anyhow::Result<()> {
    let status = Subject::of(certificate)?.ask_ocsp(&stack.public()?).await?;
    ensure!(matches!(status, CertStatus::Revoked { .. }), "{} was revoked, and is {status:?}", certificate.id);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_disk_kept_out_of_the_anchor_is_there_when_there_is_room() -> anyhow::Result<()> {
    let mut site = Site::empty(&[EMBEDDED])?;
    let folder = site.work_folder().join("anchor");
    std::fs::create_dir(&folder)?;
    site.set("CA__ANCHOR__DIR", folder.to_str().context("a path that is not UTF-8")?);
    let disk = SmallDisk::at(&mut site, &folder, 2)?;
    let (made, said) = site.run(&["init"])?;
    ensure!(made, "{said}");
    let stack = site.serve()?;
    let administrator = stack.administrator()?;
    let mut certificates = Vec::new();
    for number in 0..WHILE_FULL + 2 {
        certificates.push(administrator.enrol("client", &format!("number-{number}.example.com")).await?.0);
    }
    let [before, while_full @ .., after_the_kill] = certificates.as_slice() else { anyhow::bail!("no certificates") };
    let site = stack.stop()?;
    let (record, copy) = (site.data_folder().join("ca.db"), site.work_folder().join("copy.db"));
    std::fs::copy(&record, &copy)?;
    let stack = site.serve()?;
    let administrator = stack.administrator()?;
    administrator.revoke(&before.id, "superseded").await?;
    anchor::wait_for(disk.seen_at(), &[&before.serial]).await?;

    disk.fill()?;
    for certificate in while_full {
        administrator.revoke(&certificate.id, "keyCompromise").await?;
    }
    says_so(&stack).await?;
    let newest = &while_full[while_full.len() - 1];
    is_revoked(newest, &stack).await?;
    ensure!(!anchored(disk.seen_at())?.contains(&newest.serial), "the disk was not full");
    administrator.enrol("client", "meanwhile.example.com").await?;
    // Whoever starts now finds the same, and has the same to catch up with.
    let stack = stack.kill().serve().context("with a full disk under the anchor")?;
    is_revoked(newest, &stack).await?;
    stack.administrator()?.revoke(&after_the_kill.id, "superseded").await?;
    says_so(&stack).await?;

    disk.make_room()?;
    let serials: Vec<&str> = certificates.iter().map(|certificate| certificate.serial.as_str()).collect();
    anchor::wait_for(disk.seen_at(), &serials).await?;

    // It is all that a record which is set back needs.
    let site = stack.stop()?;
    for file in ["ca.db-wal", "ca.db-shm"] {
        let _absent = std::fs::remove_file(site.data_folder().join(file));
    }
    copy_back(&copy, &record)?;
    let (succeeded, said) = site.run(&["restore", "--reconcile"])?;
    ensure!(succeeded, "{said}");
    let stack = site.serve()?;
    for certificate in &certificates {
        is_revoked(certificate, &stack).await?;
    }
    stack.stop().map(drop)
}

fn copy_back(copy: &Path, record: &Path) -> anyhow::Result<()> {
    std::fs::copy(copy, record).map(drop).context("the record cannot be set back")
}
