//! What a process that died left open is closed, and nothing else.

use ca_core::ocsp::CertStatus;
use ca_core::principal::Principal;
use ca_core::time::Lifetime;
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::{FakeClock, StoreFault, StoreMethod};
use ca_engine::flow::issue::IssueRequest;
use ca_engine::flow::reconcile::{abandon_reservations_before, abandon_reservations_older_than};
use ca_engine::port::store::StoreError;
use futures::executor::block_on;

use crate::world::*;

const JOB: Principal = Principal::Job("reservations");

#[test]
fn only_what_is_old_enough_is_closed() {
    let world = World::new();
    let old = world.begin_and_die();
    world.clock.advance(HOUR);
    let young = world.begin_and_die();
    let before = world.now();
    assert_eq!(block_on(abandon_reservations_before(&world.engine, &JOB, before)), Ok(1));
    assert!(matches!(world.status("tls", &old), CertStatus::Revoked { .. }));
    assert_eq!(world.status("tls", &young), CertStatus::Unknown, "somebody may be at work on it");
    assert_eq!(block_on(abandon_reservations_before(&world.engine, &JOB, before)), Ok(0));
    let event = world.store.events().pop().expect("an event");
    assert_eq!((event.principal.as_str(), event.details["cause"].as_str()), ("job:reservations", "found-open"));
    assert_eq!(event.details["serial"], old.to_string());
}

#[test]
fn what_was_closed_frees_its_idempotency_key_and_its_predecessor() {
    let world = World::new();
    let stored = world.issue();
    let request = IssueRequest { idempotency_key: Some("a".to_owned()), ..server(csr(&key())) };
    world.begin_and_die_with(request.clone());
    assert_eq!(refused(world.ask(request.clone())), Kind::RequestInProgress);
    world.clock.advance(SECOND);
    block_on(abandon_reservations_before(&world.engine, &JOB, world.now())).expect("closed");
    world.ask(request).expect("a clean new one");
    world.renew(&Principal::LocalOperator, &stored).expect("nobody else's successor");
}

#[test]
fn a_late_completion_of_what_was_closed_does_not_leave() {
    let world = World::new();
    let before = world.store.serials();
    let issued = {
        let local = Principal::LocalOperator;
        let mut issuing = Box::pin(ca_engine::flow::issue::issue(&world.engine, &local, server(csr(&key()))));
        world.poll_until_reserved(issuing.as_mut());
        // A process is stopped for an hour between reservation and completion.
        world.clock.advance(HOUR);
        block_on(abandon_reservations_before(&world.engine, &JOB, world.now())).expect("closed");
        block_on(issuing)
    };
    assert_eq!(refused(issued), Kind::Unavailable);
    let serial = world.store.serials().into_iter().find(|serial| !before.contains(serial)).expect("reserved").1;
    assert!(matches!(world.status("tls", &serial), CertStatus::Revoked { .. }));
}

#[test]
fn a_record_that_fails_is_asked_again_next_time() {
    for method in [StoreMethod::OpenReservations, StoreMethod::Abandon] {
        let down = StoreError::Unavailable { detail: "test".to_owned() };
        for fault in [StoreFault::BeforeCommit(down), StoreFault::AcknowledgementLost] {
            let world = World::new();
            let serial = world.begin_and_die();
            world.clock.advance(SECOND);
            world.store.fail_next(method, fault);
            let first = block_on(abandon_reservations_before(&world.engine, &JOB, world.now()));
            assert_eq!(refused(first), Kind::Unavailable);
            block_on(abandon_reservations_before(&world.engine, &JOB, world.now())).expect("closed");
            assert_eq!(world.open_reservations(), 0);
            let told = world
                .store
                .events()
                .iter()
                .filter(|event| event.details.get("serial") == Some(&serial.to_string()))
                .count();
            assert_eq!(told, 1, "{method:?}: one event");
        }
    }
}

/// Found by the simulation: the date of an abandonment is that of an entry of the next list, and no list is made before it.
#[test]
fn an_abandonment_is_dated_by_the_record_while_the_clock_is_wrong() {
    let world = World::new();
    world.begin_and_die();
    let clock = FakeClock::at(world.now().plus(Lifetime::from_days(365)));
    let replica = world.replica(&clock, &world.keyring);
    let abandoned = block_on(abandon_reservations_before(&replica, &JOB, replica.now()));
    assert_eq!(abandoned, Ok(1));
    assert_eq!(world.list("tls").entry_count(), 1, "lists are made all the same");
}

#[test]
fn a_clock_that_is_ahead_takes_nothing_from_those_at_work() {
    let world = World::new();
    world.begin_and_die();
    let patience = Lifetime::from_seconds(300);
    let replica = world.replica(&FakeClock::at(world.now().plus(HOUR)), &world.keyring);
    assert_eq!(block_on(abandon_reservations_older_than(&replica, &JOB, patience)), Ok(0));
    world.clock.advance(patience);
    world.clock.advance(SECOND);
    assert_eq!(block_on(abandon_reservations_older_than(&replica, &JOB, patience)), Ok(1));
}
