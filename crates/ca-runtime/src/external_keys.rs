//! Keys of authorities that are held elsewhere, each reached by the adapter of its home.

use std::sync::Arc;

use async_trait::async_trait;
use ca_core::key::PublicKey;
use ca_engine::port::external_keys::ExternalKeys;
use ca_engine::port::signer::{Signer, SignerError};
use ca_engine::port::store::KeyHome;

/// The adapters of this build.
pub(crate) struct HeldKeys {
    /// Whether this process may use keys of authorities: role `status` may not.
    may_use: bool,
}

impl HeldKeys {
    pub(crate) const fn new(may_use: bool) -> Self {
        Self { may_use }
    }
}

#[async_trait]
impl ExternalKeys for HeldKeys {
    async fn find(&self, home: &KeyHome) -> Result<Arc<dyn Signer>, SignerError> {
        Err(no_adapter(home))
    }

    fn open(&self, home: &KeyHome, _: &PublicKey) -> Result<Option<Arc<dyn Signer>>, SignerError> {
        if !self.may_use {
            return Ok(None);
        }
        Err(no_adapter(home))
    }
}

fn no_adapter(home: &KeyHome) -> SignerError {
    SignerError::Unavailable { detail: format!("this build does not reach keys in {home}") }
}
