//! Revocation of many: what is counted is what is revoked, wherever the work is cut off, and one list tells of it.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ca_core::audit::AuditAction;
use ca_core::id::CertificateId;
use ca_core::ocsp::CertStatus;
use ca_core::principal::{Principal, Role};
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::{StoreFault, StoreMethod};
use ca_engine::flow::bulk_revoke::{
    Advance, BulkFilter, BulkRevokeRequest, BulkSelection, LEASE_NAME, LIST_INTERVAL, MOST_NAMED, advance,
    begin_bulk_revocation, bulk_revocation, cancel_bulk_revocation, count_bulk_revocation, list_bulk_revocations,
};
use ca_engine::flow::publish_crl::is_due;
use ca_engine::flow::query::CertificateName;
use ca_engine::port::store::{BulkRevocation, BulkRevocationState, Lease, NameQuery, StoreError, StoredCertificate};
use futures::executor::block_on;

use crate::world::*;

const LOCAL: Principal = Principal::LocalOperator;

fn filter(filter: BulkFilter) -> BulkRevokeRequest {
    of(BulkSelection::Filter(filter))
}

fn servers() -> BulkRevokeRequest {
    filter(BulkFilter { profile: Some("server".parse().expect("a name")), ..BulkFilter::default() })
}

fn list(certificates: &[&StoredCertificate]) -> BulkRevokeRequest {
    of(BulkSelection::Certificates(
        certificates.iter().map(|certificate| CertificateName::Id(certificate.id)).collect(),
    ))
}

fn of(selection: BulkSelection) -> BulkRevokeRequest {
    BulkRevokeRequest {
        selection,
        reason: RevocationReason::Superseded,
        invalidity_date: None,
        request_id: Some("request-9".to_owned()),
    }
}

fn begin(world: &World, request: &BulkRevokeRequest, expected: u64) -> Result<BulkRevocation, FlowError> {
    block_on(begin_bulk_revocation(&world.engine, &LOCAL, request, expected, None))
}

fn lease(world: &World, holder: &str) -> Lease {
    let lease = block_on(world.store().acquire_lease(LEASE_NAME, holder, Lifetime::from_seconds(8)));
    lease.expect("the record answers").expect("a free lease")
}

/// Carries everything out that is running, and holds that it comes to its end.
async fn carry_out(engine: &Engine, lease: &Lease) -> Result<(), FlowError> {
    for operation in engine.store().running_bulk_revocations().await? {
        while let Advance::Batch(_) = advance(engine, lease, &operation).await? {}
    }
    Ok(())
}

fn finish(world: &World) {
    block_on(carry_out(&world.engine, &lease(world, "worker"))).expect("carried out");
}

fn on_record(world: &World, operation: &BulkRevocation) -> BulkRevocation {
    block_on(bulk_revocation(&world.engine, &LOCAL, operation.id)).expect("on record")
}

fn reason(world: &World, id: CertificateId) -> Option<RevocationReason> {
    match world.stored(id).expect("on record").standing {
        Standing::Active => None,
        Standing::Revoked(revocation) => Some(revocation.reason),
    }
}

fn events(world: &World, action: AuditAction) -> Vec<ca_core::audit::AuditEvent> {
    world.store.events().into_iter().filter(|event| event.action == action).collect()
}

