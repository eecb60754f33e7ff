//! Revocation, hold and release: what is legal, what races, and what a compromised key takes with it.

use ca_core::audit::AuditAction;
use ca_core::id::CertificateId;
use ca_core::ocsp::CertStatus;
use ca_core::principal::{Principal, Role};
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::{StoreFault, StoreMethod};
use ca_engine::flow::query::sharing_key;
use ca_engine::flow::revoke::{Reach, RevokeRequest, revoke, unhold};
use ca_engine::flow::role::grant_role;
use ca_engine::port::store::{StoreError, StoredCertificate};
use futures::executor::block_on;

use crate::world::*;

fn request(certificate: CertificateId, reason: RevocationReason) -> RevokeRequest {
    RevokeRequest { certificate, reason, invalidity_date: None, request_id: Some("request-2".to_owned()) }
}

fn release(world: &World, id: CertificateId) -> Result<StoredCertificate, FlowError> {
    block_on(unhold(&world.engine, &Principal::LocalOperator, id, None))
}

fn reason_of(standing: Standing) -> Option<(RevocationReason, Timestamp)> {
    match standing {
        Standing::Active => None,
        Standing::Revoked(revocation) => Some((revocation.reason, revocation.revoked_at)),
    }
}

#[test]
fn one_commit_changes_state_sequence_audit_and_outbox() {
    let world = World::new();
    let stored = world.issue();
    let (events, sequence) =
        (world.store.events().len(), block_on(world.store().revocation_sequence()).expect("a record"));
    let request = request(stored.id, RevocationReason::Superseded);
    let revoked = block_on(revoke(&world.engine, &holder(&stored, &[]), &request)).expect("its own").certificate;
    assert_eq!(reason_of(revoked.standing), Some((RevocationReason::Superseded, world.now())));
    assert_eq!(world.stored(stored.id), Some(revoked));
    let expected = CertStatus::Revoked { at: world.now(), reason: Some(RevocationReason::Superseded) };
    assert_eq!(world.status("tls", &stored.serial), expected, "no answer says good from here on");
    assert_eq!(block_on(world.store().revocation_sequence()), Ok(sequence + 1));
    let events = &world.store.events()[events..];
    assert_eq!(events.iter().map(|event| event.action).collect::<Vec<_>>(), [AuditAction::CertificateRevoked]);
    assert_eq!(events[0].request_id.as_deref(), Some("request-2"));
    assert_eq!(world.store.outbox().pop().expect("a message").topic, "certificate.revoked");
}

#[test]
fn revoking_again_with_the_same_reason_is_done_and_with_another_a_conflict() {
    let world = World::new();
    let stored = world.issue();
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    let events = world.store.events().len();
    world.clock.advance(HOUR);
    let again = world.revoke(stored.id, RevocationReason::Superseded).expect("done already");
    assert_eq!(reason_of(again.standing), Some((RevocationReason::Superseded, world.now().minus(HOUR))));
    let error = world.revoke(stored.id, RevocationReason::PrivilegeWithdrawn).expect_err("a conflict");
    assert_eq!(error.kind, Kind::AlreadyRevoked);
    assert!(error.message.contains("superseded"), "{}", error.message);
    assert_eq!(world.store.events().len(), events, "nothing happened");
}

#[test]
fn key_compromise_replaces_a_reason_keeps_the_date_and_blocks_the_key() {
    let world = World::new();
    let key = key();
    let stored = world.issue_for(&key);
    let at = world.now();
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    world.issue_for(&key);
    world.clock.advance(DAY);
    let upgraded = world.revoke(stored.id, RevocationReason::KeyCompromise).expect("an upgrade");
    assert_eq!(reason_of(upgraded.standing), Some((RevocationReason::KeyCompromise, at)));
    assert_eq!(refused(world.ask(server(csr(&key)))), Kind::KeyBlocked);
    let event = world.store.events().pop().expect("an event");
    assert_eq!(event.details.get("earlier_reason").map(String::as_str), Some("superseded"));
    assert_eq!(refused(world.revoke(stored.id, RevocationReason::Superseded)), Kind::AlreadyRevoked, "no way back");
}

#[test]
fn a_compromised_key_names_its_other_certificates_which_stand_until_revoked() {
    let world = World::new();
    let key = key();
    let [first, second, held, gone] = [(); 4].map(|()| world.issue_for(&key));
    let stranger = world.issue();
    world.revoke(held.id, RevocationReason::CertificateHold).expect("held");
    world.revoke(gone.id, RevocationReason::Superseded).expect("revoked");
    let compromised = world.revoke(first.id, RevocationReason::KeyCompromise).expect("revoked");
    let event = world.store.events().pop().expect("an event");
    let named = event.details.get("same_key").expect("the others");
    assert!(named.contains(&second.id.to_string()) && named.contains(&held.id.to_string()));
    assert!(!named.contains(&gone.id.to_string()) && !named.contains(&stranger.id.to_string()));
    assert!(world.store.outbox().pop().expect("a message").payload.contains(&second.id.to_string()));
    assert_eq!(world.status("tls", &second.serial), CertStatus::Good);
    let registrar = holder(&stranger, &[Role::Registrar]);
    let others = block_on(sharing_key(&world.engine, &registrar, &compromised)).expect("a registrar may know");
    assert_eq!(others.len(), 3);
    assert_eq!(refused(block_on(sharing_key(&world.engine, &holder(&second, &[]), &compromised))), Kind::AccessDenied);
    assert_eq!(refused(release(&world, held.id)), Kind::KeyBlocked, "a hold does not end on a compromised key");
    world.revoke(second.id, RevocationReason::KeyCompromise).expect("revoked in turn");
}

