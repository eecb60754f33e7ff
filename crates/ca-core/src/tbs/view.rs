//! A TBSCertificate read in place and strictly: what lints and [`crate::certificate::Certificate`] look at. Knows nothing
//! of templates and of the encoder, and believes neither.

use crate::extension::Extension;
use crate::tlv::{DerError, Element, Reader, tag};

/// The fields of a TBSCertificate (RFC 5280 §4.1), as slices of its DER.
#[derive(Clone, Debug)]
pub(crate) struct TbsView<'a> {
    /// The whole TBSCertificate.
    pub(crate) whole: &'a [u8],
    /// The content of the version's INTEGER; `None` where the default, version 1, is left out.
    pub(crate) version: Option<&'a [u8]>,
    /// The content of the serialNumber's INTEGER.
    pub(crate) serial: &'a [u8],
    /// The whole AlgorithmIdentifier.
    pub(crate) signature_algorithm: &'a [u8],
    /// The whole issuer Name.
    pub(crate) issuer: &'a [u8],
    /// The Time of notBefore.
    pub(crate) not_before: Element<'a>,
    /// The Time of notAfter.
    pub(crate) not_after: Element<'a>,
    /// The whole subject Name.
    pub(crate) subject: &'a [u8],
    /// The whole SubjectPublicKeyInfo.
    pub(crate) public_key: &'a [u8],
    /// Whether issuerUniqueID or subjectUniqueID is there.
    pub(crate) unique_identifiers: bool,
    /// The extensions in their order; none where the field is left out.
    pub(crate) extensions: Vec<Extension<'a>>,
}

impl<'a> TbsView<'a> {
    /// Reads exactly one TBSCertificate. Extensions may occur twice here: that is a lint's business.
    pub(crate) fn read(der: &'a [u8]) -> Result<Self, DerError> {
        let whole = Reader::only(der, tag::SEQUENCE)?;
        let mut fields = whole.reader();
        let version = match fields.optional(tag::context_constructed(0))? {
            Some(explicit) => Some(Reader::only(explicit.content, tag::INTEGER)?.content),
            None => None,
        };
        let serial = fields.take(tag::INTEGER)?.content;
        let signature_algorithm = fields.take(tag::SEQUENCE)?.whole;
        let issuer = fields.take(tag::SEQUENCE)?.whole;
        let mut validity = fields.take(tag::SEQUENCE)?.reader();
        let (not_before, not_after) = (validity.any()?, validity.any()?);
        validity.finish()?;
        let subject = fields.take(tag::SEQUENCE)?.whole;
        let public_key = fields.take(tag::SEQUENCE)?.whole;
        let issuer_unique_id = fields.optional(tag::context(1))?;
        let subject_unique_id = fields.optional(tag::context(2))?;
        let mut extensions = Vec::with_capacity(12);
        if let Some(explicit) = fields.optional(tag::context_constructed(3))? {
            let mut list = Reader::only(explicit.content, tag::SEQUENCE)?.reader();
            while !list.is_empty() {
                extensions.push(Extension::read(&mut list)?);
            }
        }
        fields.finish()?;
        Ok(Self {
            whole: whole.whole,
            version,
            serial,
            signature_algorithm,
            issuer,
            not_before,
            not_after,
            subject,
            public_key,
            unique_identifiers: issuer_unique_id.is_some() || subject_unique_id.is_some(),
            extensions,
        })
    }

    /// The first extension of this identifier.
    pub(crate) fn extension(&self, identifier: &const_oid::ObjectIdentifier) -> Option<&Extension<'a>> {
        self.extensions.iter().find(|extension| extension.is(identifier))
    }
}
