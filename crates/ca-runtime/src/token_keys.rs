//! Keys of authorities in tokens behind PKCS#11: from URIs and the configuration to the adapter of `ca-backends`.

use std::fs::File;
use std::sync::Arc;

#[cfg(feature = "backend-pkcs11")]
use ca_backends::signer::pkcs11::Pkcs11Tokens;
use ca_backends::signer::pkcs11::{PinSource, TokenSettings};
use ca_core::key::{KeyType, PublicKey};
use ca_core::pkcs11_uri::Pkcs11Uri;
use ca_engine::port::signer::{Signer, SignerError};
use thiserror::Error;

use crate::config::{Config, Pkcs11Config};

/// The tokens of a configuration.
pub(crate) struct TokenKeys {
    config: Pkcs11Config,
    #[cfg(feature = "backend-pkcs11")]
    tokens: Pkcs11Tokens,
}

/// Ends the use of tokens, for a process that is about to end. To be called last: a module must not be torn down by the exit of the
/// process while a thread is inside of it.
pub fn close_token_modules() {
    #[cfg(feature = "backend-pkcs11")]
    ca_backends::signer::pkcs11::close_modules();
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
        let settings = settings.map_err(|detail| KeyWayFault { configured_as: "pkcs11".to_owned(), detail })?;
        let fault = |detail| KeyWayFault { configured_as: settings.configured_as.clone(), detail };
        if !cfg!(feature = "backend-pkcs11") {
            return Err(fault(NOT_BUILT_IN.to_owned()));
        }
        let candidates = settings.module.candidates();
        if !candidates.iter().any(|file| file.is_file()) {
            return Err(fault(format!(
                "there is no PKCS#11 module {}; install it, or correct `module`",
                settings.module
            )));
        }
        if let PinSource::File(path) = &settings.pin
            && let Err(error) = File::open(path)
        {
            return Err(fault(format!("the file of the PIN, {}: {error}", path.display())));
        }
    }
    Ok(())
}

impl TokenKeys {
    /// Nothing is loaded and no token is asked.
    pub(crate) fn new(config: Pkcs11Config) -> Self {
        Self {
            config,
            #[cfg(feature = "backend-pkcs11")]
            tokens: Pkcs11Tokens::new(),
        }
    }

    /// The way to the token of a URI.
    fn way_to(&self, uri: &Pkcs11Uri) -> Result<TokenSettings, SignerError> {
        let refused = |detail: String| SignerError::Refused { detail: format!("{}: {detail}", uri.identity()) };
        self.config.settings_of(uri).map_err(refused)
    }
}

#[cfg(feature = "backend-pkcs11")]
impl TokenKeys {
    /// The key of a URI, if its token has it.
    pub(crate) async fn find_if_there(&self, uri: &Pkcs11Uri) -> Result<Option<Arc<dyn Signer>>, SignerError> {
        let found = self.tokens.find_if_there(uri, &self.way_to(uri)?).await?;
        Ok(found.map(|signer| Arc::new(signer) as Arc<dyn Signer>))
    }

    /// Makes the key of a URI in its token.
    pub(crate) async fn make(&self, uri: &Pkcs11Uri, key_type: KeyType) -> Result<Arc<dyn Signer>, SignerError> {
        Ok(Arc::new(self.tokens.make(uri, &self.way_to(uri)?, key_type).await?))
    }

    /// The key of a URI on record.
    pub(crate) async fn find(&self, uri: &str) -> Result<Arc<dyn Signer>, SignerError> {
        let uri = read(uri)?;
        Ok(Arc::new(self.tokens.find(&uri, &self.way_to(&uri)?).await?))
    }

    /// The same, its public part known; no call is made.
    pub(crate) fn open(&self, uri: &str, public_key: &PublicKey) -> Result<Arc<dyn Signer>, SignerError> {
        let uri = read(uri)?;
        Ok(Arc::new(self.tokens.open(&uri, &self.way_to(&uri)?, public_key.clone())))
    }
}

#[cfg(not(feature = "backend-pkcs11"))]
impl TokenKeys {
    /// Refused: what is asked for is never left out in silence.
    pub(crate) async fn find_if_there(&self, uri: &Pkcs11Uri) -> Result<Option<Arc<dyn Signer>>, SignerError> {
        self.way_to(uri)?;
        Err(no_adapter(uri))
    }

    /// Refused as well.
    pub(crate) async fn make(&self, uri: &Pkcs11Uri, _: KeyType) -> Result<Arc<dyn Signer>, SignerError> {
        Err(no_adapter(uri))
    }

    /// The key of a URI on record.
    pub(crate) async fn find(&self, uri: &str) -> Result<Arc<dyn Signer>, SignerError> {
        Err(no_adapter(&read(uri)?))
    }

    /// The same, its public part known; no call is made.
    pub(crate) fn open(&self, uri: &str, _: &PublicKey) -> Result<Arc<dyn Signer>, SignerError> {
        Err(no_adapter(&read(uri)?))
    }
}

/// A URI that is on record.
fn read(uri: &str) -> Result<Pkcs11Uri, SignerError> {
    uri.parse().map_err(|error| SignerError::Refused { detail: format!("the URI of the key on record: {error}") })
}

const NOT_BUILT_IN: &str = "this program was built without PKCS#11 (feature `backend-pkcs11`); take one that has it";

#[cfg(not(feature = "backend-pkcs11"))]
fn no_adapter(uri: &Pkcs11Uri) -> SignerError {
    SignerError::Unavailable { detail: format!("{}: {NOT_BUILT_IN}", uri.identity()) }
}
