//! Issuances that issuers elsewhere were asked for.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_core::serial::Serial;
use ca_core::time::Timestamp;
use ca_engine::port::store::{AdoptOutcome, OpenUpstream, StoreError, UpstreamIntent, UpstreamStore};

use super::abandonment::open_by_id;
use super::error::Failure;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, column};
use crate::row::upstream::{OpenUpstreamRow, has_another_serial, not_to_be_named};

#[async_trait]
impl UpstreamStore for PostgresStore {
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
        const SQL: &str = "
            SELECT uuid_send(r.id) AS id, r.authority, r.serial, r.profile, r.requested_by, uuid_send(r.renews) AS renews,
                r.reserved_at, r.to_be_signed, u.csr, u.inherit_roles, u.request_id, u.asked_at, u.name
            FROM reservations AS r JOIN upstream_issuances AS u ON u.certificate_id = r.id
            WHERE r.abandoned_at IS NULL AND r.reserved_at < $1 AND (r.reserved_at, r.id) > ($2, $3)
            ORDER BY r.reserved_at, r.id LIMIT 100";
        let nothing = CertificateId::from_bytes([0; 16]);
        let (reserved_at, id) = after.map_or((i64::MIN, nothing), |(at, id)| (at.unix_millis(), id));
        let query = || sqlx::query_as(SQL).bind(before.unix_millis()).bind(reserved_at).bind(column::certificate(id));
        let rows: Vec<OpenUpstreamRow> = read(&self.reads, query).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn open_upstream_of(&self, id: CertificateId) -> Result<Option<OpenUpstream>, StoreError> {
        const SQL: &str = "
            SELECT uuid_send(r.id) AS id, r.authority, r.serial, r.profile, r.requested_by, uuid_send(r.renews) AS renews,
                r.reserved_at, r.to_be_signed, u.csr, u.inherit_roles, u.request_id, u.asked_at, u.name
            FROM reservations AS r JOIN upstream_issuances AS u ON u.certificate_id = r.id
            WHERE r.id = $1 AND r.abandoned_at IS NULL";
        let rows: Vec<OpenUpstreamRow> =
            read(&self.reads, || sqlx::query_as(SQL).bind(column::certificate(id))).await?;
        rows.into_iter().next().map(TryInto::try_into).transpose()
    }

    async fn forget_settled_upstream(&self) -> Result<u64, StoreError> {
        self.change(Forgetting).await
    }
}

#[async_trait]
impl Change for UpstreamIntent {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        // Locks the reservation: nobody abandons it before this is seen.
        if open_by_id(self.id, transaction).await?.is_none() {
            return Ok(false);
        }
        const SQL: &str = "INSERT INTO upstream_issuances (certificate_id, asked_at, inherit_roles, csr, request_id)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let insert = sqlx::query(SQL)
            .bind(column::certificate(self.id))
            .bind(self.asked_at.unix_millis())
            .bind(self.inherit_roles)
            .bind(self.csr.as_deref())
            .bind(self.request_id.as_deref());
        transaction.execute(insert).await?;
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str =
            "UPDATE upstream_issuances SET name = $2 WHERE certificate_id = $1 AND (name IS NULL OR name = $2)";
        let update = sqlx::query(SQL).bind(column::certificate(self.id)).bind(self.name.as_str());
        match transaction.execute(update).await? {
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<AdoptOutcome, Failure> {
        let Some(open) = open_by_id(self.id, transaction).await? else { return Ok(AdoptOutcome::NotReserved) };
        let there = crate::row::serial("reservations.serial", &open.serial)?;
        if there == self.serial {
            return Ok(AdoptOutcome::Adopted);
        }
        if !there.is_provisional() {
            return Err(has_another_serial(self.id).into());
        }
        // Where another adopts the same serial at this moment, this fails and is made again.
        const TAKEN: &str = "SELECT EXISTS (SELECT FROM serials WHERE serial = $1 AND authority = $2)";
        let taken = sqlx::query_as(TAKEN).bind(self.serial.as_bytes()).bind(open.authority.as_str());
        let taken: Option<(bool,)> = transaction.row(taken).await?;
        if taken.is_none_or(|(taken,)| taken) {
            return Ok(AdoptOutcome::SerialTaken);
        }
        const ADOPT: &str = "
            WITH adopted AS (UPDATE serials SET serial = $1 WHERE certificate_id = $2 AND state = 0)
            UPDATE reservations SET serial = $1 WHERE id = $2";
        let adopt = sqlx::query(ADOPT).bind(self.serial.as_bytes()).bind(column::certificate(self.id));
        transaction.execute(adopt).await?;
        Ok(AdoptOutcome::Adopted)
    }
}

struct Forgetting;

#[async_trait]
impl Change for Forgetting {
    type Answer = u64;

    async fn apply(&self, transaction: &mut Transaction) -> Result<u64, Failure> {
        // As many rows as were asked for since the last time: this reads them all.
        const SQL: &str = "DELETE FROM upstream_issuances AS u WHERE NOT EXISTS (
                 SELECT FROM reservations AS r WHERE r.id = u.certificate_id AND r.abandoned_at IS NULL)";
        transaction.execute(sqlx::query(SQL)).await
    }
}
