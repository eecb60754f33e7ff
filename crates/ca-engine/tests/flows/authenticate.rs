//! Holders of certificates: asked of the record at each request.

use ca_core::principal::{Principal, Role};
use ca_core::revocation::RevocationReason;
use ca_engine::error::{FlowError, FlowErrorKind as Kind};
use ca_engine::fake::{StoreFault, StoreMethod};
use ca_engine::flow::authenticate::certificate_holder;
use ca_engine::flow::revoke::unhold;
use ca_engine::flow::role::{grant_role, withdraw_role_from_all};
use ca_engine::port::store::{ShownCertificate, StoreError, StoredCertificate};
use futures::executor::block_on;

use crate::world::*;

fn authenticate(world: &World, stored: &StoredCertificate) -> Result<Principal, FlowError> {
    block_on(certificate_holder(&world.engine, &stored.into(), &stored.der))
}

#[test]
fn a_holder_is_itself_with_the_roles_bound_to_its_id() {
    let world = World::new();
    let stored = world.issue();
    assert_eq!(authenticate(&world, &stored), Ok(holder(&stored, &[])));
    let local = Principal::LocalOperator;
    block_on(grant_role(&world.engine, &local, stored.id, Role::Auditor)).expect("granted");
    block_on(grant_role(&world.engine, &local, stored.id, Role::Administrator)).expect("granted");
    assert_eq!(authenticate(&world, &stored), Ok(holder(&stored, &[Role::Administrator, Role::Auditor])));
    assert_eq!(block_on(withdraw_role_from_all(&world.engine, &local, Role::Administrator)), Ok(1));
    assert_eq!(authenticate(&world, &stored), Ok(holder(&stored, &[Role::Auditor])), "from the next request on");
}

#[test]
fn revoked_held_and_expired_ones_are_not_accepted() {
    let world = World::new();
    let stored = world.issue();
    world.revoke(stored.id, RevocationReason::CertificateHold).expect("held");
    let error = authenticate(&world, &stored).expect_err("held");
    assert_eq!(error.kind, Kind::InvalidCredential);
    assert!(error.message.contains("have the hold ended"), "{}", error.message);
    block_on(unhold(&world.engine, &Principal::LocalOperator, stored.id, None)).expect("released");
    authenticate(&world, &stored).expect("stands again");
    world.clock.set(stored.validity.not_after.plus(SECOND));
    let error = authenticate(&world, &stored).expect_err("expired");
    assert_eq!(error.kind, Kind::InvalidCredential);
    assert!(error.message.contains(&format!("to {}", stored.validity.not_after)), "{}", error.message);
    world.clock.set(stored.validity.not_before.minus(SECOND));
    assert_eq!(refused(authenticate(&world, &stored)), Kind::InvalidCredential);
    world.clock.set(stored.validity.not_after);
    world.revoke(stored.id, RevocationReason::Superseded).expect("revoked");
    let error = authenticate(&world, &stored).expect_err("revoked");
    assert!(error.message.contains("superseded"), "{}", error.message);
}

#[test]
fn what_is_not_on_record_octet_for_octet_is_nobody() {
    let world = World::new();
    let (stored, other) = (world.issue(), world.issue());
    let swapped = StoredCertificate { der: other.der.clone(), ..stored.clone() };
    assert_eq!(refused(authenticate(&world, &swapped)), Kind::InvalidCredential);
    let elsewhere = StoredCertificate { authority: id("document"), ..stored };
    assert_eq!(refused(authenticate(&world, &elsewhere)), Kind::InvalidCredential);
    let reserved = world.begin_and_die();
    let shown = ShownCertificate { authority: id("tls"), serial: reserved, not_after: other.validity.not_after };
    let outcome = block_on(certificate_holder(&world.engine, &shown, b""));
    assert_eq!(refused(outcome), Kind::InvalidCredential);
}

#[test]
fn a_silent_record_accepts_nobody_and_blames_no_credential() {
    let world = World::new();
    let stored = world.issue();
    let down = StoreError::Unavailable { detail: "test".to_owned() };
    world.store.fail_next(StoreMethod::Holder, StoreFault::BeforeCommit(down));
    assert_eq!(refused(authenticate(&world, &stored)), Kind::Unavailable);
}

#[test]
fn roles_are_bound_on_the_host_only_and_each_binding_is_one_event() {
    let world = World::new();
    let stored = world.issue();
    let administrator = holder(&stored, &[Role::Administrator]);
    let outcome = block_on(grant_role(&world.engine, &administrator, stored.id, Role::Administrator));
    assert_eq!(refused(outcome), Kind::AccessDenied);
    assert_eq!(
        refused(block_on(withdraw_role_from_all(&world.engine, &administrator, Role::Auditor))),
        Kind::AccessDenied
    );
    let nobody = ca_core::id::CertificateId::from_bytes([7; 16]);
    let outcome = block_on(grant_role(&world.engine, &Principal::LocalOperator, nobody, Role::Auditor));
    assert_eq!(refused(outcome), Kind::NotFound);
    let events = world.store.events().len();
    for _ in 0..2 {
        block_on(grant_role(&world.engine, &Principal::LocalOperator, stored.id, Role::Auditor)).expect("granted");
    }
    assert_eq!(world.store.events().len(), events + 1);
}
