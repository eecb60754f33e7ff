//! Events reach every sink at least once, in order for each certificate, whatever fails.

use ca_core::audit::AuditAction;
use ca_core::id::{CertificateId, SinkName};
use ca_core::principal::{Principal, Role};
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::{FakeClock, ScriptedSink, StoreFault, StoreMethod};
use ca_engine::flow::deliver_events::{Attempt, LEASE_NAME, assign_messages, deliver_due, lease_name, welcome_back};
use ca_engine::flow::expire::{DroppedEvents, drop_stale_events};
use ca_engine::flow::outbox::{list_deliveries, replay_delivery};
use ca_engine::flow::revoke::unhold;
use ca_engine::port::sink::{SinkError, SinkEvent};
use ca_engine::port::store::{Delivery, DeliveryState, Lease, StoreError, Verdict};
use futures::executor::block_on;

use crate::world::*;

/// A world that has told its sinks of everything so far.
fn told(sinks: &[(&str, &ScriptedSink)]) -> World {
    let parts = sinks.iter().fold(Parts::default(), |parts, (name, sink)| parts.with_sink(name, sink));
    let world = World::of(parts);
    for (name, _) in sinks {
        serve(&world, name);
    }
    world
}

fn sink(name: &str) -> SinkName {
    name.parse().expect("a sink's name")
}

fn lease(world: &World, name: &str) -> Lease {
    block_on(world.store().acquire_lease(name, "test", Lifetime::from_seconds(8))).expect("a record").expect("free")
}

/// One round of the job: what is new is assigned, what is due for a sink is tried.
fn round(world: &World, name: &str, limit: u32) -> Vec<Attempt> {
    round_of(&world.engine, world, name, limit)
}

fn round_of(engine: &Engine, world: &World, name: &str, limit: u32) -> Vec<Attempt> {
    block_on(assign_messages(engine, &lease(world, LEASE_NAME))).expect("assigned");
    let lease = lease(world, &lease_name(&sink(name)));
    block_on(deliver_due(engine, &lease, &sink(name), limit)).expect("settled")
}

/// Rounds until nothing is due.
fn serve(world: &World, name: &str) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    loop {
        let more = round(world, name, 16);
        if more.is_empty() {
            return attempts;
        }
        attempts.extend(more);
    }
}

fn topics_of(events: &[SinkEvent], certificate: CertificateId) -> Vec<String> {
    let bodies = events.iter().map(|event| serde_json::from_str::<serde_json::Value>(&event.body).expect("JSON"));
    bodies
        .filter(|body| body["certificate"] == certificate.to_string())
        .map(|body| body["topic"].as_str().expect("text").to_owned())
        .collect()
}

fn down() -> SinkError {
    SinkError::Unavailable { detail: "nobody listens there".to_owned(), retry_after: None }
}

fn refusal() -> SinkError {
    SinkError::Refused { detail: "it answered 422".to_owned() }
}

fn all(world: &World, dead: Option<bool>) -> Vec<Delivery> {
    block_on(list_deliveries(&world.engine, &Principal::LocalOperator, dead, None, 1_000)).expect("listed")
}

#[test]
fn a_sink_is_told_of_each_change_in_the_order_of_commits() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    let stored = world.issue();
    world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
    block_on(unhold(&world.engine, &Principal::LocalOperator, stored.id, None)).expect("released");
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    world.publish("tls").expect("a list");
    serve(&world, "one");
    let taken = receiver.taken();
    let expected = ["certificate.issued", "certificate.revoked", "certificate.released", "certificate.revoked"];
    assert_eq!(topics_of(&taken, stored.id), expected);
    assert!(taken.iter().any(|event| event.body.contains("crl.published")));
    assert_eq!(all(&world, None), [], "what was taken is forgotten");
}

#[test]
fn a_body_says_what_when_and_in_which_order_and_nothing_personal() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    let stored = world.issue();
    serve(&world, "one");
    let event = receiver.taken().pop().expect("an event");
    let body: serde_json::Value = serde_json::from_str(&event.body).expect("JSON");
    assert_eq!(body["topic"], "certificate.issued");
    assert_eq!(body["certificate"], stored.id.to_string());
    assert_eq!((body["authority"].as_str(), body["serial"].as_str()), (Some("tls"), Some(&*stored.serial.to_string())));
    assert_eq!(body["time"], world.now().to_rfc3339());
    assert!(body["sequence"].as_u64().expect("a number") > 0);
    assert!(!event.body.contains("example.com"), "{}", event.body);
}

