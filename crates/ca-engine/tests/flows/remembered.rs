//! Answers from memory: given again, dropped by a revocation wherever it was made, and never better than the record.

use std::task::{Context, Poll};

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::ocsp::{CertId, CertIdHash, CertStatus, request};
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use ca_engine::anchor_verdict::AnchorVerdict;
use ca_engine::engine::Engine;
use ca_engine::fake::{StoreFault, StoreMethod};
use ca_engine::flow::answer_status::{AnswerKind, AnswerOrigin, StatusAnswer, answer_status};
use ca_engine::flow::follow_revocations::{Comparison, follow_revocations, reconcile_answers};
use ca_engine::flow::revoke::{RevokeRequest, revoke, unhold};
use ca_engine::port::store::{Gaps, Journal, StoreError};
use futures::executor::block_on;
use futures::future::join_all;

use crate::world::ask::{cert_id, verified};
use crate::world::*;

fn question(engine: &Engine, serial: &Serial) -> Vec<u8> {
    request::encode(&[cert_id(engine, "tls", serial)], None)
}

fn ask(engine: &Engine, serial: &Serial) -> StatusAnswer {
    block_on(answer_status(engine, &question(engine, serial), |_| {}))
}

fn told(engine: &Engine, serial: &Serial) -> (AnswerKind, AnswerOrigin) {
    let answer = ask(engine, serial);
    (answer.kind, answer.origin)
}

/// Revokes through another process over the same record.
fn revoke_elsewhere(world: &World, certificate: ca_core::id::CertificateId, reason: RevocationReason) {
    let request = RevokeRequest { certificate, reason, invalidity_date: None, request_id: None };
    block_on(revoke(&world.restarted(), &Principal::LocalOperator, &request)).expect("revoked");
}

fn look(engine: &Engine) -> u64 {
    block_on(follow_revocations(engine)).expect("the record answers")
}

const GOOD_FROM_MEMORY: (AnswerKind, AnswerOrigin) = (AnswerKind::Good, AnswerOrigin::Memory);
const GOOD_FROM_RECORD: (AnswerKind, AnswerOrigin) = (AnswerKind::Good, AnswerOrigin::Record);

#[test]
fn the_second_question_is_answered_by_the_octets_of_the_first() {
    let world = World::new();
    let serial = world.issue().serial;
    let first = ask(&world.engine, &serial);
    assert_eq!((first.kind, first.origin), GOOD_FROM_RECORD);
    world.clock.advance(SECOND);
    let second = ask(&world.engine, &serial);
    assert_eq!((second.kind, second.origin), GOOD_FROM_MEMORY);
    assert_eq!(second.der, first.der);
    // Another form of the CertID is another answer; a nonce, or another certificate beside it, is no question to remember.
    let tls = world.engine.authority(&id("tls")).expect("tls");
    let sha256 = CertId::new(CertIdHash::Sha256, tls.identity(), &serial);
    let one = || cert_id(&world.engine, "tls", &serial);
    for (asked, nonce) in [(vec![sha256], None), (vec![one()], Some(&[9; 32])), (vec![one(), one()], None)] {
        let answer = block_on(answer_status(&world.engine, &request::encode(&asked, nonce), |_| {}));
        assert_eq!(answer.origin, AnswerOrigin::Record, "{asked:?} {nonce:?}");
        verified(&world.engine, "tls", &answer);
    }
}

#[test]
fn unknown_is_not_remembered() {
    let world = World::new();
    let dead = world.begin_and_die();
    for _ in 0..2 {
        assert_eq!(told(&world.engine, &dead), (AnswerKind::Unknown, AnswerOrigin::Record));
    }
}

#[test]
fn a_revocation_by_this_process_is_told_at_once() {
    let world = World::new();
    let stored = world.issue();
    assert_eq!(told(&world.engine, &stored.serial), GOOD_FROM_RECORD);
    world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
    assert_eq!(told(&world.engine, &stored.serial), (AnswerKind::Revoked, AnswerOrigin::Record));
    assert_eq!(told(&world.engine, &stored.serial), (AnswerKind::Revoked, AnswerOrigin::Memory));
    block_on(unhold(&world.engine, &Principal::LocalOperator, stored.id, None)).expect("released");
    assert_eq!(told(&world.engine, &stored.serial), GOOD_FROM_RECORD);
    // Nor when nobody knows whether it was made.
    world.store.fail_next(StoreMethod::ChangeStanding, StoreFault::AcknowledgementLost);
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked, as the second look tells");
    assert_eq!(told(&world.engine, &stored.serial), (AnswerKind::Revoked, AnswerOrigin::Record));
}

