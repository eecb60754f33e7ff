use proptest::prelude::*;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;
use crate::tlv::DerError;

macro_rules! openssl_crl {
    ($name:literal) => {
        ParsedCrl::all_from_pem(include_str!(concat!("../testdata/", $name, ".pem")))
    };
}

fn openssl_issuer() -> (DistinguishedName, PublicKey) {
    let der = crate::pem::decode_all("CERTIFICATE", include_str!("../testdata/issuer.pem")).expect("PEM").remove(0);
    let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate");
    let name = DistinguishedName::from_der(certificate.subject().as_raw()).expect("a name");
    (name, PublicKey::from_spki_der(certificate.public_key().raw).expect("a key"))
}

fn only(lists: Result<Vec<ParsedCrl>, CrlParseError>) -> ParsedCrl {
    let mut lists = lists.expect("a list of openssl");
    assert_eq!(lists.len(), 1);
    lists.remove(0)
}

#[test]
fn reads_what_openssl_wrote() {
    let crl = only(openssl_crl!("plain"));
    let (issuer, key) = openssl_issuer();
    assert_eq!(crl.verify(&issuer, &key), Ok(()));
    assert_eq!((crl.number(), crl.number_octets(), crl.is_delta()), (Some(17), Some(&[17][..]), false));
    assert_eq!(crl.authority_key_identifier(), Some(&key.key_identifier()[..]));
    assert!(crl.next_update().is_some_and(|next| next > crl.this_update()));
    assert_eq!((crl.distribution_point(), crl.covers(true), crl.covers(false)), (None, true, true));

    let listed = |serial_text: &str, revoked: &str, reason, invalid: Option<&str>| CrlEntry {
        serial: serial(serial_text),
        revoked_at: at(revoked),
        reason,
        invalidity_date: invalid.map(at),
    };
    let expected = [
        listed("1001", "2026-01-01T00:00:00Z", None, None),
        listed("1002", "2026-01-02T00:00:00Z", Some(EntryReason::KeyCompromise), Some("2025-06-01T12:00:00Z")),
        listed("1004", "2026-01-04T00:00:00Z", Some(EntryReason::CertificateHold), None),
        listed("1005", "2026-01-05T00:00:00Z", Some(EntryReason::CaCompromise), None),
        listed("ff03", "2026-01-03T00:00:00Z", Some(EntryReason::Superseded), None),
    ];
    assert_eq!(crl.entries().collect::<Vec<_>>(), expected);
    assert_eq!(crl.entry_count(), 5);
    assert_eq!(crl.find(&serial("FF03")).as_ref(), expected.last());
    assert_eq!(crl.find(&serial("1000")), None);
}

#[test]
fn reads_lists_that_are_empty_scoped_deltas_or_numbered_high() {
    let (issuer, key) = openssl_issuer();
    let empty = only(openssl_crl!("empty"));
    assert_eq!((empty.entry_count(), empty.entries().next()), (0, None));

    let sharded = only(openssl_crl!("sharded"));
    assert_eq!(sharded.distribution_point(), Some("http://pki.example.org/crl/tls/7.crl"));
    assert_eq!((sharded.covers(false), sharded.covers(true)), (true, false));
    assert!(!only(openssl_crl!("for_authorities")).covers(false));
    assert!(only(openssl_crl!("delta")).is_delta());

    let high = only(openssl_crl!("big_number"));
    assert_eq!(high.number(), None);
    assert_eq!(high.number_octets().map(hex::encode).as_deref(), Some("0123456789abcdef0123456789"));
    for crl in [empty, sharded, high] {
        assert_eq!(crl.verify(&issuer, &key), Ok(()));
    }
}

