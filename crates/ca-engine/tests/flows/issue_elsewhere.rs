//! Issuances by an issuer elsewhere: its serial, its answers that are lost or wrong, a process that dies at every step of the way;
//! and that it is told of revocations.

use ca_core::audit::AuditAction;
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::{IssuerCall, IssuerFault, StoreFault, StoreMethod};
use ca_engine::flow::issuance::elsewhere::{SETTLED_AFTER, SettledElsewhere, settle};
use ca_engine::flow::issue::{IssueRequest, issue};
use ca_engine::flow::pass_on_revocations::{pass_on_revocations, revocations_to_pass_on};
use ca_engine::flow::query::CertificateName;
use ca_engine::flow::reconcile::abandon_reservations_before;
use ca_engine::flow::renew::{RenewRequest, renew};
use ca_engine::port::certificate_issuer::IssuerError;
use ca_engine::port::store::{SerialState, StoreError};
use futures::executor::block_on;

use crate::world::elsewhere::*;
use crate::world::*;

#[test]
fn a_certificate_has_the_serial_that_its_issuer_chose() {
    let elsewhere = Elsewhere::new();
    let certificate = elsewhere.issued();
    let made = elsewhere.issuer.made().pop().expect("made");
    assert_eq!((&certificate.serial, &certificate.der), (&made.serial, &made.der));
    assert_eq!((certificate.id, certificate.authority.as_str()), (made.id, "tls-2"));
    assert!(elsewhere.is_issued());
    assert!(elsewhere.world.store.serials().iter().all(|(_, serial)| !serial.is_provisional()));
    let event = elsewhere.world.store.events().pop().expect("an event");
    assert_eq!((event.action, &event.details["serial"]), (AuditAction::CertificateIssued, &made.serial.to_string()));
    assert_eq!((elsewhere.open(), elsewhere.settle()), (0, SettledElsewhere::default()));
    assert!(elsewhere.world.store.tables(|record| record.upstream.is_empty()), "what is settled is forgotten");
}

#[test]
fn wherever_a_process_dies_one_certificate_is_on_record_and_none_is_unaccounted_for() {
    for pause in [SECOND, Lifetime::from_seconds(600)] {
        for polls in 0.. {
            let mut elsewhere = Elsewhere::new();
            let request = IssueRequest { idempotency_key: Some("once".to_owned()), ..server(csr(&key())) };
            let done = cut_off(Box::pin(issue(&elsewhere.engine, &LOCAL, request.clone())), polls).is_some();
            elsewhere.world.clock.advance(pause);
            elsewhere.restart();
            // As a start does: first what never reached an issuer, then what did.
            let before = elsewhere.world.now();
            block_on(abandon_reservations_before(&elsewhere.engine, &JOB, before)).expect("closed");
            elsewhere.settle();
            let (made, causes, case) = (elsewhere.issuer.made().len(), elsewhere.causes(), (pause, polls));
            assert_eq!(elsewhere.open(), 0, "{case:?}");
            assert!(made <= 1, "{case:?}: an order was placed twice");
            if made == 1 && !elsewhere.is_issued() {
                // Its name was lost with the process, and the issuer does not remember the order: told, by its id.
                assert_eq!(
                    (pause, &causes[..]),
                    (Lifetime::from_seconds(600), &["unknown-at-issuer".to_owned()][..]),
                    "{case:?}"
                );
            } else {
                // Before the reservation there is nothing to abandon.
                assert!(causes.len() <= 1 - made, "{case:?}: {causes:?}");
            }
            // The client asks again by the same key, and there is one certificate.
            let again = block_on(issue(&elsewhere.engine, &LOCAL, request)).expect("issued or replayed");
            let issued =
                elsewhere.standing().iter().filter(|state| matches!(state, Some(SerialState::Issued(_)))).count();
            assert_eq!(issued, 1, "{case:?}");
            assert_eq!(again.certificate.authority, id("tls-2"), "{case:?}");
            if done {
                assert!(again.replayed && polls > 8, "{case:?}: every step was cut off");
                break;
            }
        }
    }
}

