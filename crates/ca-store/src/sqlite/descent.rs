//! Who descends from a certificate by renewals.

use ca_core::id::CertificateId;
use ca_core::time::Timestamp;
use sqlx::SqliteExecutor;

use super::error::Failure;
use crate::row;

/// SQL of a list of ids: the certificates that descend from `$id` by a renewal completed at `$since` or after it, or at an instant
/// that went with the certificate after its retention.
macro_rules! descendants_sql {
    ($id:literal, $since:literal) => {
        concat!(
            "WITH RECURSIVE heirs (id) AS (
                 SELECT s.certificate_id FROM serials AS s LEFT JOIN certificates AS c ON c.id = s.certificate_id
                     WHERE s.renews = ",
            $id,
            " AND s.state BETWEEN 1 AND 3 AND (c.id IS NULL OR c.issued_at >= ",
            $since,
            ") UNION SELECT s.certificate_id FROM heirs JOIN serials AS s ON s.renews = heirs.id
                     WHERE s.state BETWEEN 1 AND 3
             ) SELECT id FROM heirs"
        )
    };
}
pub(super) use descendants_sql;

/// Their ids, in order, at most 1,000.
pub(super) async fn descendants(
    executor: impl SqliteExecutor<'_>,
    id: CertificateId,
    since: Timestamp,
) -> Result<Vec<CertificateId>, Failure> {
    const SQL: &str = concat!(descendants_sql!("$1", "$2"), " ORDER BY id LIMIT 1000");
    let ids: Vec<Vec<u8>> =
        sqlx::query_scalar(SQL).bind(id.as_bytes().as_slice()).bind(since.unix_millis()).fetch_all(executor).await?;
    let ids = ids.into_iter().map(|octets| row::octets("serials.certificate_id", octets));
    Ok(ids.map(|octets| octets.map(CertificateId::from_bytes)).collect::<Result<_, _>>()?)
}
