//! Managed certificates: found by id, name and instant, changed only by who saw what is there.

use ca_core::audit::AuditAction;
use ca_core::id::{CertificateId, ManagedCertificateId, RotationId};
use ca_core::managed::definition::Deliverer;
use ca_core::managed::{RotationStep, Urgency};
use ca_core::time::{Lifetime, Timestamp};
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, event, profile};
use crate::port::store::{
    FailedAttempt, Journal, LATELY, ManagedAddition, ManagedCertificate, ManagedCounts, ManagedCourse, ManagedCurrent,
    Rotation, StoreError, Superseded,
};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        one_is_read_back_as_it_was_added_by_id_and_by_name,
        a_course_is_read_back_in_every_detail,
        no_two_have_one_name_and_a_name_is_free_again,
        of_many_that_add_one_name_at_once_one_does,
        no_two_have_one_target_and_a_target_is_free_again,
        of_many_that_add_one_target_at_once_one_does,
        they_are_listed_in_order_of_names,
        a_change_is_made_only_by_who_saw_what_is_there,
        of_many_that_change_one_at_once_one_does,
        a_change_under_a_lease_that_moved_on_is_fenced_off,
        those_that_are_due_come_in_order_and_paused_ones_never,
        what_a_worker_delivers_is_due_to_it_and_looked_after_by_the_service,
        they_are_counted,
    ]
}

fn managed(number: u8, name: &str) -> ManagedCertificate {
    ManagedCertificate {
        id: ManagedCertificateId::from_bytes([number; 16]),
        name: name.to_owned(),
        owner: "local".to_owned(),
        profile: profile("server"),
        definition: r#"{"target": {"directory": "/etc/tls/app"}}"#.to_owned(),
        paused: false,
        revision: 1,
        created_at: NOW,
        created_by: "local".to_owned(),
        delivered_by: Deliverer::Service,
        course: ManagedCourse::begin(NOW),
    }
}

fn whole_course(step: RotationStep) -> ManagedCourse {
    let certificate = CertificateId::from_bytes([7; 16]);
    ManagedCourse {
        current: Some(ManagedCurrent {
            certificate: CertificateId::from_bytes([6; 16]),
            rotation: RotationId::from_bytes([8; 16]),
            not_after: later(30),
        }),
        rotation: Some(Rotation {
            id: RotationId::from_bytes([9; 16]),
            step,
            certificate: step.has_certificate().then_some(certificate),
            begun_at: later(1),
        }),
        superseded: Some(Superseded { certificate: CertificateId::from_bytes([5; 16]), revoke_at: later(2) }),
        failures: 3,
        last_failure: Some(FailedAttempt { at: later(1), error: "the target cannot be used".to_owned() }),
        asked: true,
        told: Some(Urgency::Warning),
        probe_until: Some(later(4)),
        next_at: later(3),
        watch_at: None,
    }
}

fn later(days: u64) -> Timestamp {
    NOW.plus(Lifetime::from_days(days))
}

fn told(action: AuditAction, number: u8) -> Journal {
    let id = ManagedCertificateId::from_bytes([number; 16]);
    Journal::of(event(action, &format!("managed-certificate:{id}")))
}

async fn add(fixture: &Fixture, managed: ManagedCertificate) -> ManagedCertificate {
    let journal = told(AuditAction::ManagedCertificateAdded, managed.id.as_bytes()[0]);
    assert_eq!(fixture.store.add_managed(managed.clone(), journal).await, Ok(ManagedAddition::Added));
    managed
}

async fn change(fixture: &Fixture, managed: ManagedCertificate) -> Result<bool, StoreError> {
    let journal = told(AuditAction::ManagedCertificateChanged, managed.id.as_bytes()[0]);
    fixture.store.change_managed(None, managed, Some(journal)).await
}

async fn one_is_read_back_as_it_was_added_by_id_and_by_name(fixture: Fixture) {
    let before = fixture.event_count().await;
    let added = add(&fixture, managed(1, "app")).await;
    let another = fixture.another().await;
    assert_eq!(another.managed(added.id).await, Ok(Some(added.clone())));
    assert_eq!(another.managed_by_name("app").await, Ok(Some(added)));
    assert_eq!(another.managed(ManagedCertificateId::from_bytes([2; 16])).await, Ok(None));
    assert_eq!(another.managed_by_name("ap").await, Ok(None));
    assert_eq!(fixture.event_count().await, before + 1);
}

