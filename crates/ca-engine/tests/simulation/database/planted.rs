//! Bugs planted between the replicas and the record. Without one every call goes straight to the sound store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ca_core::id::{AuthorityId, CertificateId, TokenId};
use ca_core::revocation::{Revocation, Standing};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::fake::{CrlRow, IssuanceState, MemoryStore, Record};
use ca_engine::port::clock::Clock;
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::store::{
    AuditStore, BatchChange, BatchOutcome, BulkRevocationStore, CertificateStore, ChainHead, ChainLink, ChangeOutcome,
    CompleteOutcome, Completion, CrlIntent, CrlStore, Journal, Lease, LeaseStore, LostSerial, PartialCrlStore,
    PartialIntent, Reservation, ReserveOutcome, RestoreStore, SerialStatus, StandingChange, StatusStore, Store,
    StoreError, TokenStore,
};

use crate::lock;
use crate::planted_bug::PlantedBug;
use crate::replica::ReplicaClock;

/// The sound store, and what is wrong before it.
#[derive(Clone)]
pub(crate) struct Planted {
    /// The record itself.
    pub(crate) sound: MemoryStore,
    bug: Option<PlantedBug>,
    clock: ReplicaClock,
    copies: Arc<Mutex<BTreeMap<(AuthorityId, Serial), SerialStatus>>>,
}

impl Planted {
    pub(crate) fn new(sound: MemoryStore, bug: Option<PlantedBug>, clock: ReplicaClock) -> Self {
        Self { sound, bug, clock, copies: Arc::default() }
    }

    pub(super) fn has(&self, bug: PlantedBug) -> bool {
        self.bug == Some(bug)
    }

    pub(super) fn tables<T>(&self, tamper: impl FnOnce(&mut Record) -> T) -> T {
        self.sound.tables(tamper)
    }

    pub(super) async fn reserve(&self, mut reservation: Reservation) -> Result<ReserveOutcome, StoreError> {
        let id = reservation.id;
        let (renews, token) = (reservation.renews, reservation.token);
        match self.bug {
            Some(PlantedBug::ReservationAcknowledgedBeforeCommit) => {
                return self.sound.forked(Default::default()).reserve(reservation).await;
            }
            Some(PlantedBug::SerialReused) => {
                let number = (reservation.authority.clone(), reservation.serial.clone());
                self.tables(|record| record.serials.remove(&number));
            }
            Some(PlantedBug::IdempotencyForgotten) => {
                let scope = reservation.idempotency.as_ref().map(|idempotency| idempotency.scope_sha256);
                self.tables(|record| scope.map(|scope| record.idempotency.remove(&scope)));
            }
            Some(PlantedBug::SecondSuccessorAccepted) => reservation.renews = None,
            Some(PlantedBug::WithdrawnTokenAccepted) => {
                let usable = self.tables(|record| {
                    let token = record.tokens.get(&token?)?;
                    (token.used < token.uses && token.expires_at > reservation.reserved_at).then_some(())
                });
                reservation.token = token.filter(|_| usable.is_none());
            }
            _ => {}
        }
        let outcome = self.sound.reserve(reservation).await?;
        if outcome == ReserveOutcome::Reserved {
            self.tables(|record| {
                if let Some(issuance) = record.issuances.get_mut(&id) {
                    issuance.reservation.renews = renews;
                    issuance.reservation.token = token;
                }
                let missed = self.has(PlantedBug::WithdrawnTokenAccepted);
                if let Some(row) = token.and_then(|token| record.tokens.get_mut(&token)) {
                    row.used += u32::from(missed);
                    row.used -= u32::from(self.has(PlantedBug::TokenUseNotCounted));
                }
            });
        }
        Ok(outcome)
    }

