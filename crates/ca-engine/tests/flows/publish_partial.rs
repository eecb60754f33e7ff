//! Shards and deltas: which certificates go where, what a client that has a complete list learns from a delta, numbers, and what a
//! restoration does with them.

use std::collections::BTreeMap;

use ca_core::certificate::Certificate;
use ca_core::crl::{EntryReason, ListName, ParsedCrl, PartialScope};
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_core::serial::{Serial, ShardNumber};
use ca_core::time::Lifetime;
use ca_engine::engine::{Engine, PartialLists, Settings};
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::{FlakyPublisher, MemoryAnchor, SigningStep};
use ca_engine::flow::follow_anchor::{Anchored, compare, follow};
use ca_engine::flow::mirror_lists::{Mirrored, mirror_lists};
use ca_engine::flow::publish_partial::{due_scopes, publish_partial};
use ca_engine::flow::republish::republish;
use ca_engine::flow::restore::{Evidence, GAP, restore};
use ca_engine::flow::revoke::unhold;
use ca_engine::lineage::{RESTORATION, RESTORED};
use ca_engine::port::store::StoredCertificate;
use futures::executor::block_on;

use crate::world::*;

const DELTA: PartialScope = PartialScope::Delta;

fn with(shards: u32, delta: bool) -> Parts {
    let parts = Parts::default();
    let partial_lists = BTreeMap::from([(id("tls"), PartialLists { shards, delta })]);
    Parts { settings: Settings { partial_lists, ..parts.settings.clone() }, ..parts }
}

fn shard(number: u32) -> PartialScope {
    PartialScope::Shard(ShardNumber::new(number).expect("a shard"))
}

fn due(engine: &Engine) -> Vec<PartialScope> {
    block_on(due_scopes(engine, &id("tls"), DAY)).expect("the record answers")
}

/// Makes what is due, as the job does: the complete list first.
fn make(world: &World) {
    if block_on(ca_engine::flow::publish_crl::is_due(&world.engine, &id("tls"), DAY)).expect("the record answers") {
        world.publish("tls").expect("a complete list");
    }
    for scope in due(&world.engine) {
        make_one(world, scope);
    }
}

fn make_one(world: &World, scope: PartialScope) -> ParsedCrl {
    let lease = world.crl_lease("tls", "test");
    let list = block_on(publish_partial(&world.engine, &Principal::Job("crl"), &id("tls"), scope, &lease));
    world.read_list("tls", &list.expect("a list").der)
}

/// The list that readers get.
fn in_place(world: &World, name: &str) -> ParsedCrl {
    let name: ListName = name.parse().expect("a name");
    let (_, der) = world.publisher.published_list(&name).unwrap_or_else(|| panic!("no {name}"));
    world.read_list("tls", &der.into())
}

fn shard_of(stored: &StoredCertificate) -> u32 {
    stored.serial.shard().expect("in a shard").get()
}

fn entry(list: &ParsedCrl, serial: &Serial) -> Option<Option<EntryReason>> {
    list.find(serial).map(|entry| entry.reason)
}

fn release(world: &World, stored: &StoredCertificate) {
    block_on(unhold(&world.engine, &Principal::LocalOperator, stored.id, None)).expect("released");
}

