//! Makes and publishes the complete CRL of an authority (RFC 5280 §5): collected as a stream, linted, put on record, signed,
//! checked, put on record, published. Run by one leased job; a GET never signs.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::crl::{self, CrlContext, CrlEntry, CrlTemplate, CrlWriter, LintedCrl, PreviousCrl};
use ca_core::hash::sha256;
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_core::signing::Signable;
use ca_core::time::{Lifetime, Timestamp};

use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::Authority;
use crate::port::store::{CrlIntent, Journal, KeyHome, Lease, OutboxMessage, PublishedCrl};

/// How many entries are read from the record at a time.
const BATCH: u32 = 5_000;

/// Makes the next CRL of an authority and publishes it. `lease` is the one this authority's lists are made under.
pub async fn publish_crl(
    engine: &Engine,
    principal: &Principal,
    authority_id: &AuthorityId,
    lease: &Lease,
) -> Result<PublishedCrl, FlowError> {
    // 1. Who signs, and is the clock to be trusted?
    engine.check_clock()?;
    let authority = engine.authority(authority_id)?;
    let signer = authority.signer()?;
    // 2. The next number, and a time that is not before the last one's.
    let this_update = engine.now().floor_to_second();
    let newest = engine.store().newest_crl(authority_id).await?;
    if let Some(newest) = newest.as_ref().filter(|newest| newest.intent.this_update > this_update) {
        return Err(FlowError::new(
            FlowErrorKind::SigningSuspended,
            "the service's clock is behind its last CRL, so it makes none",
        )
        .with_detail(format!(
            "CRL {} of {authority_id} was made at {}",
            newest.intent.number, newest.intent.this_update
        )));
    }
    let number = newest.as_ref().map_or(1, |newest| newest.intent.number + 1);
    let before =
        newest.map(|newest| PreviousCrl { number: newest.intent.number, this_update: newest.intent.this_update });
    let previous = engine.store().published_crl(authority_id).await?;
    // 3. Collect: every revocation up to this sequence number is in, some later ones may be.
    let revocation_sequence = engine.store().revocation_sequence().await?;
    // An entry stays on one list after its certificate has expired (RFC 5280 §3.3).
    let not_after_from = previous.map_or(Timestamp::from_unix_seconds(0), |previous| previous.intent.this_update);
    let next_update = this_update.plus(validity(engine, &authority)).min(authority.facts().validity.not_after);
    let template = CrlTemplate {
        issuer: authority.certificate().subject().clone(),
        authority_key_identifier: authority.facts().key_identifier.clone(),
        signature_algorithm: signer.algorithm(),
        this_update,
        next_update,
        number,
        base_number: None,
        issuing_distribution_point: None,
        freshest_crl: None,
        expired_certs_on_crl: None,
    };
    let context = CrlContext {
        issuer: authority.certificate().subject(),
        key_identifier: &authority.facts().key_identifier,
        signature_algorithm: signer.algorithm(),
        previous: before,
    };
    let linted = collect(engine, authority_id, template, &context, not_after_from).await?;
    // 4. On record before the key is used.
    let intent = CrlIntent {
        authority: authority_id.clone(),
        number,
        this_update,
        next_update,
        entries: linted.entries(),
        revocation_sequence,
        to_be_signed_sha256: sha256(linted.to_be_signed()),
    };
    engine.store().intend_crl(lease, intent.clone()).await?;
    // 5. Sign, and check the signature.
    let signature = signer.sign(&linted).await?;
    authority
        .certificate()
        .public_key()
        .verify(signature.algorithm, linted.to_be_signed(), &signature.octets)
        .map_err(|_| FlowError::internal(format!("the signature of CRL {number} of {authority_id} does not verify")))?;
    let der = crl::assemble(linted, &signature).map_err(FlowError::internal)?;
    // 6. On record, then out.
    let journal = publication(engine, principal, &intent);
    engine.store().publish_crl(lease, authority_id, number, der.clone(), journal).await?;
    put_out(engine, authority_id, number, &der).await?;
    Ok(PublishedCrl { intent, der })
}

/// From this size on a list is not made anew for every revocation.
pub const LARGE_LIST: u64 = 10_000;

/// How far large lists are apart at the least.
pub const LARGE_LIST_INTERVAL: Lifetime = Lifetime::from_seconds(10);

/// Whether an authority's next CRL is due: it has none, its last intent was not published, `interval` has passed since, or
/// one of its certificates was revoked or released since (lists of [`LARGE_LIST`] entries: at most every
/// [`LARGE_LIST_INTERVAL`]).
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
    let mut sequence = intent.revocation_sequence;
    loop {
        let rows = engine.store().revocations_after(sequence, 1_000).await?;
        let Some(last) = rows.last() else { return Ok(false) };
        if rows.iter().any(|row| row.authority == *authority) {
            return Ok(true);
        }
        sequence = last.sequence;
    }
}

/// Puts the newest list of every authority where the publisher keeps them, as after a start or a failed publication.
pub async fn republish(engine: &Engine) -> Result<(), FlowError> {
    for authority in engine.hierarchy().authorities() {
        if let Some(published) = engine.store().published_crl(authority.id()).await? {
            put_out(engine, authority.id(), published.intent.number, &published.der).await?;
        }
    }
    Ok(())
}

async fn put_out(engine: &Engine, authority: &AuthorityId, number: u64, der: &[u8]) -> Result<(), FlowError> {
    engine.publisher().publish_crl(authority, number, der).await.map_err(|error| {
        FlowError::new(
            FlowErrorKind::Unavailable,
            "the CRL is on record but could not be put in place; it will be tried again",
        )
        .with_detail(error)
    })
}

async fn collect(
    engine: &Engine,
    authority: &AuthorityId,
    template: CrlTemplate,
    context: &CrlContext<'_>,
    not_after_from: Timestamp,
) -> Result<LintedCrl, FlowError> {
    let mut writer = CrlWriter::new(template).map_err(FlowError::internal)?;
    let mut after = None;
    loop {
        let page = engine.store().revoked_serials(authority, not_after_from, after.as_ref(), BATCH).await?;
        let last = page.len() < BATCH as usize;
        for (serial, revocation) in &page {
            writer.push(&CrlEntry::new(serial.clone(), revocation)).map_err(FlowError::internal)?;
        }
        after = page.into_iter().next_back().map(|(serial, _)| serial);
        if last {
            break;
        }
    }
    let to_be_signed = writer.finish().map_err(FlowError::internal)?;
    crl::lint_crl(to_be_signed, context).map_err(|findings| {
        FlowError::internal(format!("the CRL of {authority} is not well-formed and was not signed: {findings:?}"))
    })
}

/// A list of an authority whose key is in a file lives until the next ceremony.
fn validity(engine: &Engine, authority: &Authority) -> Lifetime {
    match authority.record().key_home {
        KeyHome::File => engine.settings().offline_crl_validity,
        KeyHome::Sealed(_) => engine.settings().crl_validity,
    }
}

fn publication(engine: &Engine, principal: &Principal, intent: &CrlIntent) -> Journal {
    let event = AuditEvent::new(
        engine.now(),
        AuditAction::CrlPublished,
        principal.reference(),
        format!("authority:{}", intent.authority),
    )
    .with("number", intent.number)
    .with("entries", intent.entries)
    .with("next_update", intent.next_update);
    let payload = serde_json::json!({
        "authority": intent.authority.as_str(),
        "entries": intent.entries,
        "next_update": intent.next_update.to_rfc3339(),
        "number": intent.number,
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