#[test]
fn refuses_lists_that_must_not_be_used() {
    assert_eq!(openssl_crl!("indirect"), Err(CrlParseError::UnsupportedScope));
    assert_eq!(openssl_crl!("some_reasons"), Err(CrlParseError::UnsupportedScope));
    let identifier = "1.3.6.1.4.1.99999.1".to_owned();
    assert_eq!(openssl_crl!("unknown_critical"), Err(CrlParseError::UnknownCriticalExtension { identifier }));
    assert!(matches!(openssl_crl!("issuer"), Err(CrlParseError::Pem(_))));
}

#[test]
fn refuses_another_issuer_another_key_and_changed_octets() {
    let crl = only(openssl_crl!("plain"));
    let (issuer, key) = openssl_issuer();
    let other_name = DistinguishedName::from_rfc4514("CN=Other").expect("a name");
    assert_eq!(crl.verify(&other_name, &key), Err(CrlSignatureError::OtherIssuer));
    assert!(matches!(crl.verify(&issuer, &signing_key().1), Err(CrlSignatureError::Invalid(_))));

    let mut der = crl.as_der().to_vec();
    let revoked = der.windows(13).position(|window| window == b"260101000000Z").expect("the first entry");
    der[revoked + 5] = b'2';
    let changed = ParsedCrl::from_der(der).expect("still a list");
    assert!(matches!(changed.verify(&issuer, &key), Err(CrlSignatureError::Invalid(_))));
}

#[test]
fn refuses_an_algorithm_outside_that_is_not_the_one_inside() {
    let ecdsa = SignatureAlgorithm::EcdsaSha256.identifier_der();
    let other = SignatureAlgorithm::EcdsaSha384.identifier_der();
    let mut der = only(openssl_crl!("plain")).as_der().to_vec();
    let outside = der.windows(ecdsa.len()).rposition(|window| window == ecdsa).expect("it is named outside");
    der[outside..outside + other.len()].copy_from_slice(other);
    assert_eq!(ParsedCrl::from_der(der), Err(CrlParseError::AlgorithmsDiffer));
}

/// Found by fuzzing: such an entry was counted, left out of the entries and not found by the number it stands for.
#[test]
fn refuses_a_serial_that_is_not_in_shortest_form() {
    let der = only(openssl_crl!("plain")).as_der().to_vec();
    let written = [0x02, 0x03, 0x00, 0xff, 0x03];
    let place = der.windows(written.len()).position(|window| window == written).expect("FF03 is on the list");
    for longer in [[0x02, 0x03, 0x00, 0x7f, 0x03], [0x02, 0x03, 0xff, 0xff, 0x03]] {
        let mut changed = der.clone();
        changed[place..place + longer.len()].copy_from_slice(&longer);
        assert_eq!(ParsedCrl::from_der(changed), Err(CrlParseError::Der(DerError::Integer)));
    }
}

#[test]
fn reads_every_list_of_a_bundle() {
    let bundle = concat!(include_str!("../testdata/plain.pem"), include_str!("../testdata/empty.pem"));
    let lists = ParsedCrl::all_from_pem(bundle).expect("two lists");
    assert_eq!(lists.iter().map(ParsedCrl::entry_count).collect::<Vec<_>>(), [5, 0]);
    for crl in &lists {
        assert!(bundle.contains(&crate::pem::encode(PEM_LABEL, crl.as_der())), "PEM is written as openssl writes it");
    }
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ParsedCrl::from_der(octets.clone());
        let _ = lint(octets);
    }

    #[test]
    fn no_change_of_a_list_makes_it_panic(
        place in any::<prop::sample::Index>(),
        octet in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut der = only(openssl_crl!("sharded")).as_der().to_vec();
        let place = place.index(der.len());
        der[place] = octet;
        if let Ok(crl) = ParsedCrl::from_der(der.clone()) {
            let _ = crl.entries().count();
            let (issuer, key) = openssl_issuer();
            let _ = crl.verify(&issuer, &key);
            let _ = lint(crl.to_be_signed().to_vec());
        }
        der.truncate(cut.index(der.len()));
        prop_assert!(ParsedCrl::from_der(der).is_err());
    }
}
