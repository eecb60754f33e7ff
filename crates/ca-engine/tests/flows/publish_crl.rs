//! Lists: their numbers and times, what is on them, and that a failure at any point costs a number and nothing else.

use std::future::Future;
use std::task::{Context, Waker};

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::crl::{EntryReason, ListName};
use ca_core::id::CertificateId;
use ca_core::principal::Principal;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Validity};
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::{FakeClock, PublishFault, SigningStep, StoreFault, StoreMethod};
use ca_engine::flow::publish_crl::{is_due, lease_name, publish_crl};
use ca_engine::flow::republish::republish;
use ca_engine::flow::revoke::{RevokeRequest, revoke, unhold};
use ca_engine::port::store::{CrlIntent, Journal, Lease, Reservation, StandingChange, StoreError, StoredCertificate};
use futures::executor::block_on;

use crate::world::*;

fn publish_under(world: &World, lease: &Lease) -> Result<u64, FlowError> {
    block_on(publish_crl(&world.engine, &Principal::Job("crl"), &id("tls"), lease)).map(|list| list.intent.number)
}

fn newest(world: &World) -> CrlIntent {
    block_on(world.store().newest_crl(&id("tls"))).expect("a record").expect("an intent").intent
}

fn in_place(world: &World) -> u64 {
    world.publisher.published(&id("tls")).expect("a list").0
}

fn revoked(world: &World, reason: RevocationReason) -> StoredCertificate {
    let stored = world.issue();
    world.revoke(stored.id, reason).expect("revoked")
}

#[test]
fn a_list_says_what_ocsp_says() {
    let world = World::new();
    assert_eq!(world.list("tls").entry_count(), 0);
    let good = world.issue();
    let compromised = revoked(&world, RevocationReason::KeyCompromise);
    let unspecified = revoked(&world, RevocationReason::Unspecified);
    world.clock.advance(HOUR);
    let list = world.list("tls");
    assert_eq!((list.number(), list.entry_count()), (Some(3), 2), "the first was made with the authority");
    let entry = list.find(&compromised.serial).expect("listed");
    assert_eq!((entry.reason, entry.revoked_at), (Some(EntryReason::KeyCompromise), world.now().minus(HOUR)));
    assert_eq!(list.find(&unspecified.serial).expect("listed").reason, None, "RFC 5280 §5.3.1: left out");
    assert!(list.find(&good.serial).is_none());
    assert_eq!((list.this_update(), list.next_update()), (world.now(), Some(world.now().plus(Lifetime::from_days(7)))));
    assert_eq!(world.list("document").entry_count(), 0, "each authority has its own");
}

#[test]
fn one_event_and_one_message_for_each_list() {
    let world = World::new();
    let events = world.store.events().len();
    let list = world.publish("tls").expect("a list");
    let told: Vec<_> =
        world.store.events()[events..].iter().map(|event| (event.action, event.subject.clone())).collect();
    assert_eq!(told, [(AuditAction::CrlPublished, "authority:tls".to_owned())]);
    assert_eq!(world.store.outbox().pop().expect("a message").topic, "crl.published");
    assert_eq!(
        world.publisher.published(&id("tls")),
        Some((list.intent.number, list.der.to_vec().expect("in memory")))
    );
}

#[test]
fn the_intent_is_on_record_before_the_key_is_used() {
    let world = World::new();
    let lease = world.crl_lease("tls", "test");
    let before = world.store.calls().len();
    publish_under(&world, &lease).expect("a list");
    // The witness in the key has seen the intent on record; here is the order of all calls.
    let expected = [
        StoreMethod::NewestCrl,
        StoreMethod::NewestPartialCrl,
        StoreMethod::RevocationSequence,
        StoreMethod::RevokedSerials,
        StoreMethod::IntendCrl,
        StoreMethod::PublishCrl,
    ];
    assert_eq!(world.store.calls()[before..], expected);
    let intent = newest(&world);
    let list = block_on(world.store().published_crl(&id("tls"))).expect("a record").expect("a list");
    let parsed = world.read_list("tls", &list.der);
    assert_eq!(ca_core::hash::sha256(parsed.to_be_signed()), intent.to_be_signed_sha256);
}

