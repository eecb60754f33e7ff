//! Managed certificates: brought to their target, rotated in time, told when they fail; and one that fails holds up no other.

use ca_core::audit::AuditAction;
use ca_core::certificate::Certificate;
use ca_core::id::{CertificateId, ManagedCertificateId};
use ca_core::managed::Urgency;
use ca_core::managed::definition::{Deliverer, ManagedDefinition, TargetDefinition};
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::Lifetime;
use ca_engine::engine::Engine;
use ca_engine::fake::{MemoryTarget, TargetFault};
use ca_engine::flow::managed::plan::LEASE_NAME;
use ca_engine::flow::managed::rotate::{Turn, rotate_one};
use ca_engine::flow::managed::wave::{next_waves, rotate_wave};
use ca_engine::port::certificate_target::{CertificateTarget, HeldCertificate, TargetError, TargetPlace};
use ca_engine::port::store::{Journal, Lease, ManagedAddition, ManagedCertificate, ManagedCourse, StoredCertificate};
use futures::executor::block_on;
use serde_json::{Value, json};

use crate::world::*;

/// A definition in a folder of this name.
pub(crate) fn definition(folder: &str, more: Value) -> ManagedDefinition {
    let mut definition = json!({
        "subject_alternative_names": ["dns:api.example.com"],
        "target": {"kind": "directory", "path": format!("/etc/{folder}")},
        "revoke_superseded_after": "24h",
    });
    for (name, value) in more.as_object().expect("an object") {
        definition[name] = value.clone();
    }
    serde_json::from_value(definition).expect("a definition")
}

pub(crate) fn target(world: &World, definition: &ManagedDefinition) -> MemoryTarget {
    world.parts().managed.targets.target(&definition.target)
}

pub(crate) fn add(world: &World, number: u8, definition: &ManagedDefinition) -> ManagedCertificateId {
    let managed = ManagedCertificate {
        id: ManagedCertificateId::from_bytes([number; 16]),
        name: format!("app-{number}"),
        owner: "local".to_owned(),
        profile: "server".parse().expect("a profile name"),
        definition: serde_json::to_string(definition).expect("JSON"),
        delivered_by: definition.delivered_by,
        paused: false,
        revision: 1,
        created_at: world.now(),
        created_by: "local".to_owned(),
        course: ManagedCourse::begin(world.now()),
    };
    let id = managed.id;
    let event = ca_core::audit::AuditEvent::new(world.now(), AuditAction::ManagedCertificateAdded, "local", "managed");
    assert_eq!(block_on(world.store().add_managed(managed, Journal::of(event))), Ok(ManagedAddition::Added));
    id
}

pub(crate) fn read(world: &World, id: ManagedCertificateId) -> ManagedCertificate {
    block_on(world.store().managed(id)).expect("answers").expect("there")
}

pub(crate) fn lease(world: &World) -> Lease {
    let lifetime = Lifetime::from_seconds(3_600);
    block_on(world.store().acquire_lease(LEASE_NAME, "here", lifetime)).expect("answers").expect("free")
}

pub(crate) fn turn(world: &World, engine: &Engine, id: ManagedCertificateId) -> Turn {
    block_on(rotate_one(engine, Some(&lease(world)), read(world, id))).expect("the record answers")
}

/// What was issued for managed certificates, in order of serials.
pub(crate) fn issued(world: &World) -> Vec<StoredCertificate> {
    let mut issued = world.all_of("tls");
    issued.retain(|stored| stored.profile.as_str() == "server");
    issued
}

pub(crate) fn current(target: &MemoryTarget) -> Option<HeldCertificate> {
    block_on(target.look(TargetPlace::Current)).expect("looks")
}

fn standing(world: &World, id: CertificateId) -> Standing {
    block_on(world.store().certificate(id)).expect("answers").expect("there").standing
}

fn count(world: &World, action: AuditAction) -> usize {
    world.store.events().iter().filter(|event| event.action == action).count()
}

fn messages(world: &World, topic: &str) -> Vec<Value> {
    let of_topic = world.store.outbox().into_iter().filter(|message| message.topic == topic);
    of_topic.map(|message| serde_json::from_str(&message.payload).expect("JSON")).collect()
}

/// Lets the clock run until something is due, and does it.
fn next_turn(world: &World, id: ManagedCertificateId) -> Turn {
    let at = read(world, id).course.next_at;
    world.clock.advance(at.since(world.now()));
    turn(world, &world.engine, id)
}

