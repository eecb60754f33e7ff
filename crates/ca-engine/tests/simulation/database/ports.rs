//! Every method of the store port, as a call over a [`Connection`].

use async_trait::async_trait;
use ca_core::audit::AuditEvent;
use ca_core::crl::PartialScope;
use ca_core::id::{
    AuthorityId, BulkRevocationId, CertificateId, DeliveryId, ManagedCertificateId, ProfileName, SinkName, TokenId,
    WindowMoveId,
};
use ca_core::managed::definition::Deliverer;
use ca_core::month::Month;
use ca_core::principal::Role;
use ca_core::revocation::Revocation;
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::fake::StoreMethod;
use ca_engine::port::keyring::{KeyRoom, SealedKey};
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::store::*;

use super::Connection;

/// Methods of one room of the port. An argument that is borrowed is followed by what the call owns of it; after the bar stands the lease
/// it writes under, then what the transaction does with the record `store`.
macro_rules! room {
    ($room:ident { $(
        $method:ident = $call:ident($($argument:ident: $type:ty $(= $owned:expr)?),*) -> $answer:ty
        | $lease:expr, |$store:ident| $operation:expr;
    )* }) => {
        #[async_trait]
        impl $room for Connection {
            $(async fn $call(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                let lease: Option<Lease> = $lease;
                let $store = self.planted.clone();
                $($(let $argument = $owned;)?)*
                self.call(StoreMethod::$method, lease, async move { $operation.await }).await
            })*
        }
    };
}

room!(CertificateStore {
    Reserve = reserve(reservation: Reservation) -> ReserveOutcome
        | None, |store| store.reserve(reservation);
    Complete = complete(completion: Completion) -> CompleteOutcome
        | None, |store| store.complete(completion);
    Abandon = abandon(id: CertificateId, journal: Journal) -> bool
        | None, |store| store.abandon(id, journal);
    OpenReservations = open_reservations(before: Timestamp) -> Vec<OpenReservation>
        | None, |store| store.sound.open_reservations(before);
    Certificate = certificate(id: CertificateId) -> Option<StoredCertificate>
        | None, |store| store.sound.certificate(id);
    CertificateBySerial = certificate_by_serial(authority: &AuthorityId = authority.clone(), serial: &Serial = serial.clone())
        -> Option<StoredCertificate>
        | None, |store| store.sound.certificate_by_serial(&authority, &serial);
    List = list(filter: &CertificateFilter = filter.clone(), after: Option<PageCursor>, limit: u32)
        -> Page<StoredCertificate>
        | None, |store| store.sound.list(&filter, after, limit);
    Successor = successor(id: CertificateId) -> Option<CertificateId>
        | None, |store| store.sound.successor(id);
    Descendants = descendants(id: CertificateId, since: Timestamp) -> Vec<CertificateId>
        | None, |store| store.sound.descendants(id, since);
    DropExpiredIdempotency = drop_expired_idempotency(now: Timestamp) -> u64
        | None, |store| store.sound.drop_expired_idempotency(now);
});

room!(StatusStore {
    Status = status(authority: &AuthorityId = authority.clone(), serial: &Serial = serial.clone()) -> Option<SerialStatus>
        | None, |store| store.status(&authority, &serial);
    ChangeStanding = change_standing(change: StandingChange) -> ChangeOutcome
        | None, |store| store.change_standing(change);
    RevocationSequence = revocation_sequence() -> u64
        | None, |store| store.sound.revocation_sequence();
    RevocationsAfter = revocations_after(sequence: u64, limit: u32) -> Vec<RevocationRow>
        | None, |store| store.sound.revocations_after(sequence, limit);
    RevokedSerials = revoked_serials(
        authority: &AuthorityId = authority.clone(),
        not_after_from: Timestamp,
        after: Option<&Serial> = after.cloned(),
        limit: u32
    ) -> Vec<(Serial, Revocation)>
        | None, |store| store.revoked_serials(&authority, not_after_from, after.as_ref(), limit);
    CountRevoked = count_revoked(authority: &AuthorityId = authority.clone(), not_after_from: Timestamp) -> u64
        | None, |store| store.sound.count_revoked(&authority, not_after_from);
    IsKeyBlocked = is_key_blocked(spki_sha256: &[u8; 32] = *spki_sha256) -> bool
        | None, |store| store.sound.is_key_blocked(&spki_sha256);
});

