//! Certificates of ours and of others are read for what they say, and held against what was meant.

use proptest::prelude::*;

use super::*;
use crate::hierarchy::{
    Authority, Owner, SigningKey, by_service, name, profile, request, serial, subject, tls_constraints,
};
use crate::key::KeyType;
use crate::policy;
use crate::template::{self, CertificateTemplate, Endpoints, SubjectRole};
use crate::time::{Lifetime, Timestamp};

/// A certificate that openssl made with every extension we read (`testdata/README.md`).
fn foreign() -> Certificate {
    Certificate::from_pem(include_str!("testdata/leaf.pem")).expect("made by openssl")
}

fn foreign_issuer() -> Certificate {
    Certificate::from_pem(include_str!("testdata/issuer.pem")).expect("made by openssl")
}

/// A server's certificate of ours and its template.
fn ours() -> (Certificate, CertificateTemplate) {
    let tls = Authority::below(&Authority::root(KeyType::P256), KeyType::P256, "tls", &tls_constraints());
    let key = SigningKey::of(Owner::Holder, KeyType::P256);
    let holder = subject("CN=api.example.org");
    let names = [name("dns:api.example.org")];
    let asked = request(key.public(), &holder, &names);
    let granted = policy::evaluate(&profile("server"), &asked, &by_service()).expect("granted");
    (tls.issue(&profile("server"), &asked), tls.template(granted))
}

#[test]
fn a_known_key_is_taken_for_itself_alone() {
    let (leaf, issuer) = (foreign(), foreign_issuer());
    assert_ne!(leaf.public_key(), issuer.public_key());
    for known in [leaf.public_key(), issuer.public_key()] {
        let read = Certificate::from_der_of_key(leaf.der(), known).expect("made by openssl");
        assert_eq!((read.public_key(), &read), (leaf.public_key(), &leaf));
    }
}

#[test]
fn reads_what_openssl_wrote() {
    let leaf = foreign();
    assert_eq!(leaf.serial().to_string(), "0123456789abcdef");
    assert_eq!(leaf.subject().to_rfc4514(), "CN=leaf.example.org,O=Foreign");
    assert_eq!(leaf.issuer().to_rfc4514(), "CN=Foreign CA,O=Foreign");
    assert_eq!(leaf.signature_algorithm(), SignatureAlgorithm::EcdsaSha256);
    let names: Vec<String> = leaf.names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["dns:leaf.example.org", "ip:192.0.2.1", "email:a@example.org", "uri:https://example.org/"]);
    assert!(!leaf.is_authority() && leaf.path_length().is_none());
    let usages: KeyUsages = [KeyUsage::DigitalSignature, KeyUsage::KeyAgreement].into_iter().collect();
    assert_eq!(leaf.key_usage(), Some(usages));
    assert_eq!(leaf.extended_key_usage(), [ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::OCSP_SIGNING]);
    assert_eq!(leaf.certificate_policies(), [ObjectIdentifier::new_unwrap("1.2.3.4")]);
    assert_eq!(leaf.crl_urls(), ["http://example.org/a.crl", "http://example.org/b.crl"]);
    assert_eq!(leaf.ocsp_urls(), ["http://example.org/ocsp"]);
    assert_eq!(leaf.ca_issuers_urls(), ["http://example.org/ca.crt"]);
    assert!(leaf.must_staple() && leaf.ocsp_no_check());
    assert_eq!(leaf.unknown_critical_extensions(), ["1.2.3.4.5"]);
    assert_eq!(leaf.subject_key_identifier(), Some(&leaf.public_key().key_identifier()[..]));
    let issuer = foreign_issuer();
    assert_eq!(leaf.authority_key_identifier(), issuer.subject_key_identifier());
    assert_eq!((issuer.is_authority(), issuer.path_length()), (true, Some(1)));
    assert_eq!(issuer.name_constraints().map(|constraints| constraints.permitted.len()), Some(2));
    assert!(issuer.is_self_issued() && !leaf.is_self_issued());
    let day = Lifetime::from_days(1);
    assert!(leaf.validity().not_after.since(leaf.validity().not_before) > day);
}

#[test]
fn tells_who_signed() {
    let (leaf, issuer) = (foreign(), foreign_issuer());
    assert_eq!(leaf.verify_signed_by(issuer.public_key()), Ok(()));
    assert!(leaf.verify_signed_by(leaf.public_key()).is_err());
    assert_eq!(issuer.verify_signed_by(issuer.public_key()), Ok(()));
}

#[test]
fn der_and_pem_are_kept() {
    let leaf = foreign();
    assert_eq!(Certificate::from_der(leaf.der()).as_ref(), Ok(&leaf));
    assert_eq!(Certificate::from_pem(&leaf.to_pem()).as_ref(), Ok(&leaf));
    let both = [leaf.to_pem(), foreign_issuer().to_pem()].concat();
    assert_eq!(Certificate::all_from_pem(&both), Ok(vec![leaf.clone(), foreign_issuer()]));
    assert_eq!(leaf.fingerprint_sha256(), hash::sha256(leaf.der()));
}

