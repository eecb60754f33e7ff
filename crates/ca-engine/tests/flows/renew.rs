//! Renewal: who, when, what, and one live successor.

use ca_core::audit::AuditAction;
use ca_core::ocsp::CertStatus;
use ca_core::principal::{Principal, Role};
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::fake::{FakeClock, StoreFault, StoreMethod};
use ca_engine::flow::issue::IssueRequest;
use ca_engine::flow::query::CertificateName;
use ca_engine::flow::renew::{RenewRequest, renew, renewal_info};
use ca_engine::flow::revoke::{RevokeRequest, revoke};
use ca_engine::flow::role::grant_role;
use ca_engine::port::store::{StoreError, StoredCertificate};
use futures::executor::block_on;

use crate::world::ask::parsed;
use crate::world::*;

/// Half of 90 days, and of the five minutes that `notBefore` lies back.
const HALF: Lifetime = Lifetime::from_seconds(45 * 86_400 - 150);

fn request(predecessor: &StoredCertificate) -> RenewRequest {
    RenewRequest {
        certificate: CertificateName::Id(predecessor.id),
        csr: Some(csr(&key())),
        validity: None,
        idempotency_key: None,
        request_id: None,
    }
}

/// A certificate that its holder may renew now.
fn half_old(world: &World) -> StoredCertificate {
    let stored = world.issue();
    world.clock.advance(HALF);
    stored
}

#[test]
fn a_holder_renews_from_half_of_the_lifetime_on() {
    let world = World::new();
    let predecessor = half_old(&world);
    let successor = world.renew(&holder(&predecessor, &[]), &predecessor).expect("half of its life has passed");
    let certificate = parsed(&world, &successor);
    assert_eq!(certificate.subject(), &predecessor.subject);
    assert_eq!(certificate.names(), predecessor.names);
    assert_eq!(successor.renews, Some(predecessor.id));
    assert_eq!(successor.owner, predecessor.owner, "it is not its own owner");
    assert_eq!(successor.validity.not_after, world.now().plus(Lifetime::from_days(90)));
    assert_ne!(successor.spki_sha256, predecessor.spki_sha256);
    let event = world.store.events().pop().expect("an event");
    assert_eq!(event.action, AuditAction::CertificateRenewed);
    assert_eq!(event.details.get("renews"), Some(&predecessor.id.to_string()));
    assert_eq!(world.store.outbox().pop().expect("a message").topic, "certificate.renewed");
    world.renew_responder("tls");
    assert_eq!(world.status("tls", &predecessor.serial), CertStatus::Good, "the old one stays valid");
}

#[test]
fn a_holder_who_comes_too_early_is_told_when() {
    let world = World::new();
    let stored = world.issue();
    world.clock.advance(HALF.seconds().checked_sub(1).map(Lifetime::from_seconds).expect("some time"));
    let error = world.renew(&holder(&stored, &[]), &stored).expect_err("a second too early");
    assert_eq!((error.kind, error.retry_after), (Kind::RenewalTooEarly, Some(SECOND)));
    world.clock.advance(SECOND);
    world.renew(&holder(&stored, &[]), &stored).expect("now");
}

#[test]
fn a_registrar_renews_at_any_time() {
    let world = World::new();
    let (registrar, stored) = (world.issue(), world.issue());
    world.renew(&holder(&registrar, &[Role::Registrar]), &stored).expect("by its role");
}

#[test]
fn another_holder_learns_nothing() {
    let world = World::new();
    let (stored, other) = (half_old(&world), world.issue());
    let denied = world.renew(&holder(&other, &[]), &stored).expect_err("not its own");
    assert_eq!(denied.kind, Kind::AccessDenied);
    let nobody = StoredCertificate { id: ca_core::id::CertificateId::from_bytes([7; 16]), ..stored };
    assert_eq!(world.renew(&holder(&other, &[]), &nobody), Err(denied), "as if it were not there");
}

