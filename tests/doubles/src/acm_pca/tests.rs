//! What the double promises to be like, without HTTP; certificates are read by a parser that is not ours either.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::*;

const NOW: i64 = 1_800_000_000;

fn state_with(plan: &AuthorityPlan) -> (AcmPca, String) {
    let mut state = AcmPca::new(NOW);
    let arn = state.add_authority(plan).expect("an authority");
    (state, arn)
}

fn ask(state: &mut AcmPca, operation: &str, body: &Value) -> Result<Value, AwsError> {
    state.serve(operation, &Input::new(body.clone())?)
}

fn csr() -> String {
    let params = CertificateParams::new(["of-the-csr.example.org".to_owned()]).expect("a name");
    let request = params.serialize_request(&KeyPair::generate().expect("a key")).expect("a request");
    BASE64_STANDARD.encode(request.pem().expect("PEM"))
}

fn order(arn: &str, token: &str, template: &str) -> Value {
    json!({
        "CertificateAuthorityArn": arn,
        "Csr": csr(),
        "SigningAlgorithm": "SHA256WITHECDSA",
        "TemplateArn": format!("arn:aws:acm-pca:::template/{template}/V1"),
        "Validity": { "Type": "ABSOLUTE", "Value": NOW + 86_400 },
        "ValidityNotBefore": { "Type": "ABSOLUTE", "Value": NOW - 300 },
        "IdempotencyToken": token,
        "ApiPassthrough": {
            "Subject": { "CustomAttributes": [
                { "ObjectIdentifier": "2.5.4.6", "Value": "BR" },
                { "ObjectIdentifier": "2.5.4.3", "Value": "of the API" },
            ]},
            "Extensions": {
                "KeyUsage": { "DigitalSignature": true },
                "ExtendedKeyUsage": [{ "ExtendedKeyUsageType": "SERVER_AUTH" }],
                "SubjectAlternativeNames": [{ "DnsName": "of-the-api.example.org" }, { "IpAddress": "192.0.2.1" }],
                "CustomExtensions": [
                    { "ObjectIdentifier": "1.3.6.1.5.5.7.48.1.5", "Value": "BQA=", "Critical": false },
                ],
            },
        },
    })
}

fn issue(state: &mut AcmPca, body: &Value) -> Result<String, AwsError> {
    ask(state, "IssueCertificate", body).map(|answer| answer["CertificateArn"].as_str().expect("an ARN").to_owned())
}

fn collect(state: &mut AcmPca, arn: &str, certificate: &str) -> Result<Value, AwsError> {
    ask(state, "GetCertificate", &json!({ "CertificateAuthorityArn": arn, "CertificateArn": certificate }))
}

fn revoke(state: &mut AcmPca, arn: &str, serial: &str, reason: &str) -> Result<Value, AwsError> {
    let body = json!({ "CertificateAuthorityArn": arn, "CertificateSerial": serial, "RevocationReason": reason });
    ask(state, "RevokeCertificate", &body)
}

fn code(outcome: Result<impl std::fmt::Debug, AwsError>) -> &'static str {
    outcome.expect_err("refused").code
}

fn issued(state: &AcmPca, arn: &str) -> Vec<IssuedHere> {
    state.authorities[arn].issued()
}

#[test]
fn a_blank_template_says_what_the_api_says() {
    let (mut state, arn) = state_with(&AuthorityPlan::root("A root"));
    issue(&mut state, &order(&arn, "one", "BlankEndEntityCertificate_CriticalBasicConstraints_APIPassthrough"))
        .expect("issued");
    let der = &issued(&state, &arn)[0].der;
    let (_, certificate) = X509Certificate::from_der(der).expect("a certificate");
    let (_, own) = X509Certificate::from_der(&state.authorities[&arn].der).expect("its issuer");
    certificate.verify_signature(Some(own.public_key())).expect("signed by the authority");
    assert_eq!(certificate.subject().to_string(), "C=BR, CN=of the API");
    assert_eq!(certificate.validity().not_before.timestamp(), NOW - 300);
    assert_eq!(certificate.validity().not_after.timestamp(), NOW + 86_400);
    let usage = certificate.key_usage().expect("readable").expect("there");
    assert!(usage.critical && usage.value.digital_signature() && !usage.value.key_encipherment());
    let names = certificate.subject_alternative_name().expect("readable").expect("there");
    assert_eq!(names.value.general_names[0], GeneralName::DNSName("of-the-api.example.org"));
    assert_eq!(names.value.general_names.len(), 2, "and none of the CSR's");
    let purposes = certificate.extended_key_usage().expect("readable").expect("there");
    assert!(purposes.value.server_auth && !purposes.value.client_auth && !purposes.critical);
    assert!(certificate.basic_constraints().expect("readable").expect("there").critical);
    let identifiers = |certificate: &X509Certificate<'_>| {
        let found = certificate.iter_extensions().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => None,
        });
        found.collect::<Vec<_>>()
    };
    assert_eq!(identifiers(&certificate)[0], identifiers(&own)[0], "issuer and subject key agree");
    assert_eq!(identifiers(&certificate).len(), 2);
    assert!(certificate.iter_extensions().any(|extension| extension.value == [5, 0]));
}

