//! Keys made by openssl are accepted, each kind of weak one is refused for its own reason (`testdata/README.md`).

use proptest::prelude::*;

use super::*;
use crate::{pem, tlv};

macro_rules! public_key_der {
    ($name:literal) => {
        pem::decode_all("PUBLIC KEY", include_str!(concat!("testdata/", $name, ".pem"))).expect($name).remove(0)
    };
}

macro_rules! refusal {
    ($name:literal) => {
        PublicKey::from_spki_der(&public_key_der!($name)).expect_err($name)
    };
}

fn sound_keys() -> [(KeyType, Vec<u8>); 7] {
    [
        (KeyType::Rsa2048, public_key_der!("rsa2048")),
        (KeyType::Rsa3072, public_key_der!("rsa3072")),
        (KeyType::Rsa4096, public_key_der!("rsa4096")),
        (KeyType::P256, public_key_der!("p256")),
        (KeyType::P384, public_key_der!("p384")),
        (KeyType::P521, public_key_der!("p521")),
        (KeyType::Ed25519, public_key_der!("ed25519")),
    ]
}

#[test]
fn reads_every_key_type_byte_for_byte() {
    for (key_type, der) in sound_keys() {
        let key = PublicKey::from_spki_der(&der).expect("made by openssl");
        assert_eq!(key.key_type(), key_type);
        assert_eq!(key.spki_der(), der);
        assert_eq!(key.spki_sha256(), hash::sha256(&der));
        assert!(der.ends_with(key.subject_public_key()));
        let overhead = if key_type == KeyType::Ed25519 { 12 } else { 23 };
        assert!(der.len() - key.subject_public_key().len() >= overhead, "the header and the unused bits are left out");
    }
}

/// What a token tells of a key makes the same octets as openssl's encoding.
#[test]
fn the_numbers_of_a_key_make_the_same_encoding() {
    for (key_type, der) in sound_keys() {
        let key = PublicKey::from_spki_der(&der).expect("sound");
        let made = if key_type.is_rsa() {
            let mut numbers = tlv::Reader::only(key.subject_public_key(), tlv::tag::SEQUENCE).expect("DER").reader();
            let modulus = numbers.take(tlv::tag::INTEGER).expect("a modulus").content;
            let exponent = numbers.take(tlv::tag::INTEGER).expect("an exponent").content;
            // Tokens give magnitudes, with as many zeros before them as they like.
            assert_eq!(PublicKey::from_rsa_parts(&modulus[1..], &[&[0, 0], exponent].concat()), Ok(key.clone()));
            PublicKey::from_rsa_parts(modulus, exponent)
        } else {
            let curve = key_type.curve_der().expect("a curve");
            assert_eq!(KeyType::of_curve_der(&curve), Some(key_type));
            PublicKey::from_point(key_type, key.subject_public_key())
        };
        assert_eq!(made, Ok(key), "{key_type}");
        assert!(PublicKey::from_point(KeyType::Rsa2048, &[4; 65]).is_err());
    }
    assert!(matches!(PublicKey::from_rsa_parts(&[], &[1, 0, 1]), Err(KeyError::RsaModulusLength { .. })));
    assert_eq!(KeyType::of_curve_der(b"\x06\x05\x2b\x81\x04\x00\x0a"), None, "secp256k1");
}

/// RFC 5280 §4.2.1.2 (1), as `openssl x509 -text` prints it for a self-signed certificate over `p256.pem`.
#[test]
fn key_identifier_is_the_sha1_of_the_bit_string_content() {
    let key = PublicKey::from_spki_der(&public_key_der!("p256")).expect("made by openssl");
    assert_eq!(key.subject_public_key().len(), 65);
    assert_eq!(key.subject_public_key()[0], 0x04);
    assert_eq!(hex::encode(key.key_identifier()), "f6c017cf9d446e41993b18536032edbf87c8caa9");
}

