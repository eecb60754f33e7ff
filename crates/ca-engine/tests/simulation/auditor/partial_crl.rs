//! Shards and deltas: numbers and times only rise, each scope by itself and the delta with the complete list; a shard holds its serials and
//! no others, and a delta makes of its base what stood when it was made.

use std::collections::BTreeMap;

use ca_core::audit::AuditAction;
use ca_core::crl::{EntryReason, ParsedCrl, PartialScope};
use ca_core::hash::sha256;
use ca_core::id::AuthorityId;
use ca_core::revocation::Standing;
use ca_engine::fake::Record;
use ca_engine::port::store::{PartialIntent, RevocationRow};

use super::{Auditor, Change, Finding};

type Key = (AuthorityId, PartialScope, u64);

/// The shards and deltas that were seen.
#[derive(Default)]
pub(super) struct Partials {
    /// Those on record, and whether they were published.
    known: BTreeMap<Key, (PartialIntent, bool)>,
    /// The digest of what was published under a number, before a record was set back.
    past: BTreeMap<Key, [u8; 32]>,
}

impl Partials {
    /// Takes the record for granted; what was published before stays published.
    pub(super) fn remember(&mut self, record: &Record) {
        let published = self.known.iter().filter(|(_, (_, published))| *published);
        self.past.extend(published.map(|(key, (intent, _))| (key.clone(), intent.crl.to_be_signed_sha256)));
        self.known.clear();
        for (key, intent) in &record.partial_crls {
            self.known.insert(key.clone(), (intent.clone(), is_published(record, key)));
        }
    }
}

impl Partials {
    /// Whether a delta was published under a number, before a record was set back: complete lists share the sequence.
    pub(super) fn was_delta(&self, authority: &AuthorityId, number: u64) -> bool {
        self.past.contains_key(&(authority.clone(), PartialScope::Delta, number))
    }
}

fn is_published(record: &Record, (authority, scope, number): &Key) -> bool {
    let published = record.published_partials.get(&(authority.clone(), *scope));
    published.is_some_and(|(published, _)| published == number)
}

impl Auditor {
    pub(super) fn check_partial_crls(&mut self, record: &Record, changes: &mut Vec<Change>) -> Finding {
        if self.partials.known.keys().any(|list| !record.partial_crls.contains_key(list)) {
            return Err("a shard or delta is gone from the record".to_owned());
        }
        for (key, intent) in &record.partial_crls {
            let (authority, scope, number) = key;
            let what = format!("CRL {number} of {authority}, {scope}");
            let published = is_published(record, key);
            match self.partials.known.get(key) {
                None => self.check_partial_place(record, &what, key, intent)?,
                Some((known, _)) if known != intent => return Err(format!("{what} was put on record anew, otherwise")),
                Some((_, before)) if *before || !published => continue,
                Some(_) => {}
            }
            if published {
                let (_, der) = &record.published_partials[&(authority.clone(), *scope)];
                let der = der.to_vec().map_err(|error| format!("{what}: {error}"))?;
                self.check_partial_list(record, &what, intent, der)?;
                let subject = format!("authority:{authority}");
                changes.push(Change { actions: &[AuditAction::CrlPublished], subject });
            }
            self.partials.known.insert(key.clone(), (intent.clone(), published));
        }
        Ok(())
    }

    fn check_partial_place(&self, record: &Record, what: &str, key: &Key, intent: &PartialIntent) -> Finding {
        let (authority, scope, number) = key;
        let of_scope = |number| (authority.clone(), *scope, number);
        let mut others = self.partials.known.range(of_scope(0)..=of_scope(u64::MAX));
        if let Some((_, (newest, _))) = others.next_back()
            && (newest.crl.number >= *number || newest.crl.this_update > intent.crl.this_update)
        {
            return Err(format!("{what} does not come after {}", newest.crl.number));
        }
        if *scope == PartialScope::Delta {
            let complete = record.crls.range((authority.clone(), 0)..=(authority.clone(), u64::MAX)).next_back();
            if complete.is_some_and(|((_, complete), _)| complete >= number) {
                return Err(format!("{what} is not above the complete list"));
            }
            if self.was_complete_list(authority, *number) {
                self.excuse_past(format!("{what} has the number of a complete list that was given out"))?;
            }
        }
        match self.partials.past.get(key) {
            Some(digest) if *digest != intent.crl.to_be_signed_sha256 => {
                self.excuse_past(format!("{what} was published before the record was set back, with other octets"))
            }
            _ => Ok(()),
        }
    }