#[test]
fn one_is_brought_to_its_target_and_told_once() {
    let world = World::new();
    let definition = definition("tls", json!({"hooks": ["ecs:prod/web"]}));
    let id = add(&world, 1, &definition);
    assert_eq!(turn(&world, &world.engine, id), Turn::Rotated);
    let (held, managed) = (current(&target(&world, &definition)).expect("current"), read(&world, id));
    let recorded = managed.course.current.expect("on record");
    let stored = block_on(world.store().certificate(recorded.certificate)).expect("answers").expect("there");
    assert_eq!((held.certificate, held.rotation), (stored.der.clone(), recorded.rotation));
    assert_eq!(held.chain.len(), 1, "the root is left out");
    assert_eq!((stored.owner.as_str(), stored.requested_by.as_str()), ("local", "job:expiry-check"));
    assert_eq!(managed.course.rotation, None);
    // It is due at a third of its life, and then at the next time of the schedule.
    let due = ca_core::managed::due_at(id, stored.validity, definition.renew_before);
    assert!(managed.course.next_at >= due && managed.course.next_at.since(due) <= DAY, "{:?}", managed.course);
    let told = messages(&world, "certificate.rotated");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["hooks"], json!(["ecs:prod/web"]));
    assert_eq!(told[0]["target"], "folder /etc/tls");
    assert_eq!(count(&world, AuditAction::CertificateRotated), 1);
    world.renew_responder("tls");
    world.assert_sound("brought to its target");
}

#[test]
fn it_is_rotated_in_time_and_the_one_before_revoked_after_the_overlap() {
    let world = World::new();
    let definition = definition("tls", json!({}));
    let id = add(&world, 1, &definition);
    turn(&world, &world.engine, id);
    let first = read(&world, id).course.current.expect("current");
    assert_eq!(next_turn(&world, id), Turn::Rotated);
    let course = read(&world, id).course;
    let second = course.current.expect("current");
    assert_ne!(second.certificate, first.certificate);
    assert!(first.not_after > world.now().plus(DAY), "in time");
    assert_eq!(standing(&world, first.certificate), Standing::Active, "while the overlap lasts");
    assert_eq!(course.next_at, course.superseded.expect("superseded").revoke_at);
    assert_eq!(next_turn(&world, id), Turn::Rested);
    let Standing::Revoked(revocation) = standing(&world, first.certificate) else { panic!("revoked") };
    assert_eq!(revocation.reason, RevocationReason::Superseded);
    assert_eq!(standing(&world, second.certificate), Standing::Active);
    assert_eq!(read(&world, id).course.superseded, None);
    let previous = block_on(target(&world, &definition).look(TargetPlace::Previous)).expect("looks");
    assert_eq!(previous.map(|held| held.rotation), Some(first.rotation));
    world.renew_responder("tls");
    world.assert_sound("rotated");
}

#[test]
fn a_rotation_that_is_asked_for_is_made_though_none_is_due() {
    let world = World::new();
    let definition = definition("tls", json!({}));
    let id = add(&world, 1, &definition);
    turn(&world, &world.engine, id);
    for times in 2..=3 {
        let mut managed = read(&world, id);
        (managed.course.asked, managed.course.next_at) = (true, world.now());
        assert_eq!(block_on(world.store().change_managed(None, managed, None)), Ok(true));
        assert_eq!(turn(&world, &world.engine, id), Turn::Rotated);
        let course = read(&world, id).course;
        assert!(!course.asked);
        let active = issued(&world).into_iter().filter(|stored| stored.standing == Standing::Active);
        assert_eq!(active.count(), 2, "the current, and the one before: {times}");
    }
    assert_eq!(messages(&world, "certificate.rotated").len(), 3);
}

#[test]
fn a_kept_key_is_certified_again_unless_it_was_compromised() {
    let world = World::new();
    let definition = definition("tls", json!({"keep_key": true}));
    let id = add(&world, 1, &definition);
    turn(&world, &world.engine, id);
    let target = target(&world, &definition);
    let key = |held: Option<HeldCertificate>| held.expect("current").key_spki_sha256;
    let first = key(current(&target));
    assert_eq!(next_turn(&world, id), Turn::Rotated);
    assert_eq!((key(current(&target)), world.parts().managed.keys.made()), (first, 1));
    let compromised = read(&world, id).course.current.expect("current").certificate;
    world.revoke(compromised, RevocationReason::KeyCompromise).expect("revoked");
    let mut managed = read(&world, id);
    (managed.course.asked, managed.course.next_at) = (true, world.now());
    assert_eq!(block_on(world.store().change_managed(None, managed, None)), Ok(true));
    assert_eq!(turn(&world, &world.engine, id), Turn::Rotated);
    assert_ne!(key(current(&target)), first);
}

