//! What a restoration changes: serials without certificates, and gaps behind numbers.

use async_trait::async_trait;
use ca_core::revocation::Standing;
use ca_engine::port::store::{Gaps, LostSerial, RestoreStore, StoreError};
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::status::sequence_sql;
use crate::row::authority::unexpected_setting;
use crate::row::{self, RevocationColumns, state};

#[async_trait]
impl RestoreStore for SqliteStore {
    async fn record_lost_serial(&self, lost: LostSerial) -> Result<bool, StoreError> {
        self.change(lost).await
    }

    async fn leave_gaps(&self, gaps: Gaps) -> Result<(), StoreError> {
        self.change(gaps).await
    }
}

#[async_trait]
impl Change for LostSerial {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const SQL: &str = concat!(
            journal_sql!(),
            sequence_sql!(),
            "INSERT INTO serials (serial, authority, certificate_id, state, reason, revoked_at, invalidity_date, not_after)
                 VALUES ($8, $7, $13, $14, $9, $10, $11, $12);
             INSERT INTO blocked_keys (spki_sha256, certificate_id, blocked_at)
                 SELECT $15, $13, $6 WHERE $15 IS NOT NULL ON CONFLICT (spki_sha256) DO NOTHING;"
        );
        let known: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM serials WHERE serial = $1 AND authority = $2)")
                .bind(self.serial.as_bytes())
                .bind(self.authority.as_str())
                .fetch_one(&mut *connection)
                .await?;
        if known {
            return Ok(false);
        }
        let columns = RevocationColumns::of(Standing::Revoked(self.revocation));
        journal::bind(SQL, &self.journal)
            .bind(self.authority.as_str())
            .bind(self.serial.as_bytes())
            .bind(columns.reason)
            .bind(columns.revoked_at)
            .bind(columns.invalidity_date)
            .bind(self.not_after.unix_millis())
            .bind(self.id.as_bytes().as_slice())
            .bind(state::ABANDONED)
            .bind(self.blocked_key.as_ref().map(<[u8; 32]>::as_slice))
            .execute(connection)
            .await?;
        Ok(true)
    }
}

#[async_trait]
impl Change for Gaps {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        // The condition holds for every name: it makes the walk one of the index.
        const SQL: &str = concat!(
            journal_sql!(),
            "UPDATE counters SET value = MAX(value, $7) WHERE name = 'revocations';
             UPDATE leases SET token = token + $8 WHERE name >= '';
             DELETE FROM published_partial_crls WHERE authority >= '';
             DELETE FROM published_list_pieces WHERE authority >= '' AND scope >= 0;"
        );
        journal::bind(SQL, &self.journal)
            .bind(row::signed("the revocation sequence", self.revocation_sequence)?)
            .bind(row::signed("a lease's token", self.lease_tokens)?)
            .execute(&mut *connection)
            .await?;
        for setting in &self.settings {
            if !setting.apply(connection).await? {
                return Err(unexpected_setting(setting).into());
            }
        }
        Ok(())
    }
}
