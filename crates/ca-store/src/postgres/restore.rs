//! What a restoration changes: serials without certificates, and gaps behind numbers.

use async_trait::async_trait;
use ca_core::revocation::Standing;
use ca_engine::port::store::{Gaps, LostSerial, RestoreStore, StoreError};

use super::error::Failure;
use super::status::{Numbered, take_numbers};
use super::transaction::{Change, Transaction};
use super::{PostgresStore, column, journal};
use crate::row::authority::unexpected_setting;
use crate::row::{self, RevocationColumns, state};

#[async_trait]
impl RestoreStore for PostgresStore {
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        const SQL: &str = "
            INSERT INTO serials (certificate_id, not_after, state, reason, serial, authority, revoked_at, invalidity_date)
                VALUES ($1, $2, $3::bigint, $4::bigint, $5, $6, $7, $8) ON CONFLICT (serial, authority) DO NOTHING";
        let columns = RevocationColumns::of(Standing::Revoked(self.revocation));
        let insert = sqlx::query(SQL)
            .bind(column::certificate(self.id))
            .bind(self.not_after.unix_millis())
            .bind(state::ABANDONED)
            .bind(columns.reason)
            .bind(self.serial.as_bytes())
            .bind(self.authority.as_str())
            .bind(columns.revoked_at)
            .bind(columns.invalidity_date);
        if transaction.execute(insert).await? == 0 {
            return Ok(false);
        }
        if let Some(key) = &self.blocked_key {
            const BLOCK: &str = "INSERT INTO blocked_keys (spki_sha256, certificate_id, blocked_at) VALUES ($1, $2, $3)
                 ON CONFLICT DO NOTHING";
            let block = sqlx::query(BLOCK)
                .bind(key.as_slice())
                .bind(column::certificate(self.id))
                .bind(self.journal.event.at.unix_millis());
            transaction.execute(block).await?;
        }
        journal::store(&[&self.journal], transaction).await?;
        let numbered = Numbered {
            authority: self.authority.as_str(),
            serial: self.serial.as_bytes(),
            columns,
            not_after: self.not_after.unix_millis(),
        };
        take_numbers(&[numbered], transaction).await?;
        Ok(true)
    }
}

#[async_trait]
impl Change for Gaps {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        // The condition holds for every name: it makes the walk one of the index.
        let leases = sqlx::query("UPDATE leases SET token = token + $1 WHERE name >= ''")
            .bind(row::signed("a lease's token", self.lease_tokens)?);
        transaction.execute(leases).await?;
        let withdraw = sqlx::query("DELETE FROM published_partial_crls WHERE authority >= ''");
        transaction.execute(withdraw).await?;
        journal::store(&[&self.journal], transaction).await?;
        let counter = sqlx::query("UPDATE counters SET value = GREATEST(value, $1) WHERE name = 'revocations'")
            .bind(row::signed("the revocation sequence", self.revocation_sequence)?);
        transaction.execute(counter).await?;
        for setting in &self.settings {
            if !setting.apply(transaction).await? {
                return Err(unexpected_setting(setting).into());
            }
        }
        Ok(())
    }
}