#[test]
fn a_certificate_names_the_shard_that_lists_it_octet_for_octet() {
    let world = World::of(with(4, false));
    make(&world);
    let issued: Vec<_> = (0..12).map(|_| world.issue()).collect();
    for stored in &issued {
        let certificate = Certificate::from_der(&stored.der).expect("a certificate");
        let uri = format!("http://pki.example.org/crl/tls/{}.crl", shard_of(stored));
        assert_eq!(certificate.crl_urls(), [uri]);
        world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    }
    world.clock.advance(SECOND);
    make(&world);
    for number in 1..=4 {
        let list = in_place(&world, &format!("tls/{number}.crl"));
        assert_eq!(list.distribution_point(), Some(format!("http://pki.example.org/crl/tls/{number}.crl").as_str()));
        assert!(list.covers(false) && !list.covers(true) && !list.is_delta());
        let mut expected: Vec<_> = issued.iter().filter(|stored| shard_of(stored) == number).collect();
        expected.sort_by_key(|stored| stored.serial.clone());
        let listed: Vec<_> = list.entries().map(|entry| entry.serial).collect();
        assert_eq!(listed, expected.iter().map(|stored| stored.serial.clone()).collect::<Vec<_>>(), "{number}");
    }
    let used: std::collections::BTreeSet<_> = issued.iter().map(shard_of).collect();
    assert!(used.len() > 1, "chance spreads them: {used:?}");
    let complete = in_place(&world, "tls.crl");
    assert_eq!((complete.entry_count(), complete.distribution_point()), (12, None), "the complete list has them all");
}

#[test]
fn an_authority_without_shards_has_complete_lists_only() {
    let world = World::new();
    assert_eq!(due(&world.engine), []);
    assert_eq!(world.issue().serial.shard(), None);
    assert!(block_on(world.store().published_partial_numbers()).expect("answers").is_empty());
    let lease = world.crl_lease("tls", "test");
    let list = block_on(publish_partial(&world.engine, &Principal::Job("crl"), &id("tls"), shard(1), &lease));
    assert_eq!(refused(list), Kind::NotFound);
}

#[test]
fn a_serial_that_only_looks_like_one_of_a_shard_is_in_none() {
    let world = World::of(with(1, false));
    make(&world);
    // A serial of 16 octets whose first two are those of the shard, as one issued before there were shards may have.
    let mut octets = [7; 16];
    octets[..2].copy_from_slice(&[0x40, 1]);
    let serial = Serial::from_random(octets);
    let of_no_shard = world.issue();
    world.store.tables(|record| {
        let issuance = record.issuances.get_mut(&of_no_shard.id).expect("on record");
        record.serials.remove(&(id("tls"), issuance.reservation.serial.clone()));
        issuance.reservation.serial = serial.clone();
        record.serials.insert((id("tls"), serial.clone()), of_no_shard.id);
    });
    world.revoke(of_no_shard.id, RevocationReason::Superseded).expect("revoked");
    let in_shard = world.issue();
    world.revoke(in_shard.id, RevocationReason::Superseded).expect("revoked");
    world.clock.advance(SECOND);
    make(&world);
    let list = in_place(&world, "tls/1.crl");
    assert_eq!(list.entries().map(|entry| entry.serial).collect::<Vec<_>>(), [in_shard.serial]);
    assert!(in_place(&world, "tls.crl").find(&serial).is_some());
}

#[test]
fn a_revocation_makes_its_shard_new_and_no_other() {
    let world = World::of(with(3, false));
    assert_eq!(due(&world.engine), [shard(1), shard(2), shard(3)]);
    make(&world);
    assert_eq!(due(&world.engine), []);
    let stored = world.issue();
    assert_eq!(due(&world.engine), [], "an issuance changes no list");
    world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
    assert_eq!(due(&world.engine), [shard(shard_of(&stored))]);
    // Also for a process that has read nothing yet.
    assert_eq!(due(&world.restarted()), [shard(shard_of(&stored))]);
    world.clock.advance(SECOND);
    make(&world);
    assert_eq!(due(&world.engine), []);
    release(&world, &stored);
    assert_eq!(due(&world.engine), [shard(shard_of(&stored))]);
    make(&world);
    assert_eq!(in_place(&world, &format!("tls/{}.crl", shard_of(&stored))).entry_count(), 0);
    world.clock.advance(DAY);
    assert_eq!(due(&world.engine), [shard(1), shard(2), shard(3)], "a day later each is signed anew");
}

