//! OCSP: what each serial answers, who signs, and that nothing goes wrong towards `good`.

use ca_core::ocsp::{CertId, CertIdHash, CertStatus, ParsedResponse, ResponderError, request};
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_core::serial::Serial;
use ca_core::time::Lifetime;
use ca_engine::engine::{Engine, NoncePolicy, Settings};
use ca_engine::fake::{SigningStep, StoreFault, StoreMethod};
use ca_engine::flow::answer_status::{AnswerKind, AnswerOrigin, answer_status, cache_lifetime};
use ca_engine::flow::issue::issue;
use ca_engine::flow::reconcile::abandon_reservations_before;
use ca_engine::port::keyring::KeyRoom;
use ca_engine::port::store::StoreError;
use futures::executor::block_on;

use crate::world::ask::{answer, cert_id, status, verified};
use crate::world::*;

fn serial(text: &str) -> Serial {
    text.parse().expect("a serial")
}

fn failure(engine: &Engine, der: &[u8]) -> (ResponderError, AnswerKind, usize) {
    let mut faults = 0;
    let answer = block_on(answer_status(engine, der, |_| faults += 1));
    assert_eq!(answer.freshness, None, "nobody may keep an error");
    match ParsedResponse::from_der(&answer.der).expect("an OCSP response") {
        ParsedResponse::Failed(error) => (error, answer.kind, faults),
        ParsedResponse::Answered(_) => panic!("{:?} was signed", answer.kind),
    }
}

fn ask_for(engine: &Engine, certificate: &Serial) -> Vec<u8> {
    request::encode(&[cert_id(engine, "tls", certificate)], None)
}

#[test]
fn good_only_for_what_was_issued_and_stands() {
    let world = World::new();
    let stored = world.issue();
    assert_eq!(world.status("tls", &stored.serial), CertStatus::Good);
    assert_eq!(world.status("tls", &serial("1234")), CertStatus::Unknown, "never issued");
    assert_eq!(world.status("document", &stored.serial), CertStatus::Unknown, "not by this authority");
    for reason in [RevocationReason::Unspecified, RevocationReason::CertificateHold, RevocationReason::KeyCompromise] {
        let stored = world.issue();
        world.revoke(stored.id, reason).expect("revoked");
        let told = Some(reason).filter(|reason| *reason != RevocationReason::Unspecified);
        assert_eq!(world.status("tls", &stored.serial), CertStatus::Revoked { at: world.now(), reason: told });
    }
}

#[test]
fn a_reserved_serial_is_unknown_and_an_abandoned_one_revoked() {
    let world = World::new();
    // A process dies between reservation and signature.
    let dead = world.begin_and_die();
    assert_eq!(world.open_reservations(), 1);
    assert_eq!(world.status("tls", &dead), CertStatus::Unknown);
    world.clock.advance(SECOND);
    let closed = block_on(abandon_reservations_before(&world.engine, &Principal::Job("reservations"), world.now()));
    assert_eq!(closed, Ok(1));
    assert!(matches!(world.status("tls", &dead), CertStatus::Revoked { reason: None, .. }));
    assert!(world.list("tls").find(&dead).is_some(), "the list agrees");
}

#[test]
fn both_hashes_name_an_issuer() {
    let world = World::new();
    let stored = world.issue();
    let tls = world.engine.authority(&id("tls")).expect("tls");
    for hash in [CertIdHash::Sha1, CertIdHash::Sha256] {
        let asked = CertId::new(hash, tls.identity(), &stored.serial);
        let answer = answer(&world.engine, std::slice::from_ref(&asked), None);
        let response = verified(&world.engine, "tls", &answer);
        assert_eq!(response.responses()[0].cert_id, asked, "octet for octet");
        assert_eq!((response.responses()[0].status, answer.kind), (CertStatus::Good, AnswerKind::Good));
    }
}

#[test]
fn of_several_authorities_the_first_one_s_responder_answers_for_its_own() {
    let world = World::new();
    let stored = world.issue();
    let tls = world.engine.authority(&id("tls")).expect("tls").certificate().serial().clone();
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    let good = world.issue().serial;
    let asked = [
        cert_id(&world.engine, "tls", &stored.serial),
        cert_id(&world.engine, "root", &tls),
        // `tls` issued this serial, `document` did not: the issuer of the CertID counts.
        cert_id(&world.engine, "document", &good),
        cert_id(&world.engine, "tls", &good),
    ];
    let answer = answer(&world.engine, &asked, None);
    assert_eq!(answer.kind, AnswerKind::Several);
    let response = verified(&world.engine, "tls", &answer);
    let statuses: Vec<_> = response.responses().iter().map(|single| single.status).collect();
    assert!(
        matches!(
            statuses[..],
            [CertStatus::Revoked { .. }, CertStatus::Unknown, CertStatus::Unknown, CertStatus::Good]
        ),
        "{statuses:?}"
    );
    assert_eq!(
        response.responses().iter().map(|single| &single.cert_id).collect::<Vec<_>>(),
        asked.iter().collect::<Vec<_>>()
    );
}