#[test]
fn a_failed_signature_costs_a_number_and_nothing_else() {
    let world = World::new();
    let stored = revoked(&world, RevocationReason::Superseded);
    for (step, kind) in [
        (SigningStep::Unavailable, Kind::Unavailable),
        (SigningStep::Busy { retry_after: None }, Kind::Overloaded),
        (SigningStep::Refused, Kind::Unavailable),
        (SigningStep::Garbage, Kind::InternalError),
        (SigningStep::AnotherMessage, Kind::InternalError),
    ] {
        world.signer("tls").script([step]);
        let before = newest(&world).number;
        assert_eq!(refused(world.publish("tls")), kind, "{step:?}");
        assert_eq!(newest(&world).number, before + 1, "the number is spent: it may have been signed");
        assert_eq!(in_place(&world), 1, "the old list stays in place");
        assert!(block_on(is_due(&world.engine, &id("tls"), DAY)).expect("a record"), "the next one is due at once");
    }
    let list = world.list("tls");
    assert_eq!(list.number(), Some(7));
    assert!(list.find(&stored.serial).is_some());
    assert_eq!(in_place(&world), 7);
}

#[test]
fn a_lease_that_moved_on_publishes_nothing() {
    let world = World::new();
    let stale = world.crl_lease("tls", "slow");
    world.clock.advance(HOUR);
    let fresh = world.crl_lease("tls", "quick");
    let number = newest(&world).number;
    assert_eq!(refused(publish_under(&world, &stale)), Kind::Overloaded);
    assert_eq!(newest(&world).number, number, "not even a number");
    publish_under(&world, &fresh).expect("a list");
}

#[test]
fn a_lease_that_moves_on_during_the_signature_loses_the_list_but_no_order() {
    let world = World::new();
    let stale = world.crl_lease("tls", "slow");
    let principal = Principal::Job("crl");
    let authority = id("tls");
    let mut publishing = Box::pin(publish_crl(&world.engine, &principal, &authority, &stale));
    poll_until(&world, publishing.as_mut(), StoreMethod::IntendCrl);
    world.clock.advance(HOUR);
    let fresh = world.crl_lease("tls", "quick");
    let newer = publish_under(&world, &fresh).expect("a list");
    assert_eq!(refused(block_on(publishing)), Kind::Overloaded);
    assert_eq!((newer, in_place(&world)), (3, 3), "the slow one had number 2");
    assert_eq!(
        block_on(world.store().published_numbers()).expect("a record").into_iter().find(|(of, _)| *of == authority),
        Some((authority, 3))
    );
}

/// Polls a flow until it has made a call of `method`.
fn poll_until<T>(world: &World, mut flow: std::pin::Pin<&mut (impl Future<Output = T> + ?Sized)>, method: StoreMethod) {
    let before = world.store.calls().len();
    let mut context = Context::from_waker(Waker::noop());
    while !world.store.calls()[before..].contains(&method) {
        assert!(flow.as_mut().poll(&mut context).is_pending(), "the flow came to its end before");
    }
}

#[test]
fn a_revocation_while_a_list_is_collected_is_listed_with_its_date() {
    let world = World::new();
    let stored = world.issue();
    let lease = world.crl_lease("tls", "test");
    let (principal, authority) = (Principal::Job("crl"), id("tls"));
    let mut publishing = Box::pin(publish_crl(&world.engine, &principal, &authority, &lease));
    poll_until(&world, publishing.as_mut(), StoreMethod::RevocationSequence);
    world.clock.advance(Lifetime::from_seconds(3));
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    let list = world.read_list("tls", &block_on(publishing).expect("a list").der);
    assert_eq!(list.find(&stored.serial).expect("listed").revoked_at, world.now());
    assert_eq!(list.this_update(), world.now(), "no entry lies in the future of its list");
}

#[test]
fn a_replica_whose_clock_runs_ahead_holds_no_list_up() {
    let world = World::new();
    let stored = world.issue();
    let ahead = FakeClock::at(world.now().plus(Lifetime::from_seconds(50)));
    let replica = world.replica(&ahead, &world.keyring);
    let request = RevokeRequest {
        certificate: stored.id,
        reason: RevocationReason::Superseded,
        invalidity_date: None,
        request_id: None,
    };
    block_on(revoke(&replica, &Principal::LocalOperator, &request)).expect("revoked");
    let list = world.list("tls");
    assert_eq!(list.this_update(), world.now().plus(Lifetime::from_seconds(50)));
    assert!(list.find(&stored.serial).is_some());
    world.clock.advance(SECOND);
    let next = world.list("tls");
    assert_eq!(next.this_update(), list.this_update(), "it never goes back");
    world.clock.advance(HOUR);
    assert_eq!(world.list("tls").this_update(), world.now());
}