#[test]
fn a_short_life_does_not_wait_for_the_schedule() {
    let world = World::new();
    let definition = definition("tls", json!({"validity": "2h"}));
    let id = add(&world, 1, &definition);
    turn(&world, &world.engine, id);
    let course = read(&world, id).course;
    let left = course.current.expect("current").not_after.since(course.next_at);
    assert!(left >= Lifetime::from_seconds(2_400), "{left}: a third of two hours");
}

#[test]
fn what_fails_is_on_record_tried_again_and_told_once_for_each_urgency() {
    let world = World::new();
    let definition = definition("tls", json!({"revoke_superseded_after": null}));
    let id = add(&world, 1, &definition);
    turn(&world, &world.engine, id);
    let end = read(&world, id).course.current.expect("current").not_after;
    let refusal = TargetError::Refused { detail: "secret tls/web is too large; choose the layout pem".to_owned() };
    world.parts().managed.targets.refuse(&definition.target, Some(refusal));
    let mut urgencies = Vec::new();
    while world.now() <= end {
        match next_turn(&world, id) {
            Turn::Failed(urgency) => urgencies.push(urgency),
            other => panic!("{other:?}"),
        }
        let course = read(&world, id).course;
        assert!(course.last_failure.expect("a failure").error.contains("choose the layout pem"));
        assert!(course.next_at > world.now(), "it is not tried again at once");
    }
    assert!(urgencies.is_sorted(), "{urgencies:?}");
    let told = messages(&world, "rotation.failed");
    let told: Vec<&str> = told.iter().map(|told| told["urgency"].as_str().expect("a text")).collect();
    assert_eq!(told, ["notice", "warning", "critical", "expired"]);
    assert_eq!(count(&world, AuditAction::RotationFailed), 4);
    world.parts().managed.targets.refuse(&definition.target, None);
    assert_eq!(next_turn(&world, id), Turn::Rotated);
    let course = read(&world, id).course;
    assert_eq!((course.failures, course.last_failure, course.told), (0, None, None));
}

#[test]
fn what_may_pass_by_itself_is_told_only_when_it_does_not() {
    let world = World::new();
    let definition = definition("tls", json!({}));
    let id = add(&world, 1, &definition);
    let target = target(&world, &definition);
    target.script([Some(TargetFault::Before); 2]);
    assert_eq!(turn(&world, &world.engine, id), Turn::Failed(Urgency::Notice));
    assert_eq!(next_turn(&world, id), Turn::Failed(Urgency::Notice));
    assert_eq!(next_turn(&world, id), Turn::Rotated);
    assert!(messages(&world, "rotation.failed").is_empty());
    assert_eq!(messages(&world, "certificate.rotated").len(), 1);
}

#[test]
fn one_that_fails_holds_up_no_other_and_waves_are_as_large_as_they_may_be() {
    let mut parts = Parts::default();
    parts.settings.managed.wave = 3;
    let world = World::of(parts);
    let failing = TargetDefinition::Directory { path: "/etc/tls-1".to_owned() };
    let refusal = TargetError::Refused { detail: "access denied; give the role the right".to_owned() };
    world.parts().managed.targets.refuse(&failing, Some(refusal));
    for number in 0..8 {
        add(&world, number, &definition(&format!("tls-{number}"), json!({})));
    }
    let (lease, mut rotated, mut failed, mut waves) = (lease(&world), 0, 0, 0);
    while let Some(wave) = block_on(next_waves(&world.engine)).expect("a record").pop() {
        assert!(wave.managed.len() <= 3);
        let report = block_on(rotate_wave(&world.engine, &lease, wave)).expect("a record");
        (rotated, failed, waves) = (rotated + report.rotated, failed + report.failures(), waves + 1);
    }
    assert_eq!((rotated, failed, waves), (7, 1, 3));
    world.renew_responder("tls");
    world.assert_sound("waves");
}

#[test]
fn a_profile_that_does_not_allow_it_any_more_is_told_with_the_fix() {
    let world = World::new();
    let definition = definition("tls", json!({"validity": "9000d"}));
    let id = add(&world, 1, &definition);
    assert_eq!(turn(&world, &world.engine, id), Turn::Failed(Urgency::Notice));
    let failure = read(&world, id).course.last_failure.expect("a failure").error;
    assert!(failure.contains("at most"), "{failure}");
    assert_eq!(messages(&world, "rotation.failed").len(), 1, "it does not pass by itself");
    assert_eq!(world.open_reservations(), 0);
}