#[test]
fn another_number_or_base_url_moves_no_certificate() {
    let world = World::of(with(2, false));
    make(&world);
    let old = world.issue();
    let old_uri = format!("http://pki.example.org/crl/tls/{}.crl", shard_of(&old));
    let mut parts = with(5, false);
    parts.settings.base_url = Some("http://crl.example.com".to_owned());
    let moved = world.restarted_with(parts);
    assert_eq!(due(&moved).len(), 5, "five more, under the new address");
    let issued = block_on(ca_engine::flow::issue::issue(&moved, &Principal::LocalOperator, server(csr(&key()))));
    let new = issued.expect("a certificate").certificate;
    assert!((3..=7).contains(&shard_of(&new)));
    assert_eq!(
        Certificate::from_der(&new.der).expect("a certificate").crl_urls(),
        [format!("http://crl.example.com/crl/tls/{}.crl", shard_of(&new))]
    );
    // With none configured at all, what is out is still listed where it says.
    let none = world.restarted_with(Parts::default());
    world.revoke(old.id, RevocationReason::KeyCompromise).expect("revoked");
    assert!(due(&none).contains(&shard(shard_of(&old))));
    let lease = world.crl_lease("tls", "test");
    let scope = shard(shard_of(&old));
    let list = block_on(publish_partial(&none, &Principal::Job("crl"), &id("tls"), scope, &lease)).expect("a list");
    let list = world.read_list("tls", &list.der);
    assert_eq!(list.distribution_point(), Some(old_uri.as_str()));
    assert!(list.find(&old.serial).is_some());
}

#[test]
fn a_shard_is_counted_by_itself_above_the_complete_list() {
    let world = World::of(with(2, false));
    make(&world);
    let first = in_place(&world, "tls/1.crl").number().expect("a number");
    assert!(first > in_place(&world, "tls.crl").number().expect("a number"));
    for _ in 0..3 {
        world.signer("tls").script([SigningStep::Unavailable]);
        let lease = world.crl_lease("tls", "test");
        let list = block_on(publish_partial(&world.engine, &Principal::Job("crl"), &id("tls"), shard(1), &lease));
        assert_eq!(refused(list), Kind::Unavailable);
    }
    assert_eq!(make_one(&world, shard(1)).number(), Some(first + 4), "numbers that may have been signed are spent");
    assert_eq!(in_place(&world, "tls/2.crl").number(), Some(first), "the other shard has its own");
}

#[test]
fn events_and_messages_name_the_scope() {
    let world = World::of(with(1, true));
    make(&world);
    world.clock.advance(SECOND);
    make(&world);
    let scopes: Vec<String> = world
        .store
        .outbox()
        .into_iter()
        .filter(|message| message.topic == "crl.published" && message.payload.contains("\"tls\""))
        .map(|message| serde_json::from_str::<serde_json::Value>(&message.payload).expect("JSON")["scope"].to_string())
        .collect();
    assert_eq!(scopes, ["\"complete\"", "\"shard 1\"", "\"delta\""]);
}

#[test]
fn a_delta_says_what_changed_since_its_base() {
    let world = World::of(with(0, true));
    let on_base = world.issue();
    let (held, released) = (world.issue(), world.issue());
    world.revoke(on_base.id, RevocationReason::Superseded).expect("revoked");
    for stored in [&held, &released] {
        world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
    }
    world.clock.advance(SECOND);
    make(&world);
    let base = in_place(&world, "tls.crl");
    assert_eq!(due(&world.engine), [], "in the second of the complete list the two would have to be one");
    world.clock.advance(SECOND);
    make(&world);
    let delta = in_place(&world, "tls-delta.crl");
    assert!(delta.is_delta() && delta.entry_count() == 0 && delta.number() > base.number());
    // On hold since the base, and released again: a client may have a complete list from in between.
    let briefly = world.issue();
    world.revoke(briefly.id, RevocationReason::CertificateHold).expect("held");
    let revoked = world.issue();
    world.revoke(revoked.id, RevocationReason::KeyCompromise).expect("revoked");
    world.revoke(held.id, RevocationReason::CessationOfOperation).expect("revoked for good");
    world.clock.advance(SECOND);
    release(&world, &released);
    release(&world, &briefly);
    world.clock.advance(SECOND);
    make(&world);
    world.clock.advance(SECOND);
    make(&world);
    let delta = in_place(&world, "tls-delta.crl");
    assert_eq!(entry(&delta, &on_base.serial), None, "nothing has changed");
    assert_eq!(entry(&delta, &revoked.serial), Some(Some(EntryReason::KeyCompromise)));
    assert_eq!(entry(&delta, &held.serial), Some(Some(EntryReason::CessationOfOperation)));
    assert_eq!(entry(&delta, &released.serial), Some(Some(EntryReason::RemoveFromCrl)));
    assert_eq!(entry(&delta, &briefly.serial), Some(Some(EntryReason::RemoveFromCrl)));
    assert!(delta.number() > in_place(&world, "tls.crl").number(), "above the newest complete list");
    assert!(delta.next_update() <= Some(world.now().plus(DAY)), "a delta is for a day");
}

