//! What is said to AWS, of what is to be in a certificate; and what is refused before anything is said.

use ca_core::certificate::Certificate;
use ca_core::id::CertificateId;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName as Name, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};

use super::*;

const NO_CHECK: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 5];
const ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];

fn params(subject: &[(DnType, &str)], names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = Name::new();
    for (kind, value) in subject {
        params.distinguished_name.push(kind.clone(), *value);
    }
    params.subject_alt_names = names;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::Other(vec![1, 2, 3, 4])];
    params
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("a name"))
}

/// What is asked for, as a certificate of these parameters says it, and a CSR of those.
fn worded(asked: &CertificateParams, csr: &CertificateParams, purpose: OrderPurpose) -> Result<Wording, IssuerError> {
    let key = KeyPair::generate().expect("a key");
    let certificate = asked.self_signed(&key).expect("a certificate");
    let certificate = Certificate::from_der(certificate.der()).expect("readable");
    let asked_for = AskedFor::from_tbs_der(certificate.tbs_der()).expect("readable");
    let csr = csr.serialize_request(&key).expect("a request");
    let id = CertificateId::new(Timestamp::from_unix_seconds(1), [7; 10]);
    word("aws", &IssuerOrder { id, csr: csr.der(), asked_for: &asked_for, purpose })
}

fn refusal(asked: &CertificateParams, csr: &CertificateParams) -> String {
    match worded(asked, csr, OrderPurpose::EndEntity) {
        Err(IssuerError::Refused { detail }) => detail,
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_that_is_wanted_is_said_through_the_api() {
    let subject =
        [(DnType::CountryName, "BR"), (DnType::OrganizationName, "Cartório"), (DnType::CommonName, "a.example")];
    let names = vec![dns("a.example"), SanType::IpAddress("2001:db8::1".parse().expect("an address"))];
    let mut asked = params(&subject, names);
    asked.custom_extensions = vec![CustomExtension::from_oid_content(ACCESS, vec![0x30, 0x00])];
    let csr = params(&[(DnType::CommonName, "of the CSR")], vec![dns("of.the.csr")]);
    // Where status is found is no place of rcgen's: the octets are not read here.
    asked.custom_extensions = Vec::new();
    let worded = worded(&asked, &csr, OrderPurpose::EndEntity).expect("worded");
    assert_eq!(worded.template_arn, format!("arn:aws:acm-pca:::template/{END_ENTITY}/V1"));
    assert_eq!(worded.algorithm, SigningAlgorithm::Sha256Withecdsa);
    assert!(worded.csr.starts_with(b"-----BEGIN CERTIFICATE REQUEST-----\n"));
    let subject = worded.passthrough.subject().expect("a subject");
    let attributes: Vec<(&str, &str)> =
        subject.custom_attributes().iter().map(|custom| (custom.object_identifier(), custom.value())).collect();
    assert_eq!(attributes, [("2.5.4.6", "BR"), ("2.5.4.10", "Cartório"), ("2.5.4.3", "a.example")]);
    let extensions = worded.passthrough.extensions().expect("extensions");
    assert!(extensions.key_usage().expect("a usage").digital_signature());
    assert!(!extensions.key_usage().expect("a usage").key_encipherment());
    let purposes = extensions.extended_key_usage();
    assert_eq!(purposes[0].extended_key_usage_type(), Some(&PurposeType::ServerAuth));
    assert_eq!(purposes[1].extended_key_usage_object_identifier(), Some("1.2.3.4"));
    let names = extensions.subject_alternative_names();
    assert_eq!((names[0].dns_name(), names[1].ip_address()), (Some("a.example"), Some("2001:db8::1")));
    assert!(extensions.custom_extensions().is_empty(), "keys and basic constraints are AWS's to say");
    for (validity, at) in [(&worded.not_before, asked.not_before), (&worded.not_after, asked.not_after)] {
        assert_eq!((validity.r#type(), validity.value()), (&ValidityPeriodType::Absolute, at.unix_timestamp()));
    }
}

#[test]
fn a_responder_gets_what_its_template_lacks() {
    let mut asked = params(&[(DnType::CommonName, "OCSP responder of tls")], Vec::new());
    asked.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    asked.custom_extensions = vec![CustomExtension::from_oid_content(NO_CHECK, vec![0x05, 0x00])];
    let csr = params(&[(DnType::CommonName, "OCSP responder of tls")], Vec::new());
    let worded = worded(&asked, &csr, OrderPurpose::OcspResponder).expect("worded");
    assert_eq!(worded.template_arn, format!("arn:aws:acm-pca:::template/{RESPONDER}/V1"));
    let extensions = worded.passthrough.extensions().expect("extensions");
    assert!(extensions.key_usage().is_none() && extensions.extended_key_usage().is_empty(), "the template has them");
    let custom = &extensions.custom_extensions()[0];
    assert_eq!((custom.object_identifier(), custom.value()), ("1.3.6.1.5.5.7.48.1.5", "BQA="));
}

#[test]
fn what_aws_would_make_otherwise_is_refused_before_it_is_asked() {
    let (named, nameless) = (params(&[(DnType::CommonName, "a")], Vec::new()), params(&[], vec![dns("a.example")]));
    assert!(refusal(&nameless, &params(&[(DnType::CommonName, "of the CSR")], Vec::new())).contains("have no subject"));
    assert!(refusal(&named, &params(&[], vec![dns("of.the.csr")])).contains("no subject alternative names"));
    let mut authority = named.clone();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    assert!(refusal(&authority, &named).contains("ceremony"));
    let long = params(&[(DnType::OrganizationName, &"o".repeat(257))], Vec::new());
    assert!(refusal(&long, &named).contains("256 characters"));
    let many = params(&[], (0..151).map(|number| dns(&format!("{number}.example"))).collect());
    assert!(refusal(&many, &params(&[], vec![dns("a.example")])).contains("150"));
}

#[test]
fn other_names_are_texts_in_utf8() {
    assert_eq!(utf8_of(&[0x0c, 2, b'a', b'b']), Ok("ab"));
    for other in [&[][..], &[0x16, 1, b'a'], &[0x0c, 2, b'a'], &[0x0c, 1, 0xff], &[0x0c]] {
        assert!(utf8_of(other).is_err(), "{other:?}");
    }
}
