//! Where a certificate is wanted whose rotation the service owns: files of a host, a store of secrets.
//!
//! A target is the only place beside memory that ever has the key. So the key goes there *first*, together with the request that proves
//! its possession, and what is asked of an issuer is that request: whoever is cut off after it finds the same request again, asks for
//! the same certificate again, and no certificate is made whose key is lost. What is staged or delivered is *pending*: nobody who
//! reads the target sees it until it is promoted, as a whole.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ca_core::id::RotationId;
use ca_core::key::KeyType;
use ca_core::managed::definition::{EndpointDefinition, TargetDefinition};
use thiserror::Error;
use zeroize::Zeroizing;

use super::signer::Signer;

/// The PKCS#8 DER of a private key, wiped when dropped; `Debug` hides it.
pub struct PrivateKeyOctets(Zeroizing<Vec<u8>>);

impl PrivateKeyOctets {
    /// Takes the octets over.
    pub fn new(pkcs8: Zeroizing<Vec<u8>>) -> Self {
        Self(pkcs8)
    }

    /// The octets.
    pub fn as_pkcs8(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PrivateKeyOctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyOctets(…)")
    }
}

/// A key that waits for its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedKey {
    /// For which rotation it was made.
    pub rotation: RotationId,
    /// The DER of the request that proves possession of it.
    pub request: Vec<u8>,
}

/// What a target has in one place, read back from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCertificate {
    /// The rotation that brought it.
    pub rotation: RotationId,
    /// The DER of the certificate.
    pub certificate: Vec<u8>,
    /// The DER of the certificates above it, issuer first, the root left out.
    pub chain: Vec<Vec<u8>>,
    /// SHA-256 of the SubjectPublicKeyInfo of the private key that lies there.
    pub key_spki_sha256: [u8; 32],
}

/// Where in a target something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetPlace {
    /// Delivered, and seen by nobody yet (`AWSPENDING`).
    Pending,
    /// What readers get (`AWSCURRENT`).
    Current,
    /// What they got before (`AWSPREVIOUS`).
    Previous,
}

/// One target. Every call may be repeated, after any failure and by another process; rival callers take turns.
#[async_trait]
pub trait CertificateTarget: Send + Sync {
    /// The key that is pending, whether or not its certificate was delivered.
    async fn staged(&self) -> Result<Option<StagedKey>, TargetError>;

    /// Puts a key there as pending, in the place of one that was pending before. Staging for a rotation that is pending already
    /// changes nothing: the key that is there stays.
    async fn stage(&self, staged: &StagedKey, key: &PrivateKeyOctets) -> Result<(), TargetError>;

    /// Puts the certificate beside its pending key. [`TargetError::Refused`] when another rotation is pending, or none.
    async fn deliver(&self, rotation: RotationId, certificate: &[u8], chain: &[Vec<u8>]) -> Result<(), TargetError>;

    /// What is in a place; `None` when nothing is, or a key that waits for its certificate. [`TargetError::Foreign`] when what is there
    /// cannot be read as what this port put there.
    async fn look(&self, place: TargetPlace) -> Result<Option<HeldCertificate>, TargetError>;

    /// The private key that is current, for who is to certify it again; `None` when nothing is. Errors as [`Self::look`].
    async fn current_key(&self) -> Result<Option<PrivateKeyOctets>, TargetError>;

    /// Makes what is pending current, at once and as a whole, and what was current previous. Repeating it is harmless. It is
    /// [`TargetError::Refused`], and nothing changes, when neither pending nor current is of this rotation, when its certificate was
    /// not delivered, or when key and certificate are no pair.
    async fn promote(&self, rotation: RotationId) -> Result<(), TargetError>;
}

/// Why a target did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It cannot be reached or written at this moment; a retry may help. Something may have been done.
    #[error("the target cannot be used at this moment: {detail}")]
    Unavailable {
        /// What went wrong, without secrets.
        detail: String,
    },
    /// It does not do this; a retry does not help until somebody has put it right. Nothing was changed.
    #[error("the target refuses: {detail}")]
    Refused {
        /// What is wrong and what would be right.
        detail: String,
    },
    /// Somebody else put something there, or changed what was there. Nothing was changed.
    #[error("the target holds what this service did not put there: {detail}")]
    Foreign {
        /// What is there and what would be right.
        detail: String,
    },
}

