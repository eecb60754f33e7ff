//! The three identifiers are what openssl writes; each parameter that is another is refused for its own reason.

use super::*;
use crate::tlv::{append, append_nested};

fn digest_identifier(out: &mut Vec<u8>, identifier: &[u8], null: bool) {
    append_nested(out, tag::SEQUENCE, |out| {
        append(out, tag::OBJECT_IDENTIFIER, identifier);
        if null {
            append(out, tag::NULL, &[]);
        }
    });
}

/// Parameters, each of which may be left out or be another.
#[derive(Clone)]
struct Parameters {
    digest: Option<Vec<u8>>,
    mask_function: Vec<u8>,
    mask_digest: Option<Vec<u8>>,
    salt: Option<u8>,
    trailer: Option<u8>,
    with_null: bool,
}

impl Parameters {
    fn of(digest: PssDigest) -> Self {
        let identifier = [&SHA2[..], &[digest.last_octet()]].concat();
        Self {
            digest: Some(identifier.clone()),
            mask_function: MGF1.to_vec(),
            mask_digest: Some(identifier),
            salt: Some(digest.length()),
            trailer: None,
            with_null: true,
        }
    }

    fn der(&self) -> Vec<u8> {
        let mut der = Vec::new();
        append_nested(&mut der, tag::SEQUENCE, |out| {
            append(out, tag::OBJECT_IDENTIFIER, &RSASSA_PSS);
            append_nested(out, tag::SEQUENCE, |out| {
                if let Some(digest) = &self.digest {
                    append_nested(out, tag::context_constructed(0), |out| {
                        digest_identifier(out, digest, self.with_null);
                    });
                }
                if let Some(digest) = &self.mask_digest {
                    append_nested(out, tag::context_constructed(1), |out| {
                        append_nested(out, tag::SEQUENCE, |out| {
                            append(out, tag::OBJECT_IDENTIFIER, &self.mask_function);
                            digest_identifier(out, digest, self.with_null);
                        });
                    });
                }
                for (number, value) in [(2, self.salt), (3, self.trailer)] {
                    if let Some(value) = value {
                        append_nested(out, tag::context_constructed(number), |out| append(out, tag::INTEGER, &[value]));
                    }
                }
            });
        });
        der
    }

    fn refusal(&self) -> PssRefused {
        read(&self.der()).expect("it is RSASSA-PSS").expect_err("refused")
    }
}

#[test]
fn what_is_written_is_what_the_encoder_of_the_tests_writes_and_reads_back() {
    let constants = [SHA256_IDENTIFIER, SHA384_IDENTIFIER, SHA512_IDENTIFIER];
    for (digest, constant) in PssDigest::ALL.into_iter().zip(constants) {
        assert_eq!(Parameters::of(digest).der(), constant);
        assert_eq!(read(&constant), Some(Ok(digest)));
        let without_null = Parameters { with_null: false, ..Parameters::of(digest) };
        assert_eq!(read(&without_null.der()), Some(Ok(digest)), "RFC 4055 §2.1");
    }
}

/// From a certificate that `openssl req -x509 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sha256` made.
#[test]
fn writes_what_openssl_writes() {
    assert_eq!(
        hex::encode(SHA256_IDENTIFIER),
        "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d0609608648\
         0165030402010500a203020120"
    );
}

#[test]
fn refuses_every_parameter_that_is_another() {
    let sound = Parameters::of(PssDigest::Sha256);
    let sha384 = Parameters::of(PssDigest::Sha384).digest;
    let digest = PssDigest::Sha256;
    let salt = |found| PssRefused::Salt { digest, found, expected: 32 };
    for (parameters, refusal) in [
        (Parameters { digest: None, ..sound.clone() }, PssRefused::Digest),
        // id-sha1
        (Parameters { digest: Some(vec![0x2b, 0x0e, 0x03, 0x02, 0x1a]), ..sound.clone() }, PssRefused::Digest),
        // id-sha224
        (Parameters { digest: Some([&SHA2[..], &[4]].concat()), ..sound.clone() }, PssRefused::Digest),
        (Parameters { mask_digest: None, ..sound.clone() }, PssRefused::Mask { digest }),
        (Parameters { mask_digest: sha384.clone(), ..sound.clone() }, PssRefused::Mask { digest }),
        (Parameters { mask_function: RSASSA_PSS.to_vec(), ..sound.clone() }, PssRefused::Mask { digest }),
        (Parameters { salt: None, ..sound.clone() }, salt(20)),
        (Parameters { salt: Some(0), ..sound.clone() }, salt(0)),
        (Parameters { salt: Some(48), ..sound.clone() }, salt(48)),
        (Parameters { salt: Some(0x80), ..sound.clone() }, PssRefused::Malformed(DerError::Integer)),
        (Parameters { trailer: Some(1), ..sound.clone() }, PssRefused::Trailer),
        (Parameters { trailer: Some(2), ..sound.clone() }, PssRefused::Trailer),
    ] {
        assert_eq!(parameters.refusal(), refusal);
    }
}

#[test]
fn refuses_parameters_that_are_absent_or_no_der() {
    let mut absent = Vec::new();
    append_nested(&mut absent, tag::SEQUENCE, |out| append(out, tag::OBJECT_IDENTIFIER, &RSASSA_PSS));
    assert_eq!(read(&absent), Some(Err(PssRefused::Digest)));
    let mut null = Vec::new();
    append_nested(&mut null, tag::SEQUENCE, |out| {
        append(out, tag::OBJECT_IDENTIFIER, &RSASSA_PSS);
        append(out, tag::NULL, &[]);
    });
    assert!(matches!(read(&null), Some(Err(_))));
    for length in 13..SHA256_IDENTIFIER.len() {
        let mut cut = SHA256_IDENTIFIER[..length].to_vec();
        cut[1] = u8::try_from(length - 2).expect("short");
        assert!(matches!(read(&cut), Some(Err(_))), "{length} octets");
    }
    // What follows the last field, in each place.
    for at in [12, 14, 16, 18, 33, 35, 48, 63] {
        let mut longer = SHA256_IDENTIFIER.to_vec();
        longer[at] += 1;
        assert!(!matches!(read(&longer), Some(Ok(_))), "length at {at}");
    }
}

#[test]
fn says_nothing_of_other_algorithms() {
    assert_eq!(read(b""), None);
    assert_eq!(read(SHA256_IDENTIFIER.get(1..).expect("longer")), None);
    assert_eq!(read(b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"), None);
}
