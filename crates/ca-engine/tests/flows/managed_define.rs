//! Managed certificates are defined by whoever may have what they define, once for each name and target, and changed over what
//! rotations write meanwhile.

use ca_core::audit::AuditAction;
use ca_core::id::{CertificateId, RotationId};
use ca_core::managed::RotationStep;
use ca_core::managed::definition::ManagedDefinition;
use ca_core::principal::{Principal, Role};
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::flow::managed::change::{pause_managed, redefine, remove_managed, resume_managed, rotate_managed};
use ca_engine::flow::managed::define::{Defined, ManagedRequest, define};
use ca_engine::flow::managed::query::{ManagedReference, Shown, list_managed, managed_standing, show_managed};
use ca_engine::port::store::{FailedAttempt, ManagedCertificate, Rotation};
use futures::executor::block_on;

use crate::world::*;

fn wanted(name: &str, definition: &str) -> ManagedRequest {
    let definition: ManagedDefinition = serde_json::from_str(definition).expect("a definition");
    let profile = "server".parse().expect("a profile's name");
    ManagedRequest { name: name.to_owned(), profile, definition, request_id: Some("request-1".to_owned()) }
}

fn web() -> ManagedRequest {
    wanted(
        "web",
        r#"{"subject_alternative_names": ["dns:www.example.com"], "target": {"kind": "directory", "path": "/etc/web"}}"#,
    )
}

fn named(name: &str) -> ManagedReference {
    ManagedReference::Name(name.to_owned())
}

fn add(world: &World, request: ManagedRequest) -> Result<Defined, FlowError> {
    block_on(define(&world.engine, &Principal::LocalOperator, request, false))
}

fn change(world: &World, request: ManagedRequest) -> Result<Shown, FlowError> {
    let name = named(&request.name);
    block_on(redefine(&world.engine, &Principal::LocalOperator, &name, request, None, false))
}

/// What a rotation writes.
fn write(world: &World, name: &str, with: impl FnOnce(&mut ManagedCertificate)) {
    let mut there = block_on(world.store().managed_by_name(name)).expect("a record").expect("one of that name");
    with(&mut there);
    assert_eq!(block_on(world.store().change_managed(None, there, None)), Ok(true));
}

fn under_way(step: RotationStep) -> Rotation {
    let certificate = step.has_certificate().then(|| CertificateId::from_bytes([7; 16]));
    Rotation {
        id: RotationId::from_bytes([8; 16]),
        step,
        certificate,
        begun_at: ca_core::time::Timestamp::from_unix_seconds(1_795_176_000),
    }
}

fn faults(error: &FlowError) -> Vec<(&str, &str)> {
    error.faults.iter().map(|fault| (fault.code.as_str(), fault.pointer.as_str())).collect()
}

#[test]
fn one_is_on_record_due_at_once_and_told_of() {
    let world = World::new();
    let defined = add(&world, web()).expect("added");
    assert!(defined.is_new);
    let there = block_on(world.store().managed_by_name("web")).expect("a record").expect("it");
    assert_eq!(there, defined.managed);
    assert_eq!((there.course.next_at, there.revision, there.owner.as_str()), (world.now(), 1, "local"));
    let event = world.store.events().into_iter().find(|event| event.action == AuditAction::ManagedCertificateAdded);
    let event = event.expect("an event");
    assert_eq!(event.subject, format!("managed-certificate:{}", there.id));
    assert_eq!(event.details.get("target").map(String::as_str), Some("folder /etc/web"));
    assert_eq!(event.request_id.as_deref(), Some("request-1"));
}

