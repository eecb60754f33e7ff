//! CRLs: intents that only rise, and the newest published list of each authority.
//!
//! The octets of an older list are replaced by the next; whoever must keep them archives what is published.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::spool::Spool;
use ca_engine::port::store::{CrlIntent, CrlRecord, CrlStore, Journal, Lease, PublishedCrl, StoreError};
use sqlx::{SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::lease::fence;
use super::list_octets::{Place, is_same, put, read};
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
        self.change(Publication { lease: lease.clone(), authority: authority.clone(), number, der, journal }).await
    }

    async fn published_crl(&self, authority: &AuthorityId) -> Result<Option<PublishedCrl>, StoreError> {
        Ok(published(&self.readers, self.spool(), authority).await?)
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
    der: ListOctets,
    journal: Journal,
}

impl Publication {
    /// Whether there is anything to do.
    async fn is_due(&self, number: i64, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM crls WHERE authority = $1 AND number = $2) AS intended,
                 p.number AS published, CASE WHEN p.number = $2 THEN p.der END AS in_row
             FROM (SELECT 1) LEFT JOIN published_crls AS p ON p.authority = $1";
        let query = sqlx::query_as(SQL).bind(self.authority.as_str()).bind(number);
        let (intended, published, in_row) = query.fetch_one(&mut *connection).await?;
        let in_row: Option<Vec<u8>> = in_row;
        let same_octets = match in_row {
            Some(in_row) => Some(is_same(Place::complete(&self.authority), &in_row, &self.der, connection).await?),
            None => None,
        };
        Ok(PublicationCircumstances { intended, published, same_octets }.is_due(&self.authority, number)?)
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
        let in_row = put(Place::complete(&self.authority), &self.der, connection).await?;
        const SQL: &str = concat!(
            journal_sql!(),
            "UPDATE crls SET published = 1 WHERE authority = $7 AND number = $8;
             INSERT INTO published_crls (authority, number, der) VALUES ($7, $8, $9)
                 ON CONFLICT (authority) DO UPDATE SET number = excluded.number, der = excluded.der;"
        );
        journal::bind(SQL, &self.journal)
            .bind(self.authority.as_str())
            .bind(number)
            .bind(in_row)
            .execute(connection)
            .await?;
        Ok(())
    }
}

async fn published(
    readers: &SqlitePool,
    spool: &dyn Spool,
    authority: &AuthorityId,
) -> Result<Option<PublishedCrl>, Failure> {
    const SQL: &str = "SELECT c.authority, c.number, c.this_update, c.next_update, c.entries, c.revocation_sequence,
             c.to_be_signed_sha256, c.published, p.der
         FROM published_crls AS p JOIN crls AS c ON c.authority = p.authority AND c.number = p.number
         WHERE p.authority = $1";
    // One state of the record for the row and the pieces.
    let mut transaction = readers.begin().await?;
    let row: Option<PublishedRow> =
        sqlx::query_as(SQL).bind(authority.as_str()).fetch_optional(&mut *transaction).await?;
    let Some(row) = row else { return Ok(None) };
    let der = read(Place::complete(authority), &row.der, spool, &mut transaction).await?;
    Ok(Some(PublishedCrl { intent: CrlRecord::try_from(row.crl)?.intent, der }))
}

async fn published_numbers(readers: &SqlitePool) -> Result<Vec<(AuthorityId, u64)>, Failure> {
    // A row for each authority; the octets lie on pages of their own that this does not read.
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT authority, number FROM published_crls ORDER BY authority").fetch_all(readers).await?;
    Ok(row::crl::published_numbers(rows)?)
}
