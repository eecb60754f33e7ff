use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;
use crate::hash::sha1;
use crate::hierarchy::{Owner, SigningKey};
use crate::key::{KeyType, SignatureAlgorithm};
use crate::revocation::RevocationReason;
use crate::signing::Signature;

const PRODUCED: Timestamp = Timestamp::from_unix_seconds(1_795_176_000);

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(PRODUCED.unix_millis() + seconds * 1000)
}

fn single(serial_text: &str, status: CertStatus) -> SingleResponse {
    SingleResponse {
        cert_id: CertId::new(CertIdHash::Sha1, &identity(), &serial(serial_text)),
        status,
        this_update: PRODUCED,
        next_update: Some(later(3600)),
        archive_cutoff: None,
    }
}

fn template() -> ResponseTemplate {
    ResponseTemplate {
        responder_key_hash: [0xa5; 20],
        produced_at: PRODUCED,
        responses: vec![single("1001", CertStatus::Good)],
        nonce: None,
    }
}

fn answered(der: &[u8]) -> BasicResponse {
    match ParsedResponse::from_der(der) {
        Ok(ParsedResponse::Answered(response)) => response,
        other => panic!("no answer: {other:?}"),
    }
}

fn unsigned(template: &ResponseTemplate) -> Vec<u8> {
    let tbs = OcspTbs::new(template).expect("faultless");
    assemble(&tbs, &Signature { algorithm: SignatureAlgorithm::Ed25519, octets: vec![7; 64] }, &[])
}

#[test]
fn is_octet_for_octet_the_der_of_rfc_6960() {
    let template = ResponseTemplate {
        responses: vec![single(
            "1001",
            CertStatus::Revoked { at: at("2026-01-01T00:00:00Z"), reason: Some(RevocationReason::KeyCompromise) },
        )],
        nonce: Some(vec![9; 4]),
        ..template()
    };
    let expected = [
        // ResponseData; the version is the default and left out. responderID byKey [2], producedAt.
        "3081bf".to_owned(),
        "a2160414".to_owned() + &"a5".repeat(20),
        time("20261120120000Z"),
        // responses, SingleResponse, certID
        "307b3079".to_owned(),
        hex::encode(template.responses[0].cert_id.as_der()),
        // revoked [1] with revocationReason [0], thisUpdate, nextUpdate [0]
        "a116".to_owned() + &time("20260101000000Z") + "a0030a0101",
        time("20261120120000Z"),
        "a011".to_owned() + &time("20261120130000Z"),
        // responseExtensions [1]: id-pkix-ocsp-nonce, an OCTET STRING in the extnValue
        "a11730153013".to_owned() + "06092b0601050507300102" + "0406" + "040409090909",
    ];
    let tbs = OcspTbs::new(&template).expect("faultless");
    assert_eq!(hex::encode(tbs.to_be_signed()), expected.concat());
}

fn time(digits: &str) -> String {
    hex::encode([&[0x18, 0x0f], digits.as_bytes()].concat())
}

#[test]
fn reads_back_every_status_with_every_field() {
    let mut responses = vec![
        single("1001", CertStatus::Good),
        single("1002", CertStatus::Unknown),
        single("1003", CertStatus::Revoked { at: at("2050-01-01T00:00:00Z"), reason: None }),
        SingleResponse { next_update: None, ..single("1004", CertStatus::Good) },
        SingleResponse { archive_cutoff: Some(at("1999-01-01T00:00:00Z")), ..single("1005", CertStatus::Good) },
    ];
    let reasons = RevocationReason::ALL.into_iter().filter(|reason| *reason != RevocationReason::Unspecified);
    responses.extend(reasons.map(|reason| {
        let status = CertStatus::Revoked { at: at("2026-01-01T00:00:00Z"), reason: Some(reason) };
        SingleResponse { cert_id: CertId::new(CertIdHash::Sha256, &identity(), &serial("2002")), ..single("1", status) }
    }));
    let template = ResponseTemplate { responses, nonce: Some(vec![3; 128]), ..template() };
    let read = answered(&unsigned(&template));
    assert_eq!(read.responses(), template.responses);
    assert_eq!((read.produced_at(), read.nonce()), (PRODUCED, template.nonce.as_deref()));
    assert_eq!(*read.responder_id(), ResponderId::KeyHash(vec![0xa5; 20]));
    assert_eq!(read.find(&identity(), &serial("1002")).map(|single| single.status), Some(CertStatus::Unknown));
    assert_eq!(read.find(&identity(), &serial("1006")), None);
}

#[test]
fn leaves_unspecified_out_and_cuts_fractions_of_seconds_off() {
    let at = Timestamp::from_unix_millis(PRODUCED.unix_millis() - 1);
    let status = CertStatus::Revoked { at, reason: Some(RevocationReason::Unspecified) };
    let produced_at = Timestamp::from_unix_millis(PRODUCED.unix_millis() + 999);
    let template = ResponseTemplate { produced_at, responses: vec![single("1001", status)], ..template() };
    let read = answered(&unsigned(&template));
    assert_eq!(read.produced_at(), PRODUCED);
    assert_eq!(read.responses()[0].status, CertStatus::Revoked { at: at.floor_to_second(), reason: None });
}

