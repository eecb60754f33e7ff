//! Shards and deltas: intents that only rise, and the newest published list of each scope.

use async_trait::async_trait;
use ca_core::crl::PartialScope;
use ca_core::id::AuthorityId;
use ca_core::time::Timestamp;
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::store::{
    CrlIntent, CrlRecord, Journal, Lease, PartialCrlStore, PartialIntent, PartialRecord, PublishedPartial, StoreError,
};
use sqlx::FromRow;

use super::error::Failure;
use super::lease::fence;
use super::list_octets::{self, REPLACEMENTS};
use super::newest_crl::{TURN, column, newest, newest_partial};
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, journal};
use crate::row;
use crate::row::crl::{CrlRow, PartialRow, PublicationCircumstances, check_partial_rises};

#[async_trait]
impl PartialCrlStore for PostgresStore {
    async fn newest_partial_crl(
        &self,
        authority: &AuthorityId,
        scope: PartialScope,
    ) -> Result<Option<PartialRecord>, StoreError> {
        let rows = read(&self.reads, || newest_partial(authority, scope)).await?;
        rows.into_iter().next().map(PartialRecord::try_from).transpose()
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
        const SQL: &str = "SELECT c.authority, c.scope::bigint AS scope, c.number, c.base_number, c.this_update,
                 c.next_update, c.entries, c.revocation_sequence, c.to_be_signed_sha256, TRUE AS published,
                 octet_length(p.der)::bigint AS octets
             FROM published_partial_crls AS p
                 JOIN partial_crls AS c ON c.authority = p.authority AND c.scope = p.scope AND c.number = p.number
             WHERE p.authority = $1 AND p.scope = $2";
        for _ in 0..REPLACEMENTS {
            let query = || sqlx::query_as(SQL).bind(authority.as_str()).bind(column(scope));
            let rows: Vec<PublishedHead> = read(&self.reads, query).await?;
            let Some(head) = rows.into_iter().next() else { return Ok(None) };
            let octets = row::unsigned("the size of a CRL", head.octets)?;
            let intent = PartialRecord::try_from(head.intent)?.intent;
            if let Some(der) = self.partial_octets(authority, scope, intent.crl.number, octets).await? {
                return Ok(Some(PublishedPartial { intent, der }));
            }
        }
        Err(StoreError::Unavailable { detail: format!("the {scope} of {authority} was replaced whenever it was read") })
    }

    async fn published_partial_numbers(&self) -> Result<Vec<(AuthorityId, PartialScope, u64)>, StoreError> {
        // A row for each scope; the octets lie elsewhere, where this does not read.
        const SQL: &str = "SELECT authority, scope::bigint, number FROM published_partial_crls ORDER BY authority, published_partial_crls.scope";
        row::crl::published_partial_numbers(read(&self.reads, || sqlx::query_as(SQL)).await?)
    }

    async fn lasting_crl(
        &self,
        authority: &AuthorityId,
        number: u64,
        at: Timestamp,
    ) -> Result<Option<CrlIntent>, StoreError> {
        const SQL: &str = "SELECT authority, number, this_update, next_update, entries, revocation_sequence,
                 to_be_signed_sha256, published
             FROM crls WHERE authority = $1 AND number >= $2 AND published AND next_update > $3
             ORDER BY number LIMIT 1";
        // No number is above the largest that can be stored.
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let query = || sqlx::query_as(SQL).bind(authority.as_str()).bind(number).bind(at.unix_millis());
        let rows: Vec<CrlRow> = read(&self.reads, query).await?;
        let record = rows.into_iter().next().map(CrlRecord::try_from).transpose()?;
        Ok(record.map(|record| record.intent))
    }
}

/// A published list without its octets.
#[derive(FromRow)]
struct PublishedHead {
    #[sqlx(flatten)]
    intent: PartialRow,
    octets: i64,
}

