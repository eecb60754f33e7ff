//! Faults and deaths at every step of a rotation, and two at once: afterwards one certificate is current, a pair with its key, and nothing
//! was issued twice.

use std::task::{Context, Poll, Waker};

use ca_core::certificate::Certificate;
use ca_core::id::ManagedCertificateId;
use ca_core::managed::definition::ManagedDefinition;
use ca_core::revocation::Standing;
use ca_core::time::Lifetime;
use ca_engine::fake::{StoreFault, StoreMethod, TargetFault};
use ca_engine::flow::managed::rotate::{Turn, rotate_one};
use ca_engine::port::certificate_target::{CertificateTarget, TargetPlace};
use ca_engine::port::store::StoreError;
use futures::executor::block_on;
use serde_json::json;

use crate::fault::{after, interleave};
use crate::managed::{add, current, definition, issued, lease, read, target};
use crate::world::*;

struct Case {
    world: World,
    definition: ManagedDefinition,
    id: ManagedCertificateId,
    /// How many rotations there were before.
    before: usize,
}

impl Case {
    /// One that is brought to its target for the first time.
    fn first() -> Self {
        let world = World::new();
        let definition = definition("tls", json!({}));
        let id = add(&world, 1, &definition);
        Self { world, definition, id, before: 0 }
    }

    /// One that has a certificate, and is due.
    fn later() -> Self {
        let case = Self::first();
        let turn = block_on(rotate_one(&case.world.engine, None, read(&case.world, case.id)));
        assert_eq!(turn, Ok(Turn::Rotated));
        let at = read(&case.world, case.id).course.next_at;
        case.world.clock.advance(at.since(case.world.now()));
        Self { before: 1, ..case }
    }

    /// Whatever came of the first attempt: the target is whole at once, and others bring it to its end.
    fn settle(&self, circumstances: &str) {
        self.assert_whole(circumstances);
        let restarted = self.world.restarted();
        self.world.reconcile();
        for _ in 0..10 {
            let managed = read(&self.world, self.id);
            if managed.course.current.is_some() && managed.course.rotation.is_none() && self.rotations() > self.before {
                break;
            }
            self.world.clock.advance(managed.course.next_at.since(self.world.now()));
            let lease = lease(&self.world);
            block_on(rotate_one(&restarted, Some(&lease), read(&self.world, self.id))).expect("nothing fails any more");
        }
        self.assert_whole(circumstances);
        let managed = read(&self.world, self.id);
        let recorded = managed.course.current.expect("current");
        let held = current(&target(&self.world, &self.definition)).expect("current");
        assert_eq!((held.rotation, managed.course.rotation), (recorded.rotation, None), "{circumstances}");
        assert_eq!(self.rotations(), self.before + 1, "{circumstances}: one more rotation");
        let made = issued(&self.world);
        assert_eq!(made.len(), self.before + 1, "{circumstances}: nothing was issued twice");
        assert!(made.iter().all(|stored| stored.standing == Standing::Active), "{circumstances}");
        assert_eq!(self.world.open_reservations(), 0, "{circumstances}");
        let told = self.world.store.outbox().into_iter().filter(|message| message.topic == "certificate.rotated");
        assert_eq!(told.count(), self.before + 1, "{circumstances}: told once each");
        self.world.renew_responder("tls");
        self.world.assert_sound(circumstances);
    }

    /// What readers of the target get is a pair that was issued, and as good as before.
    fn assert_whole(&self, circumstances: &str) {
        let target = target(&self.world, &self.definition);
        for place in [TargetPlace::Current, TargetPlace::Previous] {
            let Some(held) = block_on(target.look(place)).expect("looks") else { continue };
            let certificate = Certificate::from_der(&held.certificate).expect("a certificate");
            assert_eq!(certificate.public_key().spki_sha256(), held.key_spki_sha256, "{circumstances}: a pair");
            let is_issued = issued(&self.world).iter().any(|stored| stored.der == held.certificate);
            assert!(is_issued, "{circumstances}: nobody reads what is not on record");
        }
        assert!(self.before == 0 || current(&target).is_some(), "{circumstances}: never without one");
    }

