//! OCSP responders: when they are due, what they carry, and what a failure leaves.

use ca_core::audit::AuditAction;
use ca_core::certificate::Certificate;
use ca_core::ocsp::CertStatus;
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use ca_core::usage::ExtendedKeyUsage;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::{SigningStep, StoreFault, StoreMethod};
use ca_engine::flow::respond::{lease_name, make_responder, needs_responder};
use ca_engine::port::store::{Lease, StoreError};
use futures::executor::block_on;

use crate::world::*;

fn make(world: &World, lease: Option<&Lease>) -> Result<(), FlowError> {
    block_on(make_responder(&world.engine, &Principal::Job("responders"), &id("tls"), lease))
}

#[test]
fn a_responder_is_due_at_half_of_its_life() {
    let world = World::new();
    let first = world.engine.hierarchy().responder(&id("tls"), world.now()).expect("a responder").clone();
    let life = first.validity().not_after.since(first.validity().not_before).seconds();
    let half = first.validity().not_before.plus(Lifetime::from_seconds(life / 2));
    assert!(!needs_responder(&world.engine, &id("tls"), half));
    assert!(needs_responder(&world.engine, &id("tls"), half.plus(SECOND)));
    world.clock.set(half.plus(SECOND));
    make(&world, None).expect("a new one");
    assert!(!needs_responder(&world.engine, &id("tls"), world.now()));
    let newest = world.engine.hierarchy().responder(&id("tls"), world.now()).expect("a responder").clone();
    assert_ne!(newest.key_hash(), first.key_hash(), "the one that ends last answers");
    // Other processes find it on record.
    let stored = world.issue();
    let other = world.restarted();
    assert_eq!(ask::status(&other, "tls", &stored.serial), CertStatus::Good);
}

#[test]
fn its_certificate_is_for_ocsp_only_and_needs_no_status_of_its_own() {
    let world = World::new();
    let responder = world.engine.hierarchy().responder(&id("tls"), world.now()).expect("a responder").clone();
    let certificate = Certificate::from_der(responder.certificate_der()).expect("a certificate");
    assert_eq!(certificate.extended_key_usage(), [ExtendedKeyUsage::OCSP_SIGNING]);
    assert!(certificate.ocsp_no_check() && !certificate.is_authority());
    assert!(certificate.ocsp_urls().is_empty() && certificate.crl_urls().is_empty());
    assert_eq!(certificate.validity().not_after, world.now().plus(Lifetime::from_days(7)));
    let events = world.store.events();
    assert_eq!(
        events.iter().filter(|event| event.action == AuditAction::ResponderIssued).count(),
        3,
        "one for each authority"
    );
}

#[test]
fn an_authority_near_its_end_has_a_responder_to_its_end() {
    let world = World::new();
    let end = world.engine.authority(&id("tls")).expect("tls").certificate().validity().not_after;
    world.clock.set(end.minus(DAY));
    make(&world, None).expect("a responder");
    let responder = world.engine.hierarchy().responder(&id("tls"), world.now()).expect("a responder").clone();
    assert_eq!(responder.validity().not_after, end);
}

#[test]
fn a_lease_that_moved_on_makes_no_responder() {
    let world = World::new();
    let lease = |holder| block_on(world.store().acquire_lease(&lease_name(&id("tls")), holder, SECOND));
    let stale = lease("slow").expect("a record").expect("free");
    world.clock.advance(HOUR);
    lease("quick").expect("a record").expect("expired");
    let before = world.engine.hierarchy().responder(&id("tls"), world.now()).expect("a responder").key_hash();
    assert_eq!(refused(make(&world, Some(&stale))), Kind::Overloaded);
    let after = world.engine.hierarchy().responder(&id("tls"), world.now()).expect("a responder").key_hash();
    assert_eq!(before, after);
}

#[test]
fn a_revoked_responder_falls_silent_and_is_replaced() {
    let world = World::new();
    let stored = world.issue();
    let responder = world.engine.hierarchy().responder(&id("tls"), world.now()).expect("a responder").clone();
    let serial = Certificate::from_der(responder.certificate_der()).expect("a certificate").serial().clone();
    let on_record = block_on(world.store().certificate_by_serial(&id("tls"), &serial)).expect("a record").expect("it");
    world.revoke(on_record.id, RevocationReason::KeyCompromise).expect("revoked");
    assert!(world.engine.hierarchy().responder(&id("tls"), world.now()).is_none());
    assert!(needs_responder(&world.engine, &id("tls"), world.now()));
    make(&world, None).expect("a new one");
    assert_eq!(world.status("tls", &stored.serial), CertStatus::Good);
}

#[test]
fn whatever_fails_the_old_responder_goes_on_and_the_next_try_succeeds() {
    let stored = |world: &World| world.issue().serial;
    let faults = [
        StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() }),
        StoreFault::AcknowledgementLost,
    ];
    let methods = [
        StoreMethod::AddKey,
        StoreMethod::Reserve,
        StoreMethod::Complete,
        StoreMethod::AddResponder,
        StoreMethod::Responders,
    ];
    for (fault, method) in faults.iter().flat_map(|fault| methods.map(|method| (fault, method))) {
        let world = World::new();
        let serial = stored(&world);
        world.store.fail_next(method, fault.clone());
        let _ = make(&world, None);
        assert_eq!(world.status("tls", &serial), CertStatus::Good, "{method:?} {fault:?}");
        make(&world, None).expect("the next try");
        assert_eq!(world.open_reservations(), 0, "{method:?} {fault:?}");
        assert_eq!(world.status("tls", &serial), CertStatus::Good, "{method:?} {fault:?}");
    }
    let world = World::new();
    let serial = stored(&world);
    world.keyring.fail_generations(1);
    assert_eq!(refused(make(&world, None)), Kind::InternalError);
    world.signer("tls").script([SigningStep::Garbage]);
    assert_eq!(refused(make(&world, None)), Kind::InternalError);
    assert_eq!((world.status("tls", &serial), world.open_reservations()), (CertStatus::Good, 0));
}

/// Else every try of a job would leave a sealed key behind that nothing ever uses.
#[test]
fn an_authority_past_its_end_gets_neither_key_nor_responder() {
    let world = World::new();
    let end = world.engine.authority(&id("tls")).expect("tls").certificate().validity().not_after;
    world.clock.set(end);
    let keys = || world.store.calls().iter().filter(|call| **call == StoreMethod::AddKey).count();
    let made = keys();
    assert_eq!(make(&world, None).expect_err("it is over").kind, Kind::AuthorityCannotSign);
    assert_eq!(keys(), made);
}
