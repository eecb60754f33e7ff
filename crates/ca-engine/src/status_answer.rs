//! Answers about the status of certificates, as they leave the service and as they are kept.

use std::sync::Arc;

use ca_core::time::{Lifetime, Timestamp};

/// An answer to an OCSP request, ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusAnswer {
    /// The DER of the OCSPResponse.
    pub der: Arc<[u8]>,
    /// What kind of answer it is, for counters.
    pub kind: AnswerKind,
    /// For how long it may be relied on; `None` for errors and answers bound to a nonce, which nobody may keep.
    pub freshness: Option<Freshness>,
    /// Where it came from, for counters.
    pub origin: AnswerOrigin,
}

/// The kind of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerKind {
    /// Of a single certificate: good.
    Good,
    /// Of a single certificate: revoked.
    Revoked,
    /// Of a single certificate: unknown.
    Unknown,
    /// Of several certificates.
    Several,
    /// `malformedRequest`
    Malformed,
    /// `unauthorized`: of no authority of ours (RFC 9919 §3.2.3).
    Unauthorized,
    /// `tryLater`: no responder in force, or the record does not answer.
    TryLater,
    /// `internalError`
    Failed,
}

impl AnswerKind {
    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
            Self::Several => "several",
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::TryLater => "try_later",
            Self::Failed => "failed",
        }
    }

    /// Whether others may be given the same octets. `unknown` is not kept: the serial may be issued in the next moment.
    pub(crate) const fn may_be_kept(self) -> bool {
        matches!(self, Self::Good | Self::Revoked)
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerOrigin {
    /// From memory: signed before, and the sequence of revocations is followed.
    Memory,
    /// From memory, though the record cannot be followed: within its life, and nothing better is to be had.
    Outage,
    /// Signed by another replica, and proved here.
    Shared,
    /// The record was asked, and what it said signed.
    Record,
    /// An error of the protocol.
    Refusal,
}

impl AnswerOrigin {
    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Outage => "outage",
            Self::Shared => "shared",
            Self::Record => "record",
            Self::Refusal => "refusal",
        }
    }
}

/// The period of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// `thisUpdate`
    pub this_update: Timestamp,
    /// `nextUpdate`
    pub next_update: Timestamp,
}

impl Freshness {
    /// Whether an answer may be relied on at `now`. Before its `thisUpdate` it may not: the clock was set back, and how old it is
    /// cannot be told.
    pub(crate) fn is_in_force(&self, now: Timestamp) -> bool {
        self.this_update <= now && now < self.next_update
    }

    /// Whether it is in the first half of its life. In the second it is signed anew while that is possible: whoever keeps it gets
    /// at least half of what an answer lives.
    pub(crate) fn is_young(&self, now: Timestamp) -> bool {
        let half = Lifetime::from_seconds(self.next_update.since(self.this_update).seconds() / 2);
        self.this_update <= now && now < self.this_update.plus(half)
    }
}
