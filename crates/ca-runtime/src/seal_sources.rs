//! The seals that a configuration names, ready to open: passphrases read, the way to KMS found. With [`crate::open`] and its like the
//! wiring, and the only files that name concrete adapters.

use std::sync::Arc;

use ca_backends::aws::{AwsPlace, KmsKeyArn};
use ca_engine::port::wrapping_key::{WrappingKey, WrappingPurpose};
use thiserror::Error;

use crate::config::{Config, PassphraseSource, SealSource};
use crate::root_password::RootPassword;
use crate::seal::{Passphrase, PassphraseError, Seal, Seals};

/// A seal that cannot be used, whether it answers or not.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealSourceFault {
    /// The passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The way to KMS.
    #[error("seal.key: {detail}")]
    Kms {
        /// What is wrong and what would be right.
        detail: String,
    },
}

/// What of them can be judged without a look at files or network: for `check-config`.
pub(crate) fn check(config: &Config) -> Result<(), SealSourceFault> {
    check_for(config, cfg!(feature = "backend-kms"))
}

fn check_for(config: &Config, has_kms: bool) -> Result<(), SealSourceFault> {
    let is_kms = |source: &SealSource| matches!(source, SealSource::Kms(_));
    let asks_kms = is_kms(&config.seal.authorities) || config.seal.responders.as_ref().is_some_and(is_kms);
    if asks_kms && !has_kms { Err(not_built_in()) } else { Ok(()) }
}

/// The seals of a process. `for_status` gives the responders' only; `read` reads a passphrase, or makes it where that is right.
pub(crate) async fn seals(
    config: &Config,
    for_status: bool,
    read: impl Fn(&PassphraseSource) -> Result<Passphrase, PassphraseError>,
) -> Result<Seals, SealSourceFault> {
    let seal = async |source: &SealSource, purpose: WrappingPurpose| {
        Ok::<_, SealSourceFault>(match source {
            SealSource::Passphrase(source) => Seal::Passphrase(Arc::new(read(source)?)),
            SealSource::Kms(arn) => Seal::External(wrapping_key(&config.aws, arn).await?, purpose),
        })
    };
    let responders = match &config.seal.responders {
        Some(source) => Some(seal(source, WrappingPurpose::Responders).await?),
        None => None,
    };
    if for_status && let Some(responders) = responders {
        return Ok(Seals { authorities: None, responders });
    }
    let authorities = seal(&config.seal.authorities, WrappingPurpose::Authorities).await?;
    let responders = responders.unwrap_or_else(|| authorities.clone());
    Ok(Seals { authorities: Some(authorities).filter(|_| !for_status), responders })
}

/// What opens the root's key file, under a seal.
pub(crate) fn root_password(seal: &Seal) -> RootPassword {
    match seal {
        Seal::Passphrase(passphrase) => RootPassword::Passphrase(Arc::clone(passphrase)),
        Seal::External(key, _) => RootPassword::Wrapped(Arc::clone(key)),
    }
}

/// The way to a key of KMS. Nothing is asked of it yet.
#[cfg(feature = "backend-kms")]
pub(crate) async fn wrapping_key(place: &AwsPlace, arn: &KmsKeyArn) -> Result<Arc<dyn WrappingKey>, SealSourceFault> {
    use ca_backends::aws::AwsAccess;
    use ca_backends::wrapping_key::KmsWrappingKey;

    let access = AwsAccess::find_for(place, arn.region()).await;
    Ok(Arc::new(KmsWrappingKey::new(&access, arn.clone())))
}

/// Refuses one that is configured: what is asked for is never left out in silence.
#[cfg(not(feature = "backend-kms"))]
pub(crate) async fn wrapping_key(_: &AwsPlace, _: &KmsKeyArn) -> Result<Arc<dyn WrappingKey>, SealSourceFault> {
    Err(not_built_in())
}

fn not_built_in() -> SealSourceFault {
    let detail = "this program was built without AWS KMS (feature `backend-kms`); take one that has it, or name a passphrase_file";
    SealSourceFault::Kms { detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "kms:arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn a_build_without_kms_names_the_feature() {
        for text in [format!("[seal]\nkey = \"{KEY}\""), format!("[seal.responders]\nkey = \"{KEY}\"")] {
            let config = Config::check(&text, []).expect("no fault");
            let said = check_for(&config, false).expect_err("it is not there").to_string();
            assert!(said.starts_with("seal.key: ") && said.contains("feature `backend-kms`"), "{said}");
            assert!(check_for(&config, true).is_ok());
        }
        assert!(check_for(&Config::check("", []).expect("no fault"), false).is_ok(), "nothing asks for it");
    }
}
