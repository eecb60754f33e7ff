//! OCSPResponse (RFC 6960 §4.2): checked, encoded, put together.

use super::request::append_nonce_extensions;
use super::{ARCHIVE_CUTOFF, BASIC_RESPONSE, CertId, NONCE_OCTETS};
use crate::der_time::{TimeOutOfRange, append_generalized_time};
use crate::extension;
use crate::lint::Finding;
use crate::revocation::RevocationReason;
use crate::signing::{Message, Signable, Signature, sealed};
use crate::time::Timestamp;
use crate::tlv::{self, tag};

/// What is known of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertStatus {
    /// Issued, and not revoked.
    Good,
    /// Revoked or on hold.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why; `unspecified` is left out of the response, as in a CRL.
        reason: Option<RevocationReason>,
    },
    /// Not issued by an issuer that this responder answers for, or never issued.
    Unknown,
}

/// The answer for one certificate. Fractions of seconds are cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleResponse {
    /// The CertID of the request, octet for octet.
    pub cert_id: CertId,
    /// Its status.
    pub status: CertStatus,
    /// When the status was known to be right (§2.4).
    pub this_update: Timestamp,
    /// When newer information comes at the latest; without it, newer is always to be had.
    pub next_update: Option<Timestamp>,
    /// Since when revocation information is kept, although certificates expire (§4.4.4).
    pub archive_cutoff: Option<Timestamp>,
}

impl SingleResponse {
    /// Whether the answer may be relied on at `now` (§3.2, points 5 and 6).
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.this_update <= now && self.next_update.is_none_or(|next| now <= next)
    }
}

/// Everything that a response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseTemplate {
    /// SHA-1 of the responder's key (the octets of its BIT STRING): the ResponderID is `byKey` (RFC 9919 §3.2).
    pub responder_key_hash: [u8; 20],
    /// When the response is signed.
    pub produced_at: Timestamp,
    /// The answers, in the order of the request.
    pub responses: Vec<SingleResponse>,
    /// The nonce of the request.
    pub nonce: Option<Vec<u8>>,
}

/// An encoded ResponseData whose contents were checked: ready to be signed.
#[derive(Clone, PartialEq, Eq)]
pub struct OcspTbs {
    der: Vec<u8>,
}

impl OcspTbs {
    /// The exact DER to be signed.
    pub fn to_be_signed(&self) -> &[u8] {
        &self.der
    }

    /// Checks and encodes a response. An error names every rule that it would break.
    pub fn new(template: &ResponseTemplate) -> Result<Self, Vec<Finding>> {
        let findings: Vec<Finding> = RULES.iter().filter_map(|rule| rule(template)).collect();
        if !findings.is_empty() {
            return Err(findings);
        }
        let mut der = Vec::with_capacity(128 + 160 * template.responses.len());
        match append_response_data(&mut der, template) {
            Ok(()) => Ok(Self { der }),
            Err(error) => Err(vec![Finding {
                rule: "times_can_be_encoded",
                clause: "RFC 6960 §4.2.2.1",
                detail: error.to_string(),
            }]),
        }
    }
}

impl Signable for OcspTbs {
    fn message(&self) -> Message<'_> {
        Message::Whole(&self.der)
    }
}

impl sealed::Sealed for OcspTbs {}

impl std::fmt::Debug for OcspTbs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OcspTbs({} octets)", self.der.len())
    }
}

/// The DER of a successful OCSPResponse. `certificates` go along for clients to build the path: the responder's own
/// first; none when the authority itself signs. `signature` is not verified here, as for every signature that a signer
/// hands out.
pub fn assemble(tbs: &OcspTbs, signature: &Signature, certificates: &[&[u8]]) -> Vec<u8> {
    let certificate_octets: usize = certificates.iter().map(|certificate| certificate.len()).sum();
    let mut der = Vec::with_capacity(tbs.der.len() + signature.octets.len() + certificate_octets + 96);
    tlv::append_nested(&mut der, tag::SEQUENCE, |out| {
        tlv::append(out, tag::ENUMERATED, &[SUCCESSFUL]);
        tlv::append_nested(out, tag::context_constructed(0), |out| {
            tlv::append_nested(out, tag::SEQUENCE, |out| {
                tlv::append(out, tag::OBJECT_IDENTIFIER, BASIC_RESPONSE.as_bytes());
                tlv::append_nested(out, tag::OCTET_STRING, |out| {
                    append_basic_response(out, tbs, signature, certificates);
                });
            });
        });
    });
    der
}

