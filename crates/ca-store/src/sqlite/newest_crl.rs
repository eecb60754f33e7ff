//! The newest list on record of each kind: what the next one must come after.

use ca_core::crl::PartialScope;
use ca_core::id::AuthorityId;
use ca_engine::port::store::{CrlRecord, PartialRecord};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::error::Failure;
use crate::row::crl::{CrlRow, PartialRow};

/// The complete list.
pub(super) async fn newest(
    executor: impl SqliteExecutor<'_>,
    authority: &AuthorityId,
) -> Result<Option<CrlRecord>, Failure> {
    const SQL: &str = "SELECT authority, number, this_update, next_update, entries, revocation_sequence,
             to_be_signed_sha256, published
         FROM crls WHERE authority = $1 ORDER BY number DESC LIMIT 1";
    let row: Option<CrlRow> = sqlx::query_as(SQL).bind(authority.as_str()).fetch_optional(executor).await?;
    Ok(row.map(CrlRecord::try_from).transpose()?)
}

/// The list of a scope.
pub(super) async fn newest_partial(
    executor: impl SqliteExecutor<'_>,
    authority: &AuthorityId,
    scope: PartialScope,
) -> Result<Option<PartialRecord>, Failure> {
    const SQL: &str = "SELECT authority, scope, number, base_number, this_update, next_update, entries,
             revocation_sequence, to_be_signed_sha256,
             EXISTS (SELECT 1 FROM published_partial_crls AS p
                 WHERE p.authority = c.authority AND p.scope = c.scope AND p.number = c.number) AS published
         FROM partial_crls AS c WHERE authority = $1 AND scope = $2 ORDER BY number DESC LIMIT 1";
    let row: Option<PartialRow> =
        sqlx::query_as(SQL).bind(authority.as_str()).bind(scope.to_column()).fetch_optional(executor).await?;
    Ok(row.map(PartialRecord::try_from).transpose()?)
}

/// The highest number of an authority's deltas; 0 when there is none.
pub(super) async fn highest_delta(connection: &mut SqliteConnection, authority: &AuthorityId) -> Result<u64, Failure> {
    let newest = newest_partial(connection, authority, PartialScope::Delta).await?;
    Ok(newest.map_or(0, |delta| delta.intent.crl.number))
}
