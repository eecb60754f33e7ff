//! Keys of authorities outside of the service: in AWS KMS, in a PKCS#11 token.

use std::sync::Arc;

use async_trait::async_trait;
use ca_core::key::PublicKey;

use super::certificate_issuer::CertificateIssuer;
use super::signer::{Signer, SignerError};
use super::store::KeyHome;

/// The way to keys that the service uses and never holds.
#[async_trait]
pub trait ExternalKeys: Send + Sync {
    /// The key as it is there, its public part asked for: for an authority that has no certificate yet.
    async fn find(&self, home: &KeyHome) -> Result<Arc<dyn Signer>, SignerError>;

    /// A key whose public part is on record, whenever it came there. Its home is not asked: a service starts while its keys cannot be
    /// reached. `None` in a process that is not meant to use keys of authorities.
    async fn open(&self, home: &KeyHome, public_key: &PublicKey) -> Result<Option<Arc<dyn Signer>>, SignerError>;

    /// The issuer that holds an authority's key and issues by itself, which is no signer. As [`Self::open`], it is not asked.
    async fn issuer(&self, home: &KeyHome) -> Result<Option<Arc<dyn CertificateIssuer>>, SignerError> {
        Err(unknown(home))
    }
}

/// A service all of whose keys are its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoExternalKeys;

#[async_trait]
impl ExternalKeys for NoExternalKeys {
    async fn find(&self, home: &KeyHome) -> Result<Arc<dyn Signer>, SignerError> {
        Err(unknown(home))
    }

    async fn open(&self, home: &KeyHome, _: &PublicKey) -> Result<Option<Arc<dyn Signer>>, SignerError> {
        Err(unknown(home))
    }
}

fn unknown(home: &KeyHome) -> SignerError {
    SignerError::Unavailable { detail: format!("this process has no way to keys in {home}") }
}
