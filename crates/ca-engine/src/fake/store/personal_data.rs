//! Personal data: nothing is encrypted here, but what would be, and under which version, is kept account of.

use async_trait::async_trait;
use ca_core::id::{CertificateId, ProfileName};
use ca_core::time::Timestamp;

use super::record::{HeldUnder, IssuanceState, Record};
use super::{MemoryStore, StoreMethod};
use crate::port::store::{
    ClearWalk, Journal, Lease, PersonalDataHolder, PersonalDataKeyVersion, PersonalDataStore, StoreError,
};

#[async_trait]
impl PersonalDataStore for MemoryStore {
    async fn personal_data_keys(&self) -> Result<Vec<PersonalDataKeyVersion>, StoreError> {
        self.transact(StoreMethod::PersonalDataKeys, |record, _| {
            record.first_key();
            let keys = record.personal_data_keys.iter();
            let version = |(version, created_at): (&u32, &Timestamp)| PersonalDataKeyVersion {
                version: *version,
                created_at: *created_at,
            };
            Ok(keys.map(version).collect())
        })
        .await
    }

    async fn personal_data_rows(&self, version: u32) -> Result<u64, StoreError> {
        self.transact(StoreMethod::PersonalDataRows, |record, _| Ok(record.rows_under(version))).await
    }

    async fn add_personal_data_key(&self, lease: &Lease, journal: Journal) -> Result<u32, StoreError> {
        self.transact(StoreMethod::AddPersonalDataKey, |record, now| {
            record.check_fence(lease)?;
            record.first_key();
            let version = record.newest_key() + 1;
            record.personal_data_keys.insert(version, now);
            record.write_journal(journal);
            Ok(version)
        })
        .await
    }

    async fn reseal_personal_data(
        &self,
        lease: &Lease,
        holder: PersonalDataHolder,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.transact(StoreMethod::ResealPersonalData, |record, _| {
            record.check_fence(lease)?;
            let newest = record.newest_key();
            let older = record.personal_data.iter().filter(|(_, held)| held.version < newest).map(|(id, _)| *id);
            let ids: Vec<_> = older.filter(|id| record.is_held_by(id, holder, None)).take(limit as usize).collect();
            for id in &ids {
                if let Some(held) = record.personal_data.get_mut(id) {
                    held.version = newest;
                }
            }
            Ok(ids.len() as u64)
        })
        .await
    }

    async fn seal_clear_personal_data(
        &self,
        lease: &Lease,
        holder: PersonalDataHolder,
        profile: &ProfileName,
        after: Option<[u8; 16]>,
        limit: u32,
    ) -> Result<ClearWalk, StoreError> {
        self.transact(StoreMethod::SealClearPersonalData, |record, _| {
            record.check_fence(lease)?;
            let mut ids = match holder {
                PersonalDataHolder::Tokens => record.tokens.keys().map(|id| *id.as_bytes()).collect::<Vec<_>>(),
                _ => record.issuances.keys().map(|id| *id.as_bytes()).collect(),
            };
            ids.retain(|id| after.is_none_or(|after| *id > after) && record.is_held_by(id, holder, Some(profile)));
            let more = ids.len() > limit as usize;
            ids.truncate(limit as usize);
            let clear: Vec<_> = ids.iter().copied().filter(|id| !record.personal_data.contains_key(id)).collect();
            for id in &clear {
                record.hold(*id, None);
            }
            Ok(ClearWalk { sealed: clear.len() as u64, next: if more { ids.last().copied() } else { None } })
        })
        .await
    }

    async fn drop_personal_data_keys(&self, lease: &Lease, journal: Journal) -> Result<u64, StoreError> {
        self.transact(StoreMethod::DropPersonalDataKeys, |record, _| {
            record.check_fence(lease)?;
            let newest = record.newest_key();
            let older = record.personal_data_keys.keys().copied().filter(|version| *version < newest);
            let unused: Vec<_> = older.filter(|version| record.rows_under(*version) == 0).collect();
            for version in &unused {
                record.personal_data_keys.remove(version);
            }
            if !unused.is_empty() {
                record.write_journal(journal);
            }
            Ok(unused.len() as u64)
        })
        .await
    }

    async fn audit_text(&self, certificate: CertificateId) -> Result<Option<Vec<u8>>, StoreError> {
        self.transact(StoreMethod::AuditText, |record, _| {
            Ok(record.personal_data.get(certificate.as_bytes()).and_then(|held| held.audit_text.clone()))
        })
        .await
    }

    async fn erase_audit_text(&self, certificate: CertificateId, journal: Journal) -> Result<bool, StoreError> {
        self.transact(StoreMethod::EraseAuditText, |record, _| {
            let held = record.personal_data.get_mut(certificate.as_bytes());
            let erased = held.and_then(|held| held.audit_text.take()).is_some();
            if erased {
                record.write_journal(journal);
            }
            Ok(erased)
        })
        .await
    }
}

impl Record {
    /// Keeps account of a row that is personal data.
    pub(super) fn hold(&mut self, id: [u8; 16], audit_text: Option<Vec<u8>>) {
        self.first_key();
        let version = self.newest_key();
        self.personal_data.insert(id, HeldUnder { version, audit_text });
    }

    /// The first version is there from the beginning.
    fn first_key(&mut self) {
        if self.personal_data_keys.is_empty() {
            self.personal_data_keys.insert(1, Timestamp::from_unix_seconds(0));
        }
    }

    fn newest_key(&self) -> u32 {
        self.personal_data_keys.keys().next_back().copied().unwrap_or(1)
    }

    fn rows_under(&self, version: u32) -> u64 {
        self.personal_data.values().filter(|held| held.version == version).count() as u64
    }

    /// Whether a row is one of these, and of this profile.
    fn is_held_by(&self, id: &[u8; 16], holder: PersonalDataHolder, profile: Option<&ProfileName>) -> bool {
        if holder == PersonalDataHolder::Tokens {
            let token = self.tokens.get(&ca_core::id::TokenId::from_bytes(*id));
            return token.is_some_and(|token| profile.is_none_or(|profile| token.binding.profile == *profile));
        }
        let id = CertificateId::from_bytes(*id);
        let Some(issuance) = self.issuances.get(&id).filter(|_| !self.removed.contains(&id)) else { return false };
        let of_profile = profile.is_none_or(|profile| issuance.reservation.profile == *profile);
        of_profile
            && match issuance.state {
                IssuanceState::Reserved => false,
                IssuanceState::Issued { .. } => holder == PersonalDataHolder::Certificates,
                IssuanceState::Abandoned(_) => holder == PersonalDataHolder::Reservations,
            }
    }
}
