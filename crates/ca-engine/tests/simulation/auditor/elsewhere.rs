//! The authority that issues elsewhere: what its issuer made is on record under the serial that it chose, or given up with the id that
//! it was ordered by, and what is revoked here is revoked there in the end.

use ca_core::audit::AuditAction;
use ca_core::certificate::Certificate;
use ca_core::id::CertificateId;
use ca_core::revocation::Standing;
use ca_core::serial::Serial;
use ca_engine::fake::{Issuance, IssuanceState, MadeElsewhere, Record, ScriptedIssuer, StoreMethod};

use super::{Auditor, Finding};
use crate::foundation::{ELSEWHERE, authority};

impl Auditor {
    /// From now on it knows what the issuer made.
    pub(crate) fn watch_issuer(&mut self, issuer: ScriptedIssuer) {
        self.issuer = Some(issuer);
    }

    /// A reservation may have another serial than before: in place of its provisional one that which its issuer chose.
    pub(super) fn check_adopted(&mut self, id: CertificateId, issuance: &Issuance, method: StoreMethod) -> Finding {
        let reservation = &issuance.reservation;
        let number = (reservation.authority.clone(), reservation.serial.clone());
        if self.numbers.get(&number) == Some(&id) {
            return Ok(());
        }
        let wrong = |what: &str| Err(format!("certificate {id} has the serial {} now: {what}", reservation.serial));
        if self.issuer.is_none() || method != StoreMethod::AdoptSerial {
            return wrong("no issuer chose it");
        }
        if self.numbers.contains_key(&number) {
            return wrong("it is another's");
        }
        if !matches!(issuance.state, IssuanceState::Reserved) {
            return wrong("it was not reserved");
        }
        let before = self.numbers.iter().find(|(_, holder)| **holder == id).map(|(number, _)| number.clone());
        match before {
            Some(before) if before.1.is_provisional() => drop(self.numbers.remove(&before)),
            _ => return wrong("the one before was no provisional one"),
        }
        if self.made_of(&reservation.serial).is_none_or(|made| made.id != id) {
            return wrong("its issuer made no such certificate for it");
        }
        self.numbers.insert(number, id);
        Ok(())
    }

    /// At its completion a certificate has the serial under which it is on record, which is in no other.
    pub(super) fn check_serial_of(&self, issuance: &Issuance) -> Finding {
        let (IssuanceState::Issued { certificate, .. }, reservation) = (&issuance.state, &issuance.reservation) else {
            return Ok(());
        };
        let serial = &reservation.serial;
        let inside = Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        if serial.is_provisional() || inside.serial() != serial {
            return Err(format!("it left with the serial {} and is on record under {serial}", inside.serial()));
        }
        Ok(())
    }

    /// What came back after its reservation was abandoned: its serial is put on record as revoked. `None` where it is none of these.
    pub(super) fn came_too_late(&self, serial: &Serial) -> Option<MadeElsewhere> {
        self.made_of(serial)
    }

    fn made_of(&self, serial: &Serial) -> Option<MadeElsewhere> {
        self.issuer.as_ref()?.made().into_iter().find(|made| made.serial == *serial)
    }

    /// Nothing that was made is unaccounted for, nothing is open, and what is revoked is revoked where it was made.
    pub(crate) fn check_issuer_at_last(&self) -> Finding {
        let Some(issuer) = &self.issuer else { return Ok(()) };
        let (made, told, of) = (issuer.made(), issuer.revoked(), authority(ELSEWHERE));
        self.store.tables(|record| {
            if let Some((id, _)) = record.upstream.iter().find(|(id, _)| is_reserved(record, **id)) {
                return Err(format!("issuance {id} elsewhere is still open"));
            }
            for made in &made {
                let is_on_record = record.serials.contains_key(&(of.clone(), made.serial.clone()));
                if !is_on_record && !is_given_up(record, made.id) {
                    let told = events_of(record, made.id);
                    return Err(format!(
                        "the issuer made {} for {}, and nobody knows of it: {told:?}",
                        made.serial, made.id
                    ));
                }
            }
            let revoked = record.revocations.iter().filter(|row| row.authority == of && !row.serial.is_provisional());
            for row in revoked.filter(|row| row.standing != Standing::Active) {
                if !told.iter().any(|(serial, _)| *serial == row.serial) {
                    return Err(format!("{} is revoked here, and its issuer was not told", row.serial));
                }
            }
            Ok(())
        })
    }
}

fn is_reserved(record: &Record, id: CertificateId) -> bool {
    record.issuances.get(&id).is_some_and(|issuance| matches!(issuance.state, IssuanceState::Reserved))
}

fn events_of(record: &Record, id: CertificateId) -> Vec<String> {
    let subject = format!("certificate:{id}");
    let events = record.events.iter().map(|row| &row.event).filter(|event| event.subject == subject);
    events.map(|event| format!("{:?} {:?}", event.action, event.details)).collect()
}

/// Nobody could say any more whether there is a certificate: the event has the id that it was ordered by, and says so.
fn is_given_up(record: &Record, id: CertificateId) -> bool {
    let subject = format!("certificate:{id}");
    record.events.iter().any(|row| {
        let event = &row.event;
        event.action == AuditAction::IssuanceAbandoned
            && event.subject == subject
            && event.details.get("cause").is_some_and(|cause| cause == "unknown-at-issuer")
    })
}
