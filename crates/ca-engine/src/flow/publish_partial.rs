//! Makes and publishes the lists of an authority that cover a part: shards (RFC 5280 §5.2.5) and the delta (§5.2.4). They come after the
//! complete list, by the same steps and under the same lease, and never in its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use ca_core::crl::{CrlEntry, EntryReason, ListName, PartialScope, PreviousCrl};
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_core::revocation::Standing;
use ca_core::serial::{Serial, ShardNumber};
use ca_core::time::{Lifetime, Timestamp};

use super::collect_list::{Place, check_authority_validity, collect};
use super::list_scope::ListScope;
use super::publish_crl::{is_concerned, publication_of, put_in_place, sign};
use super::shards;
use super::watch_clock::assure_clock;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::store::{CrlIntent, Lease, PartialIntent, PartialRecord, PublishedPartial, RevocationRow, StoreError};
use crate::shard_news::ShardNews;

/// How many entries of the sequence of revocations are read at a time.
const BATCH: u32 = 1_000;

/// With more changes than these, a delta starts from the newest complete list.
const LARGE_DELTA: usize = 20_000;

/// Makes the next list of a scope and publishes it. `lease` is the one that this authority's lists are made under.
pub async fn publish_partial(
    engine: &Engine,
    principal: &Principal,
    authority_id: &AuthorityId,
    scope: PartialScope,
    lease: &Lease,
) -> Result<Arc<PublishedPartial>, FlowError> {
    // 1. Who signs, and is the clock to be trusted?
    assure_clock(engine).await?;
    let authority = engine.authority(authority_id)?;
    let signer = authority.signer()?;
    check_authority_validity(&authority, engine.now())?;
    // 2. The next number, and what the list is to hold: every change up to this number of the sequence, some later ones maybe.
    let newest = engine.store().newest_partial_crl(authority_id, scope).await?;
    let place = place(engine, authority_id, scope, newest.as_ref()).await?;
    let (content, revocation_sequence) = match scope {
        PartialScope::Shard(number) => {
            let sequence = engine.store().revocation_sequence().await?;
            (shard_content(engine, authority_id, number).await?, sequence)
        }
        PartialScope::Delta => delta_content(engine, authority_id, newest.as_ref()).await?,
    };
    // 3. Collect and lint.
    let collected = collect(engine, &authority, signer.algorithm(), &place, &content).await?;
    // 4. On record before the key is used.
    let crl = CrlIntent {
        authority: authority_id.clone(),
        number: place.number,
        this_update: collected.times.this_update,
        next_update: collected.times.next_update,
        entries: collected.linted.entries(),
        revocation_sequence,
        to_be_signed_sha256: collected.linted.sha256(),
    };
    let intent = PartialIntent { scope, base_number: content.base_number, crl };
    engine.store().intend_partial_crl(lease, intent.clone()).await?;
    // 5. Sign, and check the signature.
    let der = sign(&authority, &**signer, collected, place.number).await?;
    // 6. On record, then out.
    let list = Arc::new(PublishedPartial { intent, der });
    record(engine, principal, lease, &list).await?;
    let name = ListName::partial(authority_id.clone(), scope);
    engine.published_lists().keep_partial(&name, Arc::clone(&list));
    put_in_place(engine, &name, list.intent.crl.number, &list.der).await?;
    Ok(list)
}

/// Puts the signed list on record; once more when the acknowledgement was lost, which is harmless.
async fn record(
    engine: &Engine,
    principal: &Principal,
    lease: &Lease,
    list: &PublishedPartial,
) -> Result<(), FlowError> {
    let PartialIntent { scope, crl, .. } = &list.intent;
    let journal = publication_of(engine, principal, crl, Some(*scope));
    let publish = || {
        let (der, journal) = (list.der.clone(), journal.clone());
        engine.store().publish_partial_crl(lease, &crl.authority, *scope, crl.number, der, journal)
    };
    match publish().await {
        Err(StoreError::Unknown { .. }) => Ok(publish().await?),
        recorded => Ok(recorded?),
    }
}

