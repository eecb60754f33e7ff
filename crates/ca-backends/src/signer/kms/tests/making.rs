//! Keys that KMS makes: one and no more, whatever becomes of the calls and of who makes them.

use std::time::Duration;

use ca_core::key::KeyType;
use serde_json::{Value, json};

use super::*;
use crate::aws::{KeyPolicy, KmsKeyOrder, PrincipalArn};

/// A short while in place of the time in which KMS may not list a key yet.
const SHORTLY: Duration = Duration::from_millis(200);
/// As if nobody had asked for longer than that.
const LONG_AGO: Option<Duration> = Some(Duration::from_secs(3_600));

/// A process that makes keys. Attempts end soon: some faults are silence.
async fn maker(double: &KmsDouble) -> KmsKeys {
    let access = AwsAccess::of_tests(&double.endpoint_url()).await;
    KmsKeys::new(access, USUAL_QUOTA).with_attempts_of(Duration::from_secs(1)).settling_within(SHORTLY)
}

fn order() -> KmsKeyOrder {
    KmsKeyOrder {
        region: "sa-east-1".to_owned(),
        creation: "0f1e2d3c".to_owned(),
        authority: "tls".to_owned(),
        key_type: KeyType::P384,
        description: "Certificate authority tls".to_owned(),
        policy: None,
    }
}

