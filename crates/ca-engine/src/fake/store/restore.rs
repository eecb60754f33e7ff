//! What a restoration changes.

use async_trait::async_trait;
use ca_core::name::DistinguishedName;
use ca_core::revocation::Standing;
use ca_core::time::Validity;

use super::record::{Issuance, IssuanceState, Record};
use super::{MemoryStore, StoreMethod};
use crate::port::store::{Gaps, LostSerial, Reservation, RestoreStore, StoreError};

#[async_trait]
impl RestoreStore for MemoryStore {
    async fn record_lost_serial(&self, lost: LostSerial) -> Result<bool, StoreError> {
        self.transact(StoreMethod::RecordLostSerial, |record, _| record.record_lost_serial(lost)).await
    }

    async fn leave_gaps(&self, gaps: Gaps) -> Result<(), StoreError> {
        self.transact(StoreMethod::LeaveGaps, |record, _| {
            for setting in &gaps.settings {
                if record.settings.get(&setting.name) != setting.expected.as_ref() {
                    return Err(StoreError::Conflict { detail: format!("{} is not as expected", setting.name) });
                }
            }
            record.settings.extend(gaps.settings.into_iter().map(|setting| (setting.name, setting.value)));
            record.sequence_floor = record.revocation_sequence().max(gaps.revocation_sequence);
            for lease in record.leases.values_mut() {
                lease.token += gaps.lease_tokens;
            }
            record.published_partials.clear();
            record.write_journal(gaps.journal);
            Ok(())
        })
        .await
    }
}

impl Record {
    fn record_lost_serial(&mut self, lost: LostSerial) -> Result<bool, StoreError> {
        let number = (lost.authority.clone(), lost.serial.clone());
        if self.serials.contains_key(&number) {
            return Ok(false);
        }
        // What a database keeps of it is a serial without anything; here every serial has a reservation, of nobody.
        let reservation = Reservation {
            id: lost.id,
            authority: lost.authority,
            serial: lost.serial,
            profile: "lost".parse().map_err(|_| StoreError::Conflict { detail: "no profile name".to_owned() })?,
            validity: Validity { not_before: lost.revocation.revoked_at, not_after: lost.not_after },
            subject: DistinguishedName::empty(),
            names: Vec::new(),
            spki_sha256: lost.blocked_key.unwrap_or_default(),
            to_be_signed: Vec::new(),
            owner: String::new(),
            requested_by: String::new(),
            renews: None,
            token: None,
            idempotency: None,
            personal_data: None,
            reserved_at: lost.journal.event.at,
        };
        self.blocked_keys.extend(lost.blocked_key);
        self.serials.insert(number.clone(), lost.id);
        self.issuances.insert(lost.id, Issuance { reservation, state: IssuanceState::Abandoned(lost.revocation) });
        self.write_journal(lost.journal);
        self.next_revocation(number.0, number.1, Standing::Revoked(lost.revocation), lost.not_after);
        Ok(true)
    }
}