room!(CrlStore {
    NewestCrl = newest_crl(authority: &AuthorityId = authority.clone()) -> Option<CrlRecord>
        | None, |store| store.sound.newest_crl(&authority);
    IntendCrl = intend_crl(lease: &Lease = lease.clone(), intent: CrlIntent) -> ()
        | Some(lease.clone()), |store| store.intend_crl(lease, intent);
    PublishCrl = publish_crl(
        lease: &Lease = lease.clone(),
        authority: &AuthorityId = authority.clone(),
        number: u64,
        der: ListOctets,
        journal: Journal
    ) -> ()
        | Some(lease.clone()), |store| store.publish_crl(lease, &authority, number, der, journal);
    PublishedCrl = published_crl(authority: &AuthorityId = authority.clone()) -> Option<PublishedCrl>
        | None, |store| store.sound.published_crl(&authority);
    PublishedNumbers = published_numbers() -> Vec<(AuthorityId, u64)>
        | None, |store| store.sound.published_numbers();
});

room!(PartialCrlStore {
    NewestPartialCrl = newest_partial_crl(authority: &AuthorityId = authority.clone(), scope: PartialScope)
        -> Option<PartialRecord>
        | None, |store| store.sound.newest_partial_crl(&authority, scope);
    IntendPartialCrl = intend_partial_crl(lease: &Lease = lease.clone(), intent: PartialIntent) -> ()
        | Some(lease.clone()), |store| store.intend_partial_crl(lease, intent);
    PublishPartialCrl = publish_partial_crl(
        lease: &Lease = lease.clone(),
        authority: &AuthorityId = authority.clone(),
        scope: PartialScope,
        number: u64,
        der: ListOctets,
        journal: Journal
    ) -> ()
        | Some(lease.clone()), |store| store.sound.publish_partial_crl(&lease, &authority, scope, number, der, journal);
    PublishedPartialCrl = published_partial_crl(authority: &AuthorityId = authority.clone(), scope: PartialScope)
        -> Option<PublishedPartial>
        | None, |store| store.sound.published_partial_crl(&authority, scope);
    PublishedPartialNumbers = published_partial_numbers() -> Vec<(AuthorityId, PartialScope, u64)>
        | None, |store| store.sound.published_partial_numbers();
    LastingCrl = lasting_crl(authority: &AuthorityId = authority.clone(), number: u64, at: Timestamp) -> Option<CrlIntent>
        | None, |store| store.sound.lasting_crl(&authority, number, at);
});

room!(AuthorityStore {
    Authorities = authorities() -> Vec<AuthorityRecord>
        | None, |store| store.sound.authorities();
    AddAuthority = add_authority(record: AuthorityRecord, journal: Journal) -> ()
        | None, |store| store.sound.add_authority(record, journal);
    ChangeAuthority = change_authority(id: &AuthorityId = id.clone(), from: Duty, to: Duty, journal: Journal) -> bool
        | None, |store| store.sound.change_authority(&id, from, to, journal);
    LastEnd = last_end(
        authority: &AuthorityId = authority.clone(),
        but: &[ProfileName] = but.to_vec(),
        from: Timestamp
    ) -> Option<Timestamp>
        | None, |store| store.sound.last_end(&authority, &but, from);
    DestroyKey = destroy_key(id: &str = id.to_owned(), journal: Journal) -> bool
        | None, |store| store.sound.destroy_key(&id, journal);
    AddKey = add_key(key: SealedKey) -> ()
        | None, |store| store.sound.add_key(key);
    Key = key(id: &str = id.to_owned()) -> Option<SealedKey>
        | None, |store| store.sound.key(&id);
    Keys = keys(room: KeyRoom) -> Vec<SealedKey>
        | None, |store| store.sound.keys(room);
    AddResponder = add_responder(lease: Option<&Lease> = lease.cloned(), record: ResponderRecord) -> ()
        | lease.cloned(), |store| store.sound.add_responder(lease.as_ref(), record);
    Responders = responders() -> Vec<ResponderRecord>
        | None, |store| store.sound.responders();
    Setting = setting(name: &str = name.to_owned()) -> Option<Vec<u8>>
        | None, |store| store.sound.setting(&name);
    SetSetting = set_setting(
        name: &str = name.to_owned(),
        expected: Option<&[u8]> = expected.map(<[u8]>::to_vec),
        value: &[u8] = value.to_vec()
    ) -> bool
        | None, |store| store.sound.set_setting(&name, expected.as_deref(), &value);
});

