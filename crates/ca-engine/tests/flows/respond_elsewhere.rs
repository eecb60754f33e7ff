//! OCSP responders of an authority whose certificates another makes: ordered, held against their orders, and accounted for wherever
//! a process dies.

use ca_core::certificate::Certificate;
use ca_core::ocsp::CertStatus;
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use ca_core::usage::ExtendedKeyUsage;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::{IssuerCall, IssuerFault, StoreFault, StoreMethod};
use ca_engine::flow::reconcile::abandon_reservations_before;
use ca_engine::flow::respond::{make_responder, needs_responder};
use ca_engine::port::certificate_issuer::{IssuerError, OrderPurpose};
use ca_engine::port::store::{SerialState, StoreError};
use futures::executor::block_on;

use crate::world::elsewhere::*;
use crate::world::*;

const RESPONDERS: Principal = Principal::Job("responders");

fn make(elsewhere: &Elsewhere) -> Result<(), FlowError> {
    block_on(make_responder(&elsewhere.engine, &RESPONDERS, &id("tls-2"), None))
}

fn needs(elsewhere: &Elsewhere) -> bool {
    needs_responder(&elsewhere.engine, &id("tls-2"), elsewhere.world.now())
}

#[test]
fn its_certificate_is_ordered_for_ocsp_alone_and_answers_at_once() {
    let elsewhere = Elsewhere::new();
    assert!(needs(&elsewhere));
    make(&elsewhere).expect("a responder");
    let made = elsewhere.issuer.made().pop().expect("made");
    assert_eq!(made.purpose, OrderPurpose::OcspResponder);
    let certificate = Certificate::from_der(&made.der).expect("a certificate");
    assert_eq!(certificate.extended_key_usage(), [ExtendedKeyUsage::OCSP_SIGNING]);
    assert!(certificate.ocsp_no_check() && !certificate.is_authority() && certificate.ocsp_urls().is_empty());
    assert!(elsewhere.is_issued() && !needs(&elsewhere));
    // Our answers tell of a revocation from its commit on; the issuer was not told yet.
    let leaf = elsewhere.issued();
    assert_eq!(elsewhere.issuer.made().last().map(|made| made.purpose), Some(OrderPurpose::EndEntity));
    assert_eq!(ask::status(&elsewhere.engine, "tls-2", &leaf.serial), CertStatus::Good);
    elsewhere.revoke(&leaf, RevocationReason::Superseded).expect("revoked");
    assert!(matches!(ask::status(&elsewhere.engine, "tls-2", &leaf.serial), CertStatus::Revoked { .. }));
    assert_eq!(elsewhere.issuer.revoked(), []);
}

#[test]
fn it_is_renewed_at_half_of_its_life() {
    let elsewhere = Elsewhere::new();
    make(&elsewhere).expect("a responder");
    elsewhere.world.clock.advance(Lifetime::from_days(3));
    assert!(!needs(&elsewhere));
    elsewhere.world.clock.advance(DAY);
    assert!(needs(&elsewhere));
    make(&elsewhere).expect("the next");
    assert!(!needs(&elsewhere));
    assert_eq!(elsewhere.issuer.made().len(), 2);
}

#[test]
fn where_its_issuer_has_its_own_list_a_certificate_may_say_so() {
    let elsewhere = Elsewhere::new();
    elsewhere.issuer.script(IssuerCall::Order, IssuerFault::NamesItsList);
    make(&elsewhere).expect("a responder");
    let made = elsewhere.issuer.made().pop().expect("made");
    assert_eq!(Certificate::from_der(&made.der).expect("a certificate").crl_urls().len(), 1);
}

#[test]
fn one_that_is_not_what_was_asked_for_answers_nothing_and_is_revoked_where_it_was_made() {
    let elsewhere = Elsewhere::new();
    elsewhere.issuer.script(IssuerCall::Order, IssuerFault::Another);
    assert_eq!(refused(make(&elsewhere)), Kind::InternalError);
    assert!(needs(&elsewhere) && elsewhere.is_abandoned());
    assert_eq!(elsewhere.pass_on(), Ok(1));
    make(&elsewhere).expect("the next try");
    assert!(!needs(&elsewhere));
}

#[test]
fn while_an_issuer_is_silent_no_second_is_ordered() {
    let elsewhere = Elsewhere::new();
    elsewhere.issuer.hold_back(3);
    for _ in 0..5 {
        assert_eq!(refused(make(&elsewhere)), Kind::Unavailable);
        elsewhere.world.clock.advance(Lifetime::from_seconds(60));
    }
    assert_eq!((elsewhere.issuer.made().len(), needs(&elsewhere)), (1, true));
    make(&elsewhere).expect("the one that was ordered");
    assert_eq!((elsewhere.issuer.made().len(), needs(&elsewhere), elsewhere.open()), (1, false, 0));
}

