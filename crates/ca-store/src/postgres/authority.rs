//! Authorities, sealed keys, OCSP responders and settings.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_engine::port::keyring::{KeyRoom, SealedKey};
use ca_engine::port::store::{
    AuthorityRecord, AuthorityStore, Journal, Lease, ResponderRecord, SettingChange, StoreError,
};

use super::error::Failure;
use super::lease::fence;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, column, database_time, journal};
use crate::row::authority::{AuthorityRow, KeyRow, ResponderRow, key_home_columns, parents_first};

#[async_trait]
impl AuthorityStore for PostgresStore {
    async fn authorities(&self) -> Result<Vec<AuthorityRecord>, StoreError> {
        // A handful: this reads the whole table.
        const SQL: &str =
            "SELECT id, uuid_send(certificate_id) AS certificate_id, certificate_der, parent, key_home, key_id,
                 state FROM authorities ORDER BY id";
        let rows: Vec<AuthorityRow> = read(&self.reads, || sqlx::query_as(SQL)).await?;
        parents_first(rows.into_iter().map(AuthorityRecord::try_from).collect::<Result<Vec<_>, _>>()?)
    }

    async fn add_authority(&self, record: AuthorityRecord, journal: Journal) -> Result<(), StoreError> {
        self.change(AuthorityAddition { record, journal }).await
    }

    async fn add_key(&self, key: SealedKey) -> Result<(), StoreError> {
        self.change(key).await
    }

    async fn key(&self, id: &str) -> Result<Option<SealedKey>, StoreError> {
        const SQL: &str = "SELECT id, room, key_type, spki, sealed, created_at FROM sealed_keys WHERE id = $1";
        let rows: Vec<KeyRow> = read(&self.reads, || sqlx::query_as(SQL).bind(id)).await?;
        rows.into_iter().next().map(SealedKey::try_from).transpose()
    }

    async fn keys(&self, room: KeyRoom) -> Result<Vec<SealedKey>, StoreError> {
        const SQL: &str = "SELECT id, room, key_type, spki, sealed, created_at FROM sealed_keys
             WHERE room = $1 ORDER BY created_at, id";
        let rows: Vec<KeyRow> = read(&self.reads, || sqlx::query_as(SQL).bind(room.as_str())).await?;
        rows.into_iter().map(SealedKey::try_from).collect()
    }

    async fn add_responder(&self, lease: Option<&Lease>, record: ResponderRecord) -> Result<(), StoreError> {
        self.change(ResponderAddition { lease: lease.cloned(), record }).await
    }

    async fn responders(&self) -> Result<Vec<ResponderRecord>, StoreError> {
        const SQL: &str = concat!(
            "SELECT authority, uuid_send(certificate_id) AS certificate_id, certificate_der, key_id, not_before, not_after
             FROM responders AS r WHERE not_after >= (SELECT ",
            database_time!(),
            ") ORDER BY not_before, r.certificate_id"
        );
        let rows: Vec<ResponderRow> = read(&self.reads, || sqlx::query_as(SQL)).await?;
        rows.into_iter().map(ResponderRecord::try_from).collect()
    }

    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        const SQL: &str = "SELECT value FROM settings WHERE name = $1";
        let rows: Vec<(Vec<u8>,)> = read(&self.reads, || sqlx::query_as(SQL).bind(name)).await?;
        Ok(rows.into_iter().next().map(|(value,)| value))
    }

    async fn set_setting(&self, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, StoreError> {
        let expected = expected.map(<[u8]>::to_vec);
        self.change(SettingChange { name: name.to_owned(), expected, value: value.to_vec() }).await
    }
}

struct AuthorityAddition {
    record: AuthorityRecord,
    journal: Journal,
}

#[async_trait]
impl Change for AuthorityAddition {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str =
            "INSERT INTO authorities (id, certificate_id, certificate_der, parent, key_home, key_id, state)
             VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let record = &self.record;
        let (key_home, key_id) = key_home_columns(&record.key_home)?;
        // A taken id fails on the primary key, and that is a conflict.
        let query = sqlx::query(SQL)
            .bind(record.id.as_str())
            .bind(column::certificate(record.certificate))
            .bind(record.certificate_der.as_slice())
            .bind(record.parent.as_ref().map(AuthorityId::as_str))
            .bind(key_home)
            .bind(key_id)
            .bind(record.state.as_str());
        transaction.execute(query).await?;
        journal::store(&[&self.journal], transaction).await
    }
}

#[async_trait]
impl Change for SealedKey {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str = "INSERT INTO sealed_keys (id, room, key_type, spki, sealed, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING";
        let query = sqlx::query(SQL)
            .bind(self.id.as_str())
            .bind(self.room.as_str())
            .bind(self.key_type.as_str())
            .bind(self.spki.as_slice())
            .bind(self.sealed.as_slice())
            .bind(self.created_at.unix_millis());
        if transaction.execute(query).await? == 1 {
            return Ok(());
        }
        // Sealing the same key again gives other octets: what must agree is the key and its room.
        const LOOK: &str = "SELECT room = $2 AND spki = $3 FROM sealed_keys WHERE id = $1";
        let look = sqlx::query_as(LOOK).bind(self.id.as_str()).bind(self.room.as_str()).bind(self.spki.as_slice());
        match transaction.row(look).await? {
            Some((true,)) => Ok(()),
            _ => {
                let detail = format!("key {} is on record as another key, or for another room", self.id);
                Err(StoreError::Conflict { detail }.into())
            }
        }
    }
}

struct ResponderAddition {
    lease: Option<Lease>,
    record: ResponderRecord,
}

#[async_trait]
impl Change for ResponderAddition {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        if let Some(lease) = &self.lease {
            fence(lease, transaction).await?;
        }
        const SQL: &str =
            "INSERT INTO responders (certificate_id, authority, certificate_der, key_id, not_before, not_after)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (certificate_id) DO NOTHING";
        let record = &self.record;
        let query = sqlx::query(SQL)
            .bind(column::certificate(record.certificate))
            .bind(record.authority.as_str())
            .bind(record.certificate_der.as_slice())
            .bind(record.key_id.as_str())
            .bind(record.validity.not_before.unix_millis())
            .bind(record.validity.not_after.unix_millis());
        transaction.execute(query).await.map(|_| ())
    }
}

#[async_trait]
impl Change for SettingChange {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        let query = match &self.expected {
            Some(expected) => sqlx::query("UPDATE settings SET value = $2 WHERE name = $1 AND value = $3")
                .bind(self.name.as_str())
                .bind(self.value.as_slice())
                .bind(expected.as_slice()),
            None => sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                .bind(self.name.as_str())
                .bind(self.value.as_slice()),
        };
        Ok(transaction.execute(query).await? == 1)
    }
}
