//! OCSPRequest (RFC 6960 §4.1): read as a responder, written as a client.

use thiserror::Error;

use super::{ACCEPTABLE_RESPONSES, CertId, NONCE, NONCE_OCTETS, PREFERRED_SIGNATURE_ALGORITHMS};
use crate::extension::{self, Extension, find};
use crate::tlv::{self, DerError, Reader, tag};

/// The most octets a request may have. One with a single CertID and a nonce has about 130.
pub const MAX_REQUEST_OCTETS: usize = 16 * 1024;

/// The most CertIDs in one request: each costs a look-up, and one answer holds them all.
pub const MAX_CERTIFICATES: usize = 100;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspRequest {
    /// The certificates asked for, at least one, in the order of the request.
    pub certificates: Vec<CertId>,
    /// The content of the nonce, 1 to 128 octets, to be repeated in the response (RFC 9654 §2.1).
    pub nonce: Option<Vec<u8>>,
}

/// Reads a request. Every error is to be answered with `malformedRequest`.
///
/// A signature is passed over (a responder that answers anyone need not look at it, RFC 6960 §4.1.2), and so are the
/// requestor's name, the acceptable response types (`basic` is what every client must take, §4.4.3) and the preferred
/// signature algorithms (a hint, §4.4.7).
pub fn parse(der: &[u8]) -> Result<OcspRequest, RequestError> {
    if der.len() > MAX_REQUEST_OCTETS {
        return Err(RequestError::TooLarge { octets: der.len() });
    }
    let mut request = Reader::only(der, tag::SEQUENCE)?.reader();
    let to_be_signed = request.take(tag::SEQUENCE)?;
    if let Some(signature) = request.optional(tag::context_constructed(0))? {
        Reader::only(signature.content, tag::SEQUENCE)?;
    }
    request.finish()?;

    let mut fields = to_be_signed.reader();
    read_version(&mut fields)?;
    // requestorName [1] EXPLICIT GeneralName
    fields.optional(tag::context_constructed(1))?;
    let mut list = fields.take(tag::SEQUENCE)?.reader();
    let extensions = read_extensions(&mut fields, 2)?;
    fields.finish()?;

    let mut certificates = Vec::with_capacity(1);
    while !list.is_empty() {
        if certificates.len() == MAX_CERTIFICATES {
            return Err(RequestError::TooManyCertificates);
        }
        let mut single = list.take(tag::SEQUENCE)?.reader();
        certificates.push(CertId::read(&mut single)?);
        // The only one defined, the service locator (§4.4.6), asks to pass the request on, which is not done.
        refuse_critical(&read_extensions(&mut single, 0)?, &[])?;
        single.finish()?;
    }
    if certificates.is_empty() {
        return Err(RequestError::NoCertificate);
    }
    refuse_critical(&extensions, &[NONCE, ACCEPTABLE_RESPONSES, PREFERRED_SIGNATURE_ALGORITHMS])?;
    let nonce = find(&extensions, &NONCE).map(|extension| read_nonce(extension.value)).transpose()?;
    Ok(OcspRequest { certificates, nonce })
}

/// Writes a request, unsigned, for `certificates`, of which there must be at least one for a responder to accept it. A
/// nonce has 32 octets, as RFC 9654 §2.1 asks of clients; without one, a responder may give a cached answer.
pub fn encode(certificates: &[CertId], nonce: Option<&[u8; 32]>) -> Vec<u8> {
    let mut der = Vec::with_capacity(64 + 120 * certificates.len());
    tlv::append_nested(&mut der, tag::SEQUENCE, |out| {
        tlv::append_nested(out, tag::SEQUENCE, |out| {
            tlv::append_nested(out, tag::SEQUENCE, |out| {
                for certificate in certificates {
                    tlv::append(out, tag::SEQUENCE, certificate.as_der());
                }
            });
            if let Some(nonce) = nonce {
                append_nonce_extensions(out, 2, nonce);
            }
        });
    });
    der
}