/// It was revoked elsewhere, or by a change of this process whose acknowledgement was lost.
#[test]
fn a_revocation_that_this_process_finds_done_and_acknowledges_is_told_at_once() {
    let world = World::new();
    let stored = world.issue();
    assert_eq!(told(&world.engine, &stored.serial), GOOD_FROM_RECORD);
    revoke_elsewhere(&world, stored.id, RevocationReason::CertificateHold);
    assert_eq!(told(&world.engine, &stored.serial), GOOD_FROM_MEMORY, "it has not looked yet");
    world.revoke(stored.id, RevocationReason::CertificateHold).expect("acknowledged");
    assert_eq!(told(&world.engine, &stored.serial).0, AnswerKind::Revoked);
}

#[test]
fn a_revocation_by_another_process_is_told_after_the_next_look_at_the_sequence() {
    let world = World::new();
    let (stored, other) = (world.issue(), world.issue());
    look(&world.engine);
    assert_eq!(
        (told(&world.engine, &stored.serial), told(&world.engine, &other.serial)),
        (GOOD_FROM_RECORD, GOOD_FROM_RECORD)
    );
    revoke_elsewhere(&world, stored.id, RevocationReason::Superseded);
    assert_eq!(told(&world.engine, &stored.serial), GOOD_FROM_MEMORY, "it has not heard of it");
    assert_eq!(look(&world.engine), 1);
    assert_eq!(told(&world.engine, &stored.serial), (AnswerKind::Revoked, AnswerOrigin::Record));
    assert_eq!(told(&world.engine, &other.serial), GOOD_FROM_MEMORY);
    assert_eq!(look(&world.engine), 0);
    assert_eq!(world.engine.following().sequence(), 1);
}

#[test]
fn a_process_that_nobody_keeps_up_to_date_looks_by_itself_within_five_seconds() {
    let world = World::new();
    let stored = world.issue();
    assert_eq!(told(&world.engine, &stored.serial), GOOD_FROM_RECORD);
    revoke_elsewhere(&world, stored.id, RevocationReason::Superseded);
    world.clock.advance(Lifetime::from_seconds(4));
    assert_eq!(told(&world.engine, &stored.serial), (AnswerKind::Revoked, AnswerOrigin::Record));
}

/// An answer is signed from what the record said before a revocation, and put into memory after the news of it.
#[test]
fn an_answer_read_before_a_revocation_and_kept_after_the_news_of_it_does_not_survive() {
    let world = World::new();
    let stored = world.issue();
    look(&world.engine);
    let der = question(&world.engine, &stored.serial);
    // Stops after each call of a port; `calls` is how far it is let run before the revocation comes.
    for calls in 0..12 {
        let stored = if calls == 0 { stored.clone() } else { world.issue() };
        let der = if calls == 0 { der.clone() } else { question(&world.engine, &stored.serial) };
        let mut answering = Box::pin(answer_status(&world.engine, &der, |_| {}));
        let mut context = Context::from_waker(futures::task::noop_waker_ref());
        let mut early = None;
        for _ in 0..calls {
            if let Poll::Ready(answer) = answering.as_mut().poll(&mut context) {
                early = Some(answer.kind);
                break;
            }
        }
        revoke_elsewhere(&world, stored.id, RevocationReason::Superseded);
        look(&world.engine);
        let kind = early.unwrap_or_else(|| block_on(answering).kind);
        assert!(matches!(kind, AnswerKind::Good | AnswerKind::Revoked), "{kind:?}");
        assert_eq!(
            ask(&world.engine, &stored.serial).kind,
            AnswerKind::Revoked,
            "after {calls} calls: {kind:?} was kept"
        );
    }
}

