//! What a certificate's key may be used for: the named bits of KeyUsage (RFC 5280 §4.2.1.3) and the purposes of
//! ExtendedKeyUsage (§4.2.1.12), as profiles, templates and lints speak of them.
//!
//! Which uses a kind of certificate has is its profile's business; how they are encoded is that of [`crate::tbs`].

use std::fmt;
use std::str::FromStr;

use const_oid::ObjectIdentifier;
use thiserror::Error;

use crate::key::KeyType;
use crate::oid;

/// One named bit of the KeyUsage BIT STRING.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUsage {
    /// Bit 0: signatures that are neither on certificates nor on CRLs.
    DigitalSignature,
    /// Bit 1: signatures that the signer cannot later deny (`contentCommitment` in newer texts).
    NonRepudiation,
    /// Bit 2: encrypting keys, RSA key transport.
    KeyEncipherment,
    /// Bit 3: encrypting data directly.
    DataEncipherment,
    /// Bit 4: key agreement, ECDH.
    KeyAgreement,
    /// Bit 5: signing certificates.
    KeyCertSign,
    /// Bit 6: signing CRLs.
    CrlSign,
    /// Bit 7: with `keyAgreement`, only for enciphering.
    EncipherOnly,
    /// Bit 8: with `keyAgreement`, only for deciphering.
    DecipherOnly,
}

impl KeyUsage {
    /// Every usage, in the order of its bit.
    pub const ALL: [Self; 9] = [
        Self::DigitalSignature,
        Self::NonRepudiation,
        Self::KeyEncipherment,
        Self::DataEncipherment,
        Self::KeyAgreement,
        Self::KeyCertSign,
        Self::CrlSign,
        Self::EncipherOnly,
        Self::DecipherOnly,
    ];