    pub(super) async fn complete(&self, completion: Completion) -> Result<CompleteOutcome, StoreError> {
        let id = completion.id;
        match self.bug {
            Some(PlantedBug::CompletionAcknowledgedBeforeCommit) => {
                return self.sound.forked(Default::default()).complete(completion).await;
            }
            Some(PlantedBug::AbandonedReservationCompleted) => self.tables(|record| {
                let abandoned = |state: &IssuanceState| matches!(state, IssuanceState::Abandoned(_));
                if let Some(issuance) = record.issuances.get_mut(&id).filter(|issuance| abandoned(&issuance.state)) {
                    issuance.state = IssuanceState::Reserved;
                }
            }),
            Some(PlantedBug::PredecessorNotLookedAt) => {
                let take = |record: &mut Record| record.issuances.get_mut(&id)?.reservation.renews.take();
                let renews = self.tables(take);
                let outcome = self.sound.complete(completion).await;
                self.tables(|record| {
                    record.issuances.get_mut(&id).map(|issuance| issuance.reservation.renews = renews)
                });
                return outcome;
            }
            Some(PlantedBug::BlockedKeyCompleted) => {
                let blocked = self.tables(|record| std::mem::take(&mut record.blocked_keys));
                let outcome = self.sound.complete(completion).await;
                self.tables(|record| record.blocked_keys = blocked);
                return outcome;
            }
            _ => {}
        }
        self.sound.complete(completion).await
    }

    pub(super) async fn abandon(&self, id: CertificateId, journal: Journal) -> Result<bool, StoreError> {
        let abandoned = self.sound.abandon(id, journal).await?;
        if abandoned {
            self.tables(|record| match self.bug {
                Some(PlantedBug::AuditEventDropped) => {
                    record.events.pop();
                }
                Some(PlantedBug::TokenUseNotGivenBack) => {
                    let token = record.issuances.get(&id).and_then(|issuance| issuance.reservation.token);
                    if let Some(row) = token.and_then(|token| record.tokens.get_mut(&token)) {
                        row.used += 1;
                    }
                }
                _ => {}
            });
        }
        Ok(abandoned)
    }

    pub(super) async fn status(
        &self,
        authority: &AuthorityId,
        serial: &Serial,
    ) -> Result<Option<SerialStatus>, StoreError> {
        let number = (authority.clone(), serial.clone());
        let copy = lock(&self.copies).get(&number).cloned();
        let status = self.sound.status(authority, serial).await?;
        if let Some(status) = &status {
            lock(&self.copies).insert(number, status.clone());
        }
        Ok(copy.filter(|_| self.has(PlantedBug::StatusFromStaleCopy)).or(status))
    }

    pub(super) async fn change_standing(&self, mut change: StandingChange) -> Result<ChangeOutcome, StoreError> {
        let ends_hold = change.to == Standing::Active;
        match self.bug {
            Some(PlantedBug::KeyNotBlocked) => change.compromised_since = None,
            Some(PlantedBug::HoldEndOverwritesRevocation) if ends_hold => {
                let standing =
                    |record: &mut Record| record.issuances.get(&change.id).and_then(|found| found.standing());
                change.from = self.tables(standing).unwrap_or(change.from);
            }
            _ => {}
        }
        let roles = self.tables(|record| self.has(PlantedBug::RolesLeftToHeirs).then(|| record.roles.clone()));
        let outcome = self.sound.change_standing(change).await?;
        if let Some(roles) = roles {
            self.tables(|record| record.roles = roles);
        }
        if self.has(PlantedBug::SequenceNumberLost) && ends_hold && outcome != ChangeOutcome::Stale {
            self.tables(|record| record.revocations.last_mut().map(|row| row.sequence += 1));
        }
        Ok(outcome)
    }

    pub(super) async fn change_batch(&self, lease: &Lease, batch: BatchChange) -> Result<BatchOutcome, StoreError> {
        if self.has(PlantedBug::BatchSkippedOnResume) {
            // Whoever takes the work over begins one batch too late.
            let maker = format!("maker of {}", batch.id);
            let token = lease.token.to_be_bytes().to_vec();
            let before = self.tables(|record| record.settings.insert(maker, token.clone()));
            if before.is_some_and(|before| before != token) {
                self.tables(|record| record.bulk_revocations.get_mut(&batch.id)?.batches.remove(&batch.number));
                return Ok(BatchOutcome::Made { stale: Vec::new() });
            }
        }
        self.sound.change_batch(lease, batch).await
    }

