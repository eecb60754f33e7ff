//! A whole CRL read as it passes, for whoever wants its number and to know that it is one: lists that lie in files may be large.

use super::CRL_NUMBER;
use super::tbs_stream::TbsStream;
use crate::extension::find;
use crate::tlv::{self, DerError, Reader, tag};

/// Reads a CertificateList whose octets come in order, in pieces of any length. The form of all is looked at, of every entry too;
/// what is meant by it, and the signature, are not ([`super::ParsedCrl`] does that).
pub struct CrlOutline {
    stage: Stage,
    pending: Vec<u8>,
    tbs: TbsStream,
    /// How many octets come after the TBSCertList.
    signature: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    /// So many octets of the TBSCertList are still to come.
    Tbs(usize),
    Signature,
}

impl CrlOutline {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self { stage: Stage::Head, pending: Vec::new(), tbs: TbsStream::new(), signature: 0 }
    }

    /// Takes the octets that follow. Not to be called again after an error.
    pub fn update(&mut self, octets: &[u8]) -> Result<(), DerError> {
        match self.stage {
            Stage::Tbs(left) => return self.read_tbs(left, octets),
            Stage::Head | Stage::Signature => self.pending.extend_from_slice(octets),
        }
        if self.stage == Stage::Head && self.pending.len() >= 2 * tlv::LONGEST_HEADER {
            self.read_head()?;
        }
        self.check_signature()
    }

    /// Ends the list: its number, big-endian and without leading zeros, however long; `None` when it has none.
    pub fn finish(mut self) -> Result<Option<Vec<u8>>, DerError> {
        if self.stage == Stage::Head {
            self.read_head()?;
        }
        if self.stage != Stage::Signature || self.pending.len() != self.signature {
            return Err(DerError::Truncated);
        }
        let mut fields = Reader::new(&self.pending);
        fields.take(tag::SEQUENCE)?;
        tlv::whole_octets(fields.take(tag::BIT_STRING)?.content)?;
        fields.finish()?;
        let frame = self.tbs.finish()?;
        frame.head()?;
        let extensions = frame.extensions()?;
        let Some(number) = find(&extensions, &CRL_NUMBER) else { return Ok(None) };
        let content = Reader::only(number.value, tag::INTEGER)?.content;
        Ok(Some(tlv::unsigned(content)?.to_vec()))
    }

    fn read_head(&mut self) -> Result<(), DerError> {
        let (outer, outer_header, outer_content) = tlv::peek_header(&self.pending)?;
        let inside = self.pending.split_off(outer_header);
        let (inner, inner_header, inner_content) = tlv::peek_header(&inside)?;
        for found in [outer, inner] {
            if found != tag::SEQUENCE {
                return Err(DerError::Tag { expected: tag::SEQUENCE, found });
            }
        }
        let tbs = inner_header + inner_content;
        self.signature = outer_content.checked_sub(tbs).ok_or(DerError::Truncated)?;
        self.pending.clear();
        self.read_tbs(tbs, &inside)
    }

    fn read_tbs(&mut self, left: usize, octets: &[u8]) -> Result<(), DerError> {
        let (here, after) = octets.split_at(left.min(octets.len()));
        self.tbs.update(here, &mut |_, _| {})?;
        if here.len() < left {
            self.stage = Stage::Tbs(left - here.len());
            return Ok(());
        }
        self.stage = Stage::Signature;
        self.pending.extend_from_slice(after);
        self.check_signature()
    }

    fn check_signature(&self) -> Result<(), DerError> {
        match self.stage {
            Stage::Signature if self.pending.len() > self.signature => {
                Err(DerError::Trailing { octets: self.pending.len() - self.signature })
            }
            _ => Ok(()),
        }
    }
}

impl Default for CrlOutline {
    fn default() -> Self {
        Self::new()
    }
}
