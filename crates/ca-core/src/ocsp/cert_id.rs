//! CertID (RFC 6960 §4.1.1): which certificate a request is about, named by hashes of its issuer.

use std::fmt;
use std::ops::Range;

use const_oid::ObjectIdentifier;

use crate::hash::{sha1, sha256};
use crate::serial::Serial;
use crate::tlv::{self, DerError, Reader, tag};

/// A CertID, kept octet for octet: a response repeats what the request said, and clients compare the octets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CertId {
    der: Vec<u8>,
    hash: Option<CertIdHash>,
    issuer_name_hash: Range<usize>,
    issuer_key_hash: Range<usize>,
    serial: Range<usize>,
}

/// A hash algorithm that CertIDs are understood in. SHA-1 is what nearly all clients send; it names, it protects
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertIdHash {
    /// id-sha1
    Sha1,
    /// id-sha256, asked of new clients by RFC 9919 §3.1.
    Sha256,
}

impl CertIdHash {
    const fn identifier(self) -> ObjectIdentifier {
        match self {
            Self::Sha1 => ObjectIdentifier::new_unwrap("1.3.14.3.2.26"),
            Self::Sha256 => ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"),
        }
    }
}

impl CertId {
    /// The CertID of the certificate with `serial` under `issuer`.
    pub fn new(hash: CertIdHash, issuer: &IssuerIdentity, serial: &Serial) -> Self {
        let (name_hash, key_hash) = issuer.hashes(hash);
        let mut der = Vec::with_capacity(112);
        let (mut name_range, mut key_range, mut serial_range) = (0..0, 0..0, 0..0);
        tlv::append_nested(&mut der, tag::SEQUENCE, |out| {
            tlv::append_nested(out, tag::SEQUENCE, |out| {
                tlv::append(out, tag::OBJECT_IDENTIFIER, hash.identifier().as_bytes());
                tlv::append(out, tag::NULL, &[]);
            });
            name_range = appended(out, tag::OCTET_STRING, name_hash);
            key_range = appended(out, tag::OCTET_STRING, key_hash);
            serial_range = appended(out, tag::INTEGER, &serial.to_der_content());
        });
        // The ranges hold: with at most 15 + 34 + 34 + 22 octets inside, the outer length never needs a third octet.
        Self { der, hash: Some(hash), issuer_name_hash: name_range, issuer_key_hash: key_range, serial: serial_range }
    }

    /// Reads one from its DER.
    pub fn from_der(der: &[u8]) -> Result<Self, DerError> {
        let mut reader = Reader::new(der);
        let cert_id = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(cert_id)
    }

    /// Reads the next CertID. Hash algorithms that are not known are read too: such a CertID matches no issuer.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DerError> {
        let whole = reader.take(tag::SEQUENCE)?;
        let mut fields = whole.reader();
        let mut algorithm = fields.take(tag::SEQUENCE)?.reader();
        let identifier = algorithm.take(tag::OBJECT_IDENTIFIER)?.content;
        // RFC 5754 §2: parameters absent is right, NULL must be accepted.
        let parameters_known = match algorithm.is_empty() {
            true => true,
            false => algorithm.any()?.whole == [tag::NULL, 0],
        };
        algorithm.finish()?;
        let issuer_name_hash = fields.take(tag::OCTET_STRING)?.content;
        let issuer_key_hash = fields.take(tag::OCTET_STRING)?.content;
        let serial = fields.take(tag::INTEGER)?.content;
        fields.finish()?;
        let hash = [CertIdHash::Sha1, CertIdHash::Sha256]
            .into_iter()
            .find(|hash| parameters_known && hash.identifier().as_bytes() == identifier);
        let range = |part| tlv::range_within(whole.whole, part);
        Ok(Self {
            hash,
            issuer_name_hash: range(issuer_name_hash),
            issuer_key_hash: range(issuer_key_hash),
            serial: range(serial),
            der: whole.whole.to_vec(),
        })
    }

    /// The DER, as it came or was made.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The hash algorithm; `None` when it is neither SHA-1 nor SHA-256.
    pub fn hash(&self) -> Option<CertIdHash> {
        self.hash
    }

    /// The hash of the issuer's name.
    pub fn issuer_name_hash(&self) -> &[u8] {
        &self.der[self.issuer_name_hash.clone()]
    }

    /// The hash of the issuer's key.
    pub fn issuer_key_hash(&self) -> &[u8] {
        &self.der[self.issuer_key_hash.clone()]
    }

    /// The serial number; `None` when it is zero, negative, not DER or longer than 20 octets, so that no certificate of
    /// ours has it and its status is `unknown`.
    pub fn serial(&self) -> Option<Serial> {
        tlv::serial(&self.der[self.serial.clone()])
    }
}

impl fmt::Debug for CertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertId")
            .field("hash", &self.hash)
            .field("issuer_key_hash", &hex::encode(self.issuer_key_hash()))
            .field("serial", &hex::encode(&self.der[self.serial.clone()]))
            .finish_non_exhaustive()
    }
}

/// The hashes by which CertIDs name an issuer, computed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerIdentity {
    name_sha1: [u8; 20],
    key_sha1: [u8; 20],
    name_sha256: [u8; 32],
    key_sha256: [u8; 32],
}

impl IssuerIdentity {
    /// The identity of the issuer whose subject has this DER, and whose key has these octets in the BIT STRING of its
    /// SubjectPublicKeyInfo, without the octet that counts unused bits (RFC 6960 §4.1.1).
    pub fn new(issuer_dn_der: &[u8], subject_public_key_bits: &[u8]) -> Self {
        Self {
            name_sha1: sha1(issuer_dn_der),
            key_sha1: sha1(subject_public_key_bits),
            name_sha256: sha256(issuer_dn_der),
            key_sha256: sha256(subject_public_key_bits),
        }
    }

    /// Whether `id` names a certificate of this issuer.
    pub fn matches(&self, id: &CertId) -> bool {
        id.hash().is_some_and(|hash| self.hashes(hash) == (id.issuer_name_hash(), id.issuer_key_hash()))
    }

    fn hashes(&self, hash: CertIdHash) -> (&[u8], &[u8]) {
        match hash {
            CertIdHash::Sha1 => (&self.name_sha1, &self.key_sha1),
            CertIdHash::Sha256 => (&self.name_sha256, &self.key_sha256),
        }
    }
}

/// Appends a value and tells where its content lies.
fn appended(out: &mut Vec<u8>, tag: u8, content: &[u8]) -> Range<usize> {
    tlv::append(out, tag, content);
    out.len() - content.len()..out.len()
}