#[test]
fn strangers_are_unauthorized_and_noise_is_malformed() {
    let world = World::new();
    let other = World::new();
    let foreign = ask_for(&other.engine, &serial("01"));
    assert_eq!(failure(&world.engine, &foreign), (ResponderError::Unauthorized, AnswerKind::Unauthorized, 0));
    for noise in [&b""[..], b"\x30\x00", b"GET / HTTP/1.0", &foreign[..foreign.len() - 1]] {
        let expected = (ResponderError::MalformedRequest, AnswerKind::Malformed, 0);
        assert_eq!(failure(&world.engine, noise), expected);
    }
}

#[test]
fn a_nonce_is_repeated_and_its_answer_kept_by_nobody() {
    let world = World::new();
    let asked = [cert_id(&world.engine, "tls", &world.issue().serial)];
    let with_nonce = answer(&world.engine, &asked, Some(&[9; 32]));
    assert_eq!(verified(&world.engine, "tls", &with_nonce).nonce(), Some(&[9; 32][..]));
    assert_eq!(with_nonce.freshness, None);
    let without = answer(&world.engine, &asked, None);
    assert_eq!(verified(&world.engine, "tls", &without).nonce(), None);
    let freshness = without.freshness.expect("may be kept");
    assert_eq!((freshness.this_update, freshness.next_update), (world.now(), world.now().plus(HOUR)));
    assert_eq!(cache_lifetime(&freshness, world.now(), SECOND), SECOND);
    let late = freshness.next_update.minus(SECOND);
    assert_eq!(cache_lifetime(&freshness, late, HOUR), SECOND, "never past nextUpdate");
    assert_eq!(cache_lifetime(&freshness, freshness.next_update.plus(HOUR), HOUR), Lifetime::ZERO);
}

#[test]
fn next_update_never_passes_the_responder_s_end() {
    let world = World::new();
    let stored = world.issue();
    let end = world.engine.hierarchy().responder(&id("tls"), world.now()).expect("a responder").validity().not_after;
    for left in [Lifetime::from_seconds(1_800), SECOND] {
        world.clock.set(end.minus(left));
        let answer = answer(&world.engine, &[cert_id(&world.engine, "tls", &stored.serial)], None);
        assert_eq!(answer.freshness.expect("may be kept").next_update, end);
        assert_eq!(verified(&world.engine, "tls", &answer).responses()[0].next_update, Some(end));
    }
    for over in [end, end.plus(SECOND)] {
        world.clock.set(over);
        let der = ask_for(&world.engine, &stored.serial);
        assert_eq!(failure(&world.engine, &der), (ResponderError::TryLater, AnswerKind::TryLater, 1));
    }
}

#[test]
fn a_record_that_does_not_answer_is_try_later_and_never_good() {
    let world = World::new();
    let der = ask_for(&world.engine, &world.issue().serial);
    let expected = (ResponderError::TryLater, AnswerKind::TryLater, 1);
    world.store.break_down("test");
    assert_eq!(failure(&world.engine, &der), expected);
    world.store.repair();
    for fault in [
        StoreFault::AcknowledgementLost,
        StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() }),
        StoreFault::BeforeCommit(StoreError::Full { detail: "test".to_owned() }),
    ] {
        world.store.fail_next(StoreMethod::Status, fault);
        assert_eq!(failure(&world.engine, &der), expected);
    }
    let impossible = StoreError::Inconsistent { detail: "test".to_owned() };
    world.store.fail_next(StoreMethod::Status, StoreFault::BeforeCommit(impossible));
    assert_eq!(failure(&world.engine, &der), (ResponderError::InternalError, AnswerKind::Failed, 1));
}

#[test]
fn a_wrong_clock_answers_try_later() {
    let world = World::new();
    let der = ask_for(&world.engine, &world.issue().serial);
    let ahead = ca_engine::fake::FakeClock::at(world.now().plus(Lifetime::from_seconds(61)));
    let replica = world.replica(&ahead, &world.keyring);
    assert_eq!(failure(&replica, &der), (ResponderError::TryLater, AnswerKind::TryLater, 1));
    ahead.set(world.now().plus(Lifetime::from_seconds(60)));
    // What was found counts for some seconds; then the clock is compared again.
    ahead.step_back(Lifetime::from_seconds(20));
    assert_eq!(answer(&replica, &[cert_id(&replica, "tls", &serial("01"))], None).kind, AnswerKind::Unknown);
}

