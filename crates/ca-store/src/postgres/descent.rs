//! Who descends from a certificate by renewals, and what a compromise of its key takes from them.

use ca_core::id::CertificateId;
use ca_core::time::Timestamp;
use ca_engine::port::store::StandingChange;

use super::column;
use super::error::Failure;
use super::pool::Pool;
use super::transaction::{Transaction, read};
use crate::row;

/// SQL of the ids of certificates that descend from $1 by a renewal completed at $2 or after it, or at an instant that went with the
/// certificate after its retention.
macro_rules! descendants_sql {
    () => {
        "WITH RECURSIVE heirs (id) AS (
             SELECT s.certificate_id FROM serials AS s
                 LEFT JOIN certificates AS c ON c.id = s.certificate_id AND c.not_after = s.not_after
                 WHERE s.renews = $1 AND s.state BETWEEN 1 AND 3 AND (c.issued_at >= $2 OR c.id IS NULL)
             UNION SELECT s.certificate_id FROM heirs JOIN serials AS s ON s.renews = heirs.id WHERE s.state BETWEEN 1 AND 3
         )"
    };
}

/// Their ids, in order, at most 1,000.
pub(super) async fn descendants(
    reads: &Pool,
    id: CertificateId,
    since: Timestamp,
) -> Result<Vec<CertificateId>, Failure> {
    const SQL: &str = concat!(descendants_sql!(), " SELECT uuid_send(id) FROM heirs ORDER BY heirs.id LIMIT 1000");
    let query = || sqlx::query_as(SQL).bind(column::certificate(id)).bind(since.unix_millis());
    let rows: Vec<(Vec<u8>,)> = read(reads, query).await?;
    let ids = rows.into_iter().map(|(octets,)| row::octets("serials.certificate_id", octets));
    Ok(ids.map(|octets| octets.map(CertificateId::from_bytes)).collect::<Result<_, _>>()?)
}

/// Takes the roles from the descendants of compromised certificates. No completion is under way meanwhile that could pass one
/// on: [`super::status`] waits for those.
pub(super) async fn withdraw_roles(change: &StandingChange, transaction: &mut Transaction) -> Result<(), Failure> {
    const SQL: &str =
        concat!(descendants_sql!(), " DELETE FROM roles WHERE certificate_id = ANY (ARRAY(SELECT id FROM heirs))");
    let Some(since) = change.compromised_since else { return Ok(()) };
    transaction.execute(sqlx::query(SQL).bind(column::certificate(change.id)).bind(since.unix_millis())).await?;
    Ok(())
}