#[test]
fn a_key_that_was_deleted_from_the_target_is_made_again_and_its_certificate_revoked() {
    let world = World::new();
    let definition = definition("tls", json!({}));
    let id = add(&world, 1, &definition);
    let target = target(&world, &definition);
    // Its key is staged, its certificate issued, and not delivered.
    target.script([None, Some(TargetFault::Before)]);
    assert_eq!(turn(&world, &world.engine, id), Turn::Failed(Urgency::Notice));
    let orphan = read(&world, id).course.rotation.expect("under way").certificate.expect("issued");
    target.clear();
    assert_eq!(next_turn(&world, id), Turn::Failed(Urgency::Notice), "the key is gone");
    assert_eq!(read(&world, id).course.rotation, None);
    while current(&target).is_none() {
        next_turn(&world, id);
    }
    assert!(matches!(standing(&world, orphan), Standing::Revoked(_)));
    assert_eq!(issued(&world).len(), 2, "one more for a key that was deleted");
    world.renew_responder("tls");
    world.assert_sound("deleted");
}

#[test]
fn what_another_put_into_the_target_is_left_alone() {
    let world = World::new();
    let definition = definition("tls", json!({}));
    let id = add(&world, 1, &definition);
    turn(&world, &world.engine, id);
    let target = target(&world, &definition);
    target.edit();
    assert!(matches!(next_turn(&world, id), Turn::Failed(_)));
    let failure = read(&world, id).course.last_failure.expect("a failure").error;
    assert!(failure.contains("did not put there"), "{failure}");
    assert_eq!(issued(&world).len(), 1, "nothing is issued for it");
}

#[test]
fn a_server_that_still_shows_the_one_before_is_told_of_after_the_deadline() {
    let world = World::new();
    let endpoint = json!({"endpoint": {"address": "www.example.com:443", "within": "2m"}});
    let definition = definition("tls", endpoint);
    let id = add(&world, 1, &definition);
    let (probe, target) = (world.parts().managed.probe.clone(), target(&world, &definition));
    turn(&world, &world.engine, id);
    let first = current(&target).expect("current").certificate;
    probe.show("www.example.com:443", vec![first]);
    assert_eq!(next_turn(&world, id), Turn::Rested);
    assert_eq!(read(&world, id).course.probe_until, None, "it was seen");
    assert!(messages(&world, "rotation.failed").is_empty());
    let rotated = |world: &World| while next_turn(world, id) != Turn::Rotated {};
    rotated(&world);
    let until = read(&world, id).course.probe_until.expect("to be seen");
    while read(&world, id).course.probe_until.is_some() {
        assert_eq!(next_turn(&world, id), Turn::Rested);
    }
    assert!(world.now() >= until);
    let told = messages(&world, "rotation.failed");
    assert_eq!(told.len(), 1);
    let detail = told[0]["detail"].as_str().expect("a text");
    assert!(detail.contains("www.example.com:443 shows another") && detail.contains("read it again"), "{detail}");
}

#[test]
fn what_a_worker_delivers_is_the_service_s_only_to_look_after() {
    let world = World::new();
    let definition = definition("tls", json!({"delivered_by": "worker"}));
    let id = add(&world, 1, &definition);
    assert_eq!(definition.delivered_by, Deliverer::Worker);
    assert!(block_on(next_waves(&world.engine)).expect("a record").is_empty());
    assert_eq!(turn(&world, &world.engine, id), Turn::Rested);
    assert_eq!(current(&target(&world, &definition)), None, "nothing was brought there");
    let watch_at = read(&world, id).course.watch_at.expect("looked after");
    world.clock.advance(watch_at.since(world.now()));
    assert_eq!(block_on(next_waves(&world.engine)).expect("a record").len(), 1);
    assert_eq!(turn(&world, &world.engine, id), Turn::Rested);
    let told = messages(&world, "rotation.failed");
    assert!(told[0]["detail"].as_str().expect("a text").contains("no worker has brought it"), "{told:?}");
    assert_eq!(read(&world, id).course.watch_at, None, "it is told once");
}

#[test]
fn a_clock_that_is_wrong_makes_it_wait_and_not_fail_for_ever() {
    let world = World::new();
    let definition = definition("tls", json!({}));
    let id = add(&world, 1, &definition);
    turn(&world, &world.engine, id);
    let at = read(&world, id).course.next_at;
    // Nobody compared the clock meanwhile.
    world.clock.advance(at.since(world.now()));
    world.store.break_down("the database is away");
    assert!(block_on(rotate_one(&world.engine, None, fixed(&world, id, at))).is_err());
    world.store.repair();
    assert_eq!(turn(&world, &world.engine, id), Turn::Rotated);
    let der = current(&target(&world, &definition)).expect("current").certificate;
    assert!(Certificate::from_der(&der).expect("a certificate").validity().contains(world.now()));
}

/// A record as somebody read it who cannot ask again.
fn fixed(world: &World, id: ManagedCertificateId, at: ca_core::time::Timestamp) -> ManagedCertificate {
    world.store.repair();
    let mut managed = read(world, id);
    managed.course.next_at = at;
    world.store.break_down("the database is away");
    managed
}
