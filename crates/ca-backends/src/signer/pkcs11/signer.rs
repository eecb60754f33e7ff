//! The `Signer` port over a key in a token, and the tokens that a process uses.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ca_core::key::{KeyType, PublicKey, SignatureAlgorithm};
use ca_core::pkcs11_uri::Pkcs11Uri;
use ca_core::signing::{Message, Signable, Signature};
use ca_engine::port::signer::{Signer, SignerError, check_fits};

use super::fault::TokenFault;
use super::module::hold;
use super::pool::Pool;
use super::settings::TokenSettings;
use super::token::Token;
use super::work::{Answer, Input, Task, TokenKey};

/// The tokens that a process uses, each with its threads. Nothing is loaded or opened before a key is used.
#[derive(Default)]
pub struct Pkcs11Tokens {
    /// By what was configured and how the token is named: a token has one login, however many authorities have keys in it.
    pools: Mutex<BTreeMap<(String, String), Arc<Pool>>>,
    /// By URI and public key: a hierarchy that is read again has the same keys, and what threads looked up of them holds.
    keys: Mutex<BTreeMap<KeyName, Arc<TokenKey>>>,
}

/// The URI of a key and the DER of its public part.
type KeyName = (String, Vec<u8>);

impl Pkcs11Tokens {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The key as it is in the token, its public part read there: for a new authority. `None` when the token has no such key.
    pub async fn find_if_there(
        &self,
        uri: &Pkcs11Uri,
        settings: &TokenSettings,
    ) -> Result<Option<Pkcs11Signer>, SignerError> {
        match self.signer_of(uri, settings, Task::Find).await {
            Err(TokenFault::KeyMissing { .. }) => Ok(None),
            found => found.map(Some).map_err(TokenFault::into_signer_error),
        }
    }

    /// [`Self::find_if_there`] of a key that must be.
    pub async fn find(&self, uri: &Pkcs11Uri, settings: &TokenSettings) -> Result<Pkcs11Signer, SignerError> {
        self.signer_of(uri, settings, Task::Find).await.map_err(TokenFault::into_signer_error)
    }

    /// Makes the key in the token; refused when one of that name is there. Another process may do the same at the same time: the
    /// caller keeps others away.
    pub async fn make(
        &self,
        uri: &Pkcs11Uri,
        settings: &TokenSettings,
        key_type: KeyType,
    ) -> Result<Pkcs11Signer, SignerError> {
        self.signer_of(uri, settings, Task::Make(key_type)).await.map_err(TokenFault::into_signer_error)
    }

    /// A key whose public part is known. No call is made: whether it is there shows when it signs, or is checked.
    pub fn open(&self, uri: &Pkcs11Uri, settings: &TokenSettings, public_key: PublicKey) -> Pkcs11Signer {
        let name = (uri.identity().to_string(), public_key.spki_der().to_vec());
        let made = || Arc::new(TokenKey::new(uri.identity(), Some(public_key.clone())));
        let key = Arc::clone(hold(&self.keys).entry(name).or_insert_with(made));
        let algorithm = public_key.key_type().signature_algorithm();
        Pkcs11Signer { pool: self.pool(uri, settings), key, public_key, algorithm }
    }

    async fn signer_of(
        &self,
        uri: &Pkcs11Uri,
        settings: &TokenSettings,
        task: Task,
    ) -> Result<Pkcs11Signer, TokenFault> {
        let key = Arc::new(TokenKey::new(uri.identity(), None));
        match self.pool(uri, settings).run(&key, task).await? {
            Answer::PublicKey(public_key) => Ok(self.open(uri, settings, public_key)),
            Answer::Signature(_) | Answer::Ready => Err(other_answer()),
        }
    }

    fn pool(&self, uri: &Pkcs11Uri, settings: &TokenSettings) -> Arc<Pool> {
        let name = (settings.configured_as.clone(), uri.of_token_as_text());
        let mut pools = hold(&self.pools);
        let made = || Arc::new(Pool::new(Token::new(settings.clone(), uri.identity())));
        Arc::clone(pools.entry(name).or_insert_with(made))
    }
}

/// A key in a token. It signs with its type's own algorithm ([`KeyType::signature_algorithm`]) unless it is told another of RSA's;
/// messages are hashed here, but for Ed25519, and never in the token.
pub struct Pkcs11Signer {
    pool: Arc<Pool>,
    key: Arc<TokenKey>,
    public_key: PublicKey,
    algorithm: SignatureAlgorithm,
}

impl Pkcs11Signer {
    /// Signs what is given; the port gives it sealed types alone.
    pub(super) async fn sign_message(&self, message: Message<'_>) -> Result<Signature, SignerError> {
        let algorithm = self.algorithm();
        let input = match (algorithm.hasher(), message) {
            (_, Message::Digest(digest)) if algorithm != SignatureAlgorithm::Ed25519 => Input::Digest(digest.clone()),
            (Some(mut hasher), Message::Whole(octets)) => {
                hasher.update(octets);
                Input::Digest(hasher.finish())
            }
            (None, Message::Whole(octets)) => Input::Whole(octets.to_vec()),
            // No digest stands for a message (RFC 8032 §5.1.6).
            (_, Message::Digest(_)) => {
                return Err(SignerError::Refused { detail: "Ed25519 signs no digest".to_owned() });
            }
        };
        match self.pool.run(&self.key, Task::Sign { algorithm, input }).await.map_err(TokenFault::into_signer_error)? {
            Answer::Signature(octets) => Ok(Signature { algorithm, octets }),
            Answer::PublicKey(_) | Answer::Ready => Err(other_answer().into_signer_error()),
        }
    }
}

impl fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Signer({}, {:?})", self.key.uri, self.public_key)
    }
}

#[async_trait]
impl Signer for Pkcs11Signer {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn with_algorithm(&self, algorithm: SignatureAlgorithm) -> Result<Arc<dyn Signer>, SignerError> {
        check_fits(algorithm, &self.public_key)?;
        if !self.public_key.key_type().is_rsa() && algorithm != self.algorithm {
            let detail = format!("a {} key signs by {} only", self.public_key.key_type(), self.algorithm);
            return Err(SignerError::Refused { detail });
        }
        let (pool, key) = (Arc::clone(&self.pool), Arc::clone(&self.key));
        Ok(Arc::new(Self { pool, key, public_key: self.public_key.clone(), algorithm }))
    }

    async fn sign(&self, message: &dyn Signable) -> Result<Signature, SignerError> {
        self.sign_message(message.message()).await
    }

    /// Looks the key up in its token, compares its public part, and asks whether the token has the mechanism.
    async fn check(&self) -> Result<(), SignerError> {
        self.pool.run(&self.key, Task::Check(self.algorithm)).await.map(drop).map_err(TokenFault::into_signer_error)
    }
}

/// Of a thread that answered another question; none does.
fn other_answer() -> TokenFault {
    TokenFault::Lost { said: "its thread answered another question".to_owned() }
}
