//! Keys and signatures made by openssl are the judge (`testdata/README.md`).

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ca_core::crl::{CrlContext, CrlLint, CrlTemplate, CrlWriter, ParsedCrl};
use ca_core::name::DistinguishedName;
use ca_core::signing::Envelope;
use ca_core::time::Timestamp;

use super::*;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("testdata/", $name)).as_slice()
    };
}

const MESSAGE: &[u8] = file!("message.bin");

/// Key type, PKCS#8, SubjectPublicKeyInfo.
fn keys() -> [(KeyType, &'static [u8], &'static [u8]); 7] {
    [
        (KeyType::Rsa2048, file!("rsa2048.p8"), file!("rsa2048.spki")),
        (KeyType::Rsa3072, file!("rsa3072.p8"), file!("rsa3072.spki")),
        (KeyType::Rsa4096, file!("rsa4096.p8"), file!("rsa4096.spki")),
        (KeyType::P256, file!("p256.p8"), file!("p256.spki")),
        (KeyType::P384, file!("p384.p8"), file!("p384.spki")),
        (KeyType::P521, file!("p521.p8"), file!("p521.spki")),
        (KeyType::Ed25519, file!("ed25519.p8"), file!("ed25519.spki")),
    ]
}

#[test]
fn loads_every_key_type_and_signs_what_its_public_key_verifies() {
    for (key_type, pkcs8, spki) in keys() {
        let signer = SoftwareSigner::from_pkcs8(pkcs8).expect("made by openssl");
        assert_eq!(signer.public_key().key_type(), key_type);
        assert_eq!(signer.public_key().spki_der(), spki);
        assert_eq!(signer.algorithm(), key_type.signature_algorithm());
        let signature = signer.sign_message(Message::Whole(MESSAGE)).expect("signs");
        assert_eq!(signature.algorithm, signer.algorithm());
        assert_eq!(signer.public_key().verify(signature.algorithm, MESSAGE, &signature.octets), Ok(()));
        assert!(signer.public_key().verify(signature.algorithm, b"another", &signature.octets).is_err());
    }
}

#[test]
fn makes_the_same_deterministic_signatures_as_openssl() {
    for (pkcs8, expected) in [
        (file!("rsa2048.p8"), file!("rsa2048.sig")),
        (file!("rsa3072.p8"), file!("rsa3072.sig")),
        (file!("rsa4096.p8"), file!("rsa4096.sig")),
        (file!("ed25519.p8"), file!("ed25519.sig")),
    ] {
        let signer = SoftwareSigner::from_pkcs8(pkcs8).expect("made by openssl");
        assert_eq!(signer.sign_message(Message::Whole(MESSAGE)).expect("signs").octets, expected);
    }
}

/// Every key by every algorithm it can be told.
fn signers() -> Vec<Arc<dyn Signer>> {
    let mut signers: Vec<Arc<dyn Signer>> = Vec::new();
    for (key_type, pkcs8, _) in keys() {
        let signer = SoftwareSigner::from_pkcs8(pkcs8).expect("made by openssl");
        let chosen = SignatureAlgorithm::ALL.into_iter().filter(|algorithm| algorithm.fits(key_type));
        let chosen = chosen.filter(|algorithm| key_type.is_rsa() || *algorithm == signer.algorithm());
        signers.extend(chosen.map(|algorithm| signer.with_algorithm(algorithm).expect("its own")));
    }
    signers
}

#[test]
fn other_algorithms_are_refused() {
    for (key_type, pkcs8, _) in keys() {
        let signer = SoftwareSigner::from_pkcs8(pkcs8).expect("made by openssl");
        for algorithm in SignatureAlgorithm::ALL {
            let has_it = if key_type.is_rsa() { algorithm.fits(key_type) } else { algorithm == signer.algorithm() };
            assert_eq!(signer.with_algorithm(algorithm).is_ok(), has_it, "{algorithm} of {key_type}");
        }
    }
}

