//! New authorities: certificate, record, responder and list, and what an interrupted set-up leaves behind.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
use ca_core::id::AuthorityId;
use ca_core::ocsp::CertStatus;
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::{PublishFault, ScriptedSigner, SigningStep, StoreFault, StoreMethod};
use ca_engine::flow::establish::{equip_authority, establish_authority};
use ca_engine::port::store::{AuthorityRecord, AuthorityState, Journal, KeyHome, StoreError};
use futures::executor::block_on;

use crate::world::*;

fn down() -> StoreFault {
    StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() })
}

#[test]
fn every_authority_has_a_chain_a_list_and_a_responder() {
    let world = World::new();
    let hierarchy = world.engine.hierarchy();
    let ids: Vec<_> = hierarchy.authorities().iter().map(|authority| authority.id().as_str().to_owned()).collect();
    assert_eq!(ids, ["root", "document", "tls"]);
    for authority in hierarchy.authorities() {
        let (number, der) = world.publisher.published(authority.id()).expect("a list is in place");
        let list = world.read_list(authority.id().as_str(), &der.into());
        assert_eq!((number, list.number(), list.entry_count()), (1, Some(1), 0), "{}", authority.id());
        let responder = hierarchy.responder(authority.id(), world.now()).expect("a responder");
        assert!(responder.validity().not_after <= authority.certificate().validity().not_after);
    }
    for subordinate in ["tls", "document"] {
        let authority = world.engine.authority(&id(subordinate)).expect("an authority");
        assert_eq!(authority.ancestors().len(), 1);
        assert_eq!(authority.chain(), [authority.certificate().der()], "the root is left out");
        assert_eq!(authority.certificate().path_length(), Some(0));
        assert_eq!(world.status("root", authority.certificate().serial()), CertStatus::Good);
    }
    let root = world.engine.authority(&id("root")).expect("root");
    assert!(root.chain().is_empty() && root.certificate().is_self_issued() && !root.can_sign());
    let created = world.store.events().into_iter().filter(|event| event.action == AuditAction::AuthorityCreated);
    assert_eq!(created.count(), 3);
}

#[test]
fn the_root_s_list_and_responder_last_until_the_next_ceremony() {
    let world = World::new();
    let hierarchy = world.engine.hierarchy();
    let responder = hierarchy.responder(&id("root"), world.now()).expect("a responder").validity();
    assert_eq!(responder.not_after, world.now().plus(Lifetime::from_days(395)));
    let list = block_on(world.store().published_crl(&id("root"))).expect("a record").expect("a list");
    assert_eq!(list.intent.next_update, world.now().plus(Lifetime::from_days(395)));
    let tls = hierarchy.responder(&id("tls"), world.now()).expect("a responder").validity();
    assert_eq!(tls.not_after, world.now().plus(Lifetime::from_days(7)));
}

#[test]
fn a_root_near_its_end_still_gets_a_responder_and_a_list_within_its_life() {
    let world = World::empty(Parts::default());
    let short = ca_engine::flow::establish::AuthorityPlan {
        validity: Some(Lifetime::from_days(100)),
        ..plan("root", None, KeyHome::File)
    };
    world.try_establish_by(&short, world.root_signer()).expect("established");
    let root = world.engine.authority(&id("root")).expect("root");
    let end = root.certificate().validity().not_after;
    let hierarchy = world.engine.hierarchy();
    assert_eq!(hierarchy.responder(&id("root"), world.now()).expect("a responder").validity().not_after, end);
    let list = block_on(world.store().published_crl(&id("root"))).expect("a record").expect("a list");
    assert_eq!(list.intent.next_update, end);
}

#[test]
fn only_the_operator_of_the_host_establishes_authorities() {
    let world = World::new();
    let administrator = holder(&world.issue(), &[ca_core::principal::Role::Administrator]);
    for principal in [administrator, Principal::Anonymous, Principal::Job("crl")] {
        let plan = plan("tls-2", None, KeyHome::File);
        let outcome = block_on(establish_authority(&world.engine, &principal, &plan, world.root_signer()));
        assert_eq!(refused(outcome), Kind::AccessDenied);
    }
}

