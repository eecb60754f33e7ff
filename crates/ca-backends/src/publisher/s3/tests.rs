//! The contract of publishers, against a double of S3 and against moto; what S3 is told of a list; and what happens when it
//! refuses, is silent, loses answers, or somebody else is quicker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ca_core::crl::ListName;
use ca_core::time::Lifetime;
use ca_engine::fake::contract::publisher::{PublisherUnderTest, check_publisher};
use ca_engine::port::list_octets::{ListOctets, PIECE};
use ca_engine::port::spool::SpooledOctets;
use ca_test_doubles::{Fault, Operation, S3Double, StoredObject};
use ca_test_services::MotoServer;

use super::*;
use crate::aws::KmsKeyArn;
use crate::publisher::directory::tests::list;
use crate::publisher::{BucketName, KeyPrefix};

const KEY: &str = "crl/tls.crl";
const KMS_KEY: &str = "arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn tls() -> ListName {
    ListName::complete("tls".parse().expect("an authority id"))
}

fn target(prefix: &str) -> S3Target {
    S3Target {
        bucket: BucketName::parse(S3Double::BUCKET).expect("a bucket"),
        prefix: KeyPrefix::parse(prefix).expect("a prefix"),
        kms_key: None,
        max_age: Lifetime::from_seconds(5),
    }
}

async fn publisher(endpoint_url: &str, target: S3Target) -> S3Publisher {
    S3Publisher::new(&AwsAccess::of_tests(endpoint_url).await, target)
}

async fn of_double() -> (S3Double, S3Publisher) {
    let double = S3Double::start().expect("a double");
    let publisher = publisher(&double.endpoint_url(), target("crl")).await;
    (double, publisher)
}

fn octets(der: &ListOctets) -> Vec<u8> {
    der.to_vec().expect("in memory")
}