/// What a client knows that applies the newest delta to a complete list which it has kept (RFC 5280 §6.3.3).
fn applied(complete: &ParsedCrl, delta: &ParsedCrl) -> BTreeMap<Serial, Option<EntryReason>> {
    let mut known: BTreeMap<_, _> = complete.entries().map(|entry| (entry.serial, entry.reason)).collect();
    for entry in delta.entries() {
        match entry.reason {
            Some(EntryReason::RemoveFromCrl) => known.remove(&entry.serial),
            reason => known.insert(entry.serial, reason),
        };
    }
    known
}

#[test]
fn any_complete_list_that_lasts_and_the_delta_make_the_newest_complete_list() {
    let world = World::of(with(0, true));
    let issued: Vec<_> = (0..6).map(|_| world.issue()).collect();
    let mut kept = Vec::new();
    let step = |turn: usize, stored: &StoredCertificate| match turn % 3 {
        0 => drop(world.revoke(stored.id, RevocationReason::CertificateHold).expect("held")),
        1 => release(&world, stored),
        _ => drop(world.revoke(stored.id, RevocationReason::Superseded).expect("revoked")),
    };
    for turn in 0..18 {
        step(turn % 3, &issued[(turn / 3) % issued.len()]);
        world.clock.advance(Lifetime::from_seconds(9 * 3_600));
        make(&world);
        kept.push(in_place(&world, "tls.crl"));
        world.clock.advance(SECOND);
        make(&world);
        let delta = in_place(&world, "tls-delta.crl");
        let newest = in_place(&world, "tls.crl");
        let now: BTreeMap<_, _> = newest.entries().map(|entry| (entry.serial, entry.reason)).collect();
        let base = world.store.tables(|record| {
            let intent = record.partial_crls.get(&(id("tls"), DELTA, delta.number().expect("a number")));
            intent.and_then(|intent| intent.base_number).expect("a base")
        });
        let mut usable = 0;
        for complete in kept.iter().filter(|list| list.next_update() > Some(world.now())) {
            assert!(complete.number() >= Some(base), "turn {turn}: every list that lasts can be completed");
            assert_eq!(applied(complete, &delta), now, "turn {turn}, from {:?}", complete.number());
            usable += 1;
        }
        assert!(usable > 0);
    }
}

#[test]
fn complete_lists_name_the_delta_and_deltas_name_nothing() {
    let world = World::of(with(0, true));
    world.publish("tls").expect("a list");
    world.clock.advance(SECOND);
    make(&world);
    let mentions = |name: &str| {
        let uri = b"http://pki.example.org/crl/tls-delta.crl";
        in_place(&world, name).to_be_signed().windows(uri.len()).any(|octets| octets == uri)
    };
    assert!(!mentions("tls-delta.crl"));
    assert!(mentions("tls.crl"));
}

