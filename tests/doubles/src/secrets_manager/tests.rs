//! What emulators let pass and AWS does not, asked without a wire.

use serde_json::{Value, json};

use super::*;

const FIRST: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";

fn code(answer: Result<Value, AwsError>) -> &'static str {
    answer.expect_err("refused").code
}

fn put(double: &SecretsManagerDouble, token: &str, text: &str, stages: &[&str]) -> Result<Value, AwsError> {
    double.ask(
        "PutSecretValue",
        json!({"SecretId": "tls/web", "ClientRequestToken": token, "SecretString": text, "VersionStages": stages}),
    )
}

fn with_a_secret() -> SecretsManagerDouble {
    let double = SecretsManagerDouble::start().expect("a double");
    let made =
        double.ask("CreateSecret", json!({"Name": "tls/web", "ClientRequestToken": FIRST, "SecretString": "one"}));
    made.expect("made");
    double
}

#[test]
fn a_rotation_moves_the_labels_and_each_is_of_one_version() {
    let double = with_a_secret();
    put(&double, SECOND, "two", &["AWSPENDING"]).expect("put");
    assert_eq!(double.text("tls/web", "AWSCURRENT").as_deref(), Some("one"));
    assert_eq!(double.text("tls/web", "AWSPENDING").as_deref(), Some("two"));
    let promote = |from: Option<&str>| {
        double.ask(
            "UpdateSecretVersionStage",
            json!({
                "SecretId": "tls/web",
                "VersionStage": "AWSCURRENT",
                "MoveToVersionId": SECOND,
                "RemoveFromVersionId": from,
            }),
        )
    };
    assert_eq!(code(promote(None)), "InvalidParameterException");
    assert_eq!(code(promote(Some(SECOND))), "InvalidParameterException");
    promote(Some(FIRST)).expect("promoted");
    let labels = double.labels("tls/web");
    assert_eq!(labels[FIRST], ["AWSPREVIOUS"]);
    assert_eq!(labels[SECOND], ["AWSCURRENT", "AWSPENDING"]);
    // Back again: no version is both.
    double
        .ask(
            "UpdateSecretVersionStage",
            json!({
                "SecretId": "tls/web",
                "VersionStage": "AWSCURRENT",
                "MoveToVersionId": FIRST,
                "RemoveFromVersionId": SECOND,
            }),
        )
        .expect("back");
    assert_eq!(double.labels("tls/web")[FIRST], ["AWSCURRENT"]);
}

#[test]
fn a_token_is_of_one_content_for_ever() {
    let double = with_a_secret();
    put(&double, SECOND, "two", &["AWSPENDING"]).expect("put");
    put(&double, SECOND, "two", &["AWSPENDING"]).expect("the same again");
    assert_eq!(code(put(&double, SECOND, "three", &["AWSPENDING"])), "ResourceExistsException");
    assert_eq!(code(put(&double, "short", "two", &["AWSPENDING"])), "InvalidParameterException");
    let create = |text: &str| {
        double.ask("CreateSecret", json!({"Name": "tls/web", "ClientRequestToken": FIRST, "SecretString": text}))
    };
    assert_eq!(create("one").expect("the same again")["VersionId"], FIRST);
    assert_eq!(code(create("other")), "ResourceExistsException");
}

#[test]
fn a_value_is_bounded_and_either_text_or_octets() {
    let double = with_a_secret();
    put(&double, SECOND, &"x".repeat(65_536), &["AWSPENDING"]).expect("the largest");
    let third = "00000000-0000-4000-8000-000000000003";
    assert_eq!(code(put(&double, third, &"x".repeat(65_537), &["AWSPENDING"])), "ValidationException");
    let both = json!({
        "SecretId": "tls/web", "ClientRequestToken": third, "SecretString": "x", "SecretBinary": "eA==",
    });
    assert_eq!(code(double.ask("PutSecretValue", both)), "InvalidParameterException");
}

