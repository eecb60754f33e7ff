//! pkilint finds nothing in any certificate, list or OCSP response: every profile, every key type, of subjects and of
//! authorities. Where it is wrong, `tests/pkilint/divergences.json` says why. OpenSSL and GnuTLS verify every one of the chains.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ca_api::certificate::{
    Certificate, NewCertificate, SubjectAlternativeName, SubjectAlternativeNameType as NameType,
};
use ca_e2e::acm_pca::AcmPcaAuthority;
use ca_e2e::client::{Client, eventually};
use ca_e2e::identity::{Identity, dns, name};
use ca_e2e::pkilint::Exhibits;
use ca_e2e::stack::{PATIENCE, Site, Stack};

use crate::material::{wait, wait_until_listed, write};
use crate::tool::{Tool, workspace};

/// Every type of key that the service knows.
const KEY_TYPES: [&str; 7] = ["p256", "p384", "p521", "ed25519", "rsa2048", "rsa3072", "rsa4096"];

#[test]
fn pkilint_finds_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let mut exhibits = Exhibits::default();
    for key_type in KEY_TYPES {
        hierarchy_of(key_type, folder.path(), &mut exhibits).with_context(|| format!("a hierarchy of {key_type}"))?;
    }
    let by_pss = [
        ("CA__AUTHORITY__ROOT__KEY", "software:rsa3072"),
        ("CA__AUTHORITY__ROOT__SIGNATURE", "rsa-pss-sha384"),
        ("CA__AUTHORITY__TLS__KEY", "software:rsa2048"),
        ("CA__AUTHORITY__TLS__SIGNATURE", "rsa-pss-sha256"),
        ("CA__AUTHORITY__DOCUMENT__KEY", "software:rsa2048"),
        ("CA__AUTHORITY__DOCUMENT__SIGNATURE", "rsa-pss-sha512"),
    ];
    everything_of("rsa2048", &by_pss, &["rsa2048"], &folder.path().join("pss"), &mut exhibits)
        .context("a hierarchy that signs by PSS")?;
    everything_of_aws(&folder.path().join("aws"), &mut exhibits).context("an authority of AWS Private CA")?;
    let of_aws = 2 + 2 + 2;
    // Root, two subordinates, operator and api-server; the profiles; three complete lists, a shard and a delta; five answers.
    let (hierarchies, subjects) = (KEY_TYPES.len() + 1, KEY_TYPES.len() + 6 + 1);
    ensure!(exhibits.len() == hierarchies * (5 + 5 + 5) + 3 * subjects + of_aws, "{} exhibits", exhibits.len());
    let verdict = exhibits.lint()?;
    ensure!(verdict.unexplained.is_empty(), "pkilint found:\n{:#?}", verdict.unexplained);
    // Each must be said, or it has no place in the list any more.
    ensure!(
        verdict.never_said.is_empty(),
        "no divergences any more, take them from the list: {:#?}",
        verdict.never_said
    );
    Ok(())
}

/// A service whose authorities and administrator have keys of one type, and everything it signs.
fn hierarchy_of(key_type: &str, folder: &Path, exhibits: &mut Exhibits) -> anyhow::Result<()> {
    let key = format!("software:{key_type}");
    let authorities = ["CA__AUTHORITY__ROOT__KEY", "CA__AUTHORITY__TLS__KEY", "CA__AUTHORITY__DOCUMENT__KEY"];
    let settings = authorities.map(|setting| (setting, key.as_str()));
    let subject_key_types = if key_type == "p256" { &KEY_TYPES[..] } else { &[key_type] };
    everything_of(key_type, &settings, subject_key_types, &folder.join(key_type), exhibits)
}

