//! Answers that replicas share: taken when they are what this process could have signed itself, of serials that never changed.

use ca_core::ocsp::{CertId, CertIdHash, CertStatus, OcspTbs, ResponseTemplate, SingleResponse, assemble, request};
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::engine::Engine;
use ca_engine::fake::{MemorySharedAnswers, StoreFault, StoreMethod};
use ca_engine::flow::answer_status::{AnswerKind, AnswerOrigin, StatusAnswer, answer_status};
use ca_engine::flow::follow_revocations::follow_revocations;
use ca_engine::flow::revoke::{RevokeRequest, revoke, unhold};
use ca_engine::port::signer::Signer;
use ca_engine::port::store::StoreError;
use ca_engine::shared_use::SharedOutcome;
use futures::executor::block_on;

use crate::world::ask::{cert_id, verified};
use crate::world::*;

/// Two processes over one record that share answers.
struct Pair {
    world: World,
    other: Engine,
    place: MemorySharedAnswers,
}

impl Pair {
    fn new() -> Self {
        Self::after(|_| {})
    }

    /// The other begins after something has happened.
    fn after(happens: impl FnOnce(&World)) -> Self {
        let clock = ca_engine::fake::FakeClock::default();
        let place = MemorySharedAnswers::new(clock);
        let world = World::of(Parts { shared_answers: Some(place.clone()), ..Parts::default() });
        look(&world.engine);
        happens(&world);
        let other = world.restarted();
        look(&other);
        Self { world, other, place }
    }

    /// The key and octets of the one entry.
    fn entry(&self) -> (String, Vec<u8>) {
        let entries = self.place.entries();
        assert_eq!(entries.len(), 1, "{:?}", entries.keys());
        entries.into_iter().next().expect("one")
    }
}

fn look(engine: &Engine) {
    block_on(follow_revocations(engine)).expect("the record answers");
}

fn ask(engine: &Engine, serial: &Serial) -> StatusAnswer {
    block_on(answer_status(engine, &request::encode(&[cert_id(engine, "tls", serial)], None), |_| {}))
}

fn told(engine: &Engine, serial: &Serial) -> (AnswerKind, AnswerOrigin) {
    let answer = ask(engine, serial);
    (answer.kind, answer.origin)
}

const GOOD_FROM_RECORD: (AnswerKind, AnswerOrigin) = (AnswerKind::Good, AnswerOrigin::Record);
const GOOD_SHARED: (AnswerKind, AnswerOrigin) = (AnswerKind::Good, AnswerOrigin::Shared);
const REVOKED_FROM_RECORD: (AnswerKind, AnswerOrigin) = (AnswerKind::Revoked, AnswerOrigin::Record);

#[test]
fn what_one_has_signed_another_gives_without_asking_the_record_or_signing() {
    let pair = Pair::new();
    let serial = pair.world.issue().serial;
    let first = ask(&pair.world.engine, &serial);
    let looks = pair.world.store.calls().len();
    let second = ask(&pair.other, &serial);
    assert_eq!((second.kind, second.origin), GOOD_SHARED);
    assert_eq!((second.der.clone(), second.freshness), (first.der, first.freshness));
    verified(&pair.other, "tls", &second);
    let calls = pair.world.store.calls();
    assert!(!calls[looks..].contains(&StoreMethod::Status), "{:?}", &calls[looks..]);
    assert_eq!(pair.other.shared_use().count(SharedOutcome::Taken), 1);
    // From then on it is in memory.
    assert_eq!(told(&pair.other, &serial), (AnswerKind::Good, AnswerOrigin::Memory));
    // Another form of the CertID is another answer.
    let tls = pair.other.authority(&id("tls")).expect("tls");
    let asked = request::encode(&[CertId::new(CertIdHash::Sha256, tls.identity(), &serial)], None);
    assert_eq!(block_on(answer_status(&pair.other, &asked, |_| {})).origin, AnswerOrigin::Record);
}

#[test]
fn no_good_comes_back_after_a_revocation_wherever_it_was_made() {
    for elsewhere in [true, false] {
        let pair = Pair::new();
        let stored = pair.world.issue();
        assert_eq!(told(&pair.world.engine, &stored.serial), GOOD_FROM_RECORD);
        let revoker = if elsewhere { &pair.world.engine } else { &pair.other };
        let asked = RevokeRequest {
            certificate: stored.id,
            reason: RevocationReason::Superseded,
            invalidity_date: None,
            request_id: None,
        };
        block_on(revoke(revoker, &Principal::LocalOperator, &asked)).expect("revoked");
        if elsewhere {
            look(&pair.other);
        }
        assert_eq!(pair.place.entries().len(), 1, "the old `good` still lies there");
        assert_eq!(told(&pair.other, &stored.serial), REVOKED_FROM_RECORD);
        // What is said of it is not shared: whoever puts it there, whenever.
        assert_eq!(pair.place.entries().len(), 1);
    }
}

