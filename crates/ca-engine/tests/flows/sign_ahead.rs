//! What many ask for is signed before it is needed; what nobody asks for is not, and nothing that may not be signed.

use ca_core::ocsp::request;
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::flow::answer_status::{
    AHEAD_INTERVAL, AnswerKind, AnswerOrigin, StatusAnswer, answer_status, sign_ahead,
};
use ca_engine::flow::follow_revocations::follow_revocations;
use futures::executor::block_on;

use crate::world::ask::cert_id;
use crate::world::*;

fn ask(engine: &Engine, serial: &Serial) -> StatusAnswer {
    block_on(answer_status(engine, &request::encode(&[cert_id(engine, "tls", serial)], None), |_| {}))
}

fn ahead(world: &World) -> u64 {
    block_on(sign_ahead(&world.engine)).expect("the record answers")
}

/// Lets time pass by the steps in which answers are signed ahead, while some are asked for; returns how many were signed.
fn go_on(world: &World, lifetime: Lifetime, asked: &[&Serial]) -> u64 {
    let mut signed = 0;
    for _ in 0..lifetime.seconds() / AHEAD_INTERVAL.seconds() {
        world.clock.advance(AHEAD_INTERVAL);
        block_on(follow_revocations(&world.engine)).expect("the record answers");
        for serial in asked {
            ask(&world.engine, serial);
        }
        signed += ahead(world);
    }
    signed
}

const HALF: Lifetime = Lifetime::from_seconds(1_800);

#[test]
fn nobody_who_asks_for_what_many_ask_for_waits_for_the_record() {
    let world = World::new();
    let (hot, cold) = (world.issue().serial, world.issue().serial);
    block_on(follow_revocations(&world.engine)).expect("the record answers");
    ask(&world.engine, &hot);
    ask(&world.engine, &cold);
    assert_eq!(go_on(&world, Lifetime::from_seconds(1_770), &[&hot]), 0, "both are fresh");
    let signed = go_on(&world, Lifetime::from_seconds(30), &[&hot]);
    assert_eq!(signed, 1, "the one that is asked for");
    assert_eq!(ask(&world.engine, &hot).origin, AnswerOrigin::Memory);
    assert_eq!(ask(&world.engine, &cold).origin, AnswerOrigin::Record);
    // Again and again: the heat goes over to the new answer.
    for _ in 0..3 {
        assert_eq!(go_on(&world, HALF, &[&hot]), 1);
        assert_eq!(ask(&world.engine, &hot).origin, AnswerOrigin::Memory);
    }
}

#[test]
fn what_nobody_asks_for_any_more_is_forgotten() {
    let world = World::new();
    let serial = world.issue().serial;
    block_on(follow_revocations(&world.engine)).expect("the record answers");
    ask(&world.engine, &serial);
    assert_eq!(go_on(&world, Lifetime::from_seconds(900), &[&serial]), 0);
    assert_eq!(go_on(&world, HALF, &[]), 0);
}

#[test]
fn what_is_signed_ahead_is_what_the_record_says_then() {
    let world = World::new();
    let stored = world.issue();
    block_on(follow_revocations(&world.engine)).expect("the record answers");
    ask(&world.engine, &stored.serial);
    go_on(&world, Lifetime::from_seconds(1_700), &[&stored.serial]);
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    assert_eq!(ask(&world.engine, &stored.serial).kind, AnswerKind::Revoked);
    go_on(&world, HALF, &[&stored.serial]);
    let answer = ask(&world.engine, &stored.serial);
    assert_eq!((answer.kind, answer.origin), (AnswerKind::Revoked, AnswerOrigin::Memory));
}

#[test]
fn while_the_record_cannot_be_followed_nothing_is_signed_ahead() {
    let world = World::new();
    let serial = world.issue().serial;
    block_on(follow_revocations(&world.engine)).expect("the record answers");
    ask(&world.engine, &serial);
    go_on(&world, Lifetime::from_seconds(1_770), &[&serial]);
    world.store.break_down("test");
    world.clock.advance(Lifetime::from_seconds(20));
    block_on(follow_revocations(&world.engine)).expect_err("the record is away");
    assert_eq!(ask(&world.engine, &serial).origin, AnswerOrigin::Outage);
    assert_eq!(ahead(&world), 0);
    world.store.repair();
    block_on(follow_revocations(&world.engine)).expect("the record answers");
    assert_eq!(ahead(&world), 1);
}
