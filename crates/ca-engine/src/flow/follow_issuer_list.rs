//! Takes the list of an authority that issues elsewhere from its issuer, which alone can sign one: fetched, verified, put on record and
//! published like every list. Run by one leased job.
//!
//! Nothing is believed but the signature. A list that is older than the one on record, or that forgets a certificate which still
//! stands as revoked, is not taken; what it revokes of ours is revoked on record too. Such a list comes later than a revocation, by
//! as much as [`issuer_list_lag`] tells; our own OCSP does not wait for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use ca_core::crl::{CrlEntry, ParsedCrl};
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};

use super::import_crl::{Place, intent_of, place, reason_of, record};
use super::publish_crl::put_out;
use super::revoke::{RevokeRequest, revoke_by_issuer};
use super::watch_clock::assure_clock;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::{Authority, Hand};
use crate::port::certificate_issuer::IssuerList;
use crate::port::list_octets::ListOctets;
use crate::port::store::{Lease, PublishedCrl, RevocationRow, SerialState, Store};

/// How often an issuer is asked for its list: it makes the next one within half an hour of a revocation, so this adds little.
pub const INTERVAL: Lifetime = Lifetime::from_seconds(60);

/// How long an issuer may take from a revocation until its list, or its own OCSP, tells of it, as AWS documents it.
pub const LATEST: Lifetime = Lifetime::from_seconds(3_600);

/// How many entries of the sequence of revocations are read at a time.
const PAGE: u32 = 1_000;

/// What came of a look at an issuer's list.
#[derive(Clone, Debug)]
pub enum FollowedList {
    /// The authority's lists are made here.
    MadeHere,
    /// There is none.
    None(ListSource),
    /// It is the one on record.
    Unchanged {
        /// What to give as `seen` at the next look.
        version: Option<String>,
    },
    /// It is on record and published now.
    Taken {
        /// The list.
        list: Arc<PublishedCrl>,
        /// What to give as `seen` at the next look.
        version: Option<String>,
        /// The certificates on record that it revoked.
        revoked: Vec<Serial>,
    },
}

/// What is known of an issuer's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListSource {
    /// Nobody has looked yet.
    Unknown,
    /// The issuer is configured to publish none.
    NotPublished,
    /// It publishes one, and had made none at the last look.
    NotMadeYet,
    /// It publishes one.
    Published,
}