#[test]
fn a_revocation_dated_far_ahead_stops_lists_until_then() {
    let world = World::new();
    let stored = world.issue();
    let revocation = Revocation {
        revoked_at: world.now().plus(Lifetime::from_seconds(61)),
        reason: RevocationReason::Superseded,
        invalidity_date: None,
    };
    let event = AuditEvent::new(world.now(), AuditAction::CertificateRevoked, "local", "certificate:x");
    let change = StandingChange {
        id: stored.id,
        from: Standing::Active,
        to: Standing::Revoked(revocation),
        compromised_since: None,
        journal: Journal::of(event),
    };
    block_on(world.store().change_standing(change)).expect("a record that something went wrong with");
    let number = newest(&world).number;
    assert_eq!(refused(world.publish("tls")), Kind::SigningSuspended);
    assert_eq!(newest(&world).number, number, "nothing was intended");
    world.clock.advance(SECOND);
    world.publish("tls").expect("within the tolerance");
}

#[test]
fn a_clock_set_back_makes_no_list_beyond_the_tolerance() {
    let world = World::new();
    world.clock.advance(HOUR);
    let last = world.list("tls").this_update();
    world.clock.step_back(Lifetime::from_seconds(60));
    assert_eq!(world.list("tls").this_update(), last);
    world.clock.step_back(SECOND);
    assert_eq!(refused(world.publish("tls")), Kind::SigningSuspended);
}

#[test]
fn no_list_is_dated_outside_its_authority_s_life() {
    let world = World::new();
    let end = world.engine.authority(&id("tls")).expect("tls").certificate().validity().not_after;
    world.clock.set(end.minus(DAY));
    assert_eq!(world.list("tls").next_update(), Some(end));
    world.clock.set(end);
    assert_eq!(refused(world.publish("tls")), Kind::AuthorityCannotSign);
}

#[test]
fn an_offline_root_makes_no_list_until_its_key_is_brought() {
    let world = World::new();
    assert_eq!(refused(world.publish("root")), Kind::AuthorityCannotSign);
    world.lend_root();
    assert_eq!(world.list("root").number(), Some(2));
    block_on(world.engine.return_signer(&id("root"))).expect("put away");
    assert_eq!(refused(world.publish("root")), Kind::AuthorityCannotSign);
}

#[test]
fn an_expired_certificate_leaves_the_list_one_list_later() {
    let world = World::new();
    let stored = revoked(&world, RevocationReason::Superseded);
    let lasting = {
        let request =
            ca_engine::flow::issue::IssueRequest { validity: Some(Lifetime::from_days(300)), ..server(csr(&key())) };
        let stored = world.ask(request).expect("issued");
        world.revoke(stored.id, RevocationReason::Superseded).expect("revoked")
    };
    world.clock.set(stored.validity.not_after);
    assert!(world.list("tls").find(&stored.serial).is_some(), "in its last second");
    world.clock.advance(DAY);
    assert!(world.list("tls").find(&stored.serial).is_some(), "RFC 5280 §3.3: on one list after it has expired");
    world.clock.advance(SECOND);
    let list = world.list("tls");
    assert!(list.find(&stored.serial).is_none(), "and on no other");
    assert!(list.find(&lasting.serial).is_some());
}

#[test]
fn a_hold_is_listed_until_it_ends() {
    let world = World::new();
    let stored = revoked(&world, RevocationReason::CertificateHold);
    assert_eq!(world.list("tls").find(&stored.serial).expect("listed").reason, Some(EntryReason::CertificateHold));
    block_on(unhold(&world.engine, &Principal::LocalOperator, stored.id, None)).expect("released");
    assert!(block_on(is_due(&world.engine, &id("tls"), DAY)).expect("a record"));
    assert!(world.list("tls").find(&stored.serial).is_none());
}

