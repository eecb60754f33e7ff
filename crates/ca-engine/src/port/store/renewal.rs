//! Renewal windows that an operator moved, renewals that were asked for twice, and nonces that were used.

use async_trait::async_trait;
use ca_core::id::{CertificateId, WindowMoveId};
use ca_core::renewal::{RenewalScope, Waves};
use ca_core::time::Timestamp;

use super::{Journal, StoreError};

/// A move of renewal windows. It names no subject: a scope has ids, authorities and profiles alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowMove {
    /// Its name.
    pub id: WindowMoveId,
    /// Whose windows.
    pub scope: RenewalScope,
    /// Where they are.
    pub waves: Waves,
    /// A page that says why.
    pub explanation_url: Option<String>,
    /// Principal reference of who moved them.
    pub moved_by: String,
    /// When.
    pub moved_at: Timestamp,
}

/// Renewal on record.
#[async_trait]
pub trait RenewalStore: Send + Sync {
    /// Puts a move on record.
    async fn add_window_move(&self, window_move: WindowMove, journal: Journal) -> Result<(), StoreError>;

    /// Every move that is on record, newest id first.
    async fn window_moves(&self) -> Result<Vec<WindowMove>, StoreError>;

    /// Takes a move from the record; `false`, and nothing is told, when it is not there.
    async fn remove_window_move(&self, id: WindowMoveId, journal: Journal) -> Result<bool, StoreError>;

    /// Notes that a certificate's holder asked for a successor beside `successor`. `false`, and nothing is told, when that was noted
    /// before: whoever asks again and again fills no record.
    async fn note_repeated_renewal(
        &self,
        certificate: CertificateId,
        successor: CertificateId,
        journal: Journal,
    ) -> Result<bool, StoreError>;

    /// Notes that a nonce was used, until its end; `false` when that was noted before. Of many who use one at the same time one is told
    /// `true`, whatever replica it asks. What has ended by `now` is forgotten by the way.
    async fn use_nonce(
        &self,
        nonce_sha256: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
}
