//! Windows that an operator moves: who may, whom it reaches, and what holders may do then.

use ca_core::audit::AuditAction;
use ca_core::principal::{Principal, Role};
use ca_core::renewal::RenewalWindow;
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use ca_engine::error::FlowErrorKind as Kind;
use ca_engine::flow::query::CertificateName;
use ca_engine::flow::renew::{RenewalInfo, renewal_info};
use ca_engine::flow::renewal_windows::{MoveRequest, list_window_moves, move_windows, restore_windows};
use ca_engine::port::store::StoredCertificate;
use futures::executor::block_on;

use crate::world::*;

const LOCAL: Principal = Principal::LocalOperator;

/// Of all server certificates, within a day from now.
fn request(world: &World) -> MoveRequest {
    MoveRequest {
        authority: None,
        profile: "server".parse().ok(),
        certificate: None,
        issued_after: None,
        issued_before: None,
        start: None,
        end: world.now().plus(DAY),
        waves: 1,
        explanation_url: Some("https://pki.example.org/why".to_owned()),
        request_id: None,
    }
}

fn info(world: &World, certificate: &StoredCertificate) -> RenewalInfo {
    let name = CertificateName::Id(certificate.id);
    block_on(renewal_info(&world.engine, &holder(certificate, &[]), &name)).expect("its holder may know")
}

#[test]
fn a_moved_window_is_told_and_its_holder_may_renew_from_its_beginning_on() {
    let world = World::new();
    let stored = world.issue();
    world.clock.advance(DAY);
    let usual = info(&world, &stored);
    assert_eq!(refused(world.renew(&holder(&stored, &[]), &stored)), Kind::RenewalTooEarly);
    let start = world.now().plus(HOUR).floor_to_second();
    let moved = MoveRequest { start: Some(start), ..request(&world) };
    let moved = block_on(move_windows(&world.engine, &LOCAL, moved)).expect("moved");
    let event = world.store.events().pop().expect("an event");
    assert_eq!(
        (event.action, event.subject),
        (AuditAction::RenewalWindowsMoved, format!("renewal-window:{}", moved.id))
    );
    assert!(event.details["scope"].starts_with("profile server, issued-before "), "{:?}", event.details);
    let there = info(&world, &stored);
    assert_eq!(there.window, RenewalWindow { start, end: moved.waves.window.end });
    assert_eq!(there.explanation_url.as_deref(), Some("https://pki.example.org/why"));
    let early = world.renew(&holder(&stored, &[]), &stored).expect_err("not yet");
    assert_eq!((early.kind, early.retry_after), (Kind::RenewalTooEarly, Some(start.since(world.now()))));
    world.clock.advance(HOUR);
    let successor = world.renew(&holder(&stored, &[]), &stored).expect("its window has begun");
    // What was renewed is not asked to renew again.
    assert!(info(&world, &successor).window.start > world.now().plus(Lifetime::from_days(40)));
    assert_eq!(refused(world.renew(&holder(&successor, &[]), &successor)), Kind::RenewalTooEarly);
    block_on(restore_windows(&world.engine, &LOCAL, moved.id, None)).expect("withdrawn");
    assert_eq!(world.store.events().pop().map(|event| event.action), Some(AuditAction::RenewalWindowsRestored));
    assert_eq!(info(&world, &stored), usual);
    let again = block_on(restore_windows(&world.engine, &LOCAL, moved.id, None)).expect_err("gone");
    assert_eq!(again.kind, Kind::NotFound);
}

#[test]
fn whom_a_move_does_not_reach_notices_nothing() {
    let world = World::new();
    let (one, other) = (world.issue(), world.issue());
    world.clock.advance(SECOND);
    let moved = MoveRequest { profile: None, certificate: Some(one.id), ..request(&world) };
    block_on(move_windows(&world.engine, &LOCAL, moved)).expect("moved");
    world.renew(&holder(&one, &[]), &one).expect("its window was moved to now");
    assert_eq!(refused(world.renew(&holder(&other, &[]), &other)), Kind::RenewalTooEarly);
    assert_eq!(info(&world, &other).explanation_url, None);
}

#[test]
fn the_newest_move_decides_and_none_puts_off() {
    let world = World::new();
    let stored = world.issue();
    let usual = info(&world, &stored);
    world.clock.advance(SECOND);
    block_on(move_windows(&world.engine, &LOCAL, request(&world))).expect("moved");
    world.clock.advance(SECOND);
    let late = world.now().plus(Lifetime::from_days(80));
    let later = MoveRequest { start: Some(late), end: late.plus(DAY), ..request(&world) };
    block_on(move_windows(&world.engine, &LOCAL, later)).expect("moved");
    assert_eq!(info(&world, &stored), usual, "a window is never later than the usual one");
    let listed = block_on(list_window_moves(&world.engine, &LOCAL)).expect("listed");
    assert!(listed.len() == 2 && listed[0].id > listed[1].id, "newest first");
}

#[test]
fn an_administrator_moves_windows_and_nobody_below() {
    let world = World::new();
    let stored = world.issue();
    for (roles, expected) in [(&[Role::Registrar][..], Some(Kind::AccessDenied)), (&[], Some(Kind::AccessDenied))] {
        let denied = block_on(move_windows(&world.engine, &holder(&stored, roles), request(&world)));
        assert_eq!(denied.err().map(|error| error.kind), expected, "{roles:?}");
    }
    block_on(move_windows(&world.engine, &holder(&stored, &[Role::Administrator]), request(&world))).expect("may");
}

#[test]
fn a_revoked_certificate_stays_revoked_wherever_its_window_is() {
    let world = World::new();
    let stored = world.issue();
    world.clock.advance(SECOND);
    block_on(move_windows(&world.engine, &LOCAL, request(&world))).expect("moved");
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    assert_eq!(info(&world, &stored).window.end, world.now());
    assert_eq!(refused(world.renew(&LOCAL, &stored)), Kind::CertificateRevoked);
}

#[test]
fn everything_that_is_wrong_with_a_move_is_told_at_once() {
    let world = World::new();
    let faults = |request| {
        let error = block_on(move_windows(&world.engine, &LOCAL, request)).expect_err("wrong");
        assert_eq!(error.kind, Kind::InvalidRequest);
        error.faults.into_iter().map(|fault| fault.code).collect::<Vec<_>>()
    };
    let everything = MoveRequest {
        profile: None,
        issued_after: Some(world.now()),
        issued_before: Some(world.now().plus(HOUR)),
        start: Some(world.now().plus(DAY)),
        end: world.now().plus(DAY),
        waves: 0,
        explanation_url: Some("javascript:alert(1)".to_owned()),
        ..request(&world)
    };
    assert_eq!(
        faults(everything),
        ["scope-missing", "time-in-the-future", "window-over", "waves-out-of-range", "url-invalid"]
    );
    let nobody = MoveRequest {
        authority: "nobody".parse().ok(),
        profile: "nothing".parse().ok(),
        certificate: Some(ca_core::id::CertificateId::from_bytes([7; 16])),
        ..request(&world)
    };
    assert_eq!(faults(nobody), ["authority-unknown", "unknown-profile", "certificate-unknown"]);
    assert_eq!(faults(MoveRequest { waves: 86_401, ..request(&world) }), ["waves-out-of-range"]);
    assert_eq!(world.store.tables(|record| record.window_moves.len()), 0, "nothing was moved");
}
