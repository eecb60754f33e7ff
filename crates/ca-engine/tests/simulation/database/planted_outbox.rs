//! Bugs planted before the outbox.

use std::collections::BTreeSet;

use ca_core::id::SinkName;
use ca_engine::port::store::{
    Assignment, Delivery, DeliveryState, Lease, OutboxStore, Settlement, Store, StoreError, Verdict,
};

use super::planted::Planted;
use crate::planted_bug::PlantedBug;

impl Planted {
    pub(super) async fn assign_messages(
        &self,
        lease: Lease,
        mut assignments: Vec<Assignment>,
    ) -> Result<(), StoreError> {
        if self.has(PlantedBug::MessageLostForASink) {
            let mut seen = BTreeSet::new();
            assignments.retain(|assignment| seen.insert(assignment.sequence));
        }
        self.sound.assign_messages(&lease, assignments).await
    }

    pub(super) async fn due_deliveries(&self, sink: &SinkName, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        if !self.has(PlantedBug::PendingDeliveryPassed) {
            return self.sound.due_deliveries(sink, limit).await;
        }
        let now = self.sound.database_time().await?;
        let mut seen = BTreeSet::new();
        Ok(self.tables(|record| {
            let is_due = |delivery: &&Delivery| match delivery.state {
                DeliveryState::Pending { next_attempt_at } => delivery.sink == *sink && next_attempt_at <= now,
                DeliveryState::Dead => false,
            };
            let mut due: Vec<Delivery> = record.deliveries.values().filter(is_due).cloned().collect();
            due.sort_by_key(|delivery| delivery.sequence);
            due.retain(|delivery| delivery.certificate.is_none_or(|certificate| seen.insert(certificate)));
            due.truncate(limit as usize);
            due
        }))
    }

    pub(super) async fn settle_deliveries(
        &self,
        lease: Lease,
        mut settlements: Vec<Settlement>,
    ) -> Result<(), StoreError> {
        let lease = self.believed(lease, PlantedBug::StaleLeaseSettles);
        if self.has(PlantedBug::DeliveryForgottenUntaken) {
            for settlement in settlements.iter_mut().filter(|it| matches!(it.verdict, Verdict::Retry { .. })) {
                settlement.verdict = Verdict::Delivered;
            }
        }
        let retried: Vec<_> = settlements.iter().map(|settlement| settlement.id).collect();
        self.sound.settle_deliveries(&lease, settlements).await?;
        if self.has(PlantedBug::AttemptsCountedTwice) {
            self.tables(|record| {
                for id in retried {
                    record.deliveries.entry(id).and_modify(|delivery| delivery.attempts += 1);
                }
            });
        }
        Ok(())
    }
}