/// The way to every target that definitions name.
#[async_trait]
pub trait CertificateTargets: Send + Sync {
    /// A target by its definition. Nothing is asked of the target yet. [`TargetError::Refused`] when it cannot be as it is defined, or
    /// is of a kind that this process has no way to.
    async fn open(&self, target: &TargetDefinition) -> Result<Arc<dyn CertificateTarget>, TargetError>;

    /// Why this process will never open such a target, as far as that is known without asking anybody, and what would help; `None` when
    /// nothing is known against it.
    fn refusal(&self, target: &TargetDefinition) -> Option<String>;
}

/// A private key in memory, for a target.
pub struct MadeKey {
    /// What the target is given.
    pub octets: PrivateKeyOctets,
    /// The key, to sign its request.
    pub signer: Arc<dyn Signer>,
}

impl fmt::Debug for MadeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeKey").field("public_key", self.signer.public_key()).finish_non_exhaustive()
    }
}

/// Makes the keys of managed certificates. They are kept nowhere but in their target.
#[async_trait]
pub trait KeyMaker: Send + Sync {
    /// A new key. One of RSA takes up to seconds, and holds up no other call.
    async fn make(&self, key_type: KeyType) -> Result<MadeKey, KeyMakerError>;

    /// A key that was made before, read back from where it lies.
    async fn read(&self, octets: PrivateKeyOctets) -> Result<MadeKey, KeyMakerError>;
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyMakerError {
    /// None can be made at this moment.
    #[error("no key can be made at this moment: {detail}")]
    Unavailable {
        /// What went wrong.
        detail: String,
    },
    /// What was given is no key.
    #[error("the key cannot be read: {detail}")]
    Malformed {
        /// What is wrong, without the key.
        detail: String,
    },
}

/// Looks at what a TLS server shows.
#[async_trait]
pub trait EndpointProbe: Send + Sync {
    /// The DER of the certificates that the server shows, its own first. They are not verified: what is wanted is the octets.
    async fn served(&self, endpoint: &EndpointDefinition) -> Result<Vec<Vec<u8>>, ProbeError>;
}

/// Why it is not known what a server shows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{address} does not show a certificate: {detail}")]
pub struct ProbeError {
    /// Whom was asked.
    pub address: String,
    /// What went wrong.
    pub detail: String,
}

/// What rotations need beside the record: the targets, keys for them, and a look at what is served.
#[derive(Clone)]
pub struct ManagedPorts {
    /// The targets.
    pub targets: Arc<dyn CertificateTargets>,
    /// Keys.
    pub keys: Arc<dyn KeyMaker>,
    /// What is served.
    pub probe: Arc<dyn EndpointProbe>,
}

impl ManagedPorts {
    /// Of a process that rotates nothing.
    pub fn none() -> Self {
        Self { targets: Arc::new(Nowhere), keys: Arc::new(Nowhere), probe: Arc::new(Nowhere) }
    }
}

impl fmt::Debug for ManagedPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ManagedPorts")
    }
}

/// No targets, no keys, no looks.
struct Nowhere;

/// What a process says that rotates nothing.
const NOT_HERE: &str = "this process rotates no certificates";

#[async_trait]
impl CertificateTargets for Nowhere {
    async fn open(&self, _: &TargetDefinition) -> Result<Arc<dyn CertificateTarget>, TargetError> {
        Err(TargetError::Unavailable { detail: NOT_HERE.to_owned() })
    }

    fn refusal(&self, _: &TargetDefinition) -> Option<String> {
        None
    }
}

#[async_trait]
impl KeyMaker for Nowhere {
    async fn make(&self, _: KeyType) -> Result<MadeKey, KeyMakerError> {
        Err(KeyMakerError::Unavailable { detail: NOT_HERE.to_owned() })
    }

    async fn read(&self, _: PrivateKeyOctets) -> Result<MadeKey, KeyMakerError> {
        Err(KeyMakerError::Unavailable { detail: NOT_HERE.to_owned() })
    }
}

#[async_trait]
impl EndpointProbe for Nowhere {
    async fn served(&self, endpoint: &EndpointDefinition) -> Result<Vec<Vec<u8>>, ProbeError> {
        Err(ProbeError { address: endpoint.address.clone(), detail: NOT_HERE.to_owned() })
    }
}