#[test]
fn an_authority_is_established_once() {
    let world = World::new();
    world.lend_root();
    assert_eq!(refused(world.try_establish("tls", Some("root"))), Kind::AuthorityExists);
}

#[test]
fn a_subordinate_needs_its_parent_s_key() {
    let world = World::new();
    let before = world.store.events().len();
    assert_eq!(refused(world.try_establish("tls-2", Some("root"))), Kind::AuthorityCannotSign);
    assert_eq!(refused(world.try_establish("tls-2", Some("nobody"))), Kind::NotFound);
    assert_eq!(world.store.events().len(), before);
}

#[test]
fn an_authority_whose_key_cannot_be_reached_is_there_and_says_why_it_cannot_sign() {
    let world = World::new();
    let issued = world.issue();
    let arn = "arn:aws:kms:sa-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let tls = world.engine.authority(&id("tls")).expect("an authority").record().clone();
    let held = AuthorityRecord { id: id("tls-held"), key_home: KeyHome::Kms(arn.to_owned()), ..tls };
    let event = AuditEvent::new(world.now(), AuditAction::AuthorityCreated, "local", "authority:tls-held");
    block_on(world.store().add_authority(held, Journal::of(event))).expect("added");
    let engine = world.restarted();
    let authority = engine.authority(&id("tls-held")).expect("it is there");
    let refusal = authority.signer().map(|_| ()).expect_err("nothing here reaches it");
    assert_eq!(refusal.kind, Kind::AuthorityCannotSign);
    assert!(refusal.message.contains(arn), "{}", refusal.message);
    assert!(engine.authority(&id("tls")).expect("an authority").can_sign(), "the others sign");
    assert_eq!(world.status("tls", &issued.serial), CertStatus::Good);
}

#[test]
fn no_authority_below_one_whose_path_length_is_zero() {
    let world = World::new();
    assert_eq!(codes(world.try_establish("deep", Some("tls"))), ["issuer-path-length"]);
}

#[test]
fn a_key_that_is_not_the_certificate_s_is_not_taken() {
    let world = World::new();
    let stranger = std::sync::Arc::new(ScriptedSigner::generate(ca_core::key::KeyType::P256));
    assert_eq!(refused(block_on(world.engine.lend_signer(id("root"), stranger))), Kind::InternalError);
    assert!(!world.engine.authority(&id("root")).expect("root").can_sign());
    block_on(world.engine.reload_hierarchy()).expect("the wrong key is forgotten");
    world.lend_root();
    assert!(world.engine.authority(&id("root")).expect("root").can_sign());
}

#[test]
fn a_record_whose_key_is_another_s_does_not_open() {
    let world = World::new();
    let tls = world.engine.authority(&id("tls")).expect("tls").record().clone();
    let document = world.engine.authority(&id("document")).expect("document").record().clone();
    let mixed = AuthorityRecord { id: id("mixed"), key_home: document.key_home, ..tls };
    let event = AuditEvent::new(world.now(), AuditAction::AuthorityCreated, "local", "authority:mixed");
    block_on(world.store().add_authority(mixed, Journal::of(event))).expect("somebody wrote it");
    let error = block_on(world.engine.reload_hierarchy()).expect_err("this must not be used");
    assert_eq!(error.kind, Kind::InternalError);
    assert!(error.detail.expect("for the operator").contains("mixed"));
}

#[test]
fn a_retired_authority_signs_nothing_and_a_retiring_one_lists_only() {
    for (state, list) in [(AuthorityState::Retiring, true), (AuthorityState::Retired, false)] {
        let world = World::empty(Parts::default());
        world.establish("root", None);
        // A record of the root under another id and state.
        let root = world.engine.authority(&id("root")).expect("root").record().clone();
        let old = AuthorityRecord { id: id("old"), state, ..root };
        let event = AuditEvent::new(world.now(), AuditAction::AuthorityCreated, "local", "authority:old");
        block_on(world.store().add_authority(old, Journal::of(event))).expect("on record");
        block_on(world.engine.lend_signer(id("old"), world.root_signer())).expect("its key");
        let authority = world.engine.authority(&id("old")).expect("old");
        assert!(!authority.is_active());
        assert_eq!(authority.can_sign(), list, "{state:?}");
    }
}

