//! Requests for certificates that must be refused, each with a message that says what would be right.

use std::path::Path;

use ca_api::certificate::{NewCertificate, SubjectAlternativeNameType};
use ca_api::problem::{Problem, ProblemType};
use ca_api::route;
use ca_e2e::identity::{SubjectKey, dns, name, request};
use ca_e2e::stack::shared;
use ca_e2e::tools::openssl;
use serde_json::{Value, json};

async fn refused(body: &NewCertificate, kind: ProblemType) -> anyhow::Result<Problem> {
    let stack = shared()?;
    stack.administrator()?.post(route::CERTIFICATES, body).await?.expect_problem(kind)
}

fn good() -> anyhow::Result<NewCertificate> {
    Ok(request("server", SubjectKey::generate()?.csr("good.example.test", &["good.example.test"])?))
}

/// The one violation there is. The problem's own words say as much: not everybody reads on.
fn violation(problem: &Problem, code: &str, pointer: &str, hint: &str) {
    let [violation] = &problem.errors[..] else { panic!("not one violation: {problem:?}") };
    assert_eq!((violation.code.as_str(), violation.pointer.as_str()), (code, pointer), "{problem:?}");
    assert!(violation.detail.contains(hint), "`{hint}` is missing in: {}", violation.detail);
    assert_eq!(problem.detail, violation.detail);
}

/// A CSR in which a name was changed after it was signed.
pub(crate) fn broken_csr(folder: &Path) -> anyhow::Result<String> {
    std::fs::write(folder.join("good.csr"), good()?.csr)?;
    openssl(["req", "-in", "good.csr", "-outform", "DER", "-out", "csr.der"], folder)?;
    let mut der = std::fs::read(folder.join("csr.der"))?;
    // The host name, which the signature covers.
    let place = der.windows(4).rposition(|window| window == b"good").unwrap_or_default();
    der[place..place + 4].copy_from_slice(b"evil");
    std::fs::write(folder.join("csr.der"), der)?;
    Ok(openssl(["req", "-inform", "DER", "-in", "csr.der", "-outform", "PEM"], folder)?.text())
}

#[tokio::test]
async fn an_unknown_profile_is_answered_with_those_there_are() -> anyhow::Result<()> {
    let problem = refused(&NewCertificate { profile: "sever".into(), ..good()? }, ProblemType::UnknownProfile).await?;
    violation(&problem, "unknown-profile", "/profile", "no profile `sever`; profiles are client, document, server");
    let problem = refused(&NewCertificate { profile: "Server".into(), ..good()? }, ProblemType::InvalidRequest).await?;
    violation(&problem, "profile-name-invalid", "/profile", "profiles are client, document, server");
    Ok(())
}

#[tokio::test]
async fn a_name_of_a_kind_that_the_profile_does_not_take() -> anyhow::Result<()> {
    let body = NewCertificate {
        subject_alternative_names: Some(vec![
            dns("good.example.test"),
            name(SubjectAlternativeNameType::Email, "ana@example.test"),
        ]),
        ..good()?
    };
    let problem = refused(&body, ProblemType::ProfileViolation).await?;
    violation(
        &problem,
        "name-kind-not-allowed",
        "/subject_alternative_names/1",
        "of kind email, as `email:ana@example.test` is; it takes dns, ip, uri",
    );
    Ok(())
}

#[tokio::test]
async fn a_wildcard_where_none_may_be() -> anyhow::Result<()> {
    let body = request("client", SubjectKey::generate()?.csr("x", &["*.example.test"])?);
    let problem = refused(&body, ProblemType::ProfileViolation).await?;
    violation(&problem, "wildcard-not-allowed", "/csr", "name each host");
    Ok(())
}

#[tokio::test]
async fn a_request_without_any_name() -> anyhow::Result<()> {
    let body = request("client", SubjectKey::generate()?.csr("nameless", &[])?);
    let problem = refused(&body, ProblemType::ProfileViolation).await?;
    assert_eq!(problem.errors[0].code, "name-missing");
    assert!(problem.errors[0].detail.contains("dns:"), "{problem:?}");
    Ok(())
}

#[tokio::test]
async fn names_that_cannot_be() -> anyhow::Result<()> {
    for (kind, value) in [
        (SubjectAlternativeNameType::Dns, "-bad-.example.test"),
        (SubjectAlternativeNameType::Dns, "a..b"),
        (SubjectAlternativeNameType::Dns, "192.0.2.1"),
        (SubjectAlternativeNameType::Dns, "*.*.example.test"),
        (SubjectAlternativeNameType::Ip, "999.0.0.1"),
        (SubjectAlternativeNameType::Email, "nobody"),
        (SubjectAlternativeNameType::Uri, "not a uri"),
        (SubjectAlternativeNameType::OtherName, "1.2.3"),
    ] {
        let body = NewCertificate { subject_alternative_names: Some(vec![name(kind, value)]), ..good()? };
        let problem = refused(&body, ProblemType::InvalidRequest).await?;
        violation(&problem, "name-invalid", "/subject_alternative_names/0", "");
    }
    Ok(())
}