#[test]
fn what_was_counted_is_revoked_each_with_an_event_of_its_own() {
    let world = World::new();
    let certificates: Vec<StoredCertificate> = (0..5).map(|_| world.issue()).collect();
    world.clock.advance(Lifetime::from_seconds(1));
    let count = block_on(count_bulk_revocation(&world.engine, &LOCAL, &servers())).expect("counted");
    assert_eq!((count.count, count.already_revoked, count.refused, count.internal), (5, 0, 0, 0));
    assert_eq!(count.shares.len(), 1);
    assert_eq!(count.examples.len(), 5);
    assert!(certificates.iter().all(|one| reason(&world, one.id).is_none()), "nothing is changed by counting");
    let later = world.issue();
    let pinned = filter(BulkFilter {
        profile: Some("server".parse().expect("a name")),
        issued_before: count.issued_before,
        ..BulkFilter::default()
    });
    let begun = begin(&world, &pinned, count.count).expect("begun");
    assert_eq!((begun.state, begun.revoked, begun.count), (BulkRevocationState::Running, 0, 5));
    finish(&world);
    let ended = on_record(&world, &begun);
    assert_eq!((ended.state, ended.revoked, ended.skipped), (BulkRevocationState::Completed, 5, 0));
    assert_eq!(ended.ended_at, Some(world.now()));
    for certificate in &certificates {
        let expected = CertStatus::Revoked { at: world.now(), reason: Some(RevocationReason::Superseded) };
        assert_eq!(world.status("tls", &certificate.serial), expected);
    }
    assert_eq!(reason(&world, later.id), None, "what was issued after the count stands");
    let told = events(&world, AuditAction::CertificateRevoked);
    assert_eq!(told.len(), 5);
    assert!(told.iter().all(|event| event.details["bulk_revocation"] == begun.id.to_string()));
    assert!(told.iter().all(|event| event.request_id.as_deref() == Some("request-9") && event.principal == "local"));
    let begun_event = &events(&world, AuditAction::BulkRevocationBegun)[0];
    assert_eq!((begun_event.details["count"].as_str(), begun_event.details["reason"].as_str()), ("5", "superseded"));
    let completed = &events(&world, AuditAction::BulkRevocationCompleted)[0];
    assert_eq!(completed.details["revoked"], "5");
    let messages = world.store.outbox();
    assert_eq!(messages.iter().filter(|message| message.topic == "certificate.revoked").count(), 5);
}

#[test]
fn nothing_is_revoked_when_another_number_fits_than_was_counted() {
    let world = World::new();
    let certificate = world.issue();
    world.issue();
    let refused = begin(&world, &servers(), 1).expect_err("two fit");
    assert_eq!(refused.kind, Kind::CountChanged);
    assert!(refused.message.contains("1 certificates") && refused.message.contains("2 fit"), "{refused}");
    assert_eq!(reason(&world, certificate.id), None);
    assert_eq!(block_on(world.store().running_bulk_revocations()), Ok(vec![]));
}

#[test]
fn a_filter_that_fits_everything_is_refused() {
    let world = World::new();
    let now = world.now();
    for wide in [
        BulkFilter::default(),
        BulkFilter { issued_before: Some(now), expires_before: Some(now.plus(HOUR)), ..BulkFilter::default() },
    ] {
        let counted = block_on(count_bulk_revocation(&world.engine, &LOCAL, &filter(wide.clone())));
        assert_eq!(codes(counted), ["filter-too-wide"]);
        assert_eq!(codes(begin(&world, &filter(wide), 0)), ["filter-too-wide"]);
    }
    let nothing = of(BulkSelection::Certificates(vec![]));
    assert_eq!(codes(begin(&world, &nothing, 0)), ["certificates-out-of-range"]);
    let name = CertificateName::Id(CertificateId::from_bytes([1; 16]));
    let too_many = of(BulkSelection::Certificates(vec![name; MOST_NAMED + 1]));
    assert_eq!(codes(begin(&world, &too_many, 0)), ["certificates-out-of-range"]);
}

#[test]
fn the_service_s_own_certificates_are_reached_by_their_profile_or_name_alone() {
    let world = World::new();
    let own = world.issue();
    world.clock.advance(Lifetime::from_seconds(1));
    let of_authority = BulkFilter { authority: Some(id("tls")), ..BulkFilter::default() };
    let count = block_on(count_bulk_revocation(&world.engine, &LOCAL, &filter(of_authority))).expect("counted");
    let responders = world.all_of("tls").into_iter().filter(|one| one.id != own.id).collect::<Vec<_>>();
    assert!(!responders.is_empty());
    assert_eq!((count.count, count.internal), (1, responders.len() as u64));
    let of_profile = BulkFilter { profile: Some(responders[0].profile.clone()), ..BulkFilter::default() };
    let count = block_on(count_bulk_revocation(&world.engine, &LOCAL, &filter(of_profile))).expect("counted");
    assert!(count.count >= 1 && count.internal == 0, "{count:?}");
    let named = block_on(count_bulk_revocation(&world.engine, &LOCAL, &list(&[&responders[0]]))).expect("counted");
    assert_eq!(named.count, 1);
}

