//! Leases: rows judged by SQLite's clock, with a token that only rises.

use async_trait::async_trait;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::port::store::{Lease, LeaseStore, StoreError};
use sqlx::SqliteConnection;

use super::change::Change;
use super::error::Failure;
use super::{SqliteStore, database_time};
use crate::row;

#[async_trait]
impl LeaseStore for SqliteStore {
    async fn acquire_lease(&self, name: &str, holder: &str, lifetime: Lifetime) -> Result<Option<Lease>, StoreError> {
        self.change(Acquisition { name: name.to_owned(), holder: holder.to_owned(), lifetime }).await
    }

    async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.change(Release { lease: lease.clone() }).await
    }
}

/// Fails unless `lease` is the newest of its name. Whether it has expired does not matter as long as nobody took it.
pub(super) async fn fence(lease: &Lease, connection: &mut SqliteConnection) -> Result<(), Failure> {
    let newest: Option<i64> = sqlx::query_scalar("SELECT token FROM leases WHERE name = $1")
        .bind(lease.name.as_str())
        .fetch_optional(connection)
        .await?;
    match newest {
        Some(token) if u64::try_from(token) == Ok(lease.token) => Ok(()),
        _ => Err(StoreError::Fenced { lease: lease.name.clone() }.into()),
    }
}

struct Acquisition {
    name: String,
    holder: String,
    lifetime: Lifetime,
}

#[async_trait]
impl Change for Acquisition {
    type Answer = Option<Lease>;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Option<Lease>, Failure> {
        // Whoever lets a lease expire has lost it: even the same holder gets a new token then, which fences off what it began
        // before. Only one that is still running is prolonged under its token.
        const SQL: &str = concat!(
            "INSERT INTO leases AS l (name, holder, token, expires_at) VALUES ($1, $2, 1, ",
            database_time!(),
            " + $3) ON CONFLICT (name) DO UPDATE SET
                 token = l.token + (l.expires_at <= ",
            database_time!(),
            "), holder = excluded.holder, expires_at = excluded.expires_at
             WHERE l.expires_at <= ",
            database_time!(),
            " OR l.holder = excluded.holder RETURNING token, expires_at"
        );
        let seconds = self.lifetime.seconds().min(LONGEST.seconds());
        let row: Option<(i64, i64)> = sqlx::query_as(SQL)
            .bind(self.name.as_str())
            .bind(self.holder.as_str())
            .bind(row::signed("the lifetime of a lease", seconds * 1000)?)
            .fetch_optional(connection)
            .await?;
        let Some((token, expires_at)) = row else { return Ok(None) };
        Ok(Some(Lease {
            name: self.name.clone(),
            holder: self.holder.clone(),
            token: row::unsigned("leases.token", token)?,
            expires_at: Timestamp::from_unix_millis(expires_at),
        }))
    }
}

struct Release {
    lease: Lease,
}

#[async_trait]
impl Change for Release {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        sqlx::query("UPDATE leases SET expires_at = 0 WHERE name = $1 AND token = $2")
            .bind(self.lease.name.as_str())
            // A token that no column holds matches nothing.
            .bind(i64::try_from(self.lease.token).ok())
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Beyond this a lease would be a lock.
const LONGEST: Lifetime = Lifetime::from_days(36_500);
