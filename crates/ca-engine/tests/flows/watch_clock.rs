//! The clock: compared before anything is signed, and again when it moves.

use std::task::{Context, Poll, Waker};

use ca_core::principal::Principal;
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::Lifetime;
use ca_engine::clock_verdict::ClockVerdict;
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::{FakeClock, StoreFault, StoreMethod};
use ca_engine::flow::issue::{IssueRequest, issue};
use ca_engine::flow::watch_clock::watch_clock;
use ca_engine::port::store::StoreError;
use futures::executor::block_on;
use futures::future::{join, poll_fn};

use crate::world::*;

fn seconds(count: u64) -> Lifetime {
    Lifetime::from_seconds(count)
}

#[test]
fn a_minute_either_way_is_tolerated_and_no_more() {
    let world = World::new();
    let stand = |clock: FakeClock| block_on(watch_clock(&world.replica(&clock, &world.keyring))).expect("the record");
    for apart in [0, 59, 60] {
        assert_eq!(stand(FakeClock::at(world.now().plus(seconds(apart)))), ClockVerdict::Right, "{apart} s ahead");
        assert_eq!(stand(FakeClock::at(world.now().minus(seconds(apart)))), ClockVerdict::Right, "{apart} s behind");
    }
    assert!(matches!(stand(FakeClock::at(world.now().plus(seconds(61)))), ClockVerdict::Wrong(_)));
    assert!(matches!(stand(FakeClock::at(world.now().minus(seconds(61)))), ClockVerdict::Wrong(_)));
}

#[test]
fn nothing_is_signed_while_the_clock_is_wrong() {
    let world = World::new();
    let clock = FakeClock::at(world.now().plus(seconds(3_600)));
    let replica = world.replica(&clock, &world.keyring);
    let local = Principal::LocalOperator;
    let before = (world.store.serials(), world.signer("tls").messages().len());
    assert_eq!(refused(block_on(issue(&replica, &local, server(csr(&key()))))), Kind::SigningSuspended);
    let lease = world.crl_lease("tls", "test");
    let publish = ca_engine::flow::publish_crl::publish_crl;
    assert_eq!(refused(block_on(publish(&replica, &local, &id("tls"), &lease))), Kind::SigningSuspended);
    let respond = ca_engine::flow::respond::make_responder;
    assert_eq!(refused(block_on(respond(&replica, &local, &id("tls"), None))), Kind::SigningSuspended);
    assert_eq!((world.store.serials(), world.signer("tls").messages().len()), before);
    // Somebody sets it right: the next request notices.
    clock.set(world.now());
    block_on(issue(&replica, &local, server(csr(&key())))).expect("right again");
}

#[test]
fn a_clock_set_while_the_service_runs_is_noticed_at_the_next_signature() {
    let world = World::new();
    let clock = FakeClock::at(world.now());
    let replica = world.replica(&clock, &world.keyring);
    let local = Principal::LocalOperator;
    block_on(issue(&replica, &local, server(csr(&key())))).expect("right");
    for wrong in [world.now().plus(seconds(61)), world.now().minus(seconds(61))] {
        clock.set(wrong);
        assert_eq!(refused(block_on(issue(&replica, &local, server(csr(&key()))))), Kind::SigningSuspended);
        clock.set(world.now());
        block_on(issue(&replica, &local, server(csr(&key())))).expect("right again");
    }
}

