//! The contract of targets at a double of Secrets Manager and at moto; every step cut off; and what is told when AWS refuses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ca_core::certificate::Certificate;
use ca_engine::fake::contract::certificate_target::{Material, TargetUnderTest, check_certificate_target};
use ca_test_doubles::{Fault, SecretsManagerDouble};
use ca_test_services::MotoServer;
use serde_json::json;

use super::*;
use crate::aws::AwsAccess;

const SECRET: &str = "tls/gateway";
const KEY: &str = "arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-000000000001";

fn plan() -> SecretPlan {
    SecretPlan {
        name: SECRET.to_owned(),
        is_made: true,
        layout: SecretLayout::Json,
        kms_key: None,
        tags: BTreeMap::new(),
        replicas: BTreeMap::new(),
    }
}

/// Nothing here depends on how soon a busy machine answers.
async fn service(endpoint_url: &str) -> SecretsManager {
    SecretsManager::with_attempts_of(&AwsAccess::of_tests(endpoint_url).await, Duration::from_secs(60))
}

async fn of_double(plan: SecretPlan) -> (SecretsManagerDouble, SecretsManagerTarget) {
    let double = SecretsManagerDouble::start().expect("a double");
    let target = SecretsManagerTarget::new(service(&double.endpoint_url()).await, plan);
    (double, target)
}

/// What a whole rotation of a new secret asks for.
const OPERATIONS: [&str; 5] =
    ["DescribeSecret", "CreateSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"];

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_in_both_layouts() {
    for layout in [SecretLayout::Json, SecretLayout::Pem] {
        check_certificate_target(|| async move {
            let double = Arc::new(SecretsManagerDouble::start().expect("a double"));
            let service = service(&double.endpoint_url()).await;
            under_test(service, SecretPlan { layout, ..plan() }, double)
        })
        .await;
    }
}

/// moto, which others wrote: that the double is not judged by itself.
#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_at_moto() {
    let moto = Arc::new(MotoServer::start().expect("moto"));
    let service = service(&moto.endpoint_url()).await;
    let number = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    check_certificate_target(|| {
        let (service, moto) = (service.clone(), Arc::clone(&moto));
        let name = format!("tls/{}", number.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        async move { under_test(service, SecretPlan { name, ..plan() }, moto) }
    })
    .await;
}

fn under_test<K: Send + Sync + 'static>(service: SecretsManager, plan: SecretPlan, keep: Arc<K>) -> TargetUnderTest {
    let target = Arc::new(SecretsManagerTarget::new(service.clone(), plan.clone()));
    TargetUnderTest {
        target,
        another: Arc::new(move || {
            let (service, plan, keep) = (service.clone(), plan.clone(), Arc::clone(&keep));
            Box::pin(async move {
                let _keep = keep;
                Arc::new(SecretsManagerTarget::new(service, plan)) as Arc<dyn CertificateTarget>
            })
        }),
    }
}