/// Nobody waits for the issuance to be settled: who asks again is given what has a name, and is told to wait for what has none.
#[test]
fn wherever_a_process_dies_who_asks_again_at_once_gets_the_one_certificate_or_waits() {
    let (mut given, mut waited) = (0, 0);
    for polls in 0.. {
        let mut elsewhere = Elsewhere::new();
        let request = IssueRequest { idempotency_key: Some("once".to_owned()), ..server(csr(&key())) };
        let done = cut_off(Box::pin(issue(&elsewhere.engine, &LOCAL, request.clone())), polls).is_some();
        elsewhere.world.clock.advance(SECOND);
        elsewhere.restart();
        let before = elsewhere.world.now();
        block_on(abandon_reservations_before(&elsewhere.engine, &JOB, before)).expect("closed");
        let was_made = !elsewhere.issuer.made().is_empty();
        let ask = || block_on(issue(&elsewhere.engine, &LOCAL, request.clone()));
        match ask() {
            Ok(again) if was_made => {
                assert!(again.replayed && elsewhere.is_issued(), "after {polls} steps");
                given += usize::from(!done);
            }
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind, Kind::RequestInProgress, "after {polls} steps");
                waited += 1;
                elsewhere.world.clock.advance(SETTLED_AFTER);
                elsewhere.settle();
                assert!(ask().expect("settled").replayed, "after {polls} steps");
            }
        }
        assert!(elsewhere.is_issued() && elsewhere.open() == 0, "after {polls} steps");
        assert_eq!(elsewhere.issued_events(), 1, "after {polls} steps");
        if done {
            break;
        }
    }
    assert!(given > 2 && waited > 0, "{given} were given at once, {waited} waited");
}

#[test]
fn who_asks_again_while_it_is_being_made_gets_the_same_certificate() {
    let elsewhere = Elsewhere::new();
    let request = IssueRequest { idempotency_key: Some("once".to_owned()), ..server(csr(&key())) };
    let mut first = Box::pin(issue(&elsewhere.engine, &LOCAL, request.clone()));
    while !elsewhere.issuer.calls().contains(&IssuerCall::Collect) {
        assert!(poll_once(first.as_mut()).is_none(), "it is collected in steps");
    }
    let again = block_on(issue(&elsewhere.engine, &LOCAL, request)).expect("issued").certificate;
    assert_eq!(block_on(first).expect("issued").certificate, again);
    assert!(elsewhere.is_issued() && elsewhere.issued_events() == 1 && elsewhere.open() == 0);
}

#[test]
fn who_asks_again_for_what_is_not_as_it_was_asked_for_is_given_nothing() {
    let elsewhere = Elsewhere::new();
    let request = IssueRequest { idempotency_key: Some("once".to_owned()), ..server(csr(&key())) };
    let ask = || block_on(issue(&elsewhere.engine, &LOCAL, request.clone()));
    elsewhere.issuer.script(IssuerCall::Order, IssuerFault::Another);
    elsewhere.issuer.hold_back(1);
    assert_eq!(refused(ask()), Kind::Unavailable);
    assert_eq!(refused(ask()), Kind::RequestInProgress);
    assert_eq!((elsewhere.open(), elsewhere.causes().len()), (1, 0), "it is settled in its time");
    assert_eq!(elsewhere.settle().abandoned, 1);
    assert!(elsewhere.is_abandoned());
}

#[test]
fn an_order_whose_answer_is_lost_is_placed_again_and_makes_one_certificate() {
    let elsewhere = Elsewhere::new();
    elsewhere.issuer.script(IssuerCall::Order, IssuerFault::AnswerLost);
    elsewhere.issued();
    assert_eq!(elsewhere.issuer.calls(), [IssuerCall::Order, IssuerCall::Order, IssuerCall::Collect]);
    assert!(elsewhere.is_issued());
}

