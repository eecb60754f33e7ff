use proptest::prelude::*;

use super::*;
use crate::hash::sha1;
use crate::key::SignatureInvalid;
use crate::revocation::RevocationReason;
use crate::tlv::DerError;

fn answered(der: &[u8]) -> BasicResponse {
    match ParsedResponse::from_der(der) {
        Ok(ParsedResponse::Answered(response)) => response,
        other => panic!("no answer: {other:?}"),
    }
}

/// Verifies at the time when the response was made.
fn verify(response: &BasicResponse) -> Result<ResponseSigner, ResponseInvalid> {
    let (name, key) = issuer();
    response.verify(&name, &key, response.produced_at())
}

#[test]
fn reads_and_verifies_what_a_delegated_responder_of_openssl_said() {
    let response = answered(testdata!("four.resp"));
    let certificate = certificate_der(include_str!("../testdata/responder.pem"));
    assert_eq!(response.certificates().collect::<Vec<_>>(), [&certificate[..]]);
    assert_eq!(verify(&response), Ok(ResponseSigner::Delegated { certificate }));
    assert!(matches!(response.responder_id(), ResponderId::Name(_)));

    let revoked = |text, reason| CertStatus::Revoked { at: at(text), reason };
    let status = |text| response.find(&identity(), &serial(text)).expect(text).status;
    assert_eq!(status("1001"), CertStatus::Good);
    assert_eq!(status("1002"), revoked("2026-01-01T00:00:00Z", Some(RevocationReason::KeyCompromise)));
    assert_eq!(status("1003"), revoked("2026-01-02T00:00:00Z", None));
    assert_eq!(status("1004"), CertStatus::Unknown);
    assert_eq!(response.responses().len(), 4);
    for single in response.responses() {
        assert!(single.is_current(response.produced_at()));
        assert_eq!(single.next_update.map(|next| next.since(single.this_update).seconds()), Some(7 * 86_400));
    }
}

#[test]
fn gives_the_nonce_back_to_be_compared() {
    let response = answered(testdata!("nonce.resp"));
    let request = request::parse(testdata!("sha1_nonce.req")).expect("a request");
    assert!(request.nonce.is_some());
    assert_eq!(response.nonce(), request.nonce.as_deref());
    assert!(matches!(response.responder_id(), ResponderId::KeyHash(_)));
    assert!(matches!(verify(&response), Ok(ResponseSigner::Delegated { .. })));
}

#[test]
fn the_issuer_itself_may_sign_by_name_or_key() {
    for der in [testdata!("by_issuer.resp"), testdata!("by_issuer_key.resp")] {
        assert_eq!(verify(&answered(der)), Ok(ResponseSigner::Issuer));
    }
    let by_key = answered(testdata!("by_issuer_key.resp"));
    assert_eq!(*by_key.responder_id(), ResponderId::KeyHash(sha1(issuer().1.subject_public_key()).to_vec()));
}

#[test]
fn refuses_responders_to_whom_nobody_has_delegated_it() {
    let refused = |der| verify(&answered(der)).expect_err("not authorized");
    assert_eq!(refused(testdata!("by_responder_without_usage.resp")), ResponseInvalid::ResponderNotAuthorized);
    assert_eq!(refused(testdata!("by_responder_for_servers.resp")), ResponseInvalid::ResponderNotAuthorized);
    assert_eq!(refused(testdata!("by_responder_wrong_key_usage.resp")), ResponseInvalid::ResponderNotAuthorized);
    assert!(matches!(refused(testdata!("by_responder_expired.resp")), ResponseInvalid::ResponderNotValidNow { .. }));
    assert_eq!(refused(testdata!("without_certificate.resp")), ResponseInvalid::SignerUnknown);
    // A stranger with the issuer's name: as issuer of the responder, and as signer.
    assert!(matches!(refused(testdata!("by_responder_of_stranger.resp")), ResponseInvalid::ResponderCertificate(_)));
    assert!(matches!(refused(testdata!("by_stranger.resp")), ResponseInvalid::Signature(_)));

    let (_, key) = issuer();
    let response = answered(testdata!("four.resp"));
    let other = DistinguishedName::from_rfc4514("CN=Other").expect("a name");
    let refused = response.verify(&other, &key, response.produced_at());
    assert_eq!(refused, Err(ResponseInvalid::ResponderOfOtherIssuer));
    let too_early = at("2019-12-31T23:59:59Z");
    let refused = response.verify(&issuer().0, &key, too_early);
    assert_eq!(refused, Err(ResponseInvalid::ResponderNotValidNow { now: too_early }));
}

#[test]
fn refuses_changed_answers() {
    let mut der = testdata!("four.resp").to_vec();
    let revoked = der.windows(15).position(|window| window == b"20260101000000Z").expect("a revocation time");
    der[revoked + 7] = b'2';
    assert!(matches!(verify(&answered(&der)), Err(ResponseInvalid::Signature(SignatureInvalid::DoesNotVerify { .. }))));
}

#[test]
fn refuses_what_is_no_answer() {
    for (der, error) in [
        (&[0x30, 3, 0x0a, 1, 0][..], ResponseParseError::NoResponseBytes),
        (&[0x30, 3, 0x0a, 1, 4], ResponseParseError::UnknownStatus { code: 4 }),
        (&[0x30, 3, 0x0a, 1, 7], ResponseParseError::UnknownStatus { code: 7 }),
        (&[], DerError::Truncated.into()),
        (&[0x30, 4, 0x0a, 1, 1, 0], DerError::Trailing { octets: 1 }.into()),
    ] {
        assert_eq!(ParsedResponse::from_der(der), Err(error), "{der:02x?}");
    }
    // id-pkix-ocsp-basic with its last arc changed: another type of response.
    let mut der = testdata!("by_issuer.resp").to_vec();
    let basic = der.windows(9).position(|window| window == BASIC_RESPONSE.as_bytes()).expect("it names its type");
    der[basic + 8] = 0x7f;
    assert_eq!(ParsedResponse::from_der(&der), Err(ResponseParseError::NotBasic));
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = ParsedResponse::from_der(&octets);
    }

    #[test]
    fn no_change_makes_it_panic_and_none_of_what_is_signed_is_believed(
        place in any::<prop::sample::Index>(),
        octet in any::<u8>(),
    ) {
        let sound = testdata!("four.resp");
        let mut der = sound.to_vec();
        let place = place.index(der.len());
        der[place] = octet;
        if let Ok(ParsedResponse::Answered(response)) = ParsedResponse::from_der(&der) {
            let believed = verify(&response).is_ok();
            let original = answered(sound);
            prop_assert!(!believed || response.to_be_signed() == original.to_be_signed());
        }
        der.truncate(place);
        prop_assert!(ParsedResponse::from_der(&der).is_err());
    }
}