#[test]
fn each_certificate_is_decided_as_a_single_revocation_is() {
    let world = World::new();
    let (one, administrator) = (world.issue(), world.issue());
    let registrar = holder(&administrator, &[Role::Registrar]);
    let responder = world.all_of("tls").into_iter().find(|found| found.profile != one.profile).expect("a responder");
    let request = list(&[&one, &responder, &one]);
    let count = block_on(count_bulk_revocation(&world.engine, &registrar, &request)).expect("counted");
    assert_eq!((count.count, count.refused, count.refused_first), (1, 1, vec![responder.id]));
    let begun = block_on(begin_bulk_revocation(&world.engine, &registrar, &request, 1, None)).expect("begun");
    assert_eq!((begun.refused, begun.refused_first.clone()), (1, vec![responder.id]));
    finish(&world);
    assert_eq!((reason(&world, one.id), reason(&world, responder.id)), (Some(RevocationReason::Superseded), None));
    let told = events(&world, AuditAction::CertificateRevoked);
    assert_eq!(told[0].principal, registrar.reference(), "whoever asked, not the job");
    let plain = holder(&administrator, &[]);
    for refused in [
        block_on(count_bulk_revocation(&world.engine, &plain, &list(&[&administrator]))).map(drop),
        block_on(begin_bulk_revocation(&world.engine, &plain, &list(&[&administrator]), 1, None)).map(drop),
        block_on(cancel_bulk_revocation(&world.engine, &plain, begun.id, None)).map(drop),
        block_on(bulk_revocation(&world.engine, &plain, begun.id)).map(drop),
        block_on(list_bulk_revocations(&world.engine, &plain, None, 10)).map(drop),
    ] {
        assert_eq!(refused.expect_err("a holder's role").kind, Kind::AccessDenied);
    }
}

#[test]
fn a_list_with_a_certificate_that_is_not_on_record_is_refused_whole() {
    let world = World::new();
    let one = world.issue();
    let unknown = CertificateName::Id(CertificateId::from_bytes([7; 16]));
    let known = CertificateName::Serial(one.authority.clone(), one.serial.clone());
    let refused = begin(&world, &of(BulkSelection::Certificates(vec![known, unknown])), 1).expect_err("unknown");
    assert_eq!(refused.faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), ["/certificates/1"]);
    assert_eq!(reason(&world, one.id), None);
}

#[test]
fn thousands_of_names_are_looked_up_side_by_side_and_each_once() {
    let world = World::new();
    let certificates: Vec<StoredCertificate> = (0..200).map(|_| world.issue()).collect();
    // Each certificate has two names, and each name is there ten times.
    let names = certificates.iter().flat_map(|one| {
        [CertificateName::Id(one.id), CertificateName::Serial(one.authority.clone(), one.serial.clone())]
    });
    let names: Vec<CertificateName> = names.collect();
    let mut names: Vec<_> = names.iter().cloned().cycle().take(4_000).collect();
    let request = of(BulkSelection::Certificates(names.clone()));
    let mut count = pin!(count_bulk_revocation(&world.engine, &LOCAL, &request));
    let mut context = Context::from_waker(Waker::noop());
    let mut polls = 0;
    let counted = loop {
        polls += 1;
        if let Poll::Ready(counted) = count.as_mut().poll(&mut context) {
            break counted.expect("counted");
        }
    };
    assert_eq!((counted.count, counted.already_revoked), (200, 0));
    // Every call of the record takes a turn of its own, unless others are under way in the same one.
    assert!(polls < 300, "400 look-ups, one after the other, take 400 turns; these took {polls}");
    // Wrong ones are told in the order of the list, each where it is named first.
    let unknown = |number| CertificateName::Id(CertificateId::from_bytes([number; 16]));
    names[20] = unknown(2);
    names[3_000] = unknown(1);
    names[3_500] = unknown(2);
    let refused = begin(&world, &of(BulkSelection::Certificates(names)), 200).expect_err("unknown");
    let pointers: Vec<&str> = refused.faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/certificates/20", "/certificates/3000"]);
}

