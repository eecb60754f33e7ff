//! The parts of a TBSCertList read in place and strictly: what the lint and [`super::ParsedCrl`] look at. Knows nothing of the
//! writer.

use super::{CRL_REASON, INVALIDITY_DATE};
use crate::der_time::read_time;
use crate::extension::Extension;
use crate::time::Timestamp;
use crate::tlv::{self, DerError, Element, Reader, tag};

/// The fields of a TBSCertList before revokedCertificates (RFC 5280 §5.1.2), as they stand.
#[derive(Debug)]
pub(super) struct HeadView<'a> {
    /// The version's number: 1 is v2. Absent in v1.
    pub(super) version: Option<u64>,
    /// The whole AlgorithmIdentifier.
    pub(super) signature_algorithm: &'a [u8],
    /// The whole Name.
    pub(super) issuer: &'a [u8],
    pub(super) this_update: Element<'a>,
    pub(super) next_update: Option<Element<'a>>,
}

impl<'a> HeadView<'a> {
    /// Reads the first fields of what is inside a TBSCertList.
    pub(super) fn read(fields: &mut Reader<'a>) -> Result<Self, DerError> {
        let version = fields.optional(tag::INTEGER)?.map(|element| tlv::small_unsigned(element.content)).transpose()?;
        let signature_algorithm = fields.take(tag::SEQUENCE)?.whole;
        let issuer = fields.take(tag::SEQUENCE)?.whole;
        let this_update = fields.any()?;
        let next_update = match fields.peek() {
            Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => Some(fields.any()?),
            _ => None,
        };
        Ok(Self { version, signature_algorithm, issuer, this_update, next_update })
    }
}

/// Reads what comes after revokedCertificates, to the end of the TBSCertList.
pub(super) fn read_extensions(mut fields: Reader<'_>) -> Result<Vec<Extension<'_>>, DerError> {
    let extensions = match fields.optional(tag::context_constructed(0))? {
        Some(explicit) => {
            let list = Reader::only(explicit.content, tag::SEQUENCE)?;
            Extension::read_all(list.reader())?
        }
        None => Vec::new(),
    };
    fields.finish()?;
    Ok(extensions)
}

/// A TBSCertList that lies in memory.
#[derive(Debug)]
pub(super) struct TbsView<'a> {
    pub(super) head: HeadView<'a>,
    /// The content of revokedCertificates, where it is present.
    pub(super) revoked: Option<&'a [u8]>,
    pub(super) extensions: Vec<Extension<'a>>,
}

impl<'a> TbsView<'a> {
    /// Reads the DER of a TBSCertList. Entries are not looked at.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, DerError> {
        let mut fields = Reader::only(der, tag::SEQUENCE)?.reader();
        let head = HeadView::read(&mut fields)?;
        let revoked = fields.optional(tag::SEQUENCE)?.map(|element| element.content);
        Ok(Self { head, revoked, extensions: read_extensions(fields)? })
    }

    /// The entries, in order. Ends after the first that is no DER.
    pub(super) fn entries(&self) -> EntryViews<'a> {
        EntryViews::new(self.revoked.unwrap_or_default())
    }
}

/// One entry of revokedCertificates.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryView<'a> {
    /// The content of the INTEGER.
    pub(super) serial: &'a [u8],
    pub(super) revoked_at: Timestamp,
    /// The Time as it stands.
    pub(super) revoked_at_element: Element<'a>,
    /// crlEntryExtensions is there and holds nothing.
    pub(super) empty_extensions: bool,
    /// The CRLReason code.
    pub(super) reason: Option<u64>,
    pub(super) invalidity_date: Option<Timestamp>,
    /// An extension marked critical, or that is neither reason nor invalidity date.
    pub(super) unusual: Option<Extension<'a>>,
}

