//! Months under retention, as columns give them.

use ca_core::id::CertificateId;
use ca_core::month::Month;
use ca_core::time::Timestamp;
use ca_engine::port::store::{KeptFor, LEAST_RETENTION, MonthShare, RemovedCertificate, StoreError};
use sqlx::FromRow;

use super::inconsistent;
use super::search::SearchTerms;
use crate::personal_data::{PersonalDataKeys, Sealer, certificate_place, version_of};

/// How many certificates of a month share profile and reason.
#[derive(FromRow)]
pub(crate) struct ShareRow {
    pub(crate) profile: String,
    /// The place of a reason in [`KeptFor::ALL`].
    pub(crate) reason: Option<i64>,
    pub(crate) certificates: i64,
}

/// The shares of rows, in order.
pub(crate) fn shares(rows: Vec<ShareRow>) -> Result<Vec<MonthShare>, StoreError> {
    const PLACE: &str = "certificates";
    let share = |row: ShareRow| {
        let reason = |number: i64| {
            let found = usize::try_from(number).ok().and_then(|place| KeptFor::ALL.get(place).copied());
            found.ok_or_else(|| inconsistent(PLACE, "a reason to stay that there is not"))
        };
        Ok(MonthShare {
            profile: super::profile(PLACE, &row.profile)?,
            kept_for: row.reason.map(reason).transpose()?,
            certificates: super::unsigned(PLACE, row.certificates)?,
        })
    };
    let mut shares: Vec<MonthShare> = rows.into_iter().map(share).collect::<Result<_, StoreError>>()?;
    shares.sort_unstable();
    Ok(shares)
}

/// What has to be known of a certificate to remove it where it is found by its own names.
#[derive(FromRow)]
pub(crate) struct RemovableRow {
    pub(crate) id: Vec<u8>,
    pub(crate) authority: String,
    pub(crate) serial: Vec<u8>,
    pub(crate) not_after: i64,
    pub(crate) subject: Vec<u8>,
    pub(crate) names: Vec<u8>,
    pub(crate) fingerprint_sha256: Vec<u8>,
}

impl RemovableRow {
    /// The versions of the key of personal data that are needed to read it.
    pub(crate) fn key_versions(&self) -> impl Iterator<Item = u32> {
        [&self.subject, &self.names].into_iter().filter_map(|column| version_of(column))
    }

    /// What it is found by, and what that is under; `None`: it is in clear.
    pub(crate) fn terms(&self, keys: &PersonalDataKeys) -> Result<(SearchTerms, Option<Sealer>), StoreError> {
        let id = super::octets("certificates.id", self.id.clone())?;
        let place = certificate_place(CertificateId::from_bytes(id));
        let sealer = keys.sealer_of(&place, &self.subject)?;
        let subject = super::distinguished_name(&place, &keys.open(&place, "subject", self.subject.clone())?)?;
        let names = super::general_names(&place, &keys.open(&place, "names", self.names.clone())?)?;
        Ok((SearchTerms::of(&subject, &names), sealer))
    }
}

/// What `serials` holds of a certificate that was removed.
#[derive(FromRow)]
pub(crate) struct RemovedRow {
    pub(crate) authority: String,
    pub(crate) serial: Vec<u8>,
    pub(crate) not_after: i64,
}

impl RemovedRow {
    pub(crate) fn certificate(self, id: CertificateId) -> Result<RemovedCertificate, StoreError> {
        let place = format!("serials {id}");
        Ok(RemovedCertificate {
            authority: super::authority(&place, &self.authority)?,
            serial: super::serial(&place, &self.serial)?,
            not_after: Timestamp::from_unix_millis(self.not_after),
        })
    }
}

/// Refuses a month that has not ended long enough before `now`, the database's time.
pub(crate) fn require_old(month: Month, now: Timestamp) -> Result<(), StoreError> {
    if month.end().plus(LEAST_RETENTION) <= now {
        return Ok(());
    }
    let detail = format!("the month {month} ended less than {LEAST_RETENTION} before {now}");
    Err(StoreError::Conflict { detail })
}