/// Why a responder gives no status (§2.3). The answer is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponderError {
    /// The request cannot be understood.
    MalformedRequest,
    /// The responder is in trouble.
    InternalError,
    /// The same request may succeed later.
    TryLater,
    /// The request must be signed.
    SigRequired,
    /// The responder answers for none of the issuers asked for (RFC 9919 §3.2.3), or not this client.
    Unauthorized,
}

impl ResponderError {
    /// Every error, in the order of its code.
    pub const ALL: [Self; 5] =
        [Self::MalformedRequest, Self::InternalError, Self::TryLater, Self::SigRequired, Self::Unauthorized];

    /// The OCSPResponseStatus code.
    pub const fn code(self) -> u8 {
        match self {
            Self::MalformedRequest => 1,
            Self::InternalError => 2,
            Self::TryLater => 3,
            Self::SigRequired => 5,
            Self::Unauthorized => 6,
        }
    }

    /// The name RFC 6960 gives it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformedRequest",
            Self::InternalError => "internalError",
            Self::TryLater => "tryLater",
            Self::SigRequired => "sigRequired",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// The DER of an OCSPResponse without responseBytes.
pub const fn error_response(error: ResponderError) -> &'static [u8] {
    match error {
        ResponderError::MalformedRequest => &[0x30, 3, tag::ENUMERATED, 1, 1],
        ResponderError::InternalError => &[0x30, 3, tag::ENUMERATED, 1, 2],
        ResponderError::TryLater => &[0x30, 3, tag::ENUMERATED, 1, 3],
        ResponderError::SigRequired => &[0x30, 3, tag::ENUMERATED, 1, 5],
        ResponderError::Unauthorized => &[0x30, 3, tag::ENUMERATED, 1, 6],
    }
}

type Rule = fn(&ResponseTemplate) -> Option<Finding>;

const RULES: &[Rule] = &[
    there_is_an_answer,
    this_update_is_not_in_the_future,
    next_update_is_still_to_come,
    archive_cutoff_lies_in_the_past,
    nonce_has_a_length_that_clients_accept,
];

fn there_is_an_answer(template: &ResponseTemplate) -> Option<Finding> {
    template.responses.is_empty().then(|| Finding {
        rule: "there_is_an_answer",
        clause: "RFC 6960 §4.2.1",
        detail: "a response has at least one SingleResponse".to_owned(),
    })
}

fn this_update_is_not_in_the_future(template: &ResponseTemplate) -> Option<Finding> {
    let early = template.responses.iter().find(|single| single.this_update > template.produced_at)?;
    Some(Finding {
        rule: "this_update_is_not_in_the_future",
        clause: "RFC 6960 §2.4",
        detail: format!("thisUpdate {} lies after producedAt {}", early.this_update, template.produced_at),
    })
}

fn next_update_is_still_to_come(template: &ResponseTemplate) -> Option<Finding> {
    // Compared as they are encoded, in whole seconds. producedAt is not before thisUpdate, so this also orders those
    // two.
    let produced_at = template.produced_at.floor_to_second();
    let late = template
        .responses
        .iter()
        .filter_map(|single| single.next_update)
        .find(|next| next.floor_to_second() <= produced_at)?;
    Some(Finding {
        rule: "next_update_is_still_to_come",
        clause: "RFC 6960 §4.2.2.1",
        detail: format!("nextUpdate {late} does not come after producedAt {produced_at}"),
    })
}

fn archive_cutoff_lies_in_the_past(template: &ResponseTemplate) -> Option<Finding> {
    let cutoff =
        template.responses.iter().filter_map(|single| single.archive_cutoff).find(|at| *at > template.produced_at)?;
    Some(Finding {
        rule: "archive_cutoff_lies_in_the_past",
        clause: "RFC 6960 §4.4.4",
        detail: format!("the archive cutoff {cutoff} lies after producedAt {}", template.produced_at),
    })
}

