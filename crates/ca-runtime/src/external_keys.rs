//! Keys of authorities that are held elsewhere, each reached by the adapter of its home.

use std::sync::Arc;

use async_trait::async_trait;
#[cfg(feature = "backend-kms")]
use ca_backends::aws::AwsAccess;
use ca_backends::aws::{AwsPlace, KmsKeyArn};
#[cfg(feature = "backend-kms")]
use ca_backends::signer::kms::{KmsKeys, KmsQuotas};
use ca_core::key::PublicKey;
use ca_engine::port::certificate_issuer::CertificateIssuer;
use ca_engine::port::external_keys::ExternalKeys;
use ca_engine::port::signer::{Signer, SignerError};
use ca_engine::port::store::{KeyHome, Store, StoreError};
#[cfg(feature = "backend-kms")]
use tokio::sync::OnceCell;

use crate::aws_calls::AwsCalls;
use crate::config::{AuthorityConfig, Config, KeyPlan};
use crate::private_cas::PrivateCas;
use crate::token_keys::TokenKeys;

/// The adapters of this build.
pub(crate) struct HeldKeys {
    /// Whether this process may use keys of authorities: role `status` may not.
    may_use: bool,
    #[cfg(feature = "backend-kms")]
    kms: WayToKms,
    tokens: TokenKeys,
    private_cas: PrivateCas,
}

impl HeldKeys {
    /// Knows the way to every home that the configuration or the record names, and to those that come on record later. Nothing is
    /// asked of any of them.
    pub(crate) async fn open(config: &Config, store: &dyn Store, may_use: bool) -> Result<Self, StoreError> {
        Ok(Self {
            may_use,
            #[cfg(feature = "backend-kms")]
            kms: WayToKms::open(config, store, may_use).await?,
            tokens: TokenKeys::new(config.pkcs11.clone()),
            private_cas: PrivateCas::open(config, store, may_use).await?,
        })
    }

    /// Keys in tokens.
    pub(crate) fn tokens(&self) -> &TokenKeys {
        &self.tokens
    }

    /// Authorities that AWS Private CA holds.
    pub(crate) fn private_cas(&self) -> &PrivateCas {
        &self.private_cas
    }

    /// What makes keys in KMS, and its region.
    #[cfg(feature = "backend-kms")]
    pub(crate) fn kms_maker(&self) -> Result<(&KmsKeys, String), SignerError> {
        let kms = self.kms.opened().ok_or_else(no_maker)?;
        let no_region = || SignerError::Refused {
            detail:
                "no region is known in which KMS is to make keys; set `aws.region` (CA__AWS__REGION), or AWS_REGION"
                    .to_owned(),
        };
        Ok((kms, kms.region().ok_or_else(no_region)?))
    }

    /// Calls of AWS so far.
    pub(crate) fn aws_calls(&self) -> Vec<AwsCalls> {
        let calls = self.private_cas.calls();
        #[cfg(feature = "backend-kms")]
        let calls = self.kms.opened().map(calls_of).unwrap_or_default().into_iter().chain(calls).collect();
        calls
    }
}

/// The way to KMS. It is opened at the start if a key there is known of by then, else by the first that comes on record: another
/// replica may put one there at any time.
#[cfg(feature = "backend-kms")]
struct WayToKms {
    place: AwsPlace,
    quotas: KmsQuotas,
    keys: OnceCell<KmsKeys>,
}

#[cfg(feature = "backend-kms")]
impl WayToKms {
    async fn open(config: &Config, store: &dyn Store, may_use: bool) -> Result<Self, StoreError> {
        let quotas = KmsQuotas { rsa: config.kms_quota.rsa, elliptic_curves: config.kms_quota.elliptic_curves };
        let way = Self { place: config.aws.clone(), quotas, keys: OnceCell::new() };
        let (first, makes) = (first_in_kms(config, store).await?, makes_in_kms(config));
        if may_use && (first.is_some() || makes) {
            // What is no ARN of a key is refused when it is used, with a reason.
            let arn = first.and_then(|arn| KmsKeyArn::parse(&arn).ok());
            way.keys(arn.as_ref().map_or("", KmsKeyArn::region)).await;
        }
        Ok(way)
    }

    /// `region` is one in which a key lies.
    async fn keys(&self, region: &str) -> &KmsKeys {
        let open = || async { KmsKeys::new(AwsAccess::find_for(&self.place, region).await, self.quotas) };
        self.keys.get_or_init(open).await
    }

    fn opened(&self) -> Option<&KmsKeys> {
        self.keys.get()
    }
}

/// A key in KMS that is planned or on record.
#[cfg(feature = "backend-kms")]
async fn first_in_kms(config: &Config, store: &dyn Store) -> Result<Option<String>, StoreError> {
    let planned = config.authorities.named().map(|(_, authority)| match &authority.key {
        KeyPlan::External(home) => Some(home.clone()),
        KeyPlan::Software(_) | KeyPlan::MadeInKms(_) | KeyPlan::Token { .. } | KeyPlan::PrivateCa(_) => None,
    });
    let recorded = store.authorities().await?.into_iter().map(|record| record.key_home);
    Ok(planned.into_iter().flatten().chain(recorded).find_map(|home| match home {
        KeyHome::Kms(arn) => Some(arn),
        _ => None,
    }))
}

/// Whether a key is to be made there.
#[cfg(feature = "backend-kms")]
fn makes_in_kms(config: &Config) -> bool {
    config.authorities.named().iter().any(|(_, authority)| matches!(authority.key, KeyPlan::MadeInKms(_)))
}

