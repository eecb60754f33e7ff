//! What OCSP says while something that answers fails: nothing stale is given for fresh, and no new `good` is made from nothing.

use ca_core::ocsp::{CertStatus, request};
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::fake::{FakeClock, SigningStep};
use ca_engine::flow::answer_status::{AnswerKind, AnswerOrigin, StatusAnswer, answer_status};
use ca_engine::flow::follow_revocations::follow_revocations;
use futures::executor::block_on;

use crate::world::ask::cert_id;
use crate::world::*;

fn ask(engine: &Engine, serial: &Serial) -> StatusAnswer {
    block_on(answer_status(engine, &request::encode(&[cert_id(engine, "tls", serial)], None), |_| {}))
}

fn told(engine: &Engine, serial: &Serial) -> (AnswerKind, AnswerOrigin) {
    let answer = ask(engine, serial);
    (answer.kind, answer.origin)
}

const TRY_LATER: (AnswerKind, AnswerOrigin) = (AnswerKind::TryLater, AnswerOrigin::Refusal);

#[test]
fn a_clock_that_is_set_back_gives_nothing_from_memory_and_signs_nothing() {
    let world = World::new();
    let (known, unheard) = (world.issue().serial, world.issue().serial);
    let clock = FakeClock::at(world.now());
    let engine = world.replica(&clock, &world.keyring);
    block_on(follow_revocations(&engine)).expect("the record answers");
    assert_eq!(told(&engine, &known), (AnswerKind::Good, AnswerOrigin::Record));
    // How old what is in memory is cannot be told any more: it is dated after the present.
    clock.set(world.now().minus(Lifetime::from_seconds(61)));
    for _ in 0..2 {
        assert_eq!((told(&engine, &known), told(&engine, &unheard)), (TRY_LATER, TRY_LATER));
        block_on(follow_revocations(&engine)).expect("the record answers");
    }
    // Nor does a clock that was set back by a little make anything live longer.
    clock.set(world.now());
    block_on(follow_revocations(&engine)).expect("the record answers");
    assert_eq!(told(&engine, &known), (AnswerKind::Good, AnswerOrigin::Memory));
    let end = ask(&engine, &known).freshness.expect("it may be kept").next_update;
    for set in [-30, 0] {
        let by = Lifetime::from_seconds(u64::from(set == -30) * 30);
        clock.set(world.now().minus(by));
        block_on(follow_revocations(&engine)).expect("the record answers");
        let answer = ask(&engine, &known);
        assert!(answer.freshness.expect("it may be kept").next_update <= end, "{set}");
    }
}

#[test]
fn a_responder_whose_key_is_lost_says_nothing_new_and_another_takes_its_place() {
    let world = World::new();
    let (known, unheard) = (world.issue().serial, world.issue().serial);
    block_on(follow_revocations(&world.engine)).expect("the record answers");
    assert_eq!(told(&world.engine, &known), (AnswerKind::Good, AnswerOrigin::Record));
    world.responder_signer("tls").always(Some(SigningStep::Unavailable));
    assert_eq!(told(&world.engine, &unheard), TRY_LATER);
    // What was signed before is as good as it was.
    assert_eq!(told(&world.engine, &known), (AnswerKind::Good, AnswerOrigin::Memory));
    world.clock.advance(SECOND);
    world.renew_responder("tls");
    assert_eq!(world.status("tls", &unheard), CertStatus::Good);
}