impl PostgresStore {
    /// The octets of a published list; `None` when it is replaced meanwhile.
    async fn partial_octets(
        &self,
        authority: &AuthorityId,
        scope: PartialScope,
        number: u64,
        octets: u64,
    ) -> Result<Option<ListOctets>, StoreError> {
        const SQL: &str = "SELECT substring(p.der FROM $4 FOR $5) FROM published_partial_crls AS p
             WHERE p.authority = $1 AND p.scope = $2 AND p.number = $3";
        let number = row::signed("the CRL number", number)?;
        let read = |from, count| {
            let of_list = move || sqlx::query_as(SQL).bind(authority.as_str()).bind(column(scope)).bind(number);
            async move { read(&self.reads, || of_list().bind(from).bind(count)).await }
        };
        list_octets::collect(octets, self.spool(), read).await
    }
}

struct Intention {
    lease: Lease,
    intent: PartialIntent,
}

#[async_trait]
impl Change for Intention {
    type Answer = ();

    const LOCKS: &'static str = TURN;

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        fence(&self.lease, transaction).await?;
        let PartialIntent { scope, base_number, crl } = &self.intent;
        let before =
            transaction.row(newest_partial(&crl.authority, *scope)).await?.map(PartialRecord::try_from).transpose()?;
        let complete = transaction.row(newest(&crl.authority)).await?.map(CrlRecord::try_from).transpose()?;
        check_partial_rises(&self.intent, before.as_ref(), complete.as_ref())?;
        const SQL: &str =
            "INSERT INTO partial_crls (authority, scope, number, base_number, this_update, next_update, entries,
                 revocation_sequence, to_be_signed_sha256) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let query = sqlx::query(SQL)
            .bind(crl.authority.as_str())
            .bind(column(*scope))
            .bind(row::signed("the CRL number", crl.number)?)
            .bind(base_number.map(|number| row::signed("the base number", number)).transpose()?)
            .bind(crl.this_update.unix_millis())
            .bind(crl.next_update.unix_millis())
            .bind(row::signed("the number of entries", crl.entries)?)
            .bind(row::signed("the revocation sequence", crl.revocation_sequence)?)
            .bind(crl.to_be_signed_sha256.as_slice());
        transaction.execute(query).await.map(|_| ())
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
    async fn is_due(&self, number: i64, transaction: &mut Transaction) -> Result<bool, Failure> {
        const SQL: &str = "SELECT
                 EXISTS (SELECT FROM partial_crls WHERE authority = $1 AND scope = $2 AND number = $3) AS intended,
                 p.number AS published, CASE WHEN p.number = $3 THEN sha256(p.der) = $4 END AS same_octets
             FROM (SELECT 1) AS always
                 LEFT JOIN published_partial_crls AS p ON p.authority = $1 AND p.scope = $2";
        // The digest, not the octets: a list may be large, and is sent once.
        let digest = self.der.sha256();
        let query =
            sqlx::query_as(SQL).bind(self.authority.as_str()).bind(column(self.scope)).bind(number).bind(&digest[..]);
        let found: Option<PublicationCircumstances> = transaction.row(query).await?;
        let found = found.ok_or_else(|| row::inconsistent("published_partial_crls", "no row was returned"))?;
        Ok(found.is_due(&self.authority, number)?)
    }
}

impl Publication {
    async fn put(&self, number: i64, transaction: &mut Transaction) -> Result<(), Failure> {
        const PUT: &str = "INSERT INTO published_partial_crls (authority, scope, number, der) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (authority, scope) DO UPDATE SET number = excluded.number, der = excluded.der";
        const JOIN: &str = "INSERT INTO published_partial_crls (authority, scope, number, der)
                 SELECT $1, $2, $3, string_agg(octets, ''::bytea ORDER BY place) FROM pg_temp.crl_pieces
                 ON CONFLICT (authority, scope) DO UPDATE SET number = excluded.number, der = excluded.der";
        let of_list =
            |sql: &'static str| sqlx::query(sql).bind(self.authority.as_str()).bind(column(self.scope)).bind(number);
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
        self.put(number, transaction).await?;
        journal::store(&[&self.journal], transaction).await
    }
}
