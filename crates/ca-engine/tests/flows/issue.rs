//! Issuing: what each numbered step refuses, what a certificate says, and idempotency.

use ca_core::audit::AuditAction;
use ca_core::ocsp::CertStatus;
use ca_core::principal::{Principal, Role};
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::{ScriptedAuthorizer, StoreMethod};
use ca_engine::flow::issue::{IssueRequest, issue};
use ca_engine::flow::revoke::{RevokeRequest, revoke};
use ca_engine::port::authorizer::Action;
use futures::executor::block_on;

use crate::fault::{after, interleave};
use crate::world::ask::{parsed, verified_chain};
use crate::world::*;

#[test]
fn issues_what_was_asked_for_and_records_it_once() {
    let world = World::new();
    let events = world.store.events().len();
    let stored = world.issue();
    let certificate = parsed(&world, &stored);
    assert_eq!(certificate.names(), [name("dns:api.example.com")]);
    assert_eq!(certificate.subject(), &dn("CN=api.example.com"));
    assert_eq!(certificate.crl_urls(), ["http://pki.example.org/crl/tls.crl"]);
    assert_eq!(certificate.ocsp_urls(), ["http://pki.example.org/ocsp"]);
    assert_eq!(certificate.ca_issuers_urls(), ["http://pki.example.org/ca/tls.crt"]);
    assert_eq!((stored.owner.as_str(), stored.requested_by.as_str()), ("local", "local"));
    assert_eq!(world.status("tls", &stored.serial), CertStatus::Good);
    let events = &world.store.events()[events..];
    assert_eq!(events.iter().map(|event| event.action).collect::<Vec<_>>(), [AuditAction::CertificateIssued]);
    assert_eq!(events[0].request_id.as_deref(), Some("request-1"));
    let message = world.store.outbox().pop().expect("a message");
    assert_eq!((message.topic, message.certificate), ("certificate.issued", Some(stored.id)));
    verified_chain(&world, &stored);
}

#[test]
fn reserves_before_it_signs_and_completes_after() {
    let world = World::new();
    let before = world.store.calls().len();
    world.issue();
    // That the key was used in between, the witness has seen: it signs nothing that is not on record.
    assert_eq!(world.store.calls()[before..], [StoreMethod::Reserve, StoreMethod::Complete]);
}

#[test]
fn backdates_by_five_minutes_and_counts_the_lifetime_from_now() {
    let world = World::new();
    // An issuer's certificate begins five minutes before it was made, so let it grow older.
    world.clock.advance(HOUR);
    let validity = world.issue().validity;
    assert_eq!(validity.not_before, world.now().minus(Lifetime::from_seconds(300)));
    assert_eq!(validity.not_after, world.now().plus(Lifetime::from_days(90)));
}

#[test]
fn draws_a_new_serial_for_every_certificate() {
    let world = World::new();
    let mut serials: Vec<_> = (0..50).map(|_| world.issue().serial).collect();
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 50);
    assert!(serials.iter().all(|serial| serial.as_bytes().len() == 16));
}

#[test]
fn refuses_an_unknown_profile_and_names_those_there_are() {
    let world = World::new();
    let request = IssueRequest { profile: "wizard".parse().expect("a name"), ..server(csr(&key())) };
    let error = world.ask(request).expect_err("no such profile");
    assert_eq!(error.kind, Kind::UnknownProfile);
    assert!(error.message.contains("client, document, server"), "{}", error.message);
    assert!(!error.message.contains("operator"), "internal profiles are not on offer");
}

#[test]
fn tells_every_violation_of_a_profile_at_once() {
    let world = World::new();
    let before = world.store.serials();
    let request = IssueRequest {
        names: names(&["email:ana@example.com", "uri:ftp://example.com/"]),
        validity: Some(Lifetime::from_days(4_000)),
        ..server(csr(&key()))
    };
    let found = codes(world.ask(request));
    assert_eq!(found, ["name-kind-not-allowed", "uri-scheme-not-allowed", "validity-too-long"]);
    assert_eq!(world.store.serials(), before, "nothing was begun");
}

#[test]
fn refuses_a_wildcard_where_the_profile_forbids_it() {
    let world = World::new();
    let request = IssueRequest {
        profile: "client".parse().expect("a name"),
        names: names(&["dns:*.example.com"]),
        ..server(csr(&key()))
    };
    let error = world.ask(request).expect_err("a wildcard");
    // The only thing that is wrong is the message, and is not said twice.
    assert_eq!((error.faults[0].code.as_str(), &error.faults[0].message), ("wildcard-not-allowed", &error.message));
    assert_eq!(error.to_string(), error.message);
}