#[tokio::test]
async fn weak_keys_and_keys_of_no_known_kind() -> anyhow::Result<()> {
    let stack = shared()?;
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    for (arguments, code, hint) in [
        (&["-newkey", "rsa:1024"][..], "key-rsa-modulus-length", "2048"),
        (&["-newkey", "rsa:2048", "-pkeyopt", "rsa_keygen_pubexp:3"], "key-rsa-exponent", "65537"),
        (&["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"], "key-curve-unsupported", "P-256"),
        (&["-newkey", "ed448"], "key-algorithm-unsupported", "Ed25519"),
    ] {
        let rest =
            ["-nodes", "-keyout", "key.pem", "-subj", "/CN=weak", "-addext", "subjectAltName=DNS:w.example.test"];
        let csr = openssl([&["req", "-new"][..], arguments, &rest[..]].concat(), folder.path())?.text();
        let problem = refused(&request("server", csr), ProblemType::KeyRejected).await?;
        violation(&problem, code, "/csr", hint);
    }
    Ok(())
}

#[tokio::test]
async fn a_csr_whose_signature_does_not_prove_the_key() -> anyhow::Result<()> {
    let stack = shared()?;
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    let problem = refused(&request("server", broken_csr(folder.path())?), ProblemType::CsrRejected).await?;
    violation(&problem, "csr-broken-signature", "/csr", "make it again with the private key that belongs to it");
    Ok(())
}

#[tokio::test]
async fn what_is_no_csr() -> anyhow::Result<()> {
    let stack = shared()?;
    let good = good()?.csr;
    for (csr, code) in [
        (String::new(), "csr-not-pem"),
        ("nonsense".to_owned(), "csr-not-pem"),
        (stack.root_pem()?, "csr-not-pem"),
        (format!("{good}{good}"), "csr-several-blocks"),
        (good.replace("MI", "!!"), "csr-not-pem"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n".to_owned(), "csr-malformed"),
    ] {
        let problem = refused(&request("server", csr.clone()), ProblemType::CsrRejected).await?;
        assert_eq!(problem.errors[0].code, code, "{csr}: {problem:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_lifetime_that_the_profile_does_not_allow() -> anyhow::Result<()> {
    for (validity, kind, code, hint) in [
        ("399d", ProblemType::ProfileViolation, "validity-too-long", "at most 398d"),
        ("0d", ProblemType::ProfileViolation, "validity-zero", "90d"),
        ("soon", ProblemType::InvalidRequest, "lifetime-invalid", "90d"),
        ("999999999999999999d", ProblemType::InvalidRequest, "lifetime-invalid", ""),
    ] {
        let problem = refused(&NewCertificate { validity: Some(validity.into()), ..good()? }, kind).await?;
        violation(&problem, code, "/validity", hint);
    }
    Ok(())
}

#[tokio::test]
async fn a_subject_that_is_none_or_not_the_profiles() -> anyhow::Result<()> {
    for (subject, kind, code) in [
        ("CN", ProblemType::InvalidRequest, "subject-invalid"),
        ("CN=x,NOSUCH=y", ProblemType::InvalidRequest, "subject-invalid"),
        ("CN=x,title=Boss", ProblemType::ProfileViolation, "subject-attribute-not-allowed"),
        ("CN=x,C=Brazil", ProblemType::InvalidRequest, "subject-invalid"),
    ] {
        let problem = refused(&NewCertificate { subject: Some(subject.into()), ..good()? }, kind).await?;
        assert_eq!(problem.errors[0].code, code, "{subject}: {problem:?}");
        assert_eq!(problem.errors[0].pointer, "/subject");
    }
    Ok(())
}

#[tokio::test]
async fn the_names_of_the_service_itself() -> anyhow::Result<()> {
    for (host, pointer) in
        [("localhost", "/subject_alternative_names/0"), ("LOCALHOST", "/subject_alternative_names/0")]
    {
        let body = NewCertificate { subject_alternative_names: Some(vec![dns(host)]), ..good()? };
        let problem = refused(&body, ProblemType::ProfileViolation).await?;
        violation(&problem, "name-reserved", pointer, "ask for another name");
    }
    let address = name(SubjectAlternativeNameType::Ip, "127.0.0.1");
    let body = NewCertificate { subject_alternative_names: Some(vec![address]), ..good()? };
    violation(
        &refused(&body, ProblemType::ProfileViolation).await?,
        "name-reserved",
        "/subject_alternative_names/0",
        "ask for another name",
    );
    let body = NewCertificate { subject: Some("CN=localhost".into()), ..good()? };
    violation(
        &refused(&body, ProblemType::ProfileViolation).await?,
        "name-reserved",
        "/subject",
        "ask for another name",
    );
    Ok(())
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() -> anyhow::Result<()> {
    let body = NewCertificate {
        subject: Some("CN=x,title=Boss".into()),
        subject_alternative_names: Some(vec![
            dns("localhost"),
            dns("twice.example.test"),
            dns("twice.example.test"),
            name(SubjectAlternativeNameType::Email, "ana@example.test"),
        ]),
        validity: Some("900d".into()),
        ..good()?
    };
    let problem = refused(&body, ProblemType::ProfileViolation).await?;
    let mut codes: Vec<&str> = problem.errors.iter().map(|violation| violation.code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            "name-duplicate",
            "name-kind-not-allowed",
            "name-reserved",
            "subject-attribute-not-allowed",
            "validity-too-long"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn bodies_that_cannot_be_read() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let csr = good()?.csr;
    for (body, hint) in [
        (json!({ "profile": "server" }), "csr"),
        (json!({ "profile": "server", "csr": csr, "sans": ["x"] }), "sans"),
        (json!({ "profile": 7, "csr": csr }), "string"),
        (json!([]), ""),
        (Value::Null, ""),
    ] {
        let problem = administrator.post(route::CERTIFICATES, &body).await?;
        let problem = problem.expect_problem(ProblemType::MalformedRequest)?;
        assert!(problem.detail.contains(hint), "{body}: {}", problem.detail);
    }
    Ok(())
}
