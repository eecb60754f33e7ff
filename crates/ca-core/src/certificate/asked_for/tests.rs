//! What an issuer elsewhere may choose, and what it may not.

use super::*;
use crate::hierarchy::{Authority, Owner, SigningKey, by_service, name, profile, request, subject, tls_constraints};
use crate::key::KeyType;
use crate::policy;
use crate::serial::Serial;
use crate::tbs;
use crate::template::{CertificateTemplate, SerialChoice};
use crate::time::Lifetime;
use crate::usage::KeyUsage;

/// A server's certificate, and the template that asks for it under a provisional serial.
fn issued() -> (Certificate, CertificateTemplate) {
    let tls = Authority::below(&Authority::root(KeyType::P256), KeyType::P256, "tls", &tls_constraints());
    let key = SigningKey::of(Owner::Holder, KeyType::P256);
    let holder = subject("CN=api.example.org,O=Example");
    let names = [name("dns:api.example.org"), name("dns:b.example.org")];
    let asked = request(key.public(), &holder, &names);
    let granted = policy::evaluate(&profile("server"), &asked, &by_service()).expect("granted");
    let mut template = tls.template(granted);
    template.serial = SerialChoice::Ours(Serial::provisional([7; 16]));
    (tls.issue(&profile("server"), &asked), template)
}

fn asked(template: &CertificateTemplate) -> AskedFor {
    AskedFor::from_tbs_der(tbs::encode(template).expect("encodable").as_bytes()).expect("what was encoded can be read")
}

#[test]
fn another_serial_is_the_issuers_to_choose() {
    let (certificate, template) = issued();
    assert!(!certificate.serial().is_provisional());
    assert_eq!(certificate.check_answers(&asked(&template)), Ok(()));
}

#[test]
fn the_order_of_names_and_purposes_is_the_issuers() {
    let (certificate, mut template) = issued();
    template.names.reverse();
    template.extended_key_usage.reverse();
    assert_eq!(certificate.check_answers(&asked(&template)), Ok(()));
}

#[test]
fn everything_else_is_as_it_was_asked_for() {
    type Change = fn(&mut CertificateTemplate);
    let changes: [(&str, Change); 12] = [
        ("issuer", |template| template.issuer = subject("CN=another")),
        ("subject", |template| template.subject = subject("CN=API.example.org,O=Example")),
        ("subject", |template| template.subject = subject("O=Example,CN=api.example.org")),
        ("public key", |template| template.public_key = SigningKey::of(Owner::Holder, KeyType::P384).public().clone()),
        ("notBefore", |template| template.validity.not_before = template.validity.not_before.minus(SECOND)),
        ("notAfter", |template| template.validity.not_after = template.validity.not_after.plus(SECOND)),
        ("key usage", |template| template.key_usage = std::iter::once(KeyUsage::KeyAgreement).collect()),
        ("extended key usage", |template| template.extended_key_usage.truncate(1)),
        ("subject alternative names", |template| template.names.truncate(1)),
        ("TLS feature status_request", |template| template.must_staple = true),
        ("ocsp-nocheck", |template| template.ocsp_no_check = true),
        ("OCSP URL", |template| template.endpoints.ocsp = Some("http://another.example.org/ocsp".to_owned())),
    ];
    for (field, change) in changes {
        let (certificate, mut template) = issued();
        change(&mut template);
        let mismatch = certificate.check_answers(&asked(&template)).expect_err(field);
        assert_eq!(mismatch.field, field);
    }
}

#[test]
fn where_nothing_was_asked_for_the_issuer_may_say_where_status_is() {
    let (certificate, mut template) = issued();
    template.endpoints.crl = None;
    assert_eq!(certificate.check_answers(&asked(&template)), Ok(()));
}

#[test]
fn nothing_is_added() {
    let foreign = Certificate::from_pem(include_str!("../testdata/leaf.pem")).expect("made by openssl");
    let mut asked = AskedFor::from_tbs_der(foreign.tbs_der()).expect("readable");
    assert_eq!(foreign.check_answers(&asked), Ok(()));
    asked.encoded.retain(|extension| extension.identifier != "1.2.3.4.5");
    let mismatch = foreign.check_answers(&asked).expect_err("it has an extension that was not asked for");
    assert_eq!((mismatch.field, mismatch.found.as_str()), ("extensions", "1.2.3.4.5"));
}

const SECOND: Lifetime = Lifetime::from_seconds(1);