/// Whoever reads the secret gets key and certificate of one rotation, or, before the first, none.
fn check_readers(double: &SecretsManagerDouble, expected: &[&Material]) {
    let Some(value) = double.text(SECRET, "AWSCURRENT") else { return };
    let Ok(held) = content::read_certificate(RotationId::from_bytes([0; 16]), &value) else {
        assert!(!value.contains("PRIVATE KEY"), "a key without its certificate is current");
        return;
    };
    let certificate = Certificate::from_der(&held.certificate).expect("a certificate");
    assert_eq!(certificate.public_key().spki_sha256(), held.key_spki_sha256, "no pair is current");
    assert!(expected.iter().any(|material| material.certificate == held.certificate), "neither of the two is current");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_cut_off_at_any_call_is_gone_on_with_and_readers_see_pairs_only() {
    let (first, second) = (Material::one(1), Material::two(2));
    // A code that is not tried again, so that the step fails: before it is done, and after.
    let faults = ["before", "after"].map(|when| match when {
        "before" => Fault::Refuse(400, "SaidByTheTest"),
        _ => Fault::RefuseAfterwards(400, "SaidByTheTest"),
    });
    let mut cut_off_in_all = 0;
    for (operation, fault, is_first) in OPERATIONS
        .into_iter()
        .flat_map(|operation| faults.map(|fault| (operation, fault)))
        .flat_map(|(operation, fault)| [(operation, fault, true), (operation, fault, false)])
    {
        for nth in 0.. {
            let (double, target) = of_double(plan()).await;
            if !is_first {
                first.rotate(&target).await.expect("rotates");
            }
            double.fail_later(operation, nth, [fault]);
            let done = second.rotate(&target).await;
            check_readers(&double, &[&first, &second]);
            if double.asked().iter().all(|asked| asked.failed.as_deref() != Some("SaidByTheTest")) {
                // There is no such call.
                break;
            }
            if done.is_err() {
                second.rotate(&target).await.expect("goes on");
                check_readers(&double, &[&second]);
                cut_off_in_all += 1;
            }
            let before = (!is_first).then(|| first.held());
            assert_eq!(target.look(TargetPlace::Current).await, Ok(Some(second.held())), "{operation} {fault:?} {nth}");
            assert_eq!(target.look(TargetPlace::Previous).await, Ok(before), "{operation} {fault:?} {nth}");
            assert_eq!(target.look(TargetPlace::Pending).await, Ok(None), "{operation} {fault:?} {nth}");
            assert_eq!(target.staged().await, Ok(None), "{operation} {fault:?} {nth}");
        }
    }
    assert!(cut_off_in_all > 40, "{cut_off_in_all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_asked_for_again() {
    let (double, target) = of_double(plan()).await;
    for operation in ["CreateSecret", "PutSecretValue", "UpdateSecretVersionStage"] {
        double.fail(operation, [Fault::LoseAnswer, Fault::Refuse(400, "ThrottlingException")]);
    }
    Material::one(1).rotate(&target).await.expect("rotates");
    assert_eq!(target.look(TargetPlace::Current).await, Ok(Some(Material::one(1).held())));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_get_what_the_layout_says() {
    for (layout, material) in [(SecretLayout::Json, Material::one(1)), (SecretLayout::Pem, Material::two(1))] {
        let (double, target) = of_double(SecretPlan { layout, ..plan() }).await;
        target.stage(&material.staged, &material.key).await.expect("staged");
        let empty = double.text(SECRET, "AWSCURRENT").expect("a value");
        assert!(!empty.contains("PRIVATE KEY"), "the key alone is seen by nobody who reads the secret: {empty}");
        material.rotate(&target).await.expect("rotates");
        let value = double.text(SECRET, "AWSCURRENT").expect("a value");
        let certificate = Certificate::from_der(&material.certificate).expect("a certificate");
        if layout == SecretLayout::Pem {
            assert!(value.starts_with("-----BEGIN PRIVATE KEY-----"), "key first");
            assert!(value.contains(&certificate.to_pem()));
            continue;
        }
        let value: serde_json::Value = serde_json::from_str(&value).expect("JSON");
        assert_eq!(value["certificate"], certificate.to_pem());
        assert_eq!(value["serial"], certificate.serial().to_string());
        assert_eq!(value["not_after"], certificate.validity().not_after.to_rfc3339());
        assert!(value["private_key"].as_str().expect("a text").contains("BEGIN PRIVATE KEY"));
        assert!(value["chain"].as_str().expect("a text").contains("BEGIN CERTIFICATE"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_gets_its_key_tags_and_replicas_and_keeps_those_of_others() {
    let (double, target) = of_double(SecretPlan {
        kms_key: Some(KEY.to_owned()),
        tags: BTreeMap::from([("team".to_owned(), "edge".to_owned())]),
        replicas: BTreeMap::from([("us-east-1".to_owned(), None)]),
        ..plan()
    })
    .await;
    double.know_key(KEY);
    double
        .ask(
            "CreateSecret",
            json!({
                "Name": SECRET,
                "ClientRequestToken": content::EMPTY,
                "SecretString": plan::empty_value(),
                "Tags": [{"Key": "theirs", "Value": "1"}],
            }),
        )
        .expect("made by somebody");
    for number in 1..=2 {
        Material::one(number).rotate(&target).await.expect("rotates");
    }
    let described = double.ask("DescribeSecret", json!({"SecretId": SECRET})).expect("described");
    assert_eq!(described["KmsKeyId"], KEY);
    assert_eq!(described["Tags"].as_array().map(Vec::len), Some(2), "{described}");
    assert_eq!(described["ReplicationStatus"][0]["Region"], "us-east-1");
    for operation in ["UpdateSecret", "TagResource", "ReplicateSecretToRegions"] {
        assert_eq!(double.count(operation).0, 1, "{operation}: what it has is not given again");
    }
    assert_eq!(double.count("CreateSecret").0, 0);
}

async fn told(target: &SecretsManagerTarget) -> String {
    match Material::one(1).rotate(target).await {
        Err(TargetError::Refused { detail } | TargetError::Foreign { detail }) => detail,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_refuses_is_told_with_what_would_be_right() {
    let (_double, target) = of_double(SecretPlan { is_made: false, ..plan() }).await;
    assert!(told(&target).await.contains("there is no secret tls/gateway"));

    let (double, target) = of_double(plan()).await;
    double.deny("PutSecretValue");
    let said = told(&target).await;
    assert!(said.contains("AccessDeniedException") && said.contains("needs secretsmanager:PutSecretValue"), "{said}");

    let (double, target) = of_double(SecretPlan { kms_key: Some(KEY.to_owned()), ..plan() }).await;
    let said = told(&target).await;
    assert!(said.contains("EncryptionFailure") && said.contains("kms_key"), "{said}");
    assert_eq!(double.text(SECRET, "AWSCURRENT"), None, "nothing was made");

    let (double, target) = of_double(plan()).await;
    Material::one(9).rotate(&target).await.expect("rotates");
    double.ask("DeleteSecret", json!({"SecretId": SECRET})).expect("scheduled");
    assert!(told(&target).await.contains("restore-secret --secret-id tls/gateway"));

    let (double, target) = of_double(plan()).await;
    double.set_credentials_expired(true);
    let said = told(&target).await;
    assert!(said.contains("ExpiredTokenException") && said.contains("renew them"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_is_told_and_left_alone() {
    let (double, target) = of_double(plan()).await;
    let theirs = json!({
        "Name": SECRET,
        "ClientRequestToken": "00000000-0000-4000-8000-000000000001",
        "SecretString": "hunter2",
    });
    double.ask("CreateSecret", theirs).expect("made by somebody");
    let looked = target.look(TargetPlace::Current).await;
    let Err(TargetError::Foreign { detail }) = looked else { panic!("{looked:?}") };
    assert!(detail.contains("somebody else wrote it") && !detail.contains("hunter2"), "{detail}");

    // Changed by hand after a rotation: the next one is told so, too.
    let (double, target) = of_double(plan()).await;
    Material::one(1).rotate(&target).await.expect("rotates");
    double
        .ask(
            "PutSecretValue",
            json!({
                "SecretId": SECRET,
                "ClientRequestToken": "00000000-0000-4000-8000-000000000002",
                "SecretString": "by hand",
            }),
        )
        .expect("put by somebody");
    assert!(matches!(target.look(TargetPlace::Current).await, Err(TargetError::Foreign { .. })));
    // Whoever decides to rotate all the same puts it right, and what was there is the previous version.
    Material::two(2).rotate(&target).await.expect("rotates");
    assert_eq!(target.look(TargetPlace::Current).await, Ok(Some(Material::two(2).held())));
    assert_eq!(double.text(SECRET, "AWSPREVIOUS").as_deref(), Some("by hand"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_for_a_secret_is_refused_before_it_is_sent() {
    let (double, target) = of_double(plan()).await;
    let material = Material::one(1);
    target.stage(&material.staged, &material.key).await.expect("staged");
    let chain: Vec<Vec<u8>> = std::iter::repeat_n(material.chain[0].clone(), 400).collect();
    let before = double.count("PutSecretValue").0;
    let refused = target.deliver(material.staged.rotation, &material.certificate, &chain).await;
    let Err(TargetError::Refused { detail }) = refused else { panic!("{refused:?}") };
    assert!(detail.contains("65536"), "{detail}");
    assert_eq!(double.count("PutSecretValue").0, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_told_or_shown_has_the_key() {
    let (double, target) = of_double(plan()).await;
    let material = Material::one(1);
    let secret_part = hex::encode(&material.key.as_pkcs8()[40..60]);
    double.fail("PutSecretValue", [Fault::Refuse(400, "InvalidParameterException")]);
    let shown = format!("{:?} {:?}", target.stage(&material.staged, &material.key).await, material.key);
    assert!(!shown.contains(&secret_part) && !shown.contains("BEGIN PRIVATE KEY"), "{shown}");
}