#[test]
fn repeats_the_octets_of_the_request() {
    for der in [testdata!("sha512.req"), testdata!("four.req")] {
        let request = request::parse(der).expect("a request");
        let answer = |cert_id: &CertId| SingleResponse { cert_id: cert_id.clone(), ..single("1", CertStatus::Unknown) };
        let responses: Vec<_> = request.certificates.iter().map(answer).collect();
        let response = unsigned(&ResponseTemplate { responses, ..template() });
        for id in &request.certificates {
            assert!(response.windows(id.as_der().len()).any(|window| window == id.as_der()));
        }
    }
}

#[test]
fn is_verified_with_the_key_that_signed_it_and_carries_certificates() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 octets");
    let spki =
        [&hex::decode("302a300506032b6570032100").expect("hexadecimal")[..], pair.public_key().as_ref()].concat();
    let key = PublicKey::from_spki_der(&spki).expect("a sound key");
    let template = ResponseTemplate { responder_key_hash: sha1(key.subject_public_key()), ..template() };
    let tbs = OcspTbs::new(&template).expect("faultless");
    let octets = pair.sign(tbs.to_be_signed()).as_ref().to_vec();
    let signature = Signature { algorithm: SignatureAlgorithm::Ed25519, octets };
    let certificate = certificate_der(include_str!("../testdata/responder.pem"));
    let der = assemble(&tbs, &signature, &[&certificate, &certificate]);

    let read = answered(&der);
    assert_eq!(read.certificates().collect::<Vec<_>>(), [&certificate[..], &certificate]);
    assert_eq!(read.verify(&issuer().0, &key, PRODUCED), Ok(ResponseSigner::Issuer));
    assert_eq!(answered(&assemble(&tbs, &signature, &[])).certificates().count(), 0);
}

/// A responder of RSA that signs by PSS.
#[test]
fn is_verified_where_it_was_signed_by_pss() {
    for algorithm in
        [SignatureAlgorithm::RsaPssSha256, SignatureAlgorithm::RsaPssSha384, SignatureAlgorithm::RsaPssSha512]
    {
        let signer = SigningKey::of(Owner::Authority, KeyType::Rsa2048).by_pss(algorithm);
        let key = signer.public();
        let template = ResponseTemplate { responder_key_hash: sha1(key.subject_public_key()), ..template() };
        let tbs = OcspTbs::new(&template).expect("faultless");
        let der = assemble(&tbs, &signer.sign(&tbs), &[]);
        assert_eq!(answered(&der).verify(&issuer().0, key, PRODUCED), Ok(ResponseSigner::Issuer));
        let identifier = algorithm.identifier_der();
        let at = der.windows(identifier.len()).position(|part| part == identifier).expect("it names its algorithm");
        let mut other_salt = der.clone();
        other_salt[at + identifier.len() - 1] = 20;
        let refused = answered(&other_salt).verify(&issuer().0, key, PRODUCED).expect_err("another salt");
        assert!(refused.to_string().contains("its salt is 20 octets long"), "{refused}");
    }
}

#[test]
fn errors_are_told_by_their_code_alone() {
    for error in ResponderError::ALL {
        assert_eq!(ParsedResponse::from_der(error_response(error)), Ok(ParsedResponse::Failed(error)), "{error:?}");
        assert_eq!(error_response(error)[4], error.code());
    }
}

#[track_caller]
fn breaks(rule: &str, spoil: impl FnOnce(&mut ResponseTemplate)) {
    let mut template = template();
    spoil(&mut template);
    let findings = OcspTbs::new(&template).expect_err("a rule is broken");
    assert_eq!(findings.iter().map(|finding| finding.rule).collect::<Vec<_>>(), [rule], "{findings:?}");
}

#[test]
fn refuses_what_breaks_a_rule() {
    breaks("there_is_an_answer", |template| template.responses.clear());
    breaks("this_update_is_not_in_the_future", |template| template.responses[0].this_update = later(1));
    for next_update in [PRODUCED, later(-1), Timestamp::from_unix_millis(PRODUCED.unix_millis() + 999)] {
        breaks("next_update_is_still_to_come", |template| template.responses[0].next_update = Some(next_update));
    }
    breaks("archive_cutoff_lies_in_the_past", |template| template.responses[0].archive_cutoff = Some(later(1)));
    for octets in [0, 129] {
        breaks("nonce_has_a_length_that_clients_accept", |template| template.nonce = Some(vec![7; octets]));
    }
    breaks("times_can_be_encoded", |template| {
        template.responses[0].status = CertStatus::Revoked { at: Timestamp::from_unix_seconds(i64::MIN), reason: None };
    });
    breaks("times_can_be_encoded", |template| {
        template.responses[0].next_update =
            Some(at("9999-12-31T23:59:59Z").plus(crate::time::Lifetime::from_seconds(1)));
    });
}

#[test]
fn an_answer_is_current_between_its_updates() {
    let answer = single("1001", CertStatus::Good);
    assert!(answer.is_current(PRODUCED) && answer.is_current(later(3600)));
    assert!(!answer.is_current(later(-1)) && !answer.is_current(later(3601)));
    let open = SingleResponse { next_update: None, ..answer };
    assert!(open.is_current(later(1_000_000)) && !open.is_current(later(-1)));
}