#[test]
fn key_type_names_read_back() {
    for key_type in KeyType::ALL {
        assert_eq!(key_type.to_string().parse(), Ok(key_type));
        assert!(key_type.signature_algorithm().fits(key_type));
    }
    for text in ["", "P256", "rsa1024", "rsa", "ed448", " p256"] {
        assert_eq!(text.parse::<KeyType>(), Err(UnknownKeyType { text: text.to_owned() }));
    }
}

#[test]
fn refuses_rsa_lengths_other_than_three() {
    assert_eq!(refusal!("rsa_1024_bits"), KeyError::RsaModulusLength { bits: 1024 });
    assert_eq!(refusal!("rsa_2040_bits"), KeyError::RsaModulusLength { bits: 2040 });
    assert_eq!(refusal!("rsa_2056_bits"), KeyError::RsaModulusLength { bits: 2056 });
    assert_eq!(refusal!("rsa_8192_bits"), KeyError::RsaModulusLength { bits: 8192 });
}

#[test]
fn refuses_rsa_exponents_that_are_small_even_or_huge() {
    let exponent = |text: &str| KeyError::RsaExponent { exponent: text.to_owned() };
    assert_eq!(refusal!("rsa_exponent_1"), exponent("1"));
    assert_eq!(refusal!("rsa_exponent_3"), exponent("3"));
    assert_eq!(refusal!("rsa_exponent_65535"), exponent("65535"));
    assert_eq!(refusal!("rsa_exponent_65538"), exponent("65538"));
    assert_eq!(refusal!("rsa_exponent_2pow32plus1"), exponent("4294967297"));
    assert_eq!(refusal!("rsa_exponent_huge"), exponent("0x0100000000000000000000000000000000000000…"));
    let largest = PublicKey::from_spki_der(&public_key_der!("rsa_exponent_largest")).expect("2^32 - 1 is allowed");
    assert_eq!(largest.key_type(), KeyType::Rsa2048);
}

#[test]
fn refuses_rsa_moduli_with_small_factors() {
    assert_eq!(refusal!("rsa_even"), KeyError::RsaSmallFactor { factor: 2 });
    assert_eq!(refusal!("rsa_factor_3"), KeyError::RsaSmallFactor { factor: 3 });
    assert_eq!(refusal!("rsa_factor_751"), KeyError::RsaSmallFactor { factor: 751 });
}

#[test]
fn refuses_the_roca_fingerprint() {
    assert_eq!(refusal!("rsa_roca"), KeyError::RsaRoca);
}

#[test]
fn refuses_primes_that_fermat_finds_in_100_rounds() {
    assert_eq!(refusal!("rsa_square"), KeyError::RsaCloseFactors);
    assert_eq!(refusal!("rsa_close_next_prime"), KeyError::RsaCloseFactors);
    assert_eq!(refusal!("rsa_close_80_rounds"), KeyError::RsaCloseFactors);
    // The bound is a bound: this one would take 130.
    assert!(PublicKey::from_spki_der(&public_key_der!("rsa_close_130_rounds")).is_ok());
}

#[test]
fn refuses_other_algorithms_and_curves_by_name() {
    let algorithm = |oid: &str| KeyError::UnsupportedAlgorithm { oid: oid.to_owned() };
    assert_eq!(refusal!("ed448"), algorithm("1.3.101.113"));
    assert_eq!(refusal!("x25519"), algorithm("1.3.101.110"));
    assert_eq!(refusal!("rsa_pss"), algorithm("1.2.840.113549.1.1.10"));
    assert_eq!(refusal!("p224"), KeyError::UnsupportedCurve { oid: "1.3.132.0.33".to_owned() });
    assert_eq!(refusal!("secp256k1"), KeyError::UnsupportedCurve { oid: "1.3.132.0.10".to_owned() });
    assert_eq!(refusal!("p256_explicit_parameters").code(), "key-parameters-wrong");
}

