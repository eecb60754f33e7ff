//! A symmetric key of AWS KMS that wraps: `Encrypt` and `Decrypt`, each with an encryption context that says what is wrapped, so that
//! a policy can tell who may open what.
//!
//! It is asked once a start, and for ceremonies. What passes (throttling, no answer, a failure inside) is tried again, within
//! [`PATIENCE`]; what stays refused is told at once, with what would help.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::primitives::Blob;
use ca_engine::port::wrapping_key::{WrappingError, WrappingKey, WrappingPurpose};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::aws::{AwsAccess, Failure, KmsKeyArn, Refusal};

/// How long what passes is tried again: a start waits so long at the most, one attempt apart.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first pause between two attempts; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// What helps where nothing could be asked.
const NOT_SENT: &str = "see that the host has credentials (the role of the task or the instance, or AWS_ACCESS_KEY_ID and \
                        AWS_SECRET_ACCESS_KEY), and that aws.endpoint_url is right";

/// The name of the encryption context's one entry; its value is the purpose.
const CONTEXT: &str = "cartorio-ca";

/// The key of an ARN.
pub struct KmsWrappingKey {
    client: Client,
    arn: KmsKeyArn,
    name: String,
    patience: Duration,
}

impl KmsWrappingKey {
    /// What the names of such keys begin with, on record and in the configuration.
    pub const PREFIX: &str = "kms:";

    /// The way to a key; nothing is asked yet. It is looked for in the region that its ARN names, whatever region the rest uses.
    pub fn new(access: &AwsAccess, arn: KmsKeyArn) -> Self {
        let config = aws_sdk_kms::config::Builder::from(access.config())
            .region(Region::new(arn.region().to_owned()))
            // Tried again here, where it is known what helps.
            .retry_config(RetryConfig::disabled())
            .build();
        let name = format!("{}{arn}", Self::PREFIX);
        Self { client: Client::from_conf(config), arn, name, patience: PATIENCE }
    }

    #[cfg(test)]
    fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn attempt<T, E, F>(
        &self,
        action: Action,
        purpose: WrappingPurpose,
        call: impl Fn() -> F,
    ) -> Result<T, WrappingError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: std::error::Error + ProvideErrorMetadata + RequestId + 'static,
    {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let said = match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) => match Failure::of(&error) {
                    Failure::Throttled(refusal) => refusal.to_string(),
                    Failure::Passing(said) => said,
                    Failure::Refused(refusal) => {
                        let detail = self.explained(action, purpose, &refusal);
                        return Err(WrappingError::Refused { detail });
                    }
                    Failure::NotSent(said) => {
                        let detail =
                            format!("KMS key {} was not asked to {action}: {said}; {NOT_SENT} (docs/aws.md)", self.arn);
                        return Err(WrappingError::Refused { detail });
                    }
                },
            };
            if begun.elapsed() + pause > self.patience {
                let detail = format!(
                    "KMS key {} was asked to {action} for {} s, and there is no answer: {said}; see that this host reaches KMS in {}",
                    self.arn,
                    begun.elapsed().as_secs(),
                    self.arn.region()
                );
                return Err(WrappingError::Unavailable { detail });
            }
            tracing::warn!(key = %self.arn, %said, "KMS does not answer; it is asked again");
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// What is wrong, and what would help.
    fn explained(&self, action: Action, purpose: WrappingPurpose, refusal: &Refusal) -> String {
        let (arn, region) = (&self.arn, self.arn.region());
        let help = match refusal.code.as_str() {
            "AccessDeniedException" => format!(
                "the role of this host needs {} for that key, in its own policy and in the key's, under the encryption context \
                 `{CONTEXT}` = `{}`",
                action.permission(),
                purpose.as_str()
            ),
            "DisabledException" => format!("enable it: aws kms enable-key --key-id {arn}"),
            "KMSInvalidStateException" => format!(
                "it is to be deleted, or was never finished: aws kms cancel-key-deletion --key-id {arn}, then aws kms enable-key"
            ),
            "NotFoundException" => format!(
                "there is no such key in {region}; name the key that sealed this record, with its own region and account \
                 (seal.key)"
            ),
            "InvalidKeyUsageException" => {
                "it is no key for encryption; name a symmetric one (SYMMETRIC_DEFAULT)".to_owned()
            }
            "IncorrectKeyException" | "InvalidCiphertextException" => format!(
                "what it was to open was wrapped by another key, for another purpose than `{}`, or was changed; name the key \
                 that sealed this record, or restore the record",
                purpose.as_str()
            ),
            "InvalidSignatureException" if refusal.message.contains("region") => format!(
                "the key is in {region}, and aws.endpoint_url leads elsewhere; name the endpoint of that region, or none"
            ),
            "ExpiredTokenException"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException" => {
                "the credentials of this host are wrong or have expired; give it a role, or renew them".to_owned()
            }
            _ => "see what AWS says of it".to_owned(),
        };
        format!("KMS key {arn} does not {action}: {refusal}; {help} (docs/aws.md)")
    }
}

#[async_trait]
impl WrappingKey for KmsWrappingKey {
    fn name(&self) -> &str {
        &self.name
    }

    async fn wrap(&self, purpose: WrappingPurpose, secret: &[u8]) -> Result<Vec<u8>, WrappingError> {
        let call = || {
            let request = self.client.encrypt().key_id(self.arn.as_str()).encryption_context(CONTEXT, purpose.as_str());
            request.plaintext(Blob::new(secret)).send()
        };
        let answer = self.attempt(Action::Wrap, purpose, call).await?;
        answer.ciphertext_blob.map(Blob::into_inner).ok_or_else(|| self.empty(Action::Wrap))
    }

    async fn unwrap(&self, purpose: WrappingPurpose, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, WrappingError> {
        let call = || {
            let request = self.client.decrypt().key_id(self.arn.as_str()).encryption_context(CONTEXT, purpose.as_str());
            request.ciphertext_blob(Blob::new(wrapped)).send()
        };
        let answer = self.attempt(Action::Open, purpose, call).await?;
        let plaintext = answer.plaintext.map(|blob| Zeroizing::new(blob.into_inner()));
        plaintext.ok_or_else(|| self.empty(Action::Open))
    }
}

impl KmsWrappingKey {
    fn empty(&self, action: Action) -> WrappingError {
        WrappingError::Refused { detail: format!("KMS key {} was asked to {action} and answered nothing", self.arn) }
    }
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Wrap,
    Open,
}

impl Action {
    const fn permission(self) -> &'static str {
        match self {
            Self::Wrap => "kms:Encrypt",
            Self::Open => "kms:Decrypt",
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Wrap => "encrypt",
            Self::Open => "decrypt",
        })
    }
}

#[cfg(test)]
mod tests;
