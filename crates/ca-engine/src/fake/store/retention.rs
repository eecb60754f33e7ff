//! Removal of what has expired.

use std::collections::BTreeMap;

use async_trait::async_trait;
use ca_core::hash::{Sha256, sha256};
use ca_core::id::CertificateId;
use ca_core::month::Month;
use ca_core::time::Timestamp;

use super::record::{Issuance, IssuanceState, Record};
use super::{MemoryStore, StoreMethod};
use crate::port::store::{
    Journal, KeptFor, LEAST_RETENTION, Lease, MonthRemoval, MonthShare, RemovalOutcome, RemovedCertificate,
    RetentionStore, StoreError,
};

#[async_trait]
impl RetentionStore for MemoryStore {
    async fn months_before(&self, instant: Timestamp) -> Result<Vec<Month>, StoreError> {
        self.transact(StoreMethod::MonthsBefore, |record, _| {
            let mut months: Vec<_> = record.on_record().map(|(_, issuance)| month_of(issuance)).collect();
            months.sort_unstable();
            months.dedup();
            months.retain(|month| month.end() <= instant);
            Ok(months)
        })
        .await
    }

    async fn review_month(&self, month: Month) -> Result<Vec<MonthShare>, StoreError> {
        self.transact(StoreMethod::ReviewMonth, |record, _| {
            let mut shares = BTreeMap::new();
            for (id, issuance) in record.on_record().filter(|(_, issuance)| month_of(issuance) == month) {
                *shares.entry((issuance.reservation.profile.clone(), record.kept_for(*id))).or_default() += 1;
            }
            let share = |((profile, kept_for), certificates)| MonthShare { profile, kept_for, certificates };
            Ok(shares.into_iter().map(share).collect())
        })
        .await
    }

    async fn remove_month(&self, lease: &Lease, removal: MonthRemoval) -> Result<RemovalOutcome, StoreError> {
        self.transact(StoreMethod::RemoveMonth, |record, now| record.remove_month(lease, removal, now)).await
    }

    async fn removed(&self, id: CertificateId) -> Result<Option<RemovedCertificate>, StoreError> {
        self.transact(StoreMethod::Removed, |record, _| {
            let removed = record.issuances.get(&id).filter(|_| record.removed.contains(&id));
            Ok(removed.map(|issuance| RemovedCertificate {
                authority: issuance.reservation.authority.clone(),
                serial: issuance.reservation.serial.clone(),
                not_after: issuance.reservation.validity.not_after,
            }))
        })
        .await
    }
}

fn month_of(issuance: &Issuance) -> Month {
    Month::of(issuance.reservation.validity.not_after)
}

impl Record {
    /// The certificates that are on record.
    fn on_record(&self) -> impl Iterator<Item = (&CertificateId, &Issuance)> {
        self.issuances.iter().filter(|(id, issuance)| issuance.standing().is_some() && !self.removed.contains(id))
    }

    fn kept_for(&self, id: CertificateId) -> Option<KeptFor> {
        let is_open = |issuance: &&Issuance| matches!(issuance.state, IssuanceState::Reserved);
        let subject = format!("certificate:{id}");
        KeptFor::ALL.into_iter().find(|reason| match reason {
            KeptFor::Authority => self.authorities.values().any(|authority| authority.certificate == id),
            KeptFor::Responder => self.responders.contains_key(&id),
            KeptFor::Role => self.roles.keys().any(|(bound, _)| *bound == id),
            KeptFor::Renewal => self.issuances.values().filter(is_open).any(|open| open.reservation.renews == Some(id)),
            KeptFor::Message => {
                self.unassigned.values().any(|queued| queued.message.certificate == Some(id))
                    || self.deliveries.values().any(|delivery| delivery.certificate == Some(id))
            }
            KeptFor::Event => self.events.iter().any(|row| !row.chained && row.event.subject == subject),
        })
    }

    fn remove_month(
        &mut self,
        lease: &Lease,
        removal: MonthRemoval,
        now: Timestamp,
    ) -> Result<RemovalOutcome, StoreError> {
        let month = removal.month;
        if month.end().plus(LEAST_RETENTION) > now {
            return Err(StoreError::Conflict { detail: format!("the month {month} has not ended long enough ago") });
        }
        self.check_fence(lease)?;
        let of_month: Vec<_> = self
            .on_record()
            .filter(|(_, issuance)| month_of(issuance) == month)
            .map(|(id, issuance)| (*id, issuance.reservation.profile.clone()))
            .collect();
        let may_go =
            |(id, profile): &&(CertificateId, _)| removal.profiles.contains(profile) && self.kept_for(*id).is_none();
        let removed: Vec<CertificateId> = of_month.iter().filter(may_go).map(|(id, _)| *id).collect();
        if removed.is_empty() {
            return Ok(RemovalOutcome::Nothing);
        }
        let is_under_way =
            |issuance: &Issuance| matches!(issuance.state, IssuanceState::Reserved) && month_of(issuance) == month;
        if self.issuances.values().any(is_under_way) {
            return Ok(RemovalOutcome::Busy);
        }
        let mut fingerprints = Vec::new();
        for id in &removed {
            if let Some(IssuanceState::Issued { certificate, .. }) =
                self.issuances.get_mut(id).map(|issuance| &mut issuance.state)
            {
                fingerprints.push(sha256(&std::mem::take(certificate)));
            }
            self.personal_data.remove(id.as_bytes());
            self.removed.insert(*id);
        }
        fingerprints.sort_unstable();
        let mut digest = Sha256::new();
        fingerprints.iter().for_each(|fingerprint| digest.update(fingerprint));
        let (gone, kept) = (removed.len() as u64, (of_month.len() - removed.len()) as u64);
        self.write_journal(Journal::of(removal.event(gone, kept, &digest.finish())));
        Ok(RemovalOutcome::Removed { removed: gone, kept })
    }
}
