//! The octets of published lists: a short list in the row of its number, a longer one in pieces beside it, so that none is held as a
//! whole.

use ca_core::crl::PartialScope;
use ca_core::id::AuthorityId;
use ca_engine::port::list_octets::{ListOctets, PIECE};
use ca_engine::port::spool::Spool;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::error::Failure;
use crate::row;

/// Whose list, and which of its lists.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    authority: &'a AuthorityId,
    scope: i64,
}

impl<'a> Place<'a> {
    /// The complete list.
    pub(super) fn complete(authority: &'a AuthorityId) -> Self {
        Self { authority, scope: -1 }
    }

    /// The list of a scope.
    pub(super) fn partial(authority: &'a AuthorityId, scope: PartialScope) -> Self {
        Self { authority, scope: scope.to_column().into() }
    }
}

/// Puts the pieces of a list in place of those of the list before; returns what the row of its number is to have.
pub(super) async fn put(
    place: Place<'_>,
    list: &ListOctets,
    connection: &mut SqliteConnection,
) -> Result<Vec<u8>, Failure> {
    const CLEAR: &str = "DELETE FROM published_list_pieces WHERE authority = $1 AND scope = $2";
    const PUT: &str = "INSERT INTO published_list_pieces (authority, scope, place, octets) VALUES ($1, $2, $3, $4)";
    sqlx::query(CLEAR).bind(place.authority.as_str()).bind(place.scope).execute(&mut *connection).await?;
    if list.count() <= PIECE as u64 {
        return Ok(list.to_vec().map_err(row::crl::not_kept)?);
    }
    for (number, piece) in (0_i64..).zip(list.pieces()) {
        sqlx::query(PUT)
            .bind(place.authority.as_str())
            .bind(place.scope)
            .bind(number)
            .bind(piece.map_err(row::crl::not_kept)?)
            .execute(&mut *connection)
            .await?;
    }
    Ok(Vec::new())
}

/// The octets of a list whose row has `in_row`, put aside. Everything is read in one transaction, or a newer list comes between.
pub(super) async fn read(
    place: Place<'_>,
    in_row: &[u8],
    spool: &dyn Spool,
    connection: &mut SqliteConnection,
) -> Result<ListOctets, Failure> {
    let mut writer = spool.begin().map_err(row::crl::not_kept)?;
    writer.append(in_row).map_err(row::crl::not_kept)?;
    let mut number = 0;
    // One by one: a query of all would have some dozens of them read ahead.
    while let Some(octets) = piece(place, number, &mut *connection).await? {
        writer.append(&octets).map_err(row::crl::not_kept)?;
        number += 1;
    }
    Ok(writer.finish().and_then(ListOctets::spooled).map_err(row::crl::not_kept)?)
}

/// Whether a list whose row has `in_row` is this one.
pub(super) async fn is_same(
    place: Place<'_>,
    in_row: &[u8],
    list: &ListOctets,
    connection: &mut SqliteConnection,
) -> Result<bool, Failure> {
    if !in_row.is_empty() || list.count() <= PIECE as u64 {
        let same = in_row.len() as u64 == list.count() && list.to_vec().map_err(row::crl::not_kept)? == in_row;
        return Ok(same && piece(place, 0, connection).await?.is_none());
    }
    let mut number = 0;
    for ours in list.pieces() {
        let ours = ours.map_err(row::crl::not_kept)?;
        if piece(place, number, &mut *connection).await?.as_deref() != Some(&ours[..]) {
            return Ok(false);
        }
        number += 1;
    }
    Ok(piece(place, number, connection).await?.is_none())
}

async fn piece(place: Place<'_>, number: i64, executor: impl SqliteExecutor<'_>) -> Result<Option<Vec<u8>>, Failure> {
    const SQL: &str = "SELECT octets FROM published_list_pieces WHERE authority = $1 AND scope = $2 AND place = $3";
    let query = sqlx::query_scalar(SQL).bind(place.authority.as_str()).bind(place.scope).bind(number);
    Ok(query.fetch_optional(executor).await?)
}