/// A process that stood still would else have a second certificate made by an order whose first answer was lost.
#[test]
fn an_order_is_not_placed_again_when_its_issuer_has_forgotten_it() {
    let elsewhere = Elsewhere::new();
    elsewhere.issuer.script(IssuerCall::Order, IssuerFault::AnswerLost);
    let mut issuing = Box::pin(issue(&elsewhere.engine, &LOCAL, server(csr(&key()))));
    while elsewhere.issuer.made().is_empty() {
        assert!(poll_once(issuing.as_mut()).is_none(), "it waits for its answer");
    }
    elsewhere.world.clock.advance(Lifetime::from_seconds(600));
    assert_eq!(refused(block_on(issuing)), Kind::Unavailable);
    assert_eq!(elsewhere.issuer.calls(), [IssuerCall::Order]);
    assert_eq!(elsewhere.settle(), SettledElsewhere { abandoned: 1, ..SettledElsewhere::default() });
    assert_eq!((elsewhere.issuer.made().len(), elsewhere.causes()), (1, vec!["unknown-at-issuer".to_owned()]));
}

/// Whoever is refused late cannot say that nothing was made: another may have asked by the same id meanwhile.
#[test]
fn a_refusal_that_comes_late_leaves_the_issuance_to_be_settled() {
    let elsewhere = Elsewhere::new();
    elsewhere.issuer.script(IssuerCall::Order, IssuerFault::Before(unavailable()));
    let mut issuing = Box::pin(issue(&elsewhere.engine, &LOCAL, server(csr(&key()))));
    while elsewhere.issuer.calls().is_empty() {
        elsewhere.world.clock.advance(SECOND);
        assert!(poll_once(issuing.as_mut()).is_none(), "it waits for its answer");
        if elsewhere.open() == 1 {
            elsewhere.world.clock.advance(Lifetime::from_seconds(40));
        }
    }
    assert_eq!(refused(block_on(issuing)), Kind::Unavailable);
    assert_eq!((elsewhere.open(), elsewhere.causes().len()), (1, 0));
    assert_eq!(elsewhere.settle().completed, 1);
    assert!(elsewhere.is_issued());
}

#[test]
fn an_issuer_that_does_not_answer_leaves_the_issuance_open_until_it_does() {
    let elsewhere = Elsewhere::new();
    let request = IssueRequest { idempotency_key: Some("once".to_owned()), ..server(csr(&key())) };
    for _ in 0..3 {
        elsewhere.issuer.script(IssuerCall::Order, IssuerFault::AnswerLost);
    }
    let ask = || block_on(issue(&elsewhere.engine, &LOCAL, request.clone()));
    assert_eq!(refused(ask()), Kind::Unavailable);
    assert_eq!(refused(ask()), Kind::RequestInProgress, "it may be there: nothing is ordered anew");
    elsewhere.issuer.script(IssuerCall::Order, IssuerFault::Before(unavailable()));
    assert_eq!(elsewhere.settle(), SettledElsewhere { waiting: 1, ..SettledElsewhere::default() });
    assert_eq!(elsewhere.settle(), SettledElsewhere { completed: 1, ..SettledElsewhere::default() });
    assert!(elsewhere.is_issued() && ask().expect("its answer").replayed);
    let event = elsewhere.world.store.events().pop().expect("an event");
    assert_eq!(
        (event.principal.as_str(), event.details["requested_by"].as_str()),
        ("job:issuances-elsewhere", "local")
    );
}

#[test]
fn what_is_not_ready_is_collected_later() {
    let elsewhere = Elsewhere::new();
    elsewhere.issuer.hold_back(2);
    assert_eq!(refused(elsewhere.issue()), Kind::Unavailable);
    // Long after the issuer has forgotten the order: its name is on record.
    elsewhere.world.clock.advance(HOUR);
    assert_eq!(elsewhere.settle().waiting, 1);
    assert_eq!(elsewhere.settle().completed, 1);
    assert!(elsewhere.is_issued());
}