    fn rotations(&self) -> usize {
        let events = self.world.store.events();
        events.iter().filter(|event| event.action == ca_core::audit::AuditAction::CertificateRotated).count()
    }
}

const CASES: [fn() -> Case; 2] = [Case::first, Case::later];

fn store_faults() -> Vec<StoreFault> {
    let detail = || "test".to_owned();
    vec![
        StoreFault::BeforeCommit(StoreError::Unavailable { detail: detail() }),
        StoreFault::BeforeCommit(StoreError::Conflict { detail: detail() }),
        StoreFault::AcknowledgementLost,
    ]
}

#[test]
fn a_call_of_the_record_that_fails_leaves_a_rotation_that_goes_on() {
    for new in CASES {
        let case = new();
        let before = case.world.store.calls().len();
        block_on(rotate_one(&case.world.engine, None, read(&case.world, case.id))).expect("nothing fails");
        // The first is the reading of the record by the test.
        let calls = case.world.store.calls()[before + 1..].to_vec();
        assert!(calls.iter().filter(|method| **method == StoreMethod::ChangeManaged).count() >= 5, "{calls:?}");
        for (index, method) in calls.iter().enumerate() {
            let nth = calls[..=index].iter().filter(|other| *other == method).count();
            for fault in store_faults() {
                let case = new();
                let managed = read(&case.world, case.id);
                case.world.store.fail_nth(*method, u32::try_from(nth).expect("few"), fault.clone());
                let _ = block_on(rotate_one(&case.world.engine, None, managed));
                case.settle(&format!("{fault:?} at {method:?} {nth}"));
            }
        }
    }
}

#[test]
fn a_target_that_fails_before_or_after_doing_as_asked_leaves_a_rotation_that_goes_on() {
    for new in CASES {
        // Staging, delivering, promoting.
        for step in 0..3 {
            for fault in [TargetFault::Before, TargetFault::After] {
                let case = new();
                let mut script = vec![None; step];
                script.push(Some(fault));
                target(&case.world, &case.definition).script(script);
                let turn = block_on(rotate_one(&case.world.engine, None, read(&case.world, case.id)));
                assert!(matches!(turn, Ok(Turn::Failed(_))), "{step} {fault:?}: {turn:?}");
                case.settle(&format!("{fault:?} at step {step} of the target"));
            }
        }
    }
}

#[test]
fn a_process_that_dies_anywhere_is_followed_by_one_that_goes_on() {
    for new in CASES {
        for polls in 1.. {
            let case = new();
            let managed = read(&case.world, case.id);
            let mut rotating = Box::pin(rotate_one(&case.world.engine, None, managed));
            let mut context = Context::from_waker(Waker::noop());
            let ended = (0..polls).any(|_| matches!(rotating.as_mut().poll(&mut context), Poll::Ready(_)));
            drop(rotating);
            case.settle(&format!("death after {polls} steps"));
            if ended {
                assert!(polls > 15, "{polls}: every call is a step");
                break;
            }
        }
    }
}

#[test]
fn two_workers_at_once_bring_one_certificate() {
    for new in CASES {
        for steps in 0..24 {
            let case = new();
            let other = case.world.restarted();
            let (one, two) = (read(&case.world, case.id), read(&case.world, case.id));
            let (first, second) =
                interleave(rotate_one(&case.world.engine, None, one), after(steps, rotate_one(&other, None, two)));
            for turn in [&first, &second] {
                assert!(matches!(turn, Ok(Turn::Rotated | Turn::Overtaken | Turn::Failed(_))), "{steps}: {turn:?}");
            }
            case.settle(&format!("another {steps} steps later"));
        }
    }
}

#[test]
fn a_rotation_that_stood_still_for_days_finds_the_certificate_that_was_made_for_it() {
    for days in [1, 2, 9] {
        let case = Case::later();
        // It is issued, and nobody hears of it.
        case.world.store.fail_nth(
            StoreMethod::ChangeManaged,
            2,
            StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() }),
        );
        let turn = block_on(rotate_one(&case.world.engine, None, read(&case.world, case.id)));
        assert!(turn.is_err(), "{turn:?}");
        assert_eq!(issued(&case.world).len(), 2, "issued");
        case.world.clock.advance(Lifetime::from_days(days));
        case.settle(&format!("{days} days later"));
    }
}
