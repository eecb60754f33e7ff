//! The TBSCertificate encoder (RFC 5280 §4.1): a template in, DER out.
//!
//! Names and keys are copied byte for byte, extensions come in one fixed order. Nothing is decided here, and the result is
//! not believed: [`crate::lint`] reads it again.

pub(crate) mod extension;
pub(crate) mod extension_value;
mod request;
mod view;

pub use request::RequestInfo;
pub(crate) use view::TbsView;

use thiserror::Error;

use crate::der_time::{TimeOutOfRange, append_time};
use crate::template::{CertificateTemplate, SerialChoice};
use crate::tlv::{self, tag};

/// The DER of a TBSCertificate that nobody has looked at yet. [`crate::lint::check`] turns it into what may be signed.
#[derive(Debug, PartialEq, Eq)]
pub struct TbsDer(Vec<u8>);

impl TbsDer {
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Octets made elsewhere, for the tests of lints.
    #[cfg(test)]
    pub(crate) fn from_bytes(der: Vec<u8>) -> Self {
        Self(der)
    }
}

/// The DER of a signed certificate: only [`crate::lint::LintedTbs::into_certificate`] makes one, once the signature has
/// been verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateDer(pub(crate) Vec<u8>);

impl CertificateDer {
    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The octets, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Encodes a template.
pub fn encode(template: &CertificateTemplate) -> Result<TbsDer, EncodeError> {
    let SerialChoice::Ours(serial) = &template.serial else { return Err(EncodeError::SerialChosenByIssuer) };
    let mut validity = Vec::with_capacity(34);
    append_time(&mut validity, template.validity.not_before)?;
    append_time(&mut validity, template.validity.not_after)?;
    let mut der = Vec::with_capacity(1024);
    tlv::append_nested(&mut der, tag::SEQUENCE, |tbs| {
        tbs.extend_from_slice(&VERSION_3);
        tlv::append(tbs, tag::INTEGER, &serial.to_der_content());
        tbs.extend_from_slice(template.signature_algorithm.identifier_der());
        tbs.extend_from_slice(template.issuer.as_der());
        tlv::append(tbs, tag::SEQUENCE, &validity);
        tbs.extend_from_slice(template.subject.as_der());
        tbs.extend_from_slice(template.public_key.spki_der());
        extension::append_all(tbs, template);
    });
    Ok(TbsDer(der))
}

/// `[0] EXPLICIT INTEGER 2`: version 3 (RFC 5280 §4.1.2.1).
const VERSION_3: [u8; 5] = [0xa0, 3, 2, 1, 2];

/// A template that cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The issuer chooses the serial, so it encodes the certificate too.
    #[error("the issuer chooses the serial number of this certificate, so that it cannot be encoded here")]
    SerialChosenByIssuer,
    /// A time outside of what X.509 can write.
    #[error(transparent)]
    Time(#[from] TimeOutOfRange),
}

#[cfg(test)]
mod tests;