room!(AuditStore {
    AppendEvent = append_event(event: AuditEvent) -> ()
        | None, |store| store.sound.append_event(event);
    PendingEvents = pending_events(limit: u32) -> Vec<PendingEvent>
        | None, |store| store.sound.pending_events(limit);
    ChainHead = chain_head() -> ChainHead
        | None, |store| store.sound.chain_head();
    ChainEvents = chain_events(lease: &Lease = lease.clone(), head: &ChainHead = *head, links: Vec<ChainLink>) -> ()
        | Some(lease.clone()), |store| store.chain_events(lease, &head, links);
    EventsAfter = events_after(sequence: u64, filter: &EventFilter = filter.clone(), limit: u32)
        -> Vec<ChainedEvent>
        | None, |store| store.sound.events_after(sequence, &filter, limit);
});

room!(TokenStore {
    AddToken = add_token(token: TokenRecord, journal: Journal) -> ()
        | None, |store| store.sound.add_token(token, journal);
    Token = token(id: TokenId) -> Option<TokenRecord>
        | None, |store| store.sound.token(id);
    Tokens = tokens(after: Option<TokenId>, limit: u32) -> Vec<TokenRecord>
        | None, |store| store.sound.tokens(after, limit);
    WithdrawToken = withdraw_token(id: TokenId, journal: Journal) -> bool
        | None, |store| store.withdraw_token(id, journal);
});

room!(RoleStore {
    Holder = holder(shown: &ShownCertificate = shown.clone()) -> Option<Holder>
        | None, |store| store.sound.holder(&shown);
    Roles = roles(certificate: CertificateId) -> Vec<Role>
        | None, |store| store.sound.roles(certificate);
    RoleBindings = role_bindings() -> Vec<RoleBinding>
        | None, |store| store.sound.role_bindings();
    GrantRole = grant_role(binding: RoleBinding, journal: Journal) -> ()
        | None, |store| store.sound.grant_role(binding, journal);
    WithdrawRole = withdraw_role(certificate: CertificateId, role: Role, journal: Journal) -> bool
        | None, |store| store.sound.withdraw_role(certificate, role, journal);
});

room!(BulkRevocationStore {
    BeginBulkRevocation = begin_bulk_revocation(
        operation: BulkRevocation, batches: Vec<Vec<CertificateId>>, idempotency: Option<Idempotency>, journal: Journal
    ) -> BulkBeginning
        | None, |store| store.sound.begin_bulk_revocation(operation, batches, idempotency, journal);
    RepeatedBulkRevocation = repeated_bulk_revocation(idempotency: &Idempotency = idempotency.clone(), now: Timestamp)
        -> Option<BulkRepetition>
        | None, |store| store.sound.repeated_bulk_revocation(&idempotency, now);
    BulkRevocation = bulk_revocation(id: BulkRevocationId) -> Option<BulkRevocation>
        | None, |store| store.sound.bulk_revocation(id);
    BulkRevocations = bulk_revocations(after: Option<BulkRevocationId>, limit: u32) -> Vec<BulkRevocation>
        | None, |store| store.sound.bulk_revocations(after, limit);
    RunningBulkRevocations = running_bulk_revocations() -> Vec<BulkRevocation>
        | None, |store| store.sound.running_bulk_revocations();
    NextBatch = next_batch(id: BulkRevocationId) -> Option<BulkBatch>
        | None, |store| store.sound.next_batch(id);
    ChangeBatch = change_batch(lease: &Lease = lease.clone(), batch: BatchChange) -> BatchOutcome
        | Some(lease.clone()), |store| store.change_batch(&lease, batch);
    EndBulkRevocation = end_bulk_revocation(
        lease: Option<&Lease> = lease.cloned(), id: BulkRevocationId, journal: Journal
    ) -> bool
        | lease.cloned(), |store| store.sound.end_bulk_revocation(lease.as_ref(), id, journal);
});

room!(GatewayStore {
    Gateways = gateways() -> Vec<GatewayRecord>
        | None, |store| store.sound.gateways();
    Gateway = gateway(id: &str = id.to_owned()) -> Option<GatewayRecord>
        | None, |store| store.sound.gateway(&id);
    PutGateway = put_gateway(gateway: GatewayRecord, spoken_by: Option<CertificateId>, journal: Option<Journal>) -> ()
        | None, |store| store.sound.put_gateway(gateway, spoken_by, journal);
    RemoveGateway = remove_gateway(id: &str = id.to_owned(), journal: Journal) -> bool
        | None, |store| store.sound.remove_gateway(&id, journal);
});

