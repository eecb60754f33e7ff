//! Audit events and their chain.

use async_trait::async_trait;
use ca_core::audit::{AuditEvent, GENESIS};

use super::record::Record;
use super::{MemoryStore, StoreMethod};
use crate::port::store::{
    AuditStore, ChainHead, ChainLink, ChainedEvent, EventFilter, Journal, Lease, PendingEvent, StoreError,
};

#[async_trait]
impl AuditStore for MemoryStore {
    async fn append_event(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.transact(StoreMethod::AppendEvent, |record, _| {
            record.write_journal(Journal::of(event));
            Ok(())
        })
        .await
    }

    async fn pending_events(&self, limit: u32) -> Result<Vec<PendingEvent>, StoreError> {
        self.transact(StoreMethod::PendingEvents, |record, _| {
            let pending = (1..).zip(&record.events).filter(|(_, event)| !event.chained);
            let pending = pending.map(|(row, event)| PendingEvent { row, canonical: event.event.canonical() });
            Ok(pending.take(limit as usize).collect())
        })
        .await
    }

    async fn chain_head(&self) -> Result<ChainHead, StoreError> {
        self.transact(StoreMethod::ChainHead, |record, _| Ok(record.chain_head())).await
    }

    async fn chain_events(&self, lease: &Lease, head: &ChainHead, links: Vec<ChainLink>) -> Result<(), StoreError> {
        self.transact(StoreMethod::ChainEvents, |record, _| {
            record.check_fence(lease)?;
            record.chain_events(head, links)
        })
        .await
    }

    async fn events_after(
        &self,
        sequence: u64,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<ChainedEvent>, StoreError> {
        self.transact(StoreMethod::EventsAfter, |record, _| {
            let places = (1..).zip(&record.chain).filter(|(place, _)| *place > sequence);
            let places = places.filter(|(place, _)| !record.lost_places.contains(place));
            let chained = places.filter_map(|(place, (index, hash))| {
                let row = record.events.get(*index).filter(|row| matches_filter(&row.event, filter))?;
                Some(ChainedEvent { sequence: place, canonical: row.event.canonical(), hash: *hash })
            });
            Ok(chained.take(limit as usize).collect())
        })
        .await
    }
}

impl Record {
    fn chain_head(&self) -> ChainHead {
        let hash = self.chain.last().map_or(GENESIS, |(_, hash)| *hash);
        ChainHead { sequence: self.chain.len() as u64, hash }
    }

    fn chain_events(&mut self, head: &ChainHead, links: Vec<ChainLink>) -> Result<(), StoreError> {
        if self.chain_head() != *head {
            let detail = format!("the audit chain does not end at event {}", head.sequence);
            return Err(StoreError::Conflict { detail });
        }
        let mut places = Vec::with_capacity(links.len());
        for (place, link) in (head.sequence + 1..).zip(&links) {
            let index = usize::try_from(link.row - 1).ok();
            let pending = index.filter(|index| self.events.get(*index).is_some_and(|row| !row.chained));
            let Some(index) = pending.filter(|index| places.iter().all(|(taken, _)| taken != index)) else {
                return Err(StoreError::Conflict { detail: format!("row {} awaits no place", link.row) });
            };
            if link.sequence != place {
                return Err(StoreError::Conflict { detail: format!("place {} is not the next", link.sequence) });
            }
            places.push((index, link.hash));
        }
        for (index, _) in &places {
            self.events[*index].chained = true;
        }
        self.chain.extend(places);
        Ok(())
    }
}

fn matches_filter(event: &AuditEvent, filter: &EventFilter) -> bool {
    filter.action.as_ref().is_none_or(|action| *action == event.action.as_str())
        && filter.principal.as_ref().is_none_or(|principal| *principal == event.principal)
        && filter.subject.as_ref().is_none_or(|subject| *subject == event.subject)
}