fn made(double: &KmsDouble) -> Vec<String> {
    double.with(|kms| kms.arns())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_as_it_was_ordered() {
    let double = KmsDouble::start().expect("a double");
    let keys = maker(&double).await;
    let signer = PrincipalArn::parse("arn:aws:iam::111122223333:role/ca").expect("a role");
    let policy = KeyPolicy::new(vec![signer], Vec::new()).expect("a policy").to_json(KeyType::P384);
    keys.may_look_for_keys("sa-east-1").await.expect("the way is open");
    let key = keys.make(&KmsKeyOrder { policy: Some(policy.clone()), ..order() }, None).await.expect("made");
    assert_eq!(made(&double), [key.as_str()]);
    assert_eq!(double.count("ListKeys").0, 1, "what was never asked for is not looked for");
    let described = double.ask("DescribeKey", json!({"KeyId": key.as_str()})).expect("described");
    let metadata = &described["KeyMetadata"];
    assert_eq!((&metadata["KeySpec"], &metadata["KeyUsage"]), (&json!("ECC_NIST_P384"), &json!("SIGN_VERIFY")));
    assert_eq!(
        (&metadata["MultiRegion"], &metadata["Description"]),
        (&json!(false), &json!("Certificate authority tls"))
    );
    let tags = double.ask("ListResourceTags", json!({"KeyId": key.as_str()})).expect("tags");
    let tag = |name: &str, value: &str| json!({"TagKey": name, "TagValue": value});
    assert_eq!(tags["Tags"], json!([tag("cartorio-ca:authority", "tls"), tag("cartorio-ca:creation", "0f1e2d3c")]));
    let kept = double.ask("GetKeyPolicy", json!({"KeyId": key.as_str()})).expect("a policy");
    let read = |text: &Value| serde_json::from_str::<Value>(text.as_str().expect("a text")).expect("JSON");
    assert_eq!(read(&kept["Policy"]), read(&json!(policy)));
    // That policy lets the role sign by the one algorithm.
    let signer = keys.open_made(&key).await.expect("it signs");
    signer.sign(&message(1)).await.expect("signed");
}

const FAULTS: [Fault; 6] = [
    Fault::Refuse(500, "KMSInternalException"),
    Fault::RefuseAfterwards(500, "KMSInternalException"),
    Fault::Refuse(400, "ThrottlingException"),
    Fault::LoseAnswer,
    Fault::Silence,
    Fault::SilenceAfterwards,
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_a_call_one_key_is_made() {
    let mut cases = tokio::task::JoinSet::new();
    for operation in ["CreateKey", "ListKeys", "ListResourceTags", "DescribeKey", "GetPublicKey", "Sign"] {
        cases.spawn(async move {
            for fault in FAULTS {
                let double = KmsDouble::start().expect("a double");
                let keys = maker(&double).await;
                // Calls that look for a key are made when there was no answer.
                if matches!(operation, "ListKeys" | "ListResourceTags" | "DescribeKey") {
                    double.fail("CreateKey", [Fault::LoseAnswer]);
                }
                double.fail(operation, [fault]);
                let key =
                    keys.make(&order(), None).await.unwrap_or_else(|error| panic!("{operation} {fault:?}: {error}"));
                keys.open_made(&key).await.unwrap_or_else(|error| panic!("{operation} {fault:?}: {error}"));
                assert_eq!(made(&double), [key.as_str()], "{operation} {fault:?}");
                let met = double
                    .asked()
                    .iter()
                    .filter(|asked| asked.operation == operation && asked.failed.is_some())
                    .count();
                assert!(met > 0, "{operation} {fault:?} was not met");
            }
        });
    }
    cases.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_on_where_another_was_cut_off_makes_no_second_key() {
    for fault in FAULTS {
        let double = KmsDouble::start().expect("a double");
        double.fail("CreateKey", [fault; 3]);
        double.deny("ListKeys");
        maker(&double)
            .await
            .make(&order(), None)
            .await
            .expect_err("it was not answered, and nothing could be looked for");
        double.mend();
        double.allow("ListKeys");
        let was_done = made(&double);
        let key = maker(&double).await.make(&order(), LONG_AGO).await.expect("made or found");
        assert_eq!(made(&double), [key.as_str()], "{fault:?}");
        assert!(was_done.is_empty() || was_done == [key.as_str()], "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_listed_yet_is_waited_for() {
    let double = KmsDouble::start().expect("a double");
    for _ in 0..3 {
        double.create_key(KeySpec::EccNistP256);
    }
    double.with(|kms| kms.set_listing_lag(3));
    double.fail("CreateKey", [Fault::LoseAnswer]);
    let keys = maker(&double).await.settling_within(Duration::from_secs(60));
    keys.make(&order(), None).await.expect("found");
    assert_eq!((double.count("CreateKey").0, made(&double).len()), (1, 4));
    // One that is to be deleted is none.
    let gone = made(&double).pop().expect("the newest");
    double.set_state(&gone, KeyState::PendingDeletion);
    double.with(|kms| kms.set_listing_lag(0));
    let another = maker(&double).await.make(&order(), LONG_AGO).await.expect("made");
    assert_ne!(another.as_str(), gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_and_nothing_is_made() {
    for (prepare, code, remedy) in [
        ((|double| double.deny("CreateKey")) as fn(&KmsDouble), "AccessDeniedException", "kms:TagResource"),
        (|double| double.with(|kms| kms.set_key_limit(Some(0))), "LimitExceededException", "Service Quotas"),
        (|double| double.set_credentials_expired(true), "ExpiredTokenException", "renew them"),
    ] {
        let double = KmsDouble::start().expect("a double");
        prepare(&double);
        let error = maker(&double).await.make(&order(), None).await.expect_err(code).to_string();
        for part in ["KMS in sa-east-1", "CreateKey is refused", code, remedy] {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
        assert_eq!((double.count("CreateKey").0, made(&double).len()), (1, 0));
    }
    let double = KmsDouble::start().expect("a double");
    let keys = maker(&double).await;
    let lockout = r#"{"Version": "2012-10-17", "Statement": []}"#.to_owned();
    let error = keys.make(&KmsKeyOrder { policy: Some(lockout), ..order() }, None).await.expect_err("a lock-out");
    assert!(error.to_string().contains("`aws.kms.administrators`"), "{error}");
    let elsewhere = KmsKeyOrder { region: "eu-west-1".to_owned(), ..order() };
    let error = keys.make(&elsewhere, None).await.expect_err("another region");
    assert!(error.to_string().contains("`aws.region`"), "{error}");
    double.deny("ListKeys");
    let error = keys.may_look_for_keys("sa-east-1").await.expect_err("denied");
    assert!(error.to_string().contains("kms:ListKeys"), "{error}");
    assert_eq!(made(&double).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_apart_makes_no_second_key() {
    let double = KmsDouble::start().expect("a double");
    double.create_key(KeySpec::EccNistP256);
    // Whether one of them is the key that was asked for, nobody can say who may not see the tags.
    double.deny("ListResourceTags");
    let error = maker(&double).await.make(&order(), LONG_AGO).await.expect_err("not known").to_string();
    assert!(
        error.contains("it is not known whether the key of `tls` was made") && error.contains("kms:ListResourceTags")
    );
    double.allow("ListResourceTags");
    assert_eq!(double.count("CreateKey").0, 0);
    // Two of one making: somebody has to choose.
    let keys = maker(&double).await;
    let (one, another) =
        (keys.make(&order(), None).await.expect("made"), keys.make(&order(), None).await.expect("made"));
    let error = keys.make(&order(), LONG_AGO).await.expect_err("two").to_string();
    assert!(error.contains(one.as_str()) && error.contains(another.as_str()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_keeps_the_maker_from_signing_is_told() {
    let double = KmsDouble::start().expect("a double");
    let keys = maker(&double).await;
    let other = PrincipalArn::parse("arn:aws:iam::111122223333:role/other").expect("a role");
    let policy = KeyPolicy::new(vec![other], Vec::new()).expect("a policy").to_json(KeyType::P384);
    let key = keys.make(&KmsKeyOrder { policy: Some(policy), ..order() }, None).await.expect("made");
    let error = keys.open_made(&key).await.expect_err("it does not sign for this role");
    assert!(error.to_string().contains("AccessDeniedException"), "{error}");
}
