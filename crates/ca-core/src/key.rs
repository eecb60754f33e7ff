//! Public keys, their weaknesses, and the algorithms that sign with them.

use std::fmt;

/// A kind of key, as configuration and profiles name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// `rsa2048`
    Rsa2048,
    /// `rsa3072`
    Rsa3072,
    /// `rsa4096`
    Rsa4096,
    /// `p256`
    P256,
    /// `p384`
    P384,
    /// `p521`
    P521,
    /// `ed25519`
    Ed25519,
}

/// A signature algorithm, as an AlgorithmIdentifier names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureAlgorithm {
    /// sha256WithRSAEncryption
    RsaSha256,
    /// sha384WithRSAEncryption
    RsaSha384,
    /// sha512WithRSAEncryption
    RsaSha512,
    /// ecdsa-with-SHA256
    EcdsaSha256,
    /// ecdsa-with-SHA384
    EcdsaSha384,
    /// ecdsa-with-SHA512
    EcdsaSha512,
    /// id-Ed25519 (RFC 8410)
    Ed25519,
}

/// A SubjectPublicKeyInfo whose key was checked and found strong.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    spki_der: Vec<u8>,
    key_type: KeyType,
}

impl PublicKey {
    /// The DER of the SubjectPublicKeyInfo, byte for byte as given.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// What kind of key it is.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?})", self.key_type)
    }
}