#[test]
fn what_was_refused_is_given_up_at_once() {
    let elsewhere = Elsewhere::new();
    let refusal = IssuerError::Refused { detail: "MalformedCSRException".to_owned() };
    let busy = IssuerError::Busy { detail: "ThrottlingException".to_owned(), retry_after: Some(SECOND) };
    for (fault, kind) in
        [(refusal, Kind::AuthorityCannotSign), (busy, Kind::Overloaded), (unavailable(), Kind::Unavailable)]
    {
        elsewhere.issuer.script(IssuerCall::Order, IssuerFault::Before(fault));
        assert_eq!(refused(elsewhere.issue()), kind);
    }
    assert_eq!((elsewhere.open(), elsewhere.causes()), (0, vec!["not-issued".to_owned(); 3]));
    assert_eq!(elsewhere.issuer.made(), []);
    elsewhere.issued();
}

#[test]
fn what_is_not_as_it_was_asked_for_is_revoked_where_it_was_made() {
    let elsewhere = Elsewhere::new();
    elsewhere.issuer.script(IssuerCall::Order, IssuerFault::Another);
    let error = elsewhere.issue().expect_err("refused");
    assert_eq!(error.kind, Kind::InternalError);
    assert!(error.detail.as_deref().is_some_and(|detail| detail.contains("notAfter")), "{error:?}");
    assert!(elsewhere.is_abandoned());
    assert_eq!(elsewhere.causes(), ["not-what-was-asked-for"]);
    assert_eq!(elsewhere.pass_on(), Ok(1));
    let made = elsewhere.issuer.made().pop().expect("made");
    assert_eq!(elsewhere.issuer.revoked(), [(made.serial, RevocationReason::Unspecified)]);
}

#[test]
fn what_the_authority_did_not_sign_is_no_certificate_of_it() {
    let elsewhere = Elsewhere::new();
    elsewhere.issuer.script(IssuerCall::Order, IssuerFault::Stranger);
    assert_eq!(refused(elsewhere.issue()), Kind::InternalError);
    assert_eq!((elsewhere.standing(), elsewhere.causes()), (vec![None], vec!["no-certificate".to_owned()]));
    assert_eq!(elsewhere.pass_on(), Ok(0), "a provisional serial is nobody's");
    assert_eq!(elsewhere.issuer.calls().last(), Some(&IssuerCall::Collect));
}

#[test]
fn a_serial_is_given_once() {
    let elsewhere = Elsewhere::new();
    let first = elsewhere.issued();
    elsewhere.issuer.script(IssuerCall::Order, IssuerFault::SerialOfTheLast);
    assert_eq!(refused(elsewhere.issue()), Kind::InternalError);
    assert_eq!(elsewhere.causes(), ["serial-taken"]);
    let stored = block_on(elsewhere.world.store().certificate_by_serial(&first.authority, &first.serial));
    assert_eq!(stored, Ok(Some(first)), "whose it is stays so");
    assert_eq!(elsewhere.pass_on(), Ok(0));
}

#[test]
fn a_record_that_fails_at_any_step_lets_nothing_out_and_loses_nothing() {
    let failing =
        [StoreMethod::IntendUpstream, StoreMethod::NameUpstream, StoreMethod::AdoptSerial, StoreMethod::Complete];
    let unavailable = || StoreFault::BeforeCommit(StoreError::Unavailable { detail: "by the test".to_owned() });
    for method in failing {
        let elsewhere = Elsewhere::new();
        // Both attempts, where there are two.
        elsewhere.world.store.fail_nth(method, 1, unavailable());
        elsewhere.world.store.fail_nth(method, 2, unavailable());
        assert_eq!(refused(elsewhere.issue()), Kind::Unavailable, "{method:?}");
        elsewhere.settle_after_faults();
        let made = elsewhere.issuer.made().len();
        let standing = elsewhere.standing();
        assert!(standing.iter().all(Option::is_some) && standing.len() == made, "{method:?}: {standing:?}");
        assert_eq!(elsewhere.open(), 0, "{method:?}");
        // A fault that nothing has met yet.
        let _struck = elsewhere.issue();
        elsewhere.settle_after_faults();
        elsewhere.issued();
    }
    for method in failing {
        let elsewhere = Elsewhere::new();
        elsewhere.world.store.fail_next(method, StoreFault::AcknowledgementLost);
        let outcome = elsewhere.issue();
        elsewhere.settle_after_faults();
        assert_eq!(elsewhere.open(), 0, "{method:?}");
        let standing = elsewhere.standing();
        assert!(standing.iter().all(Option::is_some), "{method:?}: {standing:?}");
        assert!(outcome.is_err() || elsewhere.is_issued(), "{method:?}");
    }
}