#[test]
fn a_compromise_blocks_every_key_and_replaces_other_reasons() {
    let world = World::new();
    let keys = [key(), key(), key()];
    let certificates: Vec<_> = keys.iter().map(|key| world.issue_for(key)).collect();
    world.revoke(certificates[0].id, RevocationReason::Superseded).expect("revoked");
    world.revoke(certificates[1].id, RevocationReason::CertificateHold).expect("held");
    let compromised = BulkRevokeRequest { reason: RevocationReason::KeyCompromise, ..servers() };
    begin(&world, &compromised, 3).expect("begun");
    finish(&world);
    for (certificate, key) in certificates.iter().zip(&keys) {
        assert_eq!(reason(&world, certificate.id), Some(RevocationReason::KeyCompromise));
        assert_eq!(refused(world.ask(server(csr(key)))), Kind::KeyBlocked);
    }
}

#[test]
fn what_is_revoked_or_has_ended_already_is_not_counted() {
    let world = World::new();
    let [revoked, held, active] = [world.issue(), world.issue(), world.issue()];
    world.revoke(revoked.id, RevocationReason::AffiliationChanged).expect("revoked");
    world.revoke(held.id, RevocationReason::CertificateHold).expect("held");
    world.clock.advance(Lifetime::from_seconds(1));
    let count = block_on(count_bulk_revocation(&world.engine, &LOCAL, &servers())).expect("counted");
    assert_eq!((count.count, count.already_revoked), (2, 1), "any reason may end a hold");
    let begun = begin(&world, &servers(), 2).expect("begun");
    world.revoke(active.id, RevocationReason::PrivilegeWithdrawn).expect("revoked meanwhile");
    finish(&world);
    let ended = on_record(&world, &begun);
    assert_eq!((ended.revoked, ended.skipped), (1, 1));
    assert_eq!(reason(&world, active.id), Some(RevocationReason::PrivilegeWithdrawn));
    assert_eq!(reason(&world, held.id), Some(RevocationReason::Superseded));
    let fresh = World::new();
    let certificate = fresh.issue();
    fresh.clock.advance(certificate.validity.not_after.plus(HOUR).since(fresh.now()));
    let count = block_on(count_bulk_revocation(&fresh.engine, &LOCAL, &servers())).expect("counted");
    assert_eq!(count.count, 0, "what has ended is not reached by a filter");
    let count = block_on(count_bulk_revocation(&fresh.engine, &LOCAL, &list(&[&certificate]))).expect("counted");
    assert_eq!(count.count, 1, "but by its name");
}

#[test]
fn no_list_is_made_for_each_batch_and_one_when_it_has_ended() {
    let world = World::new();
    for _ in 0..6 {
        world.issue();
    }
    world.publish("tls").expect("a list");
    let due = || block_on(is_due(&world.engine, &id("tls"), Lifetime::from_days(1))).expect("the record answers");
    let begun = begin(&world, &servers(), 6).expect("begun");
    assert!(!due(), "nothing is revoked yet");
    let lease = lease(&world, "worker");
    block_on(advance(&world.engine, &lease, &begun)).expect("a batch");
    world.clock.advance(Lifetime::from_seconds(LIST_INTERVAL.seconds() - 1));
    assert!(!due(), "it would be stale at once");
    world.clock.advance(Lifetime::from_seconds(1));
    assert!(due(), "but nobody waits longer than this");
    world.publish("tls").expect("a list");
    assert!(!due());
    world.clock.advance(Lifetime::from_seconds(1));
    finish(&world);
    assert!(due(), "when it has ended, at once");
    world.publish("tls").expect("a list");
    assert_eq!(world.list("tls").entries().count(), 6);
    assert!(!due());
}