/// An administrator's certificate, and its successor, made when half of its life had passed.
fn administrators(world: &World) -> (StoredCertificate, StoredCertificate) {
    let first = world.issue();
    block_on(grant_role(&world.engine, &Principal::LocalOperator, first.id, Role::Administrator)).expect("granted");
    world.clock.advance(Lifetime::from_days(45));
    let second = world.renew(&holder(&first, &[Role::Administrator]), &first).expect("renewed");
    assert_eq!(block_on(world.store().roles(second.id)), Ok(vec![Role::Administrator]));
    (first, second)
}

/// Who stole an administrator's key may have renewed the certificate with a key of its own before the theft was seen.
#[test]
fn a_compromise_names_the_successors_and_takes_their_roles() {
    let world = World::new();
    let (stolen, heir) = administrators(&world);
    let request = request(stolen.id, RevocationReason::KeyCompromise);
    let revoked = block_on(revoke(&world.engine, &Principal::LocalOperator, &request)).expect("revoked");
    assert_eq!(revoked.reach, Reach { same_key: Vec::new(), successors: vec![heir.id] });
    assert_eq!(block_on(world.store().roles(heir.id)), Ok(Vec::new()));
    let event = world.store.events().pop().expect("an event");
    assert_eq!(event.details.get("successors"), Some(&heir.id.to_string()));
    assert!(world.store.outbox().pop().expect("a message").payload.contains(&heir.id.to_string()));
    let again = block_on(revoke(&world.engine, &Principal::LocalOperator, &request)).expect("done already");
    assert_eq!(again, revoked, "who asks again learns the same");
    world.revoke(heir.id, RevocationReason::KeyCompromise).expect("revoked in turn");
    let nothing = block_on(revoke(&world.engine, &Principal::LocalOperator, &request)).expect("done already").reach;
    assert_eq!(nothing, Reach::default());
}

#[test]
fn a_renewal_before_the_invalidity_date_keeps_its_roles() {
    let world = World::new();
    let (lost, heir) = administrators(&world);
    world.clock.advance(HOUR);
    let request =
        RevokeRequest { invalidity_date: Some(world.now()), ..request(lost.id, RevocationReason::KeyCompromise) };
    let revoked = block_on(revoke(&world.engine, &Principal::LocalOperator, &request)).expect("revoked");
    assert_eq!(revoked.reach, Reach::default());
    assert_eq!(block_on(world.store().roles(heir.id)), Ok(vec![Role::Administrator]));
}

#[test]
fn a_hold_ends_or_becomes_a_revocation() {
    let world = World::new();
    let stored = world.issue();
    let held_at = world.now();
    world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
    assert!(matches!(world.status("tls", &stored.serial), CertStatus::Revoked { .. }));
    release(&world, stored.id).expect("released");
    assert_eq!(world.status("tls", &stored.serial), CertStatus::Good);
    assert_eq!(world.store.events().pop().expect("an event").action, AuditAction::CertificateReleased);
    assert_eq!(world.store.outbox().pop().expect("a message").topic, "certificate.released");
    assert_eq!(refused(release(&world, stored.id)), Kind::NotHeld);
    world.revoke(stored.id, RevocationReason::CertificateHold).expect("held again");
    world.clock.advance(HOUR);
    let revoked = world.revoke(stored.id, RevocationReason::AffiliationChanged).expect("for good");
    assert_eq!(reason_of(revoked.standing), Some((RevocationReason::AffiliationChanged, held_at)));
}

#[test]
fn what_is_revoked_can_be_neither_held_nor_released() {
    let world = World::new();
    let stored = world.issue();
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    assert_eq!(refused(world.revoke(stored.id, RevocationReason::CertificateHold)), Kind::AlreadyRevoked);
    assert_eq!(refused(release(&world, stored.id)), Kind::AlreadyRevoked);
}

#[test]
fn an_invalidity_date_lies_in_the_past_and_goes_on_record() {
    let world = World::new();
    let stored = world.issue();
    let mut request = request(stored.id, RevocationReason::KeyCompromise);
    request.invalidity_date = Some(world.now().plus(HOUR));
    let outcome = block_on(revoke(&world.engine, &Principal::LocalOperator, &request));
    assert_eq!(codes(outcome), ["invalidity-date-in-future"]);
    request.invalidity_date = Some(world.now().minus(DAY));
    block_on(revoke(&world.engine, &Principal::LocalOperator, &request)).expect("revoked");
    let entry = world.list("tls").find(&stored.serial).expect("on the list");
    assert_eq!(entry.invalidity_date, request.invalidity_date);
}

