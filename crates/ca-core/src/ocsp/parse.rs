//! OCSPResponse as a client reads it (RFC 6960 §4.2).

use std::ops::Range;

use thiserror::Error;

use super::request::{RequestError, read_extensions, read_nonce};
use super::response::SUCCESSFUL;
use super::{
    ARCHIVE_CUTOFF, BASIC_RESPONSE, CertId, CertStatus, IssuerIdentity, NONCE, ResponderError, SingleResponse,
};
use crate::der_time::read_time;
use crate::extension::{Extension, find};
use crate::revocation::RevocationReason;
use crate::serial::Serial;
use crate::time::Timestamp;
use crate::tlv::{self, DerError, Element, Reader, tag};

/// An answer of a responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParsedResponse {
    /// It gives no status; such an answer is not signed.
    Failed(ResponderError),
    /// It gives the status of certificates, to be believed after [`BasicResponse::verify`] only.
    Answered(BasicResponse),
}

/// A BasicOCSPResponse.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicResponse {
    der: Vec<u8>,
    to_be_signed: Range<usize>,
    signature_algorithm: Range<usize>,
    signature: Range<usize>,
    certificates: Vec<Range<usize>>,
    responder_id: ResponderId,
    produced_at: Timestamp,
    responses: Vec<SingleResponse>,
    nonce: Option<Vec<u8>>,
}

/// How a response names its signer (§4.2.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponderId {
    /// By the DER of its certificate's subject.
    Name(Vec<u8>),
    /// By the SHA-1 of its key.
    KeyHash(Vec<u8>),
}

impl ParsedResponse {
    /// Reads an OCSPResponse.
    pub fn from_der(der: &[u8]) -> Result<Self, ResponseParseError> {
        let mut fields = Reader::only(der, tag::SEQUENCE)?.reader();
        let code = tlv::small_unsigned(fields.take(tag::ENUMERATED)?.content)?;
        let bytes = fields.optional(tag::context_constructed(0))?;
        fields.finish()?;
        if code != u64::from(SUCCESSFUL) {
            return ResponderError::ALL
                .into_iter()
                .find(|error| u64::from(error.code()) == code)
                .map(Self::Failed)
                .ok_or(ResponseParseError::UnknownStatus { code });
        }
        let bytes = bytes.ok_or(ResponseParseError::NoResponseBytes)?;
        let mut fields = Reader::only(bytes.content, tag::SEQUENCE)?.reader();
        if fields.take(tag::OBJECT_IDENTIFIER)?.content != BASIC_RESPONSE.as_bytes() {
            return Err(ResponseParseError::NotBasic);
        }
        let basic = fields.take(tag::OCTET_STRING)?.content;
        fields.finish()?;
        BasicResponse::read(basic).map(Self::Answered)
    }
}

impl BasicResponse {
    fn read(der: &[u8]) -> Result<Self, ResponseParseError> {
        let mut fields = Reader::only(der, tag::SEQUENCE)?.reader();
        let to_be_signed = fields.take(tag::SEQUENCE)?;
        let signature_algorithm = fields.take(tag::SEQUENCE)?.whole;
        let signature = tlv::whole_octets(fields.take(tag::BIT_STRING)?.content)?;
        let range = |part: &[u8]| tlv::range_within(der, part);
        let mut certificates = Vec::new();
        if let Some(explicit) = fields.optional(tag::context_constructed(0))? {
            let mut list = Reader::only(explicit.content, tag::SEQUENCE)?.reader();
            while !list.is_empty() {
                certificates.push(range(list.take(tag::SEQUENCE)?.whole));
            }
        }
        fields.finish()?;

        let mut data = to_be_signed.reader();
        if let Some(version) = data.optional(tag::context_constructed(0))? {
            let number = tlv::small_unsigned(Reader::only(version.content, tag::INTEGER)?.content)?;
            if number != 0 {
                return Err(ResponseParseError::Version { number });
            }
        }
        let responder_id = read_responder_id(&data.any()?)?;
        let produced_at = read_generalized_time(&data.any()?)?;
        let mut list = data.take(tag::SEQUENCE)?.reader();
        let extensions = read_extensions(&mut data, 1)?;
        data.finish()?;
        refuse_critical(&extensions, &[NONCE])?;
        let mut responses = Vec::new();
        while !list.is_empty() {
            responses.push(read_single_response(list.take(tag::SEQUENCE)?.reader())?);
        }
        let nonce = find(&extensions, &NONCE).map(|extension| read_nonce(extension.value)).transpose();
        Ok(Self {
            to_be_signed: range(to_be_signed.whole),
            signature_algorithm: range(signature_algorithm),
            signature: range(signature),
            certificates,
            responder_id,
            produced_at,
            responses,
            nonce: nonce.map_err(ResponseParseError::Nonce)?,
            der: der.to_vec(),
        })
    }

    /// Who says to have signed.
    pub fn responder_id(&self) -> &ResponderId {
        &self.responder_id
    }

    /// When it was signed.
    pub fn produced_at(&self) -> Timestamp {
        self.produced_at
    }

    /// The answers. A reason that RFC 5280 does not assign, or `removeFromCRL`, is told as none.
    pub fn responses(&self) -> &[SingleResponse] {
        &self.responses
    }

