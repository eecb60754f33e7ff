//! CRLs: intents that only rise, and the newest published list of each authority.
//!
//! The octets of an older list are replaced by the next; whoever must keep them archives what is published.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_core::time::Timestamp;
use ca_engine::port::store::{CrlIntent, CrlRecord, CrlStore, Journal, Lease, PublishedCrl, StoreError};
use sqlx::{FromRow, SqliteConnection, SqliteExecutor, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::lease::fence;
use super::row;

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
        der: Vec<u8>,
        journal: Journal,
    ) -> Result<(), StoreError> {
        self.change(Publication { lease: lease.clone(), authority: authority.clone(), number, der, journal }).await
    }

    async fn published_crl(&self, authority: &AuthorityId) -> Result<Option<PublishedCrl>, StoreError> {
        Ok(published(&self.readers, authority).await?)
    }

    async fn published_numbers(&self) -> Result<Vec<(AuthorityId, u64)>, StoreError> {
        Ok(published_numbers(&self.readers).await?)
    }
}

#[derive(FromRow)]
struct CrlRow {
    authority: String,
    number: i64,
    this_update: i64,
    next_update: i64,
    entries: i64,
    revocation_sequence: i64,
    to_be_signed_sha256: Vec<u8>,
    published: bool,
}

impl TryFrom<CrlRow> for CrlRecord {
    type Error = StoreError;

    fn try_from(row: CrlRow) -> Result<Self, StoreError> {
        let place = format!("crls {} {}", row.authority, row.number);
        let intent = CrlIntent {
            authority: row::authority(&place, &row.authority)?,
            number: row::unsigned(&place, row.number)?,
            this_update: Timestamp::from_unix_millis(row.this_update),
            next_update: Timestamp::from_unix_millis(row.next_update),
            entries: row::unsigned(&place, row.entries)?,
            revocation_sequence: row::unsigned(&place, row.revocation_sequence)?,
            to_be_signed_sha256: row::octets(&place, row.to_be_signed_sha256)?,
        };
        Ok(Self { intent, published: row.published })
    }
}

async fn newest(executor: impl SqliteExecutor<'_>, authority: &AuthorityId) -> Result<Option<CrlRecord>, Failure> {
    const SQL: &str = "SELECT authority, number, this_update, next_update, entries, revocation_sequence,
             to_be_signed_sha256, published
         FROM crls WHERE authority = $1 ORDER BY number DESC LIMIT 1";
    let row: Option<CrlRow> = sqlx::query_as(SQL).bind(authority.as_str()).fetch_optional(executor).await?;
    Ok(row.map(CrlRecord::try_from).transpose()?)
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
        // The newest has the latest time as well: none below it was ever let in with a later one.
        if let Some(newest) = newest(&mut *connection, &intent.authority).await? {
            let newest = newest.intent;
            if intent.number <= newest.number || intent.this_update < newest.this_update {
                let detail = format!(
                    "CRL {} of {} dated {} does not come after CRL {} dated {}",
                    intent.number, intent.authority, intent.this_update, newest.number, newest.this_update
                );
                return Err(StoreError::Conflict { detail }.into());
            }
        }
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

/// What stands in the way of a publication, or makes it needless.
#[derive(FromRow)]
struct PublicationCircumstances {
    intended: bool,
    published: Option<i64>,
    same_octets: Option<bool>,
}

impl Publication {
    /// Whether there is anything to do: the intent must be there and no higher number published. The same list once more is
    /// harmless: the acknowledgement of the first time was lost.
    async fn is_due(&self, number: i64, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM crls WHERE authority = $1 AND number = $2) AS intended,
                 p.number AS published, p.der = $3 AS same_octets
             FROM (SELECT 1) LEFT JOIN published_crls AS p ON p.authority = $1";
        let found: PublicationCircumstances = sqlx::query_as(SQL)
            .bind(self.authority.as_str())
            .bind(number)
            .bind(self.der.as_slice())
            .fetch_one(connection)
            .await?;
        let conflict = |detail| Err(StoreError::Conflict { detail }.into());
        if !found.intended {
            return conflict(format!("CRL {number} of {} was never intended", self.authority));
        }
        match found.published {
            Some(published) if published > number => {
                conflict(format!("CRL {published} of {} is published already, {number} comes too late", self.authority))
            }
            Some(published) if published == number && found.same_octets == Some(true) => Ok(false),
            Some(published) if published == number => {
                conflict(format!("CRL {number} of {} is published already, with other octets", self.authority))
            }
            _ => Ok(true),
        }
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
            .bind(self.der.as_slice())
            .execute(connection)
            .await?;
        Ok(())
    }
}

async fn published(readers: &SqlitePool, authority: &AuthorityId) -> Result<Option<PublishedCrl>, Failure> {
    const SQL: &str = "SELECT c.authority, c.number, c.this_update, c.next_update, c.entries, c.revocation_sequence,
             c.to_be_signed_sha256, c.published, p.der
         FROM published_crls AS p JOIN crls AS c ON c.authority = p.authority AND c.number = p.number
         WHERE p.authority = $1";

    #[derive(FromRow)]
    struct PublishedRow {
        #[sqlx(flatten)]
        crl: CrlRow,
        der: Vec<u8>,
    }

    let row: Option<PublishedRow> = sqlx::query_as(SQL).bind(authority.as_str()).fetch_optional(readers).await?;
    let Some(PublishedRow { crl, der }) = row else { return Ok(None) };
    Ok(Some(PublishedCrl { intent: CrlRecord::try_from(crl)?.intent, der }))
}

async fn published_numbers(readers: &SqlitePool) -> Result<Vec<(AuthorityId, u64)>, Failure> {
    // A row for each authority; the octets lie on pages of their own that this does not read.
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT authority, number FROM published_crls ORDER BY authority").fetch_all(readers).await?;
    let numbers = rows.into_iter().map(|(authority, number)| {
        let place = "published_crls";
        Ok((row::authority(place, &authority)?, row::unsigned(place, number)?))
    });
    Ok(numbers.collect::<Result<_, StoreError>>()?)
}
