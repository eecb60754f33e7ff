//! CRLs: intents that only rise, and the newest published list of each authority.
//!
//! The octets of an older list are replaced by the next; whoever must keep them archives what is published.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_engine::port::list_octets::{ListOctets, PIECE};
use ca_engine::port::store::{CrlIntent, CrlRecord, CrlStore, Journal, Lease, PublishedCrl, StoreError};
use sqlx::FromRow;

use super::error::Failure;
use super::lease::fence;
use super::newest_crl::{TURN, highest_delta, newest};
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, journal};
use crate::row;
use crate::row::crl::{CrlRow, PublicationCircumstances, check_above, check_rises};

#[async_trait]
impl CrlStore for PostgresStore {
    async fn newest_crl(&self, authority: &AuthorityId) -> Result<Option<CrlRecord>, StoreError> {
        let rows = read(&self.reads, || newest(authority)).await?;
        rows.into_iter().next().map(CrlRecord::try_from).transpose()
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
        const SQL: &str =
            "SELECT c.authority, c.number, c.this_update, c.next_update, c.entries, c.revocation_sequence,
                 c.to_be_signed_sha256, c.published, octet_length(p.der)::bigint AS octets
             FROM published_crls AS p JOIN crls AS c ON c.authority = p.authority AND c.number = p.number
             WHERE p.authority = $1";
        for _ in 0..REPLACEMENTS {
            let rows: Vec<PublishedHead> = read(&self.reads, || sqlx::query_as(SQL).bind(authority.as_str())).await?;
            let Some(head) = rows.into_iter().next() else { return Ok(None) };
            let octets = row::unsigned("the size of a CRL", head.octets)?;
            let intent = CrlRecord::try_from(head.crl)?.intent;
            if let Some(der) = self.published_octets(authority, intent.number, octets).await? {
                return Ok(Some(PublishedCrl { intent, der }));
            }
        }
        Err(StoreError::Unavailable { detail: format!("the CRL of {authority} was replaced whenever it was read") })
    }

    async fn published_numbers(&self) -> Result<Vec<(AuthorityId, u64)>, StoreError> {
        // A row for each authority; the octets lie elsewhere, where this does not read.
        const SQL: &str = "SELECT authority, number FROM published_crls ORDER BY authority";
        row::crl::published_numbers(read(&self.reads, || sqlx::query_as(SQL)).await?)
    }
}

/// A published list without its octets.
#[derive(FromRow)]
struct PublishedHead {
    #[sqlx(flatten)]
    crl: CrlRow,
    octets: i64,
}

/// How often a list is begun anew because the next one took its place while it was read.
const REPLACEMENTS: usize = 5;

impl PostgresStore {
    /// The octets of a published list; `None` when it is replaced meanwhile.
    async fn published_octets(
        &self,
        authority: &AuthorityId,
        number: u64,
        octets: u64,
    ) -> Result<Option<ListOctets>, StoreError> {
        const SQL: &str =
            "SELECT substring(der FROM $3 FOR $4) FROM published_crls WHERE authority = $1 AND number = $2";
        let number = row::signed("the CRL number", number)?;
        let mut writer = self.spool().begin().map_err(row::crl::not_kept)?;
        let mut read_so_far = 0;
        while read_so_far < octets {
            let from = i32::try_from(read_so_far + 1)
                .map_err(|_| row::inconsistent("published_crls", "a list above 2 GiB"))?;
            let length = (octets - read_so_far).min(PIECE as u64);
            let count = i32::try_from(length).unwrap_or(i32::MAX);
            let query = || sqlx::query_as(SQL).bind(authority.as_str()).bind(number).bind(from).bind(count);
            let rows: Vec<(Vec<u8>,)> = read(&self.reads, query).await?;
            let Some((found,)) = rows.into_iter().next() else { return Ok(None) };
            if found.len() as u64 != length {
                return Err(row::inconsistent("published_crls", "a list has another length than it says"));
            }
            writer.append(&found).map_err(row::crl::not_kept)?;
            read_so_far += length;
        }
        let kept = writer.finish().and_then(ListOctets::spooled);
        Ok(Some(kept.map_err(row::crl::not_kept)?))
    }
}

struct Intention {
    lease: Lease,
    intent: CrlIntent,
}

#[async_trait]
impl Change for Intention {
    type Answer = ();

