//! Moves of renewal windows, renewals that were asked for twice, and nonces that were used.

use async_trait::async_trait;
use ca_core::id::{CertificateId, WindowMoveId};
use ca_core::time::Timestamp;
use ca_engine::port::store::{Journal, RenewalStore, StoreError, WindowMove};
use sqlx::{SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use crate::row::renewal::WindowMoveRow;

#[async_trait]
impl RenewalStore for SqliteStore {
    async fn add_window_move(&self, window_move: WindowMove, journal: Journal) -> Result<(), StoreError> {
        self.change(Addition { window_move, journal }).await
    }

    async fn window_moves(&self) -> Result<Vec<WindowMove>, StoreError> {
        all(&self.readers).await?.into_iter().map(TryInto::try_into).collect()
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

async fn all(readers: &SqlitePool) -> Result<Vec<WindowMoveRow>, Failure> {
    // A handful: this reads the whole table.
    const SQL: &str =
        "SELECT id, authority, profile, certificate_id, issued_after, issued_before, window_start, window_end,
             waves, explanation_url, moved_by, moved_at FROM renewal_window_moves ORDER BY id DESC";
    Ok(sqlx::query_as(SQL).fetch_all(readers).await?)
}

struct Addition {
    window_move: WindowMove,
    journal: Journal,
}

#[async_trait]
impl Change for Addition {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        const SQL: &str = concat!(
            journal_sql!(),
            "INSERT INTO renewal_window_moves (id, authority, profile, certificate_id, issued_after, issued_before,
                 window_start, window_end, waves, explanation_url, moved_by, moved_at)
             VALUES ($7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18);"
        );
        let WindowMove { id, scope, waves, explanation_url, moved_by, moved_at } = &self.window_move;
        journal::bind(SQL, &self.journal)
            .bind(id.as_bytes().as_slice())
            .bind(scope.authority.as_ref().map(|authority| authority.as_str()))
            .bind(scope.profile.as_ref().map(|profile| profile.as_str()))
            .bind(scope.certificate.map(|id| id.as_bytes().to_vec()))
            .bind(scope.issued_after.map(|instant| instant.unix_millis()))
            .bind(scope.issued_before.unix_millis())
            .bind(waves.window.start.unix_millis())
            .bind(waves.window.end.unix_millis())
            .bind(waves.count)
            .bind(explanation_url.as_deref())
            .bind(moved_by.as_str())
            .bind(moved_at.unix_millis())
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct Removal {
    id: WindowMoveId,
    journal: Journal,
}

#[async_trait]
impl Change for Removal {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const SQL: &str = "DELETE FROM renewal_window_moves WHERE id = $1";
        let query = sqlx::query(SQL).bind(self.id.as_bytes().as_slice());
        let removed = query.execute(&mut *connection).await?.rows_affected() > 0;
        if removed {
            journal::bind(journal_sql!(), &self.journal).execute(connection).await?;
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

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const SQL: &str =
            "INSERT INTO repeated_renewals (certificate_id, successor_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let query =
            sqlx::query(SQL).bind(self.certificate.as_bytes().as_slice()).bind(self.successor.as_bytes().as_slice());
        let is_new = query.execute(&mut *connection).await?.rows_affected() > 0;
        if is_new {
            journal::bind(journal_sql!(), &self.journal).execute(connection).await?;
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

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const FORGET: &str = "DELETE FROM used_nonces WHERE expires_at <= $1";
        sqlx::query(FORGET).bind(self.now.unix_millis()).execute(&mut *connection).await?;
        const SQL: &str = "INSERT INTO used_nonces (nonce_sha256, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let query = sqlx::query(SQL).bind(self.nonce_sha256.as_slice()).bind(self.expires_at.unix_millis());
        Ok(query.execute(connection).await?.rows_affected() > 0)
    }
}
