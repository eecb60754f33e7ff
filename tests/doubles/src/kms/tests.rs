//! What emulators let pass and AWS does not, asked without a wire.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::*;

fn code(answer: Result<Value, AwsError>) -> &'static str {
    answer.expect_err("refused").code
}

fn octets(answer: &Value, name: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(answer[name].as_str().expect("a text")).expect("base64")
}

fn sign(arn: &str, message: &[u8], message_type: &str, algorithm: &str) -> Value {
    json!({
        "KeyId": arn,
        "Message": BASE64_STANDARD.encode(message),
        "MessageType": message_type,
        "SigningAlgorithm": algorithm,
    })
}

#[test]
fn a_digest_is_signed_as_it_is_and_a_message_is_hashed() {
    let kms = KmsDouble::start().expect("a double");
    let arn = kms.create_key(KeySpec::EccNistP256);
    let public_key = octets(&kms.ask("GetPublicKey", json!({"KeyId": arn})).expect("public"), "PublicKey");
    let hash = digest(&SHA256, b"message");
    for (message, message_type) in [(&b"message"[..], "RAW"), (hash.as_ref(), "DIGEST")] {
        let answer = kms.ask("Sign", sign(&arn, message, message_type, "ECDSA_SHA_256")).expect("signed");
        assert_eq!(answer["KeyId"], json!(arn));
        let algorithm: &'static dyn VerificationAlgorithm = &ECDSA_P256_SHA256_ASN1;
        // The last 65 octets of the SubjectPublicKeyInfo are the point.
        let point = &public_key[public_key.len() - 65..];
        let verified = UnparsedPublicKey::new(algorithm, point).verify(b"message", &octets(&answer, "Signature"));
        assert!(verified.is_ok(), "{message_type}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let kms = KmsDouble::start().expect("a double");
    let arn = kms.create_key(KeySpec::EccNistP256);
    let refused = |message: &[u8], message_type: &str, algorithm: &str| {
        code(kms.ask("Sign", sign(&arn, message, message_type, algorithm)))
    };
    assert_eq!(refused(&[7; 4_097], "RAW", "ECDSA_SHA_256"), "ValidationException");
    assert_eq!(refused(&[], "RAW", "ECDSA_SHA_256"), "ValidationException");
    assert_eq!(refused(&[7; 31], "DIGEST", "ECDSA_SHA_256"), "ValidationException");
    assert_eq!(refused(&[7; 64], "EXTERNAL_MU", "ECDSA_SHA_256"), "ValidationException");
    assert_eq!(refused(&[7; 48], "DIGEST", "ECDSA_SHA_384"), "InvalidKeyUsageException");
    assert_eq!(refused(&[7; 32], "DIGEST", "RSASSA_PSS_SHA_256"), "InvalidKeyUsageException");
    assert_eq!(refused(&[7; 32], "DIGEST", "ECDSA_SHA_1"), "ValidationException");
    let dry = json!({"DryRun": true, "KeyId": arn, "Message": "Bw==", "SigningAlgorithm": "ECDSA_SHA_256"});
    assert_eq!(code(kms.ask("Sign", dry)), "DryRunOperationException");
    let symmetric = kms.create_key(KeySpec::SymmetricDefault);
    assert_eq!(code(kms.ask("Sign", sign(&symmetric, b"x", "RAW", "ECDSA_SHA_256"))), "InvalidKeyUsageException");
    assert_eq!(code(kms.ask("GetPublicKey", json!({"KeyId": symmetric}))), "UnsupportedOperationException");
    for arn in [
        "arn:aws:kms:sa-east-1:111122223333:key/no-such-key",
        "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-000000000001",
        "alias/no-such-alias",
    ] {
        assert_eq!(code(kms.ask("DescribeKey", json!({"KeyId": arn}))), "NotFoundException", "{arn}");
    }
}

#[test]
fn states_are_those_of_the_developer_guide() {
    let kms = KmsDouble::start().expect("a double");
    let arn = kms.create_key(KeySpec::EccNistP256);
    let key = || json!({"KeyId": arn});
    let try_sign = || kms.ask("Sign", sign(&arn, b"x", "RAW", "ECDSA_SHA_256"));
    let state = || kms.ask("DescribeKey", key()).expect("described")["KeyMetadata"]["KeyState"].clone();
    kms.ask("DisableKey", key()).expect("disabled");
    assert_eq!(code(try_sign()), "DisabledException");
    assert_eq!(code(kms.ask("GetPublicKey", key())), "DisabledException");
    assert_eq!(state(), "Disabled");
    kms.ask("ScheduleKeyDeletion", key()).expect("scheduled");
    assert_eq!(code(try_sign()), "KMSInvalidStateException");
    assert_eq!(code(kms.ask("EnableKey", key())), "KMSInvalidStateException");
    assert_eq!(state(), "PendingDeletion");
    kms.ask("CancelKeyDeletion", key()).expect("canceled");
    assert_eq!((state(), code(try_sign())), (json!("Disabled"), "DisabledException"));
    assert_eq!(code(kms.ask("CancelKeyDeletion", key())), "KMSInvalidStateException");
    kms.ask("EnableKey", key()).expect("enabled");
    assert!(try_sign().is_ok());
}

#[test]
fn what_is_sealed_opens_under_its_own_context_alone_and_after_a_rotation() {
    let kms = KmsDouble::start().expect("a double");
    let arn = kms.create_key(KeySpec::SymmetricDefault);
    let context = json!({"purpose": "tests"});
    let sealed = kms
        .ask("Encrypt", json!({"KeyId": arn, "Plaintext": BASE64_STANDARD.encode("x"), "EncryptionContext": context}))
        .expect("sealed");
    let blob = sealed["CiphertextBlob"].clone();
    let open = |context: &Value| kms.ask("Decrypt", json!({"CiphertextBlob": blob, "EncryptionContext": context}));
    assert_eq!(octets(&open(&context).expect("opened"), "Plaintext"), b"x");
    assert_eq!(code(open(&json!({"purpose": "other"}))), "InvalidCiphertextException");
    let other = kms.create_key(KeySpec::SymmetricDefault);
    let of_other = json!({"KeyId": other, "CiphertextBlob": blob, "EncryptionContext": context});
    assert_eq!(code(kms.ask("Decrypt", of_other)), "IncorrectKeyException");
    kms.ask("RotateKeyOnDemand", json!({"KeyId": arn})).expect("rotated");
    assert_eq!(octets(&open(&context).expect("opened"), "Plaintext"), b"x");
    let again = kms
        .ask(
            "ReEncrypt",
            json!({
                "CiphertextBlob": blob,
                "SourceEncryptionContext": context,
                "DestinationKeyId": other,
                "DestinationEncryptionContext": {"purpose": "other"},
            }),
        )
        .expect("sealed again");
    assert_eq!(again["KeyId"], json!(other));
    let opened = kms
        .ask("Decrypt", json!({"CiphertextBlob": again["CiphertextBlob"], "EncryptionContext": {"purpose": "other"}}));
    assert_eq!(octets(&opened.expect("opened"), "Plaintext"), b"x");
    kms.set_state(&arn, KeyState::Disabled);
    assert_eq!(code(open(&context)), "DisabledException");
}

#[test]
fn an_alias_leads_to_another_key_when_it_is_moved() {
    let kms = KmsDouble::start().expect("a double");
    let (first, second) = (kms.create_key(KeySpec::EccNistP256), kms.create_key(KeySpec::EccNistP256));
    let alias = |target: &str| json!({"AliasName": "alias/tls", "TargetKeyId": target});
    kms.ask("CreateAlias", alias(&first)).expect("made");
    assert_eq!(code(kms.ask("CreateAlias", alias(&second))), "AlreadyExistsException");
    let signed_by =
        || kms.ask("Sign", sign("alias/tls", b"x", "RAW", "ECDSA_SHA_256")).expect("signed")["KeyId"].clone();
    assert_eq!(signed_by(), json!(first));
    kms.ask("UpdateAlias", alias(&second)).expect("moved");
    assert_eq!(signed_by(), json!(second));
}

#[test]
fn a_key_is_found_by_its_tags_once_it_is_listed() {
    let kms = KmsDouble::start().expect("a double");
    kms.create_key(KeySpec::EccNistP256);
    kms.with(|kms| kms.set_listing_lag(1));
    let tags = json!([{"TagKey": "of", "TagValue": "tests"}]);
    let make = json!({"KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY", "Tags": tags});
    let arn = kms.ask("CreateKey", make).expect("made")["KeyMetadata"]["Arn"].clone();
    let listed = || kms.ask("ListKeys", json!({})).expect("listed")["Keys"].as_array().map(Vec::len);
    assert_eq!((listed(), listed()), (Some(1), Some(2)));
    assert_eq!(kms.ask("ListResourceTags", json!({"KeyId": arn})).expect("tags")["Tags"], tags);
    let first = kms.ask("ListKeys", json!({"Limit": 1})).expect("a page");
    assert_eq!((&first["Truncated"], first["Keys"].as_array().map(Vec::len)), (&json!(true), Some(1)));
    let second = kms.ask("ListKeys", json!({"Limit": 1, "Marker": first["NextMarker"]})).expect("a page");
    assert_eq!((&second["Truncated"], &second["Keys"][0]["KeyArn"]), (&json!(false), &arn));
    assert_eq!(code(kms.ask("ListKeys", json!({"Limit": 0}))), "ValidationException");
}

#[test]
fn a_policy_decides_who_signs_and_may_lock_nobody_out() {
    let kms = KmsDouble::start().expect("a double");
    let make = |statements: Value| {
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        kms.ask("CreateKey", json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "Policy": policy}))
    };
    let to = |principal: &str, action: &str| {
        let principal = format!("arn:aws:iam::111122223333:{principal}");
        json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, "Resource": "*"})
    };
    let refused = |statements| code(make(statements));
    assert_eq!(refused(json!([to("role/ca", "kms:Sign")])), "MalformedPolicyDocumentException");
    assert_eq!(refused(json!([to("role/others", "kms:PutKeyPolicy")])), "MalformedPolicyDocumentException");
    let mut only_one = to("role/ca", "kms:Sign");
    only_one["Condition"] = json!({"StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256"}});
    for (statements, signs) in [
        (json!([to("root", "kms:*")]), true),
        (json!([to("root", "kms:PutKeyPolicy"), to("role/others", "kms:Sign")]), false),
        (json!([to("root", "kms:PutKeyPolicy"), only_one]), true),
    ] {
        let made = make(statements.clone()).expect("made");
        let arn = made["KeyMetadata"]["Arn"].as_str().expect("an ARN");
        let answer = kms.ask("Sign", sign(arn, &[7; 32], "DIGEST", "ECDSA_SHA_256"));
        assert_eq!(
            answer.as_ref().err().map(|error| error.code),
            (!signs).then_some("AccessDeniedException"),
            "{statements}"
        );
    }
    kms.with(|kms| kms.set_key_limit(Some(3)));
    assert_eq!(refused(json!([to("root", "kms:*")])), "LimitExceededException");
}
