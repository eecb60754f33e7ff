use const_oid::ObjectIdentifier;
use proptest::prelude::*;

use super::*;
use crate::extension;
use crate::ocsp::request::{MAX_CERTIFICATES, MAX_REQUEST_OCTETS, encode, parse};
use crate::tlv::{self, DerError, tag};

#[test]
fn reads_the_requests_of_openssl() {
    for (der, hash) in [
        (testdata!("sha1.req"), Some(CertIdHash::Sha1)),
        (testdata!("sha256.req"), Some(CertIdHash::Sha256)),
        (testdata!("sha512.req"), None),
    ] {
        let request = parse(der).expect("a request");
        assert_eq!((request.certificates.len(), request.nonce), (1, None));
        let id = &request.certificates[0];
        assert_eq!((id.hash(), id.serial()), (hash, Some(serial("1001"))));
        assert_eq!(identity().matches(id), hash.is_some(), "an unknown hash is nobody's");
        assert!(der.windows(id.as_der().len()).any(|window| window == id.as_der()), "kept octet for octet");
    }
}

#[test]
fn writes_what_openssl_writes() {
    let id = CertId::new(CertIdHash::Sha1, &identity(), &serial("1001"));
    assert_eq!(encode(std::slice::from_ref(&id), None), testdata!("sha1.req"));
    let sha256 = parse(testdata!("sha256.req")).expect("a request").certificates.remove(0);
    assert_eq!(encode(&[sha256], None), testdata!("sha256.req"));

    let nonce = [0xc3; 32];
    let request = parse(&encode(&[id.clone(), id.clone()], Some(&nonce))).expect("own request");
    assert_eq!((request.certificates, request.nonce), (vec![id.clone(), id], Some(nonce.to_vec())));
}

#[test]
fn a_written_cert_id_is_read_back() {
    for hash in [CertIdHash::Sha1, CertIdHash::Sha256] {
        for text in ["01", "80", "ffffffffffffffffffffffffffffffffffffff", "7fffffffffffffffffffffffffffffffffffffff"] {
            let id = CertId::new(hash, &identity(), &serial(text));
            let read = parse(&encode(std::slice::from_ref(&id), None)).expect("own request").certificates.remove(0);
            assert_eq!(read, id);
            assert_eq!((read.hash(), read.serial()), (Some(hash), Some(serial(text))));
            assert!(identity().matches(&read));
        }
    }
}

#[test]
fn reads_several_cert_ids_of_both_hashes() {
    let request = parse(testdata!("four.req")).expect("a request");
    let serials: Vec<_> = request.certificates.iter().filter_map(CertId::serial).collect();
    assert_eq!(serials, ["1001", "1002", "1003", "1004"].map(serial));
    let hashes: Vec<_> = request.certificates.iter().filter_map(CertId::hash).collect();
    assert_eq!(hashes, [CertIdHash::Sha1, CertIdHash::Sha1, CertIdHash::Sha256, CertIdHash::Sha256]);
}

#[test]
fn reads_nonces_and_passes_over_signatures() {
    let request = parse(testdata!("sha1_nonce.req")).expect("a request");
    assert_eq!(request.nonce.map(|nonce| nonce.len()), Some(16));
    let signed = parse(testdata!("signed.req")).expect("a request");
    assert_eq!(signed.certificates[0].serial(), Some(serial("1001")));
    assert!(signed.nonce.is_some());
}

#[test]
fn other_issuers_do_not_match() {
    let other_key = IssuerIdentity::new(issuer().0.as_der(), b"another key");
    let other_name = IssuerIdentity::new(b"another name", issuer().1.subject_public_key());
    let id = &parse(testdata!("sha1.req")).expect("a request").certificates[0];
    assert!(identity().matches(id) && !other_key.matches(id) && !other_name.matches(id));
}

/// The parts of an OCSPRequest, each of which a test can spoil.
struct Parts {
    before: Vec<u8>,
    list: Vec<Vec<u8>>,
    extensions: Vec<Vec<u8>>,
    after: Vec<u8>,
}

fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = Vec::new();
    tlv::append(&mut der, tag, content);
    der
}

fn extension_of(identifier: &ObjectIdentifier, critical: bool, content: &[u8]) -> Vec<u8> {
    let mut der = Vec::new();
    extension::append(&mut der, identifier, critical, |out| out.extend_from_slice(content));
    der
}

fn nonce(octets: usize) -> Vec<u8> {
    extension_of(&NONCE, false, &value(tag::OCTET_STRING, &vec![7; octets]))
}

fn cert_id(algorithm: &[u8], serial: &[u8]) -> Vec<u8> {
    let hash = value(tag::OCTET_STRING, &[1; 20]);
    let algorithm = value(tag::SEQUENCE, algorithm);
    value(tag::SEQUENCE, &[&algorithm[..], &hash, &hash, &value(tag::INTEGER, serial)].concat())
}

const SHA1: [u8; 7] = [0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a];

fn single(id: &[u8], extensions: &[u8]) -> Vec<u8> {
    value(tag::SEQUENCE, &[id, extensions].concat())
}

impl Parts {
    fn sound() -> Self {
        Self {
            before: Vec::new(),
            list: vec![single(&cert_id(&SHA1, &[7]), &[])],
            extensions: vec![nonce(32)],
            after: Vec::new(),
        }
    }

    fn parse(&self) -> Result<OcspRequest, RequestError> {
        let list = value(tag::SEQUENCE, &self.list.concat());
        let extensions = value(0xa2, &value(tag::SEQUENCE, &self.extensions.concat()));
        let to_be_signed = value(tag::SEQUENCE, &[&self.before[..], &list, &extensions].concat());
        parse(&value(tag::SEQUENCE, &[to_be_signed, self.after.clone()].concat()))
    }
}

#[track_caller]
fn accepts(change: impl FnOnce(&mut Parts)) -> OcspRequest {
    let mut parts = Parts::sound();
    change(&mut parts);
    parts.parse().expect("a request")
}

#[track_caller]
fn refuses(error: RequestError, spoil: impl FnOnce(&mut Parts)) {
    let mut parts = Parts::sound();
    spoil(&mut parts);
    assert_eq!(parts.parse(), Err(error));
}

#[test]
fn accepts_what_clients_may_write() {
    accepts(|_| {});
    // The default version spelled out, and a requestor's name.
    accepts(|parts| parts.before = vec![0xa0, 3, 2, 1, 0, 0xa1, 4, 0x82, 2, b'm', b'e']);
    accepts(|parts| parts.after = vec![0xa0, 2, 0x30, 0]);
    let null = accepts(|parts| parts.list = vec![single(&cert_id(&[&SHA1[..], &[5, 0]].concat(), &[7]), &[])]);
    let absent = accepts(|_| {});
    assert_eq!(null.certificates[0].hash(), absent.certificates[0].hash());
    let strange = accepts(|parts| parts.list = vec![single(&cert_id(&[&SHA1[..], &[2, 1, 1]].concat(), &[7]), &[])]);
    assert_eq!(strange.certificates[0].hash(), None, "unknown, not malformed");
    accepts(|parts| {
        parts.extensions.push(extension_of(&ACCEPTABLE_RESPONSES, true, &[0x30, 0]));
        parts.extensions.push(extension_of(&PREFERRED_SIGNATURE_ALGORITHMS, true, &[0x30, 0]));
        parts.extensions.push(extension_of(&ObjectIdentifier::new_unwrap("1.2.3.4"), false, &[]));
    });
}

#[test]
fn serials_that_none_of_ours_has_are_unknown_not_malformed() {
    for content in [&[0][..], &[0xff], &[0, 7], &[1; 21], &[]] {
        let request = accepts(|parts| parts.list = vec![single(&cert_id(&SHA1, content), &[])]);
        assert_eq!(request.certificates[0].serial(), None, "{content:02x?}");
    }
}

