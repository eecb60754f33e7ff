//! OCSP as its clients see it: OpenSSL, GnuTLS, pyca/cryptography and Java, by POST and GET, with and without a nonce.

use anyhow::{Context, ensure};
use ca_e2e::client::send;
use reqwest::Method;

use crate::material::{Material, wait};
use crate::tool::{Tool, Verdict};

#[test]
fn openssl_verifies_every_kind_of_answer() -> anyhow::Result<()> {
    let material = Material::shared()?;
    openssl_judges(&material)
}

pub(crate) fn openssl_judges(material: &Material) -> anyhow::Result<()> {
    for (file, status) in [("good.pem", "good"), ("revoked.pem", "revoked"), ("unknown.pem", "unknown")] {
        for options in [&["-nonce"][..], &["-no_nonce"], &["-sha256", "-nonce"], &["-sha256", "-no_nonce"]] {
            let asked = by_openssl(material, "tls.pem").args(options).arg("-cert").arg(material.file(file));
            says_verified(asked.run()?, file, status)?;
        }
    }
    let asked = by_openssl(material, "tls.pem").arg("-cert").arg(material.file("revoked.pem")).run()?;
    asked.says("Reason: keyCompromise")?;
    Ok(())
}

/// RFC 6960 §4.1.2: a responder may pass over the signature of a request, and must not fall over it.
#[test]
fn openssl_is_answered_when_it_signs_its_request() -> anyhow::Result<()> {
    let material = Material::shared()?;
    for (file, status) in [("good.pem", "good"), ("revoked.pem", "revoked")] {
        let asked = by_openssl(&material, "tls.pem").arg("-signer").arg(material.file("good.pem"));
        let asked = asked.arg("-signkey").arg(material.file("good.key")).arg("-cert").arg(material.file(file));
        says_verified(asked.run()?, file, status)?;
    }
    Ok(())
}

#[test]
fn openssl_gets_two_statuses_in_one_answer() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let asked = by_openssl(&material, "tls.pem");
    let asked =
        asked.arg("-cert").arg(material.file("good.pem")).arg("-cert").arg(material.file("revoked.pem")).run()?;
    let asked = says_verified(asked, "good.pem", "good")?;
    says_verified(asked, "revoked.pem", "revoked")?;
    Ok(())
}

#[test]
fn the_root_has_an_intermediate_s_status_answered_while_its_key_is_away() -> anyhow::Result<()> {
    let material = Material::shared()?;
    openssl_judges_the_root_s(&material)
}

pub(crate) fn openssl_judges_the_root_s(material: &Material) -> anyhow::Result<()> {
    for file in ["tls.pem", "document.pem"] {
        let asked = by_openssl(material, "root.pem").arg("-cert").arg(material.file(file)).run()?;
        says_verified(asked, file, "good")?;
    }
    Ok(())
}

#[test]
fn openssl_reads_answers_to_get_however_the_path_is_written() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let folder = material.folder_for("ocsp-get")?;
    let request = folder.join("request.der");
    Tool::new("openssl")
        .args(["ocsp", "-no_nonce", "-issuer"])
        .arg(material.file("tls.pem"))
        .arg("-cert")
        .arg(material.file("good.pem"))
        .arg("-reqout")
        .arg(&request)
        .run()?
        .accepts()?;
    let base64 = Tool::new("base64").arg("--wrap=0").arg(&request).run()?.accepts()?.text();
    let encoded = base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    for (number, (version, path)) in
        [("--http1.0", &base64), ("--http1.1", &base64), ("--http1.0", &encoded), ("--http1.1", &encoded)]
            .iter()
            .enumerate()
    {
        let answer = folder.join(format!("{number}.der"));
        let url = format!("{}/{path}", material.ocsp_url());
        let curl = Tool::new("curl").args(["--silent", "--show-error", "--fail", "--max-time", "10", version]);
        curl.arg("--output").arg(&answer).arg(url).run()?.accepts()?;
        let read = Tool::new("openssl").args(["ocsp", "-no_nonce", "-respin"]).arg(&answer).arg("-issuer");
        let read = read.arg(material.file("tls.pem")).arg("-cert").arg(material.file("good.pem"));
        says_verified(read.arg("-CAfile").arg(material.file("trust.pem")).run()?, "good.pem", "good")?;
    }
    Ok(())
}

#[test]
fn gnutls_verifies_good_and_revoked() -> anyhow::Result<()> {
    let material = Material::shared()?;
    gnutls_judges(&material)
}

