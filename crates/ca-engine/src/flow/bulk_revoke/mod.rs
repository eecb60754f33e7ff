//! Revocation of many certificates: counted first, begun with what was counted, carried out batch by batch.
//!
//! What is to be revoked is settled when it begins: the ids lie on record with it, so that nothing that is issued later is reached,
//! nobody needs the caller's filter again, and whoever holds the lease goes on from where another was cut off. A batch is one
//! commit, and takes itself from the record with what it changed. Which certificates are reached, [`selection`] says; how a batch
//! is made, [`batch`].

mod batch;
mod selection;

use std::collections::BTreeSet;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::hash::sha256;
use ca_core::id::{AuthorityId, BulkRevocationId, CertificateId};
use ca_core::principal::Principal;
use ca_core::revocation::RevocationReason;
use ca_core::time::{Lifetime, Timestamp};

use self::selection::{Selected, Selector};
use super::issue::{IDEMPOTENCY_LIFETIME, scope};
use super::query::{CertificateName, permit};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::authorizer::{Action, Resource};
use crate::port::store::{
    BulkBeginning, BulkRepetition, BulkRevocation, BulkRevocationState, BulkShare, Idempotency, Journal, NameQuery,
    StoreError, StoredCertificate,
};

pub use self::batch::{Advance, LEASE_NAME, advance};
pub use self::selection::{BulkFilter, BulkSelection, EXAMPLES, MOST_CERTIFICATES, MOST_NAMED, REFUSALS_LISTED};

/// While a bulk revocation runs, lists of its issuers are not made anew for every batch: so far apart are they at the least. When
/// it has ended, the next list is made at once.
pub const LIST_INTERVAL: Lifetime = Lifetime::from_seconds(15);

/// A request to revoke many certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkRevokeRequest {
    /// Which.
    pub selection: BulkSelection,
    /// Why.
    pub reason: RevocationReason,
    /// Since when their keys are not to be trusted.
    pub invalidity_date: Option<Timestamp>,
    /// The request it came with.
    pub request_id: Option<String>,
}

/// What a request would revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkCount {
    /// How many certificates.
    pub count: u64,
    /// The same, by issuer and profile.
    pub shares: Vec<BulkShare>,
    /// What was issued from this instant on was not counted. Of a list of certificates there is none.
    pub issued_before: Option<Timestamp>,
    /// The newest of them, [`EXAMPLES`] at most.
    pub examples: Vec<StoredCertificate>,
    /// How many the caller may not revoke.
    pub refused: u64,
    /// The first of those, [`REFUSALS_LISTED`] at most.
    pub refused_first: Vec<CertificateId>,
    /// How many are revoked already, so that nothing is to be done.
    pub already_revoked: u64,
    /// How many certificates of authorities, responders, listeners and operators fit the filter and are left out, because it does not
    /// name their profile.
    pub internal: u64,
}

/// Counts what a request would revoke. Nothing is changed.
pub async fn count_bulk_revocation(
    engine: &Engine,
    principal: &Principal,
    request: &BulkRevokeRequest,
) -> Result<BulkCount, FlowError> {
    permit_bulk(engine, principal)?;
    let mut selection = request.selection.clone();
    let mut pinned = None;
    // What is issued between the count and the revocation is in neither.
    if let BulkSelection::Filter(filter) = &mut selection {
        let before = filter.issued_before.map_or(engine.now(), |before| before.min(engine.now()));
        filter.issued_before = Some(before);
        pinned = Some(before);
    }
    let selected = select(engine, principal, request, &selection).await?;
    Ok(BulkCount {
        count: selected.certificates.len() as u64,
        shares: selected.shares(),
        issued_before: pinned,
        examples: selected.examples,
        refused: selected.refused,
        refused_first: selected.refused_first,
        already_revoked: selected.already_revoked,
        internal: selected.internal,
    })
}

