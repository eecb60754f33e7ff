//! Certificates as they stand: ours and others', parsed and owned.
//!
//! Parsing is strict DER and checks the key ([`PublicKey::from_spki_der`]); whether a certificate is *good* is said by
//! [`crate::chain`] (does it lead to a root?) and [`Certificate::check_against`] (is it what was meant?).

mod asked_for;
mod comparison;

pub use asked_for::{AskedExtension, AskedFor};
pub use comparison::Mismatch;

use const_oid::ObjectIdentifier;
use thiserror::Error;

use crate::der_time::read_time;
use crate::hash;
use crate::key::{KeyError, PublicKey, SignatureAlgorithm, SignatureInvalid, UnsupportedSignature};
use crate::name::{DistinguishedName, GeneralName, NameConstraints, NameError};
use crate::pem::{self, PemError};
use crate::serial::{Serial, SerialError};
use crate::tbs::extension::{TLS_STATUS_REQUEST, id};
use crate::tbs::{TbsView, extension_value};
use crate::template::IssuerFacts;
use crate::time::Validity;
use crate::tlv::{self, DerError, Reader, tag};
use crate::usage::{ExtendedKeyUsage, KeyUsage, KeyUsages};

/// A parsed certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: std::ops::Range<usize>,
    signature_algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
    serial: Serial,
    issuer: DistinguishedName,
    validity: Validity,
    subject: DistinguishedName,
    public_key: PublicKey,
    extensions: Extensions,
}

/// What the extensions say; one that is absent says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
struct Extensions {
    names: Vec<GeneralName>,
    authority: bool,
    path_length: Option<u8>,
    key_usage: Option<KeyUsages>,
    extended_key_usage: Vec<ExtendedKeyUsage>,
    certificate_policies: Vec<ObjectIdentifier>,
    subject_key_identifier: Option<Vec<u8>>,
    authority_key_identifier: Option<Vec<u8>>,
    name_constraints: Option<NameConstraints>,
    crl_urls: Vec<String>,
    ocsp_urls: Vec<String>,
    ca_issuers_urls: Vec<String>,
    must_staple: bool,
    ocsp_no_check: bool,
    unknown_critical: Vec<String>,
}

