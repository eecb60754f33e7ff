//! What must be true of a record at any moment, whatever went wrong before (design.md §1, in the words of this world).

use ca_core::audit::AuditAction;
use ca_core::ocsp::CertStatus;
use ca_core::principal::Principal;
use ca_core::revocation::Standing;
use ca_engine::flow::reconcile::abandon_reservations_before;
use ca_engine::flow::sequence_audit::{sequence_audit, verify_chain};
use futures::executor::block_on;

use super::ask::{parsed, verified_chain};
use super::{SECOND, World, id};

impl World {
    /// Holds every serial of `tls` against certificate, OCSP, list and events. That no key signed what was not on record, the
    /// witness has seen; that no serial is there twice, the record itself forbids.
    pub(crate) fn assert_sound(&self, circumstances: &str) {
        let list = self.list("tls");
        let events = self.store.events();
        for (authority, serial) in self.store.serials().into_iter().filter(|(authority, _)| *authority == id("tls")) {
            let what = format!("{circumstances}: serial {serial}");
            let stored = block_on(self.store().certificate_by_serial(&authority, &serial)).expect("the record answers");
            let record =
                block_on(self.store().status(&authority, &serial)).expect("the record answers").expect("reserved");
            let subject = format!("certificate:{}", record.certificate);
            let of = |action: AuditAction| {
                events.iter().filter(|event| event.subject == subject && event.action == action).count()
            };
            let made = of(AuditAction::CertificateIssued)
                + of(AuditAction::CertificateRenewed)
                + of(AuditAction::ResponderIssued);
            assert_eq!(made, usize::from(stored.is_some()), "{what}: one event for a certificate");
            let status = self.status("tls", &serial);
            match &stored {
                Some(stored) => {
                    parsed(self, stored);
                    verified_chain(self, stored);
                    assert_eq!(status == CertStatus::Good, stored.standing == Standing::Active, "{what}");
                }
                None => assert_ne!(status, CertStatus::Good, "{what}: nothing is good without a certificate"),
            }
            let revoked = matches!(status, CertStatus::Revoked { .. });
            assert_eq!(list.find(&serial).is_some(), revoked, "{what}: list and OCSP agree");
            assert!(of(AuditAction::IssuanceAbandoned) <= 1, "{what}: abandoned once");
        }
        let lease =
            block_on(self.store().acquire_lease("audit-chain", "test", SECOND)).expect("a record").expect("free");
        block_on(sequence_audit(&self.engine, &lease)).expect("chained");
        let report = block_on(verify_chain(&self.engine, |_| {})).expect("readable");
        assert_eq!((report.pending, report.fault), (0, None), "{circumstances}: the audit chain is whole");
    }

    /// What a start does about the past; afterwards nothing is open.
    pub(crate) fn reconcile(&self) {
        self.clock.advance(SECOND);
        block_on(abandon_reservations_before(&self.engine, &Principal::Job("reservations"), self.now()))
            .expect("closed");
        assert_eq!(self.open_reservations(), 0, "no reservation is left open");
    }
}