#[test]
fn nonces_have_1_to_128_octets_in_an_octet_string() {
    for octets in [1, 16, 32, 128] {
        assert_eq!(accepts(|parts| parts.extensions = vec![nonce(octets)]).nonce, Some(vec![7; octets]));
    }
    for octets in [0, 129, 1000] {
        refuses(RequestError::NonceLength { octets }, |parts| parts.extensions = vec![nonce(octets)]);
    }
    for content in [&[][..], &[7; 16], &[2, 1, 7], &[4, 1, 7, 0], &[4, 2, 7]] {
        refuses(RequestError::NonceNotOctetString, |parts| {
            parts.extensions = vec![extension_of(&NONCE, false, content)];
        });
    }
    refuses(DerError::RepeatedExtension.into(), |parts| parts.extensions.push(nonce(32)));
}

#[test]
fn refuses_other_versions() {
    refuses(RequestError::Version { number: 1 }, |parts| parts.before = vec![0xa0, 3, 2, 1, 1]);
    refuses(DerError::Integer.into(), |parts| parts.before = vec![0xa0, 3, 2, 1, 0xff]);
}

#[test]
fn refuses_none_and_too_many_certificates() {
    refuses(RequestError::NoCertificate, |parts| parts.list.clear());
    let one = Parts::sound().list.remove(0);
    let most = accepts(|parts| parts.list = vec![one.clone(); MAX_CERTIFICATES]);
    assert_eq!(most.certificates.len(), MAX_CERTIFICATES);
    refuses(RequestError::TooManyCertificates, |parts| parts.list = vec![one; MAX_CERTIFICATES + 1]);
}

#[test]
fn refuses_critical_extensions_that_it_does_not_know() {
    let identifier = ObjectIdentifier::new_unwrap("1.2.3.4");
    let error = || RequestError::UnknownCriticalExtension { identifier: identifier.to_string() };
    let unknown = extension_of(&identifier, true, &[5, 0]);
    refuses(error(), |parts| parts.extensions.push(unknown.clone()));
    refuses(error(), |parts| {
        let extensions = value(0xa0, &value(tag::SEQUENCE, &unknown));
        parts.list = vec![single(&cert_id(&SHA1, &[7]), &extensions)];
    });
}

#[test]
fn refuses_more_octets_than_a_request_has() {
    let long = vec![0x30; MAX_REQUEST_OCTETS + 1];
    assert_eq!(parse(&long), Err(RequestError::TooLarge { octets: MAX_REQUEST_OCTETS + 1 }));
    refuses(DerError::Trailing { octets: 2 }.into(), |parts| parts.after = vec![5, 0]);
    let trailing = [testdata!("sha1.req"), &[0]].concat();
    assert_eq!(parse(&trailing), Err(DerError::Trailing { octets: 1 }.into()));
    assert_eq!(parse(&[]), Err(DerError::Truncated.into()));
    let ber = [&[0x30, 0x80][..], &testdata!("sha1.req")[2..], &[0, 0]].concat();
    assert_eq!(parse(&ber), Err(DerError::Length.into()), "BER's indefinite form");
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..400), path in ".{0,80}") {
        let _ = parse(&octets);
        let _ = decode_get_path(&path);
    }

    #[test]
    fn no_change_of_a_request_makes_it_panic(place in any::<prop::sample::Index>(), octet in any::<u8>()) {
        for der in [testdata!("four.req"), testdata!("signed.req")] {
            let mut der = der.to_vec();
            let place = place.index(der.len());
            der[place] = octet;
            if let Ok(request) = parse(&der) {
                prop_assert!(request.certificates.iter().all(|id| id.issuer_key_hash().len() <= der.len()));
                for id in &request.certificates {
                    let _ = (id.serial(), identity().matches(id));
                }
            }
            der.truncate(place);
            prop_assert!(parse(&der).is_err());
        }
    }

    #[test]
    fn every_path_is_read_back(request in proptest::collection::vec(any::<u8>(), 0..300)) {
        // A leading slash of base64 is no slash of a request, which begins with 0x30.
        let request = [vec![0x30], request].concat();
        prop_assert_eq!(decode_get_path(&encode_get_path(&request)), Ok(request));
    }
}
