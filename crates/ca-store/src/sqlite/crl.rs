//! CRLs: intents that only rise, and the newest published list of each authority.
//!
//! The octets of an older list are replaced by the next; whoever must keep them archives what is published.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::store::{CrlIntent, CrlRecord, CrlStore, Journal, Lease, PublishedCrl, StoreError};
use sqlx::{SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::lease::fence;
use super::newest_crl::{highest_delta, newest};
use crate::row;
use crate::row::crl::{PublicationCircumstances, PublishedRow, check_above, check_rises};

#[async_trait]
impl CrlStore for SqliteStore {
    async fn newest_crl(&self, authority: &AuthorityId) -> Result<Option<CrlRecord>, StoreError> {
        Ok(newest(&self.readers, authority).await?)
    }

    async fn intend_crl(&self, lease: &Lease, intent: CrlIntent) -> Result<(), StoreError> {
        self.change(Intention { lease: lease.clone(), intent }).await
    }

    async fn publish_crl(
        &self,
        lease: &Lease,
        authority: &AuthorityId,
        number: u64,
        der: ListOctets,
        journal: Journal,
    ) -> Result<(), StoreError> {
        // SQLite takes a value whole.
        let der = der.to_vec().map_err(row::crl::not_kept)?;
        self.change(Publication { lease: lease.clone(), authority: authority.clone(), number, der, journal }).await
    }

    async fn published_crl(&self, authority: &AuthorityId) -> Result<Option<PublishedCrl>, StoreError> {
        let Some(row) = published(&self.readers, authority).await? else { return Ok(None) };
        let mut writer = self.spool().begin().map_err(row::crl::not_kept)?;
        let kept = writer.append(&row.der).and_then(|()| writer.finish()).and_then(ListOctets::spooled);
        let intent = CrlRecord::try_from(row.crl)?.intent;
        Ok(Some(PublishedCrl { intent, der: kept.map_err(row::crl::not_kept)? }))
    }

    async fn published_numbers(&self) -> Result<Vec<(AuthorityId, u64)>, StoreError> {
        Ok(published_numbers(&self.readers).await?)
    }
}

struct Intention {
    lease: Lease,
    intent: CrlIntent,
}

#[async_trait]
impl Change for Intention {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        fence(&self.lease, connection).await?;
        let intent = &self.intent;
        check_rises(intent, newest(&mut *connection, &intent.authority).await?.as_ref())?;
        check_above(intent, highest_delta(connection, &intent.authority).await?)?;
        const SQL: &str = "INSERT INTO crls (authority, number, this_update, next_update, entries, revocation_sequence,
                 to_be_signed_sha256, published) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)";
        sqlx::query(SQL)
            .bind(intent.authority.as_str())
            .bind(row::signed("the CRL number", intent.number)?)
            .bind(intent.this_update.unix_millis())
            .bind(intent.next_update.unix_millis())
            .bind(row::signed("the number of entries", intent.entries)?)
            .bind(row::signed("the revocation sequence", intent.revocation_sequence)?)
            .bind(intent.to_be_signed_sha256.as_slice())
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct Publication {
    lease: Lease,
    authority: AuthorityId,
    number: u64,
    der: Vec<u8>,
    journal: Journal,
}

impl Publication {
    /// Whether there is anything to do.
    async fn is_due(&self, number: i64, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM crls WHERE authority = $1 AND number = $2) AS intended,
                 p.number AS published, p.der = $3 AS same_octets
             FROM (SELECT 1) LEFT JOIN published_crls AS p ON p.authority = $1";
        let found: PublicationCircumstances = sqlx::query_as(SQL)
            .bind(self.authority.as_str())
            .bind(number)
            .bind(&self.der[..])
            .fetch_one(connection)
            .await?;
        Ok(found.is_due(&self.authority, number)?)
    }
}

#[async_trait]
impl Change for Publication {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        fence(&self.lease, connection).await?;
        let number = row::signed("the CRL number", self.number)?;
        if !self.is_due(number, connection).await? {
            return Ok(());
        }
        const SQL: &str = concat!(
            journal_sql!(),
            "UPDATE crls SET published = 1 WHERE authority = $7 AND number = $8;
             INSERT INTO published_crls (authority, number, der) VALUES ($7, $8, $9)
                 ON CONFLICT (authority) DO UPDATE SET number = excluded.number, der = excluded.der;"
        );
        journal::bind(SQL, &self.journal)
            .bind(self.authority.as_str())
            .bind(number)
            .bind(&self.der[..])
            .execute(connection)
            .await?;
        Ok(())
    }
}

async fn published(readers: &SqlitePool, authority: &AuthorityId) -> Result<Option<PublishedRow>, Failure> {
    const SQL: &str = "SELECT c.authority, c.number, c.this_update, c.next_update, c.entries, c.revocation_sequence,
             c.to_be_signed_sha256, c.published, p.der
         FROM published_crls AS p JOIN crls AS c ON c.authority = p.authority AND c.number = p.number
         WHERE p.authority = $1";
    Ok(sqlx::query_as(SQL).bind(authority.as_str()).fetch_optional(readers).await?)
}

async fn published_numbers(readers: &SqlitePool) -> Result<Vec<(AuthorityId, u64)>, Failure> {
    // A row for each authority; the octets lie on pages of their own that this does not read.
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT authority, number FROM published_crls ORDER BY authority").fetch_all(readers).await?;
    Ok(row::crl::published_numbers(rows)?)
}
