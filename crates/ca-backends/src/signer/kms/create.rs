//! Keys in KMS that the service asks for. `CreateKey` knows no idempotency: an answer that is lost leaves a key that nobody was told
//! of. So every key carries, as a tag, the id under which its making was put on record beforehand, and what is not answered is looked
//! for by that id before it is asked for again.

use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::types::{KeySpec, KeyState, KeyUsageType, Tag};
use ca_engine::port::signer::{Signer, SignerError};
use tokio::time::{Instant, sleep};

use super::KmsSigner;
use super::keys::KmsKeys;
use super::refusal::in_words_of_making;
use crate::aws::{AUTHORITY_TAG, CREATION_TAG, Call, CallError, Caller, Failure, KmsKeyArn, KmsKeyOrder, key_spec_of};

/// How often a key is asked for that was neither answered nor found.
const ATTEMPTS: u32 = 3;
/// 0.03 US dollars for 10,000.
const MICRO_DOLLARS: u64 = 3;
/// The most that `ListKeys` tells at once.
const PAGE: i32 = 1_000;

impl KmsKeys {
    /// Whether keys can be looked for in a region: that there are credentials, that the region is the right one, and that the role may
    /// find what it has made. Asked before the first key is.
    pub async fn may_look_for_keys(&self, region: &str) -> Result<(), SignerError> {
        let (client, caller) = (self.client_in(region), self.finder_in(region));
        list(&client, &caller, region, None, 1).await.map(drop)
    }

    /// Makes a key, or finds the one that an earlier attempt of this making has left. `asked_before` is how long ago an earlier
    /// process may have asked for it; `None`: none has.
    pub async fn make(&self, order: &KmsKeyOrder, asked_before: Option<Duration>) -> Result<KmsKeyArn, SignerError> {
        if let Some(ago) = asked_before
            && let Some(found) = self.find_made(order, self.settling().listed_within.saturating_sub(ago)).await?
        {
            return Ok(found);
        }
        let mut attempt = 1;
        loop {
            let unanswered = match self.create(order).await {
                Ok(arn) => return Ok(arn),
                Err(CallError::Busy { retry_after, .. }) if attempt < ATTEMPTS => {
                    sleep(retry_after).await;
                    attempt += 1;
                    continue;
                }
                Err(refused @ (CallError::Refused(_) | CallError::Busy { .. })) => {
                    return Err(in_words_of_making(&order.region, "CreateKey", refused));
                }
                Err(unanswered) => unanswered,
            };
            // It may be there all the same.
            if let Some(found) = self.find_made(order, self.settling().listed_within).await? {
                return Ok(found);
            }
            if attempt == ATTEMPTS {
                return Err(in_words_of_making(&order.region, "CreateKey", unanswered));
            }
            attempt += 1;
        }
    }