#[test]
fn a_process_without_the_responders_keys_answers_try_later() {
    let world = World::new();
    let der = ask_for(&world.engine, &world.issue().serial);
    let blind = world.replica(&world.clock, &world.keyring.with_rooms([KeyRoom::Authorities]));
    assert_eq!(failure(&blind, &der), (ResponderError::TryLater, AnswerKind::TryLater, 1));
}

#[test]
fn the_status_role_answers_without_any_authority_s_key() {
    let world = World::new();
    let stored = world.issue();
    let status_role = world.replica(&world.clock, &world.keyring.with_rooms([KeyRoom::Responders]));
    assert_eq!(status(&status_role, "tls", &stored.serial), CertStatus::Good);
    let local = Principal::LocalOperator;
    let outcome = block_on(issue(&status_role, &local, server(csr(&key()))));
    assert_eq!(refused(outcome), ca_engine::error::FlowErrorKind::AuthorityCannotSign);
}

#[test]
fn a_responder_key_that_does_not_work_answers_with_an_error() {
    let world = World::new();
    let der = ask_for(&world.engine, &world.issue().serial);
    let responder = world.responder_signer("tls");
    responder.script([
        SigningStep::Unavailable,
        SigningStep::Refused,
        SigningStep::Garbage,
        SigningStep::AnotherMessage,
    ]);
    // It cannot be reached, or does not sign until somebody has put it right.
    for _ in 0..2 {
        assert_eq!(failure(&world.engine, &der), (ResponderError::TryLater, AnswerKind::TryLater, 1));
    }
    for _ in 0..2 {
        assert_eq!(failure(&world.engine, &der), (ResponderError::InternalError, AnswerKind::Failed, 1));
    }
    verified(&world.engine, "tls", &block_on(answer_status(&world.engine, &der, |_| {})));
}

#[test]
fn the_root_s_own_responder_answers_while_its_key_is_away() {
    let world = World::new();
    let tls = world.engine.authority(&id("tls")).expect("tls").certificate().serial().clone();
    world.clock.advance(Lifetime::from_days(300));
    assert!(!world.engine.authority(&id("root")).expect("root").can_sign());
    assert_eq!(world.status("root", &tls), CertStatus::Good);
}

#[test]
fn the_operator_decides_what_becomes_of_nonces() {
    let with = |nonce| {
        let parts = Parts::default();
        World::of(Parts { settings: Settings { nonce, ..parts.settings.clone() }, ..parts })
    };
    // Passed over: who sends one gets the answer that all get, from memory too.
    let world = with(NoncePolicy::Ignore);
    let asked = [cert_id(&world.engine, "tls", &world.issue().serial)];
    let first = answer(&world.engine, &asked, Some(&[9; 32]));
    assert_eq!(verified(&world.engine, "tls", &first).nonce(), None);
    let second = answer(&world.engine, &asked, Some(&[8; 32]));
    assert_eq!((second.der, second.origin), (first.der, AnswerOrigin::Memory));
    assert!(second.freshness.is_some());
    // Required: who sends none is refused, also what many could be told.
    let world = with(NoncePolicy::Require);
    let serial = world.issue().serial;
    assert_eq!(
        failure(&world.engine, &ask_for(&world.engine, &serial)),
        (ResponderError::Unauthorized, AnswerKind::Unauthorized, 0)
    );
    let bound = answer(&world.engine, &[cert_id(&world.engine, "tls", &serial)], Some(&[9; 32]));
    assert_eq!(verified(&world.engine, "tls", &bound).nonce(), Some(&[9; 32][..]));
}

#[test]
fn of_what_has_expired_it_is_told_since_when_status_is_kept() {
    let world = World::new();
    let (kept, revoked) = (world.issue(), world.issue());
    world.revoke(revoked.id, RevocationReason::Superseded).expect("revoked");
    let not_before = world.engine.authority(&id("tls")).expect("tls").facts().validity.not_before;
    let cutoffs = || {
        let serials = [kept.serial.clone(), revoked.serial.clone(), serial("1234")];
        let asked = serials.map(|serial| cert_id(&world.engine, "tls", &serial));
        let answer = answer(&world.engine, &asked, None);
        let responses = verified(&world.engine, "tls", &answer).responses().to_vec();
        responses.iter().map(|single| (single.status, single.archive_cutoff)).collect::<Vec<_>>()
    };
    assert!(cutoffs().iter().all(|(_, cutoff)| cutoff.is_none()), "{:?}", cutoffs());
    let revoked_at = world.now();
    world.clock.set(kept.validity.not_after.plus(SECOND));
    world.renew_responder("tls");
    let reason = Some(RevocationReason::Superseded);
    assert_eq!(
        cutoffs(),
        [
            (CertStatus::Good, Some(not_before)),
            (CertStatus::Revoked { at: revoked_at, reason }, Some(not_before)),
            (CertStatus::Unknown, None)
        ]
    );
}
