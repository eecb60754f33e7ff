//! Roles: bound to certificates by whoever may, never guessed from a name.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::CertificateId;
use ca_core::principal::{Principal, Role};
use ca_core::revocation::Standing;
use ca_core::time::Timestamp;

use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::store::{Journal, RoleBinding};

/// Binds a role to a certificate. For the operator of the host only: the API has no route to it.
pub async fn grant_role(
    engine: &Engine,
    principal: &Principal,
    certificate: CertificateId,
    role: Role,
) -> Result<(), FlowError> {
    local_only(principal)?;
    engine.check_anchor()?;
    if engine.store().certificate(certificate).await?.is_none() {
        let message = format!("no certificate {certificate} is on record, so it can have no role");
        return Err(FlowError::new(FlowErrorKind::NotFound, message));
    }
    let now = engine.now();
    let event =
        AuditEvent::new(now, AuditAction::RoleGranted, principal.reference(), format!("certificate:{certificate}"))
            .with("role", role);
    let binding = RoleBinding { certificate, role, granted_at: now };
    Ok(engine.store().grant_role(binding, Journal::of(event)).await?)
}

/// Takes a role from a certificate; `false`, and nothing is told, when it has not got it.
pub async fn withdraw_role(
    engine: &Engine,
    principal: &Principal,
    certificate: CertificateId,
    role: Role,
) -> Result<bool, FlowError> {
    local_only(principal)?;
    engine.check_anchor()?;
    let event = AuditEvent::new(
        engine.now(),
        AuditAction::RoleWithdrawn,
        principal.reference(),
        format!("certificate:{certificate}"),
    )
    .with("role", role);
    Ok(engine.store().withdraw_role(certificate, role, Journal::of(event)).await?)
}

/// Takes every binding of a role away, as `admin reset` does before it makes a new administrator; returns how many.
pub async fn withdraw_role_from_all(engine: &Engine, principal: &Principal, role: Role) -> Result<u64, FlowError> {
    local_only(principal)?;
    let mut withdrawn = 0;
    for binding in engine.store().role_bindings().await? {
        if binding.role != role {
            continue;
        }
        let event = AuditEvent::new(
            engine.now(),
            AuditAction::RoleWithdrawn,
            principal.reference(),
            format!("certificate:{}", binding.certificate),
        )
        .with("role", role);
        if engine.store().withdraw_role(binding.certificate, role, Journal::of(event)).await? {
            withdrawn += 1;
        }
    }
    Ok(withdrawn)
}

/// The certificates in force to which a role is bound, with the end of their validity, the next to end first.
pub async fn holders(engine: &Engine, role: Role) -> Result<Vec<(CertificateId, Timestamp)>, FlowError> {
    let now = engine.now();
    let mut holders = Vec::new();
    for binding in engine.store().role_bindings().await? {
        if binding.role != role {
            continue;
        }
        let certificate = engine.store().certificate(binding.certificate).await?;
        let in_force = certificate
            .filter(|certificate| certificate.standing == Standing::Active && certificate.validity.not_after >= now);
        holders.extend(in_force.map(|certificate| (certificate.id, certificate.validity.not_after)));
    }
    holders.sort_by_key(|(_, not_after)| *not_after);
    Ok(holders)
}

fn local_only(principal: &Principal) -> Result<(), FlowError> {
    match principal {
        Principal::LocalOperator => Ok(()),
        _ => Err(FlowError::new(FlowErrorKind::AccessDenied, "roles are bound on the host of the service")),
    }
}
