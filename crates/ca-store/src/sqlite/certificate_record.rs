//! A certificate on record as its columns give it, and reading single ones.

use ca_core::id::{AuthorityId, CertificateId};
use ca_core::serial::Serial;
use ca_core::time::{Timestamp, Validity};
use ca_engine::port::store::{SerialState, StoreError, StoredCertificate};
use sqlx::{FromRow, SqliteExecutor};

use super::error::{Failure, inconsistent};
use super::row::{self, RevocationColumns};

/// The columns of a [`CertificateRow`], from `certificates AS c` and `serials AS s`.
macro_rules! certificate_columns {
    () => {
        "c.id, c.authority, c.serial, c.profile, c.not_before, c.not_after, c.subject, c.names, c.spki_sha256,
         c.fingerprint_sha256, c.owner, c.requested_by, c.issued_at, c.renews, c.der,
         s.state, s.reason, s.revoked_at, s.invalidity_date"
    };
}
pub(super) use certificate_columns;

/// A certificate as `certificate_columns!()` gives it.
#[derive(FromRow)]
pub(super) struct CertificateRow {
    id: Vec<u8>,
    authority: String,
    serial: Vec<u8>,
    profile: String,
    not_before: i64,
    not_after: i64,
    subject: Vec<u8>,
    names: Vec<u8>,
    spki_sha256: Vec<u8>,
    fingerprint_sha256: Vec<u8>,
    owner: String,
    requested_by: String,
    issued_at: i64,
    renews: Option<Vec<u8>>,
    der: Vec<u8>,
    state: i64,
    reason: Option<i64>,
    revoked_at: Option<i64>,
    invalidity_date: Option<i64>,
}

impl TryFrom<CertificateRow> for StoredCertificate {
    type Error = StoreError;

    fn try_from(row: CertificateRow) -> Result<Self, StoreError> {
        let id = CertificateId::from_bytes(row::octets("certificates.id", row.id)?);
        let place = format!("certificates {id}");
        let CertificateRow { reason, revoked_at, invalidity_date, .. } = row;
        let columns = RevocationColumns { reason, revoked_at, invalidity_date };
        let SerialState::Issued(standing) = row::serial_state(&place, row.state, columns)? else {
            return Err(inconsistent(&place, "a certificate whose serial is not issued"));
        };
        Ok(Self {
            id,
            authority: row::authority(&place, &row.authority)?,
            serial: row::serial(&place, &row.serial)?,
            profile: row::profile(&place, &row.profile)?,
            subject: row::distinguished_name(&place, &row.subject)?,
            names: row::general_names(&place, &row.names)?,
            validity: Validity {
                not_before: Timestamp::from_unix_millis(row.not_before),
                not_after: Timestamp::from_unix_millis(row.not_after),
            },
            standing,
            spki_sha256: row::octets(&place, row.spki_sha256)?,
            fingerprint_sha256: row::octets(&place, row.fingerprint_sha256)?,
            der: row.der,
            owner: row.owner,
            requested_by: row.requested_by,
            issued_at: Timestamp::from_unix_millis(row.issued_at),
            renews: row.renews.map(|renews| row::octets(&place, renews)).transpose()?.map(CertificateId::from_bytes),
        })
    }
}

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
