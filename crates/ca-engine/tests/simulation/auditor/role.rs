//! Roles: granted with an event, inherited with a renewal, and gone where a key was compromised.

use ca_core::audit::AuditAction;
use ca_core::revocation::{RevocationReason, Standing};
use ca_engine::fake::{IssuanceState, Record, StoreMethod};

use super::issuance::Phase;
use super::{Auditor, Change, Finding};

impl Auditor {
    pub(super) fn check_roles(&mut self, record: &Record, method: StoreMethod, changes: &mut Vec<Change>) -> Finding {
        let roles = &record.roles;
        self.roles.retain(|binding, _| roles.contains_key(binding));
        for binding in record.roles.keys() {
            if self.roles.contains_key(binding) {
                continue;
            }
            self.roles.insert(*binding, self.step);
            let (certificate, role) = *binding;
            let predecessor = record.issuances.get(&certificate).and_then(|issuance| issuance.reservation.renews);
            match method {
                StoreMethod::GrantRole => changes.push(Change {
                    actions: &[AuditAction::RoleGranted],
                    subject: format!("certificate:{certificate}"),
                }),
                StoreMethod::Complete if predecessor.is_some_and(|id| record.roles.contains_key(&(id, role))) => {}
                _ => return Err(format!("nobody granted {certificate} the role {role}")),
            }
        }
        self.check_heirs(record)
    }

    /// Whoever descends from a certificate by a renewal since its key is not to be trusted holds no role that it had then.
    fn check_heirs(&self, record: &Record) -> Finding {
        for ((holder, role), since) in &self.roles {
            let mut heir = record.issuances.get(holder);
            while let Some(issuance) = heir {
                let parent = issuance.reservation.renews;
                let Some(ancestor) = parent.and_then(|parent| record.issuances.get(&parent)) else { break };
                let compromised = self.compromised_at(ancestor.reservation.id);
                if let (Some(step), IssuanceState::Issued { issued_at, .. }, Some(Standing::Revoked(revocation))) =
                    (compromised, &issuance.state, ancestor.standing())
                {
                    let untrusted = revocation.invalidity_date.unwrap_or(ancestor.reservation.validity.not_before);
                    if step > *since && *issued_at >= untrusted {
                        return Err(format!("{holder} has the role {role} of a compromised key"));
                    }
                }
                heir = Some(ancestor);
            }
        }
        Ok(())
    }

    /// The step at which the key of a certificate was reported as compromised.
    fn compromised_at(&self, id: ca_core::id::CertificateId) -> Option<u64> {
        let compromised = |phase: &Phase| match phase {
            Phase::Standing(Standing::Revoked(revocation)) => revocation.reason == RevocationReason::KeyCompromise,
            _ => false,
        };
        let history = self.histories.get(&id)?;
        history.phases.iter().find(|(_, phase)| compromised(phase)).map(|(step, _)| *step)
    }
}