#[test]
fn refuses_internal_profiles_to_whoever_comes_through_the_api() {
    let world = World::new();
    let administrator = holder(&world.issue(), &[Role::Administrator]);
    for profile in ["operator", "subordinate", "ocsp-responder", "api-server", "root"] {
        let request = IssueRequest { profile: profile.parse().expect("a name"), ..server(csr(&key())) };
        let found = codes(world.ask_as(&administrator, request));
        assert!(found.contains(&"profile-internal".to_owned()), "{profile}: {found:?}");
    }
}

#[test]
fn refuses_the_api_s_own_names_as_a_server_certificate() {
    let world = World::new();
    let registrar = holder(&world.issue(), &[Role::Registrar]);
    let request = IssueRequest { names: names(&["dns:CA.example.org"]), ..server(csr(&key())) };
    assert_eq!(codes(world.ask_as(&registrar, request)), ["name-reserved"]);
    let request = IssueRequest { subject: Some(dn("CN=ca.example.org")), ..server(csr(&key())) };
    assert_eq!(codes(world.ask_as(&registrar, request)), ["name-reserved"]);
}

#[test]
fn a_common_name_gives_no_role_and_no_profile() {
    let world = World::new();
    let request = IssueRequest { subject: Some(dn("CN=administrator")), ..server(csr(&key())) };
    let stored = world.ask(request).expect("a name like any other");
    assert_eq!(block_on(world.store().roles(stored.id)), Ok(vec![]));
    let request = server(csr(&key()));
    assert_eq!(refused(world.ask_as(&holder(&stored, &[]), request)), Kind::AccessDenied);
}

#[test]
fn asks_the_access_policy_with_the_very_names_it_would_certify() {
    let asked = ScriptedAuthorizer::by(|question| {
        let resource = format!("{:?}", question.resource);
        question.action == Action::IssueCertificate && resource.contains("mail.example.com")
    });
    let world = World::of(Parts { authorizer: asked.clone(), ..Parts::default() });
    // The names of the CSR stand in where the request has none.
    let from_csr = |dns: &str| IssueRequest {
        names: None,
        subject: None,
        ..server(spki_request(&key(), "x.example.com", &[dns]))
    };
    world.ask(from_csr("mail.example.com")).expect("allowed");
    assert_eq!(refused(world.ask(from_csr("other.example.com"))), Kind::AccessDenied);
    assert_eq!(asked.asked().len(), 2);
}

#[test]
fn tells_the_anonymous_to_authenticate_and_others_that_they_may_not() {
    let world = World::of(Parts { authorizer: ScriptedAuthorizer::deny_all(), ..Parts::default() });
    let before = world.store.serials();
    assert_eq!(refused(world.ask_as(&Principal::Anonymous, server(csr(&key())))), Kind::AuthenticationRequired);
    assert_eq!(refused(world.ask(server(csr(&key())))), Kind::AccessDenied);
    assert_eq!(world.store.serials(), before, "nothing was begun");
}

#[test]
fn a_default_lifetime_is_cut_at_the_issuer_s_end_and_an_explicit_one_refused() {
    let world = World::new();
    let end = world.engine.authority(&id("tls")).expect("tls").facts().validity.not_after;
    world.clock.set(end.minus(Lifetime::from_days(30)));
    assert_eq!(world.issue().validity.not_after, end, "a child never outlives its issuer");
    let request = IssueRequest { validity: Some(Lifetime::from_days(31)), ..server(csr(&key())) };
    assert_eq!(codes(world.ask(request)), ["validity-beyond-issuer"]);
    let request = IssueRequest { validity: Some(Lifetime::from_days(30)), ..server(csr(&key())) };
    assert_eq!(world.ask(request).expect("to the very end").validity.not_after, end);
}

#[test]
fn refuses_before_the_issuer_begins_and_after_it_has_ended() {
    let world = World::new();
    let validity = world.engine.authority(&id("tls")).expect("tls").facts().validity;
    world.clock.set(validity.not_after.plus(SECOND));
    assert_eq!(refused(world.ask(server(csr(&key())))), Kind::AuthorityCannotSign);
    world.clock.set(validity.not_before.minus(SECOND));
    // The list of the authority was made five minutes later: the clock was set back.
    assert_eq!(refused(world.ask(server(csr(&key())))), Kind::SigningSuspended);
}

#[test]
fn refuses_a_blocked_key() {
    let world = World::new();
    let key = key();
    let stored = world.issue_for(&key);
    world.revoke(stored.id, RevocationReason::KeyCompromise).expect("revoked");
    assert_eq!(refused(world.ask(server(csr(&key)))), Kind::KeyBlocked);
}

#[test]
fn refuses_when_randomness_fails() {
    let world = World::new();
    world.entropy.break_down();
    let before = world.store.calls().len();
    assert_eq!(refused(world.ask(server(csr(&key())))), Kind::Unavailable);
    assert_eq!(world.store.calls().len(), before, "nothing was begun");
    world.entropy.repair();
    world.issue();
}

