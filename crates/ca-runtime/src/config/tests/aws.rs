//! AWS, and the bucket that lists are put into.

use ca_core::key::KeyType;
use ca_core::time::Lifetime;
use ca_engine::port::store::KeyHome;

use crate::config::{KeyPlan, KmsQuotaConfig};

use super::{check, check_with, faults};

const KEY: &str = "arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

#[test]
fn a_bucket_is_all_that_lists_in_s3_take() {
    assert_eq!(check("").expect("no fault").s3, None);
    assert_eq!(check("[publish.s3]\nprefix = \"x\"").expect("no bucket").s3, None);
    let config = check("[publish.s3]\nbucket = \"pki-example-org\"\n[status]\nmax_age = \"9s\"").expect("no fault");
    let target = config.s3.expect("a bucket");
    assert_eq!((target.bucket.as_str(), target.prefix.as_str()), ("pki-example-org", "crl/"));
    assert_eq!((target.kms_key, target.max_age), (None, Lifetime::from_seconds(9)));
    assert_eq!((config.aws.region, config.aws.endpoint_url), (None, None));
}

#[test]
fn the_environment_overrides_what_the_file_says_of_aws() {
    let config = check_with(
        "[aws]\nregion = \"us-east-1\"\n[publish.s3]\nbucket = \"a-bucket\"",
        &[
            ("CA__AWS__REGION", "sa-east-1"),
            ("CA__AWS__ENDPOINT_URL", "http://127.0.0.1:5000/"),
            ("CA__PUBLISH__S3__BUCKET", "pki-example-org"),
            ("CA__PUBLISH__S3__PREFIX", ""),
            ("CA__PUBLISH__S3__KMS_KEY", KEY),
            ("CA__PUBLISH__S3__MAX_AGE", "1m"),
        ],
    )
    .expect("no fault");
    let target = config.s3.expect("a bucket");
    assert_eq!((target.bucket.as_str(), target.prefix.as_str()), ("pki-example-org", ""));
    assert_eq!((target.kms_key.expect("a key").as_str(), target.max_age), (KEY, Lifetime::from_seconds(60)));
    assert_eq!(config.aws.region.expect("a region").as_str(), "sa-east-1");
    assert_eq!(config.aws.endpoint_url.expect("an endpoint").as_str(), "http://127.0.0.1:5000");
}

#[test]
fn the_key_of_an_authority_may_lie_in_kms() {
    let other = KEY.replace("1234abcd", "5678abcd");
    let config = check(&format!(
        "[authority.root]\nkey = \"kms:{KEY}\"\n[authority.tls]\nkey = \"kms:{other}\"\n[aws.kms]\nquota = 50"
    ))
    .expect("no fault");
    assert_eq!(config.authorities.root.key, KeyPlan::External(KeyHome::Kms(KEY.to_owned())));
    assert_eq!(config.authorities.tls.key, KeyPlan::External(KeyHome::Kms(other)));
    let quotas = |rsa, elliptic_curves| KmsQuotaConfig { rsa, elliptic_curves };
    assert_eq!((config.kms_quota, check("").expect("no fault").kms_quota), (quotas(50, 50), quotas(500, 500)));
    let apart = check("[aws.kms]\nquota = 50\nrsa_quota = 200").expect("no fault");
    assert_eq!(apart.kms_quota, quotas(200, 50));
    let apart = check("[aws.kms]\necc_quota = 7").expect("no fault");
    assert_eq!(apart.kms_quota, quotas(500, 7));
    let found = faults(&format!("[authority.root]\nkey = \"kms:{KEY}\"\n[authority.tls]\nkey = \"kms:{KEY}\""), &[]);
    assert!(found.len() == 1 && found[0].contains("the same key as `authority.root.key`"), "{found:#?}");
}

#[test]
fn kms_may_be_asked_to_make_a_key_and_told_who_signs_with_it() {
    let config =
        check("[authority.root]\nkey = \"kms:create\"\nkey_type = \"p384\"\n[authority.tls]\nkey = \"kms:create\"");
    let config = config.expect("no fault");
    assert_eq!(config.authorities.root.key, KeyPlan::MadeInKms(KeyType::P384));
    assert_eq!(config.authorities.tls.key, KeyPlan::MadeInKms(KeyType::P256), "as a key of the service's own");
    assert_eq!(config.kms_policy, None, "IAM decides");
    let role = "arn:aws:iam::111122223333:role/ca";
    let named =
        check(&format!("[aws.kms]\nsigners = [\"{role}\"]\nadministrators = [\"{role}-admin\"]")).expect("no fault");
    let policy = named.kms_policy.expect("a policy").to_json(KeyType::P256);
    assert!(policy.contains(&format!("\"{role}-admin\"")) && !policy.contains(":root"), "{policy}");
    let environment = check_with("", &[("CA__AWS__KMS__SIGNERS", &format!("{role},{role}-2"))]).expect("no fault");
    let policy = environment.kms_policy.expect("a policy").to_json(KeyType::P256);
    assert!(policy.contains(":root") && policy.contains("role/ca-2"), "the account administers: {policy}");
}