#[test]
fn a_publisher_that_fails_is_tried_again_without_a_new_number() {
    for fault in [PublishFault::Before, PublishFault::After] {
        let world = World::new();
        world.publisher.script([fault]);
        assert_eq!(refused(world.publish("tls")), Kind::Unavailable);
        assert_eq!(newest(&world).number, 2, "it is on record");
        assert!(!block_on(is_due(&world.engine, &id("tls"), DAY)).expect("a record"));
        world.publisher.script([PublishFault::Before]);
        assert_eq!(refused(block_on(republish(&world.engine))), Kind::Unavailable);
        block_on(republish(&world.engine)).expect("put in place");
        assert_eq!((in_place(&world), newest(&world).number), (2, 2));
        let calls = world.publisher.calls().len();
        block_on(republish(&world.engine)).expect("nothing to do");
        assert_eq!(world.publisher.calls().len(), calls, "{fault:?}");
    }
}

#[test]
fn a_new_process_puts_every_list_in_place_once() {
    let world = World::new();
    world.publish("tls").expect("a list");
    let calls = world.publisher.calls().len();
    let restarted = world.restarted();
    block_on(republish(&restarted)).expect("put in place");
    block_on(republish(&restarted)).expect("nothing to do");
    assert_eq!(
        world.publisher.calls()[calls..],
        [("document", 1), ("root", 1), ("tls", 2)].map(|(of, number)| (ListName::complete(id(of)), number))
    );
}

#[test]
fn a_list_is_read_from_the_record_once_and_one_that_was_set_back_is_seen() {
    let world = World::new();
    world.publish("tls").expect("a list");
    let restarted = world.restarted();
    let reads = || world.store.calls().iter().filter(|call| **call == StoreMethod::PublishedCrl).count();
    let before = reads();
    block_on(republish(&restarted)).expect("put in place");
    assert_eq!(reads(), before + 3, "one for each authority");
    let list = |number| block_on(restarted.published_list(&id("tls"), number)).expect("a record").expect("a list");
    assert_eq!((list(2).intent.number, reads()), (2, before + 3), "from memory");
    // Whoever was told of another number gets what the record has, whatever is in memory.
    assert_eq!((list(1).intent.number, reads()), (2, before + 4));
    assert_eq!((list(3).intent.number, reads()), (2, before + 5));
    // Who makes a list keeps it.
    let made = world.publish("tls").expect("a list").intent.number;
    let reads_before = reads();
    let kept = block_on(world.engine.published_list(&id("tls"), made)).expect("a record").expect("a list");
    assert_eq!((kept.intent.number, reads()), (made, reads_before));
}

#[test]
fn whatever_the_record_does_numbers_rise_and_a_list_is_published_once() {
    let down = StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() });
    let methods = [
        StoreMethod::NewestCrl,
        StoreMethod::RevocationSequence,
        StoreMethod::RevokedSerials,
        StoreMethod::IntendCrl,
        StoreMethod::PublishCrl,
    ];
    for (method, fault) in methods
        .into_iter()
        .flat_map(|method| [down.clone(), StoreFault::AcknowledgementLost].map(|fault| (method, fault)))
    {
        let world = World::new();
        let stored = revoked(&world, RevocationReason::Superseded);
        let lease = world.crl_lease("tls", "test");
        world.store.fail_next(method, fault.clone());
        let outcome = publish_under(&world, &lease);
        let lost_in_the_end = method == StoreMethod::PublishCrl && fault == StoreFault::AcknowledgementLost;
        assert_eq!(outcome.is_ok(), lost_in_the_end, "{method:?} {fault:?}: only a lost last word is asked again");
        let list = world.list("tls");
        assert!(list.number() > outcome.ok() && list.find(&stored.serial).is_some(), "{method:?} {fault:?}");
        let subject = "authority:tls".to_owned();
        let published = world
            .store
            .events()
            .into_iter()
            .filter(|event| event.action == AuditAction::CrlPublished && event.subject == subject);
        let numbers: Vec<_> = published.map(|event| event.details["number"].clone()).collect();
        let mut distinct = numbers.clone();
        distinct.dedup();
        assert_eq!(numbers, distinct, "{method:?} {fault:?}: one event a list");
    }
}

