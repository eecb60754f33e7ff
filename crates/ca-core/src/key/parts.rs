//! Public keys from the numbers that hardware gives, which has no SubjectPublicKeyInfo.

use const_oid::ObjectIdentifier;

use super::{EC_PUBLIC_KEY, ED25519, KeyError, KeyType, PublicKey, RSA_ENCRYPTION, SECP256R1, SECP384R1, SECP521R1};
use crate::tlv::{self, tag};

impl PublicKey {
    /// An RSA key from modulus and public exponent, big-endian; zeros before them are left out. It is checked as
    /// [`Self::from_spki_der`] does.
    pub fn from_rsa_parts(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let mut key = Vec::with_capacity(modulus.len() + 20);
        // RSAPublicKey (RFC 8017 §A.1.1).
        tlv::append_nested(&mut key, tag::SEQUENCE, |out| {
            append_magnitude(out, modulus);
            append_magnitude(out, exponent);
        });
        Self::from_spki_der(&spki(RSA_ENCRYPTION, &[tag::NULL, 0], &key))
    }

    /// A key on a curve from its point: uncompressed (SEC 1 §2.3.3) for P-256, P-384 and P-521, the 32 octets of RFC 8032 §5.1.5
    /// for Ed25519. It is checked as [`Self::from_spki_der`] does. RSA has no point and is refused.
    pub fn from_point(key_type: KeyType, point: &[u8]) -> Result<Self, KeyError> {
        let curve = match key_type {
            KeyType::P256 => SECP256R1,
            KeyType::P384 => SECP384R1,
            KeyType::P521 => SECP521R1,
            KeyType::Ed25519 => return Self::from_spki_der(&spki(ED25519, &[], point)),
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => {
                return Err(KeyError::Malformed { detail: "an RSA key is no point of a curve".to_owned() });
            }
        };
        Self::from_spki_der(&spki(EC_PUBLIC_KEY, &tlv::element(tag::OBJECT_IDENTIFIER, curve.as_bytes()), point))
    }
}

impl KeyType {
    /// The curve that the DER of EC parameters names (RFC 5480 §2.1.1, RFC 8410 §3); `None` for another, for one that is spelled
    /// out, and for what is not DER.
    pub fn of_curve_der(parameters: &[u8]) -> Option<Self> {
        let oid = tlv::Reader::only(parameters, tag::OBJECT_IDENTIFIER).ok()?.content;
        CURVES.into_iter().find(|(_, curve)| curve.as_bytes() == oid).map(|(key_type, _)| key_type)
    }

    /// The DER of the EC parameters that name this type's curve; `None` for RSA.
    pub fn curve_der(self) -> Option<Vec<u8>> {
        let (_, curve) = CURVES.into_iter().find(|(key_type, _)| *key_type == self)?;
        Some(tlv::element(tag::OBJECT_IDENTIFIER, curve.as_bytes()))
    }
}

const CURVES: [(KeyType, ObjectIdentifier); 4] =
    [(KeyType::P256, SECP256R1), (KeyType::P384, SECP384R1), (KeyType::P521, SECP521R1), (KeyType::Ed25519, ED25519)];

/// SubjectPublicKeyInfo (RFC 5280 §4.1) around the DER of parameters and the octets of a key.
fn spki(algorithm: ObjectIdentifier, parameters: &[u8], key: &[u8]) -> Vec<u8> {
    let mut der = Vec::with_capacity(key.len() + 40);
    tlv::append_nested(&mut der, tag::SEQUENCE, |out| {
        tlv::append_nested(out, tag::SEQUENCE, |out| {
            tlv::append(out, tag::OBJECT_IDENTIFIER, algorithm.as_bytes());
            out.extend_from_slice(parameters);
        });
        tlv::append_header(out, tag::BIT_STRING, 1 + key.len());
        out.push(0);
        out.extend_from_slice(key);
    });
    der
}

/// An INTEGER that is not negative.
fn append_magnitude(out: &mut Vec<u8>, number: &[u8]) {
    let first = number.iter().position(|octet| *octet != 0);
    let magnitude = first.map_or(&[0][..], |first| &number[first..]);
    let sign = usize::from(magnitude[0] & 0x80 != 0);
    tlv::append_header(out, tag::INTEGER, sign + magnitude.len());
    out.extend_from_slice(&[0][..sign]);
    out.extend_from_slice(magnitude);
}