#[test]
fn a_template_comes_before_the_api_and_one_without_passthrough_ignores_it() {
    let (mut state, arn) = state_with(&AuthorityPlan::root("A root"));
    issue(&mut state, &order(&arn, "responder", "OCSPSigningCertificate_APIPassthrough")).expect("issued");
    issue(&mut state, &order(&arn, "plain", "EndEntityCertificate")).expect("issued");
    let issued = issued(&state, &arn);
    let (_, responder) = X509Certificate::from_der(&issued[0].der).expect("a certificate");
    let purposes = responder.extended_key_usage().expect("readable").expect("there");
    assert!(purposes.critical && purposes.value.ocsp_signing && !purposes.value.server_auth);
    assert!(responder.iter_extensions().any(|extension| extension.value == [5, 0]), "nocheck came through");
    let (_, plain) = X509Certificate::from_der(&issued[1].der).expect("a certificate");
    let usage = plain.key_usage().expect("readable").expect("there");
    assert!(usage.value.key_encipherment());
    let names = plain.subject_alternative_name().expect("readable").expect("there");
    assert_eq!(names.value.general_names, [GeneralName::DNSName("of-the-csr.example.org")]);
    assert!(!plain.subject().to_string().contains("API"));
    for unknown in ["NoSuchTemplate", "BlankEndEntityCertificate", "SubordinateCACertificate_PathLen0"] {
        assert_eq!(code(issue(&mut state, &order(&arn, unknown, unknown))), "InvalidArgsException");
    }
}

#[test]
fn endpoints_come_from_the_configuration_unless_the_api_has_them() {
    let plan = AuthorityPlan {
        list_url: Some("http://lists.example.org/crl/1.crl".to_owned()),
        ocsp_url: Some("http://ocsp.example.org".to_owned()),
        ..AuthorityPlan::root("A root")
    };
    let access = extension::ocsp_access("http://pki.example.org/ocsp").expect("a URL").value;
    for (takes_access, expected) in [(true, "http://pki.example.org/ocsp"), (false, "http://ocsp.example.org")] {
        let (mut state, arn) = state_with(&AuthorityPlan { takes_access, ..plan.clone() });
        let mut body = order(&arn, "one", "BlankEndEntityCertificate_APIPassthrough");
        body["ApiPassthrough"]["Extensions"]["CustomExtensions"][0] =
            json!({ "ObjectIdentifier": extension::ACCESS, "Value": BASE64_STANDARD.encode(&access) });
        issue(&mut state, &body).expect("issued");
        let der = &issued(&state, &arn)[0].der;
        let contains = |text: &str| der.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(contains(expected) && contains("http://lists.example.org/crl/1.crl"));
        assert!(contains("pki.example.org") == takes_access);
    }
}

#[test]
fn a_token_makes_one_certificate_for_five_minutes() {
    let (mut state, arn) = state_with(&AuthorityPlan::root("A root"));
    let body = order(&arn, "the-same", "BlankEndEntityCertificate_APIPassthrough");
    let first = issue(&mut state, &body).expect("issued");
    state.now += 299;
    assert_eq!(issue(&mut state, &body).expect("the same"), first);
    state.now += 1;
    assert_ne!(issue(&mut state, &body).expect("another"), first);
    assert_eq!(issued(&state, &arn).len(), 2);
}

#[test]
fn a_certificate_is_ready_later() {
    let (mut state, arn) = state_with(&AuthorityPlan::root("A root"));
    state.waits = 2;
    let certificate = issue(&mut state, &order(&arn, "one", "EndEntityCertificate")).expect("issued");
    assert_eq!(code(collect(&mut state, &arn, &certificate)), "RequestInProgressException");
    assert_eq!(code(collect(&mut state, &arn, &certificate)), "RequestInProgressException");
    let answer = collect(&mut state, &arn, &certificate).expect("ready");
    assert!(answer["Certificate"].as_str().is_some_and(|pem| pem.starts_with("-----BEGIN CERTIFICATE-----\n")));
    assert_eq!(code(collect(&mut state, &arn, "arn:of-nothing")), "ResourceNotFoundException");
}

