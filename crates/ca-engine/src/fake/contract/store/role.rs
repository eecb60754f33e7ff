//! Roles bound to certificates.

use ca_core::audit::AuditAction;
use ca_core::id::CertificateId;
use ca_core::principal::Role;
use ca_core::revocation::Standing;
use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, SUPERSEDED, authority, event};
use crate::port::store::{Holder, Journal, RoleBinding, ShownCertificate, StoreError};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        roles_are_bound_and_listed_in_order,
        granting_twice_is_harmless_and_told_once,
        a_role_is_withdrawn_once,
        concurrent_grants_are_told_once,
        a_holder_is_known_by_what_its_certificate_says,
        holders_that_are_asked_for_at_once_are_not_mixed_up,
    ]
}

async fn roles_are_bound_and_listed_in_order(fixture: Fixture) {
    let (first, second) = (fixture.issued().await.id, fixture.issued().await.id);
    for (certificate, role) in [(second, Role::Auditor), (first, Role::Registrar), (first, Role::Administrator)] {
        assert_eq!(grant(&fixture, certificate, role).await, Ok(()));
    }
    assert_eq!(fixture.store.roles(first).await, Ok(vec![Role::Administrator, Role::Registrar]));
    assert_eq!(fixture.store.roles(second).await, Ok(vec![Role::Auditor]));
    let third = fixture.issued().await.id;
    assert_eq!(fixture.store.roles(third).await, Ok(Vec::new()));
    let expected = [(first, Role::Administrator), (first, Role::Registrar), (second, Role::Auditor)]
        .map(|(certificate, role)| RoleBinding { certificate, role, granted_at: NOW });
    assert_eq!(fixture.store.role_bindings().await, Ok(expected.to_vec()));
}

async fn a_holder_is_known_by_what_its_certificate_says(fixture: Fixture) {
    let issued = fixture.issued().await;
    let holder = async || fixture.store.holder(&(&issued).into()).await.expect("holder");
    let expected = Holder {
        id: issued.id,
        fingerprint_sha256: issued.fingerprint_sha256,
        validity: issued.validity,
        standing: Standing::Active,
        roles: Vec::new(),
    };
    assert_eq!(holder().await, Some(expected.clone()));
    for role in [Role::Registrar, Role::Administrator] {
        grant(&fixture, issued.id, role).await.expect("grant_role");
    }
    let roles = vec![Role::Administrator, Role::Registrar];
    assert_eq!(holder().await, Some(Holder { roles: roles.clone(), ..expected.clone() }));
    fixture.revoke(&issued).await;
    assert_eq!(holder().await, Some(Holder { roles, standing: SUPERSEDED, ..expected }));
    let reserved = fixture.reserved().await;
    let shown = ShownCertificate::from(&issued);
    let not_issued =
        ShownCertificate { serial: reserved.serial, not_after: reserved.validity.not_after, ..shown.clone() };
    assert_eq!(fixture.store.holder(&not_issued).await, Ok(None), "not issued yet");
    let of_another = ShownCertificate { authority: authority("root"), ..shown.clone() };
    assert_eq!(fixture.store.holder(&of_another).await, Ok(None), "another issuer's");
    let another_end = ShownCertificate { not_after: shown.not_after.plus(Lifetime::from_days(40)), ..shown };
    assert_eq!(fixture.store.holder(&another_end).await, Ok(None), "none that was issued");
}

async fn holders_that_are_asked_for_at_once_are_not_mixed_up(fixture: Fixture) {
    let mut issued = Vec::new();
    for _ in 0..5 {
        issued.push(fixture.issued().await);
    }
    let asked: Vec<_> = (0..60).map(|number| &issued[number % 5]).collect();
    let shown: Vec<ShownCertificate> = asked.iter().map(|certificate| (*certificate).into()).collect();
    let found = join_all(shown.iter().map(|shown| fixture.store.holder(shown))).await;
    for (found, asked) in found.into_iter().zip(asked) {
        assert_eq!(found.map(|holder| holder.map(|holder| holder.id)), Ok(Some(asked.id)));
    }
}

async fn granting_twice_is_harmless_and_told_once(fixture: Fixture) {
    let certificate = fixture.issued().await.id;
    let before = fixture.event_count().await;
    assert_eq!(grant(&fixture, certificate, Role::Auditor).await, Ok(()));
    let later = RoleBinding { certificate, role: Role::Auditor, granted_at: NOW.plus(Lifetime::from_days(1)) };
    assert_eq!(fixture.store.grant_role(later, journal(AuditAction::RoleGranted, certificate)).await, Ok(()));
    let told = [("role-granted".to_owned(), format!("certificate:{certificate}"))];
    assert_eq!(fixture.events().await.split_off(before), told);
    let bindings = fixture.store.role_bindings().await.expect("role_bindings");
    assert_eq!(bindings.iter().map(|binding| binding.granted_at).collect::<Vec<_>>(), [NOW], "bound since the first");
}

async fn a_role_is_withdrawn_once(fixture: Fixture) {
    let certificate = fixture.issued().await.id;
    grant(&fixture, certificate, Role::Auditor).await.expect("grant_role");
    grant(&fixture, certificate, Role::Registrar).await.expect("grant_role");
    let before = fixture.event_count().await;
    let withdraw =
        |role| fixture.store.withdraw_role(certificate, role, journal(AuditAction::RoleWithdrawn, certificate));
    assert_eq!(withdraw(Role::Auditor).await, Ok(true));
    assert_eq!(withdraw(Role::Auditor).await, Ok(false));
    assert_eq!(withdraw(Role::Administrator).await, Ok(false), "it was never bound");
    assert_eq!(fixture.event_count().await, before + 1);
    assert_eq!(fixture.store.roles(certificate).await, Ok(vec![Role::Registrar]));
}

async fn concurrent_grants_are_told_once(fixture: Fixture) {
    let certificate = fixture.issued().await.id;
    let before = fixture.event_count().await;
    let granted = join_all((0..5).map(|_| grant(&fixture, certificate, Role::Auditor))).await;
    assert!(granted.iter().all(Result::is_ok), "{granted:?}");
    assert_eq!(fixture.event_count().await, before + 1);
}

pub(super) async fn grant(fixture: &Fixture, certificate: CertificateId, role: Role) -> Result<(), StoreError> {
    let binding = RoleBinding { certificate, role, granted_at: NOW };
    fixture.store.grant_role(binding, journal(AuditAction::RoleGranted, certificate)).await
}

fn journal(action: AuditAction, certificate: CertificateId) -> Journal {
    Journal::of(event(action, &format!("certificate:{certificate}")))
}