impl ListSource {
    const NAMED: [(Self, &'static str); 3] =
        [(Self::NotPublished, "none"), (Self::NotMadeYet, "to come"), (Self::Published, "published")];
}

/// Looks at the list of an issuer, and takes it when it is newer than what is on record. `lease` is that of the authority's lists
/// ([`super::publish_crl::lease_name`]); `seen` the version that this process took last.
pub async fn follow_issuer_list(
    engine: &Engine,
    principal: &Principal,
    authority_id: &AuthorityId,
    lease: &Lease,
    seen: Option<&str>,
) -> Result<FollowedList, FlowError> {
    assure_clock(engine).await?;
    let authority = engine.authority(authority_id)?;
    let Hand::Elsewhere(issuer) = authority.hand()? else { return Ok(FollowedList::MadeHere) };
    // 1. What lies there.
    let found = issuer.list(seen).await?;
    let source = match &found {
        IssuerList::NotPublished => ListSource::NotPublished,
        IssuerList::NotMadeYet => ListSource::NotMadeYet,
        IssuerList::Unchanged | IssuerList::Found { .. } => ListSource::Published,
    };
    note_source(engine, authority_id, source).await?;
    let (der, version) = match found {
        IssuerList::NotPublished | IssuerList::NotMadeYet => return Ok(FollowedList::None(source)),
        IssuerList::Unchanged => return Ok(FollowedList::Unchanged { version: seen.map(str::to_owned) }),
        IssuerList::Found { der, version } => (der, version),
    };
    // 2. Whose it is, and its place among those on record.
    let list = ParsedCrl::from_der(der).map_err(|error| refused(&authority, &error))?;
    list.verify(authority.certificate().subject(), authority.certificate().public_key())
        .map_err(|error| refused(&authority, &error))?;
    let intent = intent_of(engine, &authority, &list).await?;
    let place = place(engine, &intent).await?;
    if let Place::Published(_) = place {
        return Ok(FollowedList::Unchanged { version });
    }
    // 3. It forgets nothing; and what it revokes is revoked here.
    let serials: BTreeSet<Serial> = list.entries().map(|entry| entry.serial).collect();
    let before = published(engine, authority_id).await?;
    if let Some(before) = &before {
        refuse_what_it_forgets(engine, &authority, &before.parsed, &list, &serials).await?;
    }
    let revoked = revoke_entries(engine, principal, &authority, &list, before.as_ref()).await?;
    // 4. Up to where of the sequence of revocations it tells: those that wait for a list wait for this number.
    let since = before.as_ref().map_or(0, |before| before.list.intent.revocation_sequence);
    let revocation_sequence = told_until(engine, authority_id, since, list.this_update(), &serials).await?;
    let intent = crate::port::store::CrlIntent { revocation_sequence, ..intent };
    // 5. On record, then out.
    if matches!(place, Place::New) {
        engine.store().intend_crl(lease, intent.clone()).await?;
    }
    let list = Arc::new(PublishedCrl { intent, der: ListOctets::from(list.as_der()) });
    record(engine, principal, lease, &list, "issuer").await?;
    engine.published_lists().keep(Arc::clone(&list));
    put_out(engine, &list).await?;
    Ok(FollowedList::Taken { list, version, revoked })
}

/// What the last look at an issuer's list found, by whichever process.
pub async fn list_source(store: &dyn Store, authority: &AuthorityId) -> Result<ListSource, FlowError> {
    let text = store.setting(&setting_name(authority)).await?;
    let named = |(_, name): &&(ListSource, &str)| text.as_deref() == Some(name.as_bytes());
    Ok(ListSource::NAMED.iter().find(named).map_or(ListSource::Unknown, |(source, _)| *source))
}

/// How far a published list is behind the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListLag {
    /// How many revocations it may not tell of yet, of certificates that have not ended.
    pub revocations: u64,
    /// When the first of them was made.
    pub since: Option<Timestamp>,
}

/// How far the list of an authority that issues elsewhere is behind the record; all of its revocations where there is no list.
pub async fn issuer_list_lag(engine: &Engine, authority: &AuthorityId) -> Result<ListLag, FlowError> {
    let newest = engine.store().published_crl(authority).await?;
    let (mut lag, now) = (ListLag::default(), engine.now());
    let mut after = newest.map_or(0, |list| list.intent.revocation_sequence);
    loop {
        let rows = engine.store().revocations_after(after, PAGE).await?;
        let Some(last) = rows.last().map(|row| row.sequence) else { return Ok(lag) };
        for row in rows.iter().filter(|row| is_to_be_listed(row, authority, now)) {
            lag.revocations += 1;
            if let (Standing::Revoked(revocation), None) = (row.standing, lag.since) {
                lag.since = Some(revocation.revoked_at);
            }
        }
        after = last;
    }
}

/// The list on record that readers have.
struct Before {
    list: Arc<PublishedCrl>,
    parsed: ParsedCrl,
}

async fn published(engine: &Engine, authority: &AuthorityId) -> Result<Option<Before>, FlowError> {
    let numbers = engine.store().published_numbers().await?;
    let Some((_, number)) = numbers.into_iter().find(|(id, _)| id == authority) else { return Ok(None) };
    let Some(list) = engine.published_list(authority, number).await? else { return Ok(None) };
    let der = list.der.to_vec().map_err(FlowError::internal)?;
    let parsed = ParsedCrl::from_der(der).map_err(FlowError::internal)?;
    Ok(Some(Before { list, parsed }))
}

/// An entry may leave a list when its certificate has ended, and never before (RFC 5280 §3.3).
async fn refuse_what_it_forgets(
    engine: &Engine,
    authority: &Authority,
    before: &ParsedCrl,
    list: &ParsedCrl,
    serials: &BTreeSet<Serial>,
) -> Result<(), FlowError> {
    for entry in before.entries().filter(|entry| !serials.contains(&entry.serial)) {
        let Some(status) = engine.store().status(authority.id(), &entry.serial).await? else { continue };
        let is_revoked = matches!(status.state, SerialState::Issued(Standing::Revoked(_)) | SerialState::Abandoned(_));
        if is_revoked && status.not_after >= list.this_update() {
            let why = format!(
                "serial number {} is on the list before it and not on this one, though its certificate has not ended: it would \
                 be valid again for whoever reads this list",
                entry.serial
            );
            return Err(refused(authority, &why));
        }
    }
    Ok(())
}

/// Revokes on record what the list has beyond the one before it: somebody told the issuer and not us.
async fn revoke_entries(
    engine: &Engine,
    principal: &Principal,
    authority: &Authority,
    list: &ParsedCrl,
    before: Option<&Before>,
) -> Result<Vec<Serial>, FlowError> {
    let known: BTreeSet<Serial> =
        before.map(|before| before.parsed.entries().map(|entry| entry.serial).collect()).unwrap_or_default();
    let mut revoked = Vec::new();
    for entry in list.entries().filter(|entry| !known.contains(&entry.serial)) {
        let Some(status) = engine.store().status(authority.id(), &entry.serial).await? else { continue };
        if !matches!(status.state, SerialState::Issued(Standing::Active)) {
            continue;
        }
        let request = RevokeRequest {
            certificate: status.certificate,
            reason: lasting_reason(&entry),
            invalidity_date: entry.invalidity_date.filter(|date| *date <= engine.now()),
            request_id: None,
        };
        revoke_by_issuer(engine, principal, &request).await?;
        tracing::warn!(authority = %authority.id(), serial = %entry.serial, "an issuer's list revokes a certificate that was valid here; it is revoked");
        revoked.push(entry.serial);
    }
    Ok(revoked)
}

/// A hold could not be ended here.
fn lasting_reason(entry: &CrlEntry) -> RevocationReason {
    match reason_of(entry) {
        RevocationReason::CertificateHold => RevocationReason::Unspecified,
        reason => reason,
    }
}

/// The number up to which a list tells of every revocation of the sequence.
async fn told_until(
    engine: &Engine,
    authority: &AuthorityId,
    since: u64,
    this_update: Timestamp,
    serials: &BTreeSet<Serial>,
) -> Result<u64, FlowError> {
    let newest = engine.store().revocation_sequence().await?;
    let mut told = since;
    loop {
        let rows = engine.store().revocations_after(told, PAGE).await?;
        let Some(last) = rows.last().map(|row| row.sequence) else { return Ok(told.max(newest)) };
        for row in &rows {
            if is_to_be_listed(row, authority, this_update) && !serials.contains(&row.serial) {
                return Ok(row.sequence - 1);
            }
        }
        told = last;
    }
}

/// Whether an entry of the sequence belongs on an authority's list of an instant. A provisional serial is in no certificate.
fn is_to_be_listed(row: &RevocationRow, authority: &AuthorityId, at: Timestamp) -> bool {
    row.authority == *authority
        && matches!(row.standing, Standing::Revoked(_))
        && !row.serial.is_provisional()
        && row.not_after >= at
}

async fn note_source(engine: &Engine, authority: &AuthorityId, source: ListSource) -> Result<(), FlowError> {
    let Some((_, name)) = ListSource::NAMED.iter().find(|(named, _)| *named == source) else { return Ok(()) };
    let setting = setting_name(authority);
    let on_record = engine.store().setting(&setting).await?;
    if on_record.as_deref() != Some(name.as_bytes()) {
        // Where another was faster, what it found is as true.
        engine.store().set_setting(&setting, on_record.as_deref(), name.as_bytes()).await?;
    }
    Ok(())
}

fn setting_name(authority: &AuthorityId) -> String {
    format!("issuer-list.{authority}")
}

fn refused(authority: &Authority, why: &dyn std::fmt::Display) -> FlowError {
    let message = format!("the list that the issuer of {} publishes is not taken: {why}", authority.id());
    FlowError::new(FlowErrorKind::InvalidCredential, message)
}