#[test]
fn a_key_that_nobody_made_encrypts_nothing() {
    let double = with_a_secret();
    let key = "arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-000000000001";
    let change = || double.ask("UpdateSecret", json!({"SecretId": "tls/web", "KmsKeyId": key}));
    assert_eq!(code(change()), "EncryptionFailure");
    double.know_key(key);
    change().expect("changed");
    let described = double.ask("DescribeSecret", json!({"SecretId": "tls/web"})).expect("described");
    assert_eq!(described["KmsKeyId"], key);
    double.with(|service| service.keys.clear());
    assert_eq!(code(put(&double, SECOND, "two", &["AWSPENDING"])), "EncryptionFailure");
    assert_eq!(code(double.ask("GetSecretValue", json!({"SecretId": "tls/web"}))), "DecryptionFailure");
}

#[test]
fn a_secret_that_is_to_be_deleted_is_not_used_and_can_be_restored() {
    let double = with_a_secret();
    let arn = double.ask("DescribeSecret", json!({"SecretId": "tls/web"})).expect("described")["ARN"].clone();
    double.ask("DeleteSecret", json!({"SecretId": arn})).expect("scheduled");
    assert_eq!(code(put(&double, SECOND, "two", &["AWSPENDING"])), "InvalidRequestException");
    assert_eq!(code(double.ask("GetSecretValue", json!({"SecretId": "tls/web"}))), "InvalidRequestException");
    let again = json!({"Name": "tls/web", "ClientRequestToken": SECOND, "SecretString": "two"});
    assert_eq!(code(double.ask("CreateSecret", again.clone())), "InvalidRequestException");
    double.ask("RestoreSecret", json!({"SecretId": "tls/web"})).expect("restored");
    assert_eq!(double.text("tls/web", "AWSCURRENT").as_deref(), Some("one"));
    double.ask("DeleteSecret", json!({"SecretId": "tls/web", "ForceDeleteWithoutRecovery": true})).expect("gone");
    assert_eq!(code(double.ask("GetSecretValue", json!({"SecretId": "tls/web"}))), "ResourceNotFoundException");
    let made = double.ask("CreateSecret", again).expect("made anew");
    assert_ne!(made["ARN"], arn);
}

#[test]
fn versions_without_a_label_go_when_they_are_many_and_a_day_old() {
    let double = with_a_secret();
    let token = |number: usize| format!("00000000-0000-4000-8000-{number:012}");
    let count = || {
        let all = double.ask("ListSecretVersionIds", json!({"SecretId": "tls/web", "IncludeDeprecated": true}));
        all.expect("listed")["Versions"].as_array().map_or(0, Vec::len)
    };
    for number in 2..=120 {
        put(&double, &token(number), &number.to_string(), &["AWSPENDING"]).expect("put");
    }
    assert_eq!(count(), 120);
    double.advance(86_400);
    put(&double, &token(121), "121", &["AWSPENDING"]).expect("put");
    assert_eq!(count(), 100);
    assert_eq!(double.text("tls/web", "AWSCURRENT").as_deref(), Some("one"));
}

#[test]
fn a_secret_is_found_by_its_name_and_its_arn_in_its_region_only() {
    let double = with_a_secret();
    let arn = "arn:aws:secretsmanager:sa-east-1:111122223333:secret:tls/web";
    for id in [arn.to_owned(), format!("{arn}-000001")] {
        double.ask("DescribeSecret", json!({"SecretId": id})).expect("found");
    }
    for (id, refused) in [
        (arn.replace("sa-east-1", "us-east-1"), "ValidationException"),
        (arn.replace("111122223333", "444455556666"), "AccessDeniedException"),
        (format!("{arn}-000002"), "ResourceNotFoundException"),
        ("tls/other".to_owned(), "ResourceNotFoundException"),
    ] {
        assert_eq!(code(double.ask("DescribeSecret", json!({"SecretId": id}))), refused, "{id}");
    }
}
