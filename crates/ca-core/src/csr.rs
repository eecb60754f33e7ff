//! Certificate signing requests (PKCS #10, RFC 2986).
//!
//! A [`ParsedCsr`] exists only when the request proves possession of its key. What it asks for is kept as asked: whether it
//! is granted is the profile's business (`policy`).

use std::collections::BTreeSet;

use const_oid::ObjectIdentifier;
use thiserror::Error;

use crate::extension::Extension;
use crate::key::{KeyError, PublicKey, SignatureAlgorithm, SignatureInvalid, UnsupportedSignature};
use crate::name::{DistinguishedName, GeneralName, NameError};
use crate::pem::{self, PemError};
use crate::tlv::{self, DerError, Element, Reader, tag};

/// The longest request that is read, in octets of PEM or DER: ten times what an RSA 4096 request with 100 names takes.
pub const MAX_CSR_OCTETS: usize = 64 * 1024;

/// A request whose signature verified with the public key inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedCsr {
    der: Vec<u8>,
    subject: DistinguishedName,
    public_key: PublicKey,
    requested_extensions: Vec<RequestedExtension>,
    subject_alternative_names: Vec<GeneralName>,
}

/// An extension that the request asks for (PKCS #9 extensionRequest, RFC 2985 §5.4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedExtension {
    /// extnID
    pub oid: ObjectIdentifier,
    /// critical
    pub critical: bool,
    /// The content of extnValue: the DER of the extension's own type, not looked into (subjectAltName excepted).
    pub value: Vec<u8>,
}

impl ParsedCsr {
    /// Reads the one PEM block in `text`, labelled `CERTIFICATE REQUEST` (RFC 7468 §7) or, as older tools write it,
    /// `NEW CERTIFICATE REQUEST`. Text before and after the block is passed over; a second block is refused.
    pub fn from_pem(text: &str) -> Result<Self, CsrError> {
        if text.len() > MAX_CSR_OCTETS {
            return Err(CsrError::TooLong { octets: text.len() });
        }
        let mut labels = text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
        let label = labels.next().ok_or(CsrError::NotPem)?;
        let more = labels.count();
        if more > 0 {
            return Err(CsrError::SeveralBlocks { count: more + 1 });
        }
        if !PEM_LABELS.contains(&label) {
            return Err(CsrError::WrongLabel { label: label.chars().take(100).collect() });
        }
        let blocks = pem::decode_all(label, text).map_err(CsrError::BrokenPem)?;
        // Cannot fail: there is one BEGIN line, and `decode_all` gives at least one block.
        let der = blocks.first().ok_or(CsrError::NotPem)?;
        Self::from_der(der)
    }

    /// Reads the strict DER of a CertificationRequest and verifies its signature over the octets of
    /// CertificationRequestInfo as they stand.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_CSR_OCTETS {
            return Err(CsrError::TooLong { octets: der.len() });
        }
        let request = CertificationRequest::from_der(der)?;
        let info = CertificationRequestInfo::from_der(request.info)?;
        let public_key = PublicKey::from_spki_der(info.subject_public_key_info)?;
        let algorithm = SignatureAlgorithm::from_identifier_der(request.signature_algorithm)?;
        public_key
            .verify(algorithm, request.info, request.signature)
            .map_err(|reason| CsrError::BrokenSignature { reason })?;
        let requested_extensions = requested_extensions(info.attributes)?;
        let subject_alternative_names = requested_extensions
            .iter()
            .find(|extension| extension.oid == SUBJECT_ALT_NAME)
            .map(|extension| GeneralName::decode_all(&extension.value))
            .transpose()
            .map_err(CsrError::SubjectAlternativeName)?
            .unwrap_or_default();
        Ok(Self {
            der: der.to_vec(),
            subject: DistinguishedName::from_der(info.subject).map_err(CsrError::Subject)?,
            public_key,
            requested_extensions,
            subject_alternative_names,
        })
    }

    /// The DER of the whole request, byte for byte as given.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject asked for, byte for byte; may be empty.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// The key to be certified.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The subject alternative names asked for, in order; empty when there is no such extension.
    pub fn subject_alternative_names(&self) -> &[GeneralName] {
        &self.subject_alternative_names
    }

    /// Every extension asked for, subjectAltName included, in order; no object identifier occurs twice.
    pub fn requested_extensions(&self) -> &[RequestedExtension] {
        &self.requested_extensions
    }
}