#[test]
fn a_certificate_has_one_live_successor() {
    let world = World::new();
    let predecessor = half_old(&world);
    let principal = holder(&predecessor, &[]);
    let successor = world.renew(&principal, &predecessor).expect("the first");
    let error = world.renew(&principal, &predecessor).expect_err("a second");
    assert_eq!(error.kind, Kind::AlreadyRenewed);
    assert!(error.message.contains(&successor.id.to_string()), "{}", error.message);
    world.revoke(successor.id, RevocationReason::CertificateHold).expect("held");
    assert_eq!(refused(world.renew(&principal, &predecessor)), Kind::AlreadyRenewed, "its hold may end");
    world.revoke(successor.id, RevocationReason::Superseded).expect("revoked");
    world.renew(&principal, &predecessor).expect("there is no live one any more");
}

#[test]
fn whoever_asks_again_with_the_key_of_the_successor_gets_it_however_late() {
    let world = World::new();
    let predecessor = half_old(&world);
    let principal = holder(&predecessor, &[]);
    let asked = RenewRequest { idempotency_key: Some("rotation-1".to_owned()), ..request(&predecessor) };
    let first = block_on(renew(&world.engine, &principal, asked.clone())).expect("renewed").certificate;
    // Past the life of the idempotency key, as after a long cut-off.
    world.clock.advance(Lifetime::from_days(2));
    let before = world.store.events().len();
    let again = block_on(renew(&world.engine, &principal, asked.clone())).expect("the same");
    assert_eq!((again.certificate.id, again.replayed), (first.id, true));
    assert_eq!(world.store.events().len(), before, "nothing happened");
    assert_eq!(refused(world.renew(&principal, &predecessor)), Kind::AlreadyRenewed, "another key");
    world.revoke(first.id, RevocationReason::CertificateHold).expect("held");
    assert_eq!(
        refused(block_on(renew(&world.engine, &principal, asked))),
        Kind::AlreadyRenewed,
        "not while it is held"
    );
}

#[test]
fn two_renewals_at_once_give_one_successor() {
    let world = World::new();
    let predecessor = half_old(&world);
    let principal = holder(&predecessor, &[]);
    let (first, second) = block_on(futures::future::join(
        renew(&world.engine, &principal, request(&predecessor)),
        renew(&world.engine, &principal, request(&predecessor)),
    ));
    assert!(first.is_ok());
    assert_eq!(refused(second), Kind::AlreadyRenewed);
    assert_eq!(world.open_reservations(), 0);
}

#[test]
fn a_revoked_or_held_certificate_is_not_renewed() {
    for reason in [RevocationReason::Superseded, RevocationReason::CertificateHold] {
        let world = World::new();
        let stored = half_old(&world);
        world.revoke(stored.id, reason).expect("revoked");
        assert_eq!(refused(world.renew(&Principal::LocalOperator, &stored)), Kind::CertificateRevoked);
    }
}

#[test]
fn a_certificate_revoked_while_it_is_renewed_gets_no_successor() {
    let world = World::new();
    let stored = half_old(&world);
    let local = Principal::LocalOperator;
    let revocation = RevokeRequest {
        certificate: stored.id,
        reason: RevocationReason::Superseded,
        invalidity_date: None,
        request_id: None,
    };
    // Each a call in turn: look, look | reserve, revoke | sign | complete.
    let (renewed, revoked) = block_on(futures::future::join(
        renew(&world.engine, &local, request(&stored)),
        revoke(&world.engine, &local, &revocation),
    ));
    revoked.expect("revoked");
    assert_eq!(refused(renewed), Kind::CertificateRevoked);
    assert_eq!(world.open_reservations(), 0);
}