#[test]
fn no_good_comes_back_that_was_signed_before_a_revocation_that_an_earlier_process_saw() {
    let mut planted = None;
    let pair = Pair::after(|world| {
        let stored = world.issue();
        let good = ask(&world.engine, &stored.serial);
        world.revoke(stored.id, RevocationReason::KeyCompromise).expect("revoked");
        planted = Some((stored.serial, good));
    });
    let (serial, good) = planted.expect("a certificate");
    let (key, octets) = pair.entry();
    assert_eq!(octets, *good.der);
    // It lies where the process looks, is well signed, and young; and put there again after the first answer.
    for _ in 0..2 {
        assert_eq!(told(&pair.other, &serial).0, AnswerKind::Revoked);
        pair.place.plant(&key, &octets);
    }
    assert_eq!(pair.other.shared_use().count(SharedOutcome::Taken), 0);
}

#[test]
fn of_what_was_held_and_released_each_signs_its_own() {
    let pair = Pair::new();
    let stored = pair.world.issue();
    pair.world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
    assert_eq!(told(&pair.world.engine, &stored.serial), REVOKED_FROM_RECORD);
    block_on(unhold(&pair.world.engine, &Principal::LocalOperator, stored.id, None)).expect("released");
    assert_eq!(told(&pair.world.engine, &stored.serial), GOOD_FROM_RECORD);
    look(&pair.other);
    assert_eq!(told(&pair.other, &stored.serial), GOOD_FROM_RECORD);
    assert!(pair.place.entries().is_empty());
}

#[test]
fn a_process_that_cannot_follow_the_record_takes_nothing() {
    let pair = Pair::new();
    let serial = pair.world.issue().serial;
    assert_eq!(told(&pair.world.engine, &serial), GOOD_FROM_RECORD);
    pair.world.store.break_down("test");
    pair.world.clock.advance(Lifetime::from_seconds(10));
    block_on(follow_revocations(&pair.other)).expect_err("the record is away");
    assert_eq!(told(&pair.other, &serial).0, AnswerKind::TryLater);
    // Nor one that has not read of all that was revoked.
    pair.world.store.repair();
    let third = pair.world.restarted();
    let fault = || StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() });
    pair.world.store.fail_nth(StoreMethod::RevocationsAfter, 2, fault());
    look(&third);
    assert_eq!(told(&third, &serial), GOOD_FROM_RECORD);
    assert!(!third.changed_serials().is_complete());
    look(&third);
    assert!(third.changed_serials().is_complete());
}

#[test]
fn a_place_that_is_away_costs_nothing_but_the_signature() {
    let pair = Pair::new();
    let serial = pair.world.issue().serial;
    pair.place.set_away(true);
    assert_eq!(told(&pair.world.engine, &serial), GOOD_FROM_RECORD);
    assert_eq!(told(&pair.other, &serial), GOOD_FROM_RECORD);
    assert_eq!(pair.other.shared_use().count(SharedOutcome::Unavailable), 1);
    assert!(pair.place.entries().is_empty());
}

#[test]
fn what_is_stale_or_about_something_else_is_not_given() {
    let pair = Pair::new();
    let (serial, other_serial) = (pair.world.issue().serial, pair.world.issue().serial);
    assert_eq!(told(&pair.world.engine, &serial), GOOD_FROM_RECORD);
    let (key, octets) = pair.entry();
    // Under the key of another certificate.
    let other_key = key.replace(&serial.to_string(), &other_serial.to_string());
    pair.place.plant(&other_key, &octets);
    assert_eq!(told(&pair.other, &other_serial), GOOD_FROM_RECORD);
    // In the second half of its life, though somebody keeps it there.
    pair.place.plant(&key, &octets);
    pair.world.clock.advance(Lifetime::from_seconds(1_800));
    look(&pair.other);
    assert_eq!(told(&pair.other, &serial), GOOD_FROM_RECORD);
    assert_eq!(pair.other.shared_use().count(SharedOutcome::Refused), 2);
    // Dated after the present: how old it is cannot be told.
    let (serial, place) = (pair.world.issue().serial, &pair.place);
    place.clear();
    pair.world.clock.advance(Lifetime::from_seconds(30));
    look(&pair.world.engine);
    assert_eq!(told(&pair.world.engine, &serial), GOOD_FROM_RECORD);
    let clock = ca_engine::fake::FakeClock::at(pair.world.now().minus(Lifetime::from_seconds(30)));
    let behind = pair.world.replica(&clock, &pair.world.keyring);
    look(&behind);
    assert_eq!(told(&behind, &serial), GOOD_FROM_RECORD);
}

