//! Certification requests (PKCS #10, RFC 2986) for authorities whose certificates others sign: an own key asks a root that is
//! held elsewhere. What it asks for is written as its profile would grant it; whether the other side grants it shows in what
//! comes back, which [`crate::chain::subordinate`] judges.

use super::request;
use crate::csr::{CsrError, ParsedCsr};
use crate::extension::append as append_extension;
use crate::key::{PublicKey, SignatureAlgorithm};
use crate::name::DistinguishedName;
use crate::policy::AuthorityConstraints;
use crate::signing::{self, Message, Signable, Signature, sealed};
use crate::tbs::extension::{append_key_usage, append_oid, id};
use crate::tlv::{self, append_nested, tag};
use crate::usage::{KeyUsage, KeyUsages};

/// A CertificationRequestInfo (RFC 2986 §4.1) that an authority's key may sign. It cannot pass for a certificate or a list: those
/// have no version 0 that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityRequest {
    info: Vec<u8>,
    signature_algorithm: SignatureAlgorithm,
}

impl AuthorityRequest {
    /// Asks that `public_key` be certified as an authority of this name, with these constraints, that issues to end entities only.
    pub fn new(subject: &DistinguishedName, public_key: &PublicKey, constraints: &AuthorityConstraints) -> Self {
        let info = request::info(subject, public_key, |values| {
            append_nested(values, tag::SEQUENCE, |extensions| append_wishes(extensions, constraints));
        });
        Self { info, signature_algorithm: public_key.key_type().signature_algorithm() }
    }

    /// The request with its signature, read back: which proves that it is one, and that the key of it signed.
    pub fn into_csr(self, signature: &Signature) -> Result<ParsedCsr, CsrError> {
        ParsedCsr::from_der(&signing::assemble(&self.info, signature))
    }

    /// The algorithm it is to be signed with.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }
}

impl sealed::Sealed for AuthorityRequest {}

impl Signable for AuthorityRequest {
    fn message(&self) -> Message<'_> {
        Message::Whole(&self.info)
    }
}

fn append_wishes(extensions: &mut Vec<u8>, constraints: &AuthorityConstraints) {
    append_extension(extensions, &id::BASIC_CONSTRAINTS, true, |value| {
        append_nested(value, tag::SEQUENCE, |basic| {
            tlv::append(basic, tag::BOOLEAN, &[0xff]);
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
