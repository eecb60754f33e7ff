//! Backup, loss and restoration: what was revoked stays revoked, no number is given out twice, and what cannot be known is not
//! called good.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ca_api::certificate::Certificate;
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::anchor;
use ca_e2e::client::{Client, eventually};
use ca_e2e::identity::Identity;
use ca_e2e::record::{audit_events, rehash};
use ca_e2e::shared_record;
use ca_e2e::stack::{EMBEDDED, PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_e2e::tools::openssl;

const PASSPHRASE: &str = "a passphrase of this backup alone";

/// The files of a backup of this site, beside its data folder.
pub(super) struct Backup {
    file: String,
    passphrase: String,
}

impl Backup {
    fn of(site: &Site) -> anyhow::Result<Self> {
        let path = |name: &str| site.work_folder().join(name).display().to_string();
        let backup = Self { file: path("record.backup"), passphrase: path("backup.passphrase") };
        std::fs::write(&backup.passphrase, PASSPHRASE)?;
        Ok(backup)
    }

    fn make(&self, site: &Site) -> anyhow::Result<()> {
        let (succeeded, said) = site.run(&["backup", &self.file, "--passphrase-file", &self.passphrase])?;
        ensure!(succeeded && said.contains("passphrase of the seal"), "{said}");
        Ok(())
    }

    fn restore(&self, site: &Site, more: &[&str]) -> anyhow::Result<(bool, String)> {
        site.run(&[&["restore", &self.file, "--passphrase-file", &self.passphrase], more].concat())
    }

    /// The command that restores it.
    pub(super) fn restore_command(&self) -> [String; 4] {
        ["restore", &self.file, "--passphrase-file", &self.passphrase].map(str::to_owned)
    }
}

/// Loses the record of a site: its file, or the database, for an empty one on the same server.
fn destroy_record(site: &mut Site) -> anyhow::Result<()> {
    if let Some(url) = shared_record::new_database()? {
        site.set("CA__DATABASE__URL", &url);
        return Ok(());
    }
    for file in ["ca.db", "ca.db-wal", "ca.db-shm"] {
        let _absent = std::fs::remove_file(site.data_folder().join(file));
    }
    Ok(())
}

async fn wait_for_anchor(site: &Site, serials: &[&str]) -> anyhow::Result<()> {
    anchor::wait_for(&site.data_folder().join("anchor"), serials).await
}

/// The number of a list, as openssl reads it, and whether it lists serials.
pub(super) struct List {
    pub(super) number: u64,
    text: String,
}

pub(super) async fn list(public: &Client, folder: &Path) -> anyhow::Result<List> {
    let list = public.get("/crl/tls.crl").await?.expect(200)?;
    let path = tempfile::NamedTempFile::new_in(folder)?;
    std::fs::write(path.path(), &list.body)?;
    let file = path.path().to_str().context("a path that is not UTF-8")?;
    let number = openssl(["crl", "-inform", "DER", "-in", file, "-noout", "-crlnumber"], folder)?.text();
    let digits = number.trim().trim_start_matches("crlNumber=").trim_start_matches("0x");
    let number = u64::from_str_radix(digits, 16).with_context(|| format!("no number: {number}"))?;
    let text = openssl(["crl", "-inform", "DER", "-in", file, "-noout", "-text"], folder)?.text().to_lowercase();
    Ok(List { number, text })
}

impl List {
    pub(super) fn has(&self, certificate: &Certificate) -> bool {
        self.text.contains(&format!("serial number: {}", certificate.serial))
    }
}

/// What openssl's OCSP client is told of a certificate.
pub(super) fn ocsp(site: &Site, certificate: &Certificate) -> anyhow::Result<String> {
    let folder = tempfile::tempdir_in(site.work_folder())?;
    std::fs::write(folder.path().join("leaf.pem"), &certificate.certificate)?;
    std::fs::write(folder.path().join("chain.pem"), &certificate.chain)?;
    std::fs::write(folder.path().join("trust.pem"), format!("{}{}", certificate.chain, site.root_pem()?))?;
    let url = format!("{}/ocsp", site.public_url());
    let arguments =
        ["ocsp", "-issuer", "chain.pem", "-cert", "leaf.pem", "-CAfile", "trust.pem", "-url", &url, "-no_nonce"];
    let said = openssl(arguments, folder.path())?.all();
    ensure!(said.contains("Response verify OK"), "{said}");
    let status = said.lines().find_map(|line| line.strip_prefix("leaf.pem: ")).context("no status")?;
    Ok(status.to_owned())
}

async fn enrol(client: &Client, names: &str, count: usize) -> anyhow::Result<Vec<(Certificate, Identity)>> {
    let mut all = Vec::new();
    for number in 0..count {
        all.push(client.enrol("client", &format!("{names}-{number}.example.test")).await?);
    }
    Ok(all)
}

/// A service that was backed up, issued ten certificates and revoked five (three of the ten, two older ones), and lost its record.
pub(super) struct Lost {
    pub(super) site: Site,
    pub(super) backup: Backup,
    pub(super) old: Vec<(Certificate, Identity)>,
    pub(super) new: Vec<(Certificate, Identity)>,
    pub(super) revoked: Vec<Certificate>,
    pub(super) number: u64,
    serials: BTreeSet<String>,
}

pub(super) async fn lose() -> anyhow::Result<Lost> {
    let site = Site::initialised(&[])?;
    let backup = Backup::of(&site)?;
    let stack = site.serve()?;
    let administrator = stack.administrator()?;
    let old = enrol(&administrator, "old", 3).await?;
    backup.make(&stack)?;
    let new = enrol(&administrator, "new", 10).await?;
    let mut revoked = Vec::new();
    for (certificate, _) in old[..2].iter().chain(&new[..3]) {
        revoked.push(administrator.revoke(&certificate.id, "superseded").await?);
    }
    let public = stack.public()?;
    let complete = || async {
        let list = list(&public, stack.work_folder()).await?;
        Ok(revoked.iter().all(|certificate| list.has(certificate)).then_some(list))
    };
    let number = eventually(PATIENCE, "the list has all five", complete).await?.number;
    let serials: Vec<&str> = revoked.iter().map(|certificate| certificate.serial.as_str()).collect();
    wait_for_anchor(&stack, &serials).await?;
    let serials = old.iter().chain(&new).map(|(certificate, _)| certificate.serial.clone()).collect();
    let mut site = stack.kill();
    destroy_record(&mut site)?;
    Ok(Lost { site, backup, old, new, revoked, number, serials })
}

#[tokio::test]
async fn what_was_revoked_after_the_backup_stays_revoked_and_no_number_is_used_twice() -> anyhow::Result<()> {
    let Lost { site, backup, old, new, revoked, number, mut serials } = lose().await?;
    let (succeeded, said) = backup.restore(&site, &[])?;
    ensure!(succeeded, "{said}");
    for told in ["revoked since the backup, and revoked again", "issued and revoked since the backup", "unknown"] {
        assert!(said.contains(told), "`{told}` is missing in: {said}");
    }
    let stack = site.serve()?;
    let public = stack.public()?;
    for certificate in &revoked {
        assert_eq!(ocsp(&stack, certificate)?, "revoked");
    }
    assert_eq!(ocsp(&stack, &old[2].0)?, "good");
    for (certificate, _) in &new[3..] {
        assert_eq!(ocsp(&stack, certificate)?, "unknown", "until it is presented");
    }
    let after = list(&public, stack.work_folder()).await?;
    assert!(after.number > number, "CRL {} after {number}", after.number);
    assert!(revoked.iter().all(|certificate| after.has(certificate)));

    // Who presents a certificate is known again, and who presents a revoked one is not.
    let (certificate, identity) = &new[5];
    stack.holder(identity)?.get("/v1/profiles").await?.expect(200)?;
    assert_eq!(ocsp(&stack, certificate)?, "good");
    stack.holder(&new[0].1)?.get("/v1/profiles").await?.expect_problem(ProblemType::InvalidCredential)?;
    assert_eq!(ocsp(&stack, &new[0].0)?, "revoked");
    // The operator may bring one as well, beside the running service.
    let file = stack.work_folder().join("found.pem");
    std::fs::write(&file, &new[6].0.certificate)?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    let (succeeded, said) = stack.run(&["import", file])?;
    ensure!(succeeded && said.contains("on record as"), "{said}");
    assert_eq!(ocsp(&stack, &new[6].0)?, "good");

    // The service goes on: no serial twice, lists that rise, a chain that is whole.
    let administrator = stack.administrator()?;
    for (certificate, _) in enrol(&administrator, "later", 5).await? {
        assert!(serials.insert(certificate.serial.clone()), "serial {} twice", certificate.serial);
        administrator.revoke(&certificate.id, "superseded").await?;
    }
    let risen = || async {
        let list = list(&public, stack.work_folder()).await?;
        Ok((list.number > after.number).then_some(()))
    };
    eventually(PATIENCE, "the next list", risen).await?;
    let chained = || async {
        let events = audit_events(&administrator).await?;
        Ok(events.iter().any(|event| event.action == "record-restored").then_some(events))
    };
    rehash(&eventually(PATIENCE, "the event of the restoration", chained).await?)?;
    // Nothing is missing, then and after a restart.
    let site = stack.stop()?;
    let (succeeded, said) = site.run(&["restore", "--reconcile"])?;
    assert!(succeeded && said.contains("nothing to do"), "{said}");
    Ok(())
}

#[tokio::test]
async fn without_an_anchor_nothing_is_signed_until_the_operator_decides() -> anyhow::Result<()> {
    let Lost { site, backup, old, revoked, number, .. } = lose().await?;
    for folder in ["anchor", "crl"] {
        std::fs::remove_dir_all(site.data_folder().join(folder))?;
    }
    let (succeeded, said) = backup.restore(&site, &[])?;
    assert!(!succeeded, "{said}");
    for told in ["no anchor", "--accept-without-anchor", "valid again", "restore --reconcile"] {
        assert!(said.contains(told), "`{told}` is missing in: {said}");
    }
    // The service answers, and calls nothing good.
    let stack = site.serve()?;
    assert_closed(&stack, &old[2].0).await?;
    let site = stack.stop()?;
    let (succeeded, said) = site.run(&["restore", "--reconcile", "--accept-without-anchor"])?;
    assert!(succeeded && said.contains("WITHOUT AN ANCHOR"), "{said}");
    let stack = site.serve()?;
    assert_eq!(ocsp(&stack, &old[2].0)?, "good");
    assert_eq!(ocsp(&stack, &revoked[4])?, "unknown", "it is not on record");
    let after = list(&stack.public()?, stack.work_folder()).await?;
    assert!(after.number > number, "CRL {} after {number}", after.number);
    Ok(())
}

/// Nothing is signed or changed, no list is served, nobody is admitted, and it says what to do.
async fn assert_closed(stack: &Stack, certificate: &Certificate) -> anyhow::Result<()> {
    let public = stack.public()?;
    assert!(Subject::of(certificate)?.ask_ocsp_once(&public).await.is_err(), "never `good`");
    public.get("/crl/tls.crl").await?.expect_problem(ProblemType::SigningSuspended)?;
    public.get("/ready").await?.expect(503)?;
    let ready = stack.admin()?.get("/ready").await?.expect(503)?.text();
    assert!(ready.contains("\"anchor\""), "{ready}");
    let administrator = stack.administrator()?;
    let path = format!("/v1/certificates/{}/revoke", certificate.id);
    let refused = administrator.post(&path, &serde_json::json!({ "reason": "superseded" })).await?;
    let problem = refused.expect_problem(ProblemType::SigningSuspended)?;
    assert!(problem.detail.contains("ca-server restore --reconcile"), "{}", problem.detail);
    // Whoever shows a certificate may have lost it since the record was as it is.
    let refused = administrator.get(&format!("{}?limit=1", route::CERTIFICATES)).await?;
    refused.expect_problem(ProblemType::SigningSuspended)?;
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_copied_back_by_hand_is_found_out_at_the_next_start() -> anyhow::Result<()> {
    let site = Site::initialised(&[EMBEDDED])?;
    let stack = site.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "copied.example.test").await?;
    let site = stack.stop()?;
    let (database, copy) = (site.data_folder().join("ca.db"), site.work_folder().join("copy.db"));
    std::fs::copy(&database, &copy)?;
    let stack = site.serve()?;
    stack.administrator()?.revoke(&certificate.id, "keyCompromise").await?;
    wait_for_anchor(&stack, &[&certificate.serial]).await?;
    let site = stack.stop()?;
    std::fs::copy(&copy, &database)?;

    let stack = site.serve()?;
    assert_closed(&stack, &certificate).await?;
    let site = stack.stop()?;
    let (succeeded, said) = site.run(&["restore", "--reconcile"])?;
    ensure!(succeeded, "{said}");
    let stack = site.serve()?;
    let status = Subject::of(&certificate)?.ask_ocsp(&stack.public()?).await?;
    assert!(matches!(status, CertStatus::Revoked { .. }), "{status:?}");
    Ok(())
}

#[tokio::test]
async fn a_backup_that_was_changed_or_cut_off_or_is_opened_with_another_passphrase_restores_nothing()
-> anyhow::Result<()> {
    let mut site = Site::initialised(&[])?;
    let backup = Backup::of(&site)?;
    backup.make(&site)?;
    let whole = std::fs::read(&backup.file)?;
    let (succeeded, said) = backup.restore(&site, &[])?;
    assert!(!succeeded && said.contains("not empty"), "a record is never overwritten: {said}");
    let (succeeded, said) = site.run(&["backup", &backup.file, "--passphrase-file", &backup.passphrase])?;
    assert!(!succeeded && said.contains("--force"), "nor is a backup: {said}");
    assert_eq!(std::fs::read(&backup.file)?, whole);
    destroy_record(&mut site)?;

    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let spoiled: [(Vec<u8>, &str); 3] = [
        (whole[..whole.len() - 100].to_vec(), "cut off"),
        (flipped, "does not open"),
        (b"not a backup at all, but long enough to be taken for one at first".to_vec(), "no backup"),
    ];
    for (octets, hint) in spoiled {
        std::fs::write(&backup.file, octets)?;
        let (succeeded, said) = backup.restore(&site, &[])?;
        assert!(!succeeded && said.contains(hint), "`{hint}` is missing in: {said}");
    }
    std::fs::write(&backup.file, &whole)?;
    std::fs::write(&backup.passphrase, "not the passphrase of this backup")?;
    let (succeeded, said) = backup.restore(&site, &[])?;
    assert!(!succeeded && said.contains("passphrase"), "{said}");
    // Nothing was written, so the right one still finds an empty place.
    std::fs::write(&backup.passphrase, PASSPHRASE)?;
    let (succeeded, said) = backup.restore(&site, &[])?;
    ensure!(succeeded, "{said}");
    Ok(())
}

#[tokio::test]
async fn a_backup_made_while_clients_issue_is_one_instant_of_the_record() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let backup = Backup::of(&stack)?;
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let administrator = stack.administrator();
            tokio::spawn(async move { enrol(&administrator?, &format!("busy-{number}"), 12).await })
        })
        .collect();
    let administrator = stack.administrator()?;
    let begun = || async {
        let page = administrator.get("/v1/certificates?profile=client&limit=20").await?.expect(200)?.text();
        Ok((page.matches("busy-").count() > 5).then_some(()))
    };
    eventually(PATIENCE, "some are issued", begun).await?;
    backup.make(&stack)?;
    let mut issued = Vec::new();
    for client in clients {
        issued.extend(client.await??);
    }
    let mut site = stack.stop()?;
    destroy_record(&mut site)?;
    let (succeeded, said) = backup.restore(&site, &[])?;
    ensure!(succeeded, "{said}");
    let stack = site.serve()?;
    let mut unknown = 0;
    for (certificate, identity) in &issued {
        match Subject::of(certificate)?.ask_ocsp(&stack.public()?).await? {
            CertStatus::Good => {}
            // What was under way at that instant is closed.
            CertStatus::Revoked { .. } => continue,
            CertStatus::Unknown => unknown += 1,
        }
        stack.holder(identity)?.get("/v1/profiles").await?.expect(200)?;
    }
    assert!(unknown > 0, "some were issued after the backup");
    rehash(&audit_events(&stack.administrator()?).await?)?;
    Ok(())
}

#[test]
fn a_backup_is_for_its_owner_alone_and_shows_nothing() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::initialised(&[])?;
    let backup = Backup::of(&site)?;
    backup.make(&site)?;
    assert_eq!(std::fs::metadata(&backup.file)?.permissions().mode() & 0o777, 0o600);
    let octets = std::fs::read(&backup.file)?;
    for clear in [&b"administrator"[..], b"SQLite format", b"serials", b"kdf"] {
        assert!(!octets.windows(clear.len()).any(|part| part == clear), "{}", String::from_utf8_lossy(clear));
    }
    let beside: Vec<PathBuf> =
        std::fs::read_dir(site.work_folder())?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    let left = beside.iter().filter(|path| path.to_string_lossy().contains(".new-")).count();
    assert_eq!(left, 0, "{beside:?}");
    Ok(())
}