#[test]
fn the_same_again_is_the_one_that_is_there_and_another_of_its_name_or_target_is_refused() {
    let world = World::new();
    let first = add(&world, web()).expect("added").managed;
    let again = add(&world, web()).expect("there");
    assert_eq!((again.managed.id, again.is_new), (first.id, false));
    let other_name = ManagedRequest { name: "web-2".to_owned(), ..web() };
    let error = add(&world, other_name).expect_err("its target is taken");
    assert_eq!((error.kind, faults(&error)), (Kind::ManagedExists, vec![("target-taken", "/target")]));
    assert!(error.message.contains("`web`"), "{error}");
    let mut other = web();
    other.definition.keep_key = true;
    let error = add(&world, other).expect_err("its name is taken");
    assert_eq!((error.kind, faults(&error)), (Kind::ManagedExists, vec![("name-taken", "/name")]));
    assert_eq!(
        world.store.events().iter().filter(|event| event.action == AuditAction::ManagedCertificateAdded).count(),
        1
    );
}

#[test]
fn a_dry_run_checks_everything_and_changes_nothing() {
    let world = World::new();
    let checked = block_on(define(&world.engine, &Principal::LocalOperator, web(), true)).expect("it could be");
    assert!(checked.is_new);
    assert_eq!(block_on(world.store().managed_by_name("web")), Ok(None));
    let mut spoilt = web();
    spoilt.definition.validity = Some("9999d".to_owned());
    let error = block_on(define(&world.engine, &Principal::LocalOperator, spoilt, true)).expect_err("too long");
    assert_eq!(error.kind, Kind::ProfileViolation);
}

#[test]
fn what_the_service_may_not_touch_it_is_not_asked_to_deliver_to() {
    let world = World::new();
    let secret = |by: &str| {
        let json = r#"{"subject_alternative_names": ["dns:www.example.com"],
            "target": {"kind": "secrets-manager", "secret": "out-of-reach/web"}, "delivered_by": "BY"}"#;
        wanted("web", &json.replace("BY", by))
    };
    let error = add(&world, secret("service")).expect_err("out of reach");
    assert_eq!((error.kind, faults(&error)), (Kind::InvalidRequest, vec![("target-out-of-reach", "/target")]));
    assert!(add(&world, secret("worker")).is_ok(), "what a worker may touch is its operator's to say");
    let error = change(&world, secret("service")).expect_err("by a change neither");
    assert_eq!(faults(&error), [("target-out-of-reach", "/target")]);
}

#[test]
fn hooks_are_refused_where_nobody_would_carry_them_out() {
    let world = World::new();
    let mut request = web();
    request.definition.hooks = vec!["ecs:prod/web".parse().expect("a hook")];
    let error = add(&world, request).expect_err("it would be silence");
    assert_eq!((error.kind, faults(&error)), (Kind::InvalidRequest, vec![("deployments-off", "/hooks")]));
}

#[test]
fn what_a_rotation_would_be_refused_for_is_told_all_at_once() {
    let world = World::new();
    let mut request = wanted(
        "Status!",
        r#"{"subject": "CN=", "subject_alternative_names": ["dns:a.example", "carrot:b"], "target": {"kind": "directory", "path": "etc"}}"#,
    );
    request.profile = "toaster".parse().expect("a name");
    let error = add(&world, request).expect_err("much is wrong");
    assert_eq!(error.kind, Kind::InvalidRequest);
    let places: Vec<&str> = error.faults.iter().map(|fault| fault.pointer.as_str()).collect();
    for place in ["/name", "/subject_alternative_names/1", "/target/path", "/profile"] {
        assert!(places.contains(&place), "{place}: {places:?}");
    }
    let mut request = web();
    request.definition.subject_alternative_names =
        vec!["email:ana@example.com".to_owned(), "dns:ca.example.org".to_owned()];
    request.definition.validity = Some("9999d".to_owned());
    let error = add(&world, request).expect_err("the profile says no");
    assert_eq!(error.kind, Kind::ProfileViolation);
    let codes: Vec<&str> = error.faults.iter().map(|fault| fault.code.as_str()).collect();
    assert!(codes.contains(&"name-reserved"), "the operator's rotations neither: {codes:?}");
    assert!(codes.contains(&"validity-too-long"), "{codes:?}");
    for reserved in ["status", "0193467e-ca00-7000-8000-0123456789ab", "", "-a", "a/b"] {
        let error = add(&world, ManagedRequest { name: reserved.to_owned(), ..web() }).expect_err(reserved);
        assert_eq!(faults(&error), [("name-invalid", "/name")], "{reserved}");
    }
    let mut internal = web();
    internal.profile = "operator".parse().expect("a name");
    assert!(matches!(refused(add(&world, internal)), Kind::ProfileViolation | Kind::UnknownProfile));
}

