//! CRLs: intents that only rise, and the newest published list of each authority.
//!
//! The octets of an older list are replaced by the next; whoever must keep them archives what is published.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::store::{CrlIntent, CrlRecord, CrlStore, Journal, Lease, PublishedCrl, StoreError};
use sqlx::FromRow;

use super::error::Failure;
use super::lease::fence;
use super::list_octets::{self, REPLACEMENTS};
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
        let read = |from, count| {
            let query = move || sqlx::query_as(SQL).bind(authority.as_str()).bind(number).bind(from).bind(count);
            async move { read(&self.reads, query).await }
        };
        list_octets::collect(octets, self.spool(), read).await
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
    async fn put(&self, number: i64, transaction: &mut Transaction) -> Result<(), Failure> {
        const PUT: &str = "INSERT INTO published_crls (authority, number, der) VALUES ($1, $2, $3)
                 ON CONFLICT (authority) DO UPDATE SET number = excluded.number, der = excluded.der";
        const JOIN: &str = "INSERT INTO published_crls (authority, number, der)
                 SELECT $1, $2, string_agg(octets, ''::bytea ORDER BY place) FROM pg_temp.crl_pieces
                 ON CONFLICT (authority) DO UPDATE SET number = excluded.number, der = excluded.der";
        let of_list = |sql: &'static str| sqlx::query(sql).bind(self.authority.as_str()).bind(number);
        list_octets::put(&self.der, transaction, |octets| of_list(PUT).bind(octets), of_list(JOIN)).await
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
        self.put(number, transaction).await?;
        journal::store(&[&self.journal], transaction).await
    }
}
