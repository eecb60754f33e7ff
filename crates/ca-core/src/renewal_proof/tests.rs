//! Proofs that others made (`testdata/README.md`), whole and spoiled; and that what is written is read.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_176_000);

struct Made {
    algorithm: String,
    csr: String,
    proof: String,
    key: PublicKey,
}

fn made_by_others() -> Vec<Made> {
    let made: Vec<Value> = serde_json::from_str(include_str!("testdata/proofs.json")).expect("JSON");
    let text = |value: &Value, member: &str| value[member].as_str().expect("a text").to_owned();
    made.iter()
        .map(|value| Made {
            algorithm: text(value, "algorithm"),
            csr: text(value, "csr"),
            proof: text(value, "proof"),
            key: PublicKey::from_spki_der(&STANDARD.decode(text(value, "spki")).expect("base64")).expect("a key"),
        })
        .collect()
}

/// The first proof with another header or payload; its signature does not matter to who reads it.
fn with(change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let proof = made_by_others().remove(0).proof;
    let parts: Vec<&str> = proof.split('.').collect();
    let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON");
    let (mut header, mut payload): (Value, Value) = (json(parts[0]), json(parts[1]));
    change(&mut header, &mut payload);
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", text(&header), text(&payload), parts[2])
}

#[test]
fn what_others_signed_verifies_by_their_key_and_no_other() {
    let made = made_by_others();
    assert_eq!(made.len(), ProofAlgorithm::ALL.len());
    for one in &made {
        let proof = RenewalProof::parse(&one.proof).expect("sound");
        assert_eq!(proof.algorithm.as_str(), one.algorithm);
        assert_eq!(proof.verify(&one.key), Ok(()), "{}", one.algorithm);
        assert!(proof.is_over(one.csr.as_bytes()) && !proof.is_over(b"another"));
        assert_eq!((proof.nonce(), proof.check_age(NOW)), ("a-nonce", Ok(())));
        assert!(proof.url().ends_with("/renew-expired"));
        for other in made.iter().filter(|other| other.key != one.key) {
            assert!(proof.verify(&other.key).is_err(), "{} by the key of {}", one.algorithm, other.algorithm);
        }
    }
}

#[test]
fn what_was_changed_after_it_was_signed_does_not_verify() {
    for one in made_by_others() {
        let parts: Vec<&str> = one.proof.split('.').collect();
        let mut signature = URL_SAFE_NO_PAD.decode(parts[2]).expect("base64url");
        signature[5] ^= 1;
        let input = format!("{}.{}", parts[0], parts[1]);
        let changed = RenewalProof::parse(&signed_proof(&input, &signature)).expect("it can be read");
        assert!(matches!(changed.verify(&one.key), Err(ProofFault::SignatureInvalid { .. })), "{}", one.algorithm);
        // Of the right value and another length.
        let longer = RenewalProof::parse(&signed_proof(&input, &[signature, vec![0]].concat())).expect("read");
        assert!(longer.verify(&one.key).is_err(), "{}", one.algorithm);
        let other_payload = URL_SAFE_NO_PAD.encode(json!({ "csr_sha256": "A".repeat(43), "iat": 1 }).to_string());
        let moved = RenewalProof::parse(&format!("{}.{other_payload}.{}", parts[0], parts[2])).expect("read");
        assert!(moved.verify(&one.key).is_err(), "{}", one.algorithm);
    }
}

#[test]
fn a_signature_in_der_is_no_signature_of_a_jws() {
    let one = made_by_others().remove(0);
    let (input, signature) = one.proof.rsplit_once('.').expect("three parts");
    let der = ecdsa_signature_der(&URL_SAFE_NO_PAD.decode(signature).expect("base64url"), 32).expect("two numbers");
    let proof = RenewalProof::parse(&signed_proof(input, &der)).expect("read");
    assert!(proof.verify(&one.key).is_err());
}

#[test]
fn no_algorithm_is_taken_that_proves_nothing() {
    for alg in ["none", "None", "", "HS256", "HS512", "es256", "ES256K", "RS1", "ES256 "] {
        let refused = RenewalProof::parse(&with(|header, _| header["alg"] = alg.into()));
        assert_eq!(refused, Err(ProofFault::UnknownAlgorithm), "{alg}");
    }
    // One of another kind of key.
    for alg in ["ES384", "RS256", "EdDSA"] {
        let proof = RenewalProof::parse(&with(|header, _| header["alg"] = alg.into())).expect("read");
        let refused = proof.verify(&made_by_others().remove(0).key);
        assert!(matches!(refused, Err(ProofFault::AlgorithmDoesNotFit { .. })), "{alg}");
    }
}

