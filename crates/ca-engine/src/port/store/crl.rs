//! CRLs: intended, then published; numbers and times only rise.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_core::time::Timestamp;

use super::{Journal, Lease, StoreError};
use crate::port::list_octets::ListOctets;

/// How many octets a list may have: PostgreSQL keeps no value of more than 1 GiB, SQLite as built here none of more than 10⁹
/// octets, each with what stands beside it in the row.
pub const LONGEST_LIST: u64 = 990_000_000;

/// What is on record before a CRL is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlIntent {
    /// Whose list.
    pub authority: AuthorityId,
    /// Its number.
    pub number: u64,
    /// When it says it was made.
    pub this_update: Timestamp,
    /// When it says the next one comes at the latest.
    pub next_update: Timestamp,
    /// How many entries it has.
    pub entries: u64,
    /// It holds every revocation up to this number of the sequence.
    pub revocation_sequence: u64,
    /// SHA-256 of its TBSCertList.
    pub to_be_signed_sha256: [u8; 32],
}

/// A CRL on record, without its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlRecord {
    /// What was intended.
    pub intent: CrlIntent,
    /// Whether it was signed and recorded.
    pub published: bool,
}

/// A signed CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedCrl {
    /// What was intended.
    pub intent: CrlIntent,
    /// Its DER.
    pub der: ListOctets,
}

/// CRLs on record.
#[async_trait]
pub trait CrlStore: Send + Sync {
    /// The intent with the highest number, published or not: the next number and time must be above it.
    async fn newest_crl(&self, authority: &AuthorityId) -> Result<Option<CrlRecord>, StoreError>;

    /// Records an intent. [`StoreError::Conflict`] unless its number is above, and its `this_update` not before, every one on
    /// record for the authority; [`StoreError::Fenced`] when `lease` is not the newest.
    async fn intend_crl(&self, lease: &Lease, intent: CrlIntent) -> Result<(), StoreError>;

    /// Records the signed list of an intent. [`StoreError::Conflict`] when there is no such intent or a higher number is
    /// published; [`StoreError::Fenced`] as above. Octets of older lists may be dropped, their intents stay.
    async fn publish_crl(
        &self,
        lease: &Lease,
        authority: &AuthorityId,
        number: u64,
        der: ListOctets,
        journal: Journal,
    ) -> Result<(), StoreError>;

    /// The published list with the highest number.
    async fn published_crl(&self, authority: &AuthorityId) -> Result<Option<PublishedCrl>, StoreError>;

    /// The highest published number of each authority that has one: cheap, asked every second.
    async fn published_numbers(&self) -> Result<Vec<(AuthorityId, u64)>, StoreError>;

    /// How many octets a list may have that this record is to keep. A longer one is not signed.
    fn longest_list(&self) -> u64 {
        LONGEST_LIST
    }
}
