//! Reading single certificates, and what they are found by.

use ca_core::id::{AuthorityId, CertificateId};
use ca_core::serial::Serial;
use sqlx::SqliteExecutor;

use super::error::Failure;
use crate::personal_data::Sealer;
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
) -> Result<Option<CertificateRow>, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        certificate_columns!(),
        " FROM certificates AS c JOIN serials AS s ON s.serial = c.serial AND s.authority = c.authority WHERE c.id = $1"
    );
    Ok(sqlx::query_as(SQL).bind(id.as_bytes().as_slice()).fetch_optional(executor).await?)
}

/// The certificate of a serial number.
pub(super) async fn by_serial(
    executor: impl SqliteExecutor<'_>,
    authority: &AuthorityId,
    serial: &Serial,
) -> Result<Option<CertificateRow>, Failure> {
    const SQL: &str = concat!(
        "SELECT ",
        certificate_columns!(),
        " FROM serials AS s JOIN certificates AS c ON c.id = s.certificate_id
          WHERE s.serial = $1 AND s.authority = $2"
    );
    Ok(sqlx::query_as(SQL).bind(serial.as_bytes()).bind(authority.as_str()).fetch_optional(executor).await?)
}

/// A term, as the column `certificate_names.value` has it: in clear, or under the key of personal data.
pub(super) fn term(kind: u8, text: &str, sealer: Option<&Sealer>) -> String {
    match sealer {
        Some(sealer) => format!("keyed:{}", hex::encode(sealer.blind(kind, text))),
        None => text.to_owned(),
    }
}
