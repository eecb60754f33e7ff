//! Moved windows, renewals that were asked for twice, and nonces that were used.

use async_trait::async_trait;
use ca_core::id::{CertificateId, WindowMoveId};
use ca_core::time::Timestamp;

use super::{MemoryStore, StoreMethod};
use crate::port::store::{Journal, RenewalStore, StoreError, WindowMove};

#[async_trait]
impl RenewalStore for MemoryStore {
    async fn add_window_move(&self, window_move: WindowMove, journal: Journal) -> Result<(), StoreError> {
        self.transact(StoreMethod::AddWindowMove, |record, _| {
            record.window_moves.insert(window_move.id, window_move);
            record.write_journal(journal);
            Ok(())
        })
        .await
    }

    async fn window_moves(&self) -> Result<Vec<WindowMove>, StoreError> {
        self.transact(StoreMethod::WindowMoves, |record, _| Ok(record.window_moves.values().rev().cloned().collect()))
            .await
    }

    async fn remove_window_move(&self, id: WindowMoveId, journal: Journal) -> Result<bool, StoreError> {
        self.transact(StoreMethod::RemoveWindowMove, |record, _| {
            let removed = record.window_moves.remove(&id).is_some();
            if removed {
                record.write_journal(journal);
            }
            Ok(removed)
        })
        .await
    }

    async fn note_repeated_renewal(
        &self,
        certificate: CertificateId,
        successor: CertificateId,
        journal: Journal,
    ) -> Result<bool, StoreError> {
        self.transact(StoreMethod::NoteRepeatedRenewal, |record, _| {
            let is_new = record.repeated_renewals.insert((certificate, successor));
            if is_new {
                record.write_journal(journal);
            }
            Ok(is_new)
        })
        .await
    }

    async fn use_nonce(
        &self,
        nonce_sha256: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.transact(StoreMethod::UseNonce, |record, _| {
            record.used_nonces.retain(|_, end| *end > now);
            Ok(record.used_nonces.insert(nonce_sha256, expires_at).is_none())
        })
        .await
    }
}
