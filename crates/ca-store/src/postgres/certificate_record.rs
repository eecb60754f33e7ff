//! Reading single certificates. The narrow table leads to the month of the wide row: no other month is looked into.

use ca_core::id::{AuthorityId, CertificateId};
use ca_core::serial::Serial;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;

use super::column;
use crate::row::certificate::CertificateRow;

/// The columns of a [`CertificateRow`], from `certificates AS c` and `serials AS s`.
macro_rules! certificate_columns {
    () => {
        "uuid_send(c.id) AS id, c.authority, c.serial, c.profile, c.not_before, c.not_after, c.subject, c.names,
         c.spki_sha256, c.fingerprint_sha256, c.owner, c.requested_by, c.issued_at, uuid_send(c.renews) AS renews, c.der,
         s.state::bigint AS state, s.reason::bigint AS reason, s.revoked_at, s.invalidity_date"
    };
}
pub(super) use certificate_columns;

/// One certificate.
pub(super) fn by_id(id: CertificateId) -> QueryAs<'static, Postgres, CertificateRow, PgArguments> {
    const SQL: &str = concat!(
        "SELECT ",
        certificate_columns!(),
        " FROM serials AS s JOIN certificates AS c ON c.id = s.certificate_id AND c.not_after = s.not_after
          WHERE s.certificate_id = $1"
    );
    sqlx::query_as(SQL).bind(column::certificate(id))
}

/// The certificate of a serial number.
pub(super) fn by_serial<'q>(
    authority: &'q AuthorityId,
    serial: &'q Serial,
) -> QueryAs<'q, Postgres, CertificateRow, PgArguments> {
    const SQL: &str = concat!(
        "SELECT ",
        certificate_columns!(),
        " FROM serials AS s JOIN certificates AS c ON c.id = s.certificate_id AND c.not_after = s.not_after
          WHERE s.serial = $1 AND s.authority = $2"
    );
    sqlx::query_as(SQL).bind(serial.as_bytes()).bind(authority.as_str())
}
