//! OCSP as clients in the field ask it: by POST and by GET, raw, percent-encoded and over HTTP/1.0, with SHA-1 and SHA-256.

use std::time::Duration;

use ca_api::certificate::Certificate;
use ca_api::problem::ProblemType;
use ca_core::ocsp::{CertIdHash, CertStatus, ParsedResponse, ResponderError, encode_get_path};
use ca_e2e::client::{Answer, Client, eventually, raw, send};
use ca_e2e::stack::{PATIENCE, Stack, shared};
use ca_e2e::status::Subject;
use ca_e2e::tools::{Said, openssl, run};
use reqwest::Method;

async fn fresh(stack: &Stack, host: &str) -> anyhow::Result<(Certificate, Subject)> {
    let (certificate, _) = stack.administrator()?.enrol("client", host).await?;
    let subject = Subject::of(&certificate)?;
    Ok((certificate, subject))
}

async fn post(public: &Client, body: Vec<u8>) -> anyhow::Result<Answer> {
    let request = public.request(Method::POST, "/ocsp").header("content-type", "application/ocsp-request");
    send(request.body(body)).await
}

/// The OCSP error in an answer, which is a 200 all the same (RFC 6960 appendix A.2).
fn error(answer: &Answer) -> anyhow::Result<ResponderError> {
    match ParsedResponse::from_der(&answer.body)? {
        ParsedResponse::Failed(error) => Ok(error),
        ParsedResponse::Answered(response) => anyhow::bail!("an answer: {response:?}"),
    }
}

/// Asks by openssl, which judges signature, delegation and dates.
fn ask_by_openssl(stack: &Stack, certificate: &Certificate, extra: &[&str]) -> anyhow::Result<Said> {
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    std::fs::write(folder.path().join("leaf.pem"), &certificate.certificate)?;
    std::fs::write(folder.path().join("issuer.pem"), &certificate.chain)?;
    std::fs::write(folder.path().join("trust.pem"), format!("{}{}", stack.root_pem()?, certificate.chain))?;
    let url = format!("{}/ocsp", stack.public_url());
    let fixed = ["ocsp", "-issuer", "issuer.pem", "-CAfile", "trust.pem", "-url", &url];
    openssl([&fixed[..], extra, &["-cert", "leaf.pem"]].concat(), folder.path())
}

#[tokio::test]
async fn openssl_believes_the_answers() -> anyhow::Result<()> {
    let stack = shared()?;
    let (certificate, _) = fresh(&stack, "openssl.example.test").await?;
    for extra in [&["-sha1", "-no_nonce"][..], &["-sha256", "-no_nonce"], &["-sha256", "-nonce"]] {
        let said = ask_by_openssl(&stack, &certificate, extra)?;
        assert!(said.all().contains("Response verify OK") && said.text().contains(": good"), "{}", said.all());
    }
    stack.administrator()?.revoke(&certificate.id, "keyCompromise").await?;
    let said = ask_by_openssl(&stack, &certificate, &["-nonce"])?;
    assert!(said.text().contains(": revoked") && said.text().contains("keyCompromise"), "{}", said.all());
    Ok(())
}

#[tokio::test]
async fn the_intermediate_has_a_status_though_the_roots_key_is_away() -> anyhow::Result<()> {
    let stack = shared()?;
    let (certificate, _) = fresh(&stack, "intermediate.example.test").await?;
    let intermediate = Subject::from_pem(&certificate.chain, &stack.root_pem()?)?;
    assert_eq!(intermediate.ask_ocsp(&stack.public()?).await?, CertStatus::Good);
    Ok(())
}

