//! CRLs that cover a part of what an authority has revoked: shards and the delta. Kept like complete lists, each by its scope, and
//! beside them: nobody who looks for a complete list comes upon one of these.

use async_trait::async_trait;
use ca_core::crl::PartialScope;
use ca_core::id::AuthorityId;
use ca_core::time::Timestamp;

use super::{CrlIntent, Journal, Lease, StoreError};
use crate::port::list_octets::ListOctets;

/// What is on record before such a list is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialIntent {
    /// Which part.
    pub scope: PartialScope,
    /// The number of the complete list that a delta starts from; `None` for a shard.
    pub base_number: Option<u64>,
    /// The rest. Numbers are those of the scope; the delta's are of one sequence with the complete lists'.
    pub crl: CrlIntent,
}

/// Such a list on record, without its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialRecord {
    /// What was intended.
    pub intent: PartialIntent,
    /// Whether it is published and not withdrawn.
    pub published: bool,
}

/// A signed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPartial {
    /// What was intended.
    pub intent: PartialIntent,
    /// Its DER.
    pub der: ListOctets,
}

/// Shards and deltas on record.
#[async_trait]
pub trait PartialCrlStore: Send + Sync {
    /// The intent with the highest number in the scope.
    async fn newest_partial_crl(
        &self,
        authority: &AuthorityId,
        scope: PartialScope,
    ) -> Result<Option<PartialRecord>, StoreError>;

    /// Records an intent. [`StoreError::Conflict`] unless its number is above, and its `this_update` not before, every one on
    /// record for the scope, and a delta's number above every complete list's; [`StoreError::Fenced`] when `lease` is not the
    /// newest. In turn no complete list is intended under a number that is not above every delta's.
    async fn intend_partial_crl(&self, lease: &Lease, intent: PartialIntent) -> Result<(), StoreError>;

    /// Records the signed list of an intent, as [`super::CrlStore::publish_crl`] does.
    async fn publish_partial_crl(
        &self,
        lease: &Lease,
        authority: &AuthorityId,
        scope: PartialScope,
        number: u64,
        der: ListOctets,
        journal: Journal,
    ) -> Result<(), StoreError>;

    /// The published list of a scope; none after it was withdrawn ([`super::RestoreStore::leave_gaps`]).
    async fn published_partial_crl(
        &self,
        authority: &AuthorityId,
        scope: PartialScope,
    ) -> Result<Option<PublishedPartial>, StoreError>;

    /// The number of each published list: cheap, asked every second.
    async fn published_partial_numbers(&self) -> Result<Vec<(AuthorityId, PartialScope, u64)>, StoreError>;

    /// The published complete list with the lowest number from `number` on that may still be relied on at `at` (its `next_update`
    /// lies after it).
    async fn lasting_crl(
        &self,
        authority: &AuthorityId,
        number: u64,
        at: Timestamp,
    ) -> Result<Option<CrlIntent>, StoreError>;
}