impl<'a> EntryView<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DerError> {
        let mut fields = reader.take(tag::SEQUENCE)?.reader();
        let serial = fields.take(tag::INTEGER)?.content;
        let revoked_at_element = fields.any()?;
        let mut entry = Self {
            serial,
            revoked_at: read_time(&revoked_at_element)?,
            revoked_at_element,
            empty_extensions: false,
            reason: None,
            invalidity_date: None,
            unusual: None,
        };
        if let Some(list) = fields.optional(tag::SEQUENCE)? {
            entry.read_extensions(list.reader())?;
        }
        fields.finish()?;
        Ok(entry)
    }

    fn read_extensions(&mut self, mut list: Reader<'a>) -> Result<(), DerError> {
        self.empty_extensions = list.is_empty();
        while !list.is_empty() {
            let extension = Extension::read(&mut list)?;
            if extension.is(&CRL_REASON) {
                let code = Reader::only(extension.value, tag::ENUMERATED)?.content;
                if self.reason.replace(tlv::small_unsigned(code)?).is_some() {
                    return Err(DerError::RepeatedExtension);
                }
            } else if extension.is(&INVALIDITY_DATE) {
                let date = Reader::only(extension.value, tag::GENERALIZED_TIME)?;
                if self.invalidity_date.replace(read_time(&date)?).is_some() {
                    return Err(DerError::RepeatedExtension);
                }
            } else if !extension.critical {
                // A critical one seen before is the graver finding.
                self.unusual.get_or_insert(extension);
            }
            if extension.critical {
                self.unusual = Some(extension);
            }
        }
        Ok(())
    }
}

/// Entries read one after the other.
#[derive(Clone, Debug)]
pub(super) struct EntryViews<'a> {
    reader: Reader<'a>,
}

impl<'a> EntryViews<'a> {
    /// The entries in the content of revokedCertificates.
    pub(super) const fn new(content: &'a [u8]) -> Self {
        Self { reader: Reader::new(content) }
    }

    /// The entry whose serial has this content; the others are not looked into. `None` also when the list ends in no
    /// DER.
    pub(super) fn find_serial(mut self, content: &[u8]) -> Option<EntryView<'a>> {
        while !self.reader.is_empty() {
            let mut here = self.reader;
            let serial = self.reader.any().ok()?.reader().take(tag::INTEGER).ok()?;
            if serial.content == content {
                return EntryView::read(&mut here).ok();
            }
        }
        None
    }
}

impl<'a> Iterator for EntryViews<'a> {
    type Item = Result<EntryView<'a>, DerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let entry = EntryView::read(&mut self.reader);
        if entry.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(entry)
    }
}

/// What an IssuingDistributionPoint says (RFC 5280 §5.2.5).
#[derive(Debug, Default)]
pub(super) struct ScopeView<'a> {
    /// The first URI of fullName.
    pub(super) uri: Option<&'a [u8]>,
    pub(super) only_user: bool,
    pub(super) only_ca: bool,
    /// Reasons, indirect CRL, attribute certificates, or a name relative to the issuer: what we neither write nor use.
    pub(super) other: bool,
}

impl<'a> ScopeView<'a> {
    pub(super) fn read(value: &'a [u8]) -> Result<Self, DerError> {
        let mut scope = Self::default();
        let mut fields = Reader::only(value, tag::SEQUENCE)?.reader();
        while !fields.is_empty() {
            let field = fields.any()?;
            match field.tag {
                0xa0 => {
                    scope.uri = read_full_name_uri(field.content)?;
                    scope.other |= scope.uri.is_none();
                }
                0x81 => scope.only_user = read_flag(field.content)?,
                0x82 => scope.only_ca = read_flag(field.content)?,
                0x84 | 0x85 => scope.other |= read_flag(field.content)?,
                _ => scope.other = true,
            }
        }
        Ok(scope)
    }
}

/// The first URI of a DistributionPointName that is a fullName.
pub(super) fn read_full_name_uri(content: &[u8]) -> Result<Option<&[u8]>, DerError> {
    let mut choice = Reader::new(content);
    let Some(full_name) = choice.optional(tag::context_constructed(0))? else { return Ok(None) };
    let mut names = full_name.reader();
    while !names.is_empty() {
        let name = names.any()?;
        if name.tag == tag::context(6) {
            return Ok(Some(name.content));
        }
    }
    Ok(None)
}

fn read_flag(content: &[u8]) -> Result<bool, DerError> {
    match content {
        [0xff] => Ok(true),
        [0x00] => Ok(false),
        _ => Err(DerError::Content { kind: "BOOLEAN" }),
    }
}
