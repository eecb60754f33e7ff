//! The audit trail: one event for each change, a chain that shows what was changed or lost, and nothing personal in it.

use ca_core::audit::{AuditAction, ChainFault};
use ca_core::principal::{Principal, Role};
use ca_core::revocation::RevocationReason;
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::{StoreFault, StoreMethod};
use ca_engine::flow::issue::IssueRequest;
use ca_engine::flow::query::audit_events;
use ca_engine::flow::revoke::unhold;
use ca_engine::flow::role::{grant_role, withdraw_role_from_all};
use ca_engine::flow::sequence_audit::{ChainReport, sequence_audit, verify_chain};
use ca_engine::flow::token::{TokenRequest, create_token, delete_token};
use ca_engine::port::store::{EventFilter, Lease, StoreError};
use futures::executor::block_on;

use crate::world::*;

fn lease(world: &World, holder: &str) -> Lease {
    block_on(world.store().acquire_lease("audit-chain", holder, SECOND)).expect("a record").expect("free")
}

fn sequence(world: &World) -> u64 {
    block_on(sequence_audit(&world.engine, &lease(world, "test"))).expect("chained")
}

fn verify(world: &World) -> ChainReport {
    block_on(verify_chain(&world.engine, |_| {})).expect("the record is readable")
}

#[test]
fn every_change_of_state_has_one_event() {
    let world = World::new();
    let local = Principal::LocalOperator;
    let mut seen = world.store.events().len();
    let mut told = |world: &World, expected: &[AuditAction]| {
        let events = world.store.events();
        let new: Vec<_> = events[seen..].iter().map(|event| event.action).collect();
        assert_eq!(new, expected);
        seen = events.len();
    };
    let stored = world.issue();
    told(&world, &[AuditAction::CertificateIssued]);
    world.renew(&local, &stored).expect("renewed");
    told(&world, &[AuditAction::CertificateRenewed]);
    world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
    told(&world, &[AuditAction::CertificateRevoked]);
    block_on(unhold(&world.engine, &local, stored.id, None)).expect("released");
    told(&world, &[AuditAction::CertificateReleased]);
    world.publish("tls").expect("a list");
    told(&world, &[AuditAction::CrlPublished]);
    world.renew_responder("tls");
    told(&world, &[AuditAction::ResponderIssued]);
    block_on(grant_role(&world.engine, &local, stored.id, Role::Auditor)).expect("granted");
    told(&world, &[AuditAction::RoleGranted]);
    block_on(withdraw_role_from_all(&world.engine, &local, Role::Auditor)).expect("withdrawn");
    told(&world, &[AuditAction::RoleWithdrawn]);
    let token = TokenRequest {
        profile: "server".parse().expect("a name"),
        names: names(&["dns:a.example.com"]).expect("names"),
        common_name: None,
        lifetime: HOUR,
        uses: 1,
        request_id: None,
    };
    let (record, _) = block_on(create_token(&world.engine, &local, token)).expect("a token");
    told(&world, &[AuditAction::TokenCreated]);
    block_on(delete_token(&world.engine, &local, record.id, None)).expect("withdrawn");
    told(&world, &[AuditAction::TokenDeleted]);
    world.begin_and_die();
    told(&world, &[]);
    world.clock.advance(SECOND);
    let abandon = ca_engine::flow::reconcile::abandon_reservations_before;
    block_on(abandon(&world.engine, &Principal::Job("reservations"), world.now())).expect("closed");
    told(&world, &[AuditAction::IssuanceAbandoned]);
    // What was refused, and what was asked again, changes nothing and tells nothing.
    assert_eq!(refused(block_on(unhold(&world.engine, &local, stored.id, None))), Kind::NotHeld);
    told(&world, &[]);
}

#[test]
fn committed_events_get_their_places_and_the_chain_verifies() {
    let world = World::new();
    let events = world.store.events().len() as u64;
    assert_eq!(verify(&world), ChainReport { events: 0, pending: events, fault: None });
    assert_eq!(sequence(&world), events);
    assert_eq!(sequence(&world), 0, "each once");
    world.issue();
    assert_eq!(verify(&world), ChainReport { events, pending: 1, fault: None });
    sequence(&world);
    let mut heard = 0;
    let report = block_on(verify_chain(&world.engine, |followed| heard = followed)).expect("readable");
    assert_eq!(report, ChainReport { events: events + 1, pending: 0, fault: None });
    assert_eq!(heard, events + 1);
}

#[test]
fn an_event_that_was_changed_shows() {
    let world = World::new();
    sequence(&world);
    world.store.forge_event(3, |event| event.principal = "certificate:somebody-else".to_owned());
    let report = verify(&world);
    assert_eq!((report.events, report.fault), (2, Some(ChainFault::Broken { sequence: 3 })));
}