#[test]
fn of_many_who_ask_at_once_one_signs() {
    let world = World::new();
    let serial = world.issue().serial;
    ask(&world.engine, &world.issue().serial);
    let asked_before = looks_at_status(&world);
    let der = question(&world.engine, &serial);
    let answers = block_on(join_all((0..50).map(|_| answer_status(&world.engine, &der, |_| {}))));
    assert_eq!(looks_at_status(&world) - asked_before, 1);
    assert!(answers.iter().all(|answer| answer.der == answers[0].der && answer.kind == AnswerKind::Good));
    assert_eq!(answers.iter().filter(|answer| answer.origin == AnswerOrigin::Record).count(), 1);
    // What cannot be had is asked for once too, and each is told.
    let serial = world.issue().serial;
    world.store.fail_next(StoreMethod::Status, StoreFault::BeforeCommit(unavailable()));
    let der = question(&world.engine, &serial);
    let answers = block_on(join_all((0..50).map(|_| answer_status(&world.engine, &der, |_| {}))));
    assert!(answers.iter().all(|answer| answer.kind == AnswerKind::TryLater));
    // Whoever signs may be cut off: another takes over.
    let mut first = Box::pin(answer_status(&world.engine, &der, |_| {}));
    let mut context = Context::from_waker(futures::task::noop_waker_ref());
    assert!(first.as_mut().poll(&mut context).is_pending());
    let second = answer_status(&world.engine, &der, |_| {});
    let mut second = Box::pin(second);
    assert!(second.as_mut().poll(&mut context).is_pending());
    drop(first);
    assert_eq!(block_on(second).kind, AnswerKind::Good);
}

fn looks_at_status(world: &World) -> usize {
    world.store.calls().iter().filter(|method| **method == StoreMethod::Status).count()
}

fn unavailable() -> StoreError {
    StoreError::Unavailable { detail: "test".to_owned() }
}

#[test]
fn an_answer_past_half_of_its_life_is_signed_anew() {
    let world = World::new();
    let serial = world.issue().serial;
    look(&world.engine);
    let first = ask(&world.engine, &serial);
    world.clock.advance(Lifetime::from_seconds(1_799));
    look(&world.engine);
    assert_eq!(ask(&world.engine, &serial).der, first.der);
    world.clock.advance(SECOND);
    look(&world.engine);
    let second = ask(&world.engine, &serial);
    assert_eq!((second.kind, second.origin), GOOD_FROM_RECORD);
    assert_eq!(second.freshness.expect("may be kept").this_update, world.now());
}

#[test]
fn while_the_record_cannot_be_followed_memory_answers_until_the_end_and_no_good_is_signed() {
    let world = World::new();
    let (known, unheard) = (world.issue().serial, world.issue().serial);
    look(&world.engine);
    assert_eq!(told(&world.engine, &known), GOOD_FROM_RECORD);
    world.store.break_down("test");
    for minutes in [1, 30, 59] {
        world.clock.set(world.now().floor_to_second());
        world.clock.advance(Lifetime::from_seconds(if minutes == 1 { 60 } else { 29 * 60 }));
        block_on(follow_revocations(&world.engine)).expect_err("the record is away");
        assert_eq!(told(&world.engine, &known), (AnswerKind::Good, AnswerOrigin::Outage), "after {minutes} minutes");
        assert_eq!(told(&world.engine, &unheard), (AnswerKind::TryLater, AnswerOrigin::Refusal));
    }
    let calls = world.store.calls().len();
    assert_eq!(told(&world.engine, &unheard).0, AnswerKind::TryLater);
    assert_eq!(world.store.calls().len(), calls, "nobody waits for a database that is known to be away");
    world.clock.advance(Lifetime::from_seconds(61));
    block_on(follow_revocations(&world.engine)).expect_err("the record is away");
    assert_eq!(told(&world.engine, &known).0, AnswerKind::TryLater, "past its nextUpdate");
    // The record answers, but is not followed yet: still no good.
    world.store.repair();
    assert_eq!(told(&world.engine, &unheard).0, AnswerKind::TryLater);
    look(&world.engine);
    assert_eq!(told(&world.engine, &unheard), GOOD_FROM_RECORD);
}

