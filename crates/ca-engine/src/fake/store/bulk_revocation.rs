//! Bulk revocations.

use async_trait::async_trait;
use ca_core::id::{BulkRevocationId, CertificateId};
use ca_core::time::Timestamp;

use super::record::{BulkRow, Record};
use super::{MemoryStore, StoreMethod};
use crate::port::store::{
    BatchChange, BatchOutcome, BulkBatch, BulkBeginning, BulkRepetition, BulkRevocation, BulkRevocationState,
    BulkRevocationStore, ChangeOutcome, Idempotency, Journal, Lease, StoreError,
};

#[async_trait]
impl BulkRevocationStore for MemoryStore {
    async fn begin_bulk_revocation(
        &self,
        operation: BulkRevocation,
        batches: Vec<Vec<CertificateId>>,
        idempotency: Option<Idempotency>,
        journal: Journal,
    ) -> Result<BulkBeginning, StoreError> {
        self.transact(StoreMethod::BeginBulkRevocation, |record, _| {
            if let Some(asked) = &idempotency
                && let Some(repetition) = record.repeated_bulk(asked, operation.created_at)
            {
                return Ok(BulkBeginning::Repeated(repetition));
            }
            if record.bulk_revocations.contains_key(&operation.id) {
                return Err(StoreError::Conflict { detail: format!("bulk revocation {} is there", operation.id) });
            }
            if let Some(asked) = &idempotency {
                // What is left under this key has expired.
                let rows = record.bulk_revocations.values_mut().map(|row| &mut row.idempotency);
                let same =
                    rows.filter(|known| known.as_ref().is_some_and(|known| known.scope_sha256 == asked.scope_sha256));
                same.for_each(|known| *known = None);
            }
            let batches = (0..).zip(batches).collect();
            record.bulk_revocations.insert(operation.id, BulkRow { operation, batches, idempotency });
            record.write_journal(journal);
            Ok(BulkBeginning::Begun)
        })
        .await
    }

    async fn repeated_bulk_revocation(
        &self,
        idempotency: &Idempotency,
        now: Timestamp,
    ) -> Result<Option<BulkRepetition>, StoreError> {
        self.transact(StoreMethod::RepeatedBulkRevocation, |record, _| Ok(record.repeated_bulk(idempotency, now))).await
    }

    async fn bulk_revocation(&self, id: BulkRevocationId) -> Result<Option<BulkRevocation>, StoreError> {
        self.transact(StoreMethod::BulkRevocation, |record, _| {
            Ok(record.bulk_revocations.get(&id).map(|row| row.operation.clone()))
        })
        .await
    }

    async fn bulk_revocations(
        &self,
        after: Option<BulkRevocationId>,
        limit: u32,
    ) -> Result<Vec<BulkRevocation>, StoreError> {
        self.transact(StoreMethod::BulkRevocations, |record, _| {
            let rows = record.bulk_revocations.iter().rev();
            let rows = rows.filter(|(id, _)| after.is_none_or(|after| **id < after));
            Ok(rows.take(limit as usize).map(|(_, row)| row.operation.clone()).collect())
        })
        .await
    }

    async fn running_bulk_revocations(&self) -> Result<Vec<BulkRevocation>, StoreError> {
        self.transact(StoreMethod::RunningBulkRevocations, |record, _| {
            let operations = record.bulk_revocations.values().map(|row| &row.operation);
            Ok(operations.filter(|operation| operation.state == BulkRevocationState::Running).cloned().collect())
        })
        .await
    }

    async fn next_batch(&self, id: BulkRevocationId) -> Result<Option<BulkBatch>, StoreError> {
        self.transact(StoreMethod::NextBatch, |record, _| {
            let first = record.bulk_revocations.get(&id).and_then(|row| row.batches.first_key_value());
            Ok(first.map(|(number, certificates)| BulkBatch { number: *number, certificates: certificates.clone() }))
        })
        .await
    }

    async fn change_batch(&self, lease: &Lease, batch: BatchChange) -> Result<BatchOutcome, StoreError> {
        self.transact(StoreMethod::ChangeBatch, |record, _| {
            record.check_fence(lease)?;
            Ok(record.change_batch(batch))
        })
        .await
    }

    async fn end_bulk_revocation(
        &self,
        lease: Option<&Lease>,
        id: BulkRevocationId,
        journal: Journal,
    ) -> Result<bool, StoreError> {
        self.transact(StoreMethod::EndBulkRevocation, |record, _| {
            if let Some(lease) = lease {
                record.check_fence(lease)?;
            }
            let Some(row) = record.bulk_revocations.get_mut(&id) else { return Ok(false) };
            let state = match lease {
                Some(_) => BulkRevocationState::Completed,
                None => BulkRevocationState::Canceled,
            };
            let is_left = state == BulkRevocationState::Completed && !row.batches.is_empty();
            if row.operation.state != BulkRevocationState::Running || is_left {
                return Ok(false);
            }
            row.batches.clear();
            row.operation.state = state;
            row.operation.ended_at = Some(journal.event.at);
            record.write_journal(journal);
            Ok(true)
        })
        .await
    }
}

impl Record {
    fn repeated_bulk(&self, asked: &Idempotency, now: Timestamp) -> Option<BulkRepetition> {
        let rows = self.bulk_revocations.values();
        let mut rows = rows.filter_map(|row| row.idempotency.as_ref().map(|known| (row.operation.id, known)));
        let (id, known) =
            rows.find(|(_, known)| known.scope_sha256 == asked.scope_sha256 && known.expires_at >= now)?;
        Some(match known.request_sha256 == asked.request_sha256 {
            true => BulkRepetition::Same(id),
            false => BulkRepetition::Other,
        })
    }

    /// Forgets the keys of bulk revocations that expired before `now`; returns how many.
    pub(super) fn drop_expired_bulk_idempotency(&mut self, now: Timestamp) -> u64 {
        let rows = self.bulk_revocations.values_mut().map(|row| &mut row.idempotency);
        let expired = rows.filter(|known| known.as_ref().is_some_and(|known| known.expires_at < now));
        expired.map(|known| *known = None).count() as u64
    }

    fn change_batch(&mut self, batch: BatchChange) -> BatchOutcome {
        let Some(row) = self.bulk_revocations.get(&batch.id) else { return BatchOutcome::Superseded };
        let mut seen: Vec<CertificateId> = batch.changes.iter().map(|change| change.id).collect();
        seen.extend(&batch.skipped);
        seen.sort_unstable();
        let there = row.batches.get(&batch.number).map(|certificates| {
            let mut there = certificates.clone();
            there.sort_unstable();
            there
        });
        if row.operation.state != BulkRevocationState::Running || there != Some(seen) {
            return BatchOutcome::Superseded;
        }
        let (mut stale, mut revoked, mut sequence) = (Vec::new(), 0, 0);
        for change in batch.changes {
            let id = change.id;
            match self.change_standing(change) {
                ChangeOutcome::Applied { sequence: number } => (revoked, sequence) = (revoked + 1, number),
                ChangeOutcome::Stale => stale.push(id),
            }
        }
        if let Some(row) = self.bulk_revocations.get_mut(&batch.id) {
            row.operation.revoked += revoked;
            row.operation.skipped += batch.skipped.len() as u64;
            row.operation.sequence = row.operation.sequence.max(sequence);
            match stale.is_empty() {
                true => row.batches.remove(&batch.number),
                false => row.batches.insert(batch.number, stale.clone()),
            };
        }
        BatchOutcome::Made { stale }
    }
}
