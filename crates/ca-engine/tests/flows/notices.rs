//! Notices of ends that nobody has seen to: once for each time before the end, and to nobody who has seen to it.

use ca_core::audit::AuditAction;
use ca_core::id::{ManagedCertificateId, RotationId};
use ca_core::managed::definition::Deliverer;
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use ca_engine::engine::NoticeSettings;
use ca_engine::fake::{StoreFault, StoreMethod};
use ca_engine::flow::notices::{Told, tell_of_ends};
use ca_engine::port::store::{
    Journal, ManagedCertificate, ManagedCourse, ManagedCurrent, OutboxMessage, StoreError, StoredCertificate,
};
use futures::executor::block_on;
use serde_json::Value;

use crate::world::*;

fn days(count: u64) -> Lifetime {
    Lifetime::from_days(count)
}

fn tell(world: &World) -> Vec<Told> {
    block_on(tell_of_ends(&world.engine, &Principal::Job("notices"))).expect("the record answers")
}

fn messages(world: &World, topic: &str) -> Vec<OutboxMessage> {
    world.store.outbox().into_iter().filter(|message| message.topic == topic).collect()
}

fn about(certificate: &StoredCertificate) -> String {
    format!("certificate:{}", certificate.id)
}

fn subjects(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.subject.as_str()).collect()
}

#[test]
fn one_that_nobody_renews_is_told_of_at_each_time_before_its_end_and_not_after_it() {
    let world = World::new();
    let stored = world.issue();
    // Of 90 days a sixth is 15 and a twentieth four and a half.
    world.clock.advance(days(74));
    assert_eq!(tell(&world), []);
    world.clock.advance(days(2));
    let told = tell(&world);
    assert_eq!(subjects(&told), [about(&stored)]);
    assert!(told[0].detail.contains("ca-cli renew"), "{}", told[0].detail);
    assert_eq!(tell(&world), [], "once");
    world.clock.advance(days(10));
    assert_eq!(subjects(&tell(&world)), [about(&stored)]);
    assert_eq!(tell(&world), []);
    let messages = messages(&world, "certificate.expiring");
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].certificate, Some(stored.id));
    let payload: Value = serde_json::from_str(&messages[0].payload).expect("JSON");
    assert_eq!(payload["not_after"], stored.validity.not_after.to_rfc3339());
    assert_eq!((&payload["owner"], &payload["name"]), (&stored.owner.clone().into(), &Value::Null));
    let event = world.store.events().pop().expect("an event");
    assert_eq!((event.action, event.subject), (AuditAction::ExpiryNoticed, about(&stored)));
    // Once the end has come it is no news, and what was noted of it goes.
    world.clock.advance(days(5));
    assert_eq!(tell(&world), []);
    assert!(world.store.tables(|record| record.expiry_notices.is_empty()));
}

#[test]
fn only_the_nearest_time_is_told_where_several_have_come() {
    let world = World::new();
    world.issue();
    world.clock.advance(days(88));
    assert_eq!(tell(&world).len(), 1);
    assert_eq!(tell(&world), []);
}

#[test]
fn what_somebody_has_seen_to_is_not_told_of() {
    let world = World::new();
    let (renewed, revoked) = (world.issue(), world.issue());
    world.revoke(revoked.id, RevocationReason::CessationOfOperation).expect("revoked");
    world.clock.advance(days(80));
    assert_eq!(subjects(&tell(&world)), [about(&renewed)]);
    world.renew(&holder(&renewed, &[]), &renewed).expect("renewed");
    world.clock.advance(days(8));
    assert_eq!(tell(&world), []);
}

/// Many clients ask for a new certificate instead of renewing the one that they have.
#[test]
fn one_whose_names_have_a_newer_certificate_is_told_of_only_while_that_is_in_force() {
    let world = World::new();
    let stored = world.issue();
    world.clock.advance(days(50));
    let newer = world.issue();
    world.clock.advance(days(30));
    assert_eq!(tell(&world), []);
    assert_eq!(messages(&world, "certificate.expiring"), []);
    // Its name alone is not the same names.
    world.revoke(newer.id, RevocationReason::Superseded).expect("revoked");
    let mut more = server(csr(&key()));
    more.names = names(&["dns:api.example.com", "dns:more.example.com"]);
    world.ask(more).expect("issued");
    world.clock.advance(days(6));
    assert_eq!(subjects(&tell(&world)), [about(&stored)]);
}

