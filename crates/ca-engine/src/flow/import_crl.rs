//! Takes a complete CRL on record that was signed elsewhere: by a root that others hold, or in a ceremony on a machine without
//! network. From then on it is published like every other, until the next one comes.
//!
//! Nothing is believed but the signature: the number must rise, the list must be in force, hold every certificate that the record
//! knows to be revoked, and what it revokes of ours is revoked on record too.

use std::sync::Arc;

use ca_core::crl::{CrlEntry, EntryReason, ParsedCrl};
use ca_core::hash::sha256;
use ca_core::principal::Principal;
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::serial::Serial;

use super::adopt::keyless;
use super::publish_crl::{lease_name, publication, put_out};
use super::revoke::{RevokeRequest, revoke};
use super::watch_clock::{TOLERANCE, assure_clock};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::Authority;
use crate::port::list_octets::ListOctets;
use crate::port::store::{CrlIntent, Lease, PublishedCrl, SerialState, StoreError};

/// How many revoked certificates are read from the record at a time.
const BATCH: u32 = 1_000;

/// What came of an import.
#[derive(Clone, Debug)]
pub struct ImportedCrl {
    /// The list as it is on record.
    pub list: Arc<PublishedCrl>,
    /// The certificates on record that it revoked: their serial numbers.
    pub revoked: Vec<Serial>,
    /// Whether it was on record already.
    pub was_known: bool,
}

/// The authority on record that signed a list, and the name of the lease under which it is imported.
pub fn issuer_of(engine: &Engine, list: &ParsedCrl) -> Result<(Arc<Authority>, String), FlowError> {
    let hierarchy = engine.hierarchy();
    let signed = |authority: &&Arc<Authority>| {
        let certificate = authority.certificate();
        list.verify(certificate.subject(), certificate.public_key()).is_ok()
    };
    let Some(authority) = hierarchy.authorities().iter().find(signed) else {
        let message = format!("no authority on record signed this list; it names `{}` as its issuer", list.issuer());
        return Err(refused(message));
    };
    if !keyless(authority) {
        let whose = match authority.issues_elsewhere() {
            true => "fetched from its issuer by this service",
            false => "made by this service, with its key",
        };
        return Err(refused(format!("the lists of `{}` are {whose}", authority.id())));
    }
    Ok((Arc::clone(authority), lease_name(authority.id())))
}

/// Takes the list on record and publishes it. `lease` is the one of [`issuer_of`].
pub async fn import_crl(
    engine: &Engine,
    principal: &Principal,
    list: &ParsedCrl,
    lease: &Lease,
) -> Result<ImportedCrl, FlowError> {
    if *principal != Principal::LocalOperator {
        return Err(FlowError::new(FlowErrorKind::AccessDenied, "lists are imported on the host of the service"));
    }
    assure_clock(engine).await?;
    // 1. What it says of itself.
    let (authority, _) = issuer_of(engine, list)?;
    let intent = intent_of(engine, &authority, list).await?;
    // 2. Its place among those on record.
    let place = place(engine, &intent).await?;
    if let Place::Published(list) = place {
        return Ok(ImportedCrl { list, revoked: Vec::new(), was_known: true });
    }
    // 3. Nothing that is revoked becomes valid by it; and what it revokes is revoked here.
    refuse_what_it_lacks(engine, &authority, list).await?;
    let revoked = revoke_entries(engine, principal, &authority, list).await?;
    // 4. On record, then out.
    if matches!(place, Place::New) {
        engine.store().intend_crl(lease, intent.clone()).await?;
    }
    let imported = Arc::new(PublishedCrl { intent, der: ListOctets::from(list.as_der()) });
    record(engine, principal, lease, &imported, "imported").await?;
    engine.published_lists().keep(Arc::clone(&imported));
    put_out(engine, &imported).await?;
    Ok(ImportedCrl { list: imported, revoked, was_known: false })
}

pub(super) async fn intent_of(
    engine: &Engine,
    authority: &Authority,
    list: &ParsedCrl,
) -> Result<CrlIntent, FlowError> {
    let now = engine.now();
    if list.is_delta() || list.distribution_point().is_some() {
        return Err(refused("it covers a part of what its issuer revoked; the complete list is wanted".to_owned()));
    }
    let Some(number) = list.number() else {
        return Err(refused("it has no CRL number, so that nobody can tell whether it is the newest".to_owned()));
    };
    let Some(next_update) = list.next_update() else {
        return Err(refused("it does not say when the next one comes (nextUpdate)".to_owned()));
    };
    if next_update <= now {
        return Err(refused(format!(
            "it ended at {next_update}, and now is {now}; the one that came after it is wanted"
        )));
    }
    if list.this_update().since(now) > TOLERANCE {
        return Err(refused(format!("it begins at {}, and now is {now}; it is taken then", list.this_update())));
    }
    Ok(CrlIntent {
        authority: authority.id().clone(),
        number,
        this_update: list.this_update(),
        next_update,
        entries: list.entry_count(),
        revocation_sequence: engine.store().revocation_sequence().await?,
        to_be_signed_sha256: sha256(list.to_be_signed()),
    })
}