room!(RenewalStore {
    AddWindowMove = add_window_move(window_move: WindowMove, journal: Journal) -> ()
        | None, |store| store.sound.add_window_move(window_move, journal);
    WindowMoves = window_moves() -> Vec<WindowMove>
        | None, |store| store.sound.window_moves();
    RemoveWindowMove = remove_window_move(id: WindowMoveId, journal: Journal) -> bool
        | None, |store| store.sound.remove_window_move(id, journal);
    NoteRepeatedRenewal = note_repeated_renewal(certificate: CertificateId, successor: CertificateId, journal: Journal) -> bool
        | None, |store| store.sound.note_repeated_renewal(certificate, successor, journal);
    UseNonce = use_nonce(nonce_sha256: [u8; 32], expires_at: Timestamp, now: Timestamp) -> bool
        | None, |store| store.sound.use_nonce(nonce_sha256, expires_at, now);
});

room!(ManagedStore {
    AddManaged = add_managed(managed: ManagedCertificate, journal: Journal) -> ManagedAddition
        | None, |store| store.sound.add_managed(managed, journal);
    Managed = managed(id: ManagedCertificateId) -> Option<ManagedCertificate>
        | None, |store| store.sound.managed(id);
    ManagedByName = managed_by_name(name: &str = name.to_owned()) -> Option<ManagedCertificate>
        | None, |store| store.sound.managed_by_name(&name);
    ManagedByTarget = managed_by_target(definition: &str = definition.to_owned()) -> Option<ManagedCertificateId>
        | None, |store| store.sound.managed_by_target(&definition);
    ManagedCertificates = managed_certificates(after: Option<&str> = after.map(str::to_owned), limit: u32)
        -> Vec<ManagedCertificate>
        | None, |store| store.sound.managed_certificates(after.as_deref(), limit);
    ChangeManaged = change_managed(
        lease: Option<&Lease> = lease.cloned(), managed: ManagedCertificate, journal: Option<Journal>
    ) -> bool
        | lease.cloned(), |store| store.sound.change_managed(lease.as_ref(), managed, journal);
    RemoveManaged = remove_managed(id: ManagedCertificateId, revision: u64, journal: Journal) -> bool
        | None, |store| store.sound.remove_managed(id, revision, journal);
    DueManaged = due_managed(who: Deliverer, now: Timestamp, limit: u32) -> Vec<ManagedCertificate>
        | None, |store| store.sound.due_managed(who, now, limit);
    CountManaged = count_managed(now: Timestamp) -> ManagedCounts
        | None, |store| store.sound.count_managed(now);
});

room!(NoticeStore {
    EndingCertificates = ending_certificates(after: (Timestamp, CertificateId), ends_before: Timestamp, limit: u32)
        -> Vec<EndingCertificate>
        | None, |store| store.sound.ending_certificates(after, ends_before, limit);
    ExpiryNotice = expiry_notice(certificate: CertificateId) -> Option<Lifetime>
        | None, |store| store.sound.expiry_notice(certificate);
    NoteExpiry = note_expiry(notice: ExpiryNotice, journal: Option<Journal>) -> bool
        | None, |store| store.sound.note_expiry(notice, journal);
    DropExpiryNotices = drop_expiry_notices(ended_before: Timestamp, limit: u32) -> u64
        | None, |store| store.sound.drop_expiry_notices(ended_before, limit);
});

room!(LeaseStore {
    AcquireLease = acquire_lease(name: &str = name.to_owned(), holder: &str = holder.to_owned(), lifetime: Lifetime)
        -> Option<Lease>
        | None, |store| store.acquire_lease(&name, &holder, lifetime);
    ReleaseLease = release_lease(lease: &Lease = lease.clone()) -> ()
        | Some(lease.clone()), |store| store.sound.release_lease(&lease);
});

room!(UpstreamStore {
    IntendUpstream = intend_upstream(intent: UpstreamIntent) -> bool
        | None, |store| store.intend_upstream(intent);
    NameUpstream = name_upstream(id: CertificateId, name: &str = name.to_owned()) -> ()
        | None, |store| store.name_upstream(id, &name);
    AdoptSerial = adopt_serial(id: CertificateId, serial: &Serial = serial.clone()) -> AdoptOutcome
        | None, |store| store.adopt_serial(id, &serial);
    OpenUpstream = open_upstream(before: Timestamp, after: Option<(Timestamp, CertificateId)>) -> Vec<OpenUpstream>
        | None, |store| store.sound.open_upstream(before, after);
    OpenUpstreamOf = open_upstream_of(id: CertificateId) -> Option<OpenUpstream>
        | None, |store| store.sound.open_upstream_of(id);
    ForgetSettledUpstream = forget_settled_upstream() -> u64
        | None, |store| store.sound.forget_settled_upstream();
});

room!(RestoreStore {
    RecordLostSerial = record_lost_serial(lost: LostSerial) -> bool
        | None, |store| store.record_lost_serial(lost);
    LeaveGaps = leave_gaps(gaps: Gaps) -> ()
        | None, |store| store.sound.leave_gaps(gaps);
});

