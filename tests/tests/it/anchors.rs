//! Two roots beside each other: another is taken on record, an authority goes over to it, and a cross-certificate leads from the old one
//! to what is below the new one. Judged by openssl, GnuTLS, Java and Python with either anchor.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use ca_api::authority::{Authority, AuthorityStatus};
use ca_e2e::client::eventually;
use ca_e2e::stack::{PATIENCE, Stack};
use ca_e2e::tools::{openssl, run};

use crate::external_root::{Others, done, import, refused, requested};

/// Whether Java's and Python's verifiers lead the chain in a file, its leaf first, to an anchor; both must say the same. Java asks for
/// the status of the leaf as well.
fn verifies_elsewhere(folder: &Path, chain: &str, anchor: &str) -> anyhow::Result<bool> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = package.parent().unwrap_or(package).join("target/test-tools/venv/bin/python");
    let script = package.join("python/path_judge.py").display().to_string();
    let asked = Command::new(&python).args([script.as_str(), anchor, chain, "client"]).current_dir(folder).output();
    let said = asked.with_context(|| format!("{} is not there: run tests/install.sh", python.display()))?;
    let by_python = said.status.success();
    let source = package.join("java/PathJudge.java").display().to_string();
    let by_java = run("java", [source.as_str(), anchor, chain], folder)?;
    let is_good = by_java.text().lines().any(|line| line.ends_with(" leaf good"));
    let why = String::from_utf8_lossy(&said.stderr);
    ensure!(
        by_python == is_good,
        "Python {by_python} ({why}), Java {is_good} of {chain} to {anchor}: {}",
        by_java.all()
    );
    Ok(is_good)
}

/// Whether openssl and GnuTLS lead a leaf to an anchor by a chain, and Java and Python with them; all must say the same.
fn verifies(others: &Others, leaf: &str, chain: &str, anchor: &str) -> anyhow::Result<bool> {
    let [leaf, chain, anchor] = [leaf, chain, anchor].map(|file| others.path(file));
    let by_openssl = openssl(["verify", "-CAfile", &anchor, "-untrusted", &chain, &leaf], &others.folder).is_ok();
    let whole = others.path("whole.pem");
    std::fs::write(&whole, std::fs::read_to_string(&leaf)? + &std::fs::read_to_string(&chain)?)?;
    let certtool = ["--verify", "--verify-profile=medium", "--load-ca-certificate", &anchor, "--infile", &whole];
    let by_gnutls = run("certtool", certtool, &others.folder).is_ok_and(|said| said.all().contains("Verified."));
    ensure!(by_openssl == by_gnutls, "openssl {by_openssl}, GnuTLS {by_gnutls} of {leaf} to {anchor}");
    let elsewhere = verifies_elsewhere(&others.folder, &whole, &anchor)?;
    ensure!(by_openssl == elsewhere, "openssl {by_openssl}, Java and Python {elsewhere} of {leaf} to {anchor}");
    Ok(by_openssl)
}

async fn status(stack: &Stack, id: &str) -> anyhow::Result<AuthorityStatus> {
    let authority: Authority =
        stack.administrator()?.get(&format!("/v1/authorities/{id}")).await?.expect(200)?.json()?;
    Ok(authority.status)
}

