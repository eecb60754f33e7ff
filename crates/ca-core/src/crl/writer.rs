//! The streamed encoder: entries go into one growing buffer, and what stands before them is written backwards at the
//! end.

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

/// Writes a TBSCertList (RFC 5280 §5.1.2) entry by entry. Memory is the DER itself: about 42 octets an entry.
pub struct CrlWriter {
    template: CrlTemplate,
    /// version … nextUpdate: what stands before revokedCertificates.
    head: Vec<u8>,
    /// A gap for `head` and the two lengths that depend on the entries, then the entries.
    buffer: Vec<u8>,
    gap: usize,
    entries: u64,
    last_serial: Vec<u8>,
}

impl CrlWriter {
    /// Begins a list.
    pub fn new(template: CrlTemplate) -> Result<Self, CrlError> {
        let head = encode_head(&template)?;
        let gap = head.len() + LONGER_TIMES + 2 * LONGEST_HEADER;
        Ok(Self { template, head, buffer: vec![0; gap], gap, entries: 0, last_serial: Vec::new() })
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
        let start = self.buffer.len();
        if let Err(error) = append_entry(&mut self.buffer, entry) {
            self.buffer.truncate(start);
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

    /// Ends the list: writes the extensions after the entries, and the head and the lengths before them.
    pub fn finish(mut self) -> Result<CrlTbs, CrlError> {
        let mut start = self.gap;
        let mut prepend = |buffer: &mut Vec<u8>, octets: &[u8]| {
            start -= octets.len();
            buffer[start..start + octets.len()].copy_from_slice(octets);
            start
        };
        // §5.1.2.6: without revoked certificates, the list MUST be absent, not empty.
        if self.entries > 0 {
            let (header, size) = tlv::header(tag::SEQUENCE, self.buffer.len() - self.gap);
            prepend(&mut self.buffer, &header[..size]);
        }
        let head_start = prepend(&mut self.buffer, &self.head);
        append_extensions(&mut self.buffer, &self.template)?;
        let (header, size) = tlv::header(tag::SEQUENCE, self.buffer.len() - head_start);
        let start = prepend(&mut self.buffer, &header[..size]);
        Ok(CrlTbs {
            buffer: self.buffer,
            start,
            entries: self.entries,
            signature_algorithm: self.template.signature_algorithm,
        })
    }
}

/// How much longer two times become when they pass from UTCTime (13 octets) to GeneralizedTime (15).
const LONGER_TIMES: usize = 4;

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

/// An encoded TBSCertList, not yet linted.
#[derive(Clone, PartialEq, Eq)]
pub struct CrlTbs {
    buffer: Vec<u8>,
    /// Where the DER begins; what stands before it is the rest of the writer's gap.
    start: usize,
    entries: u64,
    signature_algorithm: SignatureAlgorithm,
}

impl CrlTbs {
    /// The DER of the TBSCertList.
    pub fn as_der(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// How many entries it has.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The algorithm named inside.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// A list of octets that no writer made, to show that the lint does not rely on the writer.
    #[cfg(test)]
    pub(super) fn from_der(der: &[u8], signature_algorithm: SignatureAlgorithm) -> Self {
        Self { buffer: der.to_vec(), start: 0, entries: 0, signature_algorithm }
    }
}

impl fmt::Debug for CrlTbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrlTbs({} entries, {} octets)", self.entries, self.as_der().len())
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