impl Elsewhere {
    /// A fault that is left over strikes first.
    fn settle_after_faults(&self) {
        for _ in 0..3 {
            self.world.clock.advance(SECOND);
            let now = self.world.now();
            let _struck = block_on(settle(&self.engine, &JOB, now));
            let _struck = block_on(abandon_reservations_before(&self.engine, &JOB, now));
        }
    }
}

#[test]
fn who_closes_reservations_leaves_to_their_issuer_what_was_ordered() {
    let elsewhere = Elsewhere::new();
    elsewhere.issuer.hold_back(1);
    assert_eq!(refused(elsewhere.issue()), Kind::Unavailable);
    elsewhere.world.clock.advance(HOUR);
    let closed = block_on(abandon_reservations_before(&elsewhere.engine, &JOB, elsewhere.world.now()));
    assert_eq!(closed, Ok(0));
    assert_eq!(elsewhere.settle().completed, 1);
}

#[test]
fn a_compromised_key_gets_no_certificate_though_it_was_ordered() {
    let elsewhere = Elsewhere::new();
    let key = key();
    let first = block_on(issue(&elsewhere.engine, &LOCAL, server(csr(&key)))).expect("issued").certificate;
    elsewhere.issuer.hold_back(1);
    assert_eq!(refused(block_on(issue(&elsewhere.engine, &LOCAL, server(csr(&key))))), Kind::Unavailable);
    elsewhere.revoke(&first, RevocationReason::KeyCompromise).expect("revoked");
    assert_eq!(elsewhere.settle().abandoned, 1);
    assert_eq!(elsewhere.causes(), ["key-blocked"]);
    assert_eq!(elsewhere.pass_on(), Ok(2));
    let serials: Vec<_> = elsewhere.issuer.made().into_iter().map(|made| made.serial).collect();
    let revoked: Vec<_> = elsewhere.issuer.revoked().into_iter().map(|(serial, _)| serial).collect();
    assert_eq!(revoked, serials);
}

#[test]
fn a_certificate_of_personal_data_whose_request_is_lost_is_revoked_where_it_was_made() {
    let elsewhere = Elsewhere::of("document");
    let document = IssueRequest {
        profile: "document".parse().expect("a profile"),
        subject: Some(dn("CN=Maria")),
        names: names(&["email:maria@example.org"]),
        ..server(csr(&key()))
    };
    let ask = || block_on(issue(&elsewhere.engine, &LOCAL, document.clone()));
    assert_eq!(ask().expect("issued").certificate.authority, id("document-2"));
    elsewhere.issuer.hold_back(1);
    assert_eq!(refused(ask()), Kind::Unavailable);
    let open = block_on(elsewhere.world.store().open_upstream(elsewhere.world.now().plus(DAY), None)).expect("answers");
    assert_eq!((open.len(), open[0].order.is_none()), (1, true), "no CSR is on record");
    assert_eq!(elsewhere.settle().abandoned, 1);
    assert_eq!(elsewhere.causes(), ["found-open"]);
    assert_eq!(block_on(pass_on_revocations(&elsewhere.engine, &id("document-2"))), Ok(1));
    let made = elsewhere.issuer.made().pop().expect("made");
    assert_eq!(elsewhere.issuer.revoked(), [(made.serial, RevocationReason::Unspecified)]);
}