pub(crate) fn gnutls_judges(material: &Material) -> anyhow::Result<()> {
    for (file, status) in [("good.pem", "good"), ("revoked.pem", "revoked")] {
        for nonce in ["--nonce", "--no-nonce"] {
            let tool = Tool::new("ocsptool").arg(format!("--ask={}", material.ocsp_url())).arg("--load-cert");
            let tool = tool.arg(material.file(file)).arg("--load-issuer").arg(material.file("tls.pem"));
            let said = tool.arg("--load-trust").arg(material.file("trust.pem")).arg(nonce).run()?;
            said.says("Verifying OCSP Response: Success")?.says(&format!("Certificate Status: {status}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_strict_client_finds_nothing_amiss() -> anyhow::Result<()> {
    let material = Material::shared()?;
    a_strict_client_judges(&material)
}

pub(crate) fn a_strict_client_judges(material: &Material) -> anyhow::Result<()> {
    let judge = |issuer: &str, file: &str, verdict: &[&str]| {
        let tool = Tool::python("ocsp_judge.py").arg(material.ocsp_url()).arg(material.file(issuer));
        tool.arg(material.file(file)).args(verdict).run()?.accepts()
    };
    judge("tls.pem", "good.pem", &["good"])?;
    judge("tls.pem", "revoked.pem", &["revoked", "keyCompromise"])?;
    judge("tls.pem", "unknown.pem", &["unknown"])?;
    judge("root.pem", "tls.pem", &["good"])?;
    let refused = Tool::python("ocsp_judge.py").arg(material.ocsp_url()).arg(material.file("tls.pem"));
    refused.arg(material.file("good.pem")).arg("revoked").run()?.refuses("status")?;
    Ok(())
}

#[test]
fn a_hold_is_told_as_revoked_and_its_end_as_good() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let certificate = material.issue_client("held")?;
    let judge = |verdict: &[&str]| {
        let tool = Tool::python("ocsp_judge.py").arg(material.ocsp_url()).arg(material.file("tls.pem"));
        tool.arg(material.file("held.pem")).args(verdict).run()?.accepts()
    };
    wait(async {
        material.stack().administrator()?.revoke(&certificate.id, "certificateHold").await?;
        Ok(())
    })?;
    judge(&["revoked", "certificateHold"])?;
    wait(async {
        let path = format!("/v1/certificates/{}/unhold", certificate.id);
        material.stack().administrator()?.post(&path, &()).await?.expect(200)?;
        Ok(())
    })?;
    judge(&["good"])?;
    Ok(())
}

#[test]
fn java_validates_paths_by_ocsp_and_by_crl() -> anyhow::Result<()> {
    let material = Material::shared()?;
    java_judges(&material)
}

pub(crate) fn java_judges(material: &Material) -> anyhow::Result<()> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/java/PathJudge.java");
    for nonce in ["true", "false"] {
        let java = Tool::new("java").arg(format!("-Djdk.security.certpath.ocspNonce={nonce}"));
        let java = java.arg(format!("-Dresponder={}", material.ocsp_url())).arg(source);
        let java = java.args(["root.pem", "good.chain.pem", "revoked.chain.pem"].map(|file| material.file(file)));
        let verdict = java.run()?.accepts()?;
        let lines: Vec<String> = verdict.text().lines().map(str::to_owned).collect();
        let expected = [
            "good.chain.pem ocsp good",
            "good.chain.pem leaf good",
            "good.chain.pem crl good",
            "good.chain.pem named good",
            "revoked.chain.pem ocsp revoked KEY_COMPROMISE",
            "revoked.chain.pem leaf revoked KEY_COMPROMISE",
            "revoked.chain.pem crl revoked KEY_COMPROMISE",
            "revoked.chain.pem named revoked KEY_COMPROMISE",
        ];
        ensure!(lines == expected, "nonce {nonce}: {lines:#?}");
    }
    Ok(())
}

#[test]
fn garbage_is_answered_by_malformed_request() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let folder = material.folder_for("ocsp-garbage")?;
    let garbage: [&[u8]; 6] = [b"", b"garbage", b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x00", &[0; 30_000]];
    for (number, octets) in garbage.iter().enumerate() {
        let answer = wait(async {
            let asked = material.stack().public()?.request(Method::POST, "/ocsp");
            send(asked.header("content-type", "application/ocsp-request").body(octets.to_vec())).await?.expect(200)
        })?;
        let file = folder.join(format!("{number}.der"));
        std::fs::write(&file, answer.body).context("the answer cannot be written")?;
        let read = Tool::new("openssl").args(["ocsp", "-noverify", "-respin"]).arg(&file).run()?;
        read.says("malformedrequest").with_context(|| format!("garbage {number}"))?;
    }
    Ok(())
}

/// `openssl ocsp`, about to ask; it verifies as a relying party that trusts the root.
fn by_openssl(material: &Material, issuer: &str) -> Tool {
    let tool = Tool::new("openssl").args(["ocsp", "-url"]).arg(material.ocsp_url());
    tool.arg("-CAfile").arg(material.file("trust.pem")).arg("-issuer").arg(material.file(issuer))
}

fn says_verified(verdict: Verdict, file: &str, status: &str) -> anyhow::Result<Verdict> {
    let verdict = verdict.accepts()?.says("Response verify OK")?.never_says("WARNING")?;
    verdict.says(&format!("{file}: {status}\n"))
}
