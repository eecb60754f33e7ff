//! Makes and publishes the complete CRL of an authority (RFC 5280 §5): collected as a stream, linted, put on record, signed,
//! checked, put on record, published. Run by one leased job; a GET never signs.
//!
//! How a list is written and read again without being held, [`super::collect_list`] tells.

use std::sync::Arc;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::crl::{ListName, PartialScope, PreviousCrl};
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_core::signing::{Envelope, Signable};
use ca_core::time::{Lifetime, Timestamp};

use super::bulk_revoke;
use super::collect_list::{Collected, Place, check_authority_validity, collect, no_room};
use super::list_scope::ListScope;
use super::watch_clock::assure_clock;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::Authority;
use crate::port::list_octets::ListOctets;
use crate::port::signer::Signer;
use crate::port::store::{CrlIntent, Journal, Lease, OutboxMessage, PublishedCrl, StoreError};

/// Makes the next CRL of an authority and publishes it. `lease` is the one this authority's lists are made under.
///
/// The list is dated now; or when its newest entry was revoked, where another replica's clock runs ahead or the collecting took
/// a while. Further ahead than [`super::watch_clock::TOLERANCE`], nothing is signed.
pub async fn publish_crl(
    engine: &Engine,
    principal: &Principal,
    authority_id: &AuthorityId,
    lease: &Lease,
) -> Result<Arc<PublishedCrl>, FlowError> {
    publish(engine, principal, authority_id, lease, false).await
}

/// The same for the last list of an authority that retires: it may be relied on until the authority's certificate ends.
pub(super) async fn publish_last_crl(
    engine: &Engine,
    principal: &Principal,
    authority_id: &AuthorityId,
    lease: &Lease,
) -> Result<Arc<PublishedCrl>, FlowError> {
    publish(engine, principal, authority_id, lease, true).await
}

async fn publish(
    engine: &Engine,
    principal: &Principal,
    authority_id: &AuthorityId,
    lease: &Lease,
    is_last: bool,
) -> Result<Arc<PublishedCrl>, FlowError> {
    // 1. Who signs, and is the clock to be trusted?
    assure_clock(engine).await?;
    let authority = engine.authority(authority_id)?;
    let signer = authority.signer()?;
    check_authority_validity(&authority, engine.now())?;
    // 2. The next number, and a time that is not before the last one's.
    let place = place(engine, authority_id).await?;
    // 3. Collect and lint: every revocation up to this sequence number is in, some later ones may be.
    let revocation_sequence = engine.store().revocation_sequence().await?;
    let scope = ListScope { is_last, ..ListScope::complete(engine, authority_id)? };
    let collected = collect(engine, &authority, signer.algorithm(), &place, &scope).await?;
    // 4. On record before the key is used.
    let intent = CrlIntent {
        authority: authority_id.clone(),
        number: place.number,
        this_update: collected.times.this_update,
        next_update: collected.times.next_update,
        entries: collected.linted.entries(),
        revocation_sequence,
        to_be_signed_sha256: collected.linted.sha256(),
    };
    engine.store().intend_crl(lease, intent.clone()).await?;
    // 5. Sign, and check the signature.
    let der = sign(&authority, &**signer, collected, place.number).await?;
    // 6. On record, then out.
    let list = Arc::new(PublishedCrl { intent, der });
    record(engine, principal, lease, &list).await?;
    engine.published_lists().keep(Arc::clone(&list));
    put_out(engine, &list).await?;
    Ok(list)
}

/// Where the next complete list stands.
async fn place(engine: &Engine, authority: &AuthorityId) -> Result<Place, FlowError> {
    let now = engine.now();
    let newest = engine.store().newest_crl(authority).await?;
    let previous = match &newest {
        Some(newest) if newest.published => Some(newest.intent.this_update),
        // One that was cut off: what readers have is the list before it.
        Some(_) => engine.store().published_crl(authority).await?.map(|list| list.intent.this_update),
        None => None,
    };
    let newest = newest.map(|newest| newest.intent);
    // RFC 5280 §5.2.3: complete lists and deltas are numbered in one sequence.
    let delta = engine.store().newest_partial_crl(authority, PartialScope::Delta).await?;
    let delta = delta.map_or(0, |delta| delta.intent.crl.number);
    Ok(Place {
        number: newest.as_ref().map_or(0, |newest| newest.number).max(delta) + 1,
        this_update: newest.as_ref().map_or(now, |newest| newest.this_update.max(now)).floor_to_second(),
        before: newest.map(|newest| PreviousCrl { number: newest.number, this_update: newest.this_update }),
        // An entry stays on one list after its certificate has expired (RFC 5280 §3.3).
        not_after_from: previous.unwrap_or(Timestamp::from_unix_seconds(0)),
    })
}

pub(super) async fn sign(
    authority: &Authority,
    signer: &dyn Signer,
    collected: Collected,
    number: u64,
) -> Result<ListOctets, FlowError> {
    let Collected { linted, tbs, pieces, .. } = collected;
    let signature = signer.sign(&linted).await?;
    linted.message().verify(authority.certificate().public_key(), &signature).map_err(|_| {
        FlowError::internal(format!("the signature of CRL {number} of {} does not verify", authority.id()))
    })?;
    let Envelope { before, after } = linted.envelope(&signature).map_err(FlowError::internal)?;
    ListOctets::around([before, tbs.before].concat(), pieces, [tbs.after, after].concat()).map_err(no_room)
}

