//! Authorities, sealed keys, OCSP responders and settings.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_engine::port::keyring::{KeyRoom, SealedKey};
use ca_engine::port::store::{
    AuthorityRecord, AuthorityStore, Journal, Lease, ResponderRecord, SettingChange, StoreError,
};
use sqlx::{SqliteConnection, SqlitePool};

use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::lease::fence;
use super::{SqliteStore, database_time};
use crate::row::authority::{AuthorityRow, KeyRow, ResponderRow, key_home_columns, parents_first};

#[async_trait]
impl AuthorityStore for SqliteStore {
    async fn authorities(&self) -> Result<Vec<AuthorityRecord>, StoreError> {
        Ok(authorities(&self.readers).await?)
    }

    async fn add_authority(&self, record: AuthorityRecord, journal: Journal) -> Result<(), StoreError> {
        self.change(AuthorityAddition { record, journal }).await
    }

    async fn add_key(&self, key: SealedKey) -> Result<(), StoreError> {
        self.change(key).await
    }

    async fn key(&self, id: &str) -> Result<Option<SealedKey>, StoreError> {
        Ok(key(&self.readers, id).await?)
    }

    async fn keys(&self, room: KeyRoom) -> Result<Vec<SealedKey>, StoreError> {
        Ok(keys(&self.readers, room).await?)
    }

    async fn add_responder(&self, lease: Option<&Lease>, record: ResponderRecord) -> Result<(), StoreError> {
        self.change(ResponderAddition { lease: lease.cloned(), record }).await
    }

    async fn responders(&self) -> Result<Vec<ResponderRecord>, StoreError> {
        Ok(responders(&self.readers).await?)
    }

    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(setting(&self.readers, name).await?)
    }

    async fn set_setting(&self, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, StoreError> {
        let expected = expected.map(<[u8]>::to_vec);
        self.change(SettingChange { name: name.to_owned(), expected, value: value.to_vec() }).await
    }
}

async fn authorities(readers: &SqlitePool) -> Result<Vec<AuthorityRecord>, Failure> {
    // A handful: this reads the whole table.
    const SQL: &str = "SELECT id, certificate_id, certificate_der, parent, key_home, key_id, state FROM authorities
         ORDER BY id";
    let rows: Vec<AuthorityRow> = sqlx::query_as(SQL).fetch_all(readers).await?;
    let records = rows.into_iter().map(AuthorityRecord::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(parents_first(records)?)
}

struct AuthorityAddition {
    record: AuthorityRecord,
    journal: Journal,
}

#[async_trait]
impl Change for AuthorityAddition {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        const SQL: &str = concat!(
            journal_sql!(),
            "INSERT INTO authorities (id, certificate_id, certificate_der, parent, key_home, key_id, state)
             VALUES ($7, $8, $9, $10, $11, $12, $13);"
        );
        let record = &self.record;
        let (key_home, key_id) = key_home_columns(&record.key_home)?;
        // A taken id fails on the primary key, and that is a conflict.
        journal::bind(SQL, &self.journal)
            .bind(record.id.as_str())
            .bind(record.certificate.as_bytes().as_slice())
            .bind(record.certificate_der.as_slice())
            .bind(record.parent.as_ref().map(AuthorityId::as_str))
            .bind(key_home)
            .bind(key_id)
            .bind(record.state.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}

#[async_trait]
impl Change for SealedKey {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        // Sealing the same key again gives other octets: what must agree is the key and its room.
        const LOOK: &str = "SELECT room = $2 AND spki = $3 FROM sealed_keys WHERE id = $1";
        let same: Option<bool> = sqlx::query_scalar(LOOK)
            .bind(self.id.as_str())
            .bind(self.room.as_str())
            .bind(self.spki.as_slice())
            .fetch_optional(&mut *connection)
            .await?;
        match same {
            Some(true) => return Ok(()),
            Some(false) => {
                let detail = format!("key {} is on record as another key, or for another room", self.id);
                return Err(StoreError::Conflict { detail }.into());
            }
            None => {}
        }
        const SQL: &str =
            "INSERT INTO sealed_keys (id, room, key_type, spki, sealed, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(SQL)
            .bind(self.id.as_str())
            .bind(self.room.as_str())
            .bind(self.key_type.as_str())
            .bind(self.spki.as_slice())
            .bind(self.sealed.as_slice())
            .bind(self.created_at.unix_millis())
            .execute(connection)
            .await?;
        Ok(())
    }
}

async fn key(readers: &SqlitePool, id: &str) -> Result<Option<SealedKey>, Failure> {
    const SQL: &str = "SELECT id, room, key_type, spki, sealed, created_at FROM sealed_keys WHERE id = $1";
    let row: Option<KeyRow> = sqlx::query_as(SQL).bind(id).fetch_optional(readers).await?;
    Ok(row.map(SealedKey::try_from).transpose()?)
}

async fn keys(readers: &SqlitePool, room: KeyRoom) -> Result<Vec<SealedKey>, Failure> {
    const SQL: &str = "SELECT id, room, key_type, spki, sealed, created_at FROM sealed_keys
         WHERE room = $1 ORDER BY created_at, id";
    let rows: Vec<KeyRow> = sqlx::query_as(SQL).bind(room.as_str()).fetch_all(readers).await?;
    Ok(rows.into_iter().map(SealedKey::try_from).collect::<Result<_, _>>()?)
}

struct ResponderAddition {
    lease: Option<Lease>,
    record: ResponderRecord,
}

#[async_trait]
impl Change for ResponderAddition {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        if let Some(lease) = &self.lease {
            fence(lease, connection).await?;
        }
        const SQL: &str =
            "INSERT INTO responders (certificate_id, authority, certificate_der, key_id, not_before, not_after)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (certificate_id) DO NOTHING";
        let record = &self.record;
        sqlx::query(SQL)
            .bind(record.certificate.as_bytes().as_slice())
            .bind(record.authority.as_str())
            .bind(record.certificate_der.as_slice())
            .bind(record.key_id.as_str())
            .bind(record.validity.not_before.unix_millis())
            .bind(record.validity.not_after.unix_millis())
            .execute(connection)
            .await?;
        Ok(())
    }
}

async fn responders(readers: &SqlitePool) -> Result<Vec<ResponderRecord>, Failure> {
    const SQL: &str = concat!(
        "SELECT authority, certificate_id, certificate_der, key_id, not_before, not_after FROM responders
          WHERE not_after >= ",
        database_time!(),
        " ORDER BY not_before, certificate_id"
    );
    let rows: Vec<ResponderRow> = sqlx::query_as(SQL).fetch_all(readers).await?;
    Ok(rows.into_iter().map(ResponderRecord::try_from).collect::<Result<_, _>>()?)
}

async fn setting(readers: &SqlitePool, name: &str) -> Result<Option<Vec<u8>>, Failure> {
    let value =
        sqlx::query_scalar("SELECT value FROM settings WHERE name = $1").bind(name).fetch_optional(readers).await?;
    Ok(value)
}

#[async_trait]
impl Change for SettingChange {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        let query = match &self.expected {
            Some(expected) => sqlx::query("UPDATE settings SET value = $2 WHERE name = $1 AND value = $3")
                .bind(self.name.as_str())
                .bind(self.value.as_slice())
                .bind(expected.as_slice()),
            None => sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                .bind(self.name.as_str())
                .bind(self.value.as_slice()),
        };
        Ok(query.execute(connection).await?.rows_affected() == 1)
    }
}