/// Where a list stands among those on record.
pub(super) enum Place {
    /// It is the newest, and published.
    Published(Arc<PublishedCrl>),
    /// An import of it was cut off.
    Intended,
    /// It follows those on record.
    New,
}

/// Its place; an error when it may not follow those on record.
pub(super) async fn place(engine: &Engine, intent: &CrlIntent) -> Result<Place, FlowError> {
    let Some(newest) = engine.store().newest_crl(&intent.authority).await? else { return Ok(Place::New) };
    let is_same =
        newest.intent.number == intent.number && newest.intent.to_be_signed_sha256 == intent.to_be_signed_sha256;
    if is_same {
        let list = match newest.published {
            true => engine.published_list(&intent.authority, intent.number).await?,
            false => None,
        };
        return Ok(list.map_or(Place::Intended, Place::Published));
    }
    let (number, this_update) = (newest.intent.number, newest.intent.this_update);
    if intent.number <= number {
        return Err(refused(format!(
            "its number is {}, and number {number} is on record; numbers must rise (RFC 5280 §5.2.3)",
            intent.number
        )));
    }
    if intent.this_update < this_update {
        return Err(refused(format!("it is dated {}, before the one on record, of {this_update}", intent.this_update)));
    }
    Ok(Place::New)
}

async fn refuse_what_it_lacks(engine: &Engine, authority: &Authority, list: &ParsedCrl) -> Result<(), FlowError> {
    let now = engine.now();
    let mut after: Option<Serial> = None;
    loop {
        let page = engine.store().revoked_serials(authority.id(), now, after.as_ref(), BATCH).await?;
        for (serial, _) in &page {
            if list.find(serial).is_none() && is_revoked(engine, authority, serial).await? {
                return Err(refused(format!(
                    "serial number {serial} is revoked on record and is not on it: it would be valid again for whoever reads \
                     this list"
                )));
            }
        }
        match page.last() {
            Some((serial, _)) if page.len() == BATCH as usize => after = Some(serial.clone()),
            _ => return Ok(()),
        }
    }
}

/// Whether a certificate of this serial number was on record before it was revoked: of one that was given up, nobody else knows.
async fn is_revoked(engine: &Engine, authority: &Authority, serial: &Serial) -> Result<bool, FlowError> {
    let status = engine.store().status(authority.id(), serial).await?;
    Ok(status.is_some_and(|status| matches!(status.state, SerialState::Issued(Standing::Revoked(_)))))
}

async fn revoke_entries(
    engine: &Engine,
    principal: &Principal,
    authority: &Authority,
    list: &ParsedCrl,
) -> Result<Vec<Serial>, FlowError> {
    let mut revoked = Vec::new();
    for entry in list.entries() {
        let Some(status) = engine.store().status(authority.id(), &entry.serial).await? else { continue };
        if !matches!(status.state, SerialState::Issued(Standing::Active)) {
            continue;
        }
        let request = RevokeRequest {
            certificate: status.certificate,
            reason: reason_of(&entry),
            invalidity_date: entry.invalidity_date.filter(|date| *date <= engine.now()),
            request_id: None,
        };
        revoke(engine, principal, &request).await?;
        revoked.push(entry.serial);
    }
    if !revoked.is_empty() {
        // One of them may be an authority of ours, which issues no more.
        engine.reload_hierarchy().await?;
    }
    Ok(revoked)
}

pub(super) fn reason_of(entry: &CrlEntry) -> RevocationReason {
    let same = |reason: &RevocationReason| EntryReason::of(*reason) == entry.reason;
    RevocationReason::ALL.into_iter().find(same).unwrap_or(RevocationReason::Unspecified)
}

/// Once more when the acknowledgement was lost, which is harmless.
pub(super) async fn record(
    engine: &Engine,
    principal: &Principal,
    lease: &Lease,
    list: &PublishedCrl,
    origin: &str,
) -> Result<(), FlowError> {
    let intent = &list.intent;
    let mut journal = publication(engine, principal, intent);
    journal.event = journal.event.with("origin", origin);
    let publish = || {
        let (der, journal) = (list.der.clone(), journal.clone());
        engine.store().publish_crl(lease, &intent.authority, intent.number, der, journal)
    };
    match publish().await {
        Err(StoreError::Unknown { .. }) => Ok(publish().await?),
        recorded => Ok(recorded?),
    }
}

fn refused(message: String) -> FlowError {
    FlowError::new(FlowErrorKind::InvalidCredential, format!("the list is not taken: {message}"))
}
