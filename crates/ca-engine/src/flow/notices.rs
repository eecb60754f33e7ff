//! Tells ahead of ends that nobody has seen to: of certificates that have no successor and are not managed, or not well, and of
//! authorities whose next generation does not issue yet. Once for each time before the end that is configured.
//!
//! What a notice says is on record with it, so whoever repeats this, or does it at the same time, tells nothing twice.

use std::collections::BTreeSet;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::CertificateId;
use ca_core::name::GeneralName;
use ca_core::notice;
use ca_core::principal::Principal;
use ca_core::profile::ProfileKind;
use ca_core::time::{Lifetime, Timestamp, Validity};
use serde_json::json;

use super::watch_clock::dependable_now;
use crate::engine::Engine;
use crate::error::FlowError;
use crate::generation::line_of;
use crate::hierarchy::{Authority, EXTERNAL_PROFILE};
use crate::port::store::{
    AuthorityState, CertificateFilter, EndingCertificate, ExpiryNotice, Journal, NameQuery, OutboxMessage,
    StatusFilter, StoredCertificate,
};

/// The lease under which it is told: one process at a time looks.
pub const LEASE_NAME: &str = "notices";

/// A notice that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Of what: `certificate:ID` or `authority:ID`.
    pub subject: String,
    /// Its end.
    pub not_after: Timestamp,
    /// What would be right.
    pub detail: String,
}

/// Tells of every end that is near enough and was not told of. Returns what was told now.
pub async fn tell_of_ends(engine: &Engine, principal: &Principal) -> Result<Vec<Told>, FlowError> {
    let now = dependable_now(engine).await?;
    let mut told = tell_of_authorities(engine, principal, now).await?;
    told.extend(tell_of_certificates(engine, principal, now).await?);
    while engine.store().drop_expiry_notices(now, BATCH).await? > 0 {}
    Ok(told)
}

async fn tell_of_authorities(engine: &Engine, principal: &Principal, now: Timestamp) -> Result<Vec<Told>, FlowError> {
    let hierarchy = engine.hierarchy();
    let mut told = Vec::new();
    for authority in hierarchy.authorities() {
        let newest = hierarchy.generations(authority.id()).last().map(|(_, newest)| newest.id().clone());
        let validity = authority.facts().validity;
        let record = authority.record();
        if newest.as_ref() != Some(authority.id()) || record.state == AuthorityState::Retired {
            continue;
        }
        let Some(before) = notice::due(now, validity, &engine.settings().notices.authorities) else { continue };
        let noted = engine.store().expiry_notice(record.certificate).await?;
        if noted.is_some_and(|noted| noted <= before) {
            continue;
        }
        let (subject, detail) = (format!("authority:{}", authority.id()), help_for_authority(authority, validity));
        let payload = json!({
            "authority": authority.id().as_str(),
            "before": before.to_string(),
            "detail": detail,
            "not_after": validity.not_after.to_rfc3339(),
        });
        let message = OutboxMessage { topic: "authority.expiring", certificate: None, payload: payload.to_string() };
        let notice = ExpiryNotice { certificate: record.certificate, not_after: validity.not_after, before };
        told.extend(tell(engine, principal, notice, subject, detail, message).await?);
    }
    Ok(told)
}

fn help_for_authority(authority: &Authority, validity: Validity) -> String {
    let (id, end) = (authority.id(), validity.not_after);
    match &authority.record().parent {
        Some(_) => format!(
            "authority {id} ends at {end} and is the newest of its line: `ca-server authority rollover {}` makes the next one \
             (docs/rollover.md)",
            line_of(id)
        ),
        None => format!(
            "root {id} ends at {end}, and with it everything below it: make another root, have it trusted, and put it beside this one \
             with `ca-server authority import-root` (docs/rollover.md)"
        ),
    }
}

async fn tell_of_certificates(engine: &Engine, principal: &Principal, now: Timestamp) -> Result<Vec<Told>, FlowError> {
    let settings = &engine.settings().notices.certificates;
    let (mut told, mut after) = (Vec::new(), (now, CertificateId::from_bytes([0; 16])));
    let Some(horizon) = horizon(engine, now) else { return Ok(told) };
    loop {
        let page = engine.store().ending_certificates(after, horizon, BATCH).await?;
        let Some(last) = page.last() else { return Ok(told) };
        after = (last.validity.not_after, last.id);
        for ending in page {
            let Some(before) = notice::due(now, ending.validity, settings) else { continue };
            let is_well = ending.managed.as_ref().is_some_and(|managed| !managed.paused && managed.failures == 0);
            if is_well || ending.noted.is_some_and(|noted| noted <= before) || is_told_otherwise(engine, &ending) {
                continue;
            }
            told.extend(tell_of_certificate(engine, principal, now, &ending, before).await?);
        }
    }
}