#[test]
fn a_failed_attempt_is_repeated_under_the_same_name_after_a_pause() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    let stored = world.issue();
    receiver.script([refusal()]);
    let [failed] = &round(&world, "one", 16)[..] else { panic!("one attempt") };
    let Verdict::Retry { after_millis, error } = &failed.verdict else { panic!("{failed:?}") };
    assert_eq!(error, "it answered 422");
    assert!((2_500..=5_000).contains(after_millis), "{after_millis} ms");
    assert_eq!(round(&world, "one", 16), [], "its time has not come");
    world.clock.advance_millis(*after_millis);
    let [repeated] = &round(&world, "one", 16)[..] else { panic!("one attempt") };
    assert_eq!((repeated.delivery, &repeated.verdict), (failed.delivery, &Verdict::Delivered));
    let offered = receiver.offered();
    let same: Vec<_> = offered.iter().filter(|event| event.id == failed.delivery).collect();
    assert!(same.len() == 2 && same[0] == same[1], "octet for octet: {same:?}");
    assert_eq!(topics_of(&receiver.taken(), stored.id), ["certificate.issued"]);
}

#[test]
fn a_message_waits_for_its_predecessor_and_for_nobody_else() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    let (stuck, other) = (world.issue(), world.issue());
    receiver.script([refusal()]);
    round(&world, "one", 1);
    for id in [stuck.id, other.id] {
        world.revoke(id, RevocationReason::Superseded).expect("revoked");
    }
    serve(&world, "one");
    assert_eq!(topics_of(&receiver.taken(), stuck.id), [""; 0]);
    assert_eq!(topics_of(&receiver.taken(), other.id), ["certificate.issued", "certificate.revoked"]);
    world.clock.advance(SECOND);
    world.clock.advance(Lifetime::from_seconds(5));
    serve(&world, "one");
    assert_eq!(topics_of(&receiver.taken(), stuck.id), ["certificate.issued", "certificate.revoked"]);
}

#[test]
fn a_sink_that_is_down_for_a_day_is_told_everything_afterwards() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    receiver.break_down(Some(down()));
    let mut revoked = Vec::new();
    for _ in 0..24 {
        let stored = world.issue();
        world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
        revoked.push(stored.id);
        let attempts = round(&world, "one", 1);
        assert!(attempts.iter().all(|attempt| attempt.sink_unavailable), "{attempts:?}");
        world.clock.advance(HOUR);
    }
    receiver.break_down(None);
    block_on(welcome_back(&world.engine, &lease(&world, "outbox:one"), &sink("one"))).expect("hastened");
    serve(&world, "one");
    for id in revoked {
        assert_eq!(topics_of(&receiver.taken(), id), ["certificate.issued", "certificate.revoked"]);
    }
}

#[test]
fn one_sink_does_not_hold_up_another() {
    let (one, two) = (ScriptedSink::default(), ScriptedSink::default());
    let world = told(&[("one", &one), ("two", &two)]);
    one.break_down(Some(down()));
    let stored = world.issue();
    round(&world, "one", 16);
    serve(&world, "two");
    assert_eq!(topics_of(&two.taken(), stored.id), ["certificate.issued"]);
    assert_eq!(all(&world, None).len(), 1, "only what the other has not taken is kept");
}