#[test]
fn one_that_the_job_of_issuances_settles_is_taken_up() {
    let elsewhere = Elsewhere::new();
    elsewhere.issuer.hold_back(1);
    assert_eq!(refused(make(&elsewhere)), Kind::Unavailable);
    assert_eq!(elsewhere.settle().completed, 1);
    block_on(elsewhere.engine.reload_hierarchy()).expect("read");
    assert!(!needs(&elsewhere));
    make(&elsewhere).expect("asked for in vain, and harmless");
}

#[test]
fn wherever_a_process_dies_the_next_has_a_responder_and_none_is_unaccounted_for() {
    for pause in [SECOND, Lifetime::from_seconds(600)] {
        for polls in 0.. {
            let mut elsewhere = Elsewhere::new();
            let authority = id("tls-2");
            let making = make_responder(&elsewhere.engine, &RESPONDERS, &authority, None);
            let done = cut_off(Box::pin(making), polls).is_some();
            elsewhere.world.clock.advance(pause);
            elsewhere.restart();
            let (case, before) = ((pause, polls), elsewhere.world.now());
            block_on(abandon_reservations_before(&elsewhere.engine, &JOB, before)).expect("closed");
            // The job tries each minute; what may be under way is waited for.
            for _ in 0..4 {
                if needs(&elsewhere) && make(&elsewhere).is_err() {
                    elsewhere.world.clock.advance(Lifetime::from_seconds(60));
                }
            }
            assert!(!needs(&elsewhere), "{case:?}");
            assert_eq!(elsewhere.open(), 0, "{case:?}");
            // Of each that was made the record knows, or the event has the id that it was ordered by.
            let lost = elsewhere.standing().iter().filter(|state| state.is_none()).count();
            let told = elsewhere.causes().iter().filter(|cause| *cause == "unknown-at-issuer").count();
            assert!(lost <= told && lost <= 1, "{case:?}: {:?}", elsewhere.standing());
            assert!(pause != SECOND || lost == 0, "{case:?}: it was asked again by the same id");
            let leaf = elsewhere.issued();
            assert_eq!(ask::status(&elsewhere.engine, "tls-2", &leaf.serial), CertStatus::Good, "{case:?}");
            if done {
                assert!(polls > 10, "every step was cut off");
                break;
            }
        }
    }
}

#[test]
fn whatever_of_the_record_fails_the_next_try_succeeds() {
    let faults = [
        StoreFault::BeforeCommit(StoreError::Unavailable { detail: "test".to_owned() }),
        StoreFault::AcknowledgementLost,
    ];
    let methods = [
        StoreMethod::AddKey,
        StoreMethod::Reserve,
        StoreMethod::IntendUpstream,
        StoreMethod::NameUpstream,
        StoreMethod::AdoptSerial,
        StoreMethod::Complete,
        StoreMethod::AddResponder,
        StoreMethod::Responders,
    ];
    for (fault, method) in faults.iter().flat_map(|fault| methods.map(|method| (fault, method))) {
        let elsewhere = Elsewhere::new();
        elsewhere.world.store.fail_next(method, fault.clone());
        let _ = make(&elsewhere);
        for _ in 0..4 {
            elsewhere.world.clock.advance(Lifetime::from_seconds(60));
            let now = elsewhere.world.now();
            block_on(abandon_reservations_before(&elsewhere.engine, &JOB, now)).expect("closed");
            if needs(&elsewhere) {
                let _ = make(&elsewhere);
            }
        }
        assert!(!needs(&elsewhere), "{method:?} {fault:?}");
        assert_eq!(elsewhere.open(), 0, "{method:?} {fault:?}");
        let standing = elsewhere.standing();
        assert!(standing.iter().all(Option::is_some), "{method:?} {fault:?}: {standing:?}");
        assert!(standing.iter().any(|state| matches!(state, Some(SerialState::Issued(_)))), "{method:?} {fault:?}");
    }
}

#[test]
fn an_issuer_that_refuses_leaves_the_old_one_to_answer() {
    let elsewhere = Elsewhere::new();
    make(&elsewhere).expect("a responder");
    let leaf = elsewhere.issued();
    elsewhere.world.clock.advance(Lifetime::from_days(5));
    let refusal = IssuerError::Refused { detail: "InvalidStateException".to_owned() };
    elsewhere.issuer.script(IssuerCall::Order, IssuerFault::Before(refusal));
    assert_eq!(refused(make(&elsewhere)), Kind::AuthorityCannotSign);
    assert_eq!(ask::status(&elsewhere.engine, "tls-2", &leaf.serial), CertStatus::Good);
    assert_eq!(elsewhere.open(), 0);
}
