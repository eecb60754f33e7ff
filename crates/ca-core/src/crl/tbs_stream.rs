//! A TBSCertList read as it passes, piece by piece: what does not fit into memory is read as strictly as what does.
//!
//! Kept are what comes before the entries, what comes after them, and at most one entry that is not all there yet. Knows nothing
//! of the writer.

use super::tbs_view::{EntryView, HeadView, read_extensions};
use crate::extension::Extension;
use crate::tlv::{self, DerError, Reader, tag};

/// Reads a TBSCertList whose octets come in order, in pieces of any length.
pub(super) struct TbsStream {
    stage: Stage,
    /// What has come and could not be read yet.
    pending: Vec<u8>,
    /// The fields before revokedCertificates, once they are all there.
    head: Vec<u8>,
    /// The length of the content of revokedCertificates, where it is present.
    revoked: Option<usize>,
    /// How many octets come after the entries.
    tail: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    /// So many octets of entries are still to be read.
    Entries(usize),
    Tail,
}

/// What surrounds the entries.
pub(super) struct TbsFrame {
    head: Vec<u8>,
    /// The length of the content of revokedCertificates, where it is present.
    pub(super) revoked: Option<usize>,
    tail: Vec<u8>,
}

impl TbsStream {
    pub(super) fn new() -> Self {
        Self { stage: Stage::Head, pending: Vec::new(), head: Vec::new(), revoked: None, tail: 0 }
    }

    /// Takes the octets that follow, and hands each entry on that is complete, with the fields before all. Not to be called again after an error.
    pub(super) fn update(
        &mut self,
        octets: &[u8],
        each: &mut dyn FnMut(&HeadView<'_>, &EntryView<'_>),
    ) -> Result<(), DerError> {
        self.pending.extend_from_slice(octets);
        if self.stage == Stage::Head && !self.read_head()? {
            return if self.pending.len() > LARGEST_HEAD { Err(DerError::Length) } else { Ok(()) };
        }
        if let Stage::Entries(left) = self.stage {
            self.read_entries(left, each)?;
        }
        match self.stage {
            Stage::Tail if self.pending.len() > self.tail => {
                Err(DerError::Trailing { octets: self.pending.len() - self.tail })
            }
            _ => Ok(()),
        }
    }

    /// Ends the list: all of it must have come.
    pub(super) fn finish(self) -> Result<TbsFrame, DerError> {
        if self.stage != Stage::Tail || self.pending.len() != self.tail {
            return Err(DerError::Truncated);
        }
        Ok(TbsFrame { head: self.head, revoked: self.revoked, tail: self.pending })
    }

    /// Reads the fields before the entries; `false` when they are not all there yet.
    fn read_head(&mut self) -> Result<bool, DerError> {
        let Some((tag, header, content)) = there(tlv::peek_header(&self.pending), false)? else { return Ok(false) };
        if tag != tag::SEQUENCE {
            return Err(DerError::Tag { expected: tag::SEQUENCE, found: tag });
        }
        let inside = &self.pending[header..];
        let all_there = inside.len() >= content;
        let mut fields = Reader::new(&inside[..content.min(inside.len())]);
        if there(HeadView::read(&mut fields), all_there)?.is_none() {
            return Ok(false);
        }
        let rest = fields.rest();
        let head = inside.len().min(content) - rest.len();
        let (revoked, revoked_header) = match rest.first() {
            None if !all_there => return Ok(false),
            Some(&tag::SEQUENCE) => match there(tlv::peek_header(rest), all_there)? {
                None => return Ok(false),
                Some((_, header, length)) => (Some(length), header),
            },
            _ => (None, 0),
        };
        let entries = revoked.unwrap_or_default();
        let before = head + revoked_header;
        self.tail =
            content.checked_sub(before).and_then(|left| left.checked_sub(entries)).ok_or(DerError::Truncated)?;
        if self.tail > LARGEST_TAIL {
            return Err(DerError::Length);
        }
        self.head = inside[..head].to_vec();
        self.revoked = revoked;
        self.stage = if entries > 0 { Stage::Entries(entries) } else { Stage::Tail };
        self.pending.drain(..header + before);
        Ok(true)
    }

    fn read_entries(
        &mut self,
        mut left: usize,
        each: &mut dyn FnMut(&HeadView<'_>, &EntryView<'_>),
    ) -> Result<(), DerError> {
        let head = HeadView::read(&mut Reader::new(&self.head))?;
        let mut read = 0;
        while left > 0 {
            let here = &self.pending[read..];
            let here = &here[..left.min(here.len())];
            let all_there = here.len() == left;
            let Some((_, header, content)) = there(tlv::peek_header(here), all_there)? else { break };
            let length = header + content;
            if length > left {
                return Err(DerError::Truncated);
            }
            if length > LARGEST_ENTRY {
                return Err(DerError::Length);
            }
            let Some(whole) = here.get(..length) else { break };
            each(&head, &EntryView::read(&mut Reader::new(whole))?);
            read += length;
            left -= length;
        }
        self.pending.drain(..read);
        self.stage = if left > 0 { Stage::Entries(left) } else { Stage::Tail };
        Ok(())
    }
}

impl TbsFrame {
    pub(super) fn head(&self) -> Result<HeadView<'_>, DerError> {
        let mut fields = Reader::new(&self.head);
        let head = HeadView::read(&mut fields)?;
        fields.finish()?;
        Ok(head)
    }

    pub(super) fn extensions(&self) -> Result<Vec<Extension<'_>>, DerError> {
        read_extensions(Reader::new(&self.tail))
    }
}

/// `None` when a value ends too early because the rest of it has not come yet.
fn there<T>(read: Result<T, DerError>, all_there: bool) -> Result<Option<T>, DerError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(DerError::Truncated) if !all_there => Ok(None),
        Err(error) => Err(error),
    }
}

/// Above these, octets are refused that would otherwise be kept: a name, an entry or extensions of such a length are no list's.
const LARGEST_HEAD: usize = 64 * 1024;
const LARGEST_ENTRY: usize = 64 * 1024;
const LARGEST_TAIL: usize = 64 * 1024;