fn nonce_has_a_length_that_clients_accept(template: &ResponseTemplate) -> Option<Finding> {
    let octets = template.nonce.as_ref()?.len();
    (!NONCE_OCTETS.contains(&octets)).then(|| Finding {
        rule: "nonce_has_a_length_that_clients_accept",
        clause: "RFC 9654 §2.1",
        detail: format!("a nonce has 1 to 128 octets, this one has {octets}"),
    })
}

pub(super) const SUCCESSFUL: u8 = 0;

fn append_response_data(out: &mut Vec<u8>, template: &ResponseTemplate) -> Result<(), TimeOutOfRange> {
    tlv::try_append_nested(out, tag::SEQUENCE, |out| {
        // version is v1, the default, which DER leaves out. responderID: byKey [2] EXPLICIT KeyHash.
        tlv::append_nested(out, tag::context_constructed(2), |out| {
            tlv::append(out, tag::OCTET_STRING, &template.responder_key_hash);
        });
        append_generalized_time(out, template.produced_at)?;
        tlv::try_append_nested(out, tag::SEQUENCE, |out| {
            template.responses.iter().try_for_each(|single| append_single_response(out, single))
        })?;
        if let Some(nonce) = &template.nonce {
            append_nonce_extensions(out, 1, nonce);
        }
        Ok(())
    })
}

fn append_single_response(out: &mut Vec<u8>, single: &SingleResponse) -> Result<(), TimeOutOfRange> {
    tlv::try_append_nested(out, tag::SEQUENCE, |out| {
        out.extend_from_slice(single.cert_id.as_der());
        match single.status {
            CertStatus::Good => tlv::append(out, tag::context(0), &[]),
            CertStatus::Revoked { at, reason } => append_revoked_info(out, at, reason)?,
            CertStatus::Unknown => tlv::append(out, tag::context(2), &[]),
        }
        append_generalized_time(out, single.this_update)?;
        if let Some(next_update) = single.next_update {
            tlv::try_append_nested(out, tag::context_constructed(0), |out| append_generalized_time(out, next_update))?;
        }
        let Some(cutoff) = single.archive_cutoff else { return Ok(()) };
        tlv::try_append_nested(out, tag::context_constructed(1), |out| {
            tlv::try_append_nested(out, tag::SEQUENCE, |out| {
                extension::try_append(out, &ARCHIVE_CUTOFF, false, |out| append_generalized_time(out, cutoff))
            })
        })
    })
}

/// `revoked [1] IMPLICIT SEQUENCE { revocationTime, revocationReason [0] EXPLICIT OPTIONAL }`
fn append_revoked_info(
    out: &mut Vec<u8>,
    at: Timestamp,
    reason: Option<RevocationReason>,
) -> Result<(), TimeOutOfRange> {
    tlv::try_append_nested(out, tag::context_constructed(1), |out| {
        append_generalized_time(out, at)?;
        // RFC 5280 §5.3.1, whose CRLReason this is: unspecified SHOULD be absent.
        if let Some(reason) = reason.filter(|reason| *reason != RevocationReason::Unspecified) {
            tlv::append_nested(out, tag::context_constructed(0), |out| {
                tlv::append(out, tag::ENUMERATED, &[reason.code()]);
            });
        }
        Ok(())
    })
}

fn append_basic_response(out: &mut Vec<u8>, tbs: &OcspTbs, signature: &Signature, certificates: &[&[u8]]) {
    tlv::append_nested(out, tag::SEQUENCE, |out| {
        out.extend_from_slice(&tbs.der);
        out.extend_from_slice(signature.algorithm.identifier_der());
        tlv::append_nested(out, tag::BIT_STRING, |out| {
            // The count of unused bits: none.
            out.push(0);
            out.extend_from_slice(&signature.octets);
        });
        if certificates.is_empty() {
            return;
        }
        tlv::append_nested(out, tag::context_constructed(0), |out| {
            tlv::append_nested(out, tag::SEQUENCE, |out| {
                certificates.iter().for_each(|certificate| out.extend_from_slice(certificate));
            });
        });
    });
}
