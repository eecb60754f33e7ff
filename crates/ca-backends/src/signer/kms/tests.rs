//! The contract of signers, with every kind of key, at a double of KMS; what is asked of it; and what is told when it refuses, is
//! silent, or has another key than it should.

mod conformance;
mod making;

use ca_core::signing::Signable;
use ca_engine::fake::contract::signer::{check_signer, message};
use ca_test_doubles::{Fault, KeySpec, KeyState, KmsDouble, Weather};
use serde_json::json;

use super::*;
use crate::aws::{AwsAccess, CallOutcome};

fn arn(text: &str) -> KmsKeyArn {
    KmsKeyArn::parse(text).expect("an ARN")
}

/// Nothing here depends on how soon a busy machine answers.
async fn keys(double: &KmsDouble) -> KmsKeys {
    let access = AwsAccess::of_tests(&double.endpoint_url()).await;
    KmsKeys::new(access, USUAL_QUOTA).with_attempts_of(std::time::Duration::from_secs(60))
}

/// A double with one P-256 key, its ARN, and the signer over it.
async fn of_double() -> (KmsDouble, KmsKeyArn, KmsSigner) {
    let double = KmsDouble::start().expect("a double");
    let key = arn(&double.create_key(KeySpec::EccNistP256));
    let signer = keys(&double).await.find(&key).await.expect("found");
    (double, key, signer)
}

