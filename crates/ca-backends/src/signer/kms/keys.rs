//! The way to keys in KMS: one client a region, one pace an account and region, and the public key of a key that is not on record
//! yet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::types::KeyUsageType;
use ca_core::key::PublicKey;
use ca_engine::port::signer::SignerError;

use super::refusal::in_words;
use super::{KmsSigner, algorithm_of};
use crate::aws::{AwsAccess, Call, CallCount, Caller, Failure, KmsKeyArn, Patience, Tally};

/// Calls a second in an account and region, unless the configuration says otherwise: half of what AWS gives a whole account.
pub const USUAL_QUOTA: u32 = 500;
/// The most that may be configured.
pub const LARGEST_QUOTA: u32 = 100_000;

/// How long one attempt may take: KMS signs in tens of milliseconds, and what takes longer than this is lost.
const ATTEMPT: Duration = Duration::from_millis(1_200);
/// How long a call may wait for its turn.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
const PATIENCE: Patience = Patience {
    attempts: 5,
    first_pause: Duration::from_millis(25),
    longest_pause: Duration::from_millis(400),
    within: Duration::from_secs(4),
    first_rest: Duration::from_secs(1),
};

/// What is not to be done twice is asked for once; whoever asks looks before asking again.
const ONCE: Patience = Patience { attempts: 1, ..PATIENCE };

/// How long KMS may take until all of it knows of a new key; tests wait for less.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settling {
    /// How long after it was asked for a key may not be listed yet.
    pub(super) listed_within: Duration,
    /// How long one that was made just now may be unknown, or closed to its signer, in other places.
    pub(super) known_within: Duration,
    /// Between two looks.
    pub(super) pause: Duration,
}

const SETTLING: Settling = Settling {
    listed_within: Duration::from_secs(15),
    known_within: Duration::from_secs(10),
    pause: Duration::from_millis(500),
};

/// Keys in KMS, of any account and region that the credentials reach.
pub struct KmsKeys {
    access: AwsAccess,
    quota: u32,
    attempt: Duration,
    settling: Settling,
    tally: Arc<Tally>,
    callers: Mutex<BTreeMap<(String, String), Arc<Caller>>>,
    clients: Mutex<BTreeMap<String, Client>>,
    /// What is known of each key, however often it is opened.
    confirmed: Mutex<Confirmed>,
}

/// Whether KMS was seen to hold a key, by its ARN and its public part.
type Confirmed = BTreeMap<(String, Vec<u8>), Arc<AtomicBool>>;

impl KmsKeys {
    /// Keys, in each account and region of which `quota` calls a second go out at most.
    pub fn new(access: AwsAccess, quota: u32) -> Self {
        Self {
            access,
            quota,
            attempt: ATTEMPT,
            settling: SETTLING,
            tally: Arc::default(),
            callers: Mutex::default(),
            clients: Mutex::default(),
            confirmed: Mutex::default(),
        }
    }

    /// The same with another patience.
    #[cfg(test)]
    pub(super) fn with_attempts_of(mut self, attempt: Duration) -> Self {
        self.attempt = attempt;
        self
    }

    /// The same that waits for less when it makes keys.
    #[cfg(test)]
    pub(super) fn settling_within(mut self, within: Duration) -> Self {
        self.settling = Settling { listed_within: within, known_within: within, pause: Duration::from_millis(10) };
        self
    }

    pub(super) fn settling(&self) -> Settling {
        self.settling
    }

    /// A key as it is in KMS: asks for its public part.
    pub async fn find(&self, key: &KmsKeyArn) -> Result<KmsSigner, SignerError> {
        let public_key = public_key(&self.client(key), &self.caller(key), key).await?;
        let signer = self.open(key, &public_key)?;
        signer.confirmed.store(true, Ordering::Relaxed);
        Ok(signer)
    }