/// Where the next list of a scope stands. Its number is above the complete list's too: the delta's because they share a sequence
/// (RFC 5280 §5.2.3), a shard's so that what raises the complete list's number past a gap after a restoration raises every one.
async fn place(
    engine: &Engine,
    authority: &AuthorityId,
    scope: PartialScope,
    newest: Option<&PartialRecord>,
) -> Result<Place, FlowError> {
    let complete = engine.store().newest_crl(authority).await?.map(|complete| complete.intent);
    let newest = newest.map(|newest| &newest.intent.crl);
    let number = newest.map_or(0, |newest| newest.number).max(complete.as_ref().map_or(0, |list| list.number));
    let dated = newest.map(|newest| newest.this_update);
    // A delta says what has changed since a complete list, so it is no older than one.
    let floor = complete.filter(|_| scope == PartialScope::Delta).map(|complete| complete.this_update);
    let this_update = dated.max(floor).map_or(engine.now(), |floor| floor.max(engine.now()));
    // An entry stays on one list after its certificate has expired (RFC 5280 §3.3).
    let published = engine.store().published_partial_crl(authority, scope).await?;
    let not_after_from = published.map_or(Timestamp::from_unix_seconds(0), |list| list.intent.crl.this_update);
    Ok(Place {
        number: number + 1,
        this_update: this_update.floor_to_second(),
        before: newest.map(|newest| PreviousCrl { number, this_update: newest.this_update }),
        not_after_from,
    })
}

async fn shard_content(engine: &Engine, authority: &AuthorityId, number: ShardNumber) -> Result<ListScope, FlowError> {
    let plan = shards::plan(engine, authority).await?;
    let uri = plan.uri(authority, number).ok_or_else(|| {
        FlowError::new(FlowErrorKind::NotFound, format!("authority {authority} has no shard {number}"))
    })?;
    ListScope::shard(number, &uri)
}

/// What has changed since a complete list that may still be relied on, and up to which number of the sequence that is known.
///
/// The base is the oldest such list, so that every client that has one at all can use the delta; the newest where the delta before is
/// not the published one: what a restoration left undone may have been on lists that nobody knows any more.
async fn delta_content(
    engine: &Engine,
    authority: &AuthorityId,
    newest: Option<&PartialRecord>,
) -> Result<(ListScope, u64), FlowError> {
    let no_base = || {
        let message = format!("there is no complete CRL of {authority} that a delta could start from; it comes first");
        FlowError::new(FlowErrorKind::Overloaded, message).retry_after(1)
    };
    let current = engine.store().published_crl(authority).await?.ok_or_else(no_base)?.intent;
    let kept = newest.filter(|newest| newest.published).and_then(|newest| newest.intent.base_number);
    let base = match kept {
        Some(base) => engine.store().lasting_crl(authority, base, engine.now()).await?,
        None => None,
    };
    let mut base = base.unwrap_or_else(|| current.clone());
    let (mut changes, mut sequence) = changes_since(engine, authority, &base).await?;
    if changes.len() > LARGE_DELTA && base.number < current.number {
        base = current;
        (changes, sequence) = changes_since(engine, authority, &base).await?;
    }
    Ok((ListScope::delta(base.number, changes, engine.settings().delta_validity), sequence))
}

/// Every serial that changed since a complete list, as it stands now. What has expired meanwhile stays until a complete list that may
/// serve as the base has listed it, as RFC 5280 §5.2.4 demands.
async fn changes_since(
    engine: &Engine,
    authority: &AuthorityId,
    base: &CrlIntent,
) -> Result<(Vec<CrlEntry>, u64), FlowError> {
    let mut changes: BTreeMap<Serial, CrlEntry> = BTreeMap::new();
    let mut sequence = base.revocation_sequence;
    loop {
        let rows = engine.store().revocations_after(sequence, BATCH).await?;
        let Some(last) = rows.last().map(|row| row.sequence) else { break };
        sequence = last;
        for row in rows.into_iter().filter(|row| row.authority == *authority) {
            let before = changes.get(&row.serial).map_or(base.this_update, |entry| entry.revoked_at);
            let entry = changed_entry(&row, before);
            changes.insert(row.serial, entry);
        }
    }
    Ok((changes.into_values().collect(), sequence))
}

/// A hold that ended is told by `removeFromCRL`, also where no list has told of the hold: a client may have it from one in between
/// (§5.2.4). The sequence has no date of the end; that of the hold stands for it, or the base's where the hold is on the base.
fn changed_entry(row: &RevocationRow, before: Timestamp) -> CrlEntry {
    match &row.standing {
        Standing::Revoked(revocation) => CrlEntry::new(row.serial.clone(), revocation),
        Standing::Active => CrlEntry {
            serial: row.serial.clone(),
            revoked_at: before,
            reason: Some(EntryReason::RemoveFromCrl),
            invalidity_date: None,
        },
    }
}