/// A request that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CsrError {
    /// Longer than [`MAX_CSR_OCTETS`].
    #[error("the CSR has {octets} octets; at most {MAX_CSR_OCTETS} are read")]
    TooLong {
        /// Its length, in octets.
        octets: usize,
    },
    /// No PEM block at all.
    #[error("the CSR is not PEM: there is no `-----BEGIN CERTIFICATE REQUEST-----` line")]
    NotPem,
    /// More than one PEM block.
    #[error("the CSR holds {count} PEM blocks; send exactly one CERTIFICATE REQUEST (and never a private key)")]
    SeveralBlocks {
        /// How many BEGIN lines there are.
        count: usize,
    },
    /// A PEM block of something else.
    #[error("the PEM block is a `{label}`; a CERTIFICATE REQUEST is expected")]
    WrongLabel {
        /// What its BEGIN line says, at most 100 characters.
        label: String,
    },
    /// A PEM block that cannot be decoded.
    #[error("the PEM of the CSR is broken: {0}")]
    BrokenPem(PemError),
    /// Not the strict DER of a CertificationRequest.
    #[error("the CSR is not the DER of a PKCS #10 request (RFC 2986): {detail}")]
    Malformed {
        /// What the decoder met.
        detail: String,
    },
    /// A version other than v1(0), the only one there is.
    #[error("the CSR says version {version}; only 0 exists (RFC 2986 §4.1)")]
    Version {
        /// The number found.
        version: u64,
    },
    /// A public key that is not certified.
    #[error("the public key in the CSR is refused: {0}")]
    Key(#[from] KeyError),
    /// Signed with an algorithm that is not accepted, such as one with SHA-1.
    #[error("the signature of the CSR: {0}; sign it anew")]
    SignatureAlgorithm(#[from] UnsupportedSignature),
    /// No proof of possession: the request was changed after signing, or signed with another key.
    #[error(
        "the signature of the CSR does not verify with its own public key ({reason}): it was changed after it was signed, or signed with another key; make it again with the private key that belongs to it"
    )]
    BrokenSignature {
        /// What the key said.
        reason: SignatureInvalid,
    },
    /// An attribute that may occur once occurs again, or holds more or fewer values than one.
    #[error("the CSR attribute {oid} must occur once, with one value (RFC 2985 §5.4.2)")]
    RepeatedAttribute {
        /// The dotted object identifier of the attribute.
        oid: String,
    },
    /// The same extension asked for twice (RFC 5280 §4.2 forbids it in certificates).
    #[error("the CSR asks for extension {oid} twice; ask for it once")]
    RepeatedExtension {
        /// The dotted object identifier of the extension.
        oid: String,
    },
    /// A subject that is no distinguished name.
    #[error("the subject of the CSR is wrong: {0}")]
    Subject(NameError),
    /// A subject alternative name that cannot be read.
    #[error("the subject alternative names of the CSR are wrong: {0}")]
    SubjectAlternativeName(NameError),
}

impl CsrError {
    /// A stable word for logs, metrics and problem documents; a refused key gives the key's own.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "csr-too-long",
            Self::NotPem | Self::WrongLabel { .. } | Self::BrokenPem { .. } => "csr-not-pem",
            Self::SeveralBlocks { .. } => "csr-several-blocks",
            Self::Malformed { .. } | Self::Version { .. } => "csr-malformed",
            Self::Key(error) => error.code(),
            Self::SignatureAlgorithm(_) => "csr-signature-algorithm",
            Self::BrokenSignature { .. } => "csr-broken-signature",
            Self::RepeatedAttribute { .. } => "csr-repeated-attribute",
            Self::RepeatedExtension { .. } => "csr-repeated-extension",
            Self::Subject(_) => "csr-subject",
            Self::SubjectAlternativeName(_) => "csr-subject-alternative-name",
        }
    }
}

impl From<DerError> for CsrError {
    fn from(error: DerError) -> Self {
        Self::Malformed { detail: error.to_string() }
    }
}

