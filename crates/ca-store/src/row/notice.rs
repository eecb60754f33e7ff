//! Certificates whose end comes near, as their columns give them.

use ca_core::id::CertificateId;
use ca_core::time::{Lifetime, Timestamp, Validity};
use ca_engine::port::store::{EndingCertificate, ManagedStanding, StoreError};
use sqlx::FromRow;

use super::inconsistent;
use super::managed::PAUSED;

#[derive(FromRow)]
pub(crate) struct EndingRow {
    pub(crate) id: Vec<u8>,
    pub(crate) authority: String,
    pub(crate) serial: Vec<u8>,
    pub(crate) profile: String,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) owner: String,
    pub(crate) seconds_before: Option<i64>,
    pub(crate) managed_name: Option<String>,
    pub(crate) managed_state: Option<i64>,
    pub(crate) managed_failures: Option<i64>,
}

impl TryFrom<EndingRow> for EndingCertificate {
    type Error = StoreError;

    fn try_from(row: EndingRow) -> Result<Self, StoreError> {
        const TABLE: &str = "certificates";
        let managed = match (row.managed_name, row.managed_state, row.managed_failures) {
            (Some(name), Some(state), Some(failures)) => Some(ManagedStanding {
                name,
                paused: state == PAUSED,
                failures: u32::try_from(failures)
                    .map_err(|_| inconsistent("managed_certificates", "a number of failures that cannot be"))?,
            }),
            _ => None,
        };
        Ok(Self {
            id: CertificateId::from_bytes(super::octets("certificates.id", row.id)?),
            authority: super::authority(TABLE, &row.authority)?,
            serial: super::serial(TABLE, &row.serial)?,
            profile: super::profile(TABLE, &row.profile)?,
            validity: Validity {
                not_before: Timestamp::from_unix_millis(row.not_before),
                not_after: Timestamp::from_unix_millis(row.not_after),
            },
            owner: row.owner,
            noted: row.seconds_before.map(lifetime).transpose()?,
            managed,
        })
    }
}

/// A number of seconds before an end.
pub(crate) fn lifetime(seconds: i64) -> Result<Lifetime, StoreError> {
    u64::try_from(seconds)
        .map(Lifetime::from_seconds)
        .map_err(|_| inconsistent("expiry_notices.seconds_before", "a length of time below zero"))
}

/// What [`lifetime`] reads.
pub(crate) fn seconds_column(before: Lifetime) -> i64 {
    i64::try_from(before.seconds()).unwrap_or(i64::MAX)
}