fn manage(world: &World, certificate: &StoredCertificate, change: impl FnOnce(&mut ManagedCertificate)) {
    let id = ManagedCertificateId::from_bytes([1; 16]);
    let current = ManagedCurrent {
        certificate: certificate.id,
        rotation: RotationId::from_bytes([2; 16]),
        not_after: certificate.validity.not_after,
    };
    let mut managed = ManagedCertificate {
        id,
        name: "web".to_owned(),
        owner: "local".to_owned(),
        profile: certificate.profile.clone(),
        definition: "{}".to_owned(),
        delivered_by: Deliverer::Service,
        paused: false,
        revision: 1,
        created_at: world.now(),
        created_by: "local".to_owned(),
        course: ManagedCourse { current: Some(current), ..ManagedCourse::begin(world.now()) },
    };
    change(&mut managed);
    let subject = format!("managed-certificate:{id}");
    let event = ca_core::audit::AuditEvent::new(world.now(), AuditAction::ManagedCertificateAdded, "local", subject);
    block_on(world.store().add_managed(managed, Journal::of(event))).expect("added");
}

#[test]
fn one_that_is_managed_is_told_of_where_that_goes_wrong() {
    type Change = fn(&mut ManagedCertificate);
    let well: Change = |_| {};
    let paused: Change = |managed| managed.paused = true;
    let failing: Change = |managed| managed.course.failures = 3;
    for (change, part) in [(well, None), (paused, Some("web is paused")), (failing, Some("web fails to be rotated"))] {
        let world = World::new();
        let stored = world.issue();
        manage(&world, &stored, change);
        world.clock.advance(days(80));
        let told = tell(&world);
        assert_eq!(told.is_empty(), part.is_none(), "{told:?}");
        assert!(part.is_none_or(|part| told[0].detail.contains(part)), "{told:?}");
    }
}

#[test]
fn the_newest_of_each_line_of_authorities_is_told_of_four_times() {
    let world = World::new();
    let hierarchy = world.engine.hierarchy();
    let end = hierarchy.authority(&id("tls")).expect("an authority").facts().validity.not_after;
    let mut details = Vec::new();
    for before in [366, 364, 200, 89, 29, 8, 6, 1] {
        world.clock.set(end.minus(days(before)));
        let told: Vec<Told> = tell(&world).into_iter().filter(|told| told.subject == "authority:tls").collect();
        assert_eq!(tell(&world), [], "{before}");
        details.extend(told.into_iter().map(|told| told.detail));
    }
    assert_eq!(details.len(), 4, "{details:?}");
    assert!(details[0].contains("authority rollover tls"), "{details:?}");
    let of_tls = |message: &OutboxMessage| message.payload.contains("\"authority\":\"tls\"");
    let before: Vec<Value> = messages(&world, "authority.expiring")
        .iter()
        .filter(|message| of_tls(message))
        .map(|message| serde_json::from_str::<Value>(&message.payload).expect("JSON")["before"].clone())
        .collect();
    assert_eq!(before, ["365d", "90d", "30d", "7d"]);
}

#[test]
fn nothing_is_told_where_nothing_is_configured() {
    let mut parts = Parts::default();
    parts.settings.notices = NoticeSettings { certificates: Vec::new(), authorities: Vec::new() };
    let world = World::of(parts);
    world.issue();
    world.clock.advance(days(89));
    assert_eq!(tell(&world), []);
}

#[test]
fn what_could_not_be_noted_is_told_the_next_time() {
    let world = World::new();
    let stored = world.issue();
    world.clock.advance(days(80));
    let down = || StoreError::Unavailable { detail: "away".to_owned() };
    world.store.fail_next(StoreMethod::NoteExpiry, StoreFault::BeforeCommit(down()));
    assert!(block_on(tell_of_ends(&world.engine, &Principal::Job("notices"))).is_err());
    assert_eq!(subjects(&tell(&world)), [about(&stored)]);
    assert_eq!(messages(&world, "certificate.expiring").len(), 1);
}
