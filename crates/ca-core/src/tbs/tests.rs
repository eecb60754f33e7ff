//! What was encoded is what a strict decoder that others wrote (x509-cert) reads, octet for octet where octets count.

use std::sync::LazyLock;

use der::{Decode, Encode};
use proptest::prelude::*;
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, BasicConstraints, CrlDistributionPoints, KeyUsage as TheirUsage,
};

use super::extension::id;
use super::extension_value;
use super::*;
use crate::hierarchy::{
    Authority, Owner, SigningKey, by_service, endpoints, name, now, profile, request, serial, subject, tls_constraints,
};
use crate::key::KeyType;
use crate::name::DistinguishedName;
use crate::policy;
use crate::profile::Profile;
use crate::template::{self, Issuer};
use crate::usage::{KeyUsage, KeyUsages};

fn template_of(profile: &Profile, holder: &DistinguishedName, names: &[&str]) -> CertificateTemplate {
    let root = Authority::root(KeyType::P256);
    let tls = Authority::below(&root, KeyType::P256, "tls", &tls_constraints());
    let key = SigningKey::of(Owner::Holder, KeyType::P256);
    let names: Vec<_> = names.iter().map(|text| name(text)).collect();
    let granted = policy::evaluate(profile, &request(key.public(), holder, &names), &by_service()).expect("granted");
    template::build(granted, Issuer::Authority(&tls.facts), &endpoints("tls"), serial(0x5a), now()).expect("built")
}

fn server() -> CertificateTemplate {
    static SERVER: LazyLock<CertificateTemplate> = LazyLock::new(|| {
        template_of(&profile("server"), &subject("CN=api.example.org,OU=One,OU=Two,O=Test"), &["dns:api.example.org"])
    });
    SERVER.clone()
}

#[test]
fn another_decoder_reads_it_and_writes_the_same_octets() {
    let template = server();
    let tbs = encode(&template).expect("encoded");
    let read = x509_cert::certificate::TbsCertificate::from_der(tbs.as_bytes()).expect("strict DER");
    assert_eq!(read.to_der().expect("encodes"), tbs.as_bytes());
    assert_eq!(read.serial_number().as_bytes(), [0x5a; 16]);
    assert_eq!(read.issuer().to_der().expect("encodes"), template.issuer().as_der());
    assert_eq!(read.subject().to_der().expect("encodes"), template.subject().as_der());
    assert_eq!(read.subject_public_key_info().to_der().expect("encodes"), template.public_key().spki_der());
    assert_eq!(
        read.validity().not_before.to_unix_duration().as_secs() as i64,
        template.validity().not_before.unix_seconds()
    );
    assert_eq!(
        read.validity().not_after.to_unix_duration().as_secs() as i64,
        template.validity().not_after.unix_seconds()
    );
}

#[test]
fn extensions_come_in_a_fixed_order() {
    let tbs = encode(&server()).expect("encoded");
    let view = TbsView::read(tbs.as_bytes()).expect("our own");
    let order: Vec<_> = view.extensions.iter().filter_map(|extension| extension.object_identifier()).collect();
    assert_eq!(
        order,
        [
            id::SUBJECT_KEY_IDENTIFIER,
            id::AUTHORITY_KEY_IDENTIFIER,
            id::BASIC_CONSTRAINTS,
            id::KEY_USAGE,
            id::EXTENDED_KEY_USAGE,
            id::CERTIFICATE_POLICIES,
            id::SUBJECT_ALT_NAME,
            id::CRL_DISTRIBUTION_POINTS,
            id::AUTHORITY_INFO_ACCESS,
        ]
    );
}

#[test]
fn another_decoder_reads_the_extensions_the_same() {
    let tbs = encode(&server()).expect("encoded");
    let read = x509_cert::certificate::TbsCertificate::from_der(tbs.as_bytes()).expect("strict DER");
    let (critical, constraints) = read.get_extension::<BasicConstraints>().expect("DER").expect("there");
    assert!(critical && !constraints.ca && constraints.path_len_constraint.is_none());
    let (_, points) = read.get_extension::<CrlDistributionPoints>().expect("DER").expect("there");
    assert_eq!(points.0.len(), 1);
    assert!(points.0[0].reasons.is_none() && points.0[0].crl_issuer.is_none());
    let (_, access) = read.get_extension::<AuthorityInfoAccessSyntax>().expect("DER").expect("there");
    let methods: Vec<_> = access.0.iter().map(|description| description.access_method).collect();
    assert_eq!(methods, [id::AD_OCSP, id::AD_CA_ISSUERS]);
}

#[test]
fn an_empty_subject_makes_the_names_critical() {
    let template = template_of(&profile("server"), &DistinguishedName::empty(), &["dns:api.example.org"]);
    let tbs = encode(&template).expect("encoded");
    let view = TbsView::read(tbs.as_bytes()).expect("our own");
    assert!(view.extension(&id::SUBJECT_ALT_NAME).expect("there").critical);
    assert_eq!(view.subject, [0x30, 0]);
}

#[test]
fn a_serial_that_the_issuer_chooses_is_not_encoded() {
    let template = CertificateTemplate { serial: SerialChoice::ChosenByIssuer, ..server() };
    assert_eq!(encode(&template), Err(EncodeError::SerialChosenByIssuer));
}

#[test]
fn a_time_past_the_year_9999_is_an_error() {
    let mut template = server();
    template.validity.not_after = crate::time::Timestamp::from_unix_seconds(253_402_300_800);
    assert!(matches!(encode(&template), Err(EncodeError::Time(_))));
}

proptest! {
    /// Every set of usages, as a decoder that others wrote reads it, and as ours reads it back.
    #[test]
    fn key_usages_are_named_bits(bits in 1_u16..512) {
        let usages: KeyUsages = KeyUsage::ALL.into_iter().filter(|usage| bits & (1 << *usage as u16) != 0).collect();
        let template = CertificateTemplate { key_usage: usages, ..server() };
        let tbs = encode(&template).expect("encoded");
        let view = TbsView::read(tbs.as_bytes()).expect("our own");
        let value = view.extension(&id::KEY_USAGE).expect("there").value;
        let theirs = TheirUsage::from_der(value).expect("strict DER");
        prop_assert_eq!(theirs.0.bits(), bits);
        prop_assert_eq!(extension_value::key_usage(value), Ok(usages));
    }

    #[test]
    fn no_octets_make_the_readers_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = TbsView::read(&octets);
        let _ = extension_value::subject_key_identifier(&octets);
        let _ = extension_value::authority_key_identifier(&octets);
        let _ = extension_value::basic_constraints(&octets);
        let _ = extension_value::key_usage(&octets);
        let _ = extension_value::extended_key_usage(&octets);
        let _ = extension_value::certificate_policies(&octets);
        let _ = extension_value::distribution_points(&octets);
        let _ = extension_value::access_descriptions(&octets);
        let _ = extension_value::tls_features(&octets);
    }
}
