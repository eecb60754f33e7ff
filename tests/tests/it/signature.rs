//! By what authorities sign: RSASSA-PSS where they are told, with keys of the service's own, in a token and in KMS; and what a restart
//! with another choice changes, which is only what is signed from then on.

use anyhow::ensure;
use ca_api::authority::Authority;
use ca_api::certificate::Certificate;
use ca_core::crl::ParsedCrl;
use ca_core::key::SignatureAlgorithm;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::{Client, eventually};
use ca_e2e::identity::request;
use ca_e2e::kms::KmsAuthorities;
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_e2e::token_keys::{TokenKeys, borrowed};
use ca_test_doubles::KeySpec;

/// A request of a holder with an RSA key, signed by PSS: `openssl req -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest`.
const CSR_BY_PSS: &str = include_str!("../../../crates/ca-core/src/csr/testdata/pss_sha256.pem");
/// The same with the salt that openssl takes unless it is told otherwise.
const CSR_OF_LONGEST_SALT: &str = include_str!("../../../crates/ca-core/src/csr/testdata/pss_longest_salt.pem");

/// `tls` and its list; `tls` and everything above it is verified.
async fn signed_by(stack: &Stack, expected: SignatureAlgorithm) -> anyhow::Result<Certificate> {
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let (certificate, _) = administrator.enrol("client", "by.signature.example").await?;
    let parsed = ca_core::certificate::Certificate::from_pem(&certificate.certificate)?;
    let above = ca_core::certificate::Certificate::from_pem(&certificate.chain)?;
    parsed.verify_signed_by(above.public_key())?;
    ensure!(parsed.signature_algorithm() == expected, "{} instead of {expected}", parsed.signature_algorithm());
    ensure!(above.public_key().key_type().is_rsa());
    let tls: Authority = administrator.get("/v1/authorities/tls").await?.expect(200)?.json()?;
    ensure!(tls.key.signature.as_deref() == Some(expected.name()), "{:?}", tls.key);
    let subject = Subject::of(&certificate)?;
    ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
    administrator.revoke(&certificate.id, "superseded").await?;
    eventually(PATIENCE, "a list by the same algorithm has the revocation", || async {
        let list = list_of(&public).await?;
        list.verify(above.subject(), above.public_key())?;
        let listed = subject.is_listed(list.as_der())?;
        ensure!(!listed || list.signature_algorithm()? == expected, "the list is signed by another algorithm");
        Ok(listed.then_some(()))
    })
    .await?;
    Ok(certificate)
}

async fn list_of(public: &Client) -> anyhow::Result<ParsedCrl> {
    Ok(ParsedCrl::from_der(public.get("/crl/tls.crl").await?.expect(200)?.body)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_another_signature_changes_what_is_signed_from_then_on_and_nothing_else() -> anyhow::Result<()> {
    let mut site = Site::initialised(&[("CA__AUTHORITY__TLS__KEY", "software:rsa2048")])?;
    let mut earlier: Vec<(Certificate, SignatureAlgorithm)> = Vec::new();
    for (name, algorithm) in [
        (None, SignatureAlgorithm::RsaSha256),
        (Some("rsa-pss-sha256"), SignatureAlgorithm::RsaPssSha256),
        (Some("rsa-pss-sha512"), SignatureAlgorithm::RsaPssSha512),
        (Some("rsa-sha256"), SignatureAlgorithm::RsaSha256),
    ] {
        if let Some(name) = name {
            site.set("CA__AUTHORITY__TLS__SIGNATURE", name);
        }
        let stack = site.serve()?;
        // What was signed before is as good as it was, and told as it was.
        let public = stack.public()?;
        for (certificate, by) in &earlier {
            let again: Certificate = stack
                .administrator()?
                .get(&format!("/v1/certificates/{}", certificate.id))
                .await?
                .expect(200)?
                .json()?;
            let parsed = ca_core::certificate::Certificate::from_pem(&again.certificate)?;
            ensure!(parsed.signature_algorithm() == *by && again.certificate == certificate.certificate);
            ensure!(matches!(Subject::of(certificate)?.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
        }
        earlier.push((signed_by(&stack, algorithm).await?, algorithm));
        site = stack.stop()?;
    }
    let (succeeded, said) = site.run(&["check-config"])?;
    ensure!(succeeded, "{said}");
    site.set("CA__AUTHORITY__TLS__KEY", "software:p256");
    let (succeeded, said) = site.run(&["check-config"])?;
    ensure!(!succeeded && said.contains("CA__AUTHORITY__TLS__SIGNATURE") && said.contains("the key is p256"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_token_sign_by_pss() -> anyhow::Result<()> {
    let token = TokenKeys::new()?;
    let mut settings = token.settings("rsa2048");
    settings.push(("CA__AUTHORITY__ROOT__SIGNATURE", "rsa-pss-sha512".to_owned()));
    settings.push(("CA__AUTHORITY__TLS__SIGNATURE", "rsa-pss-sha384".to_owned()));
    let stack = Site::initialised(&borrowed(&settings))?.serve()?;
    let certificate = signed_by(&stack, SignatureAlgorithm::RsaPssSha384).await?;
    let above = ca_core::certificate::Certificate::from_pem(&certificate.chain)?;
    ensure!(above.signature_algorithm() == SignatureAlgorithm::RsaPssSha512, "the root signed it as it was told");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_kms_sign_by_pss() -> anyhow::Result<()> {
    let authorities = KmsAuthorities::start()?;
    let tls = format!("kms:{}", authorities.kms.create_key(KeySpec::Rsa2048));
    let told = [("CA__AUTHORITY__TLS__KEY", tls.as_str()), ("CA__AUTHORITY__TLS__SIGNATURE", "rsa-pss-sha256")];
    let stack = authorities.initialised(&told)?.serve()?;
    signed_by(&stack, SignatureAlgorithm::RsaPssSha256).await?;
    // A key of KMS of which only KMS knows that it is no RSA key.
    let authorities = KmsAuthorities::start()?;
    let settings = authorities.settings();
    let mut site = Site::empty(&borrowed(&settings))?;
    site.set("CA__AUTHORITY__TLS__SIGNATURE", "rsa-pss-sha256");
    let (succeeded, said) = site.run(&["init"])?;
    ensure!(!succeeded && said.contains("RSASSA-PSS with SHA-256") && said.contains("its key is p256"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn holders_prove_possession_by_pss() -> anyhow::Result<()> {
    let stack = Site::initialised(&[])?.serve()?;
    let administrator = stack.administrator()?;
    let mut body = request("server", CSR_BY_PSS.to_owned());
    body.subject = Some("CN=api.example.com".to_owned());
    body.subject_alternative_names = Some(vec![ca_e2e::identity::dns("api.example.com")]);
    let certificate = administrator.issue(&body).await?;
    ensure!(certificate.certificate.contains("BEGIN CERTIFICATE"));
    body.csr = CSR_OF_LONGEST_SALT.to_owned();
    let refused = administrator.post(ca_api::route::CERTIFICATES, &body).await?.expect(422)?;
    let said = refused.text();
    ensure!(said.contains("its salt is 222 octets long") && said.contains("rsa_pss_saltlen:digest"), "{said}");
    Ok(())
}
