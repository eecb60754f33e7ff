//! The contract of [`crate::port::signer`].

use std::future::Future;
use std::sync::Arc;

use ca_core::key::SignatureAlgorithm;
use ca_core::ocsp::{CertId, CertIdHash, CertStatus, IssuerIdentity, OcspTbs, ResponseTemplate, SingleResponse};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};
use futures::future::join_all;

use super::case::{cases, run_cases};
use crate::port::signer::{Signer, SignerError};

/// Checks that a signer keeps its contract. `make` gives a signer that may sign OCSP responses, the smallest of what is signed.
///
/// Panics with the names of the broken rules.
pub async fn check_signer<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Signer>>,
{
    let cases = cases![
        the_algorithm_is_the_one_of_its_key,
        a_key_signs_by_every_algorithm_it_has_and_by_no_other,
        a_signature_is_one_of_the_message,
        messages_may_be_long,
        concurrent_callers_get_their_own_signatures,
        a_call_dropped_half_way_hinders_no_other,
    ];
    run_cases("signer", cases, make).await;
}

async fn the_algorithm_is_the_one_of_its_key(signer: Arc<dyn Signer>) {
    let key_type = signer.public_key().key_type();
    assert!(signer.algorithm().fits(key_type), "{:?} does not go with {key_type}", signer.algorithm());
}

/// RSA keys have six; another key has its own only, even where a curve would go with another digest.
async fn a_key_signs_by_every_algorithm_it_has_and_by_no_other(signer: Arc<dyn Signer>) {
    let key_type = signer.public_key().key_type();
    for algorithm in SignatureAlgorithm::ALL {
        let has_it = if key_type.is_rsa() { algorithm.fits(key_type) } else { algorithm == signer.algorithm() };
        let chosen = match (signer.with_algorithm(algorithm), has_it) {
            (Ok(chosen), true) => chosen,
            (Err(SignerError::Refused { .. }), false) => continue,
            (other, _) => panic!("{algorithm} of a {key_type} key: {:?}", other.map(|signer| signer.algorithm())),
        };
        assert_eq!((chosen.algorithm(), chosen.public_key()), (algorithm, signer.public_key()));
        assert_eq!(chosen.check().await, Ok(()), "{algorithm}");
        let message = message(1);
        let signature = chosen.sign(&message).await.expect("signs");
        assert_eq!(signature.algorithm, algorithm);
        let verified = signer.public_key().verify(algorithm, message.to_be_signed(), &signature.octets);
        assert_eq!(verified, Ok(()), "{algorithm}");
    }
    let default = signer.sign(&message(1)).await.expect("signs");
    assert_eq!(default.algorithm, signer.algorithm(), "the signer that was asked is as it was");
}

async fn a_signature_is_one_of_the_message(signer: Arc<dyn Signer>) {
    let (message, other) = (message(1), message(2));
    let signature = signer.sign(&message).await.expect("signs");
    assert_eq!(signature.algorithm, signer.algorithm(), "it names the algorithm that was promised");
    let verify =
        |message: &OcspTbs| signer.public_key().verify(signature.algorithm, message.to_be_signed(), &signature.octets);
    assert_eq!(verify(&message), Ok(()));
    assert!(verify(&other).is_err(), "it is of no other message");
}

/// Remote keys take short messages only and must be given a digest of others; 4,096 octets is the limit of AWS KMS.
async fn messages_may_be_long(signer: Arc<dyn Signer>) {
    let message = message(5_000);
    assert!(message.to_be_signed().len() > 500_000);
    let signature = signer.sign(&message).await.expect("signs");
    let verified = signer.public_key().verify(signature.algorithm, message.to_be_signed(), &signature.octets);
    assert_eq!(verified, Ok(()));
}

async fn concurrent_callers_get_their_own_signatures(signer: Arc<dyn Signer>) {
    let messages: Vec<_> = (1..=20).map(message).collect();
    let signatures = join_all(messages.iter().map(|message| signer.sign(message))).await;
    for (message, signature) in messages.iter().zip(signatures) {
        let signature = signature.expect("signs");
        let verified = signer.public_key().verify(signature.algorithm, message.to_be_signed(), &signature.octets);
        assert_eq!(verified, Ok(()));
    }
}

async fn a_call_dropped_half_way_hinders_no_other(signer: Arc<dyn Signer>) {
    let message = message(1);
    for _ in 0..3 {
        // Polled once, then dropped: what a client that hangs up does.
        let _ = futures::poll!(signer.sign(&message));
    }
    let signature = signer.sign(&message).await.expect("signs");
    let verified = signer.public_key().verify(signature.algorithm, message.to_be_signed(), &signature.octets);
    assert_eq!(verified, Ok(()));
}

/// An OCSP response of so many answers: something that may be signed.
pub fn message(answers: u32) -> OcspTbs {
    let issuer = IssuerIdentity::new(b"issuer", b"key");
    let now = Timestamp::from_unix_seconds(1_795_176_000);
    let answer = |number: u32| SingleResponse {
        cert_id: CertId::new(
            CertIdHash::Sha256,
            &issuer,
            &Serial::from_bytes(&number.to_be_bytes()).expect("numbers begin at 1"),
        ),
        status: CertStatus::Good,
        this_update: now,
        next_update: Some(now.plus(Lifetime::from_seconds(3_600))),
        archive_cutoff: None,
    };
    let template = ResponseTemplate {
        responder_key_hash: [7; 20],
        produced_at: now,
        responses: (1..=answers).map(answer).collect(),
        nonce: None,
    };
    OcspTbs::new(&template).expect("a faultless response")
}
