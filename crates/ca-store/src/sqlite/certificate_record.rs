//! Reading single certificates.

use ca_core::id::{AuthorityId, CertificateId};
use ca_core::serial::Serial;
use ca_engine::port::store::StoredCertificate;
use sqlx::SqliteExecutor;

use super::error::Failure;
use crate::row::certificate::CertificateRow;

/// The columns of a [`CertificateRow`], from `certificates AS c` and `serials AS s`.
macro_rules! certificate_columns {
    () => {
        "c.id, c.authority, c.serial, c.profile, c.not_before, c.not_after, c.subject, c.names, c.spki_sha256,
         c.fingerprint_sha256, c.owner, c.requested_by, c.issued_at, c.renews, c.der,
         s.state, s.reason, s.revoked_at, s.invalidity_date"
    };
}
pub(super) use certificate_columns;

/// One certificate.
pub(super) async fn by_id(
    executor: impl SqliteExecutor<'_>,
    id: CertificateId,
) -> Result<Option<StoredCertificate>, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        certificate_columns!(),
        " FROM certificates AS c JOIN serials AS s ON s.serial = c.serial AND s.authority = c.authority WHERE c.id = $1"
    );
    let row: Option<CertificateRow> =
        sqlx::query_as(SQL).bind(id.as_bytes().as_slice()).fetch_optional(executor).await?;
    Ok(row.map(StoredCertificate::try_from).transpose()?)
}

/// The certificate of a serial number.
pub(super) async fn by_serial(
    executor: impl SqliteExecutor<'_>,
    authority: &AuthorityId,
    serial: &Serial,
) -> Result<Option<StoredCertificate>, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        certificate_columns!(),
        " FROM serials AS s JOIN certificates AS c ON c.id = s.certificate_id
          WHERE s.serial = $1 AND s.authority = $2"
    );
    let row: Option<CertificateRow> =
        sqlx::query_as(SQL).bind(serial.as_bytes()).bind(authority.as_str()).fetch_optional(executor).await?;
    Ok(row.map(StoredCertificate::try_from).transpose()?)
}
