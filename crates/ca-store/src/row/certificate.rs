//! Certificates on record, as their columns give them.

use std::sync::Arc;

use ca_core::id::CertificateId;
use ca_core::revocation::Standing;
use ca_core::time::{Timestamp, Validity};
use ca_engine::port::store::{
    CompleteOutcome, Completion, Page, PageCursor, SerialState, StoreError, StoredCertificate,
};
use sqlx::FromRow;

use super::{RevocationColumns, inconsistent};
use crate::personal_data::{PersonalDataKeys, certificate_place, version_of};

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

impl CertificateRow {
    /// The versions of the key of personal data that are needed to read it.
    pub(crate) fn key_versions(&self) -> impl Iterator<Item = u32> {
        [&self.subject, &self.names, &self.der].into_iter().filter_map(|column| version_of(column))
    }

    /// The certificate; `keys` open what of it is encrypted.
    pub(crate) fn certificate(self, keys: &PersonalDataKeys) -> Result<StoredCertificate, StoreError> {
        let row = self;
        let id = CertificateId::from_bytes(super::octets("certificates.id", row.id)?);
        let place = certificate_place(id);
        let CertificateRow { reason, revoked_at, invalidity_date, .. } = row;
        let columns = RevocationColumns { reason, revoked_at, invalidity_date };
        let SerialState::Issued(standing) = super::serial_state(&place, row.state, columns)? else {
            return Err(inconsistent(&place, "a certificate whose serial is not issued"));
        };
        Ok(StoredCertificate {
            id,
            authority: super::authority(&place, &row.authority)?,
            serial: super::serial(&place, &row.serial)?,
            profile: super::profile(&place, &row.profile)?,
            subject: super::distinguished_name(&place, &keys.open(&place, "subject", row.subject)?)?,
            names: super::general_names(&place, &keys.open(&place, "names", row.names)?)?,
            validity: Validity {
                not_before: Timestamp::from_unix_millis(row.not_before),
                not_after: Timestamp::from_unix_millis(row.not_after),
            },
            standing,
            spki_sha256: super::octets(&place, row.spki_sha256)?,
            fingerprint_sha256: super::octets(&place, row.fingerprint_sha256)?,
            der: keys.open(&place, "der", row.der)?,
            owner: row.owner,
            requested_by: row.requested_by,
            issued_at: Timestamp::from_unix_millis(row.issued_at),
            renews: row.renews.map(|renews| super::octets(&place, renews)).transpose()?.map(CertificateId::from_bytes),
        })
    }
}

/// The certificates of rows that were found by walking one index each, newest id first, none twice; `limit` is the length of a page.
/// Each walk must have gone one row further than that, so that it is known whether there is a next page.
pub(crate) fn page(
    walks: Vec<Vec<CertificateRow>>,
    limit: u32,
    keys: &PersonalDataKeys,
) -> Result<Page<StoredCertificate>, StoreError> {
    let mut rows: Vec<CertificateRow> = walks.into_iter().flatten().collect();
    // Of one walk they are in order already.
    rows.sort_by(|one, other| other.id.cmp(&one.id));
    rows.dedup_by(|one, other| one.id == other.id);
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let items = rows.into_iter().map(|row| row.certificate(keys)).collect::<Result<Vec<_>, _>>()?;
    let next: Option<PageCursor> = if more { items.last().map(|last| last.id) } else { None };
    Ok(Page { items, next })
}

/// A completion, and the certificate as its column is to hold it.
pub(crate) struct Completing {
    pub(crate) completion: Completion,
    /// When it is not the certificate in clear.
    encrypted: Option<Vec<u8>>,
    keys: Arc<PersonalDataKeys>,
}

impl Completing {
    pub(crate) fn of(completion: Completion, keys: &Arc<PersonalDataKeys>) -> Result<Self, StoreError> {
        let place = certificate_place(completion.id);
        let encrypt = || keys.newest(&place)?.seal(&place, "der", &completion.certificate);
        let encrypted = completion.personal_data.then(encrypt).transpose()?;
        Ok(Self { completion, encrypted, keys: Arc::clone(keys) })
    }

    /// The column `certificates.der`.
    pub(crate) fn der(&self) -> &[u8] {
        self.encrypted.as_deref().unwrap_or(&self.completion.certificate)
    }

    /// The outcome of a completion that was made before.
    pub(crate) fn repeated(&self, row: CertificateRow) -> Result<CompleteOutcome, StoreError> {
        Ok(CompleteOutcome::Completed(Box::new(row.certificate(&self.keys)?)))
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
    pub(crate) fn outcome(self, completing: &Completing) -> Result<CompleteOutcome, StoreError> {
        Ok(CompleteOutcome::Completed(Box::new(self.certificate(completing)?)))
    }

    fn certificate(self, completing: &Completing) -> Result<StoredCertificate, StoreError> {
        let Completing { completion, keys, .. } = completing;
        let place = certificate_place(completion.id);
        Ok(StoredCertificate {
            id: completion.id,
            authority: super::authority(&place, &self.authority)?,
            serial: super::serial(&place, &self.serial)?,
            profile: super::profile(&place, &self.profile)?,
            subject: super::distinguished_name(&place, &keys.open(&place, "subject", self.subject)?)?,
            names: super::general_names(&place, &keys.open(&place, "names", self.names)?)?,
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
