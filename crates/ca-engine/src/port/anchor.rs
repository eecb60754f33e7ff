//! The anchor: what was published, kept outside the database, so that a record that comes from a backup is found out.
//!
//! A database that is set back (a backup that was restored, a snapshot, a file that was copied back) cannot know it: every row
//! agrees with every other. The anchor is where it is held against what left the service since: the sequence of revocations,
//! the newest list of each authority, the end of the audit chain. It is never set back with the database, because it does not
//! lie in it.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

use super::store::{ChainHead, RevocationRow};
use crate::list_octets::ListOctets;

/// Whose anchor: SHA-256 of the first root's certificate. So several services may share a place, and a record is recognised
/// however old the backup is that it comes from.
pub type ServiceDigest = [u8; 32];

/// The life of a record between two restorations: numbers of the sequence of revocations have their meaning within one. Random,
/// since two records may come from one backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation([u8; 16]);

impl Generation {
    /// The generation of these octets, which are random.
    pub const fn from_bytes(octets: [u8; 16]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for Generation {
    /// Lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Generation {
    type Err = NotAGeneration;

    fn from_str(text: &str) -> Result<Self, NotAGeneration> {
        let mut octets = [0; 16];
        hex::decode_to_slice(text, &mut octets).map_err(|_| NotAGeneration)?;
        Ok(Self(octets))
    }
}

/// Text that names no generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a generation is 32 hexadecimal digits")]
pub struct NotAGeneration;

/// A row of the sequence of revocations, as the anchor keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchoredRevocation {
    /// The row.
    pub row: RevocationRow,
    /// SHA-256 of the SubjectPublicKeyInfo that the revocation blocked (`keyCompromise`).
    pub blocked_key: Option<[u8; 32]>,
}

/// How far the anchor knows a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorHead {
    /// Which.
    pub generation: Generation,
    /// The row with the highest number, when there is any.
    pub newest: Option<AnchoredRevocation>,
    /// The furthest end of the audit chain that was noted, when there is any.
    pub chain: Option<ChainHead>,
}

impl AnchorHead {
    /// The highest number of the sequence; 0 when there is none.
    pub fn sequence(&self) -> u64 {
        self.newest.as_ref().map_or(0, |newest| newest.row.sequence)
    }

    /// Whether it holds anything that a record could lack.
    pub fn has_content(&self) -> bool {
        self.newest.is_some() || self.chain.is_some_and(|chain| chain.sequence > 0)
    }
}

/// Keeps what was published, durably, outside the database. Several processes may write at the same time; what one has written
/// the others read.
#[async_trait]
pub trait Anchor: Send + Sync {
    /// Whether everything that any process of the service has anchored must be here. It is not where each replica has a place of
    /// its own: a new one's is empty.
    fn is_whole(&self) -> bool;

    /// Where it is, for messages.
    fn place(&self) -> String;

    /// The generations known here, in order, each with its head. Cheap: asked at every start.
    async fn heads(&self, service: &ServiceDigest) -> Result<Vec<AnchorHead>, AnchorError>;

    /// The rows of a generation after `sequence`, each once, in order.
    async fn revocations(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        sequence: u64,
    ) -> Result<Vec<AnchoredRevocation>, AnchorError>;

    /// The newest lists that are there, DER; several of one authority where they lie in several places. Whose signature is right is
    /// the caller's to judge.
    async fn lists(&self, service: &ServiceDigest) -> Result<Vec<(AuthorityId, Vec<u8>)>, AnchorError>;

    /// Makes a generation known, before it has anything. Repeating is harmless.
    async fn begin(&self, service: &ServiceDigest, generation: Generation) -> Result<(), AnchorError>;

    /// Adds rows of a generation that was begun, in the order of their numbers. All of them are durable when this returns.
    async fn append(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        rows: &[AnchoredRevocation],
    ) -> Result<(), AnchorError>;

    /// Puts the list of an authority in the place of one with a lower number; leaves out one whose number is not above.
    async fn put_list(
        &self,
        service: &ServiceDigest,
        authority: &AuthorityId,
        number: u64,
        der: &ListOctets,
    ) -> Result<(), AnchorError>;

    /// Notes how far the audit chain has come.
    async fn put_chain_head(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        head: ChainHead,
    ) -> Result<(), AnchorError>;
}

/// Why the anchor does not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// It cannot be read or written now; a retry may help.
    #[error("the anchor cannot be used: {detail}")]
    Unavailable {
        /// What went wrong.
        detail: String,
    },
    /// Something in it was changed or lost octets.
    #[error("the anchor is damaged: {detail}")]
    Damaged {
        /// What, and where.
        detail: String,
    },
}