#[test]
fn a_record_that_is_not_the_one_that_was_followed_empties_the_memory() {
    let world = World::new();
    let (lost, kept) = (world.issue(), world.issue());
    world.revoke(world.issue().id, RevocationReason::Superseded).expect("revoked");
    look(&world.engine);
    let before = world.store.tables(|record| record.clone());
    revoke_elsewhere(&world, lost.id, RevocationReason::Superseded);
    look(&world.engine);
    assert_eq!(
        (told(&world.engine, &lost.serial).0, told(&world.engine, &kept.serial).0),
        (AnswerKind::Revoked, AnswerKind::Good)
    );
    // A standby takes over that had not heard of the last revocation; there the number goes to another.
    world.store.tables(|record| *record = before);
    revoke_elsewhere(&world, kept.id, RevocationReason::Superseded);
    look(&world.engine);
    assert_eq!(told(&world.engine, &kept.serial), (AnswerKind::Revoked, AnswerOrigin::Record));
    assert_eq!(told(&world.engine, &lost.serial), GOOD_FROM_RECORD, "as its record says");
    assert_eq!(look(&world.engine), 0);
}

#[test]
fn what_a_revoked_responder_signed_falls_silent_with_it() {
    let world = World::new();
    let serial = world.issue().serial;
    look(&world.engine);
    let first = ask(&world.engine, &serial);
    let tls = id("tls");
    let responder = block_on(world.store().responders()).expect("the record answers");
    let responder = responder.iter().find(|responder| responder.authority == tls).expect("a responder");
    revoke_elsewhere(&world, responder.certificate, RevocationReason::KeyCompromise);
    look(&world.engine);
    let second = ask(&world.engine, &serial);
    assert_ne!(second.der, first.der);
    assert_eq!(second.kind, AnswerKind::TryLater, "there is no other responder");
}

#[test]
fn the_comparison_finds_and_drops_what_is_not_so() {
    let world = World::new();
    let (stored, other) = (world.issue(), world.issue());
    look(&world.engine);
    ask(&world.engine, &stored.serial);
    ask(&world.engine, &other.serial);
    let compare = || block_on(reconcile_answers(&world.engine)).expect("the record answers");
    assert_eq!(compare(), Comparison { compared: 2, wrong: 0 });
    // Somebody changed the tables by hand: no entry of the sequence tells of it.
    world.store.tables(|record| record.revocations.clear());
    revoke_elsewhere(&world, stored.id, RevocationReason::Superseded);
    world.store.tables(|record| record.revocations.clear());
    assert_eq!(compare(), Comparison { compared: 2, wrong: 1 });
    assert_eq!(
        block_on(answer_status(&world.engine, &question(&world.engine, &stored.serial), |_| {})).kind,
        AnswerKind::Revoked
    );
    assert_eq!(world.status("tls", &other.serial), CertStatus::Good);
}

#[test]
fn following_begins_at_the_end_of_the_gap_that_a_restoration_left() {
    let world = World::new();
    let (kept, revoked) = (world.issue(), world.issue());
    let journal = Journal::of(AuditEvent::new(world.engine.now(), AuditAction::RecordRestored, "local", "record"));
    let gaps = Gaps { revocation_sequence: 1_000_000, lease_tokens: 1_000_000, settings: Vec::new(), journal };
    block_on(world.store().leave_gaps(gaps)).expect("a record");
    let engine = world.restarted();
    assert_eq!(look(&engine), 0, "no entry has the newest number");
    assert_eq!(told(&engine, &kept.serial), GOOD_FROM_RECORD);
    assert_eq!(told(&engine, &revoked.serial), GOOD_FROM_RECORD);
    revoke_elsewhere(&world, revoked.id, RevocationReason::Superseded);
    assert_eq!(look(&engine), 1);
    assert_eq!(told(&engine, &revoked.serial), (AnswerKind::Revoked, AnswerOrigin::Record));
    assert_eq!(told(&engine, &kept.serial), GOOD_FROM_MEMORY);
}

#[test]
fn a_record_that_may_be_old_has_nothing_called_good_from_memory_either() {
    let world = World::new();
    let serial = world.issue().serial;
    look(&world.engine);
    assert_eq!(told(&world.engine, &serial), GOOD_FROM_RECORD);
    world.engine.set_anchor_verdict(AnchorVerdict::Unreadable("the folder is away".to_owned()));
    assert_eq!(told(&world.engine, &serial), (AnswerKind::TryLater, AnswerOrigin::Refusal));
    world.engine.set_anchor_verdict(AnchorVerdict::Agrees);
    assert_eq!(told(&world.engine, &serial), GOOD_FROM_MEMORY);
}
