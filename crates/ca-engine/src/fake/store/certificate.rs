//! Certificates on record, listed and searched.

use std::collections::BTreeSet;

use async_trait::async_trait;
use ca_core::hash::sha256;
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::time::Timestamp;

use super::record::{IssuanceState, Record};
use super::{MemoryStore, StoreMethod};
use crate::port::store::{
    CertificateFilter, CertificateStore, CompleteOutcome, Completion, Journal, NameQuery, OpenReservation, Page,
    PageCursor, Reservation, ReserveOutcome, StatusFilter, StoreError, StoredCertificate,
};

#[async_trait]
impl CertificateStore for MemoryStore {
    async fn reserve(&self, reservation: Reservation) -> Result<ReserveOutcome, StoreError> {
        self.transact(StoreMethod::Reserve, |record, _| Ok(record.reserve(reservation))).await
    }

    async fn complete(&self, completion: Completion) -> Result<CompleteOutcome, StoreError> {
        self.transact(StoreMethod::Complete, |record, _| Ok(record.complete(completion))).await
    }

    async fn abandon(&self, id: CertificateId, journal: Journal) -> Result<bool, StoreError> {
        self.transact(StoreMethod::Abandon, |record, _| Ok(record.abandon(id, journal))).await
    }

    async fn open_reservations(&self, before: Timestamp) -> Result<Vec<OpenReservation>, StoreError> {
        self.transact(StoreMethod::OpenReservations, |record, _| Ok(record.open_reservations(before))).await
    }

    async fn certificate(&self, id: CertificateId) -> Result<Option<StoredCertificate>, StoreError> {
        self.transact(StoreMethod::Certificate, |record, _| Ok(record.stored(id))).await
    }

    async fn certificate_by_serial(
        &self,
        authority: &AuthorityId,
        serial: &Serial,
    ) -> Result<Option<StoredCertificate>, StoreError> {
        let number = (authority.clone(), serial.clone());
        self.transact(StoreMethod::CertificateBySerial, |record, _| {
            Ok(record.serials.get(&number).and_then(|id| record.stored(*id)))
        })
        .await
    }

    async fn list(
        &self,
        filter: &CertificateFilter,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<StoredCertificate>, StoreError> {
        self.transact(StoreMethod::List, |record, _| Ok(record.list(filter, after, limit))).await
    }

    async fn successor(&self, id: CertificateId) -> Result<Option<CertificateId>, StoreError> {
        self.transact(StoreMethod::Successor, |record, _| Ok(record.live_successor(id))).await
    }

    async fn descendants(&self, id: CertificateId, since: Timestamp) -> Result<Vec<CertificateId>, StoreError> {
        self.transact(StoreMethod::Descendants, |record, _| {
            Ok(record.descendants(id, since).into_iter().take(1_000).collect())
        })
        .await
    }

    async fn drop_expired_idempotency(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.transact(StoreMethod::DropExpiredIdempotency, |record, _| {
            let before = record.idempotency.len();
            record.idempotency.retain(|_, row| row.expires_at >= now);
            let dropped = (before - record.idempotency.len()) as u64;
            Ok(dropped + record.drop_expired_bulk_idempotency(now))
        })
        .await
    }
}

impl Record {
    /// The certificate of this id, when one was issued.
    pub(super) fn stored(&self, id: CertificateId) -> Option<StoredCertificate> {
        let issuance = self.issuances.get(&id).filter(|_| !self.removed.contains(&id))?;
        let IssuanceState::Issued { certificate, issued_at, standing } = &issuance.state else {
            return None;
        };
        let reservation = issuance.reservation.clone();
        Some(StoredCertificate {
            id,
            authority: reservation.authority,
            serial: reservation.serial,
            profile: reservation.profile,
            subject: reservation.subject,
            names: reservation.names,
            validity: reservation.validity,
            standing: *standing,
            spki_sha256: reservation.spki_sha256,
            fingerprint_sha256: sha256(certificate),
            der: certificate.clone(),
            owner: reservation.owner,
            requested_by: reservation.requested_by,
            issued_at: *issued_at,
            renews: reservation.renews,
        })
    }