/// The same of a service with these settings; `folder` is made.
fn everything_of(
    key_type: &str,
    settings: &[(&str, &str)],
    subject_key_types: &[&str],
    folder: &Path,
    exhibits: &mut Exhibits,
) -> anyhow::Result<()> {
    let partial_lists = [("CA__AUTHORITY__TLS__SHARDS", "1"), ("CA__AUTHORITY__TLS__DELTA", "true")];
    let site = Site::empty(&[settings, &partial_lists].concat())?;
    std::fs::create_dir(folder)?;
    let admin_csr = write(folder, "admin.csr", csr(key_type, "an administrator")?)?;
    let admin_csr = admin_csr.to_str().context("a temporary folder's name is UTF-8")?;
    let (made, said) = site.run(&["init", "--admin-csr", admin_csr])?;
    ensure!(made, "`ca-server init` failed:\n{said}");
    let stack = site.serve()?;
    let operator = std::fs::read_to_string(stack.data_folder().join("admin/admin.crt"))?;
    let administrator = stack.holder(&Identity::from_pem(operator.clone(), key_pem(key_type)?))?;

    exhibit(exhibits, folder, "operator", &first_certificate(&operator)?)?;
    exhibit(exhibits, folder, "api-server", &api_certificate(&stack)?)?;
    for (path, name) in [("/roots.pem", "root"), ("/ca/tls.pem", "tls"), ("/ca/document.pem", "document")] {
        exhibit(exhibits, folder, name, &get(&stack, path)?)?;
    }
    for profile in ["server", "client", "document"] {
        for subject_key_type in subject_key_types {
            let certificate = issue(&administrator, profile, subject_key_type)?;
            let name = format!("{profile}.{subject_key_type}");
            exhibit(exhibits, folder, &name, &certificate.certificate)?;
            verify(folder, &certificate, &name)?;
            revoke(&stack, &administrator, &certificate, profile)?;
        }
    }
    for name in ["root.crl", "tls.crl", "document.crl", "tls/1.crl", "tls-delta.crl"] {
        // The delta comes within a second or two of the complete list.
        let list = wait(eventually(PATIENCE, name, || async {
            let answer = stack.public()?.get(&format!("/crl/{name}")).await?;
            Ok((answer.status != 404).then_some(answer))
        }))?;
        exhibits.list(write(folder, &name.replace('/', "-"), list.expect(200)?.body)?);
    }
    let mut ask =
        |issuer: &str, about: &str, options: &[&str]| status(exhibits, &stack, folder, issuer, about, options);
    ask("tls", &format!("server.{key_type}"), &["-nonce"])?;
    ask("tls", &format!("client.{key_type}"), &["-sha256", "-no_nonce"])?;
    ask("document", &format!("document.{key_type}"), &["-no_nonce"])?;
    ask("root", "tls", &["-nonce"])?;
    // Never issued: `unknown`.
    ask("document", "0x123456789abcdef0", &["-no_nonce"])?;
    Ok(())
}

fn exhibit(exhibits: &mut Exhibits, folder: &Path, name: &str, pem: &str) -> anyhow::Result<()> {
    exhibits.certificate(write(folder, &format!("{name}.pem"), pem)?);
    Ok(())
}

/// What an authority makes that AWS Private CA holds, and what is told of it: two certificates of the service, those of two profiles, and
/// two answers. Authority and list are AWS's.
fn everything_of_aws(folder: &Path, exhibits: &mut Exhibits) -> anyhow::Result<()> {
    std::fs::create_dir(folder)?;
    let aws = AcmPcaAuthority::start()?;
    let stack = aws.initialised(&[])?.serve()?;
    let administrator = stack.administrator()?;
    let operator = std::fs::read_to_string(stack.data_folder().join("admin/admin.crt"))?;
    exhibit(exhibits, folder, "operator", &first_certificate(&operator)?)?;
    exhibit(exhibits, folder, "api-server", &api_certificate(&stack)?)?;
    write(folder, "root.pem", get(&stack, "/roots.pem")?)?;
    write(folder, "tls.pem", get(&stack, "/ca/tls.pem")?)?;
    for profile in ["server", "client"] {
        let request = NewCertificate {
            profile: profile.to_owned(),
            csr: csr("p256", "whoever")?,
            subject: Some(format!("CN={profile} of AWS,OU=Engineering,O=Exemplo S.A.,L=São Paulo,ST=SP,C=BR")),
            subject_alternative_names: Some(vec![
                dns("api.example.com"),
                name(NameType::Ip, "192.0.2.1"),
                name(NameType::Ip, "2001:db8::1"),
                name(NameType::Uri, "spiffe://example.org/web"),
            ]),
            validity: None,
        };
        let certificate = wait(administrator.issue(&request)).with_context(|| format!("{profile} of AWS"))?;
        exhibit(exhibits, folder, profile, &certificate.certificate)?;
        verify(folder, &certificate, profile)?;
    }
    status(exhibits, &stack, folder, "tls", "server", &["-nonce"])?;
    status(exhibits, &stack, folder, "tls", "client", &["-sha256", "-no_nonce"])
}

/// The answer about a certificate, or about a serial number.
fn status(
    exhibits: &mut Exhibits,
    stack: &Stack,
    folder: &Path,
    issuer: &str,
    about: &str,
    options: &[&str],
) -> anyhow::Result<()> {
    let pem = |name: &str| folder.join(format!("{name}.pem"));
    let answer = folder.join(format!("{about}-by-{issuer}.ocsp"));
    let tool = Tool::new("openssl").arg("ocsp").args(options).arg("-url").arg(format!("{}/ocsp", stack.public_url()));
    let tool =
        tool.arg("-CAfile").arg(pem("root")).arg("-verify_other").arg(pem(issuer)).arg("-issuer").arg(pem(issuer));
    let tool = if about.starts_with("0x") { tool.args(["-serial", about]) } else { tool.arg("-cert").arg(pem(about)) };
    let tool = tool.arg("-respout").arg(&answer);
    tool.run()?.accepts()?.says("Response verify OK")?;
    exhibits.response(answer);
    Ok(())
}

