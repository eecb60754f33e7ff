//! Requests to certify a key of ours, for whoever holds the key above it where this service cannot reach it (PKCS #10, RFC 2986): of an
//! authority, with exactly the extensions that the certificate is to have; of a responder, which an issuer is told otherwise what to
//! certify for, with the key alone.

use const_oid::ObjectIdentifier;

use super::extension;
use crate::key::{PublicKey, SignatureInvalid};
use crate::name::DistinguishedName;
use crate::signing::{Message, Signable, Signature, assemble, sealed};
use crate::template::CertificateTemplate;
use crate::tlv::{append, append_nested, tag};

/// PKCS #9 extensionRequest (RFC 2985 §5.4.2).
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");

/// The CertificationRequestInfo of a request, to be signed with the key that it asks to certify.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestInfo {
    der: Vec<u8>,
    public_key: PublicKey,
}

impl RequestInfo {
    /// Asks for what a template says; serial, validity and issuer are the issuer's to write.
    pub fn of(template: &CertificateTemplate) -> Self {
        let der =
            info(template.subject(), template.public_key(), |values| extension::append_sequence(values, template));
        Self { der, public_key: template.public_key().clone() }
    }

    /// Names a subject and shows the key, with no attributes.
    pub fn of_key(subject: &DistinguishedName, key: &PublicKey) -> Self {
        let mut der = Vec::with_capacity(512);
        append_nested(&mut der, tag::SEQUENCE, |info| {
            append_head(info, subject, key);
            append(info, tag::context_constructed(0), &[]);
        });
        Self { der, public_key: key.clone() }
    }

    /// Joins it with its signature, which is verified first; the DER of a CertificationRequest.
    pub fn into_request(self, signature: &Signature) -> Result<Vec<u8>, SignatureInvalid> {
        self.public_key.verify(signature.algorithm, &self.der, &signature.octets)?;
        Ok(assemble(&self.der, signature))
    }
}

/// The DER of a CertificationRequestInfo (RFC 2986 §4.1); `extensions` appends the Extensions it asks for.
pub(super) fn info(subject: &DistinguishedName, key: &PublicKey, extensions: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut der = Vec::with_capacity(1_024);
    append_nested(&mut der, tag::SEQUENCE, |info| {
        append_head(info, subject, key);
        append_nested(info, tag::context_constructed(0), |attributes| {
            append_nested(attributes, tag::SEQUENCE, |attribute| {
                append(attribute, tag::OBJECT_IDENTIFIER, EXTENSION_REQUEST.as_bytes());
                append_nested(attribute, tag::SET, extensions);
            });
        });
    });
    der
}

fn append_head(info: &mut Vec<u8>, subject: &DistinguishedName, key: &PublicKey) {
    // version v1(0)
    append(info, tag::INTEGER, &[0]);
    info.extend_from_slice(subject.as_der());
    info.extend_from_slice(key.spki_der());
}

impl sealed::Sealed for RequestInfo {}

impl Signable for RequestInfo {
    fn message(&self) -> Message<'_> {
        Message::Whole(&self.der)
    }
}