async fn a_course_is_read_back_in_every_detail(fixture: Fixture) {
    let mut there = add(&fixture, managed(1, "app")).await;
    for step in RotationStep::ALL {
        there.course = whole_course(step);
        assert_eq!(change(&fixture, there.clone()).await, Ok(true), "{step:?}");
        there.revision += 1;
        assert_eq!(fixture.store.managed(there.id).await, Ok(Some(there.clone())), "{step:?}");
    }
    (there.delivered_by, there.course.watch_at) = (Deliverer::Worker, Some(later(5)));
    assert_eq!(change(&fixture, there.clone()).await, Ok(true));
    there.revision += 1;
    assert_eq!(fixture.store.managed(there.id).await, Ok(Some(there.clone())), "one that a worker delivers");
    there.delivered_by = Deliverer::Service;
    there.course = managed(1, "app").course;
    assert_eq!(change(&fixture, there.clone()).await, Ok(true));
    there.revision += 1;
    assert_eq!(fixture.store.managed(there.id).await, Ok(Some(there)), "nothing of it is left");
}

async fn no_two_have_one_name_and_a_name_is_free_again(fixture: Fixture) {
    let first = add(&fixture, managed(1, "app")).await;
    let before = fixture.event_count().await;
    let second = || fixture.store.add_managed(managed(2, "app"), told(AuditAction::ManagedCertificateAdded, 2));
    assert_eq!(second().await, Ok(ManagedAddition::NameTaken(first.id)));
    assert_eq!(fixture.event_count().await, before, "nothing is told of what did not happen");
    let remove = |revision| {
        let journal = told(AuditAction::ManagedCertificateRemoved, 1);
        fixture.store.remove_managed(first.id, revision, journal)
    };
    assert_eq!(remove(2).await, Ok(false), "another than was seen");
    assert_eq!(remove(1).await, Ok(true));
    assert_eq!(remove(1).await, Ok(false));
    assert_eq!(second().await, Ok(ManagedAddition::Added));
    assert_eq!(fixture.event_count().await, before + 2);
}

async fn of_many_that_add_one_name_at_once_one_does(fixture: Fixture) {
    let before = fixture.event_count().await;
    let added = (1..=5).map(|number| {
        fixture.store.add_managed(managed(number, "app"), told(AuditAction::ManagedCertificateAdded, number))
    });
    let added = join_all(added).await;
    assert!(added.iter().all(Result::is_ok), "{added:?}");
    assert_eq!(added.iter().filter(|added| **added == Ok(ManagedAddition::Added)).count(), 1, "{added:?}");
    assert_eq!(fixture.event_count().await, before + 1);
}

fn at(number: u8, name: &str, definition: &str) -> ManagedCertificate {
    ManagedCertificate { definition: definition.to_owned(), ..managed(number, name) }
}

async fn no_two_have_one_target_and_a_target_is_free_again(fixture: Fixture) {
    let folder = r#"{"key_type": "p256", "target": {"kind": "directory", "path": "/etc/tls/app"}}"#;
    let again = r#"{"target": {"path": "/etc/tls/app", "kind": "directory"}, "delivered_by": "service"}"#;
    let first = add(&fixture, at(1, "first", folder)).await;
    let store = &fixture.store;
    let adds = async |managed: ManagedCertificate| {
        let journal = told(AuditAction::ManagedCertificateAdded, managed.id.as_bytes()[0]);
        store.add_managed(managed, journal).await
    };
    let before = fixture.event_count().await;
    assert_eq!(adds(at(2, "second", again)).await, Ok(ManagedAddition::TargetTaken(first.id)));
    assert_eq!(adds(at(2, "first", again)).await, Ok(ManagedAddition::NameTaken(first.id)), "the name is told first");
    assert_eq!(fixture.event_count().await, before);
    assert_eq!(fixture.another().await.managed_by_target(again).await, Ok(Some(first.id)));
    // Each of these is another one.
    let others = [
        r#"{"target": {"kind": "directory", "path": "/etc/tls/web"}}"#,
        r#"{"target": {"kind": "directory", "path": "/etc/tls/app"}, "delivered_by": "worker"}"#,
        r#"{"target": {"kind": "pkcs12", "path": "/etc/tls/app"}}"#,
        r#"{"target": {"kind": "secrets-manager", "secret": "app"}}"#,
        r#"{"target": {"kind": "secrets-manager", "secret": "app", "region": "sa-east-1"}}"#,
    ];
    for (number, definition) in (10..).zip(others) {
        assert_eq!(store.managed_by_target(definition).await, Ok(None), "{definition}");
        let other = add(&fixture, at(number, &format!("other-{number}"), definition)).await;
        assert_eq!(store.managed_by_target(definition).await, Ok(Some(other.id)), "{definition}");
    }
    // A change does not take another's, and leaves one's own.
    let moved = at(10, "other-10", again);
    let before = fixture.event_count().await;
    assert!(matches!(change(&fixture, moved.clone()).await, Err(StoreError::Conflict { .. })));
    assert_eq!(fixture.event_count().await, before);
    assert_eq!(change(&fixture, at(1, "first", again)).await, Ok(true), "its own");
    // What is removed, or moved away, leaves its target.
    let journal = told(AuditAction::ManagedCertificateRemoved, 1);
    assert_eq!(store.remove_managed(first.id, 2, journal).await, Ok(true));
    assert_eq!(change(&fixture, moved).await, Ok(true));
    assert_eq!(store.managed_by_target(others[0]).await, Ok(None));
    // Those that name no kind of target may be alike.
    assert_eq!(store.managed_by_target("{}").await, Ok(None));
    add(&fixture, at(20, "none", "{}")).await;
    add(&fixture, at(21, "none-either", "{}")).await;
}

