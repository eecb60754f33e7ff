//! Bulk revocations: no certificate leaves a batch but by being revoked, each is counted once, and the end is told of.

use std::collections::BTreeSet;

use ca_core::audit::AuditAction;
use ca_core::id::CertificateId;
use ca_core::revocation::Standing;
use ca_engine::fake::{BulkRow, Record};
use ca_engine::port::store::BulkRevocationState;

use super::issuance::Phase;
use super::{Auditor, Change, Finding};

/// What is known of a bulk revocation.
pub(super) struct Batches {
    /// The step in which it was begun, or the record taken for granted.
    since: u64,
    left: BTreeSet<CertificateId>,
    state: BulkRevocationState,
}

impl Auditor {
    pub(super) fn remember_bulk_revocations(&mut self, record: &Record) {
        let since = self.step;
        let known = record
            .bulk_revocations
            .iter()
            .map(|(id, row)| (*id, Batches { since, left: left(row), state: row.operation.state }));
        self.bulk_revocations = known.collect();
    }

    pub(super) fn check_bulk_revocations(&mut self, record: &Record, changes: &mut Vec<Change>) -> Finding {
        for (id, row) in &record.bulk_revocations {
            let operation = &row.operation;
            let wrong = |what: String| Err(format!("bulk revocation {id}: {what}"));
            let (left, subject) = (left(row), format!("bulk-revocation:{id}"));
            let Some(known) = self.bulk_revocations.get_mut(id) else {
                if operation.state != BulkRevocationState::Running || left.len() as u64 != operation.count {
                    return wrong(format!("it begins with {} of {} certificates", left.len(), operation.count));
                }
                changes.push(Change { actions: &[AuditAction::BulkRevocationBegun], subject });
                let since = self.step;
                self.bulk_revocations.insert(*id, Batches { since, left, state: operation.state });
                continue;
            };
            let actions: &[AuditAction] = match (known.state, operation.state) {
                (before, now) if before == now => &[],
                (BulkRevocationState::Running, BulkRevocationState::Completed) => {
                    &[AuditAction::BulkRevocationCompleted]
                }
                (BulkRevocationState::Running, BulkRevocationState::Canceled) => &[AuditAction::BulkRevocationCanceled],
                (before, now) => return wrong(format!("it went from {before:?} to {now:?}")),
            };
            if !actions.is_empty() {
                changes.push(Change { actions, subject });
            }
            if !left.is_subset(&known.left) {
                return wrong("a certificate came into a batch".to_owned());
            }
            if operation.state == BulkRevocationState::Canceled {
                (known.state, known.left) = (operation.state, left);
                continue;
            }
            let done = operation.revoked + operation.skipped;
            if done + left.len() as u64 != operation.count {
                return wrong(format!("{done} and {} make not {}", left.len(), operation.count));
            }
            let was_revoked = |phase| matches!(phase, Phase::Standing(Standing::Revoked(_)));
            for certificate in known.left.difference(&left) {
                let history = self.histories.get(certificate);
                if !history.is_some_and(|history| history.was_since(known.since, was_revoked)) {
                    return wrong(format!("certificate {certificate} had its turn and was not revoked"));
                }
            }
            (known.state, known.left) = (operation.state, left);
        }
        Ok(())
    }

    /// Nothing that was begun is left undone.
    pub(crate) fn check_no_bulk_revocation_is_running(&self) -> Finding {
        let running = |known: &&Batches| known.state == BulkRevocationState::Running;
        match self.bulk_revocations.values().filter(running).count() {
            0 => Ok(()),
            number => Err(format!("{number} bulk revocations are running though all is repaired")),
        }
    }
}

fn left(row: &BulkRow) -> BTreeSet<CertificateId> {
    row.batches.values().flatten().copied().collect()
}