/// Begins a bulk revocation of exactly `expected` certificates: as many as a count has found. From its commit on it is carried out
/// by whoever holds the lease [`LEASE_NAME`], until it is completed or somebody ends it.
pub async fn begin_bulk_revocation(
    engine: &Engine,
    principal: &Principal,
    request: &BulkRevokeRequest,
    expected: u64,
    idempotency_key: Option<&str>,
) -> Result<BulkRevocation, FlowError> {
    engine.check_anchor()?;
    // 1. May the caller revoke many at once?
    permit_bulk(engine, principal)?;
    // 2. Was the same asked before?
    let now = engine.now();
    let idempotency = idempotency_key.map(|key| Idempotency {
        scope_sha256: scope(principal, "revoke-bulk", key),
        request_sha256: request_digest(request, expected),
        expires_at: now.plus(IDEMPOTENCY_LIFETIME),
    });
    if let Some(asked) = &idempotency
        && let Some(repetition) = engine.store().repeated_bulk_revocation(asked, now).await?
    {
        return repeated(engine, repetition).await;
    }
    // 3. Which certificates, and are they as many as were counted?
    let selected = select(engine, principal, request, &request.selection).await?;
    let count = selected.certificates.len() as u64;
    if count != expected {
        return Err(FlowError::new(
            FlowErrorKind::CountChanged,
            format!(
                "{expected} certificates were to be revoked, and {count} fit now; nothing was revoked: count again"
            ),
        ));
    }
    // 4. On record, with everything that is to be revoked.
    let operation = operation(principal, request, &selected, BulkRevocationId::new(now, engine.random()?), now);
    let ids: Vec<CertificateId> = selected.certificates.into_iter().collect();
    let batches = ids.chunks(engine.settings().bulk_batch.max(1)).map(<[CertificateId]>::to_vec).collect();
    let journal = Journal::of(begun(principal, &operation));
    let begun = engine.store().begin_bulk_revocation(operation.clone(), batches, idempotency, journal).await;
    match begun {
        Ok(BulkBeginning::Begun) => Ok(operation),
        Ok(BulkBeginning::Repeated(repetition)) => repeated(engine, repetition).await,
        // It is there, or it is not: that can be seen.
        Err(StoreError::Unknown { detail }) => match engine.store().bulk_revocation(operation.id).await? {
            Some(operation) => Ok(operation),
            None => Err(StoreError::Unknown { detail }.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// One bulk revocation.
pub async fn bulk_revocation(
    engine: &Engine,
    principal: &Principal,
    id: BulkRevocationId,
) -> Result<BulkRevocation, FlowError> {
    permit(engine, principal, Action::ListBulkRevocations, Resource::Service)?;
    engine.store().bulk_revocation(id).await?.ok_or_else(not_found)
}

/// Of each issuer the number of the newest list, where that has everything that a bulk revocation has revoked; nothing while it is
/// running.
pub async fn lists_of(engine: &Engine, operation: &BulkRevocation) -> Result<Vec<(AuthorityId, u64)>, FlowError> {
    let mut lists = Vec::new();
    if operation.state == BulkRevocationState::Running {
        return Ok(lists);
    }
    let issuers: BTreeSet<&AuthorityId> = operation.shares.iter().map(|share| &share.authority).collect();
    for issuer in issuers {
        let newest = engine.store().newest_crl(issuer).await?;
        let has_all = newest.filter(|list| list.published && list.intent.revocation_sequence >= operation.sequence);
        lists.extend(has_all.map(|list| (issuer.clone(), list.intent.number)));
    }
    Ok(lists)
}

/// Bulk revocations, newest first.
pub async fn list_bulk_revocations(
    engine: &Engine,
    principal: &Principal,
    after: Option<BulkRevocationId>,
    limit: u32,
) -> Result<Vec<BulkRevocation>, FlowError> {
    permit(engine, principal, Action::ListBulkRevocations, Resource::Service)?;
    Ok(engine.store().bulk_revocations(after, limit).await?)
}

/// Ends a bulk revocation that is running: what it has not revoked yet stands. Asking again is harmless.
pub async fn cancel_bulk_revocation(
    engine: &Engine,
    principal: &Principal,
    id: BulkRevocationId,
    request_id: Option<&str>,
) -> Result<BulkRevocation, FlowError> {
    permit_bulk(engine, principal)?;
    engine.check_anchor()?;
    let subject = format!("bulk-revocation:{id}");
    let event = AuditEvent::new(engine.now(), AuditAction::BulkRevocationCanceled, principal.reference(), subject);
    let journal = Journal::of(event.in_request(request_id));
    match engine.store().end_bulk_revocation(None, id, journal).await {
        Ok(_) | Err(StoreError::Unknown { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let operation = engine.store().bulk_revocation(id).await?.ok_or_else(not_found)?;
    match operation.state {
        BulkRevocationState::Canceled => Ok(operation),
        BulkRevocationState::Completed => Err(FlowError::new(
            FlowErrorKind::BulkRevocationEnded,
            "the bulk revocation is completed; there is nothing left to cancel",
        )),
        BulkRevocationState::Running => Err(StoreError::Unknown { detail: "it is running still".to_owned() }.into()),
    }
}

/// Whoever revokes in bulk is shown what there is to revoke, and so may list it too.
fn permit_bulk(engine: &Engine, principal: &Principal) -> Result<(), FlowError> {
    permit(engine, principal, Action::BulkRevoke, Resource::Service)?;
    permit(engine, principal, Action::ListCertificates, Resource::Service)
}

async fn select(
    engine: &Engine,
    principal: &Principal,
    request: &BulkRevokeRequest,
    selection: &BulkSelection,
) -> Result<Selected, FlowError> {
    if let BulkSelection::Certificates(names) = selection
        && (names.is_empty() || names.len() > MOST_NAMED)
    {
        return Err(FlowError::invalid(
            "certificates-out-of-range",
            "/certificates",
            format!("name 1 to {MOST_NAMED} certificates; more of them are reached by a filter"),
        ));
    }
    let BulkRevokeRequest { reason, invalidity_date, .. } = *request;
    Selector { engine, principal, reason, invalidity_date, now: engine.now() }.select(selection).await
}

async fn repeated(engine: &Engine, repetition: BulkRepetition) -> Result<BulkRevocation, FlowError> {
    match repetition {
        BulkRepetition::Same(id) => engine.store().bulk_revocation(id).await?.ok_or_else(not_found),
        BulkRepetition::Other => Err(FlowError::new(
            FlowErrorKind::IdempotencyConflict,
            "this idempotency key was used for another request; use a new one",
        )),
    }
}

fn operation(
    principal: &Principal,
    request: &BulkRevokeRequest,
    selected: &Selected,
    id: BulkRevocationId,
    now: Timestamp,
) -> BulkRevocation {
    BulkRevocation {
        id,
        scope: request.selection.to_string(),
        reason: request.reason,
        invalidity_date: request.invalidity_date,
        requested_by: principal.reference(),
        request_id: request.request_id.clone(),
        created_at: now,
        count: selected.certificates.len() as u64,
        shares: selected.shares(),
        refused: selected.refused,
        refused_first: selected.refused_first.clone(),
        state: BulkRevocationState::Running,
        revoked: 0,
        skipped: 0,
        sequence: 0,
        ended_at: None,
    }
}

fn begun(principal: &Principal, operation: &BulkRevocation) -> AuditEvent {
    let subject = format!("bulk-revocation:{}", operation.id);
    AuditEvent::new(operation.created_at, AuditAction::BulkRevocationBegun, principal.reference(), subject)
        .with("count", operation.count)
        .with("reason", operation.reason)
        .with("refused", operation.refused)
        .with("scope", &operation.scope)
        .in_request(operation.request_id.as_deref())
}

/// SHA-256 over everything that decides what is revoked.
fn request_digest(request: &BulkRevokeRequest, expected: u64) -> [u8; 32] {
    let mut octets = Vec::new();
    let mut part = |text: &str| {
        octets.extend_from_slice(&(text.len() as u64).to_be_bytes());
        octets.extend_from_slice(text.as_bytes());
    };
    part(request.reason.as_str());
    part(&request.invalidity_date.map(Timestamp::to_rfc3339).unwrap_or_default());
    part(&expected.to_string());
    match &request.selection {
        BulkSelection::Filter(filter) => {
            part("filter");
            part(&filter.to_string());
            // A record shows the filter without it.
            part(match &filter.name {
                Some(NameQuery::AnyName(text) | NameQuery::Subject(text)) => text,
                None => "",
            });
        }
        BulkSelection::Certificates(names) => {
            part("certificates");
            for name in names {
                part(&match name {
                    CertificateName::Id(id) => id.to_string(),
                    CertificateName::Serial(authority, serial) => format!("{authority}:{serial}"),
                    CertificateName::BareSerial(serial) => serial.to_string(),
                });
            }
        }
    }
    sha256(&octets)
}

fn not_found() -> FlowError {
    FlowError::new(FlowErrorKind::NotFound, "there is no bulk revocation of that id")
}