#[test]
fn an_authority_whose_own_certificate_is_revoked_issues_no_more() {
    let world = World::new();
    let own = world.engine.authority(&id("tls")).expect("tls").record().certificate;
    world.revoke(own, RevocationReason::CessationOfOperation).expect("revoked");
    assert_eq!(refused(world.ask(server(csr(&key())))), Kind::AuthorityCannotSign);
    world.publish("tls").expect("its lists go on: what it issued is still asked about");
}

#[test]
fn the_newest_generation_of_an_authority_issues() {
    let world = World::new();
    world.lend_root();
    world.establish("tls-2", Some("root"));
    world.establish("tls-10", Some("root"));
    world.establish("tls-internal", Some("root"));
    assert_eq!(world.issue().authority, id("tls-10"));
    let own = world.engine.authority(&id("tls-10")).expect("tls-10").record().certificate;
    world.revoke(own, RevocationReason::CertificateHold).expect("held");
    assert_eq!(world.issue().authority, id("tls-2"), "one that is held does not issue");
}

#[test]
fn the_same_idempotency_key_gives_the_same_certificate() {
    let world = World::new();
    let request = IssueRequest { idempotency_key: Some("a".to_owned()), ..server(csr(&key())) };
    let first = block_on(issue(&world.engine, &Principal::LocalOperator, request.clone())).expect("issued");
    let events = world.store.events().len();
    let again = block_on(issue(&world.restarted(), &Principal::LocalOperator, request.clone())).expect("replayed");
    assert_eq!((first.replayed, again.replayed), (false, true));
    assert_eq!(first.certificate, again.certificate);
    assert_eq!(world.store.events().len(), events, "a replay changes nothing");
    // Within its scope only, and for a day.
    let registrar = holder(&first.certificate, &[Role::Registrar]);
    assert_ne!(world.ask_as(&registrar, request.clone()).expect("another principal's key").id, first.certificate.id);
    world.clock.advance(DAY);
    assert_ne!(world.ask(request).expect("the key is forgotten").id, first.certificate.id);
}

#[test]
fn an_idempotency_key_with_another_request_is_a_conflict() {
    let world = World::new();
    let key = key();
    let request = IssueRequest { idempotency_key: Some("a".to_owned()), ..server(csr(&key)) };
    world.ask(request.clone()).expect("issued");
    let others = [
        IssueRequest { validity: Some(DAY), ..request.clone() },
        IssueRequest { names: names(&["dns:b.example.com"]), ..request.clone() },
        IssueRequest { subject: None, ..request.clone() },
        IssueRequest { subject: Some(dn("")), ..request.clone() },
        IssueRequest { profile: "client".parse().expect("a name"), ..request.clone() },
        IssueRequest { csr: csr(&crate::world::key()), ..request.clone() },
    ];
    for other in others {
        assert_eq!(refused(world.ask(other)), Kind::IdempotencyConflict);
    }
    assert_eq!(world.ask(IssueRequest { request_id: None, ..request.clone() }), world.ask(request));
}

#[test]
fn the_same_request_twice_at_once_is_answered_once() {
    let world = World::new();
    let request = IssueRequest { idempotency_key: Some("a".to_owned()), ..server(csr(&key())) };
    let before = world.all_of("tls").len();
    let local = Principal::LocalOperator;
    let (first, second) = block_on(futures::future::join(
        issue(&world.engine, &local, request.clone()),
        issue(&world.engine, &local, request.clone()),
    ));
    let first = first.expect("one of them");
    let error = second.expect_err("the other is told to come again");
    assert_eq!(error.kind, Kind::RequestInProgress);
    assert!(error.retry_after.is_some());
    assert_eq!(world.ask(request).expect("then it has the same answer"), first.certificate);
    assert_eq!(world.all_of("tls").len(), before + 1);
}

#[test]
fn a_key_blocked_while_its_certificate_is_made_is_not_certified() {
    let world = World::new();
    let key = key();
    let stored = world.issue_for(&key);
    let local = Principal::LocalOperator;
    let request = RevokeRequest {
        certificate: stored.id,
        reason: RevocationReason::KeyCompromise,
        invalidity_date: None,
        request_id: None,
    };
    // A call each in turn: look |, list the key's certificates | reserve, list the successors | sign, revoke | complete.
    let (revoked, issued) =
        interleave(revoke(&world.engine, &local, &request), after(1, issue(&world.engine, &local, server(csr(&key)))));
    revoked.expect("revoked");
    assert_eq!(refused(issued), Kind::KeyBlocked);
    let of_key = world.all_of("tls").into_iter().filter(|other| other.spki_sha256 == stored.spki_sha256);
    assert_eq!(of_key.count(), 1, "nothing but the revoked one is on record");
    assert_eq!(world.open_reservations(), 0);
    let last = world.store.events().pop().expect("an event");
    assert_eq!(last.action, AuditAction::IssuanceAbandoned);
}
