//! The newest list on record of each kind: what the next one must come after.

use ca_core::crl::PartialScope;
use ca_core::id::AuthorityId;
use ca_engine::port::store::PartialRecord;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;

use super::error::Failure;
use super::transaction::Transaction;
use crate::row::crl::{CrlRow, PartialRow};

/// SQL that makes changes of CRLs take turns, whatever lease they are made under: what is newest stays so until the commit.
pub(super) const TURN: &str = "; SELECT pg_advisory_xact_lock(1128350529, 3)";

/// The complete list.
pub(super) fn newest(authority: &AuthorityId) -> QueryAs<'_, Postgres, CrlRow, PgArguments> {
    const SQL: &str = "SELECT authority, number, this_update, next_update, entries, revocation_sequence,
             to_be_signed_sha256, published
         FROM crls WHERE authority = $1 ORDER BY number DESC LIMIT 1";
    sqlx::query_as(SQL).bind(authority.as_str())
}

/// A scope as its column holds it.
pub(super) fn column(scope: PartialScope) -> i32 {
    // No shard has a number that does not fit.
    i32::try_from(scope.to_column()).unwrap_or(i32::MAX)
}

/// The list of a scope.
pub(super) fn newest_partial(
    authority: &AuthorityId,
    scope: PartialScope,
) -> QueryAs<'_, Postgres, PartialRow, PgArguments> {
    const SQL: &str =
        "SELECT authority, scope::bigint AS scope, number, base_number, this_update, next_update, entries,
             revocation_sequence, to_be_signed_sha256,
             (SELECT TRUE FROM published_partial_crls AS p
                 WHERE p.authority = c.authority AND p.scope = c.scope AND p.number = c.number) IS NOT NULL AS published
         FROM partial_crls AS c WHERE authority = $1 AND c.scope = $2 ORDER BY number DESC LIMIT 1";
    sqlx::query_as(SQL).bind(authority.as_str()).bind(column(scope))
}

/// The highest number of an authority's deltas; 0 when there is none.
pub(super) async fn highest_delta(authority: &AuthorityId, transaction: &mut Transaction) -> Result<u64, Failure> {
    let newest = transaction
        .row(newest_partial(authority, PartialScope::Delta))
        .await?
        .map(PartialRecord::try_from)
        .transpose()?;
    Ok(newest.map_or(0, |delta| delta.intent.crl.number))
}
