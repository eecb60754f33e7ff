//! The streamed encoder: entries leave in pieces while they are pushed; what stands before them is known at the end.

use std::fmt;

use thiserror::Error;

use super::{
    AUTHORITY_KEY_IDENTIFIER, CRL_NUMBER, CRL_REASON, CrlEntry, CrlTemplate, DELTA_CRL_INDICATOR, EXPIRED_CERTS_ON_CRL,
    EntryReason, FRESHEST_CRL, INVALIDITY_DATE, ISSUING_DISTRIBUTION_POINT, IssuingDistributionPoint,
};
use crate::der_time::{TimeOutOfRange, append_generalized_time, append_time};
use crate::extension;
use crate::key::SignatureAlgorithm;
use crate::serial::Serial;
use crate::time::Timestamp;
use crate::tlv::{self, LONGEST_HEADER, tag};

/// A piece is handed out when it has so many octets: some 25,000 entries.
pub const PIECE: usize = 1024 * 1024;

/// Writes a TBSCertList (RFC 5280 §5.1.2) entry by entry. Whoever takes the pieces as they come ([`CrlWriter::take_piece`]) needs
/// the memory of one, however long the list is.
pub struct CrlWriter {
    template: CrlTemplate,
    /// version … nextUpdate: what stands before revokedCertificates.
    head: Vec<u8>,
    /// Entries that were not taken yet.
    piece: Vec<u8>,
    /// How many octets of entries were taken.
    taken: usize,
    entries: u64,
    last_serial: Vec<u8>,
}

impl CrlWriter {
    /// Begins a list.
    pub fn new(template: CrlTemplate) -> Result<Self, CrlError> {
        let head = encode_head(&template)?;
        Ok(Self { template, head, piece: Vec::new(), taken: 0, entries: 0, last_serial: Vec::new() })
    }

    /// Dates the list anew: entries that were revoked while they were being collected must not lie in its future.
    pub fn set_times(&mut self, this_update: Timestamp, next_update: Timestamp) -> Result<(), CrlError> {
        let template = CrlTemplate { this_update, next_update, ..self.template.clone() };
        self.head = encode_head(&template)?;
        self.template = template;
        Ok(())
    }

    /// Appends an entry. Entries come in ascending order of their serial's octets ([`Serial`]'s order, and the
    /// store's): so no serial can be listed twice, and the same entries always give the same octets.
    pub fn push(&mut self, entry: &CrlEntry) -> Result<(), CrlError> {
        if entry.serial.as_bytes() <= self.last_serial.as_slice() {
            return Err(CrlError::NotAscending { serial: entry.serial.clone() });
        }
        if entry.reason == Some(EntryReason::RemoveFromCrl) && self.template.base_number.is_none() {
            return Err(CrlError::RemovedFromCompleteList { serial: entry.serial.clone() });
        }
        let start = self.piece.len();
        if let Err(error) = append_entry(&mut self.piece, entry) {
            self.piece.truncate(start);
            return Err(error.into());
        }
        self.entries += 1;
        self.last_serial.clear();
        self.last_serial.extend_from_slice(entry.serial.as_bytes());
        Ok(())
    }

    /// How many entries there are so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The entries since the last piece, when they fill one ([`PIECE`]); they are to be kept in order, and come between
    /// [`CrlTbs::before`] and [`CrlTbs::after`].
    pub fn take_piece(&mut self) -> Option<Vec<u8>> {
        if self.piece.len() < PIECE {
            return None;
        }
        self.taken += self.piece.len();
        // As long as this one was, and what its last entry may have been longer than the next one's.
        let next = Vec::with_capacity(self.piece.len() + 1024);
        Some(std::mem::replace(&mut self.piece, next))
    }

    /// Ends the list: the octets that stand before the pieces that were taken, and those after them.
    pub fn finish(self) -> Result<CrlTbs, CrlError> {
        let entries = self.taken + self.piece.len();
        let mut after = self.piece;
        append_extensions(&mut after, &self.template)?;
        // §5.1.2.6: without revoked certificates, the list MUST be absent, not empty.
        let (revoked, size) = if entries > 0 { tlv::header(tag::SEQUENCE, entries) } else { Default::default() };
        let mut before = Vec::with_capacity(self.head.len() + 2 * LONGEST_HEADER);
        tlv::append_header(&mut before, tag::SEQUENCE, self.head.len() + size + self.taken + after.len());
        before.extend_from_slice(&self.head);
        before.extend_from_slice(&revoked[..size]);
        Ok(CrlTbs { before, after })
    }
}

/// version … nextUpdate
fn encode_head(template: &CrlTemplate) -> Result<Vec<u8>, TimeOutOfRange> {
    let mut head = Vec::with_capacity(256);
    // §5.1.2.1: extensions are used, so the version must be there and be v2, whose number is 1.
    tlv::append_unsigned(&mut head, 1);
    head.extend_from_slice(template.signature_algorithm.identifier_der());
    head.extend_from_slice(template.issuer.as_der());
    append_time(&mut head, template.this_update)?;
    append_time(&mut head, template.next_update)?;
    Ok(head)
}

impl fmt::Debug for CrlWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrlWriter(number {}, {} entries)", self.template.number, self.entries)
    }
}

/// An encoded TBSCertList, not yet linted: the pieces that the writer handed out lie between its two parts.
#[derive(Clone, PartialEq, Eq)]
pub struct CrlTbs {
    /// What comes before the pieces.
    pub before: Vec<u8>,
    /// What comes after them: entries that filled no piece, and the extensions.
    pub after: Vec<u8>,
}

