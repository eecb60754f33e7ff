//! Makes and publishes the complete CRL of an authority (RFC 5280 §5): collected as a stream, linted, put on record, signed,
//! checked, put on record, published. Run by one leased job; a GET never signs.
//!
//! A list is held nowhere as a whole: its octets go to the spool in pieces, pass through the lint once more, which takes the digest
//! that is signed, and are read from there by whoever keeps or serves them.

use std::sync::Arc;
use std::task::Poll;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::crl::{
    CrlContext, CrlEntry, CrlLint, CrlTbs, CrlTemplate, CrlWriter, LintedCrl, ListName, PartialScope, PreviousCrl,
};
use ca_core::id::AuthorityId;
use ca_core::key::SignatureAlgorithm;
use ca_core::lint::Finding;
use ca_core::principal::Principal;
use ca_core::serial::{Serial, ShardNumber};
use ca_core::signing::{Envelope, Signable};
use ca_core::time::{Lifetime, Timestamp};

use super::bulk_revoke;
use super::list_scope::{Entries, ListScope};
use super::watch_clock::{TOLERANCE, assure_clock};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::Authority;
use crate::port::list_octets::{ListOctets, PIECE};
use crate::port::signer::Signer;
use crate::port::spool::{SpoolWriter, SpooledOctets};
use crate::port::store::{CrlIntent, Journal, Lease, OutboxMessage, PublishedCrl, StoreError};

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
    let place = Place::next(engine, authority_id).await?;
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
        let validity = match authority.record().key_home.is_offline() {
            true => engine.settings().offline_crl_validity,
            false => engine.settings().crl_validity,
        };
        let validity = scope.validity.map_or(validity, |shorter| validity.min(shorter));
        let (this_update, end) = (this_update.floor_to_second(), authority.facts().validity.not_after);
        let next_update = if scope.is_last { end } else { this_update.plus(validity).min(end) };
        Self { this_update, next_update }
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

/// A list that can be signed, and where its octets are.
pub(super) struct Collected {
    pub(super) linted: LintedCrl,
    /// What comes before and after the pieces.
    tbs: CrlTbs,
    pieces: Arc<dyn SpooledOctets>,
    pub(super) times: Times,
}

/// Writes the list and lints it. It is dated anew when an entry is newer than its place says.
pub(super) async fn collect(
    engine: &Engine,
    authority: &Authority,
    algorithm: SignatureAlgorithm,
    place: &Place,
    scope: &ListScope,
) -> Result<Collected, FlowError> {
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
    let mut pieces = engine.spool().begin().map_err(no_room)?;
    let not_after_from = place.not_after_from;
    let newest_date =
        write_entries(engine, authority.id(), &mut writer, &mut *pieces, not_after_from, &scope.entries).await?;
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
    let (tbs, pieces) = (writer.finish().map_err(FlowError::internal)?, pieces.finish().map_err(no_room)?);
    refuse_too_long(engine, authority.id(), (tbs.before.len() + tbs.after.len()) as u64 + pieces.count())?;
    let linted = lint(&tbs, &*pieces, context).await?.map_err(|findings| {
        let id = authority.id();
        FlowError::internal(format!("the CRL of {id} is not well-formed and was not signed: {findings:?}"))
    })?;
    Ok(Collected { linted, tbs, pieces, times })
}

/// What no database keeps must not be signed either: a number would be used up every few seconds, for a list that nobody gets.
fn refuse_too_long(engine: &Engine, authority: &AuthorityId, octets: u64) -> Result<(), FlowError> {
    let longest = engine.store().longest_list();
    if octets <= longest {
        return Ok(());
    }
    let message = format!(
        "the next CRL of {authority} would have {octets} octets, and the database keeps none of more than {longest}; the one that is \
         published stays. Entries leave the list when their certificates have ended: issue from a new authority, whose list \
         begins empty, and let this one's certificates end"
    );
    Err(FlowError::new(FlowErrorKind::AuthorityCannotSign, message))
}