#[test]
fn who_may_not_learns_nothing() {
    let world = World::new();
    let (stored, other) = (world.issue(), world.issue());
    let denied =
        world.revoke_as(&holder(&other, &[]), stored.id, RevocationReason::Superseded).expect_err("not its own");
    assert_eq!(denied.kind, Kind::AccessDenied);
    let nobody = CertificateId::from_bytes([7; 16]);
    assert_eq!(world.revoke_as(&holder(&other, &[]), nobody, RevocationReason::Superseded), Err(denied));
    assert_eq!(
        refused(world.revoke(nobody, RevocationReason::Superseded)),
        Kind::NotFound,
        "who may read all, may know"
    );
    // Releasing is not its holder's to do.
    world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
    let own = block_on(unhold(&world.engine, &holder(&stored, &[]), stored.id, None));
    assert_eq!(refused(own), Kind::AccessDenied);
}

#[test]
fn a_silent_record_is_not_taken_for_a_missing_certificate() {
    let world = World::new();
    let stored = world.issue();
    world.store.break_down("test");
    let outcome = world.revoke_as(&holder(&stored, &[]), stored.id, RevocationReason::Superseded);
    assert_eq!(refused(outcome), Kind::Unavailable);
}

#[test]
fn of_two_revocations_at_once_one_wins_and_the_other_is_told() {
    let world = World::new();
    let local = Principal::LocalOperator;
    for (one, other, expected) in [
        (RevocationReason::Superseded, RevocationReason::Superseded, Ok(RevocationReason::Superseded)),
        (RevocationReason::Superseded, RevocationReason::PrivilegeWithdrawn, Err(Kind::AlreadyRevoked)),
        (RevocationReason::Superseded, RevocationReason::CertificateHold, Err(Kind::AlreadyRevoked)),
        (RevocationReason::CertificateHold, RevocationReason::Superseded, Ok(RevocationReason::Superseded)),
        (RevocationReason::Superseded, RevocationReason::KeyCompromise, Ok(RevocationReason::KeyCompromise)),
    ] {
        let stored = world.issue();
        let (one, other) = (request(stored.id, one), request(stored.id, other));
        let sequence = block_on(world.store().revocation_sequence()).expect("a record");
        let (first, second) =
            block_on(futures::future::join(revoke(&world.engine, &local, &one), revoke(&world.engine, &local, &other)));
        first.expect("the first");
        assert_eq!(
            second.map(|done| reason_of(done.certificate.standing).expect("revoked").0).map_err(|error| error.kind),
            expected
        );
        let changes = block_on(world.store().revocation_sequence()).expect("a record") - sequence;
        let told =
            world.store.events().iter().filter(|event| event.subject == format!("certificate:{}", stored.id)).count();
        assert_eq!(told as u64, 1 + changes, "the issuance, and one event for every change");
    }
}

#[test]
fn a_change_whose_acknowledgement_is_lost_is_made_once() {
    let world = World::new();
    let stored = world.issue();
    let events = world.store.events().len();
    world.store.fail_next(StoreMethod::ChangeStanding, StoreFault::AcknowledgementLost);
    world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
    world.store.fail_next(StoreMethod::ChangeStanding, StoreFault::AcknowledgementLost);
    release(&world, stored.id).expect("released");
    assert_eq!(world.status("tls", &stored.serial), CertStatus::Good);
    assert_eq!(world.store.events().len(), events + 2);
}

#[test]
fn a_change_that_was_not_made_says_so_and_can_be_repeated() {
    let world = World::new();
    let stored = world.issue();
    let down = StoreError::Unavailable { detail: "test".to_owned() };
    for method in [StoreMethod::Certificate, StoreMethod::List, StoreMethod::ChangeStanding] {
        world.store.fail_next(method, StoreFault::BeforeCommit(down.clone()));
        assert_eq!(refused(world.revoke(stored.id, RevocationReason::KeyCompromise)), Kind::Unavailable, "{method:?}");
        assert_eq!(world.status("tls", &stored.serial), CertStatus::Good);
    }
    world.revoke(stored.id, RevocationReason::KeyCompromise).expect("revoked");
}

#[test]
fn an_expired_certificate_can_still_be_revoked() {
    let world = World::new();
    let stored = world.issue();
    world.clock.set(stored.validity.not_after.plus(DAY));
    world.revoke(stored.id, RevocationReason::KeyCompromise).expect("its key is blocked by that");
}

#[test]
fn a_revocation_under_a_wrong_clock_is_dated_by_the_database() {
    let world = World::new();
    let stored = world.issue();
    let ahead = ca_engine::fake::FakeClock::at(world.now().plus(Lifetime::from_days(365)));
    let replica = world.replica(&ahead, &world.keyring);
    let request = request(stored.id, RevocationReason::Superseded);
    let revoked =
        block_on(revoke(&replica, &Principal::LocalOperator, &request)).expect("it does not wait for the clock");
    assert_eq!(reason_of(revoked.certificate.standing).map(|(_, at)| at), Some(world.now()));
    world.list("tls");
}