#[test]
fn an_event_that_is_missing_shows_also_at_the_end() {
    let world = World::new();
    let events = sequence(&world);
    world.store.lose_event(events);
    assert_eq!(verify(&world).fault, Some(ChainFault::Gap { expected: events, found: events }));
    world.store.lose_event(2);
    assert_eq!(verify(&world).fault, Some(ChainFault::Gap { expected: 2, found: 3 }));
}

#[test]
fn a_sequencer_that_lost_its_lease_chains_nothing() {
    let world = World::new();
    let stale = lease(&world, "slow");
    world.clock.advance(HOUR);
    lease(&world, "quick");
    assert_eq!(refused(block_on(sequence_audit(&world.engine, &stale))), Kind::Overloaded);
    assert_eq!(verify(&world).events, 0);
}

#[test]
fn whatever_the_record_does_each_event_has_one_place() {
    for method in [StoreMethod::PendingEvents, StoreMethod::ChainHead, StoreMethod::ChainEvents] {
        let down = StoreError::Unavailable { detail: "test".to_owned() };
        for fault in [StoreFault::BeforeCommit(down), StoreFault::AcknowledgementLost] {
            let world = World::new();
            let events = world.store.events().len() as u64;
            world.store.fail_next(method, fault);
            assert_eq!(refused(block_on(sequence_audit(&world.engine, &lease(&world, "test")))), Kind::Unavailable);
            sequence(&world);
            assert_eq!(verify(&world), ChainReport { events, pending: 0, fault: None }, "{method:?}");
        }
    }
}

#[test]
fn reading_events_takes_a_role() {
    let world = World::new();
    sequence(&world);
    let stored = world.issue();
    let all = EventFilter::default();
    let read = |principal: &Principal| block_on(audit_events(&world.engine, principal, 0, &all, 1_000));
    assert_eq!(refused(read(&holder(&stored, &[Role::Registrar]))), Kind::AccessDenied);
    assert_eq!(
        read(&holder(&stored, &[Role::Administrator])).map(|events| events.len()),
        Ok(world.store.events().len() - 1)
    );
}

/// The names and numbers of one person, through every flow that touches them.
#[test]
fn nothing_personal_is_in_events_messages_or_errors_for_the_log() {
    const CPF: &str = "39053344705";
    const NAME: &str = "Ana Maria Braga";
    const EMAIL: &str = "ana.braga@example.com";
    let world = World::new();
    let subject = format!("CN={NAME}:{CPF}");
    let request = || IssueRequest {
        profile: "document".parse().expect("a name"),
        subject: Some(dn(&subject)),
        names: names(&[&format!("email:{EMAIL}"), &format!("otherName:2.16.76.1.3.1={CPF}")]),
        idempotency_key: Some(format!("{NAME} {CPF}")),
        ..server(csr(&key()))
    };
    let stored = world.ask(request()).expect("issued");
    let successor = world.renew(&Principal::LocalOperator, &stored).expect("renewed");
    world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
    block_on(unhold(&world.engine, &Principal::LocalOperator, stored.id, None)).expect("released");
    world.revoke(stored.id, RevocationReason::KeyCompromise).expect("revoked");
    world.publish("document").expect("a list");
    let token = TokenRequest {
        profile: "document".parse().expect("a name"),
        names: names(&[&format!("email:{EMAIL}")]).expect("names"),
        common_name: Some(NAME.to_owned()),
        lifetime: HOUR,
        uses: 1,
        request_id: None,
    };
    let request_text = format!("{token:?}");
    let (record, _) = block_on(create_token(&world.engine, &Principal::LocalOperator, token)).expect("a token");
    world.signer("document").script([ca_engine::fake::SigningStep::Garbage]);
    let errors = [
        world.ask(IssueRequest { idempotency_key: None, ..request() }).expect_err("garbage"),
        world.ask(IssueRequest { names: names(&["dns:*.example.com"]), ..request() }).expect_err("a wildcard"),
        world.ask(request()).expect_err("another key, the same idempotency key"),
        world.renew(&Principal::LocalOperator, &stored).expect_err("revoked"),
    ];
    let mut texts: Vec<String> = world.store.events().iter().map(|event| format!("{event:?}")).collect();
    texts.extend(world.store.outbox().iter().map(|message| format!("{message:?}")));
    texts.extend(errors.iter().map(|error| format!("{:?}", error.detail)));
    let query = ca_engine::port::store::NameQuery::AnyName(NAME.to_owned());
    texts.push(format!("{stored:?} {successor:?} {:?} {request_text} {record:?} {query:?}", request()));
    for text in &texts {
        for personal in [CPF, NAME, EMAIL, "Braga", "ana.braga"] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
        assert!(!text.contains(&hex::encode(CPF)), "in hexadecimal: {text}");
    }
}
