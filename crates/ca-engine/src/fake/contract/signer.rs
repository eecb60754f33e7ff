//! The contract of [`crate::port::signer`].

use std::future::Future;
use std::sync::Arc;

use ca_core::key::SignatureAlgorithm;
use ca_core::ocsp::{CertId, CertIdHash, CertStatus, IssuerIdentity, OcspTbs, ResponseTemplate, SingleResponse};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};
use futures::future::join_all;

use super::case::{cases, run_cases};
use crate::port::signer::Signer;

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
        a_signature_is_one_of_the_message,
        messages_may_be_long,
        concurrent_callers_get_their_own_signatures,
        a_call_dropped_half_way_hinders_no_other,
    ];
    run_cases("signer", cases, make).await;
}

async fn the_algorithm_is_the_one_of_its_key(signer: Arc<dyn Signer>) {
    let key_type = signer.public_key().key_type();
    let fits = signer.algorithm() == key_type.signature_algorithm()
        || key_type.is_rsa()
            && matches!(signer.algorithm(), SignatureAlgorithm::RsaSha384 | SignatureAlgorithm::RsaSha512);
    assert!(fits, "{:?} does not go with {key_type}", signer.algorithm());
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