/// Keys of each kind, made beforehand: RSA keys take seconds.
fn plant_all(double: &KmsDouble) -> Vec<(KeyType, KmsKeyArn)> {
    let made = [
        (KeySpec::Rsa2048, KeyType::Rsa2048, &include_bytes!("../software/testdata/rsa2048.p8")[..]),
        (KeySpec::Rsa3072, KeyType::Rsa3072, include_bytes!("../software/testdata/rsa3072.p8")),
        (KeySpec::Rsa4096, KeyType::Rsa4096, include_bytes!("../software/testdata/rsa4096.p8")),
        (KeySpec::EccNistP256, KeyType::P256, include_bytes!("../software/testdata/p256.p8")),
        (KeySpec::EccNistP384, KeyType::P384, include_bytes!("../software/testdata/p384.p8")),
        (KeySpec::EccNistP521, KeyType::P521, include_bytes!("../software/testdata/p521.p8")),
    ];
    made.into_iter()
        .map(|(spec, key_type, pkcs8)| (key_type, arn(&double.plant_key(spec, pkcs8).expect("planted"))))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_with_every_kind_of_key() {
    let double = KmsDouble::start().expect("a double");
    for (key_type, key) in plant_all(&double) {
        let keys = keys(&double).await;
        check_signer(|| async {
            let signer = keys.find(&key).await.expect("found");
            assert_eq!(signer.public_key().key_type(), key_type);
            signer.check().await.expect("it would sign");
            Arc::new(signer) as Arc<dyn Signer>
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_for_the_public_key_once_and_opens_without_asking() {
    let (double, key, found) = of_double().await;
    let keys = keys(&double).await;
    let signer = keys.open(&key, found.public_key()).expect("opened");
    assert_eq!(double.asked().len(), 1, "GetPublicKey, by `find`");
    // What a process has not seen itself it asks for once, however often it opens the key.
    for _ in 0..3 {
        keys.open(&key, found.public_key()).expect("opened").check().await.expect("it would sign");
    }
    assert_eq!((double.count("GetPublicKey"), double.count("Sign")), ((2, 2), (3, 0)));
    for _ in 0..3 {
        signer.sign(&message(1)).await.expect("signed");
        signer.check().await.expect("it would sign");
    }
    assert_eq!(double.count("GetPublicKey"), (2, 2));
    assert_eq!(double.count("Sign"), (9, 3), "the others were dry runs");
    let priced: u64 = keys.calls().iter().map(|count| count.micro_dollars).sum();
    assert_eq!(priced, 45 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_tried_again() {
    let (double, _, signer) = of_double().await;
    for faults in [
        vec![Fault::Refuse(400, "ThrottlingException"), Fault::Refuse(400, "ThrottlingException")],
        vec![Fault::Refuse(500, "KMSInternalException"), Fault::Refuse(503, "DependencyTimeoutException")],
        vec![Fault::Refuse(500, "KeyUnavailableException"), Fault::LoseAnswer],
        vec![Fault::RefuseAfterwards(500, "KMSInternalException")],
    ] {
        double.fail("Sign", faults.clone());
        let signature = signer.sign(&message(1)).await.unwrap_or_else(|error| panic!("{faults:?}: {error}"));
        assert_eq!(message(1).message().verify(signer.public_key(), &signature), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_and_what_was_silent_is_asked_again() {
    let (double, key, found) = of_double().await;
    let access = AwsAccess::of_tests(&double.endpoint_url()).await;
    let keys = KmsKeys::new(access, USUAL_QUOTA).with_attempts_of(std::time::Duration::from_millis(500));
    let signer = keys.open(&key, found.public_key()).expect("opened");
    double.fail("Sign", [Fault::Silence]);
    signer.sign(&message(1)).await.expect("signed");
    let failed = keys.calls().iter().any(|count| count.outcome == CallOutcome::Failed);
    assert!(failed, "{:?}", keys.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_calls_are_busy_and_failures_inside_unavailable() {
    let (double, key, signer) = of_double().await;
    double.fail("Sign", [Fault::Refuse(400, "ThrottlingException"); 5]);
    let error = signer.sign(&message(1)).await.expect_err("throttled");
    let SignerError::Busy { detail, retry_after } = error else { panic!("{error:?}") };
    assert!(detail.contains(key.as_str()) && detail.contains("ThrottlingException (Rate exceeded)"), "{detail}");
    assert_eq!(retry_after, Some(Lifetime::from_seconds(1)));
    double.fail("Sign", [Fault::Refuse(500, "KMSInternalException"); 5]);
    let error = signer.sign(&message(1)).await.expect_err("failing");
    assert!(
        matches!(error, SignerError::Unavailable { ref detail } if detail.contains("500 KMSInternalException")),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_refused_is_asked_once_and_told_with_what_would_be_right() {
    for (prepare, code, remedy) in [
        ((|double, _| double.deny("Sign")) as fn(&KmsDouble, &str), "AccessDeniedException", "kms:Sign"),
        (
            |double, arn| double.set_state(arn, KeyState::Disabled),
            "DisabledException",
            "aws kms enable-key --region sa-east-1",
        ),
        (
            |double, arn| double.set_state(arn, KeyState::PendingDeletion),
            "KMSInvalidStateException",
            "aws kms cancel-key-deletion",
        ),
        (|double, _| double.set_credentials_expired(true), "ExpiredTokenException", "renew them where they come from"),
        (
            |double, _| double.fail("Sign", [Fault::Refuse(400, "LimitExceededException")]),
            "LimitExceededException",
            "Service Quotas",
        ),
        (
            |double, _| double.fail("Sign", [Fault::Refuse(400, "UnrecognizedClientException")]),
            "UnrecognizedClientException",
            "does not know these credentials",
        ),
    ] {
        let (double, key, signer) = of_double().await;
        prepare(&double, key.as_str());
        let error = signer.sign(&message(1)).await.expect_err(code).to_string();
        for part in [key.as_str(), "Sign is refused with 400", code, remedy, "request d0b1e000-"] {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
        assert!(!error.contains("a-secret-of-the-tests"));
        assert_eq!(double.count("Sign").0, 1, "{code} is not tried again");
        if !matches!(code, "LimitExceededException" | "UnrecognizedClientException") {
            let error = signer.check().await.expect_err(code).to_string();
            assert!(error.contains(remedy), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_where_the_arn_says_is_told() {
    let (double, _, _) = of_double().await;
    let keys = keys(&double).await;
    for (key, parts) in [
        // Another region: the request is signed for it, and the endpoint is of this one.
        (
            "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-000000000001",
            ["InvalidSignatureException", "signed for region eu-west-1"],
        ),
        (
            "arn:aws:kms:sa-east-1:111122223333:key/no-such-key",
            ["NotFoundException", "region sa-east-1, account 111122223333"],
        ),
        (
            "arn:aws:kms:sa-east-1:444455556666:key/1234abcd-12ab-34cd-56ef-000000000001",
            ["AccessDeniedException", "kms:GetPublicKey"],
        ),
    ] {
        let error = keys.find(&arn(key)).await.expect_err(key).to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_behind_the_arn_is_found_out_and_its_signatures_are_not_used() {
    let (double, key, signer) = of_double().await;
    double.exchange_material(key.as_str());
    let error = signer.sign(&message(1)).await.expect_err("not verified");
    assert!(
        matches!(error, SignerError::Refused { ref detail } if detail.contains("another key stands behind")),
        "{error:?}"
    );
    // A process that starts now asks for the public key before it says that all is well.
    let opened = keys(&double).await.open(&key, signer.public_key()).expect("opened");
    let error = opened.check().await.expect_err("another key");
    assert!(error.to_string().contains("its public key is not that of the authority's certificate"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_kind_is_refused_before_an_authority_is_made_of_it() {
    let double = KmsDouble::start().expect("a double");
    let symmetric = arn(&double.create_key(KeySpec::SymmetricDefault));
    let keys = keys(&double).await;
    let error = keys.find(&symmetric).await.expect_err("symmetric").to_string();
    assert!(error.contains("UnsupportedOperationException") && error.contains("not for signing"), "{error}");
    // The certificate says P-384, the key is P-256.
    let (other, p256) = (double.create_key(KeySpec::EccNistP384), arn(&double.create_key(KeySpec::EccNistP256)));
    let p384 = keys.find(&arn(&other)).await.expect("found");
    let opened = keys.open(&p256, p384.public_key()).expect("opened");
    let error = opened.sign(&message(1)).await.expect_err("another algorithm").to_string();
    assert!(error.contains("InvalidKeyUsageException") && error.contains("of another kind"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credentials_and_no_endpoint_are_told_apart_from_refusals() {
    let double = KmsDouble::start().expect("a double");
    let key = arn(&double.create_key(KeySpec::EccNistP256));
    let access = AwsAccess::of_tests(&double.endpoint_url()).await;
    drop(double);
    let error = KmsKeys::new(access, USUAL_QUOTA).find(&key).await.expect_err("nobody listens");
    assert!(
        matches!(error, SignerError::Unavailable { ref detail } if detail.contains("the way to KMS in sa-east-1")),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_bad_weather_everything_is_signed_or_refused_and_little_is_asked_twice() {
    let (double, _, signer) = of_double().await;
    let (before, signer) = (double.count("Sign").0, Arc::new(signer));
    double.set_weather(Some(Weather::new(20_261_127, 100, 20, 0)));
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..16_u32 {
        let signer = Arc::clone(&signer);
        tasks.spawn(async move {
            let mut signed = 0_usize;
            for number in 0..25 {
                match signer.sign(&message(1 + (worker * 25 + number) % 3)).await {
                    Ok(_) => signed += 1,
                    Err(SignerError::Busy { .. } | SignerError::Unavailable { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            signed
        });
    }
    let signed: usize = tasks.join_all().await.into_iter().sum();
    let (asked, answered) = double.count("Sign");
    assert_eq!(answered, signed, "every answer is used");
    assert!(signed >= 395, "{signed}");
    assert!(asked - before <= signed * 5 / 4, "{asked} calls for {signed} signatures");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_by_what_became_of_them() {
    let double = KmsDouble::start().expect("a double");
    let key = arn(&double.create_key(KeySpec::EccNistP256));
    let keys = keys(&double).await;
    let signer = keys.find(&key).await.expect("found");
    double.fail("Sign", [Fault::Refuse(400, "ThrottlingException"), Fault::Refuse(503, "DependencyTimeoutException")]);
    signer.sign(&message(1)).await.expect("signed");
    double.ask("DisableKey", json!({"KeyId": key.as_str()})).expect("disabled");
    assert!(signer.sign(&message(1)).await.is_err());
    let calls: Vec<_> = keys.calls().iter().map(|count| (count.operation, count.outcome, count.calls)).collect();
    assert_eq!(
        calls,
        [
            ("GetPublicKey", CallOutcome::Answered, 1),
            ("Sign", CallOutcome::Answered, 1),
            ("Sign", CallOutcome::Throttled, 1),
            ("Sign", CallOutcome::Failed, 1),
            ("Sign", CallOutcome::Refused, 1),
        ]
    );
}
