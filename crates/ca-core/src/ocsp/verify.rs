//! Whether an OCSP response was signed by someone who may (RFC 6960 §3.2, §4.2.2.2).

use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{BasicResponse, ResponderId};
use crate::hash::sha1;
use crate::key::{KeyError, PublicKey, SignatureAlgorithm, SignatureInvalid, UnsupportedSignature};
use crate::name::DistinguishedName;
use crate::time::Timestamp;
use crate::tlv::{self, DerError, Reader, tag};

/// Who signed a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseSigner {
    /// The issuer of the certificate itself.
    Issuer,
    /// A responder to whom the issuer has delegated it.
    Delegated {
        /// The DER of its certificate.
        certificate: Vec<u8>,
    },
}

impl BasicResponse {
    /// Verifies the signature at `now`, for certificates issued by `issuer` with `issuer_key`: made by that key, or by
    /// that of a certificate that came along, that the issuer has issued for id-kp-OCSPSigning and that is valid now
    /// (§4.2.2.2). The revocation of a delegated responder is not looked up. Dates of the answers are judged by
    /// [`super::SingleResponse::is_current`].
    pub fn verify(
        &self,
        issuer: &DistinguishedName,
        issuer_key: &PublicKey,
        now: Timestamp,
    ) -> Result<ResponseSigner, ResponseInvalid> {
        if self.names(issuer.as_der(), issuer_key.subject_public_key()) {
            self.verify_with(issuer_key)?;
            return Ok(ResponseSigner::Issuer);
        }
        for der in self.certificates() {
            let certificate = parse_certificate(der)?;
            let tbs = &certificate.tbs_certificate;
            if self.names(tbs.subject.as_raw(), &tbs.subject_pki.subject_public_key.data) {
                check_delegation(der, &certificate, issuer, issuer_key, now)?;
                self.verify_with(&PublicKey::from_spki_der(tbs.subject_pki.raw)?)?;
                return Ok(ResponseSigner::Delegated { certificate: der.to_vec() });
            }
        }
        Err(ResponseInvalid::SignerUnknown)
    }

    /// Whether the ResponderID means the holder of this name and key.
    fn names(&self, subject_der: &[u8], subject_public_key: &[u8]) -> bool {
        match self.responder_id() {
            ResponderId::Name(name) => name == subject_der,
            ResponderId::KeyHash(hash) => *hash == sha1(subject_public_key),
        }
    }

    fn verify_with(&self, key: &PublicKey) -> Result<(), ResponseInvalid> {
        let algorithm = SignatureAlgorithm::from_identifier_der(self.signature_algorithm_der())?;
        Ok(key.verify(algorithm, self.to_be_signed(), self.signature())?)
    }
}

/// Why a response is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResponseInvalid {
    /// Neither the issuer nor a certificate that came along is the one that the response names.
    #[error("the OCSP response is signed neither by the issuer nor by a responder whose certificate came along")]
    SignerUnknown,
    /// An algorithm that is not verified here.
    #[error("the signature of the OCSP response, or of its responder's certificate: {0}")]
    UnsupportedSignature(#[from] UnsupportedSignature),
    /// The signature is wrong.
    #[error("the OCSP response: {0}")]
    Signature(#[from] SignatureInvalid),
    /// The responder's certificate cannot be read.
    #[error("the certificate of the OCSP responder cannot be read: {detail}")]
    CertificateUnreadable {
        /// What is wrong.
        detail: String,
    },
    /// The responder's key is weak or of a kind that is not supported.
    #[error("the key of the OCSP responder: {0}")]
    ResponderKey(#[from] KeyError),
    /// Another issuer has issued the responder's certificate.
    #[error("the certificate of the OCSP responder is not issued by the issuer of the certificate asked for")]
    ResponderOfOtherIssuer,
    /// The signature of the issuer on it is wrong.
    #[error("the certificate of the OCSP responder: {0}")]
    ResponderCertificate(SignatureInvalid),
    /// It lacks id-kp-OCSPSigning, or its key may not sign.
    #[error("the certificate of the OCSP responder is not meant for signing OCSP responses")]
    ResponderNotAuthorized,
    /// It has expired, or is not valid yet.
    #[error("the certificate of the OCSP responder is not valid at {now}")]
    ResponderNotValidNow {
        /// When it was looked at.
        now: Timestamp,
    },
}

impl From<DerError> for ResponseInvalid {
    fn from(error: DerError) -> Self {
        Self::CertificateUnreadable { detail: error.to_string() }
    }
}

fn parse_certificate(der: &[u8]) -> Result<X509Certificate<'_>, ResponseInvalid> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => Err(DerError::Trailing { octets: rest.len() }.into()),
        Err(error) => Err(ResponseInvalid::CertificateUnreadable { detail: error.to_string() }),
    }
}

/// §4.2.2.2: issued directly by the issuer of the certificate asked for, with id-kp-OCSPSigning.
fn check_delegation(
    der: &[u8],
    certificate: &X509Certificate<'_>,
    issuer: &DistinguishedName,
    issuer_key: &PublicKey,
    now: Timestamp,
) -> Result<(), ResponseInvalid> {
    if certificate.issuer().as_raw() != issuer.as_der() {
        return Err(ResponseInvalid::ResponderOfOtherIssuer);
    }
    let mut fields = Reader::only(der, tag::SEQUENCE)?.reader();
    let to_be_signed = fields.take(tag::SEQUENCE)?.whole;
    let algorithm = fields.take(tag::SEQUENCE)?.whole;
    let signature = tlv::whole_octets(fields.take(tag::BIT_STRING)?.content)?;
    let algorithm = SignatureAlgorithm::from_identifier_der(algorithm)?;
    issuer_key.verify(algorithm, to_be_signed, signature).map_err(ResponseInvalid::ResponderCertificate)?;

    // An extension that occurs twice is an error of `extended_key_usage`, hence no authorization.
    let for_ocsp = matches!(certificate.extended_key_usage(), Ok(Some(usage)) if usage.value.ocsp_signing);
    // RFC 5280 §4.2.1.3: where keyUsage is there, digitalSignature must be set to verify anything but certificates and
    // CRLs.
    let may_sign = match certificate.key_usage() {
        Ok(usage) => usage.is_none_or(|usage| usage.value.digital_signature()),
        Err(_) => false,
    };
    if !for_ocsp || !may_sign {
        return Err(ResponseInvalid::ResponderNotAuthorized);
    }
    let validity = certificate.validity();
    let valid_now =
        validity.not_before.timestamp() <= now.unix_seconds() && now.unix_seconds() <= validity.not_after.timestamp();
    if valid_now { Ok(()) } else { Err(ResponseInvalid::ResponderNotValidNow { now }) }
}
