//! CRLs: numbers and times only rise, and a list holds what it says it holds.

use ca_core::audit::AuditAction;
use ca_core::crl::{ListName, ParsedCrl};
use ca_core::hash::sha256;
use ca_core::id::AuthorityId;
use ca_core::revocation::Standing;
use ca_core::time::Lifetime;
use ca_engine::fake::Record;
use ca_engine::port::store::{CrlIntent, RevocationRow};

use super::{AHEAD, Auditor, Change, Finding};
use crate::foundation::ELSEWHERE;

/// A list may be dated when its newest entry is, as far ahead of its maker's clock as that clock may be of the truth.
const LIST_AHEAD: Lifetime = Lifetime::from_seconds(AHEAD.seconds() + 60);

impl Auditor {
    pub(super) fn check_crls(&mut self, record: &Record, changes: &mut Vec<Change>) -> Finding {
        for (key, row) in &record.crls {
            let (authority, number) = key;
            match self.crls.get(key) {
                None => {
                    let mut earlier = self.crls.range((authority.clone(), 0)..=(authority.clone(), u64::MAX));
                    let newest = earlier.next_back().map(|(_, (intent, _))| intent);
                    check_place(newest, &row.intent)?;
                    self.check_past_list(&row.intent)?;
                    if self.partials.was_delta(authority, *number) {
                        let what = format!("CRL {number} of {authority} has the number of a delta that was given out");
                        self.excuse_past(what)?;
                    }
                    if self.is_ahead(row.intent.this_update, LIST_AHEAD) {
                        return Err(format!("CRL {number} of {authority} is dated in the future"));
                    }
                }
                Some((intent, _)) if *intent != row.intent => {
                    return Err(format!("CRL {number} of {authority} was put on record anew, otherwise"));
                }
                Some((_, true)) => continue,
                Some((_, false)) if row.der.is_none() => continue,
                Some((_, false)) => {}
            }
            if let Some(der) = &row.der {
                self.check_list(record, &row.intent, der)?;
                let subject = format!("authority:{authority}");
                changes.push(Change { actions: &[AuditAction::CrlPublished], subject });
            }
            self.crls.insert(key.clone(), (row.intent.clone(), row.der.is_some()));
        }
        Ok(())
    }

    /// A list, as whoever relies on it reads it.
    fn check_list(&self, record: &Record, intent: &CrlIntent, der: &[u8]) -> Finding {
        let what = format!("CRL {} of {}", intent.number, intent.authority);
        let list = ParsedCrl::from_der(der.to_vec()).map_err(|error| format!("{what}: {error}"))?;
        if sha256(list.to_be_signed()) != intent.to_be_signed_sha256 {
            return Err(format!("{what} is not what was put on record before it was signed"));
        }
        if let Some(issuer) = self.issuers.get(&intent.authority) {
            list.verify(issuer.subject(), issuer.public_key()).map_err(|error| format!("{what}: {error}"))?;
        }
        if list.number() != Some(intent.number) || list.this_update() != intent.this_update {
            return Err(format!("{what} has another number or date than its record"));
        }
        // An entry stays on one list after its certificate has ended (RFC 5280 §3.3).
        let earlier = self.crls.range((intent.authority.clone(), 0)..(intent.authority.clone(), intent.number));
        let previous =
            earlier.rev().find(|(_, (_, published))| *published).map(|(_, (previous, _))| previous.this_update);
        // Every revocation up to its sequence number is on it, unless the hold ended meanwhile.
        let listed: Vec<_> = list.entries().map(|entry| entry.serial).collect();
        for row in record.revocations.iter().filter(|row| row.authority == intent.authority) {
            let released = record.revocations.iter().any(|later| {
                later.sequence > row.sequence
                    && later.serial == row.serial
                    && later.authority == row.authority
                    && later.standing == Standing::Active
            });
            let ended = previous.is_some_and(|previous| row.not_after < previous);
            // A provisional serial is in no certificate.
            let ended = ended || row.serial.is_provisional();
            let due = row.sequence <= intent.revocation_sequence && !ended && !released;
            if due && row.standing != Standing::Active && !listed.contains(&row.serial) {
                return Err(format!("{what} says it holds the revocation {} and lacks it", row.sequence));
            }
        }
        let revoked = |row: &&RevocationRow| row.standing != Standing::Active;
        // What an issuer elsewhere revoked by itself may not be on record here.
        let is_ours = intent.authority.as_str() != ELSEWHERE;
        for serial in listed.into_iter().filter(|_| is_ours) {
            if !record.revocations.iter().filter(revoked).any(|row| row.serial == serial) {
                return Err(format!("{what} lists {serial}, which was never revoked"));
            }
        }
        Ok(())
    }

    /// A list was put where relying parties fetch it.
    pub(crate) fn list_in_place(&mut self, list: &ListName, number: u64, der: &[u8]) {
        let authority = &list.authority;
        let on_record = self.store.tables(|record| match list.part {
            None => record.crls.get(&(authority.clone(), number)).is_some_and(|row| row.der.as_deref() == Some(der)),
            Some(part) => {
                let intent = record.partial_crls.get(&(authority.clone(), part, number));
                let read = ParsedCrl::from_der(der.to_vec()).ok();
                let digest = read.map(|list| sha256(list.to_be_signed()));
                intent.is_some_and(|intent| Some(intent.crl.to_be_signed_sha256) == digest)
            }
        });
        if !on_record {
            self.violated(format!("CRL {number} of {list} was put in place and is not on record"));
        }
        let newest = self.in_place.insert(list.clone(), number).unwrap_or(0);
        if newest > number {
            self.violated(format!("CRL {number} of {list} was put in place of CRL {newest}"));
        }
    }

    /// The newest list of the authority that issues elsewhere tells of all that is revoked, but of what was revoked because of it.
    pub(crate) fn check_list_of_issuer(&self, authority: &AuthorityId) -> Finding {
        self.store.tables(|record| {
            let is_its_own = |row: &&RevocationRow| row.authority == *authority && !row.serial.is_provisional();
            let Some(last) = record.revocations.iter().rfind(is_its_own) else { return Ok(()) };
            let lists = record.crls.values().filter(|row| row.intent.authority == *authority && row.der.is_some());
            let told = lists.map(|row| row.intent.revocation_sequence).max().unwrap_or(0);
            match told >= last.sequence {
                true => Ok(()),
                false => {
                    Err(format!("the list of {authority} tells of revocations up to {told}, not of {}", last.sequence))
                }
            }
        })
    }

    /// The newest list of an authority holds every serial that is revoked now.
    pub(crate) fn check_list_is_whole(&self, authority: &AuthorityId) -> Finding {
        self.store.tables(|record| {
            let lists = record.crls.values().filter(|row| row.intent.authority == *authority);
            let newest = lists.filter(|row| row.der.is_some()).max_by_key(|row| row.intent.number);
            let sequence = newest.map_or(0, |row| row.intent.revocation_sequence);
            match record.revocations.iter().rfind(|row| row.authority == *authority) {
                Some(last) if last.sequence > sequence => {
                    Err(format!("the newest list of {authority} ends at {sequence}, before {}", last.sequence))
                }
                _ => Ok(()),
            }
        })
    }
}

fn check_place(newest: Option<&CrlIntent>, intent: &CrlIntent) -> Finding {
    let Some(newest) = newest else { return Ok(()) };
    if intent.number > newest.number && intent.this_update >= newest.this_update {
        return Ok(());
    }
    Err(format!(
        "CRL {} of {} dated {} comes after CRL {} dated {}",
        intent.number, intent.authority, intent.this_update, newest.number, newest.this_update
    ))
}