/// Asks for a certificate with every kind of name that the profile knows.
fn issue(administrator: &Client, profile: &str, key_type: &str) -> anyhow::Result<Certificate> {
    let subject = format!("CN={profile} of {key_type},OU=Engineering,O=Exemplo S.A.,L=São Paulo,ST=SP,C=BR");
    let request = NewCertificate {
        profile: profile.to_owned(),
        csr: csr(key_type, "whoever")?,
        subject: Some(subject),
        subject_alternative_names: Some(names(profile)),
        validity: None,
    };
    wait(administrator.issue(&request)).with_context(|| format!("{profile} of {key_type}"))
}

fn names(profile: &str) -> Vec<SubjectAlternativeName> {
    let directory = name(NameType::DirectoryName, "CN=Ana Souza,O=Exemplo S.A.,C=BR");
    let email = name(NameType::Email, "ana@example.com");
    let upn = name(NameType::Upn, "ana@corp.example.com");
    match profile {
        "server" => vec![
            dns("api.example.com"),
            dns("*.apps.example.com"),
            dns("xn--caf-dma.example.com"),
            name(NameType::Ip, "192.0.2.1"),
            name(NameType::Ip, "2001:db8::1"),
            name(NameType::Uri, "https://api.example.com/"),
            name(NameType::Uri, "spiffe://example.org/web"),
        ],
        "client" => vec![
            dns("laptop.example.com"),
            name(NameType::Ip, "192.0.2.2"),
            email,
            name(NameType::Uri, "urn:uuid:0193467e-ca00-7000-8000-0123456789ab"),
            upn,
            directory,
        ],
        _ => vec![
            email,
            upn,
            // ICP-Brasil: date of birth and CPF of the holder, registration numbers, as an OCTET STRING.
            name(NameType::OtherName, "2.16.76.1.3.1=#040b3031303131393730303030"),
            directory,
        ],
    }
}

/// OpenSSL at its strictest and GnuTLS.
fn verify(folder: &Path, certificate: &Certificate, name: &str) -> anyhow::Result<()> {
    let pem = |name: &str| folder.join(format!("{name}.pem"));
    let openssl = Tool::new("openssl").args(["verify", "-x509_strict", "-check_ss_sig", "-CAfile"]).arg(pem("root"));
    openssl.arg("-untrusted").arg(pem(&certificate.authority)).arg(pem(name)).run()?.accepts()?;
    let gnutls = Tool::new("certtool").arg("--verify").arg("--load-ca-certificate").arg(pem("root"));
    gnutls.input(format!("{}{}", certificate.certificate, certificate.chain)).run()?.accepts()?;
    Ok(())
}

/// Lists have entries of every kind; the service of P-256 keeps some certificates in force.
fn revoke(stack: &Stack, administrator: &Client, certificate: &Certificate, profile: &str) -> anyhow::Result<()> {
    let body = match profile {
        "client" => serde_json::json!({ "reason": "certificateHold" }),
        "document" => serde_json::json!({ "reason": "superseded", "invalidity_date": "2026-01-01T00:00:00Z" }),
        _ => return Ok(()),
    };
    wait(async {
        administrator.post(&format!("/v1/certificates/{}/revoke", certificate.id), &body).await?.expect(200)?;
        wait_until_listed(&stack.public()?, certificate).await
    })
}

/// A CSR by OpenSSL, over a key that is in the repository because RSA keys take long to make.
fn csr(key_type: &str, common_name: &str) -> anyhow::Result<String> {
    let tool = Tool::new("openssl").args(["req", "-new", "-subj", &format!("/CN={common_name}"), "-key"]);
    Ok(tool.arg(key_file(key_type)).run()?.accepts()?.text())
}

fn key_file(key_type: &str) -> PathBuf {
    workspace().join(format!("crates/ca-core/tests/issuance/keys/holder.{key_type}.pem"))
}

fn key_pem(key_type: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(key_file(key_type)).context("a key of the repository")
}

/// The certificate that the API shows in the handshake.
fn api_certificate(stack: &Stack) -> anyhow::Result<String> {
    let url = stack.api_url();
    let address = url.strip_prefix("https://").context("the API speaks TLS")?;
    let shown = Tool::new("openssl").args(["s_client", "-connect", address, "-showcerts"]).run()?.accepts()?.text();
    first_certificate(&shown)
}

/// The first certificate in a text, PEM.
fn first_certificate(text: &str) -> anyhow::Result<String> {
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let from = text.find(begin).context("there is no certificate")?;
    let to = text.find(end).context("there is no certificate")? + end.len();
    Ok(format!("{}\n", &text[from..to]))
}

fn get(stack: &Stack, path: &str) -> anyhow::Result<String> {
    wait(async { Ok(stack.public()?.get(path).await?.expect(200)?.text()) })
}