    /// The signer over a key that was made just now: what KMS knows in one place it may not know in another yet.
    pub async fn open_made(&self, key: &KmsKeyArn) -> Result<KmsSigner, SignerError> {
        let begun = Instant::now();
        loop {
            let opened = async {
                let signer = self.find(key).await?;
                signer.check().await?;
                Ok(signer)
            };
            match opened.await {
                Ok(signer) => return Ok(signer),
                Err(SignerError::Refused { .. }) if begun.elapsed() < self.settling().known_within => {
                    sleep(self.settling().pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn create(&self, order: &KmsKeyOrder) -> Result<KmsKeyArn, CallError> {
        let client = self.client_in(&order.region);
        let call = Call { operation: "CreateKey", micro_dollars: MICRO_DOLLARS };
        let spec = KeySpec::from(key_spec_of(order.key_type).unwrap_or_default());
        let attempt = || async {
            let made = client
                .create_key()
                .key_spec(spec.clone())
                .key_usage(KeyUsageType::SignVerify)
                .description(&order.description)
                .set_policy(order.policy.clone())
                .set_tags(Some(tags(order)))
                .send();
            made.await.map_err(|error| Failure::of(&error))
        };
        let made = self.maker_in(&order.region).call(call, attempt).await?;
        let arn = made.key_metadata.and_then(|metadata| metadata.arn).unwrap_or_default();
        // Without one it is as if it had not been answered: it is looked for.
        KmsKeyArn::parse(&arn)
            .map_err(|problem| CallError::Unavailable { detail: format!("CreateKey answered `{arn}`: {problem}") })
    }

    /// The key of a making, once it is listed; `None` when it is not within that time.
    async fn find_made(&self, order: &KmsKeyOrder, within: Duration) -> Result<Option<KmsKeyArn>, SignerError> {
        let begun = Instant::now();
        loop {
            let found = self.look_for(order).await?;
            if found.is_some() || begun.elapsed() >= within {
                return Ok(found);
            }
            sleep(self.settling().pause).await;
        }
    }

    /// One look at the tags of all keys of the region.
    async fn look_for(&self, order: &KmsKeyOrder) -> Result<Option<KmsKeyArn>, SignerError> {
        let (client, caller, region) = (self.client_in(&order.region), self.finder_in(&order.region), &order.region);
        let (mut found, mut closed, mut marker) = (Vec::new(), Vec::new(), None);
        loop {
            let page = list(&client, &caller, region, marker, PAGE).await?;
            for arn in page.keys().iter().filter_map(|key| key.key_arn()) {
                let Ok(arn) = KmsKeyArn::parse(arn) else { continue };
                match is_of_making(&client, &caller, &arn, &order.creation).await? {
                    Some(true) if is_alive(&client, &caller, &arn).await? => found.push(arn),
                    Some(_) => {}
                    None => closed.push(arn),
                }
            }
            marker = page.next_marker.filter(|_| page.truncated);
            if marker.is_none() {
                break;
            }
        }
        match &found[..] {
            [] if closed.is_empty() => Ok(None),
            // One of them may be the key: a second one is not made on the off chance.
            [] => Err(SignerError::Refused {
                detail: format!(
                    "KMS in {region}: it is not known whether the key of `{}` was made, and of {} keys the role may not see the tags,                      {} among them; allow it kms:ListResourceTags there and run this again",
                    order.authority,
                    closed.len(),
                    closed[0]
                ),
            }),
            [one] => Ok(Some(one.clone())),
            [one, another, ..] => Err(SignerError::Refused {
                detail: format!(
                    "KMS in {region} has two keys of one making, {one} and {another}: an answer came too late to be seen. No \
                     authority has either; schedule the deletion of one (`aws kms schedule-key-deletion`) and run this again"
                ),
            }),
        }
    }
}

fn tags(order: &KmsKeyOrder) -> Vec<Tag> {
    let tag = |name: &str, value: &str| Tag::builder().tag_key(name).tag_value(value).build().ok();
    [tag(AUTHORITY_TAG, &order.authority), tag(CREATION_TAG, &order.creation)].into_iter().flatten().collect()
}

async fn list(
    client: &Client,
    caller: &Caller,
    region: &str,
    marker: Option<String>,
    limit: i32,
) -> Result<aws_sdk_kms::operation::list_keys::ListKeysOutput, SignerError> {
    let call = Call { operation: "ListKeys", micro_dollars: MICRO_DOLLARS };
    let attempt = || async {
        let listed = client.list_keys().limit(limit).set_marker(marker.clone()).send().await;
        listed.map_err(|error| Failure::of(&error))
    };
    caller.call(call, attempt).await.map_err(|error| in_words_of_making(region, "ListKeys", error))
}

/// Whether a key has the tag; `None` when the role may not see.
async fn is_of_making(
    client: &Client,
    caller: &Caller,
    key: &KmsKeyArn,
    creation: &str,
) -> Result<Option<bool>, SignerError> {
    let call = Call { operation: "ListResourceTags", micro_dollars: MICRO_DOLLARS };
    let attempt =
        || async { client.list_resource_tags().key_id(key.as_str()).send().await.map_err(|error| Failure::of(&error)) };
    match caller.call(call, attempt).await {
        Ok(tags) => {
            Ok(Some(tags.tags().iter().any(|tag| tag.tag_key() == CREATION_TAG && tag.tag_value() == creation)))
        }
        Err(CallError::Refused(refusal)) if refusal.code == "AccessDeniedException" => Ok(None),
        // It was deleted since it was listed.
        Err(CallError::Refused(refusal)) if refusal.code == "NotFoundException" => Ok(Some(false)),
        Err(error) => Err(in_words_of_making(key.region(), "ListResourceTags", error)),
    }
}

/// Whether it is not to be deleted.
async fn is_alive(client: &Client, caller: &Caller, key: &KmsKeyArn) -> Result<bool, SignerError> {
    let call = Call { operation: "DescribeKey", micro_dollars: MICRO_DOLLARS };
    let attempt =
        || async { client.describe_key().key_id(key.as_str()).send().await.map_err(|error| Failure::of(&error)) };
    let described =
        caller.call(call, attempt).await.map_err(|error| in_words_of_making(key.region(), "DescribeKey", error))?;
    let state = described.key_metadata.and_then(|metadata| metadata.key_state);
    Ok(state != Some(KeyState::PendingDeletion))
}