#[test]
fn a_header_says_what_belongs_there_and_nothing_else() {
    assert!(RenewalProof::parse(&with(|header, _| header["typ"] = "JOSE".into())).is_ok());
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("jwk", json!({})),
        ("jku", json!("https://example.com")),
        ("x5u", json!("https://example.com")),
        ("kid", json!("1")),
    ] {
        let refused = RenewalProof::parse(&with(|header, _| header[member] = value));
        assert!(matches!(&refused, Err(ProofFault::Json { part: "header", .. })), "{member}: {refused:?}");
    }
    for member in ["alg", "x5c", "nonce", "url"] {
        let refused = RenewalProof::parse(&with(|header, _| {
            header.as_object_mut().expect("an object").remove(member);
        }));
        assert!(matches!(&refused, Err(ProofFault::Json { part: "header", .. })), "{member}: {refused:?}");
    }
    let refused = RenewalProof::parse(&with(|header, _| header["x5c"] = json!([])));
    assert_eq!(refused, Err(ProofFault::NoCertificate));
    let refused = RenewalProof::parse(&with(|header, _| header["x5c"] = json!(vec!["AAAA"; 11])));
    assert_eq!(refused, Err(ProofFault::ChainTooLong { certificates: 11 }));
    let refused = RenewalProof::parse(&with(|header, _| header["x5c"] = json!(["_-_-"])));
    assert_eq!(refused, Err(ProofFault::NotBase64 { part: "x5c" }), "base64url");
}

#[test]
fn a_member_that_comes_twice_is_refused() {
    let one = made_by_others().remove(0).proof;
    let parts: Vec<&str> = one.split('.').collect();
    let header = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[0]).expect("base64url")).expect("JSON");
    let twice = URL_SAFE_NO_PAD.encode(header.replacen('{', "{\"alg\":\"none\",", 1));
    let refused = RenewalProof::parse(&format!("{twice}.{}.{}", parts[1], parts[2]));
    assert!(matches!(&refused, Err(ProofFault::Json { detail, .. }) if detail.contains("duplicate")), "{refused:?}");
}

#[test]
fn what_is_no_compact_serialization_is_refused() {
    let one = made_by_others().remove(0).proof;
    for text in ["", ".", "..", "a.b", "{}", &format!("{one}."), &format!("{one}.AAAA"), &format!("{one}=")] {
        assert!(RenewalProof::parse(text).is_err(), "{text}");
    }
    let long = "A".repeat(MAX_PROOF_OCTETS + 1);
    assert_eq!(RenewalProof::parse(&long), Err(ProofFault::TooLong { octets: long.len() }));
    let refused = RenewalProof::parse(&with(|_, payload| payload["csr_sha256"] = "AAAA".into()));
    assert_eq!(refused, Err(ProofFault::NotADigest));
    for iat in [json!(-1), json!(1.5), json!("1795176000"), json!(u64::MAX), json!(null)] {
        assert!(RenewalProof::parse(&with(|_, payload| payload["iat"] = iat.clone())).is_err(), "{iat}");
    }
    assert!(RenewalProof::parse(&with(|_, payload| payload["exp"] = json!(1))).is_err());
}

#[test]
fn a_proof_is_five_minutes_old_at_most() {
    let proof = RenewalProof::parse(&made_by_others().remove(0).proof).expect("sound");
    let second = |seconds: i64| Timestamp::from_unix_seconds(1_795_176_000 + seconds);
    assert_eq!(proof.check_age(second(300)), Ok(()));
    assert!(matches!(proof.check_age(second(301)), Err(ProofFault::TooOld { .. })));
    assert_eq!(proof.check_age(second(-60)), Ok(()), "clocks differ");
    assert!(matches!(proof.check_age(second(-61)), Err(ProofFault::NotYet { .. })));
}

#[test]
fn what_is_written_is_read() {
    let claims = ProofClaims {
        algorithm: ProofAlgorithm::Es256,
        certificate: b"a certificate",
        nonce: "a nonce",
        url: "https://ca.example.org/v1",
        csr: b"a request",
        issued_at: NOW,
    };
    let input = claims.signing_input().expect("written");
    let proof = RenewalProof::parse(&signed_proof(&input, &[1; 64])).expect("read");
    assert_eq!((proof.certificate(), proof.nonce(), proof.url()), (&b"a certificate"[..], "a nonce", claims.url));
    assert!(proof.is_over(b"a request"));
    assert_eq!(proof.issued_at, NOW);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "[A-Za-z0-9_.=-]{0,200}") {
        if let Ok(proof) = RenewalProof::parse(&text) {
            let _ = proof.verify(&made_by_others().remove(0).key);
        }
    }

    #[test]
    fn two_numbers_become_der_of_the_shortest_form(octets in proptest::collection::vec(any::<u8>(), 64)) {
        let der = ecdsa_signature_der(&octets, 32).expect("twice 32 octets");
        let value = <EcdsaSigValue<'_> as der::Decode>::from_der(&der).expect("strict DER");
        let padded = |number: &[u8]| [&vec![0; 32 - number.len()][..], number].concat();
        prop_assert_eq!([padded(value.r.as_bytes()), padded(value.s.as_bytes())].concat(), octets);
    }
}