#[tokio::test]
async fn an_authority_goes_over_to_another_root_and_clients_of_either_root_verify_what_it_issues() -> anyhow::Result<()>
{
    let (site, old) = requested()?;
    import(&site, &old)?;
    done(&site, &["import-crl", &old.list("first.crl")?])?;
    let new = Others::named(&site, "new", "New root of others")?;
    let stack = site.serve()?;
    let public = stack.public()?;
    let (leaf, _) = stack.administrator()?.enrol("client", "old.example.test").await?;
    std::fs::write(old.path("old-leaf.pem"), &leaf.certificate)?;
    std::fs::write(old.path("old-chain.pem"), &leaf.chain)?;

    // The other root, by its fingerprint only.
    let (root, fingerprint) = (new.path("root.pem"), new.fingerprint()?);
    let plain = fingerprint.replace(':', "").to_lowercase();
    refused(&stack, &["authority", "import-root", &root], &[&plain, "--root-fingerprint"])?;
    let leaf_of_old = old.path("tls.pem");
    refused(&stack, &["authority", "import-root", &leaf_of_old, "--root-fingerprint", &plain], &["fingerprint"])?;
    let take = ["authority", "import-root", &root, "--root-fingerprint", &fingerprint];
    for _ in 0..2 {
        ensure!(done(&stack, &take)?.contains("root `root-2` is on record"));
    }
    let both = [&old, &new].map(|others| std::fs::read_to_string(others.path("root.pem")));
    let [first, second] = both;
    let roots = first? + &second?;
    eventually(PATIENCE, "both roots", async || {
        Ok((public.get("/roots.pem").await?.expect(200)?.text() == roots).then_some(()))
    })
    .await?;

    // The next generation below it.
    let csr = old.path("tls-2.csr");
    refused(&stack, &["authority", "rollover", "tls", "--below", "document", "--csr-out", &csr], &["below a root"])?;
    done(&stack, &["authority", "rollover", "tls", "--below", "root-2", "--csr-out", &csr])?;
    old.sign(csr.as_ref(), "of_authority", "wrong.pem", "300")?;
    let below = ["authority", "rollover", "tls", "--below", "root-2", "--issue-after", "15s", "--import"];
    let wrong = old.path("wrong.pem");
    refused(&stack, &[&below[..], &[&wrong]].concat(), &["not signed by the key of root-2"])?;
    new.sign(csr.as_ref(), "of_authority", "tls-2.pem", "300")?;
    let right = new.path("tls-2.pem");
    done(&stack, &[&below[..], &[&right]].concat())?;
    let leaf = eventually(PATIENCE, "the next generation issues", async || {
        let (certificate, _) = stack.administrator()?.enrol("client", "new.example.test").await?;
        Ok((certificate.authority == "tls-2").then_some(certificate))
    })
    .await?;
    std::fs::write(old.path("new-leaf.pem"), &leaf.certificate)?;
    std::fs::write(old.path("new-chain.pem"), &leaf.chain)?;
    std::fs::copy(new.path("root.pem"), old.path("new-root.pem"))?;
    ensure!(verifies(&old, "old-leaf.pem", "old-chain.pem", "root.pem")?);
    ensure!(verifies(&old, "new-leaf.pem", "new-chain.pem", "new-root.pem")?);
    ensure!(!verifies(&old, "new-leaf.pem", "new-chain.pem", "root.pem")?);

    // The old root certifies the new one: who trusts the old one only comes to both.
    public.get("/ca/tls-2.root.pem").await?.expect(404)?;
    new.openssl(&["x509", "-x509toreq", "-in", "root.pem", "-signkey", "root.key", "-out", "cross.csr"])?;
    let csr = new.folder.join("cross.csr");
    old.sign(&csr, "of_cross_0", "short.pem", "300")?;
    refused(&stack, &["authority", "import-cross", &old.path("short.pem")], &["path length of 0"])?;
    old.sign(&csr, "of_cross_mail", "mail.pem", "300")?;
    refused(&stack, &["authority", "import-cross", &old.path("mail.pem")], &["not for"])?;
    refused(&stack, &["authority", "import-cross", &root], &["no other root on record signed it"])?;
    refused(&stack, &["authority", "import-cross", &old.path("tls.pem")], &["import the root first"])?;
    old.sign(&csr, "of_cross", "cross.pem", "300")?;
    for _ in 0..2 {
        done(&stack, &["authority", "import-cross", &old.path("cross.pem")])?;
    }
    let chain = public.get("/ca/tls-2.root.pem").await?.expect(200)?.text();
    ensure!(chain.matches("BEGIN CERTIFICATE").count() == 2, "{chain}");
    std::fs::write(old.path("cross-chain.pem"), &chain)?;
    ensure!(verifies(&old, "new-leaf.pem", "cross-chain.pem", "root.pem")?);
    ensure!(public.get("/ca/tls.root.pem").await?.expect(200)?.text() == leaf_chain(&old)?);
    public.get("/ca/tls.root-2.pem").await?.expect(404)?;
    public.get("/ca/tls-2.tls.pem").await?.expect(404)?;

    // Each goes on, whatever stands beside it.
    for root in ["root", "root-2"] {
        ensure!(status(&stack, root).await? == AuthorityStatus::Active, "{root}");
    }

    // Each root has its own lists; what the old one says of the cross-certificate counts.
    done(&stack, &["import-crl", &new.list("new.crl")?])?;
    old.openssl(&["ca", "-config", "ca.cnf", "-revoke", "cross.pem", "-crl_reason", "superseded"])?;
    ensure!(done(&stack, &["import-crl", &old.list("second.crl")?])?.contains("is revoked on record now"));
    stack.public()?.get("/ca/tls-2.root.pem").await?.expect(404)?;
    Ok(())
}

/// The old generation's chain to its own root: itself.
fn leaf_chain(old: &Others) -> anyhow::Result<String> {
    std::fs::read_to_string(old.path("old-chain.pem")).context("the chain of the first leaf")
}
