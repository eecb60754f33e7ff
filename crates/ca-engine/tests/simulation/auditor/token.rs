//! Enrolment tokens and blocked keys.

use ca_core::audit::AuditAction;
use ca_core::revocation::{RevocationReason, Standing};
use ca_engine::fake::{IssuanceState, Record};

use super::{Auditor, Change, Finding};

impl Auditor {
    /// As many uses are counted as there are reservations that were not abandoned, and never more than allowed; a withdrawn
    /// token stays withdrawn. And whoever was revoked for `keyCompromise` has a blocked key.
    pub(super) fn check_tokens(&mut self, record: &Record, changes: &mut Vec<Change>) -> Finding {
        for (id, token) in &record.tokens {
            let live = |state: &IssuanceState| !matches!(state, IssuanceState::Abandoned(_));
            let of_token = record.issuances.values().filter(|issuance| issuance.reservation.token == Some(*id));
            let used = of_token.filter(|issuance| live(&issuance.state)).count();
            if used != token.used as usize || token.used > token.uses {
                return Err(format!(
                    "token {id} of {} uses counts {} and was used {used} times",
                    token.uses, token.used
                ));
            }
            let subject = format!("token:{id}");
            match self.tokens.insert(*id, token.withdrawn) {
                None => changes.push(Change { actions: &[AuditAction::TokenCreated], subject }),
                Some(true) if !token.withdrawn => return Err(format!("token {id} is back after it was withdrawn")),
                Some(false) if token.withdrawn => {
                    changes.push(Change { actions: &[AuditAction::TokenDeleted], subject });
                }
                Some(_) => {}
            }
        }
        for issuance in record.issuances.values() {
            if let Some(Standing::Revoked(revocation)) = issuance.standing()
                && revocation.reason == RevocationReason::KeyCompromise
                && !record.blocked_keys.contains(&issuance.reservation.spki_sha256)
            {
                return Err(format!("the key of {} is compromised and not blocked", issuance.reservation.id));
            }
        }
        Ok(())
    }
}
