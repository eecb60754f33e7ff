//! Keys of authorities that are held elsewhere, each reached by the adapter of its home.

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
#[cfg(feature = "backend-pkcs11")]
use ca_backends::signer::pkcs11::Pkcs11Tokens;
use ca_backends::signer::pkcs11::{PinSource, TokenSettings};
use ca_core::key::{KeyType, PublicKey};
use ca_core::pkcs11_uri::Pkcs11Uri;
use ca_engine::port::external_keys::ExternalKeys;
use ca_engine::port::signer::{Signer, SignerError};
use ca_engine::port::store::KeyHome;
use thiserror::Error;

use crate::config::{Config, Pkcs11Config};

/// The adapters of this build.
pub(crate) struct HeldKeys {
    /// Whether this process may use keys of authorities: role `status` may not.
    may_use: bool,
    pkcs11: Pkcs11Config,
    #[cfg(feature = "backend-pkcs11")]
    tokens: Pkcs11Tokens,
}

/// A way to a key that cannot be gone as it is configured, whether the key is there or not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{configured_as}: {detail}")]
pub struct KeyWayFault {
    /// Where it was configured.
    pub configured_as: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// What of the ways to keys can be judged without a call: for `check-config`.
pub(crate) fn check(config: &Config) -> Result<(), KeyWayFault> {
    for uri in config.pkcs11.uris() {
        let settings = config.pkcs11.settings_of(uri);
        let settings =
            settings.map_err(|detail| KeyWayFault { configured_as: "pkcs11".to_owned(), detail })?;
        let fault = |detail| KeyWayFault { configured_as: settings.configured_as.clone(), detail };
        if !cfg!(feature = "backend-pkcs11") {
            return Err(fault(NOT_BUILT_IN.to_owned()));
        }
        let candidates = settings.module.candidates();
        if !candidates.iter().any(|file| file.is_file()) {
            return Err(fault(format!("there is no PKCS#11 module {}; install it, or correct `module`", settings.module)));
        }
        if let PinSource::File(path) = &settings.pin
            && let Err(error) = File::open(path)
        {
            return Err(fault(format!("the file of the PIN, {}: {error}", path.display())));
        }
    }
    Ok(())
}

impl HeldKeys {
    pub(crate) fn new(may_use: bool, pkcs11: Pkcs11Config) -> Self {
        Self {
            may_use,
            pkcs11,
            #[cfg(feature = "backend-pkcs11")]
            tokens: Pkcs11Tokens::new(),
        }
    }

    /// The way to the token of a URI.
    fn way_to(&self, uri: &Pkcs11Uri) -> Result<TokenSettings, SignerError> {
        let refused = |detail: String| SignerError::Refused { detail: format!("{}: {detail}", uri.identity()) };
        self.pkcs11.settings_of(uri).map_err(refused)
    }
}

#[cfg(feature = "backend-pkcs11")]
impl HeldKeys {
    /// The key of a URI, if its token has it.
    pub(crate) async fn find_in_token(&self, uri: &Pkcs11Uri) -> Result<Option<Arc<dyn Signer>>, SignerError> {
        let found = self.tokens.find_if_there(uri, &self.way_to(uri)?).await?;
        Ok(found.map(|signer| Arc::new(signer) as Arc<dyn Signer>))
    }

    /// Makes the key of a URI in its token.
    pub(crate) async fn make_in_token(
        &self,
        uri: &Pkcs11Uri,
        key_type: KeyType,
    ) -> Result<Arc<dyn Signer>, SignerError> {
        Ok(Arc::new(self.tokens.make(uri, &self.way_to(uri)?, key_type).await?))
    }

    async fn find_by_uri(&self, uri: &str) -> Result<Arc<dyn Signer>, SignerError> {
        let uri = read(uri)?;
        Ok(Arc::new(self.tokens.find(&uri, &self.way_to(&uri)?).await?))
    }

    fn open_by_uri(&self, uri: &str, public_key: &PublicKey) -> Result<Arc<dyn Signer>, SignerError> {
        let uri = read(uri)?;
        Ok(Arc::new(self.tokens.open(&uri, &self.way_to(&uri)?, public_key.clone())))
    }
}

#[cfg(not(feature = "backend-pkcs11"))]
impl HeldKeys {
    /// Refused: what is asked for is never left out in silence.
    pub(crate) async fn find_in_token(&self, uri: &Pkcs11Uri) -> Result<Option<Arc<dyn Signer>>, SignerError> {
        self.way_to(uri)?;
        Err(no_adapter(&KeyHome::Pkcs11(uri.identity().to_string())))
    }

    /// Refused as well.
    pub(crate) async fn make_in_token(&self, uri: &Pkcs11Uri, _: KeyType) -> Result<Arc<dyn Signer>, SignerError> {
        Err(no_adapter(&KeyHome::Pkcs11(uri.identity().to_string())))
    }

    async fn find_by_uri(&self, uri: &str) -> Result<Arc<dyn Signer>, SignerError> {
        Err(no_adapter(&KeyHome::Pkcs11(read(uri)?.to_string())))
    }

    fn open_by_uri(&self, uri: &str, _: &PublicKey) -> Result<Arc<dyn Signer>, SignerError> {
        Err(no_adapter(&KeyHome::Pkcs11(read(uri)?.to_string())))
    }
}

/// A URI that is on record.
fn read(uri: &str) -> Result<Pkcs11Uri, SignerError> {
    uri.parse().map_err(|error| SignerError::Refused { detail: format!("the URI of the key on record: {error}") })
}

#[async_trait]
impl ExternalKeys for HeldKeys {
    async fn find(&self, home: &KeyHome) -> Result<Arc<dyn Signer>, SignerError> {
        match home {
            KeyHome::Pkcs11(uri) => self.find_by_uri(uri).await,
            _ => Err(no_adapter(home)),
        }
    }

    fn open(&self, home: &KeyHome, public_key: &PublicKey) -> Result<Option<Arc<dyn Signer>>, SignerError> {
        if !self.may_use {
            return Ok(None);
        }
        match home {
            KeyHome::Pkcs11(uri) => self.open_by_uri(uri, public_key).map(Some),
            _ => Err(no_adapter(home)),
        }
    }
}

const NOT_BUILT_IN: &str = "this program was built without PKCS#11 (feature `backend-pkcs11`); take one that has it";

fn no_adapter(home: &KeyHome) -> SignerError {
    let detail = match home {
        KeyHome::Pkcs11(_) => format!("{home}: {NOT_BUILT_IN}"),
        _ => format!("this build does not reach keys in {home}"),
    };
    SignerError::Unavailable { detail }
}
