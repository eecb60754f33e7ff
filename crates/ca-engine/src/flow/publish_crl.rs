//! Makes and publishes the complete CRL of an authority (RFC 5280 §5): collected as a stream, linted, put on record, signed,
//! checked, put on record, published. Run by one leased job; a GET never signs.

use std::sync::Arc;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::crl::{
    self, CrlContext, CrlEntry, CrlTemplate, CrlWriter, LintedCrl, ListName, PartialScope, PreviousCrl,
};
use ca_core::hash::sha256;
use ca_core::id::AuthorityId;
use ca_core::key::SignatureAlgorithm;
use ca_core::principal::Principal;
use ca_core::serial::ShardNumber;
use ca_core::signing::Signable;
use ca_core::time::{Lifetime, Timestamp};

use super::list_scope::{Entries, ListScope};
use super::watch_clock::{TOLERANCE, assure_clock};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::Authority;
use crate::port::signer::Signer;
use crate::port::store::{CrlIntent, Journal, KeyHome, Lease, OutboxMessage, PublishedCrl, StoreError};

/// How many entries are read from the record at a time.
const BATCH: u32 = 5_000;

/// Makes the next CRL of an authority and publishes it. `lease` is the one this authority's lists are made under.
///
/// The list is dated now; or when its newest entry was revoked, where another replica's clock runs ahead or the collecting took
/// a while. Further ahead than [`TOLERANCE`], nothing is signed.
pub async fn publish_crl(
    engine: &Engine,
    principal: &Principal,
    authority_id: &AuthorityId,
    lease: &Lease,
) -> Result<Arc<PublishedCrl>, FlowError> {
    // 1. Who signs, and is the clock to be trusted?
    assure_clock(engine).await?;
    let authority = engine.authority(authority_id)?;
    let signer = authority.signer()?;
    check_authority_validity(&authority, engine.now())?;
    // 2. The next number, and a time that is not before the last one's.
    let place = Place::next(engine, authority_id).await?;
    // 3. Collect and lint: every revocation up to this sequence number is in, some later ones may be.
    let revocation_sequence = engine.store().revocation_sequence().await?;
    let scope = ListScope::complete(engine, authority_id)?;
    let (linted, times) = collect(engine, &authority, signer.algorithm(), &place, &scope).await?;
    // 4. On record before the key is used.
    let intent = CrlIntent {
        authority: authority_id.clone(),
        number: place.number,
        this_update: times.this_update,
        next_update: times.next_update,
        entries: linted.entries(),
        revocation_sequence,
        to_be_signed_sha256: sha256(linted.to_be_signed()),
    };
    engine.store().intend_crl(lease, intent.clone()).await?;
    // 5. Sign, and check the signature.
    let der = sign(&authority, &**signer, linted, place.number).await?;
    // 6. On record, then out.
    let list = Arc::new(PublishedCrl { intent, der: der.into() });
    record(engine, principal, lease, &list).await?;
    engine.published_lists().keep(Arc::clone(&list));
    put_out(engine, &list).await?;
    Ok(list)
}

/// Where the next list stands among those on record.
pub(super) struct Place {
    pub(super) number: u64,
    /// Now, unless the newest list is dated later.
    pub(super) this_update: Timestamp,
    /// The newest list on record, signed or not.
    pub(super) before: Option<PreviousCrl>,
    /// Entries whose certificates ended before this instant are left out.
    pub(super) not_after_from: Timestamp,
}

impl Place {
    async fn next(engine: &Engine, authority: &AuthorityId) -> Result<Self, FlowError> {
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
        Ok(Self {
            number: newest.as_ref().map_or(0, |newest| newest.number).max(delta) + 1,
            this_update: newest.as_ref().map_or(now, |newest| newest.this_update.max(now)).floor_to_second(),
            before: newest.map(|newest| PreviousCrl { number: newest.number, this_update: newest.this_update }),
            // An entry stays on one list after its certificate has expired (RFC 5280 §3.3).
            not_after_from: previous.unwrap_or(Timestamp::from_unix_seconds(0)),
        })
    }
}

/// When a list is made, and when the next one comes at the latest.
pub(super) struct Times {
    pub(super) this_update: Timestamp,
    pub(super) next_update: Timestamp,
}

impl Times {
    fn of(engine: &Engine, authority: &Authority, scope: &ListScope, this_update: Timestamp) -> Self {
        // A list of an authority whose key is in a file lives until the next ceremony.
        let validity = match authority.record().key_home {
            KeyHome::File => engine.settings().offline_crl_validity,
            KeyHome::Sealed(_) => engine.settings().crl_validity,
        };
        let validity = scope.validity.map_or(validity, |shorter| validity.min(shorter));
        let this_update = this_update.floor_to_second();
        Self { this_update, next_update: this_update.plus(validity).min(authority.facts().validity.not_after) }
    }
}

/// No list is dated outside its issuer's validity: no verifier would believe it.
pub(super) fn check_authority_validity(authority: &Authority, now: Timestamp) -> Result<(), FlowError> {
    let validity = authority.facts().validity;
    if now < validity.not_before {
        let message =
            format!("the clock says {now}, but authority {} begins at {}", authority.id(), validity.not_before);
        return Err(FlowError::new(FlowErrorKind::SigningSuspended, message));
    }
    if authority.has_ended(now) {
        let message = format!("authority {} ended at {}; it signs no more lists", authority.id(), validity.not_after);
        return Err(FlowError::new(FlowErrorKind::AuthorityCannotSign, message));
    }
    Ok(())
}