#[test]
fn after_too_many_attempts_an_event_is_a_dead_letter_that_holds_up_nobody() {
    let receiver = ScriptedSink::default();
    let mut parts = Parts::default().with_sink("one", &receiver);
    parts.settings.outbox.max_attempts = 3;
    let world = World::of(parts);
    serve(&world, "one");
    let stored = world.issue();
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    receiver.script([refusal(), refusal(), refusal()]);
    let verdicts: Vec<Verdict> = (0..3)
        .map(|_| {
            let [attempt] = &round(&world, "one", 16)[..] else { panic!("one attempt") };
            world.clock.advance(HOUR);
            attempt.verdict.clone()
        })
        .collect();
    assert!(matches!(&verdicts[..], [Verdict::Retry { .. }, Verdict::Retry { .. }, Verdict::Dead { .. }]));
    serve(&world, "one");
    assert_eq!(topics_of(&receiver.taken(), stored.id), ["certificate.revoked"]);
    let [letter] = &all(&world, Some(true))[..] else { panic!("one dead letter") };
    assert_eq!((letter.attempts, letter.topic.as_str()), (3, "certificate.issued"));
    // It is replayed: audited, and told under its name.
    let events = world.store.events().len();
    let replayed = block_on(replay_delivery(&world.engine, &Principal::LocalOperator, letter.id, Some("request-1")));
    let replayed = replayed.expect("replayed");
    assert!(matches!(replayed.state, DeliveryState::Pending { .. }) && replayed.attempts == 0, "{replayed:?}");
    let [event] = &world.store.events()[events..] else { panic!("one event") };
    assert_eq!(
        (event.action, event.subject.clone()),
        (AuditAction::DeliveryReplayed, format!("delivery:{}", letter.id))
    );
    assert_eq!((event.details["sink"].as_str(), event.request_id.as_deref()), ("one", Some("request-1")));
    serve(&world, "one");
    assert_eq!(receiver.taken().pop().expect("an event").id, letter.id);
    assert_eq!(all(&world, None), []);
    let gone = block_on(replay_delivery(&world.engine, &Principal::LocalOperator, letter.id, None));
    assert_eq!(refused(gone), Kind::NotFound, "the sink has it");
}

#[test]
fn a_sink_that_is_gone_for_good_is_not_asked_again() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    world.issue();
    receiver.script([SinkError::Gone { detail: "it answered 410".to_owned() }]);
    let [attempt] = &round(&world, "one", 16)[..] else { panic!("one attempt") };
    assert_eq!(attempt.verdict, Verdict::Dead { error: "it answered 410".to_owned() });
    assert_eq!(all(&world, Some(true)).len(), 1);
}

#[test]
fn a_sink_says_when_it_wants_to_be_asked_again_within_limits() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    let busy = |retry_after| SinkError::Unavailable { detail: "it answered 503".to_owned(), retry_after };
    receiver.script([busy(Some(Lifetime::from_seconds(600))), busy(Some(Lifetime::from_days(400)))]);
    world.issue();
    for wanted in [600_000, 12 * 3_600_000] {
        let [attempt] = &round(&world, "one", 16)[..] else { panic!("one attempt") };
        assert!(
            matches!(attempt.verdict, Verdict::Retry { after_millis, .. } if after_millis == wanted),
            "{attempt:?}"
        );
        world.clock.advance_millis(wanted);
    }
    assert_eq!(round(&world, "one", 16).len(), 1);
}

#[test]
fn a_lost_acknowledgement_repeats_and_loses_nothing() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    let stored = world.issue();
    block_on(assign_messages(&world.engine, &lease(&world, LEASE_NAME))).expect("assigned");
    let fault = StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() });
    world.store.fail_next(StoreMethod::SettleDeliveries, fault);
    let under = lease(&world, "outbox:one");
    let failed = block_on(deliver_due(&world.engine, &under, &sink("one"), 16));
    assert_eq!(refused(failed), Kind::Unavailable);
    serve(&world, "one");
    assert_eq!(topics_of(&receiver.taken(), stored.id), ["certificate.issued", "certificate.issued"], "at least once");
    let taken = receiver.taken();
    assert_eq!(taken[taken.len() - 2].id, taken[taken.len() - 1].id, "under the same name");
    // An assignment whose answer is lost begins no second delivery.
    world.issue();
    world.store.fail_next(StoreMethod::AssignMessages, StoreFault::AcknowledgementLost);
    block_on(assign_messages(&world.engine, &lease(&world, LEASE_NAME))).expect_err("the answer is lost");
    assert_eq!(serve(&world, "one").len(), 1);
}