#[test]
fn refuses_points_that_are_compressed_or_off_the_curve() {
    assert_eq!(refusal!("p256_compressed"), KeyError::PointNotUncompressed);
    assert_eq!(refusal!("p256_hybrid"), KeyError::PointNotUncompressed);
    assert_eq!(refusal!("p256_infinity"), KeyError::PointNotUncompressed);
    let off_curve = KeyError::PointNotOnCurve { curve: KeyType::P256 };
    assert_eq!(refusal!("p256_off_curve"), off_curve);
    assert_eq!(refusal!("p256_short"), off_curve);
    assert_eq!(refusal!("p256_coordinate_out_of_range"), off_curve);
}

#[test]
fn refuses_ed25519_points_of_small_order() {
    for refusal in [
        refusal!("ed25519_identity"),
        refusal!("ed25519_order_2"),
        refusal!("ed25519_order_4"),
        refusal!("ed25519_order_4_signed"),
        refusal!("ed25519_order_8"),
        refusal!("ed25519_order_8_other"),
    ] {
        assert!(refusal.to_string().contains("small order"), "{refusal}");
    }
    assert!(refusal!("ed25519_not_reduced").to_string().contains("not reduced"));
    assert!(refusal!("ed25519_31_octets").to_string().contains("32 octets"));
}

#[test]
fn refuses_parameters_where_they_do_not_belong() {
    // Ed25519 with NULL; rsaEncryption without.
    let ed25519 = public_key_der!("ed25519");
    let with_null = [&b"\x30\x2c\x30\x07\x06\x03\x2b\x65\x70\x05\x00"[..], &ed25519[9..]].concat();
    assert_eq!(PublicKey::from_spki_der(&with_null).expect_err("RFC 8410 §3").code(), "key-parameters-wrong");
    let rsa = public_key_der!("rsa2048");
    let mut without_null = [&b"\x30\x82\x01\x20\x30\x0b"[..], &rsa[6..17], &rsa[19..]].concat();
    assert_eq!(PublicKey::from_spki_der(&without_null).expect_err("RFC 3279 §2.3.1").code(), "key-parameters-wrong");
    without_null.push(0);
    assert_eq!(PublicKey::from_spki_der(&without_null).expect_err("trailing octet").code(), "key-malformed");
}

#[test]
fn signature_algorithm_identifiers_read_back() {
    for algorithm in SignatureAlgorithm::ALL {
        let der = algorithm.identifier_der();
        assert_eq!(SignatureAlgorithm::from_identifier_der(der), Ok(algorithm));
        let identifier = AlgorithmIdentifier::from_der(der).expect("DER");
        let registered = const_oid::db::DB.by_oid(&identifier.oid).expect("registered");
        if algorithm.is_rsa_pss() {
            // The digest is a parameter.
            assert_eq!(registered, "id-RSASSA-PSS");
            assert!(algorithm.as_str().starts_with("RSASSA-PSS with "));
        } else {
            assert_eq!(identifier.parameters, algorithm.is_rsa_pkcs1().then_some(AnyRef::NULL));
            assert_eq!(registered.trim_start_matches("id-"), algorithm.as_str());
        }
        assert!(SignatureAlgorithm::from_identifier_der(&der[..der.len() - 1]).is_err());
        let mut with_more = der.to_vec();
        with_more.push(0);
        assert!(SignatureAlgorithm::from_identifier_der(&with_more).is_err());
    }
    // RFC 4055 §5: RSA without NULL is to be accepted; RFC 5758 §3.2: ECDSA with one is not.
    let rsa = b"\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
    assert_eq!(SignatureAlgorithm::from_identifier_der(rsa), Ok(SignatureAlgorithm::RsaSha256));
    let ecdsa = b"\x30\x0c\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x05\x00";
    let refusal = |der| SignatureAlgorithm::from_identifier_der(der).expect_err("refused").to_string();
    assert!(refusal(ecdsa).contains("1.2.840.10045.4.3.2"));
    assert!(refusal(b"").contains("Ed25519"));
    assert!(refusal(b"\x30\x02\x05\x00").contains("30020500"), "what is no identifier is told as it stands");
}