#[test]
fn who_defines_one_must_be_allowed_to_have_it() {
    let world = World::new();
    let own = world.ask(server(csr(&key()))).expect("issued");
    let registrar = holder(&own, &[Role::Registrar]);
    block_on(define(&world.engine, &registrar, web(), false)).expect("a registrar issues, so it may define");
    for stranger in [holder(&own, &[]), Principal::Anonymous] {
        let request = ManagedRequest { name: "other".to_owned(), ..web() };
        let denied = match stranger {
            Principal::Anonymous => Kind::AuthenticationRequired,
            _ => Kind::AccessDenied,
        };
        assert_eq!(refused(block_on(define(&world.engine, &stranger, request, false))), denied);
        let name = named("web");
        assert_eq!(refused(block_on(rotate_managed(&world.engine, &stranger, &name, None))), denied);
        assert_eq!(refused(block_on(remove_managed(&world.engine, &stranger, &name, None))), denied);
        // Nor does it learn which names are taken.
        assert_eq!(refused(block_on(show_managed(&world.engine, &stranger, &named("x")))), denied);
    }
    assert_eq!(refused(block_on(show_managed(&world.engine, &registrar, &named("x")))), Kind::NotFound);
}

#[test]
fn a_change_of_the_certificate_has_it_rotated_at_once_and_another_change_only_looked_at() {
    let world = World::new();
    add(&world, web()).expect("added");
    let issued = world.ask(server(csr(&key()))).expect("issued");
    let later = world.now().plus(DAY);
    let in_order = |there: &mut ManagedCertificate| {
        there.course.current = Some(ca_engine::port::store::ManagedCurrent {
            certificate: issued.id,
            rotation: RotationId::from_bytes([8; 16]),
            not_after: issued.validity.not_after,
        });
        there.course.asked = false;
        there.course.next_at = later;
    };
    write(&world, "web", in_order);
    let mut request = web();
    request.definition.renew_before = "1/2".parse().expect("a part");
    let changed = change(&world, request.clone()).expect("changed");
    assert_eq!((changed.managed.course.asked, changed.managed.course.next_at), (false, world.now()));
    assert!(changed.due_at.is_some_and(|due| due < issued.validity.not_after));
    write(&world, "web", in_order);
    request.definition.subject_alternative_names.push("dns:web.example.com".to_owned());
    let changed = change(&world, request.clone()).expect("changed");
    assert_eq!((changed.managed.course.asked, changed.managed.course.next_at), (true, world.now()));
    let told =
        world.store.events().into_iter().rev().find(|event| event.action == AuditAction::ManagedCertificateChanged);
    assert_eq!(told.expect("an event").details.get("change").map(String::as_str), Some("subject_alternative_names"));
    // The same again changes nothing.
    let again = change(&world, request).expect("there");
    assert_eq!(again.managed.revision, changed.managed.revision);
}

#[test]
fn a_change_ends_what_was_begun_and_leaves_what_is_issued() {
    let world = World::new();
    add(&world, web()).expect("added");
    let failed = |step| {
        move |there: &mut ManagedCertificate| {
            there.course.rotation = Some(under_way(step));
            there.course.failures = 3;
            there.course.last_failure =
                Some(FailedAttempt { at: there.created_at, error: "the target refuses".to_owned() });
        }
    };
    write(&world, "web", failed(RotationStep::Begun));
    let mut request = web();
    request.definition.subject_alternative_names = vec!["dns:web.example.com".to_owned()];
    let course = change(&world, request.clone()).expect("changed").managed.course;
    assert_eq!((course.rotation, course.failures, course.last_failure), (None, 0, None), "begun anew");
    write(&world, "web", failed(RotationStep::Issued));
    request.definition.subject_alternative_names = vec!["dns:api.example.com".to_owned()];
    assert_eq!(refused(change(&world, request.clone())), Kind::RotationUnderWay);
    request.definition.subject_alternative_names = vec!["dns:web.example.com".to_owned()];
    request.definition.renew_before = "1/2".parse().expect("a part");
    let course = change(&world, request).expect("that concerns no certificate").managed.course;
    assert_eq!((course.rotation, course.failures), (Some(under_way(RotationStep::Issued)), 3));
}