#[test]
fn a_list_is_due_by_age_by_revocation_and_at_first() {
    let world = World::new();
    let due = |world: &World| block_on(is_due(&world.engine, &id("tls"), DAY)).expect("a record");
    assert!(!due(&world));
    let request = ca_engine::flow::issue::IssueRequest {
        profile: "document".parse().expect("a name"),
        names: names(&["email:ana@example.com"]),
        subject: Some(dn("CN=Ana")),
        ..server(csr(&key()))
    };
    let elsewhere = world.ask(request).expect("issued");
    world.revoke(elsewhere.id, RevocationReason::Superseded).expect("revoked");
    assert!(!due(&world), "another authority's revocation");
    let looks =
        |world: &World| world.store.calls().iter().filter(|method| **method == StoreMethod::RevocationsAfter).count();
    let before = looks(&world);
    assert!(!due(&world));
    assert_eq!(looks(&world), before + 1, "what was looked at in vain is not looked at again");
    revoked(&world, RevocationReason::Superseded);
    assert!(due(&world));
    world.publish("tls").expect("a list");
    assert!(!due(&world));
    world.clock.advance(DAY);
    assert!(due(&world));
    assert!(block_on(is_due(&world.engine, &id("nobody"), DAY)).expect("a record"), "it has none");
}

/// Many serials, of issuances that never came to an end; more than one page, and exactly two pages.
#[test]
fn long_lists_are_read_in_pages() {
    let world = World::new();
    let mut count = 0;
    for total in [5_001, 10_000] {
        while count < total {
            count += 1;
            abandon_one(&world, count);
        }
        let before = world.store.calls().len();
        let list = world.list("tls");
        assert_eq!(list.entry_count(), total);
        let pages =
            world.store.calls()[before..].iter().filter(|method| **method == StoreMethod::RevokedSerials).count();
        assert_eq!(pages, if total == 5_001 { 2 } else { 3 });
    }
    // A long list is not made anew for every revocation.
    revoked(&world, RevocationReason::Superseded);
    assert!(!block_on(is_due(&world.engine, &id("tls"), DAY)).expect("a record"));
    world.clock.advance(Lifetime::from_seconds(10));
    assert!(block_on(is_due(&world.engine, &id("tls"), DAY)).expect("a record"));
}

fn abandon_one(world: &World, number: u64) {
    let mut octets = [0x40; 16];
    octets[8..].copy_from_slice(&number.to_be_bytes());
    let reservation = Reservation {
        id: CertificateId::from_bytes(octets),
        authority: id("tls"),
        serial: Serial::from_bytes(&octets).expect("a serial"),
        profile: "server".parse().expect("a name"),
        validity: Validity { not_before: world.now(), not_after: world.now().plus(Lifetime::from_days(90)) },
        subject: dn("CN=many"),
        names: Vec::new(),
        spki_sha256: [0; 32],
        to_be_signed: Vec::new(),
        owner: "local".to_owned(),
        requested_by: "local".to_owned(),
        renews: None,
        token: None,
        idempotency: None,
        personal_data: None,
        reserved_at: world.now(),
    };
    let event = AuditEvent::new(world.now(), AuditAction::IssuanceAbandoned, "local", "certificate:many");
    let of = reservation.id;
    block_on(world.store().reserve(reservation)).expect("reserved");
    assert!(block_on(world.store().abandon(of, Journal::of(event))).expect("abandoned"));
}

#[test]
fn the_lease_of_a_list_is_its_authority_s_own() {
    assert_ne!(lease_name(&id("tls")), lease_name(&id("document")));
    let world = World::new();
    world.crl_lease("tls", "one");
    world.crl_lease("document", "two");
    let taken = block_on(world.store().acquire_lease(&lease_name(&id("tls")), "two", SECOND)).expect("a record");
    assert_eq!(taken, None);
}

#[test]
fn a_list_that_the_record_cannot_keep_is_not_signed_and_the_one_before_stays() {
    let world = World::new();
    let before = newest(&world);
    world.store.set_longest_list(world.list("tls").as_der().len() as u64 - 200);
    let published = newest(&world);
    assert!(published.number > before.number, "what is short enough is made");
    revoked(&world, RevocationReason::Superseded);
    let refusal = world.publish("tls").expect_err("it is too long");
    assert_eq!(refusal.kind, Kind::AuthorityCannotSign);
    assert!(refusal.message.contains("keeps none of more than"), "{}", refusal.message);
    assert_eq!((newest(&world), in_place(&world)), (published.clone(), published.number), "no number is used up");
    world.store.set_longest_list(1_000_000);
    assert_eq!(world.publish("tls").expect("a list").intent.number, published.number + 1);
}