    /// A key whose public part is known. Nothing is asked.
    pub fn open(&self, key: &KmsKeyArn, public_key: &PublicKey) -> Result<KmsSigner, SignerError> {
        let key_type = public_key.key_type();
        let algorithm = algorithm_of(key_type).ok_or_else(|| SignerError::Refused {
            detail: format!("KMS key {key}: {key_type} keys cannot be used in KMS; use RSA, P-256, P-384 or P-521"),
        })?;
        Ok(KmsSigner {
            client: self.client(key),
            caller: self.caller(key),
            key: key.clone(),
            public_key: public_key.clone(),
            algorithm,
            confirmed: self.confirmed(key, public_key),
        })
    }

    /// The region in which keys are made.
    pub fn region(&self) -> Option<String> {
        self.access.region()
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<CallCount> {
        self.tally.counts()
    }

    fn confirmed(&self, key: &KmsKeyArn, public_key: &PublicKey) -> Arc<AtomicBool> {
        let mut confirmed = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(confirmed.entry((key.to_string(), public_key.spki_der().to_vec())).or_default())
    }

    /// A client of the region that the ARN names, whichever the configuration does.
    fn client(&self, key: &KmsKeyArn) -> Client {
        self.client_in(key.region())
    }

    pub(super) fn client_in(&self, region: &str) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = clients.entry(region.to_owned()).or_insert_with(|| {
            let config = aws_sdk_kms::config::Builder::from(self.access.config())
                .region(Region::new(region.to_owned()))
                // It waits for seconds, and tries again what stays refused: `Caller` does better.
                .retry_config(RetryConfig::disabled())
                .timeout_config(
                    TimeoutConfig::builder()
                        .connect_timeout(self.attempt)
                        .operation_attempt_timeout(self.attempt)
                        .build(),
                );
            Client::from_conf(config.build())
        });
        client.clone()
    }

    fn caller(&self, key: &KmsKeyArn) -> Arc<Caller> {
        self.caller_of(key.account(), key.region(), PATIENCE)
    }

    /// Calls that look for keys in the account of the credentials, whichever that is.
    pub(super) fn finder_in(&self, region: &str) -> Arc<Caller> {
        self.caller_of("keys", region, PATIENCE)
    }

    /// Calls that make keys there.
    pub(super) fn maker_in(&self, region: &str) -> Arc<Caller> {
        self.caller_of("new keys", region, ONCE)
    }

    fn caller_of(&self, account: &str, region: &str, patience: Patience) -> Arc<Caller> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let caller = callers
            .entry((account.to_owned(), region.to_owned()))
            .or_insert_with(|| Arc::new(Caller::new(self.quota, LONGEST_WAIT, patience, Arc::clone(&self.tally))));
        Arc::clone(caller)
    }
}

/// The public key of a key in KMS that may sign.
pub(super) async fn public_key(client: &Client, caller: &Caller, key: &KmsKeyArn) -> Result<PublicKey, SignerError> {
    let refused = |what: String| SignerError::Refused { detail: format!("KMS key {key}: {what}") };
    // 0.03 US dollars for 10,000.
    let call = Call { operation: "GetPublicKey", micro_dollars: 3 };
    let attempt =
        || async { client.get_public_key().key_id(key.as_str()).send().await.map_err(|error| Failure::of(&error)) };
    let found = caller.call(call, attempt).await.map_err(|error| in_words(key, "GetPublicKey", error))?;
    if found.key_usage() != Some(&KeyUsageType::SignVerify) {
        let usage = found.key_usage().map_or("unknown", KeyUsageType::as_str);
        return Err(refused(format!(
            "its usage is {usage}, and an authority's key must be made with `--key-usage SIGN_VERIFY`"
        )));
    }
    let der = found.public_key().map(AsRef::as_ref).unwrap_or_default();
    let kinds =
        "make one with `--key-spec` RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384 or ECC_NIST_P521";
    let public_key = PublicKey::from_spki_der(der).map_err(|error| refused(format!("{error}; {kinds}")))?;
    match algorithm_of(public_key.key_type()) {
        Some(_) => Ok(public_key),
        None => Err(refused(format!("{} keys in KMS sign no lists; {kinds}", public_key.key_type()))),
    }
}