    /// The name RFC 5280 gives the bit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DigitalSignature => "digitalSignature",
            Self::NonRepudiation => "nonRepudiation",
            Self::KeyEncipherment => "keyEncipherment",
            Self::DataEncipherment => "dataEncipherment",
            Self::KeyAgreement => "keyAgreement",
            Self::KeyCertSign => "keyCertSign",
            Self::CrlSign => "cRLSign",
            Self::EncipherOnly => "encipherOnly",
            Self::DecipherOnly => "decipherOnly",
        }
    }

    /// Whether keys of this type have the operation that the usage names.
    ///
    /// RSA keys sign and encrypt, but agree on nothing (RFC 3279 §2.3.1); ECDSA keys sign and agree (RFC 5480 §3);
    /// Ed25519 keys only sign (RFC 8410 §5).
    pub const fn fits(self, key_type: KeyType) -> bool {
        let signs = matches!(self, Self::DigitalSignature | Self::NonRepudiation | Self::KeyCertSign | Self::CrlSign);
        let encrypts = matches!(self, Self::KeyEncipherment | Self::DataEncipherment);
        match key_type {
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => signs || encrypts,
            KeyType::P256 | KeyType::P384 | KeyType::P521 => !encrypts,
            KeyType::Ed25519 => signs,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of [`KeyUsage`] bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeyUsages(u16);

impl KeyUsages {
    /// No usage.
    pub const EMPTY: Self = Self(0);

    /// This set and one usage more.
    pub const fn with(self, usage: KeyUsage) -> Self {
        Self(self.0 | usage.bit())
    }

    /// Whether the usage is in the set.
    pub const fn contains(self, usage: KeyUsage) -> bool {
        self.0 & usage.bit() != 0
    }

    /// Whether there is no usage at all.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The usages of the set, in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = KeyUsage> {
        KeyUsage::ALL.into_iter().filter(move |usage| self.contains(*usage))
    }
}

impl FromIterator<KeyUsage> for KeyUsages {
    fn from_iter<I: IntoIterator<Item = KeyUsage>>(usages: I) -> Self {
        usages.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// The purpose of a key: one KeyPurposeId.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedKeyUsage(pub ObjectIdentifier);

impl ExtendedKeyUsage {
    /// id-kp-serverAuth
    pub const SERVER_AUTH: Self = Self(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"));
    /// id-kp-clientAuth
    pub const CLIENT_AUTH: Self = Self(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2"));
    /// id-kp-codeSigning
    pub const CODE_SIGNING: Self = Self(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3"));
    /// id-kp-emailProtection
    pub const EMAIL_PROTECTION: Self = Self(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4"));
    /// id-kp-timeStamping
    pub const TIME_STAMPING: Self = Self(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8"));
    /// id-kp-OCSPSigning
    pub const OCSP_SIGNING: Self = Self(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9"));
    /// id-kp-documentSigning (RFC 9336)
    pub const DOCUMENT_SIGNING: Self = Self(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.36"));
    /// anyExtendedKeyUsage
    pub const ANY: Self = Self(ObjectIdentifier::new_unwrap("2.5.29.37.0"));

    const NAMED: [(&'static str, Self); 8] = [
        ("serverAuth", Self::SERVER_AUTH),
        ("clientAuth", Self::CLIENT_AUTH),
        ("codeSigning", Self::CODE_SIGNING),
        ("emailProtection", Self::EMAIL_PROTECTION),
        ("timeStamping", Self::TIME_STAMPING),
        ("OCSPSigning", Self::OCSP_SIGNING),
        ("documentSigning", Self::DOCUMENT_SIGNING),
        ("anyExtendedKeyUsage", Self::ANY),
    ];
}

impl fmt::Display for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyUsage {
    type Err = UsageError;

    /// Reads the name RFC 5280 gives, or `contentCommitment` for bit 1.
    fn from_str(text: &str) -> Result<Self, UsageError> {
        let name = if text == "contentCommitment" { "nonRepudiation" } else { text };
        Self::ALL
            .into_iter()
            .find(|usage| usage.as_str() == name)
            .ok_or_else(|| UsageError::UnknownKeyUsage { text: text.to_owned() })
    }
}

impl fmt::Display for KeyUsages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(KeyUsage::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for KeyUsages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyUsages({self})")
    }
}

impl fmt::Display for ExtendedKeyUsage {
    /// The name where there is one, else the dotted object identifier.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMED.iter().find(|(_, usage)| usage == self) {
            Some((name, _)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for ExtendedKeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtendedKeyUsage({self})")
    }
}

impl FromStr for ExtendedKeyUsage {
    type Err = UsageError;

    /// Reads a name (`serverAuth`) or a dotted object identifier.
    fn from_str(text: &str) -> Result<Self, UsageError> {
        if let Some((_, usage)) = Self::NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(*usage);
        }
        let unknown = || UsageError::UnknownExtendedKeyUsage { text: text.to_owned() };
        oid::from_dotted(text).map(Self).ok_or_else(unknown)
    }
}

/// Text that names no usage.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UsageError {
    /// Not a bit of KeyUsage.
    #[error(
        "`{text}` is not a key usage; they are digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment, \
         keyAgreement, keyCertSign, cRLSign, encipherOnly and decipherOnly"
    )]
    UnknownKeyUsage {
        /// What was given.
        text: String,
    },
    /// Neither a known purpose nor an object identifier.
    #[error(
        "`{text}` is not an extended key usage; write serverAuth, clientAuth, codeSigning, emailProtection, \
         timeStamping, OCSPSigning, documentSigning or an object identifier like 1.3.6.1.5.5.7.3.36"
    )]
    UnknownExtendedKeyUsage {
        /// What was given.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_usages_keep_the_order_of_their_bits() {
        let usages: KeyUsages = [KeyUsage::CrlSign, KeyUsage::DigitalSignature].into_iter().collect();
        assert_eq!(usages.to_string(), "digitalSignature, cRLSign");
        assert!(usages.contains(KeyUsage::CrlSign) && !usages.contains(KeyUsage::KeyCertSign));
    }

    #[test]
    fn names_and_object_identifiers_are_the_same_purpose() {
        for (text, expected) in [
            ("documentSigning", ExtendedKeyUsage::DOCUMENT_SIGNING),
            ("1.3.6.1.5.5.7.3.36", ExtendedKeyUsage::DOCUMENT_SIGNING),
        ] {
            assert_eq!(text.parse::<ExtendedKeyUsage>(), Ok(expected));
        }
        assert_eq!(ExtendedKeyUsage::OCSP_SIGNING.to_string(), "OCSPSigning");
        assert!("ServerAuth".parse::<ExtendedKeyUsage>().is_err());
        assert!("1.2".parse::<ExtendedKeyUsage>().is_ok());
    }

    #[test]
    fn only_rsa_keys_encipher_and_only_curves_agree() {
        assert!(KeyUsage::KeyEncipherment.fits(KeyType::Rsa2048));
        assert!(!KeyUsage::KeyEncipherment.fits(KeyType::P256));
        assert!(KeyUsage::KeyAgreement.fits(KeyType::P521));
        assert!(!KeyUsage::KeyAgreement.fits(KeyType::Ed25519));
        assert!(KeyUsage::CrlSign.fits(KeyType::Ed25519));
    }
}