impl fmt::Debug for CrlTbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrlTbs({} octets before its pieces, {} after them)", self.before.len(), self.after.len())
    }
}

/// A list that cannot be written or put together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CrlError {
    /// A time that X.509 cannot name.
    #[error(transparent)]
    Time(#[from] TimeOutOfRange),
    /// An entry out of order, or twice.
    #[error("serial {serial} does not come after the one before it; entries are pushed in ascending order, each once")]
    NotAscending {
        /// The serial that came too late.
        serial: Serial,
    },
    /// `removeFromCRL` outside a delta (RFC 5280 §5.3.1).
    #[error("serial {serial} has the reason removeFromCRL, which only a delta CRL may carry")]
    RemovedFromCompleteList {
        /// Which entry.
        serial: Serial,
    },
    /// A signature by another algorithm than the list names (§5.1.1.2).
    #[error("the list names {} and was signed with {}", named.as_str(), signed.as_str())]
    OtherAlgorithm {
        /// What the list says.
        named: SignatureAlgorithm,
        /// What the signer used.
        signed: SignatureAlgorithm,
    },
}

fn append_entry(out: &mut Vec<u8>, entry: &CrlEntry) -> Result<(), TimeOutOfRange> {
    tlv::try_append_nested(out, tag::SEQUENCE, |out| {
        append_serial(out, &entry.serial);
        append_time(out, entry.revoked_at)?;
        // §5.1: crlEntryExtensions is OPTIONAL and its SEQUENCE has at least one: absent when there is none.
        if entry.reason.is_none() && entry.invalidity_date.is_none() {
            return Ok(());
        }
        tlv::try_append_nested(out, tag::SEQUENCE, |out| {
            if let Some(reason) = entry.reason {
                extension::append(out, &CRL_REASON, false, |out| tlv::append(out, tag::ENUMERATED, &[reason.code()]));
            }
            match entry.invalidity_date {
                // §5.3.2: GeneralizedTime, whatever the year.
                Some(date) => {
                    extension::try_append(out, &INVALIDITY_DATE, false, |out| append_generalized_time(out, date))
                }
                None => Ok(()),
            }
        })
    })
}

fn append_serial(out: &mut Vec<u8>, serial: &Serial) {
    let magnitude = serial.as_bytes();
    let sign = usize::from(magnitude.first().is_some_and(|octet| octet & 0x80 != 0));
    tlv::append_header(out, tag::INTEGER, magnitude.len() + sign);
    out.extend_from_slice(&[0][..sign]);
    out.extend_from_slice(magnitude);
}

fn append_extensions(out: &mut Vec<u8>, template: &CrlTemplate) -> Result<(), TimeOutOfRange> {
    tlv::try_append_nested(out, tag::context_constructed(0), |out| {
        tlv::try_append_nested(out, tag::SEQUENCE, |out| {
            // §5.2.1: by key identifier, not critical.
            extension::append(out, &AUTHORITY_KEY_IDENTIFIER, false, |out| {
                tlv::append_nested(out, tag::SEQUENCE, |out| {
                    tlv::append(out, tag::context(0), &template.authority_key_identifier);
                });
            });
            // §5.2.3: not critical.
            extension::append(out, &CRL_NUMBER, false, |out| tlv::append_unsigned(out, template.number));
            if let Some(base) = template.base_number {
                // §5.2.4: critical.
                extension::append(out, &DELTA_CRL_INDICATOR, true, |out| tlv::append_unsigned(out, base));
            }
            if let Some(point) = &template.issuing_distribution_point {
                // §5.2.5: critical.
                extension::append(out, &ISSUING_DISTRIBUTION_POINT, true, |out| append_scope(out, point));
            }
            if let Some(uri) = &template.freshest_crl {
                // §5.2.6: not critical; a SEQUENCE of DistributionPoint.
                extension::append(out, &FRESHEST_CRL, false, |out| {
                    tlv::append_nested(out, tag::SEQUENCE, |out| {
                        tlv::append_nested(out, tag::SEQUENCE, |out| append_distribution_point_name(out, uri.as_str()));
                    });
                });
            }
            match template.expired_certs_on_crl {
                Some(since) => {
                    extension::try_append(out, &EXPIRED_CERTS_ON_CRL, false, |out| append_generalized_time(out, since))
                }
                None => Ok(()),
            }
        })
    })
}

/// IssuingDistributionPoint with a URI and the flags that are true; FALSE is the default of all of them and is left
/// out.
fn append_scope(out: &mut Vec<u8>, point: &IssuingDistributionPoint) {
    tlv::append_nested(out, tag::SEQUENCE, |out| {
        append_distribution_point_name(out, point.uri.as_str());
        if point.only_user {
            tlv::append(out, tag::context(1), &[0xff]);
        }
        if point.only_ca {
            tlv::append(out, tag::context(2), &[0xff]);
        }
    });
}

/// `distributionPoint [0] { fullName [0] { uniformResourceIdentifier [6] } }` (§4.2.1.13).
fn append_distribution_point_name(out: &mut Vec<u8>, uri: &str) {
    tlv::append_nested(out, tag::context_constructed(0), |out| {
        tlv::append_nested(out, tag::context_constructed(0), |out| {
            tlv::append(out, tag::context(6), uri.as_bytes());
        });
    });
}
