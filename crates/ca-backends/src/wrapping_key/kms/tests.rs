//! At the double of KMS: what is bound to what, what is tried again, and what each refusal tells.

use std::time::Duration;

use ca_test_doubles::{Fault, KeySpec, KeyState, KmsDouble};

use super::*;

const SECRET: &[u8] = b"a wrapping key of the tests, 32.";

async fn key(double: &KmsDouble, arn: &str) -> KmsWrappingKey {
    let access = AwsAccess::of_tests(&double.endpoint_url()).await;
    KmsWrappingKey::new(&access, KmsKeyArn::parse(arn).expect("an ARN"))
}

async fn double() -> (KmsDouble, String, KmsWrappingKey) {
    let double = KmsDouble::start().expect("a double");
    let arn = double.create_key(KeySpec::SymmetricDefault);
    let key = key(&double, &arn).await;
    (double, arn, key)
}

fn detail<T: std::fmt::Debug>(answer: Result<T, WrappingError>) -> String {
    match answer.expect_err("refused") {
        WrappingError::Refused { detail } => detail,
        other @ WrappingError::Unavailable { .. } => panic!("it would be asked again: {other}"),
    }
}

fn count(double: &KmsDouble, operation: &str) -> usize {
    double.asked().iter().filter(|asked| asked.operation == operation).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn opens_what_it_wrapped_for_the_same_purpose_and_nothing_else() {
    let (double, arn, wrapping) = double().await;
    assert_eq!(wrapping.name(), format!("kms:{arn}"));
    let wrapped = wrapping.wrap(WrappingPurpose::Responders, SECRET).await.expect("wrapped");
    assert!(!wrapped.windows(8).any(|part| part == &SECRET[..8]));
    assert_eq!(wrapping.unwrap(WrappingPurpose::Responders, &wrapped).await.expect("opened").as_slice(), SECRET);
    let said = detail(wrapping.unwrap(WrappingPurpose::Authorities, &wrapped).await);
    assert!(said.contains("for another purpose than `authorities`"), "{said}");
    let mut changed = wrapped.clone();
    *changed.last_mut().expect("octets") ^= 1;
    assert!(detail(wrapping.unwrap(WrappingPurpose::Responders, &changed).await).contains("or was changed"));
    let other = key(&double, &double.create_key(KeySpec::SymmetricDefault)).await;
    let said = detail(other.unwrap(WrappingPurpose::Responders, &wrapped).await);
    assert!(said.contains("wrapped by another key"), "{said}");
    // The key was rotated: what was wrapped before still opens.
    double.ask("RotateKeyOnDemand", serde_json::json!({ "KeyId": arn })).expect("rotated");
    assert_eq!(wrapping.unwrap(WrappingPurpose::Responders, &wrapped).await.expect("opened").as_slice(), SECRET);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_tried_again_and_not_for_ever() {
    let (double, _, wrapping) = double().await;
    let wrapped = wrapping.wrap(WrappingPurpose::RootKey, SECRET).await.expect("wrapped");
    let passing =
        [Fault::Refuse(400, "ThrottlingException"), Fault::Refuse(500, "KMSInternalException"), Fault::LoseAnswer];
    double.fail("Decrypt", passing);
    assert!(wrapping.unwrap(WrappingPurpose::RootKey, &wrapped).await.is_ok());
    assert_eq!(count(&double, "Decrypt"), 4);

    let hasty = wrapping.with_patience(Duration::from_millis(600));
    double.fail("Decrypt", [Fault::Refuse(503, "DependencyTimeoutException"); 50]);
    let error = hasty.unwrap(WrappingPurpose::RootKey, &wrapped).await.expect_err("it ends");
    assert!(matches!(error, WrappingError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("sa-east-1"), "{error}");
    assert!(count(&double, "Decrypt") < 10, "with pauses");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_says_what_helps_and_is_not_tried_again() {
    let (double, arn, wrapping) = double().await;
    let wrapped = wrapping.wrap(WrappingPurpose::Authorities, SECRET).await.expect("wrapped");
    let unwrap = || wrapping.unwrap(WrappingPurpose::Authorities, &wrapped);
    for (state, help) in [
        (KeyState::Disabled, format!("aws kms enable-key --key-id {arn}")),
        (KeyState::PendingDeletion, format!("aws kms cancel-key-deletion --key-id {arn}")),
    ] {
        double.set_state(&arn, state);
        let said = detail(unwrap().await);
        assert!(said.contains(&help), "{said}");
    }
    double.set_state(&arn, KeyState::Enabled);
    for (code, help) in [
        ("AccessDeniedException", "needs kms:Decrypt for that key"),
        ("AccessDeniedException", "`cartorio-ca` = `authorities`"),
        ("ExpiredTokenException", "the credentials of this host are wrong or have expired"),
        ("SomethingNew", "see what AWS says of it"),
    ] {
        let asked = count(&double, "Decrypt");
        double.fail("Decrypt", [Fault::Refuse(400, code)]);
        let said = detail(unwrap().await);
        assert!(said.contains(help) && said.contains(code) && said.contains(&arn), "{said}");
        assert_eq!(count(&double, "Decrypt"), asked + 1);
    }
    let elsewhere = key(&double, &arn.replace("sa-east-1", "eu-west-1")).await;
    let said = detail(elsewhere.wrap(WrappingPurpose::Authorities, SECRET).await);
    assert!(said.contains("the key is in eu-west-1, and aws.endpoint_url leads elsewhere"), "{said}");
    let gone = key(&double, "arn:aws:kms:sa-east-1:111122223333:key/no-such-key").await;
    let said = detail(gone.wrap(WrappingPurpose::Authorities, SECRET).await);
    assert!(said.contains("no such key in sa-east-1"), "{said}");
    let signing = key(&double, &double.create_key(KeySpec::EccNistP256)).await;
    let said = detail(signing.wrap(WrappingPurpose::Authorities, SECRET).await);
    assert!(said.contains("name a symmetric one"), "{said}");
}
