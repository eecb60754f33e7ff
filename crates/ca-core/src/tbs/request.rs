//! Requests to certify a key of ours, for whoever holds the key above it where this service cannot reach it (PKCS #10, RFC 2986): of an
//! authority, with exactly the extensions that the certificate is to have; of a responder, which an issuer is told otherwise what to
//! certify for, with the key alone.

use const_oid::ObjectIdentifier;

use super::extension::{self, append_key_usage, append_oid, id};
use crate::csr::{CsrError, ParsedCsr};
use crate::extension::append as append_extension;
use crate::key::PublicKey;
use crate::name::DistinguishedName;
use crate::policy::AuthorityConstraints;
use crate::signing::{self, Message, Signable, Signature, sealed};
use crate::template::CertificateTemplate;
use crate::tlv::{self, append, append_nested, tag};
use crate::usage::{KeyUsage, KeyUsages};

/// PKCS #9 extensionRequest (RFC 2985 §5.4.2).
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");

/// A CertificationRequestInfo (RFC 2986 §4.1), to be signed with the key that it asks to certify. It cannot pass for a certificate or
/// a list: those have no version 0 that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    der: Vec<u8>,
}

impl RequestInfo {
    /// Asks for what a template says; serial, validity and issuer are the issuer's to write.
    pub fn of(template: &CertificateTemplate) -> Self {
        Self::new(template.subject(), template.public_key(), |values| extension::append_sequence(values, template))
    }

    /// Asks that `public_key` be certified as an authority of this name, with these constraints, that issues to end entities only.
    pub fn of_authority(
        subject: &DistinguishedName,
        public_key: &PublicKey,
        constraints: &AuthorityConstraints,
    ) -> Self {
        Self::new(subject, public_key, |values| {
            append_nested(values, tag::SEQUENCE, |extensions| append_wishes(extensions, constraints));
        })
    }

    /// Names a subject and shows the key, with no attributes.
    pub fn of_key(subject: &DistinguishedName, key: &PublicKey) -> Self {
        let mut der = Vec::with_capacity(512);
        append_nested(&mut der, tag::SEQUENCE, |info| {
            append_head(info, subject, key);
            append(info, tag::context_constructed(0), &[]);
        });
        Self { der }
    }

    fn new(subject: &DistinguishedName, key: &PublicKey, extensions: impl FnOnce(&mut Vec<u8>)) -> Self {
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
        Self { der }
    }

    /// The request with its signature, read back: which proves that it is one, and that the key of it signed.
    pub fn into_csr(self, signature: &Signature) -> Result<ParsedCsr, CsrError> {
        ParsedCsr::from_der(&signing::assemble(&self.der, signature))
    }
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

fn append_wishes(extensions: &mut Vec<u8>, constraints: &AuthorityConstraints) {
    append_extension(extensions, &id::BASIC_CONSTRAINTS, true, |value| {
        append_nested(value, tag::SEQUENCE, |basic| {
            append(basic, tag::BOOLEAN, &[0xff]);
            tlv::append_unsigned(basic, 0);
        });
    });
    let usages: KeyUsages = [KeyUsage::KeyCertSign, KeyUsage::CrlSign].into_iter().collect();
    append_extension(extensions, &id::KEY_USAGE, true, |value| append_key_usage(value, usages));
    if !constraints.extended_key_usage.is_empty() {
        append_extension(extensions, &id::EXTENDED_KEY_USAGE, false, |value| {
            append_nested(value, tag::SEQUENCE, |purposes| {
                for purpose in &constraints.extended_key_usage {
                    append_oid(purposes, purpose.0);
                }
            });
        });
    }
    append_extension(extensions, &id::CERTIFICATE_POLICIES, false, |value| {
        append_nested(value, tag::SEQUENCE, |policies| {
            append_nested(policies, tag::SEQUENCE, |information| append_oid(information, crate::template::ANY_POLICY));
        });
    });
    if let Some(subtrees) = constraints.name_constraints.to_der() {
        append_extension(extensions, &id::NAME_CONSTRAINTS, true, |value| value.extend_from_slice(&subtrees));
    }
}