/// CertificationRequest (RFC 2986 §4.2), its parts as they stand.
struct CertificationRequest<'a> {
    info: &'a [u8],
    signature_algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> CertificationRequest<'a> {
    fn from_der(der: &'a [u8]) -> Result<Self, DerError> {
        let mut fields = Reader::only(der, tag::SEQUENCE)?.reader();
        let info = fields.take(tag::SEQUENCE)?.whole;
        let signature_algorithm = fields.take(tag::SEQUENCE)?.whole;
        let signature = tlv::whole_octets(fields.take(tag::BIT_STRING)?.content)?;
        fields.finish()?;
        Ok(Self { info, signature_algorithm, signature })
    }
}

/// CertificationRequestInfo (RFC 2986 §4.1), its parts as they stand.
struct CertificationRequestInfo<'a> {
    subject: &'a [u8],
    subject_public_key_info: &'a [u8],
    /// The content of `[0] IMPLICIT SET OF Attribute`.
    attributes: &'a [u8],
}

impl<'a> CertificationRequestInfo<'a> {
    fn from_der(der: &'a [u8]) -> Result<Self, CsrError> {
        let mut fields = Reader::only(der, tag::SEQUENCE)?.reader();
        let version = tlv::small_unsigned(fields.take(tag::INTEGER)?.content)?;
        if version != 0 {
            return Err(CsrError::Version { version });
        }
        let subject = fields.take(tag::SEQUENCE)?.whole;
        let subject_public_key_info = fields.take(tag::SEQUENCE)?.whole;
        let attributes = fields.take(tag::context_constructed(0))?.content;
        fields.finish()?;
        Ok(Self { subject, subject_public_key_info, attributes })
    }
}

/// The extensions in the one extensionRequest among the attributes; other attributes (challengePassword, what Windows tells
/// about itself) are read for their form and passed over.
fn requested_extensions(attributes: &[u8]) -> Result<Vec<RequestedExtension>, CsrError> {
    let mut extensions = None;
    let mut attributes = Reader::new(attributes);
    // The order of a SET OF (X.690 §11.6) is not looked at: tools get it wrong, and nothing hangs on it.
    while !attributes.is_empty() {
        let mut attribute = attributes.take(tag::SEQUENCE)?.reader();
        let oid = ObjectIdentifier::from_bytes(attribute.take(tag::OBJECT_IDENTIFIER)?.content)
            .map_err(|_| DerError::Content { kind: "OBJECT IDENTIFIER" })?;
        let mut values = attribute.take(tag::SET)?.reader();
        attribute.finish()?;
        if oid == EXTENSION_REQUEST || oid == MICROSOFT_CERTIFICATE_EXTENSIONS {
            let repeated = || CsrError::RepeatedAttribute { oid: oid.to_string() };
            if values.is_empty() || extensions.is_some() {
                return Err(repeated());
            }
            let value = values.take(tag::SEQUENCE)?;
            if !values.is_empty() {
                return Err(repeated());
            }
            extensions = Some(read_extensions(value)?);
        }
    }
    Ok(extensions.unwrap_or_default())
}

/// Reads Extensions (RFC 5280 §4.1), at least one.
fn read_extensions(extensions: Element<'_>) -> Result<Vec<RequestedExtension>, CsrError> {
    let mut seen = BTreeSet::new();
    let mut requested = Vec::new();
    let mut reader = extensions.reader();
    loop {
        let extension = Extension::read(&mut reader)?;
        let oid = ObjectIdentifier::from_bytes(extension.identifier())
            .map_err(|_| DerError::Content { kind: "OBJECT IDENTIFIER" })?;
        if !seen.insert(oid) {
            return Err(CsrError::RepeatedExtension { oid: oid.to_string() });
        }
        requested.push(RequestedExtension { oid, critical: extension.critical, value: extension.value.to_vec() });
        if reader.is_empty() {
            return Ok(requested);
        }
    }
}

const PEM_LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

/// pkcs-9-at-extensionRequest
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
/// szOID_CERT_EXTENSIONS: the same content under the name that Windows gave it before RFC 2985.
const MICROSOFT_CERTIFICATE_EXTENSIONS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.14");
/// id-ce-subjectAltName
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

#[cfg(test)]
mod tests;
