//! Two generations of an authority, as clients that others wrote judge what both have issued: chains, lists in one file, OCSP.

use std::time::Duration;

use anyhow::{Context, ensure};
use ca_e2e::client::eventually;
use ca_e2e::stack::Site;

use crate::material::{Files, issue_client, wait, wait_until_listed, write};
use crate::tool::Tool;

/// Long enough for the least notice of a generation.
const SWITCH: Duration = Duration::from_secs(60);

#[test]
fn every_judge_tells_good_from_revoked_of_both_generations() -> anyhow::Result<()> {
    let stack = Site::initialised(&[])?.serve()?;
    let folder = stack.work_folder().join("generations");
    std::fs::create_dir(&folder).context("the folder for the judges cannot be made")?;
    let file = |name: &str| folder.join(name);
    let (administrator, public) = wait(async { Ok((stack.administrator()?, stack.public()?)) })?;
    let issue = |name: &'static str, generation: &'static str| {
        let (folder, administrator) = (&folder, &administrator);
        async move {
            let (certificate, identity) = issue_client(administrator, name, None).await?;
            ensure!(certificate.authority == generation, "{name} is of {}", certificate.authority);
            identity.write(folder, name)?;
            anyhow::Ok(certificate)
        }
    };
    let old = wait(async {
        issue("old-good", "tls").await?;
        issue("old-revoked", "tls").await
    })?;
    let (done, said) = stack.run(&["authority", "rollover", "tls", "--issue-after", "15s"])?;
    ensure!(done, "{said}");
    wait(async {
        eventually(SWITCH, "the next generation issues", || async {
            let (certificate, _) = administrator.enrol("client", "probe.example.com").await?;
            Ok((certificate.authority == "tls-2").then_some(()))
        })
        .await?;
        issue("new-good", "tls-2").await?;
        let new = issue("new-revoked", "tls-2").await?;
        for certificate in [&old, &new] {
            administrator.revoke(&certificate.id, "keyCompromise").await?;
            wait_until_listed(&public, certificate).await?;
        }
        for (path, name) in [
            ("/roots.pem", "root.pem"),
            ("/ca/tls.pem", "tls.pem"),
            ("/ca/tls-2.pem", "tls-2.pem"),
            ("/crl/tls.crl", "tls.crl"),
            ("/crl/tls-2.crl", "tls-2.crl"),
            ("/crl/root.crl", "root.crl"),
            ("/crl/all.pem", "crls.pem"),
        ] {
            write(&folder, name, public.get(path).await?.expect(200)?.body)?;
        }
        Ok(())
    })?;
    let generations = [("old", "tls.pem"), ("new", "tls-2.pem")];
    // OpenSSL and GnuTLS, with the lists of all in one file.
    for (which, issuer) in generations {
        let openssl = |leaf: &str| {
            let options = ["verify", "-x509_strict", "-crl_check_all", "-CAfile"];
            let tool = Tool::new("openssl").args(options).arg(file("root.pem")).arg("-CRLfile").arg(file("crls.pem"));
            tool.arg("-untrusted").arg(file(issuer)).arg(file(leaf)).run()
        };
        openssl(&format!("{which}-good.pem"))?.accepts()?;
        openssl(&format!("{which}-revoked.pem"))?.refuses("certificate revoked")?;
        let gnutls = |leaf: &str| {
            let tool = Tool::new("certtool").arg("--verify").arg("--load-ca-certificate").arg(file("root.pem"));
            let lists = format!("--load-crl={}", file("crls.pem").display());
            tool.arg(lists).arg("--infile").arg(file(leaf)).run()
        };
        gnutls(&format!("{which}-good.chain.pem"))?.accepts()?;
        gnutls(&format!("{which}-revoked.chain.pem"))?.refuses("revoked")?;
        // pyca/cryptography knows no lists.
        let python = Tool::python("path_judge.py").arg(file("root.pem"));
        python.arg(file(&format!("{which}-good.chain.pem"))).arg("client").run()?.accepts()?;
        // OpenSSL's own OCSP client, who takes the responder that this generation certified.
        for (standing, told) in [("good", "good"), ("revoked", "revoked")] {
            let leaf = file(&format!("{which}-{standing}.pem"));
            let ocsp = Tool::new("openssl").args(["ocsp", "-issuer"]).arg(file(issuer)).arg("-cert").arg(&leaf);
            let ocsp =
                ocsp.arg("-url").arg(format!("{}/ocsp", stack.public_url())).arg("-CAfile").arg(file("root.pem"));
            ocsp.run()?.accepts()?.says(&format!("{}: {told}", leaf.display()))?;
        }
    }
    // NSS keeps one list for each issuer's name: the generations have names of their own.
    let database = format!("sql:{}", folder.display());
    let certutil = |arguments: &[&str]| Tool::new("certutil").args(["-d", &database]).args(arguments);
    certutil(&["-N", "--empty-password"]).run()?.accepts()?;
    for (name, trust) in [
        ("root", "CT,C,C"),
        ("tls", ",,"),
        ("tls-2", ",,"),
        ("old-good", ",,"),
        ("old-revoked", ",,"),
        ("new-good", ",,"),
        ("new-revoked", ",,"),
    ] {
        certutil(&["-A", "-n", name, "-t", trust, "-i"]).arg(file(&format!("{name}.pem"))).run()?.accepts()?;
    }
    for list in ["root.crl", "tls.crl", "tls-2.crl"] {
        let import = Tool::new("crlutil").args(["-I", "-t", "1", "-d", &database, "-i"]);
        import.arg(file(list)).run()?.accepts()?;
    }
    for (which, _) in generations {
        certutil(&["-V", "-e", "-u", "C", "-n", &format!("{which}-good")]).run()?.accepts()?;
        certutil(&["-V", "-e", "-u", "C", "-n", &format!("{which}-revoked")]).run()?.refuses("revoked")?;
    }
    // Java asks by OCSP, and reads the lists that the certificates name.
    let chains = ["old-good", "old-revoked", "new-good", "new-revoked"].map(|name| format!("{name}.chain.pem"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/java/PathJudge.java");
    let java = Tool::new("java").arg(source).arg(file("root.pem")).args(chains.iter().map(|chain| file(chain)));
    let verdict = java.run()?.accepts()?;
    let lines: Vec<String> = verdict.text().lines().map(str::to_owned).collect();
    let mut expected = Vec::new();
    for chain in &chains {
        let told = if chain.contains("good") { "good" } else { "revoked KEY_COMPROMISE" };
        expected.extend(["ocsp", "leaf", "crl"].map(|way| format!("{chain} {way} {told}")));
    }
    ensure!(lines == expected, "{lines:#?}");
    Ok(())
}