    fn check_partial_list(&self, record: &Record, what: &str, intent: &PartialIntent, der: Vec<u8>) -> Finding {
        let list = ParsedCrl::from_der(der).map_err(|error| format!("{what}: {error}"))?;
        let crl = &intent.crl;
        if sha256(list.to_be_signed()) != crl.to_be_signed_sha256 || list.number() != Some(crl.number) {
            return Err(format!("{what} is not what was put on record before it was signed"));
        }
        if let Some(issuer) = self.issuers.get(&crl.authority) {
            list.verify(issuer.subject(), issuer.public_key()).map_err(|error| format!("{what}: {error}"))?;
        }
        match intent.scope {
            PartialScope::Shard(shard) => {
                let uri = format!("http://pki.example.org/crl/{}/{shard}.crl", crl.authority);
                if list.distribution_point() != Some(uri.as_str()) || list.is_delta() {
                    return Err(format!("{what} does not name its shard"));
                }
                if list.entries().any(|entry| entry.serial.shard() != Some(shard)) {
                    return Err(format!("{what} lists a serial of another shard"));
                }
                let key = (crl.authority.clone(), intent.scope, 0);
                let earlier = self.partials.known.range(key..(crl.authority.clone(), intent.scope, crl.number));
                let previous = earlier.rev().find(|(_, (_, published))| *published);
                let previous = previous.map(|(_, (previous, _))| previous.crl.this_update);
                let ended = |row: &RevocationRow| previous.is_some_and(|previous| row.not_after < previous);
                let due = last_rows(record, &crl.authority, 0)
                    .into_values()
                    .filter(|row| row.serial.shard() == Some(shard) && row.sequence <= crl.revocation_sequence)
                    .find(|row| row.standing != Standing::Active && !ended(row) && list.find(&row.serial).is_none());
                due.map_or(Ok(()), |row| Err(format!("{what} lacks the revocation {}", row.sequence)))
            }
            PartialScope::Delta => {
                let base = intent.base_number.and_then(|base| record.crls.get(&(crl.authority.clone(), base)));
                let Some(base) = base.filter(|base| base.der.is_some()) else {
                    return Err(format!("{what} starts from a list that was never published"));
                };
                if !list.is_delta() || base.intent.number >= crl.number {
                    return Err(format!("{what} is no delta to its base"));
                }
                for row in last_rows(record, &crl.authority, base.intent.revocation_sequence).into_values() {
                    let told = list.find(&row.serial).map(|entry| entry.reason);
                    let is_removal = told == Some(Some(EntryReason::RemoveFromCrl));
                    // A later change may be on it, or not.
                    let is_told = row.sequence > crl.revocation_sequence
                        || (told.is_some() && is_removal == (row.standing == Standing::Active));
                    if !is_told {
                        return Err(format!("{what} does not tell of the change {}", row.sequence));
                    }
                }
                Ok(())
            }
        }
    }

    /// The newest shards and delta of an authority hold every change.
    pub(crate) fn check_partial_lists_are_whole(&self, authority: &AuthorityId) -> Finding {
        self.store.tables(|record| {
            for ((_, scope), (number, _)) in record.published_partials.iter().filter(|((of, _), _)| of == authority) {
                let intent = &record.partial_crls[&(authority.clone(), *scope, *number)];
                let concerns = |row: &&RevocationRow| match scope {
                    PartialScope::Shard(shard) => row.serial.shard() == Some(*shard),
                    PartialScope::Delta => true,
                };
                let rows = record.revocations.iter().filter(|row| row.authority == *authority);
                let last = rows.filter(concerns).map(|row| row.sequence).max().unwrap_or(0);
                if last > intent.crl.revocation_sequence {
                    return Err(format!("the newest {scope} of {authority} ends before {last}"));
                }
            }
            match record.published_partials.keys().filter(|(of, _)| of == authority).count() {
                3 => Ok(()),
                count => Err(format!("{authority} has {count} published shards and deltas instead of 3")),
            }
        })
    }
}

/// The last change of each serial after a number of the sequence.
fn last_rows<'a>(
    record: &'a Record,
    authority: &AuthorityId,
    after: u64,
) -> BTreeMap<&'a ca_core::serial::Serial, &'a RevocationRow> {
    let rows = record.revocations.iter().filter(|row| row.authority == *authority && row.sequence > after);
    rows.map(|row| (&row.serial, row)).collect()
}