/// A list dated far ahead would block every later one until then.
fn refuse_future(engine: &Engine, authority: &AuthorityId, this_update: Timestamp) -> Result<(), FlowError> {
    let now = engine.now();
    if this_update.since(now) <= TOLERANCE {
        return Ok(());
    }
    Err(FlowError::new(
        FlowErrorKind::SigningSuspended,
        "the service's clock is behind its last CRL or a revocation on record, so it makes no CRL",
    )
    .with_detail(format!("the next CRL of {authority} cannot be made before {this_update}; the clock says {now}")))
}

pub(super) async fn sign(
    authority: &Authority,
    signer: &dyn Signer,
    linted: LintedCrl,
    number: u64,
) -> Result<Vec<u8>, FlowError> {
    let signature = signer.sign(&linted).await?;
    authority
        .certificate()
        .public_key()
        .verify(signature.algorithm, linted.to_be_signed(), &signature.octets)
        .map_err(|_| {
            FlowError::internal(format!("the signature of CRL {number} of {} does not verify", authority.id()))
        })?;
    crl::assemble(linted, &signature).map_err(FlowError::internal)
}

/// Puts the signed list on record; once more when the acknowledgement was lost, which is harmless.
async fn record(engine: &Engine, principal: &Principal, lease: &Lease, list: &PublishedCrl) -> Result<(), FlowError> {
    let intent = &list.intent;
    let journal = publication(engine, principal, intent);
    let publish = || {
        let (der, journal) = (Arc::clone(&list.der), journal.clone());
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
    is_concerned(engine, &ListName::complete(authority.clone()), intent.revocation_sequence).await
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
    der: &Arc<[u8]>,
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

/// Writes the list and lints it. It is dated anew when an entry is newer than its place says.
pub(super) async fn collect(
    engine: &Engine,
    authority: &Authority,
    algorithm: SignatureAlgorithm,
    place: &Place,
    scope: &ListScope,
) -> Result<(LintedCrl, Times), FlowError> {
    let mut times = Times::of(engine, authority, scope, place.this_update);
    let template = CrlTemplate {
        issuer: authority.certificate().subject().clone(),
        authority_key_identifier: authority.facts().key_identifier.clone(),
        signature_algorithm: algorithm,
        this_update: times.this_update,
        next_update: times.next_update,
        number: place.number,
        base_number: scope.base_number,
        issuing_distribution_point: scope.issuing_distribution_point.clone(),
        freshest_crl: scope.freshest_crl.clone(),
        expired_certs_on_crl: None,
    };
    let mut writer = CrlWriter::new(template).map_err(FlowError::internal)?;
    let newest_date = write_entries(engine, authority.id(), &mut writer, place.not_after_from, &scope.entries).await?;
    if newest_date > times.this_update {
        times = Times::of(engine, authority, scope, newest_date);
        writer.set_times(times.this_update, times.next_update).map_err(FlowError::internal)?;
    }
    refuse_future(engine, authority.id(), times.this_update)?;
    let context = CrlContext {
        issuer: authority.certificate().subject(),
        key_identifier: &authority.facts().key_identifier,
        signature_algorithm: algorithm,
        previous: place.before,
    };
    let linted = crl::lint_crl(writer.finish().map_err(FlowError::internal)?, &context).map_err(|findings| {
        let id = authority.id();
        FlowError::internal(format!("the CRL of {id} is not well-formed and was not signed: {findings:?}"))
    })?;
    Ok((linted, times))
}

/// Gives every entry to the writer; returns the newest date among them, of revocation or invalidity.
async fn write_entries(
    engine: &Engine,
    authority: &AuthorityId,
    writer: &mut CrlWriter,
    not_after_from: Timestamp,
    entries: &Entries,
) -> Result<Timestamp, FlowError> {
    let mut newest_date = Timestamp::from_unix_seconds(0);
    let mut write = |entry: &CrlEntry| {
        newest_date = newest_date.max(entry.revoked_at);
        newest_date = entry.invalidity_date.map_or(newest_date, |date| newest_date.max(date));
        writer.push(entry).map_err(FlowError::internal)
    };
    // The serials of a shard follow each other.
    let (mut after, shard) = match entries {
        Entries::All => (None, None),
        Entries::InShard(shard) => (Some(shard.before_its_serials()), Some(*shard)),
        Entries::Given(entries) => {
            entries.iter().try_for_each(&mut write)?;
            return Ok(newest_date);
        }
    };
    let next = shard.and_then(|shard| ShardNumber::new(shard.get() + 1)).map(ShardNumber::before_its_serials);
    loop {
        let page = engine.store().revoked_serials(authority, not_after_from, after.as_ref(), BATCH).await?;
        let mut last = page.len() < BATCH as usize;
        for (serial, revocation) in page {
            last |= next.as_ref().is_some_and(|next| serial >= *next);
            // Between them lie some that only look like theirs.
            if shard.is_none() || serial.shard() == shard {
                write(&CrlEntry::new(serial.clone(), &revocation))?;
            }
            after = Some(serial);
        }
        if last {
            return Ok(newest_date);
        }
    }
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
