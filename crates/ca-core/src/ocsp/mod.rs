//! The Online Certificate Status Protocol (RFC 6960, RFC 9654 for nonces, RFC 9919 for high volume), both sides of it.
//!
//! A responder reads with [`request::parse`], builds an [`OcspTbs`] from a [`ResponseTemplate`], has it signed and
//! calls [`assemble`]; a client uses [`request::encode`] and [`ParsedResponse`]. What the status of a certificate is,
//! caching and HTTP are not known here.

mod cert_id;
mod get_path;
mod parse;
pub mod request;
mod response;
mod verify;

pub use cert_id::{CertId, CertIdHash, IssuerIdentity};
pub use get_path::{decode_get_path, encode_get_path};
pub use parse::{BasicResponse, ParsedResponse, ResponderId, ResponseParseError};
pub use request::{OcspRequest, RequestError};
pub use response::{CertStatus, OcspTbs, ResponderError, ResponseTemplate, SingleResponse, assemble, error_response};
pub use verify::{ResponseInvalid, ResponseSigner};

use const_oid::ObjectIdentifier;

/// id-pkix-ocsp-basic (RFC 6960 §4.2.1).
const BASIC_RESPONSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// id-pkix-ocsp-nonce (RFC 9654 §2.1).
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
/// id-pkix-ocsp-response (RFC 6960 §4.4.3).
const ACCEPTABLE_RESPONSES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.4");
/// id-pkix-ocsp-archive-cutoff (RFC 6960 §4.4.4).
const ARCHIVE_CUTOFF: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.6");
/// id-pkix-ocsp-pref-sig-algs (RFC 6960 §4.4.7.1).
const PREFERRED_SIGNATURE_ALGORITHMS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.8");

/// The lengths that a nonce may have, in octets (RFC 9654 §2.1).
const NONCE_OCTETS: std::ops::RangeInclusive<usize> = 1..=128;

#[cfg(test)]
mod tests;