#[test]
fn an_authority_may_lie_at_aws_private_ca() {
    const ARN: &str =
        "arn:aws:acm-pca:sa-east-1:111122223333:certificate-authority/1234abcd-12ab-34cd-56ef-1234567890ab";
    let base = "[public]\nbase_url = \"http://pki.example\"\n";
    let tls = format!("{base}[authority.tls]\nkey = \"acm-pca:{ARN}\"\n");
    let config = check(&format!("{tls}[aws.acm_pca]\nissue = 5")).expect("no fault");
    let KeyPlan::PrivateCa(arn) = &config.authorities.tls.key else { panic!("{:?}", config.authorities.tls.key) };
    assert_eq!(arn.as_str(), ARN);
    assert_eq!((config.acm_pca.issue, config.acm_pca.get, config.acm_pca.revoke), (5, 75, 20));
    for (text, key, part) in [
        (format!("[authority.tls]\nkey = \"acm-pca:{ARN}\""), "`authority.tls.key`", "public.base_url"),
        (format!("{base}[authority.tls]\nkey = \"acm-pca:tls\""), "`authority.tls.key`", "arn:aws:acm-pca:"),
        (format!("{base}[authority.root]\nkey = \"acm-pca:{ARN}\""), "`authority.root.key`", "authority.document.key"),
        (format!("{tls}shards = 2"), "`authority.tls.shards`", "leave it out"),
        (format!("{tls}signature = \"rsa-sha384\""), "`authority.tls.signature`", "leave it out"),
        (format!("{tls}rollover_every = \"365d\""), "`authority.tls.rollover_every`", "leave it out"),
        (format!("{tls}delta = true"), "`authority.tls.delta`", "leave it out"),
        (format!("{tls}[aws.acm_pca]\nissue = 0"), "`aws.acm_pca.issue`", "from 1 to 1000"),
        (
            format!("{tls}[authority.document]\nkey = \"acm-pca:{ARN}\""),
            "`authority.document.key`",
            "the same key as `authority.tls.key`",
        ),
    ] {
        let found = faults(&text, &[]);
        assert!(found.len() == 1 && found[0].starts_with(key) && found[0].contains(part), "{text}: {found:#?}");
    }
}

#[test]
fn tells_what_is_wrong_and_what_would_be_right() {
    let long = format!(
        "[publish.s3]\nkms_key = \"{}\"",
        KEY.replace("key/1234abcd-12ab-34cd-56ef-1234567890ab", "alias/lists")
    );
    for (text, key, part) in [
        ("[aws]\nregion = \"Sao Paulo\"", "`aws.region`", "sa-east-1"),
        ("[aws]\nendpoint_url = \"localhost:5000\"", "`aws.endpoint_url`", "https://"),
        ("[aws]\nendpoint_url = \"https://a:hunter2@b\"", "`aws.endpoint_url`", "password"),
        ("[aws]\nsecret_access_key = \"hunter2\"", "`aws.secret_access_key`", "unknown key"),
        ("[publish.s3]\nbucket = \"PKI\"", "`publish.s3.bucket`", "lower-case"),
        ("[publish.s3]\nprefix = \"/crl\"", "`publish.s3.prefix`", "begin with a slash"),
        ("[publish.s3]\nkms_key = \"lists\"", "`publish.s3.kms_key`", "ARN"),
        (&long, "`publish.s3.kms_key`", "alias"),
        ("[publish.s3]\nmax_age = \"6d 1h\"", "`publish.s3.max_age`", "length of time"),
        ("[publish.s3]\nmax_age = \"145h\"", "`publish.s3.max_age`", "past its end"),
        ("[authority.tls]\nkey = \"kms:lists\"", "`authority.tls.key`", "ARN"),
        ("[authority.tls]\nkey = \"kms:arn:aws:kms:sa-east-1:111122223333:alias/tls\"", "`authority.tls.key`", "alias"),
        ("[aws.kms]\nquota = 0", "`aws.kms.quota`", "from 1 to 100000"),
        ("[aws.kms]\nrsa_quota = 0", "`aws.kms.rsa_quota`", "from 1 to 100000"),
        ("[aws.kms]\necc_quota = 100001", "`aws.kms.ecc_quota`", "from 1 to 100000"),
        (
            "[authority.tls]\nkey = \"kms:create\"\nkey_type = \"ed25519\"",
            "`authority.tls.key_type`",
            "makes no ed25519 keys",
        ),
        ("[aws.kms]\nsigners = [\"ca\"]", "`aws.kms.signers`", "role/ca"),
        (
            "[aws.kms]\nsigners = [\"arn:aws:sts::111122223333:assumed-role/ca/i\"]",
            "`aws.kms.signers`",
            "a session, which ends",
        ),
        (
            "[aws.kms]\nadministrators = [\"arn:aws:iam::111122223333:role/ca\"]",
            "`aws.kms.administrators`",
            "`aws.kms.signers` must name",
        ),
        ("publish = \"s3\"", "`publish`", "must be a table"),
    ] {
        let found = faults(text, &[]);
        assert!(found.len() == 1 && found[0].starts_with(key) && found[0].contains(part), "{text}: {found:#?}");
        assert!(!found[0].contains("hunter2"), "{found:#?}");
    }
    assert_eq!(
        faults("[aws]\nregion = \"x\"\n[publish.s3]\nbucket = \"X\"\nprefix = \"//\"\nkms_key = \"x\"", &[]).len(),
        4,
        "every fault at once"
    );
}