/// No certificate that ends later has a notice due: by the longest lifetime that profiles give, and a year for what came from elsewhere.
fn horizon(engine: &Engine, now: Timestamp) -> Option<Timestamp> {
    let leaves = engine.profiles().values().filter(|profile| profile.kind() == ProfileKind::Leaf);
    let longest = leaves.map(|profile| profile.maximum_validity()).chain([Lifetime::from_days(366)]).max()?;
    let validity = Validity { not_before: now, not_after: now.plus(longest) };
    let before = engine.settings().notices.certificates.iter().map(|before| before.of(validity)).max()?;
    // Whoever is due at this very second.
    Some(now.plus(before).plus(Lifetime::from_seconds(1)))
}

/// Whether it is an authority's, or a responder's, which the service renews by itself.
fn is_told_otherwise(engine: &Engine, ending: &EndingCertificate) -> bool {
    let kind = engine.profiles().get(&ending.profile).map(|profile| profile.kind());
    kind.is_some_and(|kind| kind != ProfileKind::Leaf) || ending.profile.as_str() == EXTERNAL_PROFILE
}

async fn tell_of_certificate(
    engine: &Engine,
    principal: &Principal,
    now: Timestamp,
    ending: &EndingCertificate,
    before: Lifetime,
) -> Result<Option<Told>, FlowError> {
    let notice = ExpiryNotice { certificate: ending.id, not_after: ending.validity.not_after, before };
    // It was removed meanwhile.
    let Some(stored) = engine.store().certificate(ending.id).await? else { return Ok(None) };
    if is_replaced(engine, now, &stored).await? {
        // Noted, so that its place is not looked for each time; at the next time before its end it is judged again.
        engine.store().note_expiry(notice, None).await?;
        return Ok(None);
    }
    let (subject, detail) = (format!("certificate:{}", ending.id), help_for_certificate(ending));
    let payload = json!({
        "authority": ending.authority.as_str(),
        "before": before.to_string(),
        "certificate": ending.id.to_string(),
        "detail": detail,
        "name": ending.managed.as_ref().map(|managed| &managed.name),
        "not_after": ending.validity.not_after.to_rfc3339(),
        "owner": ending.owner,
        "profile": ending.profile.as_str(),
        "serial": ending.serial.to_string(),
    });
    let topic = "certificate.expiring";
    let message = OutboxMessage { topic, certificate: Some(ending.id), payload: payload.to_string() };
    tell(engine, principal, notice, subject, detail, message).await
}

/// Whether another certificate of the same profile, for the same subject and names, is in force and ends later: many clients ask for a new
/// certificate instead of renewing the one they have.
async fn is_replaced(engine: &Engine, now: Timestamp, stored: &StoredCertificate) -> Result<bool, FlowError> {
    let name = match stored.names.first() {
        Some(name) => NameQuery::AnyName(name.value_text()),
        None => NameQuery::Subject(stored.subject.to_rfc4514()),
    };
    let filter = CertificateFilter {
        status: Some(StatusFilter::Active),
        profile: Some(stored.profile.clone()),
        ends_from: Some(Timestamp::from_unix_millis(stored.validity.not_after.unix_millis().saturating_add(1))),
        name: Some(name),
        ..CertificateFilter::all(now)
    };
    let names = |certificate: &StoredCertificate| -> BTreeSet<String> {
        certificate.names.iter().map(GeneralName::to_string).collect()
    };
    let (wanted, mut after) = (names(stored), None);
    loop {
        let page = engine.store().list(&filter, after, BATCH).await?;
        if page.items.iter().any(|other| other.subject == stored.subject && names(other) == wanted) {
            return Ok(true);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(false),
        }
    }
}

fn help_for_certificate(ending: &EndingCertificate) -> String {
    let (id, end) = (ending.id, ending.validity.not_after);
    match &ending.managed {
        Some(managed) if managed.paused => format!(
            "certificate {id} ends at {end}, and its managed certificate {} is paused: have it resumed (docs/renewal.md)",
            managed.name
        ),
        Some(managed) => format!(
            "certificate {id} ends at {end}, and its managed certificate {} fails to be rotated: its last failure tells why \
             (docs/renewal.md)",
            managed.name
        ),
        None => format!(
            "certificate {id} ends at {end} and nobody has renewed it: renew it where its key is (`ca-cli renew`), or revoke it where it is \
             used no more"
        ),
    }
}

/// Notes and tells, unless somebody was first.
async fn tell(
    engine: &Engine,
    principal: &Principal,
    notice: ExpiryNotice,
    subject: String,
    detail: String,
    message: OutboxMessage,
) -> Result<Option<Told>, FlowError> {
    let event = AuditEvent::new(engine.now(), AuditAction::ExpiryNoticed, principal.reference(), subject.clone())
        .with("before", notice.before)
        .with("not_after", notice.not_after.to_rfc3339());
    let is_new = engine.store().note_expiry(notice, Some(Journal::of(event).telling(message))).await?;
    Ok(is_new.then_some(Told { subject, not_after: notice.not_after, detail }))
}

/// How many are looked at, or dropped, at a time.
const BATCH: u32 = 500;
