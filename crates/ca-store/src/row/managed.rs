//! Managed certificates, as their columns give them.

use ca_core::id::{CertificateId, ManagedCertificateId, RotationId};
use ca_core::managed::definition::Deliverer;
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    FailedAttempt, ManagedCertificate, ManagedCounts, ManagedCourse, ManagedCurrent, Rotation, StoreError, Superseded,
};
use sqlx::FromRow;

use super::{inconsistent, unsigned};

/// The code of one that is paused, in the column `state`.
pub(crate) const PAUSED: i64 = 1;

#[derive(FromRow)]
pub(crate) struct ManagedRow {
    pub(crate) id: Vec<u8>,
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) profile: String,
    pub(crate) definition: String,
    pub(crate) state: i64,
    pub(crate) revision: i64,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    pub(crate) certificate_id: Option<Vec<u8>>,
    pub(crate) rotation_of_current: Option<Vec<u8>>,
    pub(crate) not_after: Option<i64>,
    pub(crate) rotation_id: Option<Vec<u8>>,
    pub(crate) rotation_step: Option<String>,
    pub(crate) rotation_certificate_id: Option<Vec<u8>>,
    pub(crate) rotation_begun_at: Option<i64>,
    pub(crate) superseded_id: Option<Vec<u8>>,
    pub(crate) superseded_revoke_at: Option<i64>,
    pub(crate) failures: i64,
    pub(crate) last_failed_at: Option<i64>,
    pub(crate) last_error: Option<String>,
    pub(crate) next_at: i64,
    pub(crate) deliverer: i64,
    pub(crate) asked: i64,
    pub(crate) told: Option<String>,
    pub(crate) probe_until: Option<i64>,
    pub(crate) service_at: Option<i64>,
}

/// The code of a deliverer, in the column of that name.
pub(crate) const fn deliverer(deliverer: Deliverer) -> i64 {
    match deliverer {
        Deliverer::Service => 0,
        Deliverer::Worker => 1,
    }
}

/// The table, in errors.
const TABLE: &str = "managed_certificates";

impl TryFrom<ManagedRow> for ManagedCertificate {
    type Error = StoreError;

    fn try_from(row: ManagedRow) -> Result<Self, StoreError> {
        let certificate = |octets| super::octets(TABLE, octets).map(CertificateId::from_bytes);
        let rotation_id = |octets| super::octets(TABLE, octets).map(RotationId::from_bytes);
        let instant = Timestamp::from_unix_millis;
        let current = match (row.certificate_id, row.rotation_of_current, row.not_after) {
            (Some(id), Some(rotation), Some(not_after)) => Some(ManagedCurrent {
                certificate: certificate(id)?,
                rotation: rotation_id(rotation)?,
                not_after: instant(not_after),
            }),
            (None, None, None) => None,
            _ => return Err(inconsistent(TABLE, "a part of what is current")),
        };
        let rotation = match (row.rotation_id, row.rotation_step, row.rotation_begun_at) {
            (Some(id), Some(step), Some(begun_at)) => Some(Rotation {
                id: rotation_id(id)?,
                step: super::parse(TABLE, &step)?,
                certificate: row.rotation_certificate_id.map(certificate).transpose()?,
                begun_at: instant(begun_at),
            }),
            (None, None, None) => None,
            _ => return Err(inconsistent(TABLE, "a part of a rotation")),
        };
        let superseded = match (row.superseded_id, row.superseded_revoke_at) {
            (Some(id), Some(revoke_at)) => {
                Some(Superseded { certificate: certificate(id)?, revoke_at: instant(revoke_at) })
            }
            _ => None,
        };
        let last_failure = match (row.last_failed_at, row.last_error) {
            (Some(at), Some(error)) => Some(FailedAttempt { at: instant(at), error }),
            _ => None,
        };
        let delivered_by = match row.deliverer {
            0 => Deliverer::Service,
            1 => Deliverer::Worker,
            _ => return Err(inconsistent(TABLE, "a deliverer that is not known")),
        };
        Ok(Self {
            id: ManagedCertificateId::from_bytes(super::octets(TABLE, row.id)?),
            name: row.name,
            owner: row.owner,
            profile: super::profile(TABLE, &row.profile)?,
            definition: row.definition,
            delivered_by,
            paused: row.state == PAUSED,
            revision: unsigned(TABLE, row.revision)?,
            created_at: instant(row.created_at),
            created_by: row.created_by,
            course: ManagedCourse {
                current,
                rotation,
                superseded,
                failures: u32::try_from(row.failures).map_err(|_| inconsistent(TABLE, "a count that cannot be"))?,
                last_failure,
                asked: row.asked != 0,
                told: row.told.map(|told| super::parse(TABLE, &told)).transpose()?,
                probe_until: row.probe_until.map(instant),
                next_at: instant(row.next_at),
                watch_at: row.service_at.filter(|_| delivered_by == Deliverer::Worker).map(instant),
            },
        })
    }
}

#[derive(FromRow)]
pub(crate) struct CountsRow {
    pub(crate) active: i64,
    pub(crate) paused: i64,
    pub(crate) due: i64,
    pub(crate) rotating: i64,
    pub(crate) failing: i64,
    pub(crate) rotated_lately: i64,
}

impl TryFrom<CountsRow> for ManagedCounts {
    type Error = StoreError;

    fn try_from(row: CountsRow) -> Result<Self, StoreError> {
        let count = |column| unsigned(TABLE, column);
        Ok(Self {
            active: count(row.active)?,
            paused: count(row.paused)?,
            due: count(row.due)?,
            rotating: count(row.rotating)?,
            failing: count(row.failing)?,
            rotated_lately: count(row.rotated_lately)?,
        })
    }
}