#[test]
fn an_issuers_facts_are_its_certificates() {
    let issuer = foreign_issuer();
    let facts = IssuerFacts::from_certificate(&issuer).expect("an authority");
    assert_eq!(facts.subject, *issuer.subject());
    assert_eq!(facts.path_length, Some(1));
    assert_eq!(Some(&facts.key_identifier[..]), issuer.subject_key_identifier());
    assert_eq!(facts.signature_algorithm, SignatureAlgorithm::EcdsaSha256);
    assert!(matches!(IssuerFacts::from_certificate(&foreign()), Err(CertificateError::NotAnAuthority { .. })));
}

#[test]
fn what_is_no_certificate_is_refused_for_its_reason() {
    let der = foreign().der().to_vec();
    let spoil = |from: &[u8], to: &[u8]| {
        let at = der.windows(from.len()).rposition(|window| window == from).expect("it is there");
        let mut spoiled = der.clone();
        spoiled[at..at + to.len()].copy_from_slice(to);
        Certificate::from_der(&spoiled)
    };
    // The outer algorithm, ecdsa-with-SHA256, made SHA384.
    let outer = SignatureAlgorithm::EcdsaSha256.identifier_der();
    let other = SignatureAlgorithm::EcdsaSha384.identifier_der();
    assert_eq!(spoil(outer, other).err(), Some(CertificateError::AlgorithmsDiffer));
    assert_eq!(spoil(&[0xa0, 3, 2, 1, 2], &[0xa0, 3, 2, 1, 1]).err(), Some(CertificateError::NotVersion3));
    assert!(matches!(Certificate::from_der(&der[..der.len() - 1]), Err(CertificateError::Malformed(_))));
    assert!(matches!(Certificate::from_der(&[&der[..], &[0]].concat()), Err(CertificateError::Malformed(_))));
    assert!(matches!(Certificate::from_pem("x"), Err(CertificateError::Pem(_))));
}

#[test]
fn our_own_is_what_was_meant() {
    let (certificate, template) = ours();
    assert_eq!(certificate.check_against(&template), Ok(()));
}

#[test]
fn every_difference_from_the_template_is_told() {
    let (certificate, template) = ours();
    type Change = fn(&mut CertificateTemplate);
    let changes: [(&str, Change); 18] = [
        ("serial number", |template| template.serial = serial(0x11)),
        ("signature algorithm", |template| template.signature_algorithm = SignatureAlgorithm::Ed25519),
        ("issuer", |template| template.issuer = subject("CN=Other")),
        ("subject", |template| template.subject = subject("CN=other")),
        ("public key", |template| template.public_key = SigningKey::of(Owner::Root, KeyType::P256).public().clone()),
        ("notBefore", |template| template.validity.not_before = Timestamp::from_unix_seconds(0)),
        ("notAfter", |template| template.validity.not_after = Timestamp::from_unix_seconds(0)),
        ("basic constraints", |template| template.role = SubjectRole::Authority { path_length: None }),
        ("key usage", |template| template.key_usage = KeyUsages::EMPTY),
        ("extended key usage", |template| template.extended_key_usage.clear()),
        ("certificate policies", |template| template.certificate_policies.clear()),
        ("subject alternative names", |template| template.names.clear()),
        ("name constraints", |template| {
            template.name_constraints.excluded = vec![crate::name::Subtree::parse("dns:a.org").expect("a subtree")];
        }),
        ("TLS feature status_request", |template| template.must_staple = true),
        ("ocsp-nocheck", |template| template.ocsp_no_check = true),
        ("authority key identifier", |template| template.authority_key_identifier = None),
        ("subject key identifier", |template| template.subject_key_identifier = [0; 20]),
        ("OCSP URL", |template| template.endpoints.ocsp = Some("http://other.example.org/".to_owned())),
    ];
    for (field, change) in changes {
        let mut meant = template.clone();
        change(&mut meant);
        let mismatch = certificate.check_against(&meant).expect_err(field);
        assert_eq!(mismatch.field, field);
        assert_ne!(mismatch.expected, mismatch.found);
    }
}

#[test]
fn a_serial_that_the_issuer_chose_is_accepted() {
    let (certificate, template) = ours();
    let meant = CertificateTemplate { serial: template::SerialChoice::ChosenByIssuer, ..template };
    let meant = CertificateTemplate { endpoints: Endpoints::default(), ..meant };
    assert_eq!(certificate.check_against(&meant), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_change_makes_it_panic(position in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let mut der = foreign().der().to_vec();
        let position = position.index(der.len());
        der[position] = octet;
        if let Ok(certificate) = Certificate::from_der(&der) {
            prop_assert_eq!(certificate.der(), der);
        }
    }

    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Certificate::from_der(&octets).is_err());
    }
}