#[test]
fn a_renewal_needs_a_csr() {
    let elsewhere = Elsewhere::new();
    let certificate = elsewhere.issued();
    elsewhere.world.clock.advance(Lifetime::from_days(60));
    let request = |csr| RenewRequest {
        certificate: CertificateName::Id(certificate.id),
        csr,
        validity: None,
        idempotency_key: None,
        request_id: None,
    };
    assert_eq!(codes(block_on(renew(&elsewhere.engine, &LOCAL, request(None)))), ["csr-needed"]);
    assert_eq!(elsewhere.open(), 0);
    let renewed = block_on(renew(&elsewhere.engine, &LOCAL, request(Some(csr(&key()))))).expect("renewed");
    assert_eq!(renewed.certificate.renews, Some(certificate.id));
}

#[test]
fn revocations_are_passed_on_in_order_and_once() {
    let elsewhere = Elsewhere::new();
    let (first, second) = (elsewhere.issued(), elsewhere.issued());
    elsewhere.revoke(&first, RevocationReason::Superseded).expect("revoked");
    elsewhere.revoke(&second, RevocationReason::KeyCompromise).expect("revoked");
    assert_eq!(block_on(revocations_to_pass_on(&elsewhere.engine, &id("tls-2"))), Ok(2));
    elsewhere.issuer.script(IssuerCall::Revoke, IssuerFault::AnswerLost);
    assert_eq!(refused(elsewhere.pass_on()), Kind::Unavailable, "it is told again");
    elsewhere.issuer.script(IssuerCall::Revoke, IssuerFault::Before(unavailable()));
    assert_eq!(refused(elsewhere.pass_on()), Kind::Unavailable);
    assert_eq!(elsewhere.pass_on(), Ok(2));
    let expected = [(first.serial, RevocationReason::Superseded), (second.serial, RevocationReason::KeyCompromise)];
    assert_eq!(elsewhere.issuer.revoked(), expected);
    let calls = elsewhere.issuer.calls().len();
    assert_eq!((elsewhere.pass_on(), elsewhere.issuer.calls().len()), (Ok(0), calls));
    assert_eq!(block_on(revocations_to_pass_on(&elsewhere.engine, &id("tls-2"))), Ok(0));
}

#[test]
fn one_revocation_that_an_issuer_never_takes_does_not_keep_back_the_next() {
    let elsewhere = Elsewhere::new();
    let (first, second) = (elsewhere.issued(), elsewhere.issued());
    elsewhere.revoke(&first, RevocationReason::Superseded).expect("revoked");
    elsewhere.revoke(&second, RevocationReason::Superseded).expect("revoked");
    let refusal = IssuerError::Refused { detail: "ResourceNotFoundException".to_owned() };
    elsewhere.issuer.script(IssuerCall::Revoke, IssuerFault::Before(refusal));
    assert_eq!(elsewhere.pass_on(), Ok(1));
    assert_eq!(elsewhere.issuer.revoked(), [(second.serial, RevocationReason::Superseded)]);
}

#[test]
fn what_is_signed_here_is_passed_on_to_nobody() {
    let elsewhere = Elsewhere::of("document");
    let here = elsewhere.world.issue();
    elsewhere.world.revoke(here.id, RevocationReason::Superseded).expect("revoked");
    assert_eq!(block_on(pass_on_revocations(&elsewhere.engine, &id("tls"))), Ok(0));
    assert_eq!(block_on(pass_on_revocations(&elsewhere.engine, &id("document-2"))), Ok(0));
    assert_eq!(elsewhere.issuer.calls(), []);
}

#[test]
fn an_issuer_elsewhere_knows_no_hold() {
    let elsewhere = Elsewhere::new();
    let certificate = elsewhere.issued();
    assert_eq!(codes(elsewhere.revoke(&certificate, RevocationReason::CertificateHold)), ["hold-not-offered"]);
    assert!(elsewhere.is_issued());
    elsewhere.revoke(&certificate, RevocationReason::Superseded).expect("for good");
}