#[tokio::test]
async fn get_is_understood_in_every_spelling() -> anyhow::Result<()> {
    let stack = shared()?;
    let public = stack.public()?;
    for hash in [CertIdHash::Sha1, CertIdHash::Sha256] {
        let (_, subject) = fresh(&stack, "spelling.example.test").await?;
        let request = subject.ocsp_request(hash);
        let encoded = encode_get_path(&request);
        let raw_base64 = encoded.replace("%2F", "/").replace("%2B", "+").replace("%3D", "=");
        let everything: String = raw_base64.bytes().map(|octet| format!("%{octet:02x}")).collect();
        for path in [&encoded, &raw_base64, &everything] {
            let answer = public.get(&format!("/ocsp/{path}")).await?.expect(200)?;
            assert_eq!(subject.read_ocsp(&answer)?, CertStatus::Good, "{path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn get_over_http_1_0_is_answered_and_the_connection_closed() -> anyhow::Result<()> {
    let stack = shared()?;
    let (_, subject) = fresh(&stack, "old.example.test").await?;
    let path = encode_get_path(&subject.ocsp_request(CertIdHash::Sha1));
    // As nginx asks: no keep-alive, no length, the end of the connection is the end of the answer.
    let answer = raw(&stack.public_url(), format!("GET /ocsp/{path} HTTP/1.0\r\nHost: ca\r\n\r\n").as_bytes()).await?;
    let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_default();
    let head = String::from_utf8_lossy(&answer[..head_end]).to_lowercase();
    assert!(head.starts_with("http/1.0 200 ") && head.contains("content-length:"), "{head}");
    assert!(!head.contains("transfer-encoding"), "HTTP/1.0 knows no chunks: {head}");
    let ParsedResponse::Answered(_) = ParsedResponse::from_der(&answer[head_end + 4..])? else {
        anyhow::bail!("no answer")
    };
    Ok(())
}

#[tokio::test]
async fn answers_to_get_may_be_kept_until_they_are_stale() -> anyhow::Result<()> {
    let stack = shared()?;
    let public = stack.public()?;
    let (_, subject) = fresh(&stack, "kept.example.test").await?;
    let path = format!("/ocsp/{}", encode_get_path(&subject.ocsp_request(CertIdHash::Sha1)));
    let answer = public.get(&path).await?.expect(200)?;
    let cache_control = answer.header("cache-control");
    for directive in ["public", "no-transform", "must-revalidate", "max-age=5"] {
        assert!(cache_control.contains(directive), "{cache_control}");
    }
    for header in ["etag", "last-modified", "expires"] {
        assert!(!answer.header(header).is_empty(), "{header} is missing");
    }
    let posted = post(&public, subject.ocsp_request(CertIdHash::Sha1)).await?.expect(200)?;
    assert_eq!(posted.header("cache-control"), "no-store", "an answer to POST is kept by nobody");
    Ok(())
}

#[tokio::test]
async fn a_nonce_comes_back_and_such_an_answer_is_not_kept() -> anyhow::Result<()> {
    let stack = shared()?;
    let (certificate, _) = fresh(&stack, "nonce.example.test").await?;
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    std::fs::write(folder.path().join("leaf.pem"), &certificate.certificate)?;
    std::fs::write(folder.path().join("issuer.pem"), &certificate.chain)?;
    let request = ["ocsp", "-issuer", "issuer.pem", "-cert", "leaf.pem", "-nonce", "-reqout", "request.der"];
    openssl(request, folder.path())?;
    let request = std::fs::read(folder.path().join("request.der"))?;
    let answer = stack.public()?.get(&format!("/ocsp/{}", encode_get_path(&request))).await?.expect(200)?;
    assert_eq!(answer.header("cache-control"), "no-store");
    std::fs::write(folder.path().join("answer.der"), &answer.body)?;
    let text = openssl(["ocsp", "-respin", "answer.der", "-noverify", "-resp_text"], folder.path())?.text();
    assert!(text.contains("OCSP Nonce"), "{text}");
    Ok(())
}

#[tokio::test]
async fn what_was_never_issued_is_unknown() -> anyhow::Result<()> {
    let stack = shared()?;
    let (certificate, _) = fresh(&stack, "unknown.example.test").await?;
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    std::fs::write(folder.path().join("issuer.pem"), &certificate.chain)?;
    std::fs::write(folder.path().join("trust.pem"), format!("{}{}", stack.root_pem()?, certificate.chain))?;
    let url = format!("{}/ocsp", stack.public_url());
    let said = openssl(
        [
            "ocsp",
            "-issuer",
            "issuer.pem",
            "-CAfile",
            "trust.pem",
            "-url",
            &url,
            "-serial",
            "0x0123456789abcdef0123456789abcdef",
            "-no_nonce",
        ],
        folder.path(),
    )?;
    assert!(said.text().contains(": unknown"), "{}", said.all());
    Ok(())
}

#[tokio::test]
async fn certificates_of_other_authorities_are_not_ours_to_speak_of() -> anyhow::Result<()> {
    let stack = shared()?;
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k.pem"];
    openssl([&["req", "-x509", "-subj", "/CN=Stranger", "-out", "s.pem"][..], &curve].concat(), folder.path())?;
    let request = ["ocsp", "-issuer", "s.pem", "-cert", "s.pem", "-no_nonce", "-reqout", "request.der"];
    run("openssl", request, folder.path())?;
    let answer = post(&stack.public()?, std::fs::read(folder.path().join("request.der"))?).await?.expect(200)?;
    assert_eq!(error(&answer)?, ResponderError::Unauthorized);
    Ok(())
}

#[tokio::test]
async fn what_is_no_request_is_answered_as_malformed() -> anyhow::Result<()> {
    let stack = shared()?;
    let public = stack.public()?;
    for body in [&b""[..], b"nonsense", b"\x30\x80", b"\x30\x03\x02\x01\x01"] {
        let answer = post(&public, body.to_vec()).await?.expect(200)?;
        assert_eq!(error(&answer)?, ResponderError::MalformedRequest);
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    for path in ["/ocsp/", "/ocsp/!!!", "/ocsp/AAAA", "/ocsp/%ff%fe", "/ocsp//////"] {
        let answer = public.get(path).await?.expect(200)?;
        assert_eq!(error(&answer)?, ResponderError::MalformedRequest, "{path}");
    }
    let as_json = public.request(Method::POST, "/ocsp").json(&1);
    send(as_json).await?.expect_problem(ProblemType::UnsupportedMediaType)?;
    let large = post(&public, vec![0x30; 65 * 1024]).await?;
    assert_eq!(large.status, 413, "{}", large.text());
    Ok(())
}

#[tokio::test]
async fn the_api_listener_answers_too() -> anyhow::Result<()> {
    let stack = shared()?;
    let (_, subject) = fresh(&stack, "both.example.test").await?;
    assert_eq!(subject.ask_ocsp(&stack.anonymous()?).await?, CertStatus::Good);
    Ok(())
}

/// What is asked for all the time is signed again before anybody would have to wait for it.
#[tokio::test]
async fn what_many_ask_for_is_signed_ahead() -> anyhow::Result<()> {
    // Half of it is twice the pause of the job.
    let stack = Stack::with(&[("CA__STATUS__OCSP_VALIDITY", "40s")])?;
    let (admin, public) = (stack.admin()?, stack.public()?);
    let metric = async |name: &str| {
        let metrics = admin.get("/metrics").await?.expect(200)?.text();
        let told = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        anyhow::Ok(told.unwrap_or("0").parse::<u64>()?)
    };
    let by_record = "ca_ocsp_answers_by_origin_total{origin=\"record\"}";
    // On a machine that stands still the job may come too late: then the next one is asked about.
    for attempt in 0..4 {
        let (_, subject) = fresh(&stack, &format!("ahead-{attempt}.example.test")).await?;
        let signed = || {
            eventually(PATIENCE, "OCSP says more than tryLater", || async {
                let answer = post(&public, subject.ocsp_request(CertIdHash::Sha1)).await?.expect(200)?;
                match ParsedResponse::from_der(&answer.body)? {
                    ParsedResponse::Answered(response) => Ok(Some(response.responses()[0].this_update)),
                    ParsedResponse::Failed(ResponderError::TryLater) => Ok(None),
                    ParsedResponse::Failed(error) => anyhow::bail!("{error:?}"),
                }
            })
        };
        let before = metric(by_record).await?;
        let first = signed().await?;
        let asked = metric(by_record).await?;
        assert_eq!(asked, before + 1, "the first is signed when it is asked for");
        while signed().await? == first {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if metric(by_record).await? == asked {
            assert!(metric("ca_ocsp_signed_ahead_total").await? > 0, "signed anew, and by nobody");
            return Ok(());
        }
    }
    anyhow::bail!("each time somebody had to wait for the record")
}
