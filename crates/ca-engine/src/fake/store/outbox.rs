//! The outbox: messages that go to no sink yet, and deliveries.

use async_trait::async_trait;
use ca_core::id::{DeliveryId, SinkName};
use ca_core::time::Timestamp;

use super::record::Record;
use super::{MemoryStore, StoreMethod};
use crate::port::store::{
    Assignment, Backlog, Delivery, DeliveryState, FailedAttempt, Journal, Lease, OutboxStore, Settlement, StoreError,
    Verdict,
};

#[async_trait]
impl OutboxStore for MemoryStore {
    async fn unassigned_messages(&self, limit: u32) -> Result<Vec<u64>, StoreError> {
        self.transact(StoreMethod::UnassignedMessages, |record, _| {
            Ok(record.unassigned.keys().copied().take(limit as usize).collect())
        })
        .await
    }

    async fn assign_messages(&self, lease: &Lease, assignments: Vec<Assignment>) -> Result<(), StoreError> {
        self.transact(StoreMethod::AssignMessages, |record, now| {
            record.check_fence(lease)?;
            record.assign(assignments, now);
            Ok(())
        })
        .await
    }

    async fn drop_unassigned(&self, lease: &Lease, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.transact(StoreMethod::DropUnassigned, |record, _| {
            record.check_fence(lease)?;
            let lowest = record.unassigned.iter().take(limit as usize);
            let old: Vec<u64> = lowest.filter(|(_, message)| message.at < before).map(|(number, _)| *number).collect();
            record.unassigned.retain(|number, _| !old.contains(number));
            Ok(old.len() as u64)
        })
        .await
    }

    async fn due_deliveries(&self, sink: &SinkName, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.transact(StoreMethod::DueDeliveries, |record, now| Ok(record.due(sink, now, limit))).await
    }

    async fn settle_deliveries(&self, lease: &Lease, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        self.transact(StoreMethod::SettleDeliveries, |record, now| {
            record.check_fence(lease)?;
            for settlement in settlements {
                record.settle(settlement, now);
            }
            Ok(())
        })
        .await
    }

    async fn hasten_deliveries(&self, lease: &Lease, sink: &SinkName) -> Result<u64, StoreError> {
        self.transact(StoreMethod::HastenDeliveries, |record, now| {
            record.check_fence(lease)?;
            let mut hastened = 0;
            for delivery in record.deliveries.values_mut().filter(|delivery| delivery.sink == *sink) {
                if let DeliveryState::Pending { next_attempt_at } = &mut delivery.state
                    && *next_attempt_at > now
                {
                    *next_attempt_at = now;
                    hastened += 1;
                }
            }
            Ok(hastened)
        })
        .await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.transact(StoreMethod::Delivery, |record, _| Ok(record.deliveries.get(&id).cloned())).await
    }

    async fn deliveries(
        &self,
        dead: Option<bool>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.transact(StoreMethod::Deliveries, |record, _| {
            let newest_first = record.deliveries.values().rev();
            let following = newest_first.filter(|delivery| after.is_none_or(|after| delivery.id < after));
            let wanted = following.filter(|delivery| dead.is_none_or(|dead| dead == is_dead(delivery)));
            Ok(wanted.take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn replay_delivery(&self, id: DeliveryId, journal: Journal) -> Result<bool, StoreError> {
        self.transact(StoreMethod::ReplayDelivery, |record, now| {
            let Some(delivery) = record.deliveries.get_mut(&id) else { return Ok(false) };
            delivery.state = DeliveryState::Pending { next_attempt_at: now };
            delivery.attempts = 0;
            record.write_journal(journal);
            Ok(true)
        })
        .await
    }

    async fn drop_deliveries(&self, lease: &Lease, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.transact(StoreMethod::DropDeliveries, |record, _| {
            record.check_fence(lease)?;
            let first_kept = DeliveryId::new(before, [0; 10]);
            let old = record.deliveries.range(..first_kept).map(|(id, _)| *id);
            let old: Vec<DeliveryId> = old.take(limit as usize).collect();
            for id in &old {
                record.deliveries.remove(id);
            }
            Ok(old.len() as u64)
        })
        .await
    }

    async fn backlog(&self, sink: &SinkName) -> Result<Backlog, StoreError> {
        self.transact(StoreMethod::Backlog, |record, _| {
            let of_sink = || record.deliveries.values().filter(|delivery| delivery.sink == *sink);
            let oldest = of_sink().filter(|delivery| !is_dead(delivery)).min_by_key(|delivery| delivery.sequence);
            Ok(Backlog {
                oldest_pending: oldest.map(|delivery| delivery.created_at),
                dead: of_sink().filter(|delivery| is_dead(delivery)).take(10_000).count() as u64,
            })
        })
        .await
    }
}

fn is_dead(delivery: &Delivery) -> bool {
    delivery.state == DeliveryState::Dead
}

impl Record {
    fn assign(&mut self, assignments: Vec<Assignment>, now: Timestamp) {
        let mut done = Vec::new();
        for Assignment { sequence, sink, id } in assignments {
            let Some(queued) = self.unassigned.get(&sequence) else { continue };
            done.push(sequence);
            let delivery = Delivery {
                id,
                sink,
                sequence,
                topic: queued.message.topic.to_owned(),
                certificate: queued.message.certificate,
                payload: queued.message.payload.clone(),
                created_at: queued.at,
                state: DeliveryState::Pending { next_attempt_at: now },
                attempts: 0,
                last_attempt: None,
            };
            self.deliveries.insert(id, delivery);
        }
        self.unassigned.retain(|number, _| !done.contains(number));
    }

    fn due(&self, sink: &SinkName, now: Timestamp, limit: u32) -> Vec<Delivery> {
        let pending = || self.deliveries.values().filter(|delivery| delivery.sink == *sink && !is_dead(delivery));
        let is_first = |delivery: &Delivery| {
            delivery.certificate.is_none()
                || pending()
                    .all(|other| other.certificate != delivery.certificate || other.sequence >= delivery.sequence)
        };
        let mut due: Vec<(Timestamp, Delivery)> = pending()
            .filter_map(|delivery| match delivery.state {
                DeliveryState::Pending { next_attempt_at } if next_attempt_at <= now && is_first(delivery) => {
                    Some((next_attempt_at, delivery.clone()))
                }
                _ => None,
            })
            .collect();
        due.sort_by_key(|(at, delivery)| (*at, delivery.sequence));
        due.into_iter().map(|(_, delivery)| delivery).take(limit as usize).collect()
    }

    fn settle(&mut self, settlement: Settlement, now: Timestamp) {
        let Some(delivery) = self.deliveries.get_mut(&settlement.id).filter(|delivery| !is_dead(delivery)) else {
            return;
        };
        let (state, error) = match settlement.verdict {
            Verdict::Delivered => {
                self.deliveries.remove(&settlement.id);
                return;
            }
            Verdict::Retry { after_millis, error } => {
                let after = i64::try_from(after_millis).unwrap_or(i64::MAX);
                let next_attempt_at = Timestamp::from_unix_millis(now.unix_millis().saturating_add(after));
                (DeliveryState::Pending { next_attempt_at }, error)
            }
            Verdict::Dead { error } => (DeliveryState::Dead, error),
        };
        delivery.state = state;
        delivery.attempts += 1;
        delivery.last_attempt = Some(FailedAttempt { at: now, error });
    }
}