    pub(super) async fn revoked_serials(
        &self,
        authority: &AuthorityId,
        not_after_from: Timestamp,
        after: Option<&Serial>,
        limit: u32,
    ) -> Result<Vec<(Serial, Revocation)>, StoreError> {
        let mut page = self.sound.revoked_serials(authority, not_after_from, after, limit).await?;
        let newest = self.tables(|record| record.revocations.last().map(|row| row.serial.clone()));
        match self.bug {
            Some(PlantedBug::RevokedPageLosesLast) if page.len() > 2 => {
                page.pop();
            }
            Some(PlantedBug::ShardLosesFirst) if after.is_some_and(|after| after.as_bytes().len() == 2) => {
                page.drain(..page.len().min(1));
            }
            Some(PlantedBug::SequenceBeforeRow) => page.retain(|(serial, _)| Some(serial) != newest.as_ref()),
            _ => {}
        }
        Ok(page)
    }

    /// The lease as it is believed: with the newest token where the fence is broken.
    pub(super) fn believed(&self, mut lease: Lease, broken: PlantedBug) -> Lease {
        if self.has(broken) {
            lease.token = self.tables(|record| record.leases.get(&lease.name).map_or(lease.token, |row| row.token));
        }
        lease
    }

    pub(super) async fn intend_crl(&self, lease: Lease, intent: CrlIntent) -> Result<(), StoreError> {
        let lease = self.believed(lease, PlantedBug::StaleLeaseWritesCrl);
        if self.has(PlantedBug::ListNumbersNotRaised) && intent.to_be_signed_sha256 == [0; 32] {
            return Ok(());
        }
        let outcome = self.sound.intend_crl(&lease, intent.clone()).await;
        if self.has(PlantedBug::CrlNumberNotRaised) && matches!(outcome, Err(StoreError::Conflict { .. })) {
            let number = (intent.authority.clone(), intent.number);
            self.tables(|record| record.crls.insert(number, CrlRow { intent, der: None }));
            return Ok(());
        }
        outcome
    }

    pub(super) async fn intend_partial_crl(&self, lease: Lease, intent: PartialIntent) -> Result<(), StoreError> {
        let lease = self.believed(lease, PlantedBug::StaleLeaseWritesCrl);
        let outcome = self.sound.intend_partial_crl(&lease, intent.clone()).await;
        if self.has(PlantedBug::PartialNumberNotRaised) && matches!(outcome, Err(StoreError::Conflict { .. })) {
            let key = (intent.crl.authority.clone(), intent.scope, intent.crl.number);
            self.tables(|record| record.partial_crls.insert(key, intent));
            return Ok(());
        }
        outcome
    }

    pub(super) async fn record_lost_serial(&self, lost: LostSerial) -> Result<bool, StoreError> {
        if self.has(PlantedBug::LostSerialLeftOut) {
            return Ok(true);
        }
        self.sound.record_lost_serial(lost).await
    }

    pub(super) async fn publish_crl(
        &self,
        lease: Lease,
        authority: &AuthorityId,
        number: u64,
        der: ListOctets,
        journal: Journal,
    ) -> Result<(), StoreError> {
        let lease = self.believed(lease, PlantedBug::StaleLeaseWritesCrl);
        self.sound.publish_crl(&lease, authority, number, der, journal).await
    }

    pub(super) async fn chain_events(
        &self,
        lease: Lease,
        head: &ChainHead,
        links: Vec<ChainLink>,
    ) -> Result<(), StoreError> {
        let lease = self.believed(lease, PlantedBug::StaleLeaseChains);
        self.sound.chain_events(&lease, head, links).await
    }

    pub(super) async fn withdraw_token(&self, id: TokenId, journal: Journal) -> Result<bool, StoreError> {
        self.sound.withdraw_token(id, journal).await
    }

    pub(super) async fn acquire_lease(
        &self,
        name: &str,
        holder: &str,
        lifetime: Lifetime,
    ) -> Result<Option<Lease>, StoreError> {
        let before = self.tables(|record| record.leases.get(name).map(|row| row.token));
        let mut lease = self.sound.acquire_lease(name, holder, lifetime).await?;
        if let (true, Some(lease), Some(token)) = (self.has(PlantedBug::LeaseTokenRepeated), &mut lease, before) {
            lease.token = token;
            self.tables(|record| record.leases.get_mut(name).map(|row| row.token = token));
        }
        Ok(lease)
    }

    pub(super) async fn database_time(&self) -> Result<Timestamp, StoreError> {
        let time = self.sound.database_time().await?;
        Ok(if self.has(PlantedBug::WrongClockUnseen) { self.clock.now() } else { time })
    }
}