#[test]
fn a_change_names_the_revision_it_saw_where_it_says_one() {
    let world = World::new();
    add(&world, web()).expect("added");
    write(&world, "web", |_| {});
    let mut request = web();
    request.definition.keep_key = true;
    let change = |revision, request: &ManagedRequest| {
        let (operator, name) = (Principal::LocalOperator, named("web"));
        block_on(redefine(&world.engine, &operator, &name, request.clone(), Some(revision), false))
    };
    assert_eq!(refused(change(1, &request)), Kind::ManagedChanged);
    assert_eq!(change(2, &request).expect("as it was seen").managed.revision, 3);
    let renamed = ManagedRequest { name: "other".to_owned(), ..request };
    assert_eq!(faults(&change(3, &renamed).expect_err("a name stays")), [("name-changed", "/name")]);
}

#[test]
fn a_change_does_not_take_the_target_of_another() {
    let world = World::new();
    add(&world, web()).expect("added");
    let api = wanted(
        "api",
        r#"{"subject_alternative_names": ["dns:a.example"], "target": {"kind": "directory", "path": "/etc/api"}}"#,
    );
    add(&world, api.clone()).expect("added");
    let mut moved = api;
    moved.definition.target = web().definition.target;
    assert_eq!(refused(change(&world, moved)), Kind::ManagedExists);
}

#[test]
fn it_is_paused_resumed_rotated_and_removed_and_repeating_it_is_harmless() {
    let world = World::new();
    let added = add(&world, web()).expect("added").managed;
    let (engine, operator, name) = (&world.engine, Principal::LocalOperator, ManagedReference::Id(added.id));
    write(&world, "web", |there| there.course.next_at = there.created_at.plus(DAY));
    let rotated = block_on(rotate_managed(engine, &operator, &name, None)).expect("it is next").managed;
    assert_eq!((rotated.course.asked, rotated.course.next_at), (true, world.now()));
    let again = block_on(rotate_managed(engine, &operator, &name, None)).expect("it still is").managed;
    assert_eq!(again, rotated);
    for _ in 0..2 {
        let paused = block_on(pause_managed(engine, &operator, &name, None)).expect("paused").managed;
        assert_eq!((paused.paused, paused.revision), (true, rotated.revision + 1));
    }
    assert_eq!(refused(block_on(rotate_managed(engine, &operator, &name, None))), Kind::ManagedPaused);
    let standing = block_on(managed_standing(engine, &operator)).expect("counted");
    assert_eq!((standing.counts.active, standing.counts.paused, standing.done_at()), (0, 1, None));
    for _ in 0..2 {
        let resumed = block_on(resume_managed(engine, &operator, &name, None)).expect("resumed").managed;
        assert_eq!((resumed.paused, resumed.course.asked), (false, true));
    }
    assert_eq!(block_on(list_managed(engine, &operator, None, 10)).expect("a list").len(), 1);
    block_on(remove_managed(engine, &operator, &name, None)).expect("removed");
    assert_eq!(refused(block_on(remove_managed(engine, &operator, &name, None))), Kind::NotFound);
    let actions: Vec<_> = world.store.events().iter().map(|event| event.action).collect();
    let count = |action| actions.iter().filter(|other| **other == action).count();
    assert_eq!((count(AuditAction::ManagedCertificateChanged), count(AuditAction::ManagedCertificateRemoved)), (3, 1));
    assert!(add(&world, web()).expect("name and target are free again").is_new);
}
