//! Certificates on record, as their columns give them.

use ca_core::id::CertificateId;
use ca_core::revocation::Standing;
use ca_core::time::{Timestamp, Validity};
use ca_engine::port::store::{CompleteOutcome, Completion, SerialState, StoreError, StoredCertificate};
use sqlx::FromRow;

use super::{RevocationColumns, inconsistent};

/// A certificate of the tables `certificates` and `serials`.
#[derive(FromRow)]
pub(crate) struct CertificateRow {
    pub(crate) id: Vec<u8>,
    pub(crate) authority: String,
    pub(crate) serial: Vec<u8>,
    pub(crate) profile: String,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) subject: Vec<u8>,
    pub(crate) names: Vec<u8>,
    pub(crate) spki_sha256: Vec<u8>,
    pub(crate) fingerprint_sha256: Vec<u8>,
    pub(crate) owner: String,
    pub(crate) requested_by: String,
    pub(crate) issued_at: i64,
    pub(crate) renews: Option<Vec<u8>>,
    pub(crate) der: Vec<u8>,
    pub(crate) state: i64,
    pub(crate) reason: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) invalidity_date: Option<i64>,
}

impl TryFrom<CertificateRow> for StoredCertificate {
    type Error = StoreError;

    fn try_from(row: CertificateRow) -> Result<Self, StoreError> {
        let id = CertificateId::from_bytes(super::octets("certificates.id", row.id)?);
        let place = format!("certificates {id}");
        let CertificateRow { reason, revoked_at, invalidity_date, .. } = row;
        let columns = RevocationColumns { reason, revoked_at, invalidity_date };
        let SerialState::Issued(standing) = super::serial_state(&place, row.state, columns)? else {
            return Err(inconsistent(&place, "a certificate whose serial is not issued"));
        };
        Ok(Self {
            id,
            authority: super::authority(&place, &row.authority)?,
            serial: super::serial(&place, &row.serial)?,
            profile: super::profile(&place, &row.profile)?,
            subject: super::distinguished_name(&place, &row.subject)?,
            names: super::general_names(&place, &row.names)?,
            validity: Validity {
                not_before: Timestamp::from_unix_millis(row.not_before),
                not_after: Timestamp::from_unix_millis(row.not_after),
            },
            standing,
            spki_sha256: super::octets(&place, row.spki_sha256)?,
            fingerprint_sha256: super::octets(&place, row.fingerprint_sha256)?,
            der: row.der,
            owner: row.owner,
            requested_by: row.requested_by,
            issued_at: Timestamp::from_unix_millis(row.issued_at),
            renews: row.renews.map(|renews| super::octets(&place, renews)).transpose()?.map(CertificateId::from_bytes),
        })
    }
}

/// What a reservation gives to its certificate.
#[derive(FromRow)]
pub(crate) struct IssuedRow {
    pub(crate) authority: String,
    pub(crate) serial: Vec<u8>,
    pub(crate) profile: String,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) subject: Vec<u8>,
    pub(crate) names: Vec<u8>,
    pub(crate) spki_sha256: Vec<u8>,
    pub(crate) fingerprint_sha256: Vec<u8>,
    pub(crate) owner: String,
    pub(crate) requested_by: String,
    pub(crate) renews: Option<Vec<u8>>,
}

impl IssuedRow {
    pub(crate) fn outcome(self, completion: &Completion) -> Result<CompleteOutcome, StoreError> {
        Ok(CompleteOutcome::Completed(Box::new(self.certificate(completion)?)))
    }

    fn certificate(self, completion: &Completion) -> Result<StoredCertificate, StoreError> {
        let place = format!("reservations {}", completion.id);
        Ok(StoredCertificate {
            id: completion.id,
            authority: super::authority(&place, &self.authority)?,
            serial: super::serial(&place, &self.serial)?,
            profile: super::profile(&place, &self.profile)?,
            subject: super::distinguished_name(&place, &self.subject)?,
            names: super::general_names(&place, &self.names)?,
            validity: Validity {
                not_before: Timestamp::from_unix_millis(self.not_before),
                not_after: Timestamp::from_unix_millis(self.not_after),
            },
            standing: Standing::Active,
            spki_sha256: super::octets(&place, self.spki_sha256)?,
            fingerprint_sha256: super::octets(&place, self.fingerprint_sha256)?,
            der: completion.certificate.clone(),
            owner: self.owner,
            requested_by: self.requested_by,
            issued_at: completion.completed_at,
            renews: self.renews.map(|renews| super::octets(&place, renews)).transpose()?.map(CertificateId::from_bytes),
        })
    }
}
