//! Serials and where they stand.

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_core::revocation::{Revocation, Standing};
use ca_core::serial::Serial;
use ca_core::time::Timestamp;

use super::record::{Issuance, IssuanceState, Record};
use super::{MemoryStore, StoreMethod};
use crate::port::store::{
    ChangeOutcome, RevocationRow, SerialState, SerialStatus, StandingChange, StatusStore, StoreError,
};

#[async_trait]
impl StatusStore for MemoryStore {
    async fn status(&self, authority: &AuthorityId, serial: &Serial) -> Result<Option<SerialStatus>, StoreError> {
        let number = (authority.clone(), serial.clone());
        self.transact(StoreMethod::Status, |record, _| {
            let found = record.serials.get(&number).and_then(|id| record.issuances.get(id));
            Ok(found.map(serial_status))
        })
        .await
    }

    async fn change_standing(&self, change: StandingChange) -> Result<ChangeOutcome, StoreError> {
        self.transact(StoreMethod::ChangeStanding, |record, _| Ok(record.change_standing(change))).await
    }

    async fn revocation_sequence(&self) -> Result<u64, StoreError> {
        self.transact(StoreMethod::RevocationSequence, |record, _| Ok(record.revocation_sequence())).await
    }

    async fn revocations_after(&self, sequence: u64, limit: u32) -> Result<Vec<RevocationRow>, StoreError> {
        self.transact(StoreMethod::RevocationsAfter, |record, _| {
            let later = record.revocations.iter().filter(|row| row.sequence > sequence);
            Ok(later.take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn revoked_serials(
        &self,
        authority: &AuthorityId,
        not_after_from: Timestamp,
        after: Option<&Serial>,
        limit: u32,
    ) -> Result<Vec<(Serial, Revocation)>, StoreError> {
        self.transact(StoreMethod::RevokedSerials, |record, _| {
            let listed = record.revoked(authority, not_after_from);
            let following = listed.filter(|(serial, _)| after.is_none_or(|after| *serial > after));
            Ok(following.take(limit as usize).map(|(serial, revocation)| (serial.clone(), revocation)).collect())
        })
        .await
    }

    async fn count_revoked(&self, authority: &AuthorityId, not_after_from: Timestamp) -> Result<u64, StoreError> {
        self.transact(StoreMethod::CountRevoked, |record, _| {
            Ok(record.revoked(authority, not_after_from).count() as u64)
        })
        .await
    }

    async fn is_key_blocked(&self, spki_sha256: &[u8; 32]) -> Result<bool, StoreError> {
        self.transact(StoreMethod::IsKeyBlocked, |record, _| Ok(record.blocked_keys.contains(spki_sha256))).await
    }
}

impl Record {
    pub(super) fn change_standing(&mut self, change: StandingChange) -> ChangeOutcome {
        let Some(issuance) = self.issuances.get_mut(&change.id).filter(|_| !self.removed.contains(&change.id)) else {
            return ChangeOutcome::Stale;
        };
        match &mut issuance.state {
            IssuanceState::Issued { standing, .. } if *standing == change.from => *standing = change.to,
            _ => return ChangeOutcome::Stale,
        }
        let reservation = &issuance.reservation;
        let (authority, serial) = (reservation.authority.clone(), reservation.serial.clone());
        let not_after = reservation.validity.not_after;
        if let Some(since) = change.compromised_since {
            self.blocked_keys.insert(reservation.spki_sha256);
            let heirs = self.descendants(change.id, since);
            self.roles.retain(|(holder, _), _| !heirs.contains(holder));
        }
        let sequence = self.next_revocation(authority, serial, change.to, not_after);
        self.write_journal(change.journal);
        ChangeOutcome::Applied { sequence }
    }

    /// What a CRL of `authority` lists, in the order of serial octets.
    fn revoked(
        &self,
        authority: &AuthorityId,
        not_after_from: Timestamp,
    ) -> impl Iterator<Item = (&Serial, Revocation)> {
        let mut listed: Vec<_> = self
            .issuances
            .values()
            .filter(|issuance| issuance.reservation.authority == *authority)
            .filter(|issuance| issuance.reservation.validity.not_after >= not_after_from)
            .filter_map(|issuance| Some((&issuance.reservation.serial, revocation(issuance)?)))
            .collect();
        listed.sort_by_key(|(serial, _)| serial.as_bytes());
        listed.into_iter()
    }
}

fn serial_status(issuance: &Issuance) -> SerialStatus {
    let state = match &issuance.state {
        IssuanceState::Reserved => SerialState::Reserved,
        IssuanceState::Issued { standing, .. } => SerialState::Issued(*standing),
        IssuanceState::Abandoned(revocation) => SerialState::Abandoned(*revocation),
    };
    SerialStatus { certificate: issuance.reservation.id, state, not_after: issuance.reservation.validity.not_after }
}

fn revocation(issuance: &Issuance) -> Option<Revocation> {
    match &issuance.state {
        IssuanceState::Issued { standing: Standing::Revoked(revocation), .. }
        | IssuanceState::Abandoned(revocation) => Some(*revocation),
        IssuanceState::Issued { standing: Standing::Active, .. } | IssuanceState::Reserved => None,
    }
}