    /// The answer for the certificate of `issuer` with `serial`.
    pub fn find(&self, issuer: &IssuerIdentity, serial: &Serial) -> Option<&SingleResponse> {
        self.responses
            .iter()
            .find(|single| issuer.matches(&single.cert_id) && single.cert_id.serial().as_ref() == Some(serial))
    }

    /// The nonce, which must be that of the request when there is one.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// The DER of the certificates that came along.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(|range| &self.der[range.clone()])
    }

    /// The DER of the ResponseData.
    pub fn to_be_signed(&self) -> &[u8] {
        &self.der[self.to_be_signed.clone()]
    }

    /// The DER of the AlgorithmIdentifier of the signature.
    pub fn signature_algorithm_der(&self) -> &[u8] {
        &self.der[self.signature_algorithm.clone()]
    }

    /// The octets of the signature.
    pub fn signature(&self) -> &[u8] {
        &self.der[self.signature.clone()]
    }
}

impl std::fmt::Debug for BasicResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BasicResponse")
            .field("responder_id", &self.responder_id)
            .field("produced_at", &self.produced_at)
            .field("responses", &self.responses)
            .finish_non_exhaustive()
    }
}

/// Octets that are no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResponseParseError {
    /// Not DER of an OCSPResponse.
    #[error("not an OCSP response: {0}")]
    Der(#[from] DerError),
    /// A status that RFC 6960 does not assign.
    #[error("the OCSP response has the status {code}, which does not exist")]
    UnknownStatus {
        /// Its code.
        code: u64,
    },
    /// `successful`, and nothing in it.
    #[error("the OCSP response says successful and has no content")]
    NoResponseBytes,
    /// Another type than `basic`.
    #[error("the OCSP response is of another type than id-pkix-ocsp-basic")]
    NotBasic,
    /// Another version than v1.
    #[error("OCSP responses are of version 1, this one says {}", number.saturating_add(1))]
    Version {
        /// The number in the response, where 0 is v1.
        number: u64,
    },
    /// A nonce that breaks RFC 9654.
    #[error("the OCSP response: {0}")]
    Nonce(RequestError),
    /// A critical extension that is not understood.
    #[error("the OCSP response has the critical extension {identifier}, which is not understood")]
    UnknownCriticalExtension {
        /// Its identifier.
        identifier: String,
    },
}

fn read_responder_id(choice: &Element<'_>) -> Result<ResponderId, DerError> {
    match choice.tag {
        0xa1 => Ok(ResponderId::Name(Reader::only(choice.content, tag::SEQUENCE)?.whole.to_vec())),
        0xa2 => Ok(ResponderId::KeyHash(Reader::only(choice.content, tag::OCTET_STRING)?.content.to_vec())),
        found => Err(DerError::Tag { expected: tag::context_constructed(1), found }),
    }
}

fn read_single_response(mut fields: Reader<'_>) -> Result<SingleResponse, ResponseParseError> {
    let cert_id = CertId::read(&mut fields)?;
    let status = read_status(&fields.any()?)?;
    let this_update = read_generalized_time(&fields.any()?)?;
    let next_update = fields
        .optional(tag::context_constructed(0))?
        .map(|explicit| read_generalized_time(&Reader::only(explicit.content, tag::GENERALIZED_TIME)?))
        .transpose()?;
    let extensions = read_extensions(&mut fields, 1)?;
    fields.finish()?;
    refuse_critical(&extensions, &[ARCHIVE_CUTOFF])?;
    let archive_cutoff = find(&extensions, &ARCHIVE_CUTOFF)
        .map(|extension| read_time(&Reader::only(extension.value, tag::GENERALIZED_TIME)?))
        .transpose()?;
    Ok(SingleResponse { cert_id, status, this_update, next_update, archive_cutoff })
}

fn read_status(choice: &Element<'_>) -> Result<CertStatus, DerError> {
    match choice.tag {
        0x80 if choice.content.is_empty() => Ok(CertStatus::Good),
        0x82 if choice.content.is_empty() => Ok(CertStatus::Unknown),
        0xa1 => {
            let mut fields = choice.reader();
            let at = read_generalized_time(&fields.any()?)?;
            let reason = fields
                .optional(tag::context_constructed(0))?
                .map(|explicit| tlv::small_unsigned(Reader::only(explicit.content, tag::ENUMERATED)?.content))
                .transpose()?;
            fields.finish()?;
            let reason = reason.and_then(|code| u8::try_from(code).ok()).and_then(RevocationReason::from_code);
            Ok(CertStatus::Revoked { at, reason })
        }
        0x80 | 0x82 => Err(DerError::Content { kind: "NULL" }),
        found => Err(DerError::Tag { expected: tag::context(0), found }),
    }
}

/// OCSP times are GeneralizedTime, whatever the year (§4.2.1).
fn read_generalized_time(element: &Element<'_>) -> Result<Timestamp, DerError> {
    match element.tag {
        tag::GENERALIZED_TIME => read_time(element),
        found => Err(DerError::Tag { expected: tag::GENERALIZED_TIME, found }),
    }
}

fn refuse_critical(
    extensions: &[Extension<'_>],
    known: &[const_oid::ObjectIdentifier],
) -> Result<(), ResponseParseError> {
    match Extension::unknown_critical(extensions, known) {
        Some(identifier) => Err(ResponseParseError::UnknownCriticalExtension { identifier }),
        None => Ok(()),
    }
}
