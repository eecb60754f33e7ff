//! What issuers elsewhere were asked for, as its columns give it.

use ca_core::id::CertificateId;
use ca_core::time::Timestamp;
use ca_engine::port::store::{OpenUpstream, StoreError, UpstreamOrder};
use sqlx::FromRow;

/// An open reservation, and what was asked for it.
#[derive(FromRow)]
pub(crate) struct OpenUpstreamRow {
    id: Vec<u8>,
    authority: String,
    serial: Vec<u8>,
    profile: String,
    requested_by: String,
    renews: Option<Vec<u8>>,
    reserved_at: i64,
    to_be_signed: Vec<u8>,
    csr: Option<Vec<u8>>,
    inherit_roles: bool,
    request_id: Option<String>,
    asked_at: i64,
    name: Option<String>,
}

impl TryFrom<OpenUpstreamRow> for OpenUpstream {
    type Error = StoreError;

    fn try_from(row: OpenUpstreamRow) -> Result<Self, StoreError> {
        let id = CertificateId::from_bytes(super::octets("reservations.id", row.id)?);
        let place = format!("reservations {id}");
        // Without a CSR all of it is personal data, and what is to be signed is sealed.
        let to_be_signed = row.to_be_signed;
        Ok(Self {
            id,
            authority: super::authority(&place, &row.authority)?,
            serial: super::serial(&place, &row.serial)?,
            profile: super::profile(&place, &row.profile)?,
            requested_by: row.requested_by,
            renews: row.renews.map(|renews| super::octets(&place, renews)).transpose()?.map(CertificateId::from_bytes),
            reserved_at: Timestamp::from_unix_millis(row.reserved_at),
            order: row.csr.map(|csr| UpstreamOrder { csr, to_be_signed }),
            inherit_roles: row.inherit_roles,
            request_id: row.request_id,
            asked_at: Timestamp::from_unix_millis(row.asked_at),
            name: row.name,
        })
    }
}

/// Another name, or no intent, where one is to be named.
pub(crate) fn not_to_be_named(id: CertificateId) -> StoreError {
    StoreError::Conflict { detail: format!("issuance {id} has another name at its issuer, or none was intended") }
}

/// A serial that is not provisional, where one is to be adopted.
pub(crate) fn has_another_serial(id: CertificateId) -> StoreError {
    StoreError::Conflict { detail: format!("reservation {id} has another serial of its issuer's") }
}
