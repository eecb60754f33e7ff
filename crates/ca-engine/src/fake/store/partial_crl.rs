//! Shards and deltas, intended and published.

use async_trait::async_trait;
use ca_core::crl::PartialScope;
use ca_core::id::AuthorityId;
use ca_core::time::Timestamp;

use super::record::Record;
use super::{MemoryStore, StoreMethod};
use crate::port::list_octets::ListOctets;
use crate::port::store::{
    CrlIntent, Journal, Lease, PartialCrlStore, PartialIntent, PartialRecord, PublishedPartial, StoreError,
};

#[async_trait]
impl PartialCrlStore for MemoryStore {
    async fn newest_partial_crl(
        &self,
        authority: &AuthorityId,
        scope: PartialScope,
    ) -> Result<Option<PartialRecord>, StoreError> {
        self.transact(StoreMethod::NewestPartialCrl, |record, _| {
            let published = record.published_partials.get(&(authority.clone(), scope)).map(|(number, _)| *number);
            let newest = record.partials_of(authority, scope).next_back();
            Ok(newest.map(|intent| PartialRecord {
                intent: intent.clone(),
                published: published == Some(intent.crl.number),
            }))
        })
        .await
    }

    async fn intend_partial_crl(&self, lease: &Lease, intent: PartialIntent) -> Result<(), StoreError> {
        self.transact(StoreMethod::IntendPartialCrl, |record, _| {
            record.check_fence(lease)?;
            record.intend_partial_crl(intent)
        })
        .await
    }

    async fn publish_partial_crl(
        &self,
        lease: &Lease,
        authority: &AuthorityId,
        scope: PartialScope,
        number: u64,
        der: ListOctets,
        journal: Journal,
    ) -> Result<(), StoreError> {
        self.transact(StoreMethod::PublishPartialCrl, |record, _| {
            record.check_fence(lease)?;
            record.publish_partial_crl((authority.clone(), scope), number, der, journal)
        })
        .await
    }

    async fn published_partial_crl(
        &self,
        authority: &AuthorityId,
        scope: PartialScope,
    ) -> Result<Option<PublishedPartial>, StoreError> {
        self.transact(StoreMethod::PublishedPartialCrl, |record, _| {
            let Some((number, der)) = record.published_partials.get(&(authority.clone(), scope)) else {
                return Ok(None);
            };
            let intent = record.partial_crls.get(&(authority.clone(), scope, *number));
            Ok(intent.map(|intent| PublishedPartial { intent: intent.clone(), der: der.clone() }))
        })
        .await
    }

    async fn published_partial_numbers(&self) -> Result<Vec<(AuthorityId, PartialScope, u64)>, StoreError> {
        self.transact(StoreMethod::PublishedPartialNumbers, |record, _| {
            let published = record.published_partials.iter();
            Ok(published.map(|((authority, scope), (number, _))| (authority.clone(), *scope, *number)).collect())
        })
        .await
    }

    async fn lasting_crl(
        &self,
        authority: &AuthorityId,
        number: u64,
        at: Timestamp,
    ) -> Result<Option<CrlIntent>, StoreError> {
        self.transact(StoreMethod::LastingCrl, |record, _| {
            let mut lists = record.crls.range((authority.clone(), number)..=(authority.clone(), u64::MAX));
            let lasting = lists.find(|(_, row)| row.der.is_some() && row.intent.next_update > at);
            Ok(lasting.map(|(_, row)| row.intent.clone()))
        })
        .await
    }
}

impl Record {
    /// The intents of a scope, from the lowest number to the highest.
    fn partials_of(
        &self,
        authority: &AuthorityId,
        scope: PartialScope,
    ) -> impl DoubleEndedIterator<Item = &PartialIntent> {
        let key = |number| (authority.clone(), scope, number);
        self.partial_crls.range(key(0)..=key(u64::MAX)).map(|(_, intent)| intent)
    }

    /// The highest number of an authority's deltas; 0 when there is none.
    pub(super) fn highest_delta(&self, authority: &AuthorityId) -> u64 {
        self.partials_of(authority, PartialScope::Delta).next_back().map_or(0, |delta| delta.crl.number)
    }

    fn intend_partial_crl(&mut self, intent: PartialIntent) -> Result<(), StoreError> {
        let (authority, scope, number) = (&intent.crl.authority, intent.scope, intent.crl.number);
        let conflict = |detail| Err(StoreError::Conflict { detail });
        let newest = self.partials_of(authority, scope).next_back();
        if let Some(newest) = newest.map(|newest| newest.crl.number).filter(|newest| number <= *newest) {
            return conflict(format!("the number {number} of the {scope} is not above {newest}"));
        }
        if newest.is_some_and(|newest| intent.crl.this_update < newest.crl.this_update) {
            return conflict("thisUpdate lies before that of an earlier list".to_owned());
        }
        let complete = self.crls.range((authority.clone(), 0)..=(authority.clone(), u64::MAX)).next_back();
        if let Some(((_, complete), _)) = complete.filter(|((_, complete), _)| number <= *complete)
            && scope == PartialScope::Delta
        {
            return conflict(format!("the delta's number {number} is not above {complete}, the complete list's"));
        }
        self.partial_crls.insert((authority.clone(), scope, number), intent);
        Ok(())
    }

    fn publish_partial_crl(
        &mut self,
        key: (AuthorityId, PartialScope),
        number: u64,
        der: ListOctets,
        journal: Journal,
    ) -> Result<(), StoreError> {
        let conflict = |detail| Err(StoreError::Conflict { detail });
        if !self.partial_crls.contains_key(&(key.0.clone(), key.1, number)) {
            return conflict(format!("number {number} of the {} was never intended", key.1));
        }
        match self.published_partials.get(&key) {
            Some((published, _)) if *published > number => {
                return conflict(format!("a list with a higher number than {number} is published"));
            }
            // The acknowledgement was lost and the caller tries again: done, and no second event.
            Some((published, same)) if *published == number && *same == der => return Ok(()),
            Some((published, _)) if *published == number => {
                return conflict(format!("number {number} is published otherwise"));
            }
            _ => {}
        }
        self.published_partials.insert(key, (number, der));
        self.write_journal(journal);
        Ok(())
    }
}
