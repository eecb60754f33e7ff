//! Requests made by openssl, whole and broken (`testdata/README.md`).

use proptest::prelude::*;

use super::*;
use crate::key::{KeyType, PssDigest, PssRefused};

macro_rules! pem_of {
    ($name:literal) => {
        include_str!(concat!("testdata/", $name, ".pem"))
    };
}

macro_rules! read {
    ($name:literal) => {
        ParsedCsr::from_pem(pem_of!($name)).expect($name)
    };
}

macro_rules! refusal {
    ($name:literal) => {
        ParsedCsr::from_pem(pem_of!($name)).expect_err($name)
    };
}

fn der_of(pem: &str) -> Vec<u8> {
    pem::decode_all("CERTIFICATE REQUEST", pem).expect("PEM").remove(0)
}

fn names_of(csr: &ParsedCsr) -> Vec<String> {
    csr.subject_alternative_names().iter().map(ToString::to_string).collect()
}

#[test]
fn reads_requests_of_every_key_type() {
    for (key_type, pem) in [
        (KeyType::Rsa2048, pem_of!("rsa2048")),
        (KeyType::Rsa3072, pem_of!("rsa3072")),
        (KeyType::Rsa4096, pem_of!("rsa4096")),
        (KeyType::P256, pem_of!("p256")),
        (KeyType::P384, pem_of!("p384")),
        (KeyType::P521, pem_of!("p521")),
        (KeyType::Ed25519, pem_of!("ed25519")),
    ] {
        let csr = ParsedCsr::from_pem(pem).expect("made by openssl");
        assert_eq!(csr.public_key().key_type(), key_type);
        assert_eq!(csr.der(), der_of(pem));
        assert_eq!(csr.subject().to_rfc4514(), "CN=api.example.com,OU=Two,OU=One,O=Example,C=BR");
        assert!(csr.der().windows(csr.subject().as_der().len()).any(|part| part == csr.subject().as_der()));
        assert_eq!(
            names_of(&csr),
            [
                "dns:api.example.com",
                "dns:*.example.com",
                "ip:192.0.2.7",
                "ip:2001:db8::1",
                "email:ana@example.com",
                "uri:spiffe://example.com/api"
            ]
        );
        assert_eq!(csr.requested_extensions().len(), 1);
        assert_eq!(csr.requested_extensions()[0].oid, SUBJECT_ALT_NAME);
    }
}

#[test]
fn verifies_every_digest_with_every_key_that_takes_it() {
    for pem in [
        pem_of!("rsa2048_sha384"),
        pem_of!("rsa2048_sha512"),
        pem_of!("p256_sha384"),
        pem_of!("p256_sha512"),
        pem_of!("p384_sha256"),
        pem_of!("p384_sha512"),
        pem_of!("p521_sha256"),
        pem_of!("p521_sha384"),
    ] {
        ParsedCsr::from_pem(pem).expect("made by openssl");
    }
}

#[test]
fn reads_both_labels_text_around_and_carriage_returns() {
    assert!(pem_of!("new_label").starts_with("-----BEGIN NEW CERTIFICATE REQUEST-----"));
    read!("new_label");
    assert!(pem_of!("with_text").starts_with("Certificate Request:"));
    read!("with_text");
    let with_carriage_returns = pem_of!("p256").replace('\n', "\r\n");
    assert_eq!(ParsedCsr::from_pem(&with_carriage_returns), ParsedCsr::from_pem(pem_of!("p256")));
}