#[test]
fn a_clock_set_while_it_is_compared_is_noticed_at_the_next_signature() {
    let world = World::new();
    // At every point where the comparison waits for the record, and after it.
    for waits in 0..8 {
        let clock = FakeClock::at(world.now());
        let replica = world.replica(&clock, &world.keyring);
        let mut left = waits;
        let setting = poll_fn(|context| {
            if left == 0 {
                clock.set(world.now().minus(seconds(61)));
                return Poll::Ready(());
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        });
        let (compared, ()) = block_on(join(watch_clock(&replica), setting));
        compared.expect("the record");
        let issued = block_on(issue(&replica, &Principal::LocalOperator, server(csr(&key()))));
        assert_eq!(refused(issued), Kind::SigningSuspended, "set at wait {waits}");
    }
}

#[test]
fn a_clock_behind_the_last_list_was_set_back() {
    let world = World::new();
    world.clock.advance(HOUR);
    world.publish("tls").expect("a list");
    // An embedded database has the machine's clock: only what was published tells.
    world.clock.step_back(seconds(61));
    let ClockVerdict::Wrong(why) = block_on(watch_clock(&world.engine)).expect("the record") else {
        panic!("the clock was set back");
    };
    assert!(why.contains("CRL 2 of tls"), "{why}");
    assert_eq!(refused(world.ask(server(csr(&key())))), Kind::SigningSuspended);
}

#[test]
fn while_the_record_is_silent_nothing_is_signed() {
    let world = World::new();
    let fresh = world.restarted();
    let down = StoreError::Unavailable { detail: "test".to_owned() };
    world.store.fail_next(StoreMethod::DatabaseTime, StoreFault::BeforeCommit(down));
    let local = Principal::LocalOperator;
    assert_eq!(refused(block_on(issue(&fresh, &local, server(csr(&key()))))), Kind::Unavailable);
    assert_eq!(*fresh.clock_verdict(), ClockVerdict::Unknown);
    block_on(issue(&fresh, &local, server(csr(&key())))).expect("asked again");
    assert_eq!(*fresh.clock_verdict(), ClockVerdict::Right);
}

/// Found by the simulation: what was compared is the clock before it was set, so it says nothing about the clock after.
#[test]
fn a_clock_set_while_it_is_compared_is_compared_anew() {
    let world = World::new();
    let clock = FakeClock::at(world.now());
    let replica = world.replica(&clock, &world.keyring);
    let before = world.store.serials();
    let mut issuing = Box::pin(issue(&replica, &Principal::LocalOperator, server(csr(&key()))));
    let mut context = Context::from_waker(Waker::noop());
    while world.store.calls().last() != Some(&StoreMethod::DatabaseTime) {
        assert!(issuing.as_mut().poll(&mut context).is_pending(), "the clock is compared first");
    }
    clock.set(world.now().plus(seconds(3_600)));
    assert_eq!(refused(block_on(issuing)), Kind::SigningSuspended);
    assert_eq!(world.store.serials(), before, "nothing was reserved");
}

/// Found by the simulation: the completion was dated by a clock that somebody had set since the reservation. Where it came too late
/// its serial was revoked in the future, and no list could be made until then.
#[test]
fn a_clock_set_while_a_certificate_is_signed_dates_nothing() {
    let world = World::new();
    for overtaken in [false, true] {
        let clock = FakeClock::at(world.now());
        let replica = world.replica(&clock, &world.keyring);
        let key = key();
        let twin = world.issue_for(&key);
        let mut issuing = Box::pin(issue(&replica, &Principal::LocalOperator, server(csr(&key))));
        let mut context = Context::from_waker(Waker::noop());
        while world.store.calls().last() != Some(&StoreMethod::Reserve) {
            assert!(issuing.as_mut().poll(&mut context).is_pending(), "it is reserved before it is signed");
        }
        if overtaken {
            world.revoke(twin.id, RevocationReason::KeyCompromise).expect("revoked");
        }
        clock.set(world.now().plus(seconds(3_600)));
        let issued = block_on(issuing);
        if overtaken {
            assert_eq!(refused(issued), Kind::KeyBlocked);
            let newest = world.store.tables(|record| record.revocations.last().cloned()).expect("an abandonment");
            let Standing::Revoked(revocation) = newest.standing else { panic!("{newest:?}") };
            assert!(revocation.revoked_at <= world.now(), "{}", revocation.revoked_at);
            world.publish("tls").expect("a list can be made");
        } else {
            assert_eq!(issued.expect("a certificate").certificate.issued_at, world.now());
        }
    }
}

/// An idempotency key is kept from the reservation on, by the clock that was compared.
#[test]
fn an_idempotency_key_asked_with_while_the_clock_is_behind_is_kept_for_a_day() {
    let world = World::new();
    let clock = FakeClock::at(world.now().minus(Lifetime::from_days(2)));
    let replica = world.replica(&clock, &world.keyring);
    let request = IssueRequest { idempotency_key: Some("once".to_owned()), ..server(csr(&key())) };
    let mut issuing = Box::pin(issue(&replica, &Principal::LocalOperator, request.clone()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(issuing.as_mut().poll(&mut context).is_pending(), "the clock is compared first");
    clock.set(world.now());
    let first = block_on(issuing).expect("the clock is right").certificate;
    assert_eq!(world.ask(request).map(|stored| stored.id), Ok(first.id), "the answer to the same request");
}
