//! CRLs as objects of Amazon S3: `{prefix}{authority}.crl`, DER, for whoever serves them from there.
//!
//! An object is replaced as a whole, and only if it still is the one that was looked at (`If-Match`, `If-None-Match`): of two who
//! put lists at the same time one is told so, looks again and compares. What lies beside a list (its number and hash, as
//! metadata) spares fetching it; where that does not settle the matter, the list itself has the last word.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ca_core::crl::{CrlOutline, ListName};
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::publisher::{PublishError, Publisher};

use self::failure::Failure;
use self::upload::{SignedByDigest, Unreadable, body_of};
use super::bucket::S3Target;
use super::number::number_in;
use crate::aws::{ATTEMPT, AwsAccess, CONNECT};

mod failure;
mod upload;

/// Publishes into a bucket. Processes that share it need not know of each other.
pub struct S3Publisher {
    client: Client,
    target: S3Target,
    attempt: Duration,
    /// Of one authority one list at a time, so that this process does not lose races against itself.
    turns: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl S3Publisher {
    /// Publishes into a bucket. Whether it is there, and lets us in, shows when the first list is put.
    pub fn new(access: &AwsAccess, target: S3Target) -> Self {
        let config = aws_sdk_s3::config::Builder::from(access.config())
            // Other endpoints have no name for each bucket.
            .force_path_style(!access.is_aws_itself());
        Self { client: Client::from_conf(config.build()), target, attempt: ATTEMPT, turns: Mutex::default() }
    }

    /// The same with another patience.
    #[cfg(test)]
    fn with_attempts_of(mut self, attempt: Duration) -> Self {
        self.attempt = attempt;
        self
    }

    /// The key of a list: its name, which is checked text (`[a-z0-9-]+`, a number, a slash).
    pub fn key(&self, list: &ListName) -> String {
        format!("{}{list}", self.target.prefix)
    }

    async fn put_newer_list(&self, key: &str, list: &List<'_>) -> Result<(), Failure> {
        let turn =
            Arc::clone(self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(key.to_owned()).or_default());
        let _turn = turn.lock().await;
        for round in 0..ROUNDS {
            let Some(condition) = self.condition(key, list).await? else { return Ok(()) };
            match self.put(key, list, &condition).await {
                Err(Failure::Race) => tokio::time::sleep(BREATH * round).await,
                ended => return ended,
            }
        }
        Err(Failure::Races)
    }

    /// What must still hold of the object when the list takes its place; `None` when it is to stay.
    async fn condition(&self, key: &str, list: &List<'_>) -> Result<Option<Condition>, Failure> {
        let Some(head) = self.head(key).await? else { return Ok(Some(Condition::Absent)) };
        let said = |name: &str| head.metadata().and_then(|metadata| metadata.get(name)).map(String::as_str);
        if said(SHA256_METADATA) == Some(&list.sha256_hex) {
            return Ok(None);
        }
        match said(NUMBER_METADATA).and_then(|number| number.parse::<u64>().ok()) {
            Some(number) if number < list.number => {
                Ok(Some(Condition::Unchanged(head.e_tag().unwrap_or_default().to_owned())))
            }
            // It says that it is newer, or does not say: a list that is kept out for what is beside another would stay out for ever.
            _ => self.condition_by_content(key, list).await,
        }
    }

    async fn head(&self, key: &str) -> Result<Option<HeadObjectOutput>, Failure> {
        let sent = self
            .client
            .head_object()
            .bucket(self.target.bucket.as_str())
            .key(key)
            .customize()
            .config_override(self.patience(0))
            .send()
            .await;
        match sent {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(None),
            Err(error) => Err(Failure::of("HeadObject", &error)),
        }
    }

    /// The same by the list in place: fetched, which is seldom needed.
    async fn condition_by_content(&self, key: &str, list: &List<'_>) -> Result<Option<Condition>, Failure> {
        let sent = self
            .client
            .get_object()
            .bucket(self.target.bucket.as_str())
            .key(key)
            .customize()
            .config_override(self.patience(list.der.count()))
            .send()
            .await;
        let object = match sent {
            Ok(object) => object,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => {
                return Ok(Some(Condition::Absent));
            }
            Err(error) => return Err(Failure::of("GetObject", &error)),
        };
        let octets = object.content_length().unwrap_or_default();
        if octets > LARGEST_LIST {
            return Err(Failure::Foreign { octets });
        }
        let unchanged = Condition::Unchanged(object.e_tag().unwrap_or_default().to_owned());
        let reading = tokio::time::timeout(self.time_for(u64::try_from(octets).unwrap_or(0)), number_of(object.body));
        Ok(match reading.await.map_err(|_| Failure::CutOff)?? {
            Some(in_place) if in_place >= list.number => None,
            _ => Some(unchanged),
        })
    }

    async fn put(&self, key: &str, list: &List<'_>, condition: &Condition) -> Result<(), Failure> {
        let unreadable = Unreadable::default();
        let mut request = self
            .client
            .put_object()
            .bucket(self.target.bucket.as_str())
            .key(key)
            .body(body_of(list.der, &unreadable))
            .content_type("application/pkix-crl")
            .cache_control(format!("public, no-transform, must-revalidate, max-age={}", self.target.max_age.seconds()))
            .checksum_sha256(&list.sha256_base64)
            .metadata(NUMBER_METADATA, list.number.to_string())
            .metadata(SHA256_METADATA, &list.sha256_hex);
        request = match condition {
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(etag),
        };
        if let Some(kms_key) = &self.target.kms_key {
            request = request
                .server_side_encryption(ServerSideEncryption::AwsKms)
                .ssekms_key_id(kms_key.as_str())
                // One call of KMS for many objects.
                .bucket_key_enabled(true);
        }
        let request = request
            .customize()
            .interceptor(SignedByDigest::new(&list.sha256_hex))
            .config_override(self.patience(list.der.count()));
        match (request.send().await, unreadable.take()) {
            (Ok(_), _) => Ok(()),
            (Err(_), Some(reason)) => Err(Failure::Unreadable(reason)),
            (Err(error), None) => Err(Failure::of_put(&error)),
        }
    }

    /// How long each attempt may take that moves so many octets.
    fn time_for(&self, octets: u64) -> Duration {
        // A MiB a second is what a poor line has.
        self.attempt + Duration::from_secs(octets >> 20)
    }

    fn patience(&self, octets: u64) -> aws_sdk_s3::config::Builder {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.attempt.min(CONNECT))
            .operation_attempt_timeout(self.time_for(octets))
            .build();
        aws_sdk_s3::Config::builder().timeout_config(timeouts)
    }
}

