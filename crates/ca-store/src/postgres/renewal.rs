//! Moves of renewal windows, renewals that were asked for twice, and nonces that were used.

use async_trait::async_trait;
use ca_core::id::{CertificateId, WindowMoveId};
use ca_core::time::Timestamp;
use ca_engine::port::store::{Journal, RenewalStore, StoreError, WindowMove};

use super::error::Failure;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, column, journal};
use crate::row::renewal::WindowMoveRow;

#[async_trait]
impl RenewalStore for PostgresStore {
    async fn add_window_move(&self, window_move: WindowMove, journal: Journal) -> Result<(), StoreError> {
        self.change(Addition { window_move, journal }).await
    }

    async fn window_moves(&self) -> Result<Vec<WindowMove>, StoreError> {
        // A handful: this reads the whole table.
        const SQL: &str =
            "SELECT uuid_send(m.id) AS id, authority, profile, uuid_send(certificate_id) AS certificate_id,
                 issued_after, issued_before, window_start, window_end, waves, explanation_url, moved_by, moved_at
             FROM renewal_window_moves m ORDER BY m.id DESC";
        let rows: Vec<WindowMoveRow> = read(&self.reads, || sqlx::query_as(SQL)).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn remove_window_move(&self, id: WindowMoveId, journal: Journal) -> Result<bool, StoreError> {
        self.change(Removal { id, journal }).await
    }

    async fn note_repeated_renewal(
        &self,
        certificate: CertificateId,
        successor: CertificateId,
        journal: Journal,
    ) -> Result<bool, StoreError> {
        self.change(Note { certificate, successor, journal }).await
    }

    async fn use_nonce(
        &self,
        nonce_sha256: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.change(Use { nonce_sha256, expires_at, now }).await
    }
}

struct Addition {
    window_move: WindowMove,
    journal: Journal,
}

#[async_trait]
impl Change for Addition {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str = "INSERT INTO renewal_window_moves (id, authority, profile, certificate_id, issued_after,
                 issued_before, window_start, window_end, waves, explanation_url, moved_by, moved_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        let WindowMove { id, scope, waves, explanation_url, moved_by, moved_at } = &self.window_move;
        let query = sqlx::query(SQL)
            .bind(column::window_move(*id))
            .bind(scope.authority.as_ref().map(|authority| authority.as_str()))
            .bind(scope.profile.as_ref().map(|profile| profile.as_str()))
            .bind(scope.certificate.map(column::certificate))
            .bind(scope.issued_after.map(|instant| instant.unix_millis()))
            .bind(scope.issued_before.unix_millis())
            .bind(waves.window.start.unix_millis())
            .bind(waves.window.end.unix_millis())
            .bind(i64::from(waves.count))
            .bind(explanation_url.as_deref())
            .bind(moved_by.as_str())
            .bind(moved_at.unix_millis());
        transaction.execute(query).await?;
        journal::store(&[&self.journal], transaction).await
    }
}

struct Removal {
    id: WindowMoveId,
    journal: Journal,
}

#[async_trait]
impl Change for Removal {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        const SQL: &str = "DELETE FROM renewal_window_moves WHERE id = $1";
        let removed = transaction.execute(sqlx::query(SQL).bind(column::window_move(self.id))).await? > 0;
        if removed {
            journal::store(&[&self.journal], transaction).await?;
        }
        Ok(removed)
    }
}

struct Note {
    certificate: CertificateId,
    successor: CertificateId,
    journal: Journal,
}

#[async_trait]
impl Change for Note {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        // Messages about a certificate are numbered in the order of their commits, by whoever holds its serial.
        const LOCK: &str = "SELECT not_after FROM serials WHERE certificate_id = $1 FOR NO KEY UPDATE";
        transaction.execute(sqlx::query(LOCK).bind(column::certificate(self.certificate))).await?;
        const SQL: &str =
            "INSERT INTO repeated_renewals (certificate_id, successor_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let query =
            sqlx::query(SQL).bind(column::certificate(self.certificate)).bind(column::certificate(self.successor));
        let is_new = transaction.execute(query).await? > 0;
        if is_new {
            journal::store(&[&self.journal], transaction).await?;
        }
        Ok(is_new)
    }
}

struct Use {
    nonce_sha256: [u8; 32],
    expires_at: Timestamp,
    now: Timestamp,
}

#[async_trait]
impl Change for Use {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        const FORGET: &str = "DELETE FROM used_nonces WHERE expires_at <= $1";
        transaction.execute(sqlx::query(FORGET).bind(self.now.unix_millis())).await?;
        const SQL: &str = "INSERT INTO used_nonces (nonce_sha256, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let query = sqlx::query(SQL).bind(self.nonce_sha256.as_slice()).bind(self.expires_at.unix_millis());
        Ok(transaction.execute(query).await? > 0)
    }
}
