//! Renewals that were asked for twice: told once for each successor that there is, and never forgotten.

use std::collections::BTreeSet;

use ca_core::audit::AuditAction;
use ca_core::id::CertificateId;
use ca_engine::fake::Record;

use super::{Auditor, Change, Finding};

/// A certificate, and the successor that it had.
pub(super) type Repetitions = BTreeSet<(CertificateId, CertificateId)>;

impl Auditor {
    pub(super) fn check_repetitions(&mut self, record: &Record, changes: &mut Vec<Change>) -> Finding {
        if !self.repetitions.is_subset(&record.repeated_renewals) {
            return Err("a repeated renewal is gone from the record".to_owned());
        }
        for (certificate, successor) in record.repeated_renewals.difference(&self.repetitions) {
            let renews = record.issuances.get(successor).and_then(|issuance| issuance.reservation.renews);
            if renews != Some(*certificate) {
                return Err(format!(
                    "{certificate} is told to have the successor {successor}, which renews {renews:?}"
                ));
            }
            changes.push(Change {
                actions: &[AuditAction::RenewalRepeated],
                subject: format!("certificate:{certificate}"),
            });
        }
        self.repetitions.clone_from(&record.repeated_renewals);
        Ok(())
    }
}