/// Appends `[number] EXPLICIT Extensions` with a nonce alone.
pub(super) fn append_nonce_extensions(out: &mut Vec<u8>, number: u8, nonce: &[u8]) {
    tlv::append_nested(out, tag::context_constructed(number), |out| {
        tlv::append_nested(out, tag::SEQUENCE, |out| {
            extension::append(out, &NONCE, false, |out| tlv::append(out, tag::OCTET_STRING, nonce));
        });
    });
}

/// The content of a Nonce: an OCTET STRING of 1 to 128 octets (RFC 9654 §2.1: others MUST be refused).
pub(super) fn read_nonce(value: &[u8]) -> Result<Vec<u8>, RequestError> {
    let nonce = Reader::only(value, tag::OCTET_STRING).map_err(|_| RequestError::NonceNotOctetString)?.content;
    if !NONCE_OCTETS.contains(&nonce.len()) {
        return Err(RequestError::NonceLength { octets: nonce.len() });
    }
    Ok(nonce.to_vec())
}

/// `[number] EXPLICIT Extensions`, where they are.
pub(super) fn read_extensions<'a>(fields: &mut Reader<'a>, number: u8) -> Result<Vec<Extension<'a>>, DerError> {
    match fields.optional(tag::context_constructed(number))? {
        Some(explicit) => Extension::read_all(Reader::only(explicit.content, tag::SEQUENCE)?.reader()),
        None => Ok(Vec::new()),
    }
}

fn read_version(fields: &mut Reader<'_>) -> Result<(), RequestError> {
    let Some(explicit) = fields.optional(tag::context_constructed(0))? else { return Ok(()) };
    // DER leaves the default v1 out; a client that writes it means the same.
    match tlv::small_unsigned(Reader::only(explicit.content, tag::INTEGER)?.content)? {
        0 => Ok(()),
        number => Err(RequestError::Version { number }),
    }
}

fn refuse_critical(extensions: &[Extension<'_>], known: &[const_oid::ObjectIdentifier]) -> Result<(), RequestError> {
    match Extension::unknown_critical(extensions, known) {
        Some(identifier) => Err(RequestError::UnknownCriticalExtension { identifier }),
        None => Ok(()),
    }
}

/// A request that cannot be answered with a status.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Longer than [`MAX_REQUEST_OCTETS`].
    #[error("an OCSP request has at most {MAX_REQUEST_OCTETS} octets, this one has {octets}")]
    TooLarge {
        /// How many it has.
        octets: usize,
    },
    /// A path with a `%` that two hexadecimal digits do not follow.
    #[error("the path of the OCSP request is not percent-encoded")]
    NotPercentEncoded,
    /// A path that is not base64.
    #[error("the path of the OCSP request is not base64")]
    NotBase64,
    /// Not DER of an OCSPRequest.
    #[error("not an OCSP request: {0}")]
    Der(#[from] DerError),
    /// Another version than v1.
    #[error("OCSP requests are of version 1, this one says {}", number.saturating_add(1))]
    Version {
        /// The number in the request, where 0 is v1.
        number: u64,
    },
    /// An empty list.
    #[error("the OCSP request asks for no certificate")]
    NoCertificate,
    /// More than [`MAX_CERTIFICATES`].
    #[error("an OCSP request asks for at most {MAX_CERTIFICATES} certificates")]
    TooManyCertificates,
    /// A nonce that is not wrapped in an OCTET STRING.
    #[error("the nonce is not an OCTET STRING")]
    NonceNotOctetString,
    /// A nonce of a length that must be refused.
    #[error("a nonce has 1 to 128 octets, this one has {octets}")]
    NonceLength {
        /// How many it has.
        octets: usize,
    },
    /// A critical extension that is not understood.
    #[error("the OCSP request has the critical extension {identifier}, which is not understood")]
    UnknownCriticalExtension {
        /// Its identifier.
        identifier: String,
    },
}