#[test]
fn a_holder_that_wakes_up_late_records_nothing() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    world.issue();
    block_on(assign_messages(&world.engine, &lease(&world, LEASE_NAME))).expect("assigned");
    let late = lease(&world, "outbox:one");
    world.clock.advance(Lifetime::from_seconds(9));
    let newer = block_on(world.store().acquire_lease("outbox:one", "other", Lifetime::from_seconds(8)));
    let newer = newer.expect("a record").expect("expired");
    receiver.script([refusal()]);
    let fenced = block_on(deliver_due(&world.engine, &late, &sink("one"), 16));
    assert_eq!(refused(fenced), Kind::Overloaded);
    let [untouched] = &all(&world, None)[..] else { panic!("one delivery") };
    assert_eq!(untouched.attempts, 0, "nothing was recorded");
    let attempts = block_on(deliver_due(&world.engine, &newer, &sink("one"), 16)).expect("settled");
    assert_eq!(attempts.len(), 1);
}

#[test]
fn without_a_sink_events_are_kept_for_a_while_and_a_new_sink_is_told_of_them() {
    let world = World::new();
    let stored = world.issue();
    assert_eq!(block_on(assign_messages(&world.engine, &lease(&world, LEASE_NAME))), Ok(0));
    let receiver = ScriptedSink::default();
    let engine = world.restarted_with(Parts::default().with_sink("one", &receiver));
    while !round_of(&engine, &world, "one", 16).is_empty() {}
    assert_eq!(topics_of(&receiver.taken(), stored.id), ["certificate.issued"]);
    // And after a while nobody is told.
    world.issue();
    world.clock.advance(DAY);
    let kept = world.issue();
    world.clock.advance(SECOND);
    let expiry = lease(&world, "expiry");
    let dropped = block_on(drop_stale_events(&world.engine, &expiry)).expect("dropped");
    assert_eq!(dropped, DroppedEvents { unassigned: 1, undelivered: 0 });
    while !round_of(&engine, &world, "one", 16).is_empty() {}
    assert_eq!(topics_of(&receiver.taken(), kept.id), ["certificate.issued"]);
}

#[test]
fn what_nobody_takes_for_months_is_dropped() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    receiver.script([SinkError::Gone { detail: "it answered 410".to_owned() }]);
    world.issue();
    round(&world, "one", 16);
    let keep = world.parts().settings.outbox.keep_undelivered;
    for (pass, undelivered) in [(keep, 0), (SECOND, 1)] {
        world.clock.advance(pass);
        let expiry = lease(&world, "expiry");
        let dropped = block_on(drop_stale_events(&world.engine, &expiry)).expect("dropped");
        assert_eq!(dropped, DroppedEvents { unassigned: 0, undelivered });
    }
}

/// Found by the simulation: a replica whose clock was wrong began deliveries that looked old enough to be dropped at once.
#[test]
fn a_wrong_clock_makes_no_event_look_old() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    receiver.script([refusal()]);
    let stored = world.issue();
    let keep = world.parts().settings.outbox.keep_undelivered;
    let replica = world.replica(&FakeClock::at(world.now().minus(keep).minus(DAY)), &world.keyring);
    assert_eq!(block_on(assign_messages(&replica, &lease(&world, LEASE_NAME))), Ok(1));
    assert_eq!(round(&world, "one", 16).len(), 1, "one attempt, which fails");
    let dropped = block_on(drop_stale_events(&world.engine, &lease(&world, "expiry")));
    assert_eq!(dropped, Ok(DroppedEvents::default()));
    world.clock.advance(DAY);
    serve(&world, "one");
    assert_eq!(topics_of(&receiver.taken(), stored.id), ["certificate.issued"]);
}

#[test]
fn who_may_not_sees_and_replays_nothing() {
    let receiver = ScriptedSink::default();
    let world = told(&[("one", &receiver)]);
    receiver.script([refusal()]);
    let stored = world.issue();
    round(&world, "one", 16);
    let [delivery] = &all(&world, None)[..] else { panic!("one delivery") };
    for (principal, kind) in
        [(holder(&stored, &[]), Kind::AccessDenied), (Principal::Anonymous, Kind::AuthenticationRequired)]
    {
        let listed = block_on(list_deliveries(&world.engine, &principal, None, None, 10));
        assert_eq!(refused(listed), kind);
        assert_eq!(refused(block_on(replay_delivery(&world.engine, &principal, delivery.id, None))), kind);
    }
    let administrator = holder(&stored, &[Role::Administrator]);
    block_on(replay_delivery(&world.engine, &administrator, delivery.id, None)).expect("replayed");
}
