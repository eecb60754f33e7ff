//! CRLs, intended and published.

use std::sync::Arc;

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use ca_core::id::AuthorityId;

use super::record::{CrlRow, Record};
use super::{MemoryStore, StoreMethod};
use crate::port::list_octets::ListOctets;
use crate::port::store::{CrlIntent, CrlRecord, CrlStore, Journal, Lease, PublishedCrl, StoreError};

#[async_trait]
impl CrlStore for MemoryStore {
    async fn newest_crl(&self, authority: &AuthorityId) -> Result<Option<CrlRecord>, StoreError> {
        self.transact(StoreMethod::NewestCrl, |record, _| {
            let newest = record.crls_of(authority).next_back();
            Ok(newest.map(|row| CrlRecord { intent: row.intent.clone(), published: row.der.is_some() }))
        })
        .await
    }

    async fn intend_crl(&self, lease: &Lease, intent: CrlIntent) -> Result<(), StoreError> {
        self.transact(StoreMethod::IntendCrl, |record, _| {
            record.check_fence(lease)?;
            record.intend_crl(intent)
        })
        .await
    }

    async fn publish_crl(
        &self,
        lease: &Lease,
        authority: &AuthorityId,
        number: u64,
        der: ListOctets,
        journal: Journal,
    ) -> Result<(), StoreError> {
        let der: Arc<[u8]> =
            der.to_vec().map_err(|error| StoreError::Unavailable { detail: error.to_string() })?.into();
        self.transact(StoreMethod::PublishCrl, |record, _| {
            record.check_fence(lease)?;
            record.publish_crl(authority, number, der, journal)
        })
        .await
    }

    async fn published_crl(&self, authority: &AuthorityId) -> Result<Option<PublishedCrl>, StoreError> {
        self.transact(StoreMethod::PublishedCrl, |record, _| {
            let mut published = record.crls_of(authority).filter_map(|row| {
                row.der.as_ref().map(|der| PublishedCrl { intent: row.intent.clone(), der: (&**der).into() })
            });
            Ok(published.next_back())
        })
        .await
    }

    async fn published_numbers(&self) -> Result<Vec<(AuthorityId, u64)>, StoreError> {
        self.transact(StoreMethod::PublishedNumbers, |record, _| {
            let mut numbers: Vec<(AuthorityId, u64)> = Vec::new();
            for ((authority, number), row) in &record.crls {
                if row.der.is_none() {
                    continue;
                }
                match numbers.last_mut() {
                    Some((last, highest)) if last == authority => *highest = *number,
                    _ => numbers.push((authority.clone(), *number)),
                }
            }
            Ok(numbers)
        })
        .await
    }

    fn longest_list(&self) -> u64 {
        self.longest_list.load(Ordering::Relaxed)
    }
}

impl Record {
    /// The intents of an authority, from the lowest number to the highest.
    fn crls_of(&self, authority: &AuthorityId) -> impl DoubleEndedIterator<Item = &CrlRow> {
        self.crls.range((authority.clone(), 0)..=(authority.clone(), u64::MAX)).map(|(_, row)| row)
    }

    fn intend_crl(&mut self, intent: CrlIntent) -> Result<(), StoreError> {
        let highest = self.crls_of(&intent.authority).next_back().map(|row| row.intent.number);
        if let Some(highest) = highest.filter(|highest| intent.number <= *highest) {
            let detail = format!("CRL number {} is not above {highest}", intent.number);
            return Err(StoreError::Conflict { detail });
        }
        let delta = self.highest_delta(&intent.authority);
        if intent.number <= delta {
            let detail = format!("CRL number {} is not above {delta}, the delta's", intent.number);
            return Err(StoreError::Conflict { detail });
        }
        let latest = self.crls_of(&intent.authority).map(|row| row.intent.this_update).max();
        if latest.is_some_and(|latest| intent.this_update < latest) {
            let detail = "thisUpdate lies before that of an earlier CRL".to_owned();
            return Err(StoreError::Conflict { detail });
        }
        self.crls.insert((intent.authority.clone(), intent.number), CrlRow { intent, der: None });
        Ok(())
    }

    fn publish_crl(
        &mut self,
        authority: &AuthorityId,
        number: u64,
        der: Arc<[u8]>,
        journal: Journal,
    ) -> Result<(), StoreError> {
        let highest = self.crls_of(authority).rfind(|row| row.der.is_some()).map(|row| row.intent.number);
        if highest.is_some_and(|highest| highest > number) {
            let detail = format!("a CRL with a higher number than {number} is published");
            return Err(StoreError::Conflict { detail });
        }
        let Some(row) = self.crls.get_mut(&(authority.clone(), number)) else {
            return Err(StoreError::Conflict { detail: format!("CRL number {number} was never intended") });
        };
        match &row.der {
            // The acknowledgement was lost and the caller tries again: done, and no second event.
            Some(published) if *published == der => return Ok(()),
            Some(_) => {
                return Err(StoreError::Conflict { detail: format!("CRL number {number} is published otherwise") });
            }
            None => row.der = Some(der),
        }
        self.write_journal(journal);
        Ok(())
    }
}