/// The scopes of which a list is due: it is missing, `interval` has passed (for the delta half of its life), or a certificate in the
/// scope was revoked or released since; a delta also when a complete list came after it. Empty where an authority has complete lists
/// only.
pub async fn due_scopes(
    engine: &Engine,
    authority: &AuthorityId,
    interval: Lifetime,
) -> Result<Vec<PartialScope>, FlowError> {
    let plan = shards::plan(engine, authority).await?;
    let has_delta = engine.settings().partial_lists_of(authority).delta;
    let shards: Vec<ShardNumber> = plan.shards().collect();
    if !has_delta && shards.is_empty() {
        return Ok(Vec::new());
    }
    let numbers = engine.store().published_partial_numbers().await?;
    let numbers: BTreeMap<PartialScope, u64> =
        numbers.into_iter().filter(|(of, ..)| of == authority).map(|(_, scope, number)| (scope, number)).collect();
    let mut due = Vec::new();
    if has_delta && delta_is_due(engine, authority, numbers.get(&PartialScope::Delta).copied()).await? {
        due.push(PartialScope::Delta);
    }
    let mut published = BTreeMap::new();
    for shard in &shards {
        let scope = PartialScope::Shard(*shard);
        let name = ListName::partial(authority.clone(), scope);
        let list = match numbers.get(&scope) {
            Some(number) => engine.published_partial(&name, *number).await?,
            None => None,
        };
        match list {
            Some(list) => {
                published.insert(*shard, list.intent.crl.clone());
            }
            None => due.push(scope),
        }
    }
    let Some(oldest) = published.values().map(|crl| crl.revocation_sequence).min() else { return Ok(due) };
    let news = read_news(engine, authority, oldest).await?;
    let now = engine.now();
    let is_old = |shard: &ShardNumber, crl: &CrlIntent| {
        now >= crl.this_update.plus(interval) || news.changed_after(*shard, crl.revocation_sequence)
    };
    due.extend(
        published.iter().filter(|(shard, crl)| is_old(shard, crl)).map(|(shard, _)| PartialScope::Shard(*shard)),
    );
    Ok(due)
}

async fn delta_is_due(engine: &Engine, authority: &AuthorityId, number: Option<u64>) -> Result<bool, FlowError> {
    let now = engine.now();
    let Some(complete) = engine.store().newest_crl(authority).await?.filter(|complete| complete.published) else {
        return Ok(false);
    };
    // RFC 5280 §5.2.3: issued at the same time, the two would have to be one in number and content. It follows with the next second.
    if now.floor_to_second() <= complete.intent.this_update.floor_to_second() {
        return Ok(false);
    }
    let name = ListName::partial(authority.clone(), PartialScope::Delta);
    let Some(number) = number else { return Ok(true) };
    let Some(delta) = engine.published_partial(&name, number).await? else { return Ok(true) };
    let crl = &delta.intent.crl;
    let half = Lifetime::from_seconds(crl.next_update.since(crl.this_update).seconds() / 2);
    if complete.intent.number > crl.number || now >= crl.this_update.plus(half) {
        return Ok(true);
    }
    is_concerned(engine, &name, crl.revocation_sequence).await
}

/// Reads on in the sequence of revocations, from where this process stopped, or from `oldest`.
async fn read_news(engine: &Engine, authority: &AuthorityId, oldest: u64) -> Result<ShardNews, FlowError> {
    let mut news = engine.shard_news(authority);
    let mut sequence = news.read_until.unwrap_or(oldest);
    // A list that was made from an older state than this process has read from: it reads that once more.
    if news.read_from.is_none_or(|from| oldest < from) {
        (news, sequence) = (ShardNews { read_from: Some(oldest), ..ShardNews::default() }, oldest);
    }
    loop {
        let rows = engine.store().revocations_after(sequence, BATCH).await?;
        let Some(last) = rows.last().map(|row| row.sequence) else { break };
        sequence = last;
        for row in rows.iter().filter(|row| row.authority == *authority) {
            if let Some(shard) = row.serial.shard() {
                news.newest.insert(shard, row.sequence);
            }
        }
    }
    news.read_until = Some(sequence);
    engine.set_shard_news(authority, news.clone());
    Ok(news)
}
