//! Roles bound to certificates.

use ca_core::audit::AuditAction;
use ca_core::id::CertificateId;
use ca_core::principal::Role;
use ca_core::time::Lifetime;
use futures::future::join_all;

use super::super::case::{Case, cases};
use super::fixture::{Fixture, NOW, event};
use crate::port::store::{Journal, RoleBinding, StoreError};

pub(super) fn cases() -> Vec<Case<Fixture>> {
    cases![
        roles_are_bound_and_listed_in_order,
        granting_twice_is_harmless_and_told_once,
        a_role_is_withdrawn_once,
        concurrent_grants_are_told_once,
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