#[test]
fn an_expired_certificate_is_renewed_only_where_its_profile_says_how_long() {
    let world = World::new();
    let stored = world.issue();
    world.clock.set(stored.validity.not_after.plus(HOUR));
    assert_eq!(refused(world.renew(&Principal::LocalOperator, &stored)), Kind::RenewalTooLate);
    let patient = world.parts().with_profile("server", |text| text.replace("until = \"0s\"", "until = \"1d\""));
    let engine = world.restarted_with(patient);
    block_on(renew(&engine, &Principal::LocalOperator, request(&stored))).expect("within a day");
    world.clock.advance(DAY);
    let late = block_on(renew(&engine, &Principal::LocalOperator, request(&stored)));
    assert_eq!(refused(late), Kind::RenewalTooLate);
}

#[test]
fn today_s_profile_decides_again() {
    let world = World::new();
    let wildcard = IssueRequest { names: names(&["dns:*.example.com"]), subject: None, ..server(csr(&key())) };
    let stored = world.ask(wildcard).expect("allowed then");
    let stricter = world.parts().with_profile("server", |text| text.replace("wildcards = true", "wildcards = false"));
    let engine = world.restarted_with(stricter);
    let outcome = block_on(renew(&engine, &Principal::LocalOperator, request(&stored)));
    assert_eq!(codes(outcome), ["wildcard-not-allowed"]);
    let mut without = world.parts();
    without.profiles.retain(|profile| profile.name().as_str() != "server");
    let outcome = block_on(renew(&world.restarted_with(without), &Principal::LocalOperator, request(&stored)));
    assert_eq!(refused(outcome), Kind::UnknownProfile);
}

#[test]
fn a_name_that_became_the_api_s_is_not_renewed() {
    let world = World::new();
    let stored = half_old(&world);
    let mut parts = world.parts();
    parts.settings.api_names.push(name("dns:api.example.com"));
    let outcome = block_on(renew(&world.restarted_with(parts), &holder(&stored, &[]), request(&stored)));
    assert!(codes(outcome).contains(&"name-reserved".to_owned()));
}

#[test]
fn attributes_that_the_profile_sets_are_renewed_with_the_rest() {
    let parts = Parts::default().with_profile("server", |text| {
        text.replace("\"O\", ", "").replace("[subject]", "[subject]\nfixed = \"O=Example\"")
    });
    let world = World::of(parts);
    let stored = world.issue();
    let successor = world.renew(&Principal::LocalOperator, &stored).expect("renewed");
    assert_eq!(successor.subject, stored.subject);
    assert!(successor.subject.to_rfc4514().contains("O=Example"));
}

#[test]
fn the_key_may_stay_the_same_unless_it_is_blocked() {
    let world = World::new();
    let key = key();
    let (stored, twin) = (world.issue_for(&key), world.issue_for(&key));
    let same_key = RenewRequest { csr: None, ..request(&stored) };
    let successor = block_on(renew(&world.engine, &Principal::LocalOperator, same_key)).expect("renewed").certificate;
    assert_eq!(successor.spki_sha256, stored.spki_sha256);
    world.revoke(twin.id, RevocationReason::KeyCompromise).expect("revoked");
    let again = RenewRequest { csr: None, ..request(&successor) };
    assert_eq!(refused(block_on(renew(&world.engine, &Principal::LocalOperator, again))), Kind::KeyBlocked);
    world.renew(&Principal::LocalOperator, &successor).expect("with a new key");
}

#[test]
fn a_repeated_renewal_finds_its_answer() {
    let world = World::new();
    let stored = half_old(&world);
    let request = RenewRequest { idempotency_key: Some("a".to_owned()), ..request(&stored) };
    let principal = holder(&stored, &[]);
    let first = block_on(renew(&world.engine, &principal, request.clone())).expect("renewed");
    let again = block_on(renew(&world.engine, &principal, request.clone())).expect("replayed");
    assert_eq!((again.replayed, again.certificate), (true, first.certificate));
    let other = RenewRequest { csr: None, ..request };
    assert_eq!(refused(block_on(renew(&world.engine, &principal, other))), Kind::IdempotencyConflict);
}