#[test]
fn algorithms_of_rsa_have_names_that_can_be_chosen() {
    for (name, algorithm) in SignatureAlgorithm::OF_RSA {
        assert_eq!(SignatureAlgorithm::of_rsa(name), Ok(algorithm));
        assert!(algorithm.fits(KeyType::Rsa2048) && !algorithm.fits(KeyType::P256));
    }
    let chosen = SignatureAlgorithm::ALL.into_iter().filter(|algorithm| algorithm.fits(KeyType::Rsa4096));
    assert_eq!(chosen.count(), SignatureAlgorithm::OF_RSA.len(), "each has a name");
    for name in ["", "rsa", "RSA-PSS-SHA256", "rsa-sha1", "ecdsa-sha256", "ed25519"] {
        assert!(SignatureAlgorithm::of_rsa(name).expect_err(name).to_string().contains("rsa-pss-sha256"));
    }
}

/// Signatures of `testdata/make.py`, by openssl.
#[test]
fn takes_pss_with_a_salt_as_long_as_the_digest_and_no_other() {
    let key = PublicKey::from_spki_der(&public_key_der!("pss_signer")).expect("made by openssl");
    let message = b"a message";
    let signature = |text: &str| hex::decode(text.trim()).expect("hexadecimal");
    for (algorithm, sound) in [
        (SignatureAlgorithm::RsaPssSha256, include_str!("testdata/pss_sha256.hex")),
        (SignatureAlgorithm::RsaPssSha384, include_str!("testdata/pss_sha384.hex")),
        (SignatureAlgorithm::RsaPssSha512, include_str!("testdata/pss_sha512.hex")),
    ] {
        let (sound, mut hasher) = (signature(sound), algorithm.hasher().expect("a digest"));
        assert_eq!(key.verify(algorithm, message, &sound), Ok(()));
        hasher.update(message);
        assert_eq!(key.verify_digest(algorithm, &hasher.finish(), &sound), Ok(()));
        for other in SignatureAlgorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            assert!(key.verify(other, message, &sound).is_err(), "{algorithm} for {other}");
        }
        assert!(key.verify(algorithm, b"another message", &sound).is_err());
    }
    for other in [
        include_str!("testdata/pss_sha256_salt_20.hex"),
        include_str!("testdata/pss_sha256_longest_salt.hex"),
        include_str!("testdata/pss_sha256_mask_sha1.hex"),
    ] {
        assert!(key.verify(SignatureAlgorithm::RsaPssSha256, message, &signature(other)).is_err());
    }
}

#[test]
fn names_the_mismatch_of_algorithm_and_key() {
    for (key_type, der) in sound_keys() {
        let key = PublicKey::from_spki_der(&der).expect("made by openssl");
        for algorithm in SignatureAlgorithm::ALL {
            let expected = if algorithm.fits(key_type) {
                SignatureInvalid::DoesNotVerify { algorithm, key_type }
            } else {
                SignatureInvalid::AlgorithmDoesNotFit { algorithm, key_type }
            };
            assert_eq!(key.verify(algorithm, b"message", b"signature"), Err(expected));
        }
    }
}

proptest! {
    #[test]
    fn never_panics_on_arbitrary_octets(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = PublicKey::from_spki_der(&octets);
        let _ = SignatureAlgorithm::from_identifier_der(&octets);
    }

    #[test]
    fn never_panics_and_stays_byte_exact_on_mutated_keys(
        which in 0_usize..7,
        at in any::<prop::sample::Index>(),
        octet in any::<u8>(),
    ) {
        let (_, mut der) = sound_keys()[which].clone();
        let at = at.index(der.len());
        der[at] = octet;
        if let Ok(key) = PublicKey::from_spki_der(&der) {
            prop_assert_eq!(key.spki_der(), &der[..]);
        }
    }
}
