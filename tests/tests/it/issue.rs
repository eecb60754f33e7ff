//! `POST /v1/certificates`: what is issued is what was asked for, and OpenSSL accepts it.

use ca_api::certificate::{Certificate, CertificateStatus, SubjectAlternativeNameType};
use ca_api::route;
use ca_e2e::identity::{SubjectKey, dns, name, request};
use ca_e2e::stack::{Stack, shared};
use ca_e2e::tools::openssl;

/// Writes what `openssl verify` needs and lets it judge by RFC 5280 to the letter.
fn verify(stack: &Stack, certificate: &Certificate, purpose: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    std::fs::write(folder.path().join("root.pem"), stack.root_pem()?)?;
    std::fs::write(folder.path().join("chain.pem"), &certificate.chain)?;
    std::fs::write(folder.path().join("leaf.pem"), &certificate.certificate)?;
    let strict = ["verify", "-x509_strict", "-policy_check", "-CAfile", "root.pem", "-untrusted", "chain.pem"];
    openssl([&strict[..], &["-purpose", purpose, "leaf.pem"]].concat(), folder.path())?;
    Ok(())
}

#[tokio::test]
async fn a_certificate_is_what_was_asked_for_and_lies_where_the_answer_says() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let names = ["issue.example.test", "www.issue.example.test"];
    let body = request("server", SubjectKey::generate()?.csr(names[0], &names)?);
    let answer = administrator.post(route::CERTIFICATES, &body).await?.expect(201)?;
    let certificate: Certificate = answer.json()?;

    assert_eq!(certificate.profile, "server");
    assert_eq!(certificate.authority, "tls");
    assert_eq!(certificate.subject, "CN=issue.example.test");
    assert_eq!(certificate.subject_alternative_names, names.map(dns));
    assert_eq!(certificate.status, CertificateStatus::Active);
    assert_eq!(certificate.serial, certificate.serial.to_lowercase());
    assert!(certificate.owner.starts_with("certificate:"), "{}", certificate.owner);
    assert_eq!(certificate.renews, None);
    assert_eq!(answer.header("location"), format!("/v1/certificates/{}", certificate.id));
    let again: Certificate = administrator.get(answer.header("location")).await?.expect(200)?.json()?;
    assert_eq!(again, certificate);
    verify(&stack, &certificate, "sslserver")?;
    // Its holder renews it over mTLS.
    verify(&stack, &certificate, "sslclient")
}

#[tokio::test]
async fn a_certificate_tells_where_its_status_is_to_be_had() -> anyhow::Result<()> {
    let stack = shared()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "urls.example.test").await?;
    std::fs::write(stack.work_folder().join("urls.pem"), &certificate.certificate)?;
    let text = openssl(["x509", "-in", "urls.pem", "-noout", "-text"], stack.work_folder())?.text();
    for url in ["/crl/tls.crl", "/ca/tls.crt", "/ocsp"].map(|path| format!("URI:{}{path}", stack.public_url())) {
        assert!(text.contains(&url), "{url} is missing in {text}");
    }
    Ok(())
}

#[tokio::test]
async fn the_request_overrides_the_subject_and_names_of_the_csr() -> anyhow::Result<()> {
    let stack = shared()?;
    let mut body = request("server", SubjectKey::generate()?.csr("csr.example.test", &["csr.example.test"])?);
    // Two organizational units: a repeated attribute must not be lost.
    body.subject = Some("CN=chosen.example.test,OU=One,OU=Two,O=Example".to_owned());
    body.subject_alternative_names =
        Some(vec![dns("chosen.example.test"), name(SubjectAlternativeNameType::Ip, "192.0.2.7")]);
    body.validity = Some("12h".to_owned());
    let certificate = stack.administrator()?.issue(&body).await?;
    assert_eq!(certificate.subject, "CN=chosen.example.test,OU=One,OU=Two,O=Example");
    assert_eq!(Some(&certificate.subject_alternative_names), body.subject_alternative_names.as_ref());
    std::fs::write(stack.work_folder().join("chosen.pem"), &certificate.certificate)?;
    let text =
        openssl(["x509", "-in", "chosen.pem", "-noout", "-subject", "-ext", "subjectAltName"], stack.work_folder())?;
    assert!(text.text().contains("OU = Two") && text.text().contains("OU = One"), "{}", text.text());
    assert!(text.text().contains("IP Address:192.0.2.7"), "{}", text.text());
    openssl(["x509", "-in", "chosen.pem", "-noout", "-checkend", "43000"], stack.work_folder())?;
    Ok(())
}

#[tokio::test]
async fn people_get_documents_certificates_from_the_authority_for_them() -> anyhow::Result<()> {
    let stack = shared()?;
    let mut body = request("document", SubjectKey::generate()?.csr("Ana Souza", &[])?);
    body.subject_alternative_names = Some(vec![name(SubjectAlternativeNameType::Email, "ana@example.test")]);
    let certificate = stack.administrator()?.issue(&body).await?;
    assert_eq!(certificate.authority, "document");
    verify(&stack, &certificate, "smimesign")
}

#[tokio::test]
async fn keys_of_every_kind_that_openssl_makes_are_certified() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    for (file, algorithm) in [
        ("p384", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"][..]),
        ("p521", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"]),
        ("ed25519", &["-newkey", "ed25519"]),
        ("rsa2048", &["-newkey", "rsa:2048"]),
    ] {
        let host = format!("{file}.example.test");
        let subject = format!("/CN={host}");
        let extension = format!("subjectAltName=DNS:{host}");
        let rest = ["-nodes", "-keyout", "key.pem", "-subj", &subject, "-addext", &extension];
        let made = openssl([&["req", "-new"][..], algorithm, &rest[..]].concat(), folder.path())?;
        let certificate = administrator.issue(&request("server", made.text())).await?;
        assert_eq!(certificate.subject_alternative_names, [dns(&host)]);
        verify(&stack, &certificate, "sslserver")?;
    }
    Ok(())
}