#[test]
fn what_is_forged_is_not_given() {
    let pair = Pair::new();
    let stored = pair.world.issue();
    let serial = stored.serial;
    assert_eq!(told(&pair.world.engine, &serial), GOOD_FROM_RECORD);
    let (key, sound) = pair.entry();
    let now = pair.world.now().floor_to_second();
    let later = now.plus(HOUR);
    let stranger = ca_engine::fake::ScriptedSigner::generate(ca_core::key::KeyType::P256);
    let responder = pair.world.responder_signer("tls");
    let root_responder = pair.world.responder_signer("root");
    let hierarchy = pair.world.engine.hierarchy();
    let of = |authority: &str| hierarchy.responder(&id(authority), now).expect("a responder");
    let (tls, root) = (of("tls"), of("root"));
    let asked = cert_id(&pair.world.engine, "tls", &serial);
    let good = |this_update: Timestamp, next_update| SingleResponse {
        cert_id: asked.clone(),
        status: CertStatus::Good,
        this_update,
        next_update,
        archive_cutoff: None,
    };
    let made =
        |single: SingleResponse, key_hash, nonce: Option<Vec<u8>>, signer: &dyn Signer, certificates: &[&[u8]]| {
            let template =
                ResponseTemplate { responder_key_hash: key_hash, produced_at: now, responses: vec![single], nonce };
            let to_be_signed = OcspTbs::new(&template).expect("well-formed");
            let signature = block_on(signer.sign(&to_be_signed)).expect("signs");
            assemble(&to_be_signed, &signature, certificates)
        };
    let own = tls.certificate_der();
    let mut bent = sound.clone();
    *bent.iter_mut().rev().nth(own.len() + 20).expect("an octet of the signature") ^= 1;
    let single = || good(now, Some(later));
    let forgeries = [
        ("nothing", Vec::new()),
        ("no DER", b"good".to_vec()),
        ("longer by an octet", [&sound[..], &[0]].concat()),
        ("cut off", sound[..sound.len() - 1].to_vec()),
        ("a bent signature", bent),
        ("the key of a stranger", made(single(), tls.key_hash(), None, &stranger, &[own])),
        ("an unknown responder", made(single(), [7; 20], None, &stranger, &[own])),
        (
            "another authority's responder",
            made(single(), root.key_hash(), None, &root_responder, &[root.certificate_der()]),
        ),
        ("no certificate", made(single(), tls.key_hash(), None, &responder, &[])),
        ("one certificate more", made(single(), tls.key_hash(), None, &responder, &[own, root.certificate_der()])),
        ("a nonce", made(single(), tls.key_hash(), Some(vec![1; 32]), &responder, &[own])),
        ("no end", made(good(now, None), tls.key_hash(), None, &responder, &[own])),
        (
            "an end after the responder's",
            made(good(now, Some(tls.validity().not_after.plus(DAY))), tls.key_hash(), None, &responder, &[own]),
        ),
        (
            "another status",
            made(SingleResponse { status: CertStatus::Unknown, ..single() }, tls.key_hash(), None, &responder, &[own]),
        ),
    ];
    for (number, (what, octets)) in forgeries.iter().enumerate() {
        let fresh = pair.world.restarted();
        look(&fresh);
        pair.place.plant(&key, octets);
        let answer = ask(&fresh, &serial);
        assert_eq!((answer.kind, answer.origin), GOOD_FROM_RECORD, "{what}");
        assert_eq!(fresh.shared_use().count(SharedOutcome::Refused), 1, "{number} {what}");
        verified(&fresh, "tls", &answer);
    }
    // The same way, with nothing wrong, it is taken: it is not the test that refuses.
    let fresh = pair.world.restarted();
    look(&fresh);
    pair.place.plant(&key, &made(single(), tls.key_hash(), None, &responder, &[own]));
    assert_eq!(told(&fresh, &serial), GOOD_SHARED);
}

#[test]
fn what_a_revoked_responder_signed_is_not_taken() {
    let pair = Pair::new();
    let serial = pair.world.issue().serial;
    assert_eq!(told(&pair.world.engine, &serial), GOOD_FROM_RECORD);
    let responders = block_on(pair.world.store().responders()).expect("the record answers");
    let responder = responders.iter().find(|responder| responder.authority == id("tls")).expect("a responder");
    pair.world.revoke(responder.certificate, RevocationReason::KeyCompromise).expect("revoked");
    look(&pair.other);
    assert_eq!(told(&pair.other, &serial).0, AnswerKind::TryLater, "there is no other responder");
}