#[cfg(feature = "backend-kms")]
fn calls_of(kms: &KmsKeys) -> Vec<AwsCalls> {
    let count = |count: ca_backends::aws::CallCount| AwsCalls {
        service: "kms",
        operation: count.operation,
        outcome: count.outcome.as_str(),
        calls: count.calls,
        micro_dollars: count.micro_dollars,
    };
    kms.calls().into_iter().map(count).collect()
}

#[async_trait]
impl ExternalKeys for HeldKeys {
    async fn find(&self, home: &KeyHome) -> Result<Arc<dyn Signer>, SignerError> {
        match home {
            KeyHome::Pkcs11(uri) => self.tokens.find(uri).await,
            #[cfg(feature = "backend-kms")]
            KeyHome::Kms(arn) if self.may_use => {
                let arn = parsed(arn)?;
                Ok(Arc::new(self.kms.keys(arn.region()).await.find(&arn).await?))
            }
            _ => Err(no_adapter(home)),
        }
    }

    async fn open(&self, home: &KeyHome, public_key: &PublicKey) -> Result<Option<Arc<dyn Signer>>, SignerError> {
        if !self.may_use {
            return Ok(None);
        }
        match home {
            KeyHome::Pkcs11(uri) => self.tokens.open(uri, public_key).map(Some),
            #[cfg(feature = "backend-kms")]
            KeyHome::Kms(arn) => {
                let arn = parsed(arn)?;
                Ok(Some(Arc::new(self.kms.keys(arn.region()).await.open(&arn, public_key)?)))
            }
            _ => Err(no_adapter(home)),
        }
    }

    async fn issuer(&self, home: &KeyHome) -> Result<Option<Arc<dyn CertificateIssuer>>, SignerError> {
        match home {
            KeyHome::AcmPca(_) if !self.may_use => Ok(None),
            KeyHome::AcmPca(arn) => self.private_cas.issuer(arn).await.map(Some),
            _ => Err(no_adapter(home)),
        }
    }
}

#[cfg(feature = "backend-kms")]
fn parsed(arn: &str) -> Result<KmsKeyArn, SignerError> {
    KmsKeyArn::parse(arn).map_err(|problem| SignerError::Refused { detail: format!("`{arn}` on record: {problem}") })
}

/// A key in KMS for who has neither record nor configuration: a ceremony, which signs a few times.
#[cfg(feature = "backend-kms")]
pub(crate) async fn find_in_kms(place: &AwsPlace, key: &KmsKeyArn) -> Result<Arc<dyn Signer>, SignerError> {
    let access = AwsAccess::find_for(place, key.region()).await;
    Ok(Arc::new(KmsKeys::new(access, CEREMONY_QUOTAS).find(key).await?))
}

/// A ceremony makes a handful of calls.
#[cfg(feature = "backend-kms")]
const CEREMONY_QUOTAS: KmsQuotas = KmsQuotas { rsa: 10, elliptic_curves: 10 };

/// Refused: what is asked for is never left out in silence.
#[cfg(not(feature = "backend-kms"))]
pub(crate) async fn find_in_kms(_: &AwsPlace, _: &KmsKeyArn) -> Result<Arc<dyn Signer>, SignerError> {
    Err(SignerError::Unavailable { detail: NotBuiltIn { configured_as: "root.key" }.to_string() })
}

#[cfg(feature = "backend-kms")]
fn no_maker() -> SignerError {
    SignerError::Unavailable { detail: "this process makes no keys in AWS KMS".to_owned() }
}

fn no_adapter(home: &KeyHome) -> SignerError {
    let detail = match home {
        KeyHome::Kms(_) if cfg!(feature = "backend-kms") => {
            format!("this process is not meant to use keys of authorities, and does not reach the one in {home}")
        }
        KeyHome::Kms(_) => {
            format!(
                "this program was built without AWS KMS (feature `backend-kms`) and does not reach the key in {home}"
            )
        }
        _ => format!("this build does not reach keys in {home}"),
    };
    SignerError::Unavailable { detail }
}

/// What a configuration asks for that this build does not have: for `check-config`.
pub(crate) fn check(config: &Config) -> Result<(), NotBuiltIn> {
    check_for(config, cfg!(feature = "backend-kms"))
}

fn check_for(config: &Config, has_kms: bool) -> Result<(), NotBuiltIn> {
    if has_kms {
        return Ok(());
    }
    let in_kms = |(_, authority): &(&str, &AuthorityConfig)| {
        matches!(authority.key, KeyPlan::External(KeyHome::Kms(_)) | KeyPlan::MadeInKms(_))
    };
    match config.authorities.named().into_iter().find(in_kms) {
        Some((configured_as, _)) => Err(NotBuiltIn { configured_as }),
        None => Ok(()),
    }
}

/// A key in KMS is wanted of a program that cannot reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{configured_as}: this program was built without AWS KMS (feature `backend-kms`); take one that has it, or a key that the service \
     makes, as in `software:p256`"
)]
pub struct NotBuiltIn {
    /// The key of the configuration that wants it.
    pub configured_as: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "kms:arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn a_build_without_kms_names_the_feature_and_who_wants_it() {
        let config = Config::check(&format!("[authority.tls]\nkey = \"{KEY}\""), []).expect("no fault");
        let said = check_for(&config, false).expect_err("it is not there").to_string();
        assert!(said.starts_with("authority.tls.key: ") && said.contains("feature `backend-kms`"), "{said}");
        assert_eq!(check_for(&config, true), Ok(()));
        assert_eq!(check_for(&Config::check("", []).expect("no fault"), false), Ok(()), "nothing asks for it");
    }
}
