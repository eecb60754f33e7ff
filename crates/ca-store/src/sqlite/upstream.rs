//! Issuances that issuers elsewhere were asked for.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_core::serial::Serial;
use ca_core::time::Timestamp;
use ca_engine::port::store::{AdoptOutcome, OpenUpstream, StoreError, UpstreamIntent, UpstreamStore};
use sqlx::{SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::completion::open_by_id;
use super::error::Failure;
use crate::row::upstream::{OpenUpstreamRow, has_another_serial, not_to_be_named};

#[async_trait]
impl UpstreamStore for SqliteStore {
    async fn intend_upstream(&self, intent: UpstreamIntent) -> Result<bool, StoreError> {
        self.change(intent).await
    }

    async fn name_upstream(&self, id: CertificateId, name: &str) -> Result<(), StoreError> {
        self.change(Naming { id, name: name.to_owned() }).await
    }

    async fn adopt_serial(&self, id: CertificateId, serial: &Serial) -> Result<AdoptOutcome, StoreError> {
        self.change(Adoption { id, serial: serial.clone() }).await
    }

    async fn open_upstream(
        &self,
        before: Timestamp,
        after: Option<(Timestamp, CertificateId)>,
    ) -> Result<Vec<OpenUpstream>, StoreError> {
        open(&self.readers, before, after).await?.into_iter().map(TryInto::try_into).collect()
    }

    async fn open_upstream_of(&self, id: CertificateId) -> Result<Option<OpenUpstream>, StoreError> {
        open_of(&self.readers, id).await?.map(TryInto::try_into).transpose()
    }

    async fn forget_settled_upstream(&self) -> Result<u64, StoreError> {
        self.change(Forgetting).await
    }
}

async fn open(
    readers: &SqlitePool,
    before: Timestamp,
    after: Option<(Timestamp, CertificateId)>,
) -> Result<Vec<OpenUpstreamRow>, Failure> {
    const SQL: &str = "
        SELECT r.id, r.authority, r.serial, r.profile, r.requested_by, r.renews, r.reserved_at, r.to_be_signed, u.csr,
            u.inherit_roles, u.request_id, u.asked_at, u.name
        FROM reservations AS r JOIN upstream_issuances AS u ON u.certificate_id = r.id
        WHERE r.abandoned_at IS NULL AND r.reserved_at < $1 AND (r.reserved_at, r.id) > ($2, $3)
        ORDER BY r.reserved_at, r.id LIMIT 100";
    let (reserved_at, id) = after.map_or((i64::MIN, [0; 16]), |(at, id)| (at.unix_millis(), *id.as_bytes()));
    let query = sqlx::query_as(SQL).bind(before.unix_millis()).bind(reserved_at).bind(id.to_vec());
    Ok(query.fetch_all(readers).await?)
}

async fn open_of(readers: &SqlitePool, id: CertificateId) -> Result<Option<OpenUpstreamRow>, Failure> {
    const SQL: &str = "
        SELECT r.id, r.authority, r.serial, r.profile, r.requested_by, r.renews, r.reserved_at, r.to_be_signed, u.csr,
            u.inherit_roles, u.request_id, u.asked_at, u.name
        FROM reservations AS r JOIN upstream_issuances AS u ON u.certificate_id = r.id
        WHERE r.id = $1 AND r.abandoned_at IS NULL";
    Ok(sqlx::query_as(SQL).bind(id.as_bytes().as_slice()).fetch_optional(readers).await?)
}

#[async_trait]
impl Change for UpstreamIntent {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        if open_by_id(self.id, connection).await?.is_none() {
            return Ok(false);
        }
        const SQL: &str = "INSERT INTO upstream_issuances (certificate_id, asked_at, inherit_roles, csr, request_id)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        sqlx::query(SQL)
            .bind(self.id.as_bytes().as_slice())
            .bind(self.asked_at.unix_millis())
            .bind(self.inherit_roles)
            .bind(self.csr.as_deref())
            .bind(self.request_id.as_deref())
            .execute(connection)
            .await?;
        Ok(true)
    }
}

struct Naming {
    id: CertificateId,
    name: String,
}

#[async_trait]
impl Change for Naming {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        const SQL: &str =
            "UPDATE upstream_issuances SET name = $2 WHERE certificate_id = $1 AND (name IS NULL OR name = $2)";
        let query = sqlx::query(SQL).bind(self.id.as_bytes().as_slice()).bind(self.name.as_str());
        match query.execute(connection).await?.rows_affected() {
            0 => Err(not_to_be_named(self.id).into()),
            _ => Ok(()),
        }
    }
}

struct Adoption {
    id: CertificateId,
    serial: Serial,
}

#[async_trait]
impl Change for Adoption {
    type Answer = AdoptOutcome;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<AdoptOutcome, Failure> {
        let Some(open) = open_by_id(self.id, connection).await? else { return Ok(AdoptOutcome::NotReserved) };
        let there = crate::row::serial("reservations.serial", &open.serial)?;
        if there == self.serial {
            return Ok(AdoptOutcome::Adopted);
        }
        if !there.is_provisional() {
            return Err(has_another_serial(self.id).into());
        }
        const TAKEN: &str = "SELECT EXISTS (SELECT 1 FROM serials WHERE serial = $1 AND authority = $2)";
        let taken: bool = sqlx::query_scalar(TAKEN)
            .bind(self.serial.as_bytes())
            .bind(open.authority.as_str())
            .fetch_one(&mut *connection)
            .await?;
        if taken {
            return Ok(AdoptOutcome::SerialTaken);
        }
        const ADOPT: &str = "
            UPDATE serials SET serial = $1 WHERE serial = $2 AND authority = $3;
            UPDATE reservations SET serial = $1 WHERE id = $4";
        sqlx::query(ADOPT)
            .bind(self.serial.as_bytes())
            .bind(open.serial.as_slice())
            .bind(open.authority.as_str())
            .bind(self.id.as_bytes().as_slice())
            .execute(connection)
            .await?;
        Ok(AdoptOutcome::Adopted)
    }
}

struct Forgetting;

#[async_trait]
impl Change for Forgetting {
    type Answer = u64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<u64, Failure> {
        // As many rows as were asked for since the last time: this reads them all.
        const SQL: &str = "DELETE FROM upstream_issuances WHERE NOT EXISTS (
                 SELECT 1 FROM reservations AS r WHERE r.id = certificate_id AND r.abandoned_at IS NULL)";
        Ok(sqlx::query(SQL).execute(connection).await?.rows_affected())
    }
}
