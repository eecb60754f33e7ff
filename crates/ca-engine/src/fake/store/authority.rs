//! Authorities, keys, responders and settings.

use async_trait::async_trait;
use ca_core::id::{AuthorityId, ProfileName};
use ca_core::time::Timestamp;

use super::record::{IssuanceState, Record};
use super::{MemoryStore, StoreMethod};
use crate::port::keyring::{KeyRoom, SealedKey};
use crate::port::store::{AuthorityRecord, AuthorityStore, Duty, Journal, Lease, ResponderRecord, StoreError};

#[async_trait]
impl AuthorityStore for MemoryStore {
    async fn authorities(&self) -> Result<Vec<AuthorityRecord>, StoreError> {
        self.transact(StoreMethod::Authorities, |record, _| {
            let mut authorities: Vec<_> = record.authorities.values().cloned().collect();
            authorities.sort_by_key(|authority| (record.depth(&authority.id), authority.id.clone()));
            Ok(authorities)
        })
        .await
    }

    async fn add_authority(&self, record: AuthorityRecord, journal: Journal) -> Result<(), StoreError> {
        let authority = record;
        self.transact(StoreMethod::AddAuthority, |record, _| {
            if record.authorities.contains_key(&authority.id) {
                return Err(StoreError::Conflict { detail: format!("authority {} exists", authority.id) });
            }
            record.authorities.insert(authority.id.clone(), authority);
            record.write_journal(journal);
            Ok(())
        })
        .await
    }

    async fn change_authority(
        &self,
        id: &AuthorityId,
        from: Duty,
        to: Duty,
        journal: Journal,
    ) -> Result<bool, StoreError> {
        self.transact(StoreMethod::ChangeAuthority, |record, _| {
            let Some(authority) = record.authorities.get_mut(id).filter(|authority| authority.duty() == from) else {
                return Ok(false);
            };
            (authority.state, authority.issues_from) = (to.state, to.issues_from);
            record.write_journal(journal);
            Ok(true)
        })
        .await
    }

    async fn last_end(
        &self,
        authority: &AuthorityId,
        but: &[ProfileName],
        from: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.transact(StoreMethod::LastEnd, |record, _| {
            let counts = |id: &&ca_core::id::CertificateId| !record.removed.contains(*id);
            let issuances = record.issuances.iter().filter(|(id, _)| counts(id)).map(|(_, issuance)| issuance);
            let of_authority = issuances.filter(|issuance| {
                let reservation = &issuance.reservation;
                reservation.authority == *authority
                    && !but.contains(&reservation.profile)
                    && !matches!(issuance.state, IssuanceState::Abandoned(_))
            });
            let ends = of_authority.map(|issuance| issuance.reservation.validity.not_after);
            Ok(ends.max().filter(|end| *end >= from))
        })
        .await
    }

    async fn destroy_key(&self, id: &str, journal: Journal) -> Result<bool, StoreError> {
        self.transact(StoreMethod::DestroyKey, |record, _| {
            let Some(key) = record.keys.get_mut(id).filter(|key| !key.sealed.is_empty()) else { return Ok(false) };
            key.sealed.clear();
            record.write_journal(journal);
            Ok(true)
        })
        .await
    }

    async fn add_key(&self, key: SealedKey) -> Result<(), StoreError> {
        self.transact(StoreMethod::AddKey, |record, _| {
            record.keys.entry(key.id.clone()).or_insert(key);
            Ok(())
        })
        .await
    }

    async fn key(&self, id: &str) -> Result<Option<SealedKey>, StoreError> {
        self.transact(StoreMethod::Key, |record, _| Ok(record.keys.get(id).cloned())).await
    }

    async fn keys(&self, room: KeyRoom) -> Result<Vec<SealedKey>, StoreError> {
        self.transact(StoreMethod::Keys, |record, _| {
            Ok(record.keys.values().filter(|key| key.room == room).cloned().collect())
        })
        .await
    }

    async fn add_responder(&self, lease: Option<&Lease>, record: ResponderRecord) -> Result<(), StoreError> {
        let responder = record;
        self.transact(StoreMethod::AddResponder, |record, _| {
            if let Some(lease) = lease {
                record.check_fence(lease)?;
            }
            record.responders.entry(responder.certificate).or_insert(responder);
            Ok(())
        })
        .await
    }

    async fn responders(&self) -> Result<Vec<ResponderRecord>, StoreError> {
        self.transact(StoreMethod::Responders, |record, now| {
            let valid = record.responders.values().filter(|responder| responder.validity.not_after >= now);
            let mut valid: Vec<_> = valid.cloned().collect();
            valid.sort_by_key(|responder| (responder.validity.not_before, responder.certificate));
            Ok(valid)
        })
        .await
    }

    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.transact(StoreMethod::Setting, |record, _| Ok(record.settings.get(name).cloned())).await
    }

    async fn set_setting(&self, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, StoreError> {
        self.transact(StoreMethod::SetSetting, |record, _| {
            if record.settings.get(name).map(Vec::as_slice) != expected {
                return Ok(false);
            }
            record.settings.insert(name.to_owned(), value.to_vec());
            Ok(true)
        })
        .await
    }
}

impl Record {
    /// How many parents lie above an authority; a loop, which no flow makes, ends where it began.
    fn depth(&self, id: &AuthorityId) -> usize {
        let mut depth = 0;
        let mut current = self.authorities.get(id);
        while let Some(parent) = current.and_then(|authority| authority.parent.as_ref()) {
            if depth > self.authorities.len() {
                break;
            }
            depth += 1;
            current = self.authorities.get(parent);
        }
        depth
    }
}