    /// Whoever descends from a certificate by a renewal completed at `since` or after it.
    pub(super) fn descendants(&self, id: CertificateId, since: Timestamp) -> BTreeSet<CertificateId> {
        let heirs_of = |parent: CertificateId| {
            self.issuances.values().filter(move |heir| heir.reservation.renews == Some(parent)).filter_map(|heir| {
                match heir.state {
                    IssuanceState::Issued { issued_at, .. } => Some((heir.reservation.id, issued_at)),
                    _ => None,
                }
            })
        };
        let direct = heirs_of(id).filter(|(heir, issued_at)| *issued_at >= since || self.removed.contains(heir));
        let mut waiting: Vec<CertificateId> = direct.map(|(heir, _)| heir).collect();
        let mut found = BTreeSet::new();
        while let Some(heir) = waiting.pop() {
            if found.insert(heir) {
                waiting.extend(heirs_of(heir).map(|(further, _)| further));
            }
        }
        found
    }

    fn list(&self, filter: &CertificateFilter, after: Option<PageCursor>, limit: u32) -> Page<StoredCertificate> {
        let limit = limit.clamp(1, 1_000) as usize;
        let mut matching = self
            .issuances
            .keys()
            .rev()
            .filter(|id| after.is_none_or(|after| **id < after))
            .filter_map(|id| self.stored(*id))
            .filter(|certificate| matches_filter(certificate, filter));
        let items: Vec<_> = matching.by_ref().take(limit).collect();
        let more = matching.next().is_some();
        let next = items.last().filter(|_| more).map(|certificate| certificate.id);
        Page { items, next }
    }
}

fn matches_filter(certificate: &StoredCertificate, filter: &CertificateFilter) -> bool {
    fn wanted<T: PartialEq>(filter: Option<&T>, value: &T) -> bool {
        filter.is_none_or(|filter| filter == value)
    }
    filter.status.is_none_or(|status| status == status_at(certificate, filter.now))
        && wanted(filter.profile.as_ref(), &certificate.profile)
        && wanted(filter.authority.as_ref(), &certificate.authority)
        && filter.expires_before.is_none_or(|instant| certificate.validity.not_after < instant)
        && filter.ends_from.is_none_or(|instant| certificate.validity.not_after >= instant)
        && filter.issued_after.is_none_or(|instant| certificate.issued_at >= instant)
        && filter.issued_before.is_none_or(|instant| certificate.issued_at < instant)
        && wanted(filter.owner.as_ref(), &certificate.owner)
        && wanted(filter.serial.as_ref(), &certificate.serial)
        && filter.name.as_ref().is_none_or(|query| matches_name(certificate, query))
        && wanted(filter.spki_sha256.as_ref(), &certificate.spki_sha256)
}

fn status_at(certificate: &StoredCertificate, now: Timestamp) -> StatusFilter {
    match certificate.standing {
        Standing::Revoked(revocation) if revocation.reason == RevocationReason::CertificateHold => StatusFilter::Held,
        Standing::Revoked(_) => StatusFilter::Revoked,
        Standing::Active if now > certificate.validity.not_after => StatusFilter::Expired,
        Standing::Active => StatusFilter::Active,
    }
}

fn matches_name(certificate: &StoredCertificate, query: &NameQuery) -> bool {
    let same = |text: &str, wanted: &str| text.to_lowercase() == wanted.to_lowercase();
    match query {
        NameQuery::AnyName(wanted) => {
            certificate.names.iter().any(|name| same(&name.value_text(), wanted))
                || certificate.subject.common_names().iter().any(|name| same(name, wanted))
        }
        NameQuery::Subject(wanted) => same(&certificate.subject.to_rfc4514(), wanted),
    }
}