#[test]
fn a_bulk_revocation_of_one_authority_holds_up_no_other_s_list() {
    let world = World::new();
    let (one, other) = (world.issue(), world.issue());
    for authority in ["tls", "document"] {
        world.publish(authority).expect("a list");
    }
    begin(&world, &list(&[&one]), 1).expect("begun");
    let due = |authority: &str| block_on(is_due(&world.engine, &id(authority), HOUR)).expect("the record answers");
    world.revoke(other.id, RevocationReason::Superseded).expect("revoked");
    assert!(!due("tls") && !due("document"));
    let document = world.all_of("document").pop().expect("a responder");
    world.revoke(document.id, RevocationReason::Superseded).expect("revoked");
    assert!(due("document"));
}

#[test]
fn asking_again_with_the_same_idempotency_key_is_the_same_revocation() {
    let world = World::new();
    let (one, other) = (world.issue(), world.issue());
    let ask = |request: &BulkRevokeRequest, expected, key| {
        block_on(begin_bulk_revocation(&world.engine, &LOCAL, request, expected, Some(key)))
    };
    let first = ask(&list(&[&one]), 1, "once").expect("begun");
    finish(&world);
    let again = ask(&list(&[&one]), 1, "once").expect("the same");
    assert_eq!((again.id, again.state), (first.id, BulkRevocationState::Completed));
    assert_eq!(ask(&list(&[&other]), 1, "once").expect_err("another").kind, Kind::IdempotencyConflict);
    assert_eq!(reason(&world, other.id), None);
    assert_ne!(ask(&list(&[&other]), 1, "twice").expect("begun").id, first.id);
}

#[test]
fn a_name_that_was_asked_for_is_nowhere_on_record() {
    let world = World::new();
    world.issue();
    let name = "www.Secret-Name.example";
    let by_name = BulkFilter { name: Some(NameQuery::AnyName(name.to_owned())), ..BulkFilter::default() };
    let begun = begin(&world, &filter(by_name), 0).expect("begun");
    finish(&world);
    assert_eq!(begun.scope, "name=(not kept)");
    let told = format!("{begun:?} {:?} {:?}", world.store.events(), world.store.outbox()).to_lowercase();
    assert!(!told.contains("secret-name"), "{told}");
}

#[test]
fn it_is_canceled_and_what_was_revoked_stays_so() {
    let world = World::new();
    let certificates: Vec<StoredCertificate> = (0..4).map(|_| world.issue()).collect();
    let begun = begin(&world, &servers(), 4).expect("begun");
    block_on(advance(&world.engine, &lease(&world, "worker"), &begun)).expect("a batch");
    let canceled = block_on(cancel_bulk_revocation(&world.engine, &LOCAL, begun.id, Some("request-10")));
    let canceled = canceled.expect("canceled");
    assert_eq!((canceled.state, canceled.revoked), (BulkRevocationState::Canceled, 2));
    finish(&world);
    assert_eq!(certificates.iter().filter(|one| reason(&world, one.id).is_some()).count(), 2);
    block_on(cancel_bulk_revocation(&world.engine, &LOCAL, begun.id, None)).expect("harmless");
    assert_eq!(events(&world, AuditAction::BulkRevocationCanceled).len(), 1);
    let completed = begin(&world, &servers(), 2).expect("begun");
    finish(&world);
    let refused = block_on(cancel_bulk_revocation(&world.engine, &LOCAL, completed.id, None)).expect_err("too late");
    assert_eq!(refused.kind, Kind::BulkRevocationEnded);
    let unknown = ca_core::id::BulkRevocationId::from_bytes([1; 16]);
    let refused = block_on(cancel_bulk_revocation(&world.engine, &LOCAL, unknown, None)).expect_err("unknown");
    assert_eq!(refused.kind, Kind::NotFound);
}