#[test]
fn a_restoration_withdraws_them_and_their_numbers_go_on_past_the_gap() {
    let world = World::of(with(1, true));
    let anchor = MemoryAnchor::default();
    let mut anchored = Anchored::default();
    let mut step = |world: &World| {
        make(world);
        world.clock.advance(Lifetime::from_seconds(11));
        make(world);
        block_on(compare(&world.engine, &anchor)).expect("compares");
        block_on(follow(&world.engine, &anchor, &mut anchored)).expect("follows");
    };
    step(&world);
    let held = world.issue();
    world.revoke(held.id, RevocationReason::CertificateHold).expect("held");
    step(&world);
    let backup = world.store.tables(|record| record.clone());
    // After the backup: the hold ends, and a certificate is issued and revoked that the backup does not know.
    release(&world, &held);
    let lost = world.issue();
    world.revoke(lost.id, RevocationReason::KeyCompromise).expect("revoked");
    step(&world);
    let before = [in_place(&world, "tls/1.crl"), in_place(&world, "tls-delta.crl")];
    world.store.tables(|record| *record = backup);
    block_on(world.store().set_setting(RESTORATION, None, RESTORED)).expect("set");
    world.clock.advance(Lifetime::from_seconds(61));
    let restarted = world.restarted();
    block_on(compare(&restarted, &anchor)).expect("compares");
    block_on(ca_engine::flow::watch_clock::watch_clock(&restarted)).expect("the clock is right");
    block_on(restore(&restarted, &Principal::LocalOperator, &anchor, Evidence::Anchor)).expect("restored");
    assert!(block_on(world.store().published_partial_numbers()).expect("answers").is_empty(), "older than what is out");
    block_on(republish(&restarted)).expect("puts back what it has");
    assert_eq!(in_place(&world, "tls/1.crl").number(), before[0].number(), "and no older list");
    block_on(compare(&world.engine, &anchor)).expect("compares");
    world.clock.advance(SECOND);
    make(&world);
    world.clock.advance(SECOND);
    make(&world);
    let (shard, delta) = (in_place(&world, "tls/1.crl"), in_place(&world, "tls-delta.crl"));
    for (list, before) in [(&shard, &before[0]), (&delta, &before[1])] {
        assert!(list.number() > before.number().map(|number| number + GAP / 2), "{:?}", list.number());
    }
    assert_eq!(entry(&shard, &lost.serial), Some(Some(EntryReason::KeyCompromise)), "its serial says its shard");
    assert_eq!(entry(&shard, &held.serial), Some(Some(EntryReason::CertificateHold)), "it holds again");
    // Who has a list from before the restoration must not complete it by this delta.
    let newest = block_on(world.store().newest_partial_crl(&id("tls"), DELTA)).expect("answers").expect("a delta");
    assert_eq!(newest.intent.base_number, in_place(&world, "tls.crl").number());
}

#[test]
fn a_delta_keeps_what_expired_until_a_complete_list_has_told_of_it() {
    let world = World::of(with(0, true));
    make(&world);
    let short = world.ask(ca_engine::flow::issue::IssueRequest { validity: Some(HOUR), ..server(csr(&key())) });
    let short = short.expect("a certificate");
    world.revoke(short.id, RevocationReason::Superseded).expect("revoked");
    world.clock.advance(Lifetime::from_seconds(2 * 3_600));
    let delta = make_one(&world, DELTA);
    assert_eq!(entry(&delta, &short.serial), Some(Some(EntryReason::Superseded)));
}

#[test]
fn a_mirror_has_every_kind_of_list() {
    let world = World::of(with(2, true));
    make(&world);
    world.clock.advance(SECOND);
    make(&world);
    let (mirror, mut mirrored) = (FlakyPublisher::default(), Mirrored::default());
    block_on(mirror_lists(&world.engine, &mirror, &mut mirrored)).expect("a record");
    for name in ["tls.crl", "tls/1.crl", "tls/2.crl", "tls-delta.crl", "root.crl"] {
        let name: ListName = name.parse().expect("a name");
        assert!(mirror.published_list(&name).is_some(), "{name}");
        assert_eq!(mirror.published_list(&name), world.publisher.published_list(&name), "{name}");
    }
}
