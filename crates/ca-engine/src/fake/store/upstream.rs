//! Issuances that an issuer elsewhere was asked for.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_core::serial::Serial;
use ca_core::time::Timestamp;

use super::record::{IssuanceState, Record, UpstreamRow};
use super::{MemoryStore, StoreMethod};
use crate::port::store::{AdoptOutcome, OpenUpstream, StoreError, UpstreamIntent, UpstreamOrder, UpstreamStore};

/// How many are listed at once.
const MAX_LISTED: usize = 100;

#[async_trait]
impl UpstreamStore for MemoryStore {
    async fn intend_upstream(&self, intent: UpstreamIntent) -> Result<bool, StoreError> {
        self.transact(StoreMethod::IntendUpstream, |record, _| {
            let is_open = record.is_reserved(intent.id);
            if is_open {
                record.upstream.entry(intent.id).or_insert(UpstreamRow { intent, name: None });
            }
            Ok(is_open)
        })
        .await
    }

    async fn name_upstream(&self, id: CertificateId, name: &str) -> Result<(), StoreError> {
        self.transact(StoreMethod::NameUpstream, |record, _| match record.upstream.get_mut(&id) {
            Some(row) if row.name.as_deref().is_none_or(|there| there == name) => {
                row.name = Some(name.to_owned());
                Ok(())
            }
            _ => Err(StoreError::Conflict { detail: format!("issuance {id} has another name at its issuer, or none") }),
        })
        .await
    }

    async fn adopt_serial(&self, id: CertificateId, serial: &Serial) -> Result<AdoptOutcome, StoreError> {
        self.transact(StoreMethod::AdoptSerial, |record, _| record.adopt(id, serial)).await
    }

    async fn open_upstream(
        &self,
        before: Timestamp,
        after: Option<(Timestamp, CertificateId)>,
    ) -> Result<Vec<OpenUpstream>, StoreError> {
        self.transact(StoreMethod::OpenUpstream, |record, _| {
            let mut open: Vec<OpenUpstream> = record
                .upstream
                .values()
                .filter_map(|row| record.open_upstream(row))
                .filter(|open| open.reserved_at < before)
                .filter(|open| after.is_none_or(|after| (open.reserved_at, open.id) > after))
                .collect();
            open.sort_by_key(|open| (open.reserved_at, open.id));
            open.truncate(MAX_LISTED);
            Ok(open)
        })
        .await
    }

    async fn open_upstream_of(&self, id: CertificateId) -> Result<Option<OpenUpstream>, StoreError> {
        self.transact(StoreMethod::OpenUpstreamOf, |record, _| {
            Ok(record.upstream.get(&id).and_then(|row| record.open_upstream(row)))
        })
        .await
    }

    async fn forget_settled_upstream(&self) -> Result<u64, StoreError> {
        self.transact(StoreMethod::ForgetSettledUpstream, |record, _| {
            let settled: Vec<CertificateId> =
                record.upstream.keys().copied().filter(|id| !record.is_reserved(*id)).collect();
            for id in &settled {
                record.upstream.remove(id);
            }
            Ok(settled.len() as u64)
        })
        .await
    }
}

impl Record {
    fn is_reserved(&self, id: CertificateId) -> bool {
        self.issuances.get(&id).is_some_and(|issuance| matches!(issuance.state, IssuanceState::Reserved))
    }

    fn adopt(&mut self, id: CertificateId, serial: &Serial) -> Result<AdoptOutcome, StoreError> {
        if !self.is_reserved(id) {
            return Ok(AdoptOutcome::NotReserved);
        }
        let Some(issuance) = self.issuances.get_mut(&id) else { return Ok(AdoptOutcome::NotReserved) };
        let reservation = &mut issuance.reservation;
        if reservation.serial == *serial {
            return Ok(AdoptOutcome::Adopted);
        }
        if !reservation.serial.is_provisional() {
            return Err(StoreError::Conflict {
                detail: format!("reservation {id} has another serial of its issuer's"),
            });
        }
        let number = (reservation.authority.clone(), serial.clone());
        if self.serials.contains_key(&number) {
            return Ok(AdoptOutcome::SerialTaken);
        }
        let provisional = std::mem::replace(&mut reservation.serial, serial.clone());
        self.serials.remove(&(number.0.clone(), provisional));
        self.serials.insert(number, id);
        Ok(AdoptOutcome::Adopted)
    }

    fn open_upstream(&self, row: &UpstreamRow) -> Option<OpenUpstream> {
        let UpstreamRow { intent, name } = row;
        let reservation = &self.issuances.get(&intent.id).filter(|_| self.is_reserved(intent.id))?.reservation;
        Some(OpenUpstream {
            id: intent.id,
            authority: reservation.authority.clone(),
            serial: reservation.serial.clone(),
            profile: reservation.profile.clone(),
            requested_by: reservation.requested_by.clone(),
            renews: reservation.renews,
            reserved_at: reservation.reserved_at,
            order: intent.csr.clone().map(|csr| UpstreamOrder { csr, to_be_signed: reservation.to_be_signed.clone() }),
            inherit_roles: intent.inherit_roles,
            request_id: intent.request_id.clone(),
            asked_at: intent.asked_at,
            name: name.clone(),
        })
    }
}
