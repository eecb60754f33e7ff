//! The octets of published lists, on their way to the database and back: in pieces, so that none is held as a whole.

use std::future::Future;

use ca_engine::port::list_octets::{ListOctets, PIECE};
use ca_engine::port::spool::Spool;
use ca_engine::port::store::StoreError;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use super::error::Failure;
use super::transaction::Transaction;
use crate::row;

/// How often a list is begun anew because the next one took its place while it was read.
pub(super) const REPLACEMENTS: usize = 5;

/// Puts a list into its row. `at_once` is given the octets; `joined` takes those of the table `pg_temp.crl_pieces`, in the order of
/// `place`, where a list is large: as one parameter it would lie in memory here three times.
pub(super) async fn put<'q>(
    list: &ListOctets,
    transaction: &mut Transaction,
    at_once: impl FnOnce(Vec<u8>) -> Query<'q, Postgres, PgArguments> + Send,
    joined: Query<'q, Postgres, PgArguments>,
) -> Result<(), Failure> {
    if list.count() <= PIECE as u64 {
        let octets = list.to_vec().map_err(row::crl::not_kept)?;
        return transaction.execute(at_once(octets)).await.map(|_| ());
    }
    // The pieces wait in a table that is this transaction's alone, and goes with it.
    const TABLE: &str =
        "CREATE TEMPORARY TABLE crl_pieces (place BIGINT NOT NULL, octets BYTEA NOT NULL) ON COMMIT DROP";
    const PUT: &str = "INSERT INTO pg_temp.crl_pieces (place, octets) VALUES ($1, $2)";
    transaction.execute(sqlx::query(TABLE)).await?;
    for (place, piece) in (0_i64..).zip(list.pieces()) {
        let piece = piece.map_err(row::crl::not_kept)?;
        transaction.execute(sqlx::query(PUT).bind(place).bind(piece)).await?;
    }
    transaction.execute(joined).await.map(|_| ())
}

/// A list of so many octets, put aside. `read` gives its row with the octets from a place on (the first is 1), so many of them; `None`
/// when there is no such row any more: the list was replaced meanwhile.
pub(super) async fn collect<F>(
    octets: u64,
    spool: &dyn Spool,
    read: impl Fn(i32, i32) -> F + Send + Sync,
) -> Result<Option<ListOctets>, StoreError>
where
    F: Future<Output = Result<Vec<(Vec<u8>,)>, Failure>> + Send,
{
    let mut writer = spool.begin().map_err(row::crl::not_kept)?;
    let mut read_so_far = 0;
    while read_so_far < octets {
        let from = i32::try_from(read_so_far + 1)
            .map_err(|_| row::inconsistent("a published CRL", "it has more than 2 GiB"))?;
        let length = (octets - read_so_far).min(PIECE as u64);
        let rows = read(from, i32::try_from(length).unwrap_or(i32::MAX)).await?;
        let Some((found,)) = rows.into_iter().next() else { return Ok(None) };
        if found.len() as u64 != length {
            return Err(row::inconsistent("a published CRL", "it has another length than its row says"));
        }
        writer.append(&found).map_err(row::crl::not_kept)?;
        read_so_far += length;
    }
    let kept = writer.finish().and_then(ListOctets::spooled);
    Ok(Some(kept.map_err(row::crl::not_kept)?))
}
