//! Authorities, sealed keys and OCSP responders, as their columns give them.

use std::collections::BTreeSet;

use ca_core::id::{AuthorityId, CertificateId};
use ca_core::time::{Timestamp, Validity};
use ca_engine::port::keyring::{KeyRoom, SealedKey};
use ca_engine::port::store::{AuthorityRecord, AuthorityState, KeyHome, ResponderRecord, SettingChange, StoreError};
use sqlx::FromRow;

use super::inconsistent;

#[derive(FromRow)]
pub(crate) struct AuthorityRow {
    pub(crate) id: String,
    pub(crate) certificate_id: Vec<u8>,
    pub(crate) certificate_der: Vec<u8>,
    pub(crate) parent: Option<String>,
    pub(crate) key_home: String,
    pub(crate) key_id: Option<String>,
    pub(crate) state: String,
    pub(crate) issues_from: i64,
}

impl TryFrom<AuthorityRow> for AuthorityRecord {
    type Error = StoreError;

    fn try_from(row: AuthorityRow) -> Result<Self, StoreError> {
        let place = format!("authorities {}", row.id);
        let states = [AuthorityState::Active, AuthorityState::Retiring, AuthorityState::Retired];
        let state = states.into_iter().find(|state| state.as_str() == row.state);
        Ok(Self {
            id: super::authority(&place, &row.id)?,
            certificate: CertificateId::from_bytes(super::octets(&place, row.certificate_id)?),
            certificate_der: row.certificate_der,
            parent: row.parent.map(|parent| super::authority(&place, &parent)).transpose()?,
            key_home: match (row.key_home.as_str(), row.key_id) {
                (SEALED, Some(key_id)) => KeyHome::Sealed(key_id),
                (FILE, None) => KeyHome::File,
                (KMS, Some(arn)) => KeyHome::Kms(arn),
                (PKCS11, Some(uri)) => KeyHome::Pkcs11(uri),
                (ACM_PCA, Some(arn)) => KeyHome::AcmPca(arn),
                _ => return Err(inconsistent(&place, "a key home and key id that do not go together")),
            },
            state: state.ok_or_else(|| inconsistent(&place, "an unknown state"))?,
            issues_from: Timestamp::from_unix_millis(row.issues_from),
        })
    }
}

/// Puts every authority behind its parent. A parent that is not on record is no authority of ours, and in nobody's way.
pub(crate) fn parents_first(records: Vec<AuthorityRecord>) -> Result<Vec<AuthorityRecord>, StoreError> {
    let mut waiting: BTreeSet<AuthorityId> = records.iter().map(|record| record.id.clone()).collect();
    let mut ordered = Vec::with_capacity(records.len());
    let mut rest = records;
    while !rest.is_empty() {
        let ready = |record: &AuthorityRecord| record.parent.as_ref().is_none_or(|parent| !waiting.contains(parent));
        let (next, later): (Vec<_>, Vec<_>) = rest.into_iter().partition(ready);
        if next.is_empty() {
            return Err(inconsistent("authorities", "authorities that are each other's parents"));
        }
        for record in &next {
            waiting.remove(&record.id);
        }
        ordered.extend(next);
        rest = later;
    }
    Ok(ordered)
}

/// The columns `key_home` and `key_id` of an authority.
pub(crate) fn key_home_columns(key_home: &KeyHome) -> Result<(&'static str, Option<&str>), StoreError> {
    match key_home {
        KeyHome::Sealed(key_id) => Ok((SEALED, Some(key_id))),
        KeyHome::File => Ok((FILE, None)),
        KeyHome::Kms(arn) => Ok((KMS, Some(arn))),
        KeyHome::Pkcs11(uri) => Ok((PKCS11, Some(uri))),
        KeyHome::AcmPca(arn) => Ok((ACM_PCA, Some(arn))),
        other => Err(StoreError::Conflict { detail: format!("no column holds the key home {other:?}") }),
    }
}

/// Why a change of several settings is taken back.
pub(crate) fn unexpected_setting(setting: &SettingChange) -> StoreError {
    StoreError::Conflict { detail: format!("the setting {} is not as expected", setting.name) }
}

#[derive(FromRow)]
pub(crate) struct KeyRow {
    pub(crate) id: String,
    pub(crate) room: String,
    pub(crate) key_type: String,
    pub(crate) spki: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: i64,
}

impl TryFrom<KeyRow> for SealedKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let place = format!("sealed_keys {}", row.id);
        let rooms = [KeyRoom::Authorities, KeyRoom::Responders];
        let room = rooms.into_iter().find(|room| room.as_str() == row.room);
        Ok(Self {
            room: room.ok_or_else(|| inconsistent(&place, "an unknown room"))?,
            key_type: super::parse(&place, &row.key_type)?,
            id: row.id,
            spki: row.spki,
            sealed: row.sealed,
            created_at: Timestamp::from_unix_millis(row.created_at),
        })
    }
}

#[derive(FromRow)]
pub(crate) struct ResponderRow {
    pub(crate) authority: String,
    pub(crate) certificate_id: Vec<u8>,
    pub(crate) certificate_der: Vec<u8>,
    pub(crate) key_id: String,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
}

impl TryFrom<ResponderRow> for ResponderRecord {
    type Error = StoreError;

    fn try_from(row: ResponderRow) -> Result<Self, StoreError> {
        let certificate = CertificateId::from_bytes(super::octets("responders.certificate_id", row.certificate_id)?);
        Ok(Self {
            authority: super::authority(&format!("responders {certificate}"), &row.authority)?,
            certificate,
            certificate_der: row.certificate_der,
            key_id: row.key_id,
            validity: Validity {
                not_before: Timestamp::from_unix_millis(row.not_before),
                not_after: Timestamp::from_unix_millis(row.not_after),
            },
        })
    }
}

/// `authorities.key_home` of [`KeyHome::Sealed`].
const SEALED: &str = "sealed";
/// `authorities.key_home` of [`KeyHome::File`].
const FILE: &str = "file";
/// `authorities.key_home` of [`KeyHome::Kms`].
const KMS: &str = "kms";
/// `authorities.key_home` of [`KeyHome::Pkcs11`].
const PKCS11: &str = "pkcs11";
/// `authorities.key_home` of [`KeyHome::AcmPca`].
const ACM_PCA: &str = "acm-pca";