impl Certificate {
    /// Reads exactly one certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        Self::read(der, PublicKey::from_spki_der)
    }

    /// [`Self::from_der`] where the subject's key is likely to be `known`, which then is not checked a second time: the same octets
    /// are the same key. Any other key is read and checked as ever.
    pub fn from_der_of_key(der: &[u8], known: &PublicKey) -> Result<Self, CertificateError> {
        Self::read(
            der,
            |spki| if spki == known.spki_der() { Ok(known.clone()) } else { PublicKey::from_spki_der(spki) },
        )
    }

    fn read(der: &[u8], key: impl FnOnce(&[u8]) -> Result<PublicKey, KeyError>) -> Result<Self, CertificateError> {
        let outer = Reader::only(der, tag::SEQUENCE)?;
        let mut fields = outer.reader();
        let tbs = fields.take(tag::SEQUENCE)?.whole;
        let algorithm = fields.take(tag::SEQUENCE)?.whole;
        let signature = tlv::whole_octets(fields.take(tag::BIT_STRING)?.content)?;
        fields.finish()?;
        let view = TbsView::read(tbs)?;
        // RFC 5280 §4.1.1.2: the algorithm outside "MUST contain the same algorithm identifier as" the one inside.
        if algorithm != view.signature_algorithm {
            return Err(CertificateError::AlgorithmsDiffer);
        }
        if view.version != Some(&[2]) {
            return Err(CertificateError::NotVersion3);
        }
        let start = der.len() - outer.content.len();
        Ok(Self {
            der: der.to_vec(),
            tbs: start..start + tbs.len(),
            signature_algorithm: SignatureAlgorithm::from_identifier_der(algorithm)?,
            signature: signature.to_vec(),
            serial: Serial::from_bytes(tlv::unsigned(view.serial)?)?,
            issuer: DistinguishedName::from_der(view.issuer)?,
            validity: Validity { not_before: read_time(&view.not_before)?, not_after: read_time(&view.not_after)? },
            subject: DistinguishedName::from_der(view.subject)?,
            public_key: key(view.public_key)?,
            extensions: Extensions::read(&view)?,
        })
    }

    /// Reads the first `CERTIFICATE` block.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let blocks = pem::decode_all("CERTIFICATE", text)?;
        // `decode_all` gives at least one block or an error; without one there is nothing to read either way.
        Self::from_der(blocks.first().map_or(&[], Vec::as_slice))
    }

    /// Reads every `CERTIFICATE` block, in order; at least one.
    pub fn all_from_pem(text: &str) -> Result<Vec<Self>, CertificateError> {
        pem::decode_all("CERTIFICATE", text)?.iter().map(|der| Self::from_der(der)).collect()
    }

    /// The DER, byte for byte as given.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate as one PEM block.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der)
    }

    /// The DER of the TBSCertificate inside.
    pub fn tbs_der(&self) -> &[u8] {
        &self.der[self.tbs.clone()]
    }

    /// The serial number.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// The issuer's name.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// First and last second of validity.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The subject; may be empty.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// The subject's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The algorithm of the signature on it.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// The octets of the signature on it.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The subject alternative names, in order.
    pub fn names(&self) -> &[GeneralName] {
        &self.extensions.names
    }

    /// Whether basicConstraints says that the subject is an authority.
    pub fn is_authority(&self) -> bool {
        self.extensions.authority
    }

    /// pathLenConstraint
    pub fn path_length(&self) -> Option<u8> {
        self.extensions.path_length
    }

    /// KeyUsage; `None` where the extension is absent and every use is allowed.
    pub fn key_usage(&self) -> Option<KeyUsages> {
        self.extensions.key_usage
    }

    /// The purposes; empty where the extension is absent and every purpose is allowed.
    pub fn extended_key_usage(&self) -> &[ExtendedKeyUsage] {
        &self.extensions.extended_key_usage
    }

    /// The certificate policies; empty where the extension is absent.
    pub fn certificate_policies(&self) -> &[ObjectIdentifier] {
        &self.extensions.certificate_policies
    }

    /// The subject key identifier.
    pub fn subject_key_identifier(&self) -> Option<&[u8]> {
        self.extensions.subject_key_identifier.as_deref()
    }

    /// The key identifier of the issuer.
    pub fn authority_key_identifier(&self) -> Option<&[u8]> {
        self.extensions.authority_key_identifier.as_deref()
    }

    /// The names that the subject, an authority, may certify.
    pub fn name_constraints(&self) -> Option<&NameConstraints> {
        self.extensions.name_constraints.as_ref()
    }

    /// The URLs of cRLDistributionPoints.
    pub fn crl_urls(&self) -> &[String] {
        &self.extensions.crl_urls
    }

    /// The URLs of OCSP responders.
    pub fn ocsp_urls(&self) -> &[String] {
        &self.extensions.ocsp_urls
    }

    /// The URLs of the issuer's certificate.
    pub fn ca_issuers_urls(&self) -> &[String] {
        &self.extensions.ca_issuers_urls
    }

    /// Whether TLS clients are to insist on a stapled OCSP response (RFC 7633).
    pub fn must_staple(&self) -> bool {
        self.extensions.must_staple
    }

    /// Whether an OCSP responder's certificate is to be trusted without a status of its own (id-pkix-ocsp-nocheck).
    pub fn ocsp_no_check(&self) -> bool {
        self.extensions.ocsp_no_check
    }

    /// The critical extensions that are not known here: a verifier must refuse the certificate (RFC 5280 §4.2).
    pub fn unknown_critical_extensions(&self) -> &[String] {
        &self.extensions.unknown_critical
    }

    /// Whether subject and issuer are the same name (RFC 5280 §6.1: self-issued).
    pub fn is_self_issued(&self) -> bool {
        self.subject.matches(&self.issuer)
    }

    /// Whether this key signed the certificate.
    pub fn verify_signed_by(&self, issuer: &PublicKey) -> Result<(), SignatureInvalid> {
        issuer.verify(self.signature_algorithm, self.tbs_der(), &self.signature)
    }

    /// SHA-256 of the DER.
    pub fn fingerprint_sha256(&self) -> [u8; 32] {
        hash::sha256(&self.der)
    }
}