    const LOCKS: &'static str = TURN;

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        fence(&self.lease, transaction).await?;
        let intent = &self.intent;
        let newest = transaction.row(newest(&intent.authority)).await?.map(CrlRecord::try_from).transpose()?;
        check_rises(intent, newest.as_ref())?;
        check_above(intent, highest_delta(&intent.authority, transaction).await?)?;
        const SQL: &str = "INSERT INTO crls (authority, number, this_update, next_update, entries, revocation_sequence,
                 to_be_signed_sha256, published) VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE)";
        let query = sqlx::query(SQL)
            .bind(intent.authority.as_str())
            .bind(row::signed("the CRL number", intent.number)?)
            .bind(intent.this_update.unix_millis())
            .bind(intent.next_update.unix_millis())
            .bind(row::signed("the number of entries", intent.entries)?)
            .bind(row::signed("the revocation sequence", intent.revocation_sequence)?)
            .bind(intent.to_be_signed_sha256.as_slice());
        transaction.execute(query).await.map(|_| ())
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
    async fn is_due(&self, number: i64, transaction: &mut Transaction) -> Result<bool, Failure> {
        const SQL: &str = "SELECT EXISTS (SELECT FROM crls WHERE authority = $1 AND number = $2) AS intended,
                 p.number AS published, CASE WHEN p.number = $2 THEN sha256(p.der) = $3 END AS same_octets
             FROM (SELECT 1) AS always LEFT JOIN published_crls AS p ON p.authority = $1";
        // The digest, not the octets: a list may be large, and is sent once.
        let digest = self.der.sha256();
        let query = sqlx::query_as(SQL).bind(self.authority.as_str()).bind(number).bind(&digest[..]);
        let found: Option<PublicationCircumstances> = transaction.row(query).await?;
        let found = found.ok_or_else(|| row::inconsistent("published_crls", "no row was returned"))?;
        Ok(found.is_due(&self.authority, number)?)
    }
}

impl Publication {
    async fn put_at_once(&self, number: i64, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str = "INSERT INTO published_crls (authority, number, der) VALUES ($1, $2, $3)
                 ON CONFLICT (authority) DO UPDATE SET number = excluded.number, der = excluded.der";
        let der = self.der.to_vec().map_err(row::crl::not_kept)?;
        transaction.execute(sqlx::query(SQL).bind(self.authority.as_str()).bind(number).bind(der)).await?;
        Ok(())
    }

    /// A large list is joined by the server: as one parameter it would lie in memory here three times. Its pieces wait in a table
    /// that is this transaction's alone, and goes with it.
    async fn put_in_pieces(&self, number: i64, transaction: &mut Transaction) -> Result<(), Failure> {
        const TABLE: &str =
            "CREATE TEMPORARY TABLE crl_pieces (place BIGINT NOT NULL, octets BYTEA NOT NULL) ON COMMIT DROP";
        const PUT: &str = "INSERT INTO pg_temp.crl_pieces (place, octets) VALUES ($1, $2)";
        const JOIN: &str = "INSERT INTO published_crls (authority, number, der)
                 SELECT $1, $2, string_agg(octets, ''::bytea ORDER BY place) FROM pg_temp.crl_pieces
                 ON CONFLICT (authority) DO UPDATE SET number = excluded.number, der = excluded.der";
        transaction.execute(sqlx::query(TABLE)).await?;
        for (place, piece) in (0_i64..).zip(self.der.pieces()) {
            let piece = piece.map_err(row::crl::not_kept)?;
            transaction.execute(sqlx::query(PUT).bind(place).bind(piece)).await?;
        }
        transaction.execute(sqlx::query(JOIN).bind(self.authority.as_str()).bind(number)).await?;
        Ok(())
    }
}

#[async_trait]
impl Change for Publication {
    type Answer = ();

    const LOCKS: &'static str = TURN;

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        fence(&self.lease, transaction).await?;
        let number = row::signed("the CRL number", self.number)?;
        if !self.is_due(number, transaction).await? {
            return Ok(());
        }
        let mark = sqlx::query("UPDATE crls SET published = TRUE WHERE authority = $1 AND number = $2")
            .bind(self.authority.as_str())
            .bind(number);
        transaction.execute(mark).await?;
        if self.der.count() <= PIECE as u64 {
            self.put_at_once(number, transaction).await?;
        } else {
            self.put_in_pieces(number, transaction).await?;
        }
        journal::store(&[&self.journal], transaction).await
    }
}