#[test]
fn an_explicit_validity_is_held_to_profile_and_issuer() {
    let world = World::new();
    let stored = world.issue();
    let long = RenewRequest { validity: Some(Lifetime::from_days(399)), ..request(&stored) };
    assert_eq!(codes(block_on(renew(&world.engine, &Principal::LocalOperator, long))), ["validity-too-long"]);
}

fn operator(world: &World) -> StoredCertificate {
    let request = IssueRequest {
        profile: "operator".parse().expect("a name"),
        subject: Some(dn("CN=operator")),
        names: None,
        ..server(csr(&key()))
    };
    let stored = world.ask(request).expect("the operator of the host may");
    block_on(grant_role(&world.engine, &Principal::LocalOperator, stored.id, Role::Administrator)).expect("granted");
    world.clock.advance(HALF);
    stored
}

fn roles(world: &World, stored: &StoredCertificate) -> Vec<Role> {
    block_on(world.store().roles(stored.id)).expect("the record answers")
}

#[test]
fn an_administrator_renews_its_own_certificate_and_keeps_its_role() {
    let world = World::new();
    let stored = operator(&world);
    let successor = world.renew(&holder(&stored, &[Role::Administrator]), &stored).expect("its own");
    assert_eq!(roles(&world, &successor), [Role::Administrator]);
    let again = operator(&world);
    let successor = world.renew(&Principal::LocalOperator, &again).expect("on the host");
    assert_eq!(roles(&world, &successor), [Role::Administrator]);
}

/// With a key of one's own, that would be the power to pass for another administrator, or for the API itself.
#[test]
fn nobody_but_its_holder_and_the_host_renews_a_certificate_of_the_service_s_own() {
    let world = World::new();
    let (registrar, stored) = (world.issue(), operator(&world));
    assert_eq!(refused(world.renew(&holder(&registrar, &[Role::Registrar]), &stored)), Kind::AccessDenied);
    let administrator = holder(&operator(&world), &[Role::Administrator]);
    assert_eq!(refused(world.renew(&administrator, &stored)), Kind::AccessDenied);
    let api = IssueRequest {
        profile: "api-server".parse().expect("a name"),
        subject: Some(dn("CN=ca.example.org")),
        names: names(&["dns:ca.example.org"]),
        ..server(csr(&key()))
    };
    let api = world.ask_as(&Principal::Job("api-certificate"), api).expect("the service's own");
    assert_eq!(refused(world.renew(&administrator, &api)), Kind::AccessDenied);
    world.renew(&Principal::LocalOperator, &api).expect("on the host");
}

#[test]
fn whoever_renews_another_s_certificate_does_not_get_its_roles() {
    let world = World::new();
    let (registrar, stored) = (world.issue(), world.issue());
    block_on(grant_role(&world.engine, &Principal::LocalOperator, stored.id, Role::Auditor)).expect("granted");
    let successor = world.renew(&holder(&registrar, &[Role::Registrar]), &stored).expect("a registrar may");
    assert_eq!(roles(&world, &successor), []);
}

#[test]
fn authorities_and_responders_are_not_renewed_like_this() {
    let world = World::new();
    let tls = world.engine.authority(&id("tls")).expect("tls").record().certificate;
    let stored = world.stored(tls).expect("on record");
    assert_eq!(refused(world.renew(&Principal::LocalOperator, &stored)), Kind::UnknownProfile);
}

#[test]
fn tells_when_to_renew() {
    let world = World::new();
    let stored = world.issue();
    let info = |world: &World| {
        let name = CertificateName::Id(stored.id);
        block_on(renewal_info(&world.engine, &holder(&stored, &[]), &name)).expect("its holder may know")
    };
    let window = info(&world).window;
    let opens_at = stored.validity.not_before.plus(HALF).plus(Lifetime::from_seconds(300));
    assert!(window.start >= opens_at, "not before its holder may: {window:?}");
    assert!(window.start < window.end && window.end < stored.validity.not_after, "{window:?}");
    assert_eq!(info(&world).ask_again_after, Lifetime::from_seconds(6 * 3_600));
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    assert_eq!(info(&world).window.end, world.now(), "RFC 9773 §4.2: a window in the past asks for renewal at once");
}