/// Reads the list again, from where it lies.
async fn lint(
    tbs: &CrlTbs,
    pieces: &dyn SpooledOctets,
    context: CrlContext<'_>,
) -> Result<Result<LintedCrl, Vec<Finding>>, FlowError> {
    let mut lint = CrlLint::new(context);
    lint.update(&tbs.before);
    let (mut from, mut piece) = (0, Vec::new());
    while from < pieces.count() {
        let left = usize::try_from(pieces.count() - from).unwrap_or(usize::MAX);
        piece.resize(left.min(PIECE), 0);
        pieces.read(from, &mut piece).map_err(no_room)?;
        lint.update(&piece);
        from += piece.len() as u64;
        let_others_go_on().await;
    }
    lint.update(&tbs.after);
    Ok(lint.finish())
}

/// Gives every entry to the writer, and its pieces to the spool; returns the newest date among the entries, of revocation or
/// invalidity.
async fn write_entries(
    engine: &Engine,
    authority: &AuthorityId,
    writer: &mut CrlWriter,
    pieces: &mut dyn SpoolWriter,
    not_after_from: Timestamp,
    entries: &Entries,
) -> Result<Timestamp, FlowError> {
    let mut newest_date = Timestamp::from_unix_seconds(0);
    let mut write = |writer: &mut CrlWriter, entry: &CrlEntry| {
        newest_date = newest_date.max(entry.revoked_at);
        newest_date = entry.invalidity_date.map_or(newest_date, |date| newest_date.max(date));
        writer.push(entry).map_err(FlowError::internal)
    };
    // The serials of a shard follow each other.
    let (first, shard) = match entries {
        Entries::All => (None, None),
        Entries::InShard(shard) => (Some(shard.before_its_serials()), Some(*shard)),
        Entries::Given(entries) => {
            entries.iter().try_for_each(|entry| write(writer, entry))?;
            put_aside(writer, pieces)?;
            return Ok(newest_date);
        }
    };
    let end = shard.and_then(|shard| ShardNumber::new(shard.get() + 1)).map(ShardNumber::before_its_serials);
    let read = |after: Option<Serial>| async move {
        engine.store().revoked_serials(authority, not_after_from, after.as_ref(), BATCH).await
    };
    let mut page = read(first).await?;
    loop {
        let is_within = |serial: &Serial| end.as_ref().is_none_or(|end| serial < end);
        let after = page.last().map(|(serial, _)| serial.clone());
        let after = after.filter(|serial| page.len() == BATCH as usize && is_within(serial));
        let mut write_page = || -> Result<(), FlowError> {
            for (serial, revocation) in std::mem::take(&mut page) {
                // Between the serials of a shard lie some that only look like theirs.
                if shard.is_none() || serial.shard() == shard {
                    write(writer, &CrlEntry::new(serial, &revocation))?;
                }
            }
            put_aside(writer, pieces)
        };
        let Some(after) = after else {
            write_page()?;
            return Ok(newest_date);
        };
        // The database looks for the next page while this one is written.
        let (next, written) = futures::join!(read(Some(after)), async { write_page() });
        written?;
        page = next?;
    }
}

/// Gives what the writer has finished to the spool.
fn put_aside(writer: &mut CrlWriter, pieces: &mut dyn SpoolWriter) -> Result<(), FlowError> {
    match writer.take_piece() {
        Some(piece) => pieces.append(&piece).map_err(no_room),
        None => Ok(()),
    }
}

/// The list could not be put aside while it was made.
pub(super) fn no_room(error: std::io::Error) -> FlowError {
    FlowError::new(FlowErrorKind::Unavailable, "the CRL could not be kept while it was made; it will be tried again")
        .with_detail(error)
}

/// Lets other tasks of the thread run in between.
async fn let_others_go_on() {
    let mut gone_on = false;
    std::future::poll_fn(|context| {
        if gone_on {
            return Poll::Ready(());
        }
        gone_on = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
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
