//! Shards and deltas: intents that only rise, and the newest published list of each scope.

use async_trait::async_trait;
use ca_core::crl::PartialScope;
use ca_core::id::AuthorityId;
use ca_core::time::Timestamp;
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::spool::Spool;
use ca_engine::port::store::{
    CrlIntent, CrlRecord, Journal, Lease, PartialCrlStore, PartialIntent, PartialRecord, PublishedPartial, StoreError,
};
use sqlx::{FromRow, SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::lease::fence;
use super::list_octets::{Place, is_same, put, read};
use super::newest_crl::{newest, newest_partial};
use crate::row;
use crate::row::crl::{CrlRow, PartialRow, PublicationCircumstances, check_partial_rises};

#[async_trait]
impl PartialCrlStore for SqliteStore {
    async fn newest_partial_crl(
        &self,
        authority: &AuthorityId,
        scope: PartialScope,
    ) -> Result<Option<PartialRecord>, StoreError> {
        Ok(newest_partial(&self.readers, authority, scope).await?)
    }

    async fn intend_partial_crl(&self, lease: &Lease, intent: PartialIntent) -> Result<(), StoreError> {
        self.change(Intention { lease: lease.clone(), intent }).await
    }

    async fn publish_partial_crl(
        &self,
        lease: &Lease,
        authority: &AuthorityId,
        scope: PartialScope,
        number: u64,
        der: ListOctets,
        journal: Journal,
    ) -> Result<(), StoreError> {
        self.change(Publication { lease: lease.clone(), authority: authority.clone(), scope, number, der, journal })
            .await
    }

    async fn published_partial_crl(
        &self,
        authority: &AuthorityId,
        scope: PartialScope,
    ) -> Result<Option<PublishedPartial>, StoreError> {
        Ok(published(&self.readers, self.spool(), authority, scope).await?)
    }

    async fn published_partial_numbers(&self) -> Result<Vec<(AuthorityId, PartialScope, u64)>, StoreError> {
        Ok(published_numbers(&self.readers).await?)
    }

    async fn lasting_crl(
        &self,
        authority: &AuthorityId,
        number: u64,
        at: Timestamp,
    ) -> Result<Option<CrlIntent>, StoreError> {
        Ok(lasting(&self.readers, authority, number, at).await?)
    }
}

struct Intention {
    lease: Lease,
    intent: PartialIntent,
}

#[async_trait]
impl Change for Intention {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        fence(&self.lease, connection).await?;
        let PartialIntent { scope, base_number, crl } = &self.intent;
        let before = newest_partial(&mut *connection, &crl.authority, *scope).await?;
        let complete = newest(&mut *connection, &crl.authority).await?;
        check_partial_rises(&self.intent, before.as_ref(), complete.as_ref())?;
        const SQL: &str =
            "INSERT INTO partial_crls (authority, scope, number, base_number, this_update, next_update, entries,
                 revocation_sequence, to_be_signed_sha256) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        sqlx::query(SQL)
            .bind(crl.authority.as_str())
            .bind(scope.to_column())
            .bind(row::signed("the CRL number", crl.number)?)
            .bind(base_number.map(|number| row::signed("the base number", number)).transpose()?)
            .bind(crl.this_update.unix_millis())
            .bind(crl.next_update.unix_millis())
            .bind(row::signed("the number of entries", crl.entries)?)
            .bind(row::signed("the revocation sequence", crl.revocation_sequence)?)
            .bind(crl.to_be_signed_sha256.as_slice())
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct Publication {
    lease: Lease,
    authority: AuthorityId,
    scope: PartialScope,
    number: u64,
    der: ListOctets,
    journal: Journal,
}

impl Publication {
    fn place(&self) -> Place<'_> {
        Place::partial(&self.authority, self.scope)
    }

    /// Whether there is anything to do.
    async fn is_due(&self, number: i64, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const SQL: &str = "SELECT
                 EXISTS (SELECT 1 FROM partial_crls WHERE authority = $1 AND scope = $2 AND number = $3) AS intended,
                 p.number AS published, CASE WHEN p.number = $3 THEN p.der END AS in_row
             FROM (SELECT 1) LEFT JOIN published_partial_crls AS p ON p.authority = $1 AND p.scope = $2";
        let query = sqlx::query_as(SQL).bind(self.authority.as_str()).bind(self.scope.to_column()).bind(number);
        let (intended, published, in_row) = query.fetch_one(&mut *connection).await?;
        let in_row: Option<Vec<u8>> = in_row;
        let same_octets = match in_row {
            Some(in_row) => Some(is_same(self.place(), &in_row, &self.der, connection).await?),
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
        let in_row = put(self.place(), &self.der, connection).await?;
        const SQL: &str = concat!(
            journal_sql!(),
            "INSERT INTO published_partial_crls (authority, scope, number, der) VALUES ($7, $8, $9, $10)
                 ON CONFLICT (authority, scope) DO UPDATE SET number = excluded.number, der = excluded.der;"
        );
        journal::bind(SQL, &self.journal)
            .bind(self.authority.as_str())
            .bind(self.scope.to_column())
            .bind(number)
            .bind(in_row)
            .execute(connection)
            .await?;
        Ok(())
    }
}

#[derive(FromRow)]
struct PublishedPartialRow {
    #[sqlx(flatten)]
    intent: PartialRow,
    der: Vec<u8>,
}

async fn published(
    readers: &SqlitePool,
    spool: &dyn Spool,
    authority: &AuthorityId,
    scope: PartialScope,
) -> Result<Option<PublishedPartial>, Failure> {
    const SQL: &str = "SELECT c.authority, c.scope, c.number, c.base_number, c.this_update, c.next_update, c.entries,
             c.revocation_sequence, c.to_be_signed_sha256, 1 AS published, p.der
         FROM published_partial_crls AS p
             JOIN partial_crls AS c ON c.authority = p.authority AND c.scope = p.scope AND c.number = p.number
         WHERE p.authority = $1 AND p.scope = $2";
    // One state of the record for the row and the pieces.
    let mut transaction = readers.begin().await?;
    let query = sqlx::query_as(SQL).bind(authority.as_str()).bind(scope.to_column());
    let row: Option<PublishedPartialRow> = query.fetch_optional(&mut *transaction).await?;
    let Some(PublishedPartialRow { intent, der }) = row else { return Ok(None) };
    let der = read(Place::partial(authority, scope), &der, spool, &mut transaction).await?;
    Ok(Some(PublishedPartial { intent: PartialRecord::try_from(intent)?.intent, der }))
}

async fn published_numbers(readers: &SqlitePool) -> Result<Vec<(AuthorityId, PartialScope, u64)>, Failure> {
    // A row for each scope; the octets lie on pages of their own that this does not read.
    const SQL: &str = "SELECT authority, scope, number FROM published_partial_crls ORDER BY authority, scope";
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(SQL).fetch_all(readers).await?;
    Ok(row::crl::published_partial_numbers(rows)?)
}

async fn lasting(
    readers: &SqlitePool,
    authority: &AuthorityId,
    number: u64,
    at: Timestamp,
) -> Result<Option<CrlIntent>, Failure> {
    const SQL: &str = "SELECT authority, number, this_update, next_update, entries, revocation_sequence,
             to_be_signed_sha256, published
         FROM crls WHERE authority = $1 AND number >= $2 AND published = 1 AND next_update > $3
         ORDER BY number LIMIT 1";
    let row: Option<CrlRow> = sqlx::query_as(SQL)
        .bind(authority.as_str())
        // No number is above the largest that can be stored.
        .bind(i64::try_from(number).unwrap_or(i64::MAX))
        .bind(at.unix_millis())
        .fetch_optional(readers)
        .await?;
    let record = row.map(CrlRecord::try_from).transpose()?;
    Ok(record.map(|record| record.intent))
}
