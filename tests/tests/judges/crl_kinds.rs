//! Lists of every kind, as clients that others wrote judge by them: complete ones, shards and deltas. What they do is told in
//! `docs/crl-clients.md`; the table there is compared with what they did.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_api::certificate::Certificate;
use ca_core::crl::{EntryReason, ParsedCrl};
use ca_e2e::client::{Client, eventually};
use ca_e2e::identity::Identity;
use ca_e2e::stack::{PATIENCE, Site, Stack};

use crate::material::{Files, issue_client, wait, write};
use crate::tool::{Tool, workspace};

/// A service whose `tls` has two shards and a delta, and what clients are given of it, as PEM.
///
/// `good` and `revoked` are of one shard, `here`; `elsewhere` is the other one, made later. `before` is a complete list that does not have the
/// revocation yet, `delta` has it; `released` was on hold on `before`. `early` was revoked before the base of `delta`.
struct Kinds {
    stack: Stack,
    folder: PathBuf,
}

impl Kinds {
    async fn make() -> anyhow::Result<Self> {
        let stack = Site::initialised(&[("CA__AUTHORITY__TLS__SHARDS", "2")])?.serve()?;
        let (early, early_identity) = issue_client(&stack.administrator()?, "early", None).await?;
        stack.administrator()?.revoke(&early.id, "superseded").await?;
        fetch(&stack.public()?, "tls.crl", |list| has(list, &early)).await?;
        // The first delta starts from the list that is the newest then.
        let mut site = stack.stop()?;
        site.set("CA__AUTHORITY__TLS__DELTA", "true");
        let stack = site.serve()?;
        let folder = stack.work_folder().join("kinds");
        std::fs::create_dir(&folder).context("the folder for the judges cannot be made")?;
        let (administrator, public) = (stack.administrator()?, stack.public()?);
        for (path, file) in [("/roots.pem", "root.pem"), ("/ca/tls.pem", "tls.pem")] {
            write(&folder, file, public.get(path).await?.expect(200)?.body)?;
        }
        early_identity.write(&folder, "early")?;
        let (good, identity) = issue_client(&administrator, "good", None).await?;
        identity.write(&folder, "good")?;
        let here = shard(&good)?;
        let (revoked, identity) = issue_in_shard(&administrator, "revoked", here).await?;
        identity.write(&folder, "revoked")?;
        let (released, identity) = issue_in_shard(&administrator, "released", here).await?;
        identity.write(&folder, "released")?;

        administrator.revoke(&released.id, "certificateHold").await?;
        let before =
            fetch(&public, "tls.crl", |list| lists(list, &released, Some(EntryReason::CertificateHold))).await?;
        fetch(&public, "tls-delta.crl", |delta| delta.number() > before.number()).await?;
        let unhold = format!("/v1/certificates/{}/unhold", released.id);
        administrator.post(&unhold, &serde_json::json!({})).await?.expect(200)?;
        administrator.revoke(&revoked.id, "keyCompromise").await?;
        let compromised = |list: &ParsedCrl| lists(list, &revoked, Some(EntryReason::KeyCompromise));
        let complete = fetch(&public, "tls.crl", |list| compromised(list) && !has(list, &released)).await?;
        let listed_here = fetch(&public, &format!("tls/{here}.crl"), |list| compromised(list)).await?;
        // The other shard is the newer list: who keeps the newest of an issuer keeps that one.
        let (other, _) = issue_in_shard(&administrator, "other", 3 - here).await?;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        administrator.revoke(&other.id, "superseded").await?;
        let elsewhere = fetch(&public, &format!("tls/{}.crl", 3 - here), |list| has(list, &other)).await?;
        ensure!(elsewhere.this_update() > listed_here.this_update(), "the other shard is not newer");
        let delta = fetch(&public, "tls-delta.crl", |list| {
            compromised(list) && lists(list, &released, Some(EntryReason::RemoveFromCrl))
        });
        let of_all = [
            ("complete", complete),
            ("before", before),
            ("here", listed_here),
            ("elsewhere", elsewhere),
            ("delta", delta.await?),
            ("root", fetch(&public, "root.crl", |_| true).await?),
        ];
        for (name, list) in of_all {
            let der = write(&folder, &format!("{name}.der"), list.as_der())?;
            let pem = Tool::new("openssl").args(["crl", "-inform", "DER", "-in"]).arg(der);
            write(&folder, &format!("{name}.crl"), pem.run()?.accepts()?.stdout)?;
        }
        Ok(Self { stack, folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The files of lists, the root's with them: what it says of `tls` is asked for by some.
    fn lists(&self, names: &[&str]) -> Vec<PathBuf> {
        names.iter().chain(&["root"]).map(|name| self.file(&format!("{name}.crl"))).collect()
    }

    /// One file with several lists.
    fn one_file(&self, names: &[&str]) -> anyhow::Result<PathBuf> {
        let mut all = Vec::new();
        for list in self.lists(names) {
            all.extend(std::fs::read(list)?);
        }
        write(&self.folder, &format!("{}.pem", names.join("-and-")), all)
    }
}

/// The shard of a certificate, as its distribution point says.
fn shard(certificate: &Certificate) -> anyhow::Result<u32> {
    let said = Tool::new("openssl").args(["x509", "-noout", "-ext", "crlDistributionPoints"]);
    let said = said.input(certificate.certificate.as_bytes()).run()?.accepts()?.text();
    let shard = said.split("/crl/tls/").nth(1).and_then(|rest| rest.split(".crl").next());
    shard.and_then(|number| number.parse().ok()).with_context(|| format!("no shard: {said}"))
}

async fn issue_in_shard(administrator: &Client, name: &str, wanted: u32) -> anyhow::Result<(Certificate, Identity)> {
    // Chance decides: 64 of them in the other shard are not to be seen in the life of the sun.
    for _ in 0..64 {
        let (certificate, identity) = issue_client(administrator, name, None).await?;
        if shard(&certificate)? == wanted {
            return Ok((certificate, identity));
        }
    }
    anyhow::bail!("none of 64 certificates is in shard {wanted}")
}

/// Waits for a list that is as wanted.
async fn fetch(public: &Client, name: &str, wanted: impl Fn(&ParsedCrl) -> bool) -> anyhow::Result<ParsedCrl> {
    let path = format!("/crl/{name}");
    eventually(PATIENCE, &format!("{name} is as it should be"), || async {
        let answer = public.get(&path).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let list = ParsedCrl::from_der(answer.expect(200)?.body.to_vec())?;
        Ok(wanted(&list).then_some(list))
    })
    .await
}

fn has(list: &ParsedCrl, certificate: &Certificate) -> bool {
    certificate.serial.parse().is_ok_and(|serial| list.find(&serial).is_some())
}

fn lists(list: &ParsedCrl, certificate: &Certificate, reason: Option<EntryReason>) -> bool {
    certificate.serial.parse().ok().and_then(|serial| list.find(&serial)).is_some_and(|entry| entry.reason == reason)
}

/// A client, and whether it accepts a certificate by these lists.
type Accepts = fn(&Kinds, &str, &[&str]) -> anyhow::Result<bool>;

const CLIENTS: [(&str, Accepts); 7] = [
    ("OpenSSL", |kinds, file, lists| openssl(kinds, file, lists, &[])),
    ("OpenSSL with `-extended_crl -use_deltas`", |kinds, file, lists| {
        openssl(kinds, file, lists, &["-extended_crl", "-use_deltas"])
    }),
    ("GnuTLS", gnutls),
    ("NSS", nss),
    ("strongSwan", strongswan),
    ("Java", java),
    ("Python (pyca/cryptography, looked up by serial)", python),
];

/// What clients are given, in the order of the table's columns: which revoked certificate, and which lists.
const GIVEN: [(&str, &[&str]); 6] = [
    ("revoked", &["complete"]),
    ("revoked", &["here"]),
    ("revoked", &["elsewhere"]),
    ("revoked", &["here", "elsewhere"]),
    ("early", &["delta"]),
    ("revoked", &["before", "delta"]),
];

fn openssl(kinds: &Kinds, file: &str, lists: &[&str], options: &[&str]) -> anyhow::Result<bool> {
    let tool = Tool::new("openssl").args(["verify", "-x509_strict", "-crl_check_all"]).args(options);
    let tool = tool.arg("-CAfile").arg(kinds.file("root.pem")).arg("-untrusted").arg(kinds.file("tls.pem"));
    Ok(tool.arg("-CRLfile").arg(kinds.one_file(lists)?).arg(kinds.file(&format!("{file}.pem"))).run()?.accepted)
}

fn gnutls(kinds: &Kinds, file: &str, lists: &[&str]) -> anyhow::Result<bool> {
    let tool = Tool::new("certtool").arg("--verify").arg("--load-ca-certificate").arg(kinds.file("root.pem"));
    let tool = tool.arg(format!("--load-crl={}", kinds.one_file(lists)?.display()));
    Ok(tool.arg("--infile").arg(kinds.file(&format!("{file}.chain.pem"))).run()?.accepted)
}

/// One database for each set of lists, as a program that imports what it is given.
fn nss(kinds: &Kinds, file: &str, lists: &[&str]) -> anyhow::Result<bool> {
    let folder = kinds.file(&format!("nss-{}", lists.join("-")));
    let database = format!("sql:{}", folder.display());
    let certutil = |arguments: &[&str]| Tool::new("certutil").args(["-d", &database]).args(arguments);
    if !folder.exists() {
        std::fs::create_dir(&folder)?;
        certutil(&["-N", "--empty-password"]).run()?.accepts()?;
        for (name, trust) in [("root", "CT,C,C"), ("tls", ",,"), ("good", ",,"), ("revoked", ",,"), ("early", ",,")] {
            let add = certutil(&["-A", "-n", name, "-t", trust, "-i"]);
            add.arg(kinds.file(&format!("{name}.pem"))).run()?.accepts()?;
        }
        for list in lists {
            let import = Tool::new("crlutil").args(["-I", "-t", "1", "-d", &database, "-i"]);
            // It may refuse one; what it does without is what its users see.
            import.arg(kinds.file(&format!("{list}.der"))).run()?;
        }
    }
    Ok(certutil(&["-V", "-e", "-n", file, "-u", "C"]).run()?.accepted)
}

fn strongswan(kinds: &Kinds, file: &str, lists: &[&str]) -> anyhow::Result<bool> {
    let mut tool = Tool::new("pki").arg("--verify").arg("--in").arg(kinds.file(&format!("{file}.pem")));
    for authority in ["tls.pem", "root.pem"] {
        tool = tool.arg("--cacert").arg(kinds.file(authority));
    }
    for list in kinds.lists(lists) {
        tool = tool.arg("--crl").arg(list);
    }
    Ok(tool.run()?.accepted)
}

fn java(kinds: &Kinds, file: &str, lists: &[&str]) -> anyhow::Result<bool> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/java/CrlJudge.java");
    let tool = Tool::new("java").arg(source).arg(kinds.file("root.pem"));
    let verdict = tool.arg(kinds.file(&format!("{file}.chain.pem"))).args(kinds.lists(lists)).run()?;
    let expected = if verdict.accepted { "accepted" } else { "refused: " };
    Ok(verdict.says(expected)?.accepted)
}

fn python(kinds: &Kinds, file: &str, lists: &[&str]) -> anyhow::Result<bool> {
    let tool = Tool::python("crl_judge.py").arg(kinds.file("tls.pem")).arg(kinds.file(&format!("{file}.pem")));
    let verdict = tool.args(kinds.lists(lists)).run()?;
    let expected = if verdict.accepted { "accepted" } else { "refused: " };
    Ok(verdict.says(expected)?.accepted)
}

/// What a client makes of a revoked certificate and of one in force, in the words of the table.
fn verdict(revoked: bool, good: bool) -> &'static str {
    match (revoked, good) {
        (false, true) => "right",
        (false, false) => "refuses all",
        (true, true) => "**accepts the revoked one**",
        (true, false) => "**the reverse**",
    }
}

#[test]
fn the_table_of_clients_says_what_they_do() -> anyhow::Result<()> {
    let kinds = wait(Kinds::make())?;
    let mut rows = Vec::new();
    for (client, accepts) in CLIENTS {
        let mut row = format!("| {client} |");
        for (revoked, lists) in GIVEN {
            let of = |file| accepts(&kinds, file, lists).with_context(|| format!("{client}, {lists:?}"));
            row.push_str(&format!(" {} |", verdict(of(revoked)?, of("good")?)));
        }
        rows.push(row);
    }
    for row in &rows {
        ensure!(row.split('|').nth(2) == Some(" right "), "a complete list is for every client: {row}");
    }
    let guide = std::fs::read_to_string(workspace().join("docs/crl-clients.md"))?;
    let told: Vec<_> = guide.lines().filter(|line| CLIENTS.iter().any(|(client, _)| row_of(line, client))).collect();
    ensure!(told == rows, "docs/crl-clients.md says:\n{}\nbut it is so:\n{}", told.join("\n"), rows.join("\n"));
    openssl_reads_every_kind(&kinds)?;
    pkilint_finds_nothing_in(&kinds)?;
    shards_and_deltas_never_stand_for_the_complete_list(&kinds)
}

fn row_of(line: &str, client: &str) -> bool {
    line.strip_prefix("| ").and_then(|rest| rest.strip_prefix(client)).is_some_and(|rest| rest.starts_with(" |"))
}

fn openssl_reads_every_kind(kinds: &Kinds) -> anyhow::Result<()> {
    let of = |name: &str| {
        let crl = Tool::new("openssl").args(["crl", "-noout", "-text", "-verify", "-in"]);
        let crl = crl.arg(kinds.file(&format!("{name}.crl"))).arg("-CAfile").arg(kinds.file("tls.pem"));
        crl.run()?.accepts()?.says("verify OK")
    };
    of("complete")?.never_says("Distribution Point")?.says("X509v3 Freshest CRL")?.says("tls-delta.crl")?;
    for shard in ["here", "elsewhere"] {
        let said = of(shard)?.says("X509v3 Issuing Distribution Point: critical")?.says("Only User Certificates")?;
        said.never_says("Freshest")?.never_says("Delta")?;
    }
    of("delta")?.says("X509v3 Delta CRL Indicator: critical")?.says("Remove From CRL")?.never_says("Freshest")?;
    // A hold that ended: by the list of before it is revoked still, by the delta no more.
    let by = |lists: &[&str]| openssl(kinds, "released", lists, &["-extended_crl", "-use_deltas"]);
    ensure!(
        !by(&["before"])? && by(&["before", "delta"])? && by(&["complete"])?,
        "OpenSSL takes no notice of removeFromCRL"
    );
    // The certificate names the list as the list names itself.
    let distribution_point = |tool: Tool| -> anyhow::Result<String> {
        let said = tool.run()?.accepts()?.text();
        let uri = said.split_whitespace().find_map(|word| word.strip_prefix("URI:").map(str::to_owned));
        uri.with_context(|| format!("no URI: {said}"))
    };
    let certificate = Tool::new("openssl").args(["x509", "-noout", "-ext", "crlDistributionPoints", "-in"]);
    let list = Tool::new("openssl").args(["crl", "-noout", "-text", "-in"]).arg(kinds.file("here.crl"));
    let (certificate, list) =
        (distribution_point(certificate.arg(kinds.file("revoked.pem")))?, distribution_point(list)?);
    ensure!(certificate == list, "the certificate names {certificate}, the list {list}");
    Ok(())
}

fn pkilint_finds_nothing_in(kinds: &Kinds) -> anyhow::Result<()> {
    let lists = ["complete", "before", "here", "elsewhere", "delta"];
    let lines: String =
        lists.iter().map(|name| format!("crl {}\n", kinds.file(&format!("{name}.der")).display())).collect();
    let said = Tool::python("lint_judge.py").input(lines).run()?.accepts()?.text();
    ensure!(said.is_empty(), "pkilint found:\n{said}");
    Ok(())
}

/// What gateways fetch has complete lists only, whatever else there is.
fn shards_and_deltas_never_stand_for_the_complete_list(kinds: &Kinds) -> anyhow::Result<()> {
    let all = wait(async { kinds.stack.public()?.get("/crl/all.pem").await?.expect(200) })?;
    let lists = ParsedCrl::all_from_pem(&all.text())?;
    ensure!(lists.len() == 3, "{} lists", lists.len());
    ensure!(
        lists.iter().all(|list| !list.is_delta() && list.distribution_point().is_none()),
        "a list that is not complete"
    );
    let place = kinds.stack.data_folder().join("crl");
    for name in ["tls.crl", "tls-delta.crl", "tls/1.crl", "tls/2.crl"] {
        let file: &Path = name.as_ref();
        ensure!(place.join(file).is_file(), "{name} does not lie in the data folder");
    }
    Ok(())
}