impl Extensions {
    fn read(view: &TbsView<'_>) -> Result<Self, CertificateError> {
        let mut read = Self::default();
        for (index, extension) in view.extensions.iter().enumerate() {
            if view.extensions[..index].iter().any(|earlier| earlier.identifier() == extension.identifier()) {
                return Err(DerError::RepeatedExtension.into());
            }
            let value = extension.value;
            match extension.object_identifier() {
                Some(id::SUBJECT_KEY_IDENTIFIER) => {
                    read.subject_key_identifier = Some(extension_value::subject_key_identifier(value)?.to_vec());
                }
                Some(id::AUTHORITY_KEY_IDENTIFIER) => {
                    read.authority_key_identifier =
                        extension_value::authority_key_identifier(value)?.key_identifier.map(<[u8]>::to_vec);
                }
                Some(id::BASIC_CONSTRAINTS) => {
                    let constraints = extension_value::basic_constraints(value)?;
                    read.authority = constraints.authority;
                    // Longer than 255 is as good as unlimited.
                    read.path_length = constraints.path_length.map(|length| u8::try_from(length).unwrap_or(u8::MAX));
                }
                Some(id::KEY_USAGE) => read.key_usage = Some(extension_value::key_usage(value)?),
                Some(id::EXTENDED_KEY_USAGE) => read.extended_key_usage = extension_value::extended_key_usage(value)?,
                Some(id::CERTIFICATE_POLICIES) => {
                    let policies = extension_value::certificate_policies(value)?;
                    read.certificate_policies = policies.iter().map(|information| information.policy).collect();
                }
                Some(id::SUBJECT_ALT_NAME) => read.names = GeneralName::decode_all(value)?,
                Some(id::NAME_CONSTRAINTS) => read.name_constraints = Some(NameConstraints::from_der(value)?),
                Some(id::CRL_DISTRIBUTION_POINTS) => {
                    let points = extension_value::distribution_points(value)?;
                    read.crl_urls = points.iter().flat_map(|point| &point.urls).map(ToString::to_string).collect();
                }
                Some(id::AUTHORITY_INFO_ACCESS) => read.read_access(value)?,
                Some(id::TLS_FEATURE) => {
                    read.must_staple = extension_value::tls_features(value)?.contains(&TLS_STATUS_REQUEST);
                }
                Some(id::OCSP_NO_CHECK) => read.ocsp_no_check = true,
                _ if extension.critical => read.unknown_critical.push(extension.identifier_text()),
                _ => {}
            }
        }
        Ok(read)
    }

    fn read_access(&mut self, value: &[u8]) -> Result<(), DerError> {
        for description in extension_value::access_descriptions(value)? {
            let Some(url) = description.url else { continue };
            match description.method {
                id::AD_OCSP => self.ocsp_urls.push(url.to_owned()),
                id::AD_CA_ISSUERS => self.ca_issuers_urls.push(url.to_owned()),
                _ => {}
            }
        }
        Ok(())
    }
}

impl IssuerFacts {
    /// What an authority's certificate says to those it issues. The key signs with the algorithm of its kind, unless
    /// [`Self::signing_by`] says another.
    pub fn from_certificate(certificate: &Certificate) -> Result<Self, CertificateError> {
        // RFC 5280 §4.2.1.3: where keyUsage is there, keyCertSign must be in it.
        let may_sign = certificate.key_usage().is_none_or(|usages| usages.contains(KeyUsage::KeyCertSign));
        if !certificate.is_authority() || !may_sign {
            return Err(CertificateError::NotAnAuthority { subject: certificate.subject().to_string() });
        }
        let key_identifier = certificate
            .subject_key_identifier()
            .map_or_else(|| certificate.public_key().key_identifier().to_vec(), <[u8]>::to_vec);
        Ok(Self {
            subject: certificate.subject().clone(),
            public_key: certificate.public_key().clone(),
            key_identifier,
            validity: certificate.validity(),
            signature_algorithm: certificate.public_key().key_type().signature_algorithm(),
            path_length: certificate.path_length(),
            name_constraints: certificate.name_constraints().cloned(),
            extended_key_usage: certificate.extended_key_usage().to_vec(),
            certificate_policies: certificate.certificate_policies().to_vec(),
        })
    }

    /// The same, where the key signs with this algorithm, which must fit it: a certificate does not say what its key signs with.
    #[must_use]
    pub fn signing_by(self, signature_algorithm: SignatureAlgorithm) -> Self {
        Self { signature_algorithm, ..self }
    }
}

/// Octets that are no certificate that can be used here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Not the strict DER of a certificate.
    #[error("not a certificate: {0}")]
    Malformed(#[from] DerError),
    /// A version other than 3.
    #[error("only certificates of version 3 are read")]
    NotVersion3,
    /// The two AlgorithmIdentifiers of the certificate are not the same.
    #[error("the certificate names two different signature algorithms, inside and outside of what is signed")]
    AlgorithmsDiffer,
    /// A signature algorithm that is not known here, or not as it is taken here.
    #[error("the signature of the certificate: {0}")]
    UnsupportedSignature(#[from] UnsupportedSignature),
    /// A serial number that is none.
    #[error("the serial number of the certificate is not valid: {0}")]
    Serial(#[from] SerialError),
    /// A key that is not supported or weak.
    #[error("the public key of the certificate is not accepted: {0}")]
    Key(#[from] KeyError),
    /// A name that is none.
    #[error("a name in the certificate is not valid: {0}")]
    Name(#[from] NameError),
    /// A certificate of an end entity where an authority's was expected.
    #[error(
        "`{subject}` is not a certificate authority (basicConstraints does not say cA, or keyUsage lacks keyCertSign)"
    )]
    NotAnAuthority {
        /// The subject.
        subject: String,
    },
}

#[cfg(test)]
mod tests;