#[test]
fn refuses_what_is_not_one_pem_block_of_a_request() {
    let refusal = |text: &str| ParsedCsr::from_pem(text).expect_err("must be refused");
    assert_eq!(refusal(""), CsrError::NotPem);
    assert_eq!(refusal("hello"), CsrError::NotPem);
    let two = [pem_of!("p256"), pem_of!("p384")].concat();
    assert_eq!(refusal(&two), CsrError::SeveralBlocks { count: 2 });
    let with_key = [pem_of!("p256"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"].concat();
    assert_eq!(refusal(&with_key), CsrError::SeveralBlocks { count: 2 });
    let certificate = pem_of!("p256").replace("CERTIFICATE REQUEST", "CERTIFICATE");
    assert_eq!(refusal(&certificate), CsrError::WrongLabel { label: "CERTIFICATE".to_owned() });
    let unclosed = pem_of!("p256").replace("-----END CERTIFICATE REQUEST-----", "");
    assert_eq!(refusal(&unclosed).code(), "csr-not-pem");
    let garbled = pem_of!("p256").replacen('M', "*", 1);
    assert_eq!(refusal(&garbled).code(), "csr-not-pem");
}

#[test]
fn refuses_more_than_the_limit_before_reading() {
    let long = "A".repeat(MAX_CSR_OCTETS + 1);
    assert_eq!(ParsedCsr::from_pem(&long), Err(CsrError::TooLong { octets: MAX_CSR_OCTETS + 1 }));
    assert_eq!(ParsedCsr::from_der(long.as_bytes()), Err(CsrError::TooLong { octets: MAX_CSR_OCTETS + 1 }));
}

#[test]
fn keeps_extensions_in_order_with_their_octets() {
    let csr = read!("must_staple");
    // id-pe-tlsfeature (RFC 7633 §6): SEQUENCE { 5 }.
    let must_staple = csr.requested_extensions().iter().find(|extension| extension.critical).expect("asked for");
    assert_eq!(must_staple.oid.to_string(), "1.3.6.1.5.5.7.1.24");
    assert_eq!(must_staple.value, [0x30, 0x03, 0x02, 0x01, 0x05]);
    let csr = read!("assembled");
    let extensions: Vec<_> = csr.requested_extensions().iter().map(|e| (e.oid.to_string(), e.critical)).collect();
    assert_eq!(extensions, [("2.5.29.17".to_owned(), false), ("2.5.29.15".to_owned(), true)]);
    assert!(read!("critical_false_spelled_out").requested_extensions().iter().all(|extension| !extension.critical));
}

#[test]
fn names_and_subject_may_be_absent() {
    let csr = read!("no_names");
    assert!(csr.requested_extensions().is_empty() && csr.subject_alternative_names().is_empty());
    assert!(read!("empty_subject").subject().is_empty());
}

#[test]
fn other_attributes_are_passed_over_and_windows_own_is_understood() {
    assert_eq!(names_of(&read!("challenge_password")), ["dns:api.example.com"]);
    assert_eq!(names_of(&read!("microsoft_extensions")), ["dns:api.example.com"]);
}

#[test]
fn refuses_a_broken_signature_in_words_that_say_so() {
    for error in [refusal!("broken_signature"), refusal!("changed_subject")] {
        let reason =
            SignatureInvalid::DoesNotVerify { algorithm: SignatureAlgorithm::EcdsaSha256, key_type: KeyType::P256 };
        assert_eq!(error, CsrError::BrokenSignature { reason });
        assert_eq!(error.code(), "csr-broken-signature");
        assert!(error.to_string().starts_with("the signature of the CSR does not verify with its own public key"));
    }
    assert_eq!(
        refusal!("algorithm_of_rsa"),
        CsrError::BrokenSignature {
            reason: SignatureInvalid::AlgorithmDoesNotFit {
                algorithm: SignatureAlgorithm::RsaSha256,
                key_type: KeyType::P256
            }
        }
    );
}

#[test]
fn refuses_weak_digests_and_unknown_algorithms_by_name() {
    let algorithm = |oid: &str| CsrError::from(UnsupportedSignature::Algorithm { identifier: oid.to_owned() });
    assert_eq!(refusal!("sha1"), algorithm("1.2.840.113549.1.1.5"));
    assert_eq!(refusal!("ecdsa_with_null"), algorithm("1.2.840.10045.4.3.2"));
}

#[test]
fn reads_requests_signed_by_pss() {
    for pem in [pem_of!("pss_sha256"), pem_of!("pss_sha384"), pem_of!("pss_sha512")] {
        let csr = ParsedCsr::from_pem(pem).expect("made by openssl");
        assert_eq!(csr.public_key().key_type(), KeyType::Rsa2048);
        // The signature is of these octets alone, and of this salt.
        let mut changed = der_of(pem);
        *changed.last_mut().expect("a signature") ^= 1;
        assert!(matches!(ParsedCsr::from_der(&changed), Err(CsrError::BrokenSignature { .. })));
    }
}

/// What openssl makes unless it is told otherwise has the longest salt that fits.
#[test]
fn refuses_pss_with_parameters_that_are_not_taken_and_says_which() {
    let pss = |refused| CsrError::from(UnsupportedSignature::Pss(refused));
    let digest = PssDigest::Sha256;
    assert_eq!(refusal!("pss_longest_salt"), pss(PssRefused::Salt { digest, found: 222, expected: 32 }));
    assert!(refusal!("pss_longest_salt").to_string().contains("-sigopt rsa_pss_saltlen:digest"));
    assert_eq!(refusal!("pss_other_mask"), pss(PssRefused::Mask { digest }));
    assert_eq!(refusal!("pss_sha1"), pss(PssRefused::Digest));
    assert_eq!(refusal!("pss_sha1").code(), "csr-signature-algorithm");
}

/// Parameters may promise a salt that the signature has not: what counts is the signature.
#[test]
fn refuses_a_salt_of_another_length_than_the_parameters_say() {
    let der = der_of(pem_of!("pss_longest_salt"));
    // 222 is two octets, 00 de; the identifier that is taken says 32 in one.
    let salt = b"\xa2\x04\x02\x02\x00\xde";
    let at = der.windows(salt.len()).position(|part| part == salt).expect("the salt");
    let start = at - 62;
    let info = &der[4..start];
    let signature = &der[at + salt.len()..];
    let mut request = Vec::new();
    tlv::append_nested(&mut request, tag::SEQUENCE, |out| {
        out.extend_from_slice(info);
        out.extend_from_slice(SignatureAlgorithm::RsaPssSha256.identifier_der());
        out.extend_from_slice(signature);
    });
    assert!(matches!(ParsedCsr::from_der(&request), Err(CsrError::BrokenSignature { .. })));
}

#[test]
fn refuses_weak_keys_with_the_key_s_own_code() {
    assert_eq!(refusal!("rsa1024"), CsrError::Key(KeyError::RsaModulusLength { bits: 1024 }));
    assert_eq!(refusal!("secp256k1").code(), "key-curve-unsupported");
}

#[test]
fn refuses_repetitions() {
    let twice = CsrError::RepeatedExtension { oid: "2.5.29.17".to_owned() };
    assert_eq!(refusal!("repeated_extension"), twice);
    let attribute = |oid: &str| CsrError::RepeatedAttribute { oid: oid.to_owned() };
    assert_eq!(refusal!("repeated_attribute"), attribute("1.2.840.113549.1.9.14"));
    assert_eq!(refusal!("two_values"), attribute("1.2.840.113549.1.9.14"));
    assert_eq!(refusal!("no_value"), attribute("1.2.840.113549.1.9.14"));
    assert_eq!(refusal!("two_kinds_of_request"), attribute("1.3.6.1.4.1.311.2.1.14"));
}

#[test]
fn refuses_what_is_not_the_der_of_a_request() {
    assert_eq!(refusal!("version_1"), CsrError::Version { version: 1 });
    for error in [refusal!("trailing_octet"), refusal!("no_attributes_field")] {
        assert_eq!(error.code(), "csr-malformed");
    }
    assert_eq!(refusal!("broken_names").code(), "csr-subject-alternative-name");
}

#[test]
fn refuses_every_truncation() {
    let der = der_of(pem_of!("p256"));
    for length in 0..der.len() {
        assert_eq!(ParsedCsr::from_der(&der[..length]).expect_err("truncated").code(), "csr-malformed", "{length}");
    }
}

proptest! {
    #[test]
    fn never_panics_on_arbitrary_octets(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(ParsedCsr::from_der(&octets).is_err());
    }

    #[test]
    fn never_panics_on_arbitrary_text(text in "(-----BEGIN (NEW )?CERTIFICATE REQUEST-----\n)?[ -~\n]{0,200}(\n-----END CERTIFICATE REQUEST-----)?") {
        prop_assert!(ParsedCsr::from_pem(&text).is_err());
    }

    /// Whatever octet is changed, the signature or the structure shows it: everything in a request is signed, but for
    /// the AlgorithmIdentifier and the signature themselves.
    #[test]
    fn no_changed_octet_goes_unseen(at in any::<prop::sample::Index>(), change in 1_u8..) {
        let mut der = der_of(pem_of!("p256"));
        let at = at.index(der.len());
        der[at] ^= change;
        prop_assert!(ParsedCsr::from_der(&der).is_err());
    }

    /// The attributes are read after the signature; a change there is seen only by this reader.
    #[test]
    fn never_panics_on_changed_attributes(at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let der = der_of(pem_of!("must_staple"));
        let request = CertificationRequest::from_der(&der).expect("made by openssl");
        let mut info = request.info.to_vec();
        let at = at.index(info.len());
        info[at] = octet;
        if let Ok(info) = CertificationRequestInfo::from_der(&info) {
            let _ = requested_extensions(info.attributes);
        }
    }
}