/// A stolen certificate gives itself away when both renew it: the one who is second is told of to the owner, once.
#[test]
fn a_second_renewal_by_the_holder_is_told_to_the_owner_once() {
    let world = World::new();
    let predecessor = half_old(&world);
    let principal = holder(&predecessor, &[]);
    let successor = world.renew(&principal, &predecessor).expect("the first");
    let told = || {
        let messages = world.store.outbox();
        messages.into_iter().filter(|message| message.topic == "certificate.renewal-repeated").collect::<Vec<_>>()
    };
    for _ in 0..3 {
        assert_eq!(refused(world.renew(&principal, &predecessor)), Kind::AlreadyRenewed);
    }
    let messages = told();
    assert_eq!(messages.len(), 1, "once for each successor");
    assert_eq!(messages[0].certificate, Some(predecessor.id));
    assert!(messages[0].payload.contains(&successor.id.to_string()), "{}", messages[0].payload);
    assert!(messages[0].payload.contains(&predecessor.owner), "{}", messages[0].payload);
    let event = world.store.events().pop().expect("an event");
    assert_eq!(event.action, AuditAction::RenewalRepeated);
    assert_eq!(event.details.get("successor"), Some(&successor.id.to_string()));
    assert_eq!(refused(world.renew(&Principal::LocalOperator, &predecessor)), Kind::AlreadyRenewed);
    assert_eq!(told().len(), 1, "an operator is no thief");
    world.revoke(successor.id, RevocationReason::Superseded).expect("revoked");
    let second = world.renew(&principal, &predecessor).expect("there is no live one any more");
    assert_eq!(refused(world.renew(&principal, &predecessor)), Kind::AlreadyRenewed);
    assert!(told()[1].payload.contains(&second.id.to_string()));
}

#[test]
fn a_second_renewal_that_cannot_be_told_is_not_refused_for_good() {
    let world = World::new();
    let predecessor = half_old(&world);
    let principal = holder(&predecessor, &[]);
    world.renew(&principal, &predecessor).expect("the first");
    let down = StoreFault::BeforeCommit(StoreError::Unavailable { detail: "away".to_owned() });
    world.store.fail_next(StoreMethod::NoteRepeatedRenewal, down);
    assert_eq!(refused(world.renew(&principal, &predecessor)), Kind::Unavailable, "ask again");
    assert_eq!(refused(world.renew(&principal, &predecessor)), Kind::AlreadyRenewed);
    assert_eq!(world.store.events().pop().map(|event| event.action), Some(AuditAction::RenewalRepeated));
}

/// Found by the simulation: a successor that was dated before the compromise kept the roles it had inherited.
#[test]
fn a_clock_set_back_while_a_successor_is_made_leaves_it_no_role_of_a_compromised_key() {
    let world = World::new();
    let predecessor = world.issue();
    let local = Principal::LocalOperator;
    block_on(grant_role(&world.engine, &local, predecessor.id, Role::Registrar)).expect("a role");
    let clock = FakeClock::at(world.now());
    let replica = world.replica(&clock, &world.keyring);
    let principal = holder(&predecessor, &[Role::Registrar]);
    let mut renewing = Box::pin(renew(&replica, &principal, request(&predecessor)));
    world.poll_until_reserved(renewing.as_mut());
    clock.step_back(DAY);
    let successor = block_on(renewing).expect("a successor").certificate;
    assert_eq!(roles(&world, &successor), [Role::Registrar], "inherited");
    let compromise = RevokeRequest {
        certificate: predecessor.id,
        reason: RevocationReason::KeyCompromise,
        invalidity_date: Some(world.now().minus(HOUR)),
        request_id: None,
    };
    block_on(revoke(&world.engine, &local, &compromise)).expect("revoked");
    assert_eq!(roles(&world, &successor), []);
}