/// Puts the signed list on record; once more when the acknowledgement was lost, which is harmless.
async fn record(engine: &Engine, principal: &Principal, lease: &Lease, list: &PublishedCrl) -> Result<(), FlowError> {
    let intent = &list.intent;
    let journal = publication(engine, principal, intent);
    let publish = || {
        let (der, journal) = (list.der.clone(), journal.clone());
        engine.store().publish_crl(lease, &intent.authority, intent.number, der, journal)
    };
    match publish().await {
        Err(StoreError::Unknown { .. }) => Ok(publish().await?),
        recorded => Ok(recorded?),
    }
}

/// From this size on a list is not made anew for every revocation.
pub const LARGE_LIST: u64 = 10_000;

/// How far large lists are apart at the least.
pub const LARGE_LIST_INTERVAL: Lifetime = Lifetime::from_seconds(10);

/// Whether an authority's next CRL is due: it has none, its last intent was not published, `interval` has passed since, or
/// one of its certificates was revoked or released since (lists of [`LARGE_LIST`] entries: at most every
/// [`LARGE_LIST_INTERVAL`]; while a bulk revocation of its certificates runs: at most every [`bulk_revoke::LIST_INTERVAL`]).
pub async fn is_due(engine: &Engine, authority: &AuthorityId, interval: Lifetime) -> Result<bool, FlowError> {
    let now = engine.now();
    let Some(newest) = engine.store().newest_crl(authority).await? else { return Ok(true) };
    let intent = newest.intent;
    if !newest.published || now >= intent.this_update.plus(interval) {
        return Ok(true);
    }
    if intent.entries >= LARGE_LIST && now < intent.this_update.plus(LARGE_LIST_INTERVAL) {
        return Ok(false);
    }
    Ok(is_concerned(engine, &ListName::complete(authority.clone()), intent.revocation_sequence).await?
        && !waits_for_bulk(engine, authority, intent.this_update).await?)
}

/// Whether an entry of the sequence of revocations after this one concerns the authority of a list.
pub(super) async fn is_concerned(engine: &Engine, list: &ListName, sequence: u64) -> Result<bool, FlowError> {
    let mut sequence = engine.quiet_until(list, sequence);
    loop {
        let rows = engine.store().revocations_after(sequence, 1_000).await?;
        let Some(last) = rows.last() else { return Ok(false) };
        if rows.iter().any(|row| row.authority == list.authority) {
            return Ok(true);
        }
        sequence = last.sequence;
        engine.set_quiet_until(list, sequence);
    }
}

/// Whether a list would be stale as soon as it is made, since a bulk revocation of the authority's certificates is running: then
/// lists are [`bulk_revoke::LIST_INTERVAL`] apart.
pub(super) async fn waits_for_bulk(
    engine: &Engine,
    authority: &AuthorityId,
    last_made: Timestamp,
) -> Result<bool, FlowError> {
    if engine.now() >= last_made.plus(bulk_revoke::LIST_INTERVAL) {
        return Ok(false);
    }
    let running = engine.store().running_bulk_revocations().await?;
    Ok(running.iter().any(|operation| operation.shares.iter().any(|share| share.authority == *authority)))
}

/// Whether an authority has a list that was published.
pub async fn has_published_list(engine: &Engine, authority: &AuthorityId) -> Result<bool, FlowError> {
    Ok(engine.store().published_numbers().await?.iter().any(|(id, _)| id == authority))
}

pub(super) async fn put_out(engine: &Engine, list: &PublishedCrl) -> Result<(), FlowError> {
    let name = ListName::complete(list.intent.authority.clone());
    put_in_place(engine, &name, list.intent.number, &list.der).await
}

/// Puts a list that is on record where others fetch it.
pub(super) async fn put_in_place(
    engine: &Engine,
    name: &ListName,
    number: u64,
    der: &ListOctets,
) -> Result<(), FlowError> {
    engine.publisher().publish_crl(name, number, der).await.map_err(|error| {
        FlowError::new(
            FlowErrorKind::Unavailable,
            "the CRL is on record but could not be put in place; it will be tried again",
        )
        .with_detail(error)
    })?;
    engine.set_list_in_place(name, number);
    Ok(())
}

pub(super) fn publication(engine: &Engine, principal: &Principal, intent: &CrlIntent) -> Journal {
    publication_of(engine, principal, intent, None)
}

/// The event and the message of a list that was published; of a delta, and of a shard.
pub(super) fn publication_of(
    engine: &Engine,
    principal: &Principal,
    intent: &CrlIntent,
    part: Option<PartialScope>,
) -> Journal {
    let scope = ListName { authority: intent.authority.clone(), part }.scope();
    let event = AuditEvent::new(
        engine.now(),
        AuditAction::CrlPublished,
        principal.reference(),
        format!("authority:{}", intent.authority),
    )
    .with("number", intent.number)
    .with("entries", intent.entries)
    .with("next_update", intent.next_update)
    .with("scope", &scope);
    let payload = serde_json::json!({
        "authority": intent.authority.as_str(),
        "entries": intent.entries,
        "next_update": intent.next_update.to_rfc3339(),
        "number": intent.number,
        "scope": scope,
    });
    Journal::of(event).telling(OutboxMessage {
        topic: "crl.published",
        certificate: None,
        payload: payload.to_string(),
    })
}

/// The name of the lease under which an authority's lists are made.
pub fn lease_name(authority: &AuthorityId) -> String {
    format!("crl:{authority}")
}