async fn of_many_that_add_one_target_at_once_one_does(fixture: Fixture) {
    let folder = r#"{"target": {"kind": "directory", "path": "/etc/tls/app"}}"#;
    let (mut added, mut taken) = (0, Vec::new());
    let adds = (1..=8).map(|number: u8| {
        let store = &fixture.store;
        let managed = at(number, &format!("name-{number}"), folder);
        async move { store.add_managed(managed, told(AuditAction::ManagedCertificateAdded, number)).await }
    });
    for outcome in join_all(adds).await {
        match outcome {
            Ok(ManagedAddition::Added) => added += 1,
            Ok(ManagedAddition::TargetTaken(id)) => taken.push(id),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((added, taken.len()), (1, 7));
    assert_eq!(fixture.store.managed_by_target(folder).await, Ok(Some(taken[0])));
}

async fn they_are_listed_in_order_of_names(fixture: Fixture) {
    for (number, name) in [(1, "b"), (2, "a-2"), (3, "a"), (4, "c")] {
        add(&fixture, managed(number, name)).await;
    }
    let names = |after: Option<&'static str>, limit| {
        let store = fixture.store.clone();
        async move {
            let listed = store.managed_certificates(after, limit).await.expect("listed");
            listed.into_iter().map(|managed| managed.name).collect::<Vec<_>>()
        }
    };
    assert_eq!(names(None, 10).await, ["a", "a-2", "b", "c"]);
    assert_eq!(names(None, 2).await, ["a", "a-2"]);
    assert_eq!(names(Some("a-2"), 10).await, ["b", "c"]);
    assert_eq!(names(Some("c"), 10).await, Vec::<String>::new());
}

async fn a_change_is_made_only_by_who_saw_what_is_there(fixture: Fixture) {
    let seen = add(&fixture, managed(1, "app")).await;
    let before = fixture.event_count().await;
    let changed = ManagedCertificate {
        name: "another".to_owned(),
        owner: "certificate:1".to_owned(),
        profile: profile("client"),
        definition: "{}".to_owned(),
        paused: true,
        created_by: "nobody".to_owned(),
        ..seen.clone()
    };
    assert_eq!(change(&fixture, changed.clone()).await, Ok(true));
    let expected = ManagedCertificate {
        revision: 2,
        name: seen.name.clone(),
        created_by: seen.created_by.clone(),
        ..changed.clone()
    };
    assert_eq!(fixture.store.managed(seen.id).await, Ok(Some(expected)), "what it was added as stays");
    assert_eq!(change(&fixture, changed).await, Ok(false), "it was changed since");
    assert_eq!(change(&fixture, managed(2, "absent")).await, Ok(false));
    assert_eq!(fixture.event_count().await, before + 1, "nothing is told of what did not happen");
    let quietly = ManagedCertificate { revision: 2, ..seen };
    assert_eq!(fixture.store.change_managed(None, quietly, None).await, Ok(true));
    assert_eq!(fixture.event_count().await, before + 1, "a step is no event unless it brings one");
}

async fn of_many_that_change_one_at_once_one_does(fixture: Fixture) {
    let seen = add(&fixture, managed(1, "app")).await;
    let changed = join_all((0..5).map(|_| change(&fixture, seen.clone()))).await;
    assert!(changed.iter().all(Result::is_ok), "{changed:?}");
    assert_eq!(changed.iter().filter(|changed| **changed == Ok(true)).count(), 1, "{changed:?}");
}

async fn a_change_under_a_lease_that_moved_on_is_fenced_off(fixture: Fixture) {
    let seen = add(&fixture, managed(1, "app")).await;
    let lost = fixture.lost_lease("expiry-check").await;
    let fenced = Err(StoreError::Fenced { lease: lost.name.clone() });
    assert_eq!(fixture.store.change_managed(Some(&lost), seen.clone(), None).await, fenced);
    let lease = fixture.lease("another").await;
    assert_eq!(fixture.store.change_managed(Some(&lease), seen.clone(), None).await, Ok(true));
    let there = fixture.store.managed(seen.id).await.expect("answers").expect("there");
    assert_eq!(there.revision, 2);
}

async fn those_that_are_due_come_in_order_and_paused_ones_never(fixture: Fixture) {
    for (number, days, paused) in [(1, 3, false), (2, 1, false), (3, 2, true), (4, 2, false), (5, 4, false)] {
        let mut one = managed(number, &format!("app-{number}"));
        (one.course.next_at, one.paused) = (later(days), paused);
        add(&fixture, one).await;
    }
    let due = |days, limit| {
        let store = fixture.store.clone();
        async move {
            let due = store.due_managed(Deliverer::Service, later(days), limit).await.expect("answers");
            due.into_iter().map(|managed| managed.id.as_bytes()[0]).collect::<Vec<_>>()
        }
    };
    assert_eq!(due(0, 10).await, Vec::<u8>::new());
    assert_eq!(due(3, 10).await, [2, 4, 1]);
    assert_eq!(due(3, 2).await, [2, 4]);
    assert_eq!(due(9, 10).await, [2, 4, 1, 5]);
}

async fn what_a_worker_delivers_is_due_to_it_and_looked_after_by_the_service(fixture: Fixture) {
    add(&fixture, managed(1, "of-the-service")).await;
    for (number, next_at, watch_at) in [(2, 3, Some(1)), (3, 1, None), (4, 2, Some(9))] {
        let mut one = managed(number, &format!("of-a-worker-{number}"));
        one.delivered_by = Deliverer::Worker;
        (one.course.next_at, one.course.watch_at) = (later(next_at), watch_at.map(later));
        add(&fixture, one).await;
    }
    let paused = ManagedCertificate { delivered_by: Deliverer::Worker, paused: true, ..managed(5, "paused") };
    add(&fixture, paused).await;
    let due = |who, days, limit| {
        let store = fixture.store.clone();
        async move {
            let due = store.due_managed(who, later(days), limit).await.expect("answers");
            due.into_iter().map(|managed| managed.id.as_bytes()[0]).collect::<Vec<_>>()
        }
    };
    assert_eq!(due(Deliverer::Worker, 0, 10).await, Vec::<u8>::new());
    assert_eq!(due(Deliverer::Worker, 3, 10).await, [3, 4, 2]);
    assert_eq!(due(Deliverer::Worker, 3, 2).await, [3, 4]);
    assert_eq!(due(Deliverer::Service, 3, 10).await, [1, 2]);
    assert_eq!(due(Deliverer::Service, 9, 10).await, [1, 2, 4]);
}

async fn they_are_counted(fixture: Fixture) {
    assert_eq!(fixture.store.count_managed(NOW).await, Ok(ManagedCounts::default()));
    add(&fixture, managed(1, "a")).await;
    add(&fixture, ManagedCertificate { paused: true, ..managed(2, "b") }).await;
    let brought = |number: u8, name: &str, begun_at: Timestamp| {
        let mut course = whole_course(RotationStep::Begun);
        let rotation = RotationId::new(begun_at, [0; 10]);
        course.current = course.current.map(|current| ManagedCurrent { rotation, ..current });
        ManagedCertificate { course, ..managed(number, name) }
    };
    add(&fixture, brought(3, "c", NOW.minus(LATELY))).await;
    let counts = ManagedCounts { active: 2, paused: 1, due: 1, rotating: 1, failing: 1, rotated_lately: 1 };
    assert_eq!(fixture.store.count_managed(NOW).await, Ok(counts));
    let counts = ManagedCounts { due: 2, rotated_lately: 0, ..counts };
    assert_eq!(fixture.store.count_managed(later(3)).await, Ok(counts));
    add(&fixture, ManagedCertificate { paused: true, ..brought(4, "d", later(3)) }).await;
    let counts = ManagedCounts { paused: 2, ..counts };
    assert_eq!(fixture.store.count_managed(later(3)).await, Ok(counts), "what is paused is in no other number");
}