/// An object as this publisher would have put it.
fn object(number: u64, der: &ListOctets) -> StoredObject {
    StoredObject {
        octets: octets(der),
        metadata: BTreeMap::from([
            (NUMBER_METADATA.to_owned(), number.to_string()),
            (SHA256_METADATA.to_owned(), hex::encode(der.sha256())),
        ]),
        ..StoredObject::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    check_publisher(|| async {
        let (double, publisher) = of_double().await;
        let double = Arc::new(double);
        PublisherUnderTest {
            publisher: Arc::new(publisher),
            read: Arc::new(move |list| {
                let double = Arc::clone(&double);
                Box::pin(async move { double.object(&format!("crl/{list}")).map(|object| object.octets) })
            }),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_at_an_emulator_of_others() {
    let moto = Arc::new(MotoServer::start().expect("moto"));
    let access = AwsAccess::of_tests(&moto.endpoint_url()).await;
    let client = client_of(&access);
    make_bucket(&client).await;
    // A case each has a folder of its own.
    let cases = AtomicUsize::new(0);
    check_publisher(|| {
        let prefix = format!("case-{}", cases.fetch_add(1, Ordering::Relaxed));
        let (client, access, moto) = (client.clone(), access.clone(), Arc::clone(&moto));
        async move {
            let publisher = Arc::new(S3Publisher::new(&access, target(&prefix)));
            let reader = Arc::clone(&publisher);
            PublisherUnderTest {
                publisher,
                read: Arc::new(move |list| {
                    let (client, key, _keep) = (client.clone(), reader.key(&list), Arc::clone(&moto));
                    Box::pin(async move {
                        let object = client.get_object().bucket(S3Double::BUCKET).key(key).send().await.ok()?;
                        Some(object.body.collect().await.expect("its octets").to_vec())
                    })
                }),
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emulator_of_others_is_told_what_a_list_is() {
    let moto = MotoServer::start().expect("moto");
    let access = AwsAccess::of_tests(&moto.endpoint_url()).await;
    let client = client_of(&access);
    make_bucket(&client).await;
    let target = S3Target { kms_key: Some(KmsKeyArn::parse(KMS_KEY).expect("an ARN")), ..target("crl") };
    let publisher = S3Publisher::new(&access, target);
    publisher.publish_crl(&tls(), 7, &list(7).await).await.expect("put");
    let head = client.head_object().bucket(S3Double::BUCKET).key(KEY).send().await.expect("in place");
    assert_eq!(head.content_type(), Some("application/pkix-crl"));
    assert_eq!(head.cache_control(), Some("public, no-transform, must-revalidate, max-age=5"));
    assert_eq!(head.metadata().and_then(|metadata| metadata.get("crl-number")).map(String::as_str), Some("7"));
    assert_eq!(head.server_side_encryption(), Some(&ServerSideEncryption::AwsKms));
    assert_eq!(head.ssekms_key_id(), Some(KMS_KEY));
}

fn client_of(access: &AwsAccess) -> Client {
    Client::from_conf(aws_sdk_s3::config::Builder::from(access.config()).force_path_style(true).build())
}

async fn make_bucket(client: &Client) {
    use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

    let place = CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::SaEast1).build();
    client.create_bucket().bucket(S3Double::BUCKET).create_bucket_configuration(place).send().await.expect("a bucket");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_says_what_it_is_and_is_sent_with_its_checksum() {
    let double = S3Double::start().expect("a double");
    let target = S3Target {
        kms_key: Some(KmsKeyArn::parse(KMS_KEY).expect("an ARN")),
        max_age: Lifetime::from_seconds(60),
        ..target("")
    };
    let publisher = publisher(&double.endpoint_url(), target).await;
    let der = list(3).await;
    publisher.publish_crl(&tls(), 3, &der).await.expect("put");
    let hash = der.sha256();
    assert_eq!(
        double.object("tls.crl"),
        Some(StoredObject {
            content_type: Some("application/pkix-crl".to_owned()),
            cache_control: Some("public, no-transform, must-revalidate, max-age=60".to_owned()),
            kms_key: Some(KMS_KEY.to_owned()),
            checksum_sha256: Some(BASE64_STANDARD.encode(hash)),
            ..object(3, &der)
        })
    );
    assert_eq!(double.requests(), [(Operation::Head, "tls.crl".to_owned()), (Operation::Put, "tls.crl".to_owned())]);
    // The next look finds it in place and fetches nothing.
    publisher.publish_crl(&tls(), 3, &der).await.expect("there");
    assert_eq!(double.requests().len(), 3);
}

/// A list in pieces, and how often each was read; from a place on nothing can be read.
struct Watched {
    octets: Vec<u8>,
    reads: Mutex<Vec<(u64, usize)>>,
    readable: AtomicUsize,
}

impl SpooledOctets for Watched {
    fn count(&self) -> u64 {
        self.octets.len() as u64
    }

    fn read(&self, from: u64, into: &mut [u8]) -> std::io::Result<()> {
        let start = usize::try_from(from).expect("within");
        if start + into.len() > self.readable.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("the disk is gone"));
        }
        self.reads.lock().expect("no panic").push((from, into.len()));
        into.copy_from_slice(&self.octets[start..start + into.len()]);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_list_is_never_held_as_a_whole_and_begun_anew_when_an_attempt_fails() {
    let (double, publisher) = of_double().await;
    let watched = Arc::new(Watched {
        octets: (0..3 * PIECE + 5).map(|place| (place / 3 + place / 1_000) as u8).collect(),
        reads: Mutex::default(),
        readable: AtomicUsize::new(usize::MAX),
    });
    let large = ListOctets::spooled(Arc::clone(&watched) as Arc<dyn SpooledOctets>).expect("read once");
    watched.reads.lock().expect("no panic").clear();
    double.fail(Operation::Put, [Fault::Refuse(503, "SlowDown")]);
    publisher.publish_crl(&tls(), 2, &large).await.expect("put");
    assert!(double.object(KEY).expect("a list").octets == watched.octets);
    let reads = watched.reads.lock().expect("no panic").clone();
    let one = [(0, PIECE), (PIECE as u64, PIECE), (2 * PIECE as u64, PIECE), (3 * PIECE as u64, 5)];
    assert_eq!(reads, [one, one].concat());
    // Where it cannot be read to its end, what is in place stays, and the reason is told.
    watched.readable.store(2 * PIECE, Ordering::Relaxed);
    double.plant(KEY, object(1, &list(1).await));
    let error = publisher.publish_crl(&tls(), 2, &large).await.expect_err("unreadable");
    assert!(error.detail.contains("the list to be put there cannot be read: the disk is gone"), "{error}");
    assert_eq!(double.object(KEY), Some(object(1, &list(1).await)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_put_lists_at_the_same_time_the_newer_stays() {
    let (double, publisher) = of_double().await;
    // An older one takes the place between look and PUT; a newer one; the same one; and the object goes away.
    double.intrude(KEY, object(1, &list(1).await));
    let second = list(2).await;
    publisher.publish_crl(&tls(), 2, &second).await.expect("put");
    assert_eq!(double.object(KEY).expect("a list").octets, octets(&second));
    let ninth = list(9).await;
    double.intrude(KEY, object(9, &ninth));
    publisher.publish_crl(&tls(), 3, &list(3).await).await.expect("left out");
    assert_eq!(double.object(KEY).expect("a list").octets, octets(&ninth));
    let tenth = list(10).await;
    double.intrude(KEY, object(10, &tenth));
    publisher.publish_crl(&tls(), 10, &tenth).await.expect("there");
    double.intrude_by_removing(KEY);
    let eleventh = list(11).await;
    publisher.publish_crl(&tls(), 11, &eleventh).await.expect("put");
    assert_eq!(double.object(KEY).expect("a list").octets, octets(&eleventh));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_is_looked_at_again_and_one_that_never_ends_is_told() {
    let (double, publisher) = of_double().await;
    double.fail(Operation::Put, [Fault::Refuse(409, "ConditionalRequestConflict"); 3]);
    let first = list(1).await;
    publisher.publish_crl(&tls(), 1, &first).await.expect("put");
    assert_eq!(double.object(KEY).expect("a list").octets, octets(&first));
    double.fail(Operation::Put, [Fault::Refuse(409, "ConditionalRequestConflict"); ROUNDS as usize]);
    let error = publisher.publish_crl(&tls(), 2, &list(2).await).await.expect_err("again and again");
    assert!(
        error.detail.contains("s3://pki-example-org/crl/tls.crl: others change the object all the time"),
        "{error}"
    );
    assert_eq!(double.object(KEY).expect("a list").octets, octets(&first));
    // Another conflict (a bucket that is being deleted) is a refusal.
    double.fail(Operation::Put, [Fault::Refuse(409, "OperationAborted")]);
    let error = publisher.publish_crl(&tls(), 2, &list(2).await).await.expect_err("refused");
    assert!(error.detail.contains("PutObject is refused with 409 OperationAborted"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_beside_a_list_keeps_no_newer_one_out() {
    let (double, publisher) = of_double().await;
    let fourth = list(4).await;
    // Damaged, without a number, with a number that is not its own: the list itself says what it is.
    let lies = BTreeMap::from([(NUMBER_METADATA.to_owned(), u64::MAX.to_string())]);
    for planted in [
        StoredObject { octets: b"no list".to_vec(), ..StoredObject::default() },
        StoredObject { octets: octets(&list(3).await), ..StoredObject::default() },
        StoredObject { octets: octets(&list(3).await), metadata: lies.clone(), ..StoredObject::default() },
    ] {
        double.plant(KEY, planted);
        publisher.publish_crl(&tls(), 4, &fourth).await.expect("put");
        assert_eq!(
            double.object(KEY),
            Some(StoredObject {
                content_type: Some("application/pkix-crl".to_owned()),
                cache_control: Some("public, no-transform, must-revalidate, max-age=5".to_owned()),
                checksum_sha256: Some(BASE64_STANDARD.encode(fourth.sha256())),
                ..object(4, &fourth)
            })
        );
    }
    // A newer one without a word beside it stays.
    let fifth = StoredObject { octets: octets(&list(5).await), ..StoredObject::default() };
    double.plant(KEY, fifth.clone());
    publisher.publish_crl(&tls(), 4, &fourth).await.expect("left out");
    assert_eq!(double.object(KEY), Some(fifth));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_tried_again_and_a_lost_answer_is_no_failure() {
    for faults in [
        vec![Fault::Refuse(503, "SlowDown"), Fault::Refuse(500, "InternalError")],
        vec![Fault::LoseAnswer],
        vec![Fault::RefuseAfterwards(500, "InternalError")],
    ] {
        let (double, publisher) = of_double().await;
        double.plant(KEY, object(1, &list(1).await));
        double.fail(Operation::Put, faults.clone());
        let second = list(2).await;
        publisher.publish_crl(&tls(), 2, &second).await.unwrap_or_else(|error| panic!("{faults:?}: {error}"));
        assert_eq!(double.object(KEY).expect("a list").octets, octets(&second), "{faults:?}");
    }
    let (double, publisher) = of_double().await;
    double.fail(Operation::Head, [Fault::Refuse(503, "SlowDown"), Fault::LoseAnswer]);
    publisher.publish_crl(&tls(), 1, &list(1).await).await.expect("put");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_what_would_be_right_and_leaves_what_is_there() {
    let (double, publisher) = of_double().await;
    let first = object(1, &list(1).await);
    double.plant(KEY, first.clone());
    let second = list(2).await;
    for (operation, fault, times, said) in [
        (Operation::Put, Fault::Refuse(403, "AccessDenied"), 1, "PutObject is refused with 403 AccessDenied"),
        (Operation::Put, Fault::Refuse(500, "InternalError"), 3, "PutObject is refused with 500 InternalError"),
        (Operation::Put, Fault::Refuse(503, "SlowDown"), 3, "PutObject is refused with 503 SlowDown"),
        (Operation::Put, Fault::Refuse(400, "KMS.DisabledException"), 1, "400 KMS.DisabledException"),
        (Operation::Head, Fault::Refuse(403, "AccessDenied"), 1, "HeadObject is refused with 403"),
        (Operation::Head, Fault::Refuse(503, "SlowDown"), 3, "HeadObject is refused with 503"),
    ] {
        let before = double.requests().len();
        double.fail(operation, std::iter::repeat_n(fault, times));
        let error = publisher.publish_crl(&tls(), 2, &second).await.expect_err(said);
        assert!(error.detail.contains(said), "{error}");
        assert_eq!(error.detail.contains("s3:ListBucket"), said.contains("403"), "{error}");
        assert!(!error.detail.contains("a-secret-of-the-tests"));
        let asked = double.requests()[before..].iter().filter(|(asked, _)| *asked == operation).count();
        assert_eq!(asked, times, "{said}: tried again only when that may help, and not for ever");
        assert_eq!(double.object(KEY), Some(first.clone()));
    }
    publisher.publish_crl(&tls(), 2, &second).await.expect("put");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_answers_is_given_up() {
    let double = S3Double::start().expect("a double");
    let publisher = publisher(&double.endpoint_url(), target("crl")).await.with_attempts_of(Duration::from_millis(50));
    double.fail(Operation::Head, [Fault::Silence; 3]);
    let error = publisher.publish_crl(&tls(), 1, &list(1).await).await.expect_err("silence");
    assert!(error.detail.contains("timeout") || error.detail.contains("timed out"), "{error}");
    // On a busy machine an attempt may end before it is heard.
    assert!(double.requests().len() <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_is_told() {
    let double = S3Double::start().expect("a double");
    let target = S3Target { bucket: BucketName::parse("another-bucket").expect("a name"), ..target("") };
    let publisher = publisher(&double.endpoint_url(), target).await;
    let error = publisher.publish_crl(&tls(), 1, &list(1).await).await.expect_err("no bucket");
    assert!(
        error.detail.contains("s3://another-bucket/tls.crl: PutObject is refused with 404 NoSuchBucket"),
        "{error}"
    );
}