#[test]
fn a_revocation_is_done_once_and_listed_later() {
    let plan =
        AuthorityPlan { list_url: Some("http://lists.example.org/1.crl".to_owned()), ..AuthorityPlan::root("A root") };
    let (mut state, arn) = state_with(&plan);
    issue(&mut state, &order(&arn, "one", "EndEntityCertificate")).expect("issued");
    let serial = issued(&state, &arn)[0].serial.clone();
    let pairs: Vec<&str> = (0..serial.len()).step_by(2).map(|at| &serial[at..at + 2]).collect();
    assert_eq!(code(revoke(&mut state, &arn, &serial, "CERTIFICATE_HOLD")), "ValidationException");
    revoke(&mut state, &arn, &pairs.join(":").to_uppercase(), "KEY_COMPROMISE").expect("revoked");
    assert_eq!(code(revoke(&mut state, &arn, &serial, "SUPERSEDED")), "RequestAlreadyProcessedException");
    assert_eq!(code(revoke(&mut state, &arn, "00ff", "SUPERSEDED")), "ResourceNotFoundException");
    let mut entries = |now: i64| {
        let list = state.authorities.get_mut(&arn).expect("there").list(now).expect("made").expect("kept");
        let (_, list) = x509_parser::revocation_list::CertificateRevocationList::from_der(&list).expect("a list");
        list.iter_revoked_certificates().count()
    };
    assert_eq!(entries(NOW + LAG - 1), 0);
    assert_eq!(entries(NOW + LAG), 1);
}

/// How late a list has a revocation.
const LAG: i64 = 30 * 60;

#[test]
fn what_cannot_be_issued_is_refused() {
    let (mut state, arn) = state_with(&AuthorityPlan { short_lived: true, ..AuthorityPlan::root("A root") });
    let good = order(&arn, "one", "EndEntityCertificate");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        body
    };
    let too_long = with(&|body| body["Validity"]["Value"] = (NOW + 8 * 86_400).into());
    assert_eq!(code(issue(&mut state, &too_long)), "ValidationException");
    let ended = with(&|body| body["Validity"]["Value"] = (NOW - 1).into());
    assert_eq!(code(issue(&mut state, &ended)), "ValidationException");
    let no_request = with(&|body| body["Csr"] = BASE64_STANDARD.encode("no CSR").into());
    assert_eq!(code(issue(&mut state, &no_request)), "MalformedCSRException");
    let family = with(&|body| body["SigningAlgorithm"] = "SHA256WITHRSA".into());
    assert_eq!(code(issue(&mut state, &family)), "InvalidArgsException");
    let twice = with(&|body| {
        body["TemplateArn"] = "arn:aws:acm-pca:::template/BlankEndEntityCertificate_APIPassthrough/V1".into();
        body["ApiPassthrough"]["Extensions"]["CustomExtensions"][0]["ObjectIdentifier"] = extension::KEY_USAGE.into();
    });
    assert_eq!(code(issue(&mut state, &twice)), "InvalidArgsException");
    let nobody = with(&|body| body["CertificateAuthorityArn"] = "arn:of-nobody".into());
    assert_eq!(code(issue(&mut state, &nobody)), "ResourceNotFoundException");
    for status in [AuthorityStatus::Disabled, AuthorityStatus::PendingCertificate, AuthorityStatus::Deleted] {
        state.authorities.get_mut(&arn).expect("there").status = status;
        assert_eq!(code(issue(&mut state, &good)), "InvalidStateException");
    }
    assert_eq!(issued(&state, &arn), []);
}

#[test]
fn a_subordinate_hands_out_its_chain() {
    let (mut state, root) = state_with(&AuthorityPlan::root("A root"));
    let plan = AuthorityPlan { key: KeyAlgorithm::P384, ..AuthorityPlan::below(&root, "Below") };
    let below = state.add_authority(&plan).expect("a subordinate");
    let (root_der, der) = (state.certificate_of(&root).expect("there"), state.certificate_of(&below).expect("there"));
    let (_, root_certificate) = X509Certificate::from_der(&root_der).expect("a certificate");
    let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate");
    certificate.verify_signature(Some(root_certificate.public_key())).expect("signed by the root");
    let body = json!({ "CertificateAuthorityArn": below });
    let answer = ask(&mut state, "GetCertificateAuthorityCertificate", &body).expect("answered");
    assert_eq!(answer["CertificateChain"].as_str().map(|chain| chain.matches("BEGIN CERT").count()), Some(1));
    let described = ask(&mut state, "DescribeCertificateAuthority", &body).expect("answered");
    assert_eq!(described["CertificateAuthority"]["Status"], "ACTIVE");
    assert_eq!(described["CertificateAuthority"]["CertificateAuthorityConfiguration"]["KeyAlgorithm"], "EC_secp384r1");
}