/// The port, over something that may be signed: an empty CRL, of which the key is given the digest, and the same whole.
#[test]
fn signs_lists_with_the_algorithm_they_name() {
    for signer in signers() {
        let key_type = signer.algorithm();
        let issuer = DistinguishedName::from_rfc4514("CN=Test CA").expect("a name");
        let key_identifier = signer.public_key().key_identifier();
        let tbs = CrlWriter::new(CrlTemplate {
            issuer: issuer.clone(),
            authority_key_identifier: key_identifier.to_vec(),
            signature_algorithm: signer.algorithm(),
            this_update: Timestamp::from_unix_seconds(1_790_000_000),
            next_update: Timestamp::from_unix_seconds(1_790_600_000),
            number: 1,
            base_number: None,
            issuing_distribution_point: None,
            freshest_crl: None,
            expired_certs_on_crl: None,
        })
        .and_then(CrlWriter::finish)
        .expect("encodes");
        let context = CrlContext {
            issuer: &issuer,
            key_identifier: &key_identifier,
            signature_algorithm: signer.algorithm(),
            previous: None,
        };
        let to_be_signed = [tbs.before, tbs.after].concat();
        let mut lint = CrlLint::new(context);
        lint.update(&to_be_signed);
        let linted = lint.finish().expect("faultless");
        let signature = {
            let mut signing = pin!(signer.sign(&linted));
            match signing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(signature) => signature.expect("signs"),
                Poll::Pending => panic!("a key in memory signs at once"),
            }
        };
        assert_eq!(signature.algorithm, signer.algorithm());
        assert_eq!(linted.message().verify(signer.public_key(), &signature), Ok(()), "{key_type}");
        let other = Signature { octets: signature.octets.iter().rev().copied().collect(), ..signature.clone() };
        assert!(linted.message().verify(signer.public_key(), &other).is_err(), "{key_type}");
        let Envelope { before, after } = linted.envelope(&signature).expect("the algorithm named inside");
        let parsed = ParsedCrl::from_der([before, to_be_signed, after].concat()).expect("own CRL");
        assert_eq!(parsed.verify(&issuer, signer.public_key()), Ok(()), "{key_type}");
    }
}

#[test]
fn makes_keys_whose_pkcs8_loads_again() {
    for key_type in [KeyType::Rsa2048, KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Ed25519] {
        let (pkcs8, signer) = SoftwareSigner::generate(key_type).expect("generates");
        assert_eq!(signer.public_key().key_type(), key_type);
        let again = SoftwareSigner::from_pkcs8(pkcs8.as_der()).expect("own PKCS#8");
        assert_eq!(again.public_key(), signer.public_key());
        let (_, other) = SoftwareSigner::generate(key_type).expect("generates");
        assert_ne!(other.public_key(), signer.public_key());
    }
}

#[test]
fn refuses_weak_and_foreign_keys() {
    let refusal = |pkcs8| SoftwareSigner::from_pkcs8(pkcs8).expect_err("must be refused");
    assert_eq!(
        refusal(file!("refused_exponent_3.p8")),
        SoftwareKeyError::Refused(KeyError::RsaExponent { exponent: "3".to_owned() })
    );
    for foreign in [
        // Too short for aws-lc-rs itself, before the checks of public keys are asked.
        file!("refused_rsa1024.p8"),
        file!("refused_secp256k1.p8"),
        file!("refused_ed448.p8"),
        file!("refused_pkcs1.der"),
        file!("refused_sec1.der"),
        file!("refused_encrypted.der"),
        file!("p256.spki"),
        &[],
    ] {
        assert_eq!(refusal(foreign), SoftwareKeyError::NotPkcs8);
    }
}

#[test]
fn refuses_a_private_key_beside_another_s_public_key() {
    let mut pkcs8 = file!("p256.p8").to_vec();
    let (_, other) = SoftwareSigner::generate(KeyType::P256).expect("generates");
    let at = pkcs8.len() - 65;
    pkcs8[at..].copy_from_slice(other.public_key().subject_public_key());
    assert_eq!(SoftwareSigner::from_pkcs8(&pkcs8).expect_err("inconsistent"), SoftwareKeyError::NotPkcs8);
}

#[test]
fn never_panics_on_truncated_or_changed_pkcs8() {
    for pkcs8 in [file!("p256.p8"), file!("ed25519.p8")] {
        for length in 0..pkcs8.len() {
            assert!(SoftwareSigner::from_pkcs8(&pkcs8[..length]).is_err(), "{length} octets");
        }
        for at in 0..pkcs8.len() {
            let mut changed = pkcs8.to_vec();
            changed[at] ^= 0xff;
            let _ = SoftwareSigner::from_pkcs8(&changed);
        }
    }
}

#[test]
fn prints_no_private_key() {
    let (pkcs8, signer) = SoftwareSigner::generate(KeyType::Ed25519).expect("generates");
    assert_eq!(format!("{pkcs8:?}"), "PrivateKeyInfo(…)");
    assert!(format!("{signer:?}").starts_with("SoftwareSigner(PublicKey(ed25519, spki sha256 "));
}