/// Whatever call fails first: the set-up is begun again, and in the end every authority is complete.
#[test]
fn an_interrupted_set_up_can_be_repeated_whatever_was_interrupted() {
    let methods = calls_of_a_set_up();
    for fault in [down(), StoreFault::AcknowledgementLost] {
        for method in &methods {
            let world = World::empty(Parts::default());
            world.store.fail_next(*method, fault.clone());
            let first = world.try_establish("root", None);
            finish(&world);
            let root = world.engine.authority(&id("root")).expect("root");
            assert_eq!(world.open_reservations(), 0, "{method:?} {fault:?}: {first:?}");
            assert!(world.publisher.published(&id("root")).is_some(), "{method:?} {fault:?}");
            assert!(world.engine.hierarchy().responder(&id("root"), world.now()).is_some(), "{method:?} {fault:?}");
            assert_eq!(world.status("root", root.certificate().serial()), CertStatus::Good, "{method:?} {fault:?}");
        }
    }
}

#[test]
fn a_set_up_whose_key_or_publisher_fails_can_be_repeated() {
    for step in [SigningStep::Unavailable, SigningStep::Garbage, SigningStep::AnotherMessage] {
        // The first signature is the root's own certificate, the second its responder's, the third its list's.
        for nth in 0..3 {
            let world = World::empty(Parts::default());
            let script = (0..=nth).map(|call| (call == nth).then_some(step));
            world.root.script_each(script);
            assert!(world.try_establish("root", None).is_err(), "{step:?} at {nth}");
            finish(&world);
            assert_eq!(world.open_reservations(), 0);
            let list = block_on(world.store().published_crl(&id("root"))).expect("a record").expect("a list");
            assert_eq!(list.intent.number, if nth == 2 { 2 } else { 1 }, "a number is never used twice");
        }
    }
    let world = World::empty(Parts::default());
    world.publisher.script([PublishFault::Before]);
    assert_eq!(refused(world.try_establish("root", None)), Kind::Unavailable);
    finish(&world);
    block_on(ca_engine::flow::republish::republish(&world.engine)).expect("put in place");
    assert_eq!(world.publisher.published(&id("root")).expect("a list").0, 1, "the list on record, under its number");
}

#[test]
fn a_revoked_authority_s_certificate_answers_as_revoked() {
    let world = World::new();
    let tls = world.engine.authority(&id("tls")).expect("tls");
    world.revoke(tls.record().certificate, RevocationReason::CessationOfOperation).expect("revoked");
    let status = world.status("root", tls.certificate().serial());
    assert!(matches!(status, CertStatus::Revoked { .. }));
    assert_eq!(
        world.engine.authority(&id("tls")).expect("tls").revoked(),
        Some(RevocationReason::CessationOfOperation)
    );
}

fn calls_of_a_set_up() -> Vec<StoreMethod> {
    let world = World::empty(Parts::default());
    world.establish("root", None);
    let mut methods = world.store.calls();
    methods.sort();
    methods.dedup();
    assert!(methods.contains(&StoreMethod::AddAuthority) && methods.contains(&StoreMethod::PublishCrl));
    methods
}

/// What a second run of the set-up does: closes what is open, establishes what is missing, equips what is there.
fn finish(world: &World) {
    let local = Principal::LocalOperator;
    block_on(world.engine.reload_hierarchy()).expect("the record is readable");
    world.clock.advance(SECOND);
    let before = world.now();
    block_on(ca_engine::flow::reconcile::abandon_reservations_before(&world.engine, &local, before))
        .expect("reconciled");
    let root: AuthorityId = id("root");
    if world.engine.hierarchy().authority(&root).is_none() {
        world.establish("root", None);
    } else {
        world.lend_root();
        block_on(equip_authority(&world.engine, &local, &root)).expect("equipped");
    }
    let certificate = world.engine.authority(&root).expect("root").certificate().der().to_vec();
    Certificate::from_der(&certificate)
        .expect("a certificate")
        .verify_signed_by(world.root_signer().public_key())
        .expect("its own");
}