room!(OutboxStore {
    UnassignedMessages = unassigned_messages(limit: u32) -> Vec<u64>
        | None, |store| store.sound.unassigned_messages(limit);
    AssignMessages = assign_messages(lease: &Lease = lease.clone(), assignments: Vec<Assignment>) -> ()
        | Some(lease.clone()), |store| store.assign_messages(lease, assignments);
    DropUnassigned = drop_unassigned(lease: &Lease = lease.clone(), before: Timestamp, limit: u32) -> u64
        | Some(lease.clone()), |store| store.sound.drop_unassigned(&lease, before, limit);
    DueDeliveries = due_deliveries(sink: &SinkName = sink.clone(), limit: u32) -> Vec<Delivery>
        | None, |store| store.due_deliveries(&sink, limit);
    SettleDeliveries = settle_deliveries(lease: &Lease = lease.clone(), settlements: Vec<Settlement>) -> ()
        | Some(lease.clone()), |store| store.settle_deliveries(lease, settlements);
    HastenDeliveries = hasten_deliveries(lease: &Lease = lease.clone(), sink: &SinkName = sink.clone()) -> u64
        | Some(lease.clone()), |store| store.sound.hasten_deliveries(&lease, &sink);
    Delivery = delivery(id: DeliveryId) -> Option<Delivery>
        | None, |store| store.sound.delivery(id);
    Deliveries = deliveries(dead: Option<bool>, after: Option<DeliveryId>, limit: u32) -> Vec<Delivery>
        | None, |store| store.sound.deliveries(dead, after, limit);
    ReplayDelivery = replay_delivery(id: DeliveryId, journal: Journal) -> bool
        | None, |store| store.sound.replay_delivery(id, journal);
    DropDeliveries = drop_deliveries(lease: &Lease = lease.clone(), before: Timestamp, limit: u32) -> u64
        | Some(lease.clone()), |store| store.sound.drop_deliveries(&lease, before, limit);
    Backlog = backlog(sink: &SinkName = sink.clone()) -> Backlog
        | None, |store| store.sound.backlog(&sink);
});

room!(RetentionStore {
    MonthsBefore = months_before(instant: Timestamp) -> Vec<Month>
        | None, |store| store.sound.months_before(instant);
    ReviewMonth = review_month(month: Month) -> Vec<MonthShare>
        | None, |store| store.sound.review_month(month);
    RemoveMonth = remove_month(lease: &Lease = lease.clone(), removal: MonthRemoval) -> RemovalOutcome
        | Some(lease.clone()), |store| store.sound.remove_month(&lease, removal);
    Removed = removed(id: CertificateId) -> Option<RemovedCertificate>
        | None, |store| store.sound.removed(id);
});

room!(PersonalDataStore {
    PersonalDataKeys = personal_data_keys() -> Vec<PersonalDataKeyVersion>
        | None, |store| store.sound.personal_data_keys();
    PersonalDataRows = personal_data_rows(version: u32) -> u64
        | None, |store| store.sound.personal_data_rows(version);
    AddPersonalDataKey = add_personal_data_key(lease: &Lease = lease.clone(), journal: Journal) -> u32
        | Some(lease.clone()), |store| store.sound.add_personal_data_key(&lease, journal);
    ResealPersonalData = reseal_personal_data(lease: &Lease = lease.clone(), holder: PersonalDataHolder, limit: u32) -> u64
        | Some(lease.clone()), |store| store.sound.reseal_personal_data(&lease, holder, limit);
    SealClearPersonalData = seal_clear_personal_data(
        lease: &Lease = lease.clone(),
        holder: PersonalDataHolder,
        profile: &ProfileName = profile.clone(),
        after: Option<[u8; 16]>,
        limit: u32
    ) -> ClearWalk
        | Some(lease.clone()), |store| store.sound.seal_clear_personal_data(&lease, holder, &profile, after, limit);
    DropPersonalDataKeys = drop_personal_data_keys(lease: &Lease = lease.clone(), journal: Journal) -> u64
        | Some(lease.clone()), |store| store.sound.drop_personal_data_keys(&lease, journal);
    AuditText = audit_text(certificate: CertificateId) -> Option<Vec<u8>>
        | None, |store| store.sound.audit_text(certificate);
    EraseAuditText = erase_audit_text(certificate: CertificateId, journal: Journal) -> bool
        | None, |store| store.sound.erase_audit_text(certificate, journal);
});

room!(Store {
    DatabaseTime = database_time() -> Timestamp
        | None, |store| store.database_time();
    Access = access() -> Access
        | None, |store| store.sound.access();
});