/// How often a list is compared anew because others put theirs meanwhile.
const ROUNDS: u32 = 8;
/// How much longer each time before it is.
const BREATH: Duration = Duration::from_millis(40);
/// The names of what is said beside a list.
const NUMBER_METADATA: &str = "crl-number";
const SHA256_METADATA: &str = "sha256";
/// Larger than any list: twelve million entries.
const LARGEST_LIST: i64 = 512 << 20;

/// A list on its way.
struct List<'a> {
    number: u64,
    der: &'a ListOctets,
    sha256_hex: String,
    sha256_base64: String,
}

impl<'a> List<'a> {
    fn new(number: u64, der: &'a ListOctets) -> Self {
        let hash = der.sha256();
        Self { number, der, sha256_hex: hex::encode(hash), sha256_base64: BASE64_STANDARD.encode(hash) }
    }
}

/// The number of a list in place, read as it comes; `None` when it is none.
async fn number_of(mut body: ByteStream) -> Result<Option<u64>, Failure> {
    let mut outline = CrlOutline::new();
    while let Some(piece) = body.try_next().await.map_err(|_| Failure::CutOff)? {
        if outline.update(&piece).is_err() {
            return Ok(None);
        }
    }
    Ok(number_in(outline))
}

/// Under which condition an object is put.
enum Condition {
    /// There is none.
    Absent,
    /// It still has this entity tag.
    Unchanged(String),
}

#[async_trait]
impl Publisher for S3Publisher {
    async fn publish_crl(&self, list: &ListName, number: u64, der: &ListOctets) -> Result<(), PublishError> {
        let key = self.key(list);
        self.put_newer_list(&key, &List::new(number, der))
            .await
            .map_err(|failure| PublishError { detail: format!("s3://{}/{key}: {failure}", self.target.bucket) })
    }
}

#[cfg(test)]
mod tests;