#[test]
fn wherever_it_is_cut_off_another_process_revokes_the_rest_and_nothing_twice() {
    let mut cut_off_at = 0;
    loop {
        let world = World::new();
        let certificates: Vec<StoredCertificate> = (0..5).map(|_| world.issue()).collect();
        let begun = begin(&world, &servers(), 5).expect("begun");
        let first = lease(&world, "first");
        let done = {
            let mut work = pin!(carry_out(&world.engine, &first));
            let mut context = Context::from_waker(Waker::noop());
            (0..cut_off_at).any(|_| work.as_mut().poll(&mut context).is_ready())
        };
        // The process died; its lease ends.
        world.clock.advance(Lifetime::from_seconds(9));
        let engine = world.restarted();
        block_on(carry_out(&engine, &lease(&world, "second"))).expect("carried out");
        let ended = on_record(&world, &begun);
        assert_eq!((ended.state, ended.revoked, ended.skipped), (BulkRevocationState::Completed, 5, 0), "{cut_off_at}");
        for certificate in &certificates {
            assert_eq!(reason(&world, certificate.id), Some(RevocationReason::Superseded), "{cut_off_at}");
        }
        assert_eq!(events(&world, AuditAction::CertificateRevoked).len(), 5, "{cut_off_at}");
        assert_eq!(events(&world, AuditAction::BulkRevocationCompleted).len(), 1, "{cut_off_at}");
        if done {
            assert!(cut_off_at > 15, "it was cut off at every call of a port, not {cut_off_at} times");
            return;
        }
        cut_off_at += 1;
    }
}

#[test]
fn a_fault_of_any_call_is_made_good_by_the_next_run() {
    let methods = [
        StoreMethod::NextBatch,
        StoreMethod::Certificate,
        StoreMethod::ChangeBatch,
        StoreMethod::BulkRevocation,
        StoreMethod::EndBulkRevocation,
    ];
    let unavailable = StoreError::Unavailable { detail: "down".to_owned() };
    for method in methods {
        for fault in [StoreFault::BeforeCommit(unavailable.clone()), StoreFault::AcknowledgementLost] {
            let world = World::new();
            for _ in 0..5 {
                world.issue();
            }
            let begun = begin(&world, &servers(), 5).expect("begun");
            let lease = lease(&world, "worker");
            world.store.fail_next(method, fault.clone());
            assert!(block_on(carry_out(&world.engine, &lease)).is_err(), "{method:?} {fault:?}");
            block_on(carry_out(&world.engine, &lease)).expect("carried out");
            let ended = on_record(&world, &begun);
            let counts = (ended.state, ended.revoked, ended.skipped);
            assert_eq!(counts, (BulkRevocationState::Completed, 5, 0), "{method:?} {fault:?}");
            assert_eq!(events(&world, AuditAction::CertificateRevoked).len(), 5, "{method:?} {fault:?}");
        }
    }
}

#[test]
fn one_whose_lease_has_moved_on_changes_nothing() {
    let world = World::new();
    let certificate = world.issue();
    let begun = begin(&world, &servers(), 1).expect("begun");
    let late = lease(&world, "late");
    world.clock.advance(Lifetime::from_seconds(9));
    lease(&world, "new");
    let refused = block_on(advance(&world.engine, &late, &begun)).expect_err("fenced");
    assert_eq!(refused.kind, Kind::Overloaded);
    assert_eq!(reason(&world, certificate.id), None);
}

#[test]
fn a_lost_acknowledgement_of_the_beginning_is_found_on_record() {
    let world = World::new();
    world.issue();
    world.store.fail_next(StoreMethod::BeginBulkRevocation, StoreFault::AcknowledgementLost);
    let begun = begin(&world, &servers(), 1).expect("it is there");
    assert_eq!(on_record(&world, &begun), begun);
    let unavailable = StoreError::Unavailable { detail: "down".to_owned() };
    world.store.fail_next(StoreMethod::BeginBulkRevocation, StoreFault::BeforeCommit(unavailable));
    assert_eq!(begin(&world, &servers(), 1).expect_err("down").kind, Kind::Unavailable);
    assert_eq!(block_on(world.store().running_bulk_revocations()).expect("answers").len(), 1);
}

#[test]
fn an_invalidity_date_in_the_future_is_refused_at_the_beginning() {
    let world = World::new();
    world.issue();
    let request = BulkRevokeRequest { invalidity_date: Some(world.now().plus(HOUR)), ..servers() };
    assert_eq!(codes(begin(&world, &request, 1)), ["invalidity-date-in-future"]);
    assert_eq!(block_on(world.store().running_bulk_revocations()), Ok(vec![]));
}
