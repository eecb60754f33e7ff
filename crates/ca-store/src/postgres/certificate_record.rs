//! Reading certificates. The narrow tables say where the wide row of each lies, in a look of their own: who names the ends of
//! what is asked for makes PostgreSQL plan for their months only, not for every month that there is.

use ca_core::id::{AuthorityId, CertificateId};
use ca_core::serial::Serial;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::types::Uuid;
use sqlx::{FromRow, Postgres};

use super::column;
use super::error::Failure;
use super::pool::Pool;
use super::transaction::{Transaction, read};
use crate::row::certificate::CertificateRow;

/// Where the wide row of a certificate lies.
#[derive(FromRow)]
pub(super) struct Place {
    id: Uuid,
    not_after: i64,
}

type Places = QueryAs<'static, Postgres, Place, PgArguments>;

/// Where a certificate lies by its id. A serial number that is only reserved, or abandoned, has a place without a row.
fn place_of(id: CertificateId) -> Places {
    const SQL: &str = "SELECT certificate_id AS id, not_after FROM serials WHERE certificate_id = $1";
    sqlx::query_as(SQL).bind(column::certificate(id))
}

fn place_of_serial(authority: &AuthorityId, serial: &Serial) -> Places {
    const SQL: &str = "SELECT certificate_id AS id, not_after FROM serials WHERE serial = $1 AND authority = $2";
    sqlx::query_as(SQL).bind(serial.as_bytes().to_vec()).bind(authority.as_str().to_owned())
}

/// The rows that lie in these places, in no order.
fn rows_in(places: &[Place]) -> QueryAs<'static, Postgres, CertificateRow, PgArguments> {
    const SQL: &str = "
        SELECT uuid_send(c.id) AS id, c.authority, c.serial, c.profile, c.not_before, c.not_after, c.subject, c.names,
            c.spki_sha256, c.fingerprint_sha256, c.owner, c.requested_by, c.issued_at, uuid_send(c.renews) AS renews, c.der,
            s.state::bigint AS state, s.reason::bigint AS reason, s.revoked_at, s.invalidity_date
        FROM certificates AS c JOIN serials AS s ON s.certificate_id = c.id
        WHERE c.id = ANY ($1::uuid[]) AND c.not_after = ANY ($2::bigint[])";
    let ids: Vec<Uuid> = places.iter().map(|place| place.id).collect();
    let ends: Vec<i64> = places.iter().map(|place| place.not_after).collect();
    sqlx::query_as(SQL).bind(ids).bind(ends)
}

/// The rows of certificates that are known to lie in these places. Fewer, when some were removed meanwhile.
pub(super) async fn in_places(reads: &Pool, places: &[Place]) -> Result<Vec<CertificateRow>, Failure> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    read(reads, || rows_in(places)).await
}

/// One certificate.
pub(super) async fn by_id(reads: &Pool, id: CertificateId) -> Result<Vec<CertificateRow>, Failure> {
    in_places(reads, &read(reads, || place_of(id)).await?).await
}

/// One certificate, as a transaction sees it.
pub(super) async fn seen_by(
    transaction: &mut Transaction,
    id: CertificateId,
) -> Result<Option<CertificateRow>, Failure> {
    match transaction.row(place_of(id)).await? {
        Some(place) => transaction.row(rows_in(&[place])).await,
        None => Ok(None),
    }
}

/// The certificate of a serial number.
pub(super) async fn by_serial(
    reads: &Pool,
    authority: &AuthorityId,
    serial: &Serial,
) -> Result<Vec<CertificateRow>, Failure> {
    in_places(reads, &read(reads, || place_of_serial(authority, serial)).await?).await
}
