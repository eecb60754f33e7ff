//! Holds the record against its anchor, and writes into the anchor what was committed since.
//!
//! [`compare`] is asked at every start and once a minute, so that a database that was set back is found out whoever did it;
//! [`follow`] is called every half second by each process that may change the record.

use std::collections::BTreeMap;

use ca_core::crl::ParsedCrl;
use ca_core::hash::sha256;
use ca_core::id::AuthorityId;
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::{Lifetime, Timestamp};

use crate::anchor_verdict::AnchorVerdict;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::lineage::{LINEAGE, Lineage, RESTORATION, RESTORED};
use crate::port::anchor::{Anchor, AnchorError, AnchorHead, AnchoredRevocation, Generation, ServiceDigest};
use crate::port::store::{ChainHead, EventFilter, RevocationRow};

/// How many rows are read and anchored at a time.
const BATCH: u32 = 1_000;

/// How far apart the audit chain's ends are noted at the least: a note costs a flush, and one is enough for many events.
const CHAIN_INTERVAL: Lifetime = Lifetime::from_seconds(10);

/// How often the whole record is compared while everything is well.
const COMPARISON_INTERVAL: Lifetime = Lifetime::from_seconds(60);

/// Compares the record with its anchor and tells the engine, which signs and changes nothing unless they agree. Changes nothing
/// itself. An anchor that cannot be read is a verdict, not an error: errors are the record's.
pub async fn compare(engine: &Engine, anchor: &dyn Anchor) -> Result<AnchorVerdict, FlowError> {
    let verdict = judge(engine, anchor).await?;
    engine.set_anchor_verdict(verdict.clone());
    Ok(verdict)
}

/// Whose anchor it is; `None` while there is no authority, and nothing was published.
pub(super) fn service(engine: &Engine) -> Option<ServiceDigest> {
    let hierarchy = engine.hierarchy();
    // Ids begin with the time of issuance.
    let first = hierarchy.roots().min_by_key(|root| root.record().certificate)?;
    Some(first.certificate().fingerprint_sha256())
}

/// The authorities of which the anchor has lists, whether the record knows them or not: it may have lost some, and their ids are
/// not to be given to others. None where no anchor can be read.
pub async fn anchored_authorities(engine: &Engine, anchor: &dyn Anchor) -> Vec<AuthorityId> {
    let Some(service) = service(engine) else { return Vec::new() };
    let lists = anchor.lists(&service).await.unwrap_or_default();
    lists.into_iter().map(|(authority, _)| authority).collect()
}

/// Where the record comes from.
pub(super) async fn read_lineage(engine: &Engine) -> Result<Option<Lineage>, FlowError> {
    let Some(octets) = engine.store().setting(LINEAGE).await? else { return Ok(None) };
    let unreadable = || FlowError::internal(format!("the record's setting {LINEAGE} makes no sense"));
    Lineage::from_json(&octets).map(Some).ok_or_else(unreadable)
}

async fn judge(engine: &Engine, anchor: &dyn Anchor) -> Result<AnchorVerdict, FlowError> {
    let Some(service) = service(engine) else { return Ok(AnchorVerdict::Agrees) };
    let lineage = read_lineage(engine).await?;
    engine.set_lineage(lineage.clone());
    if engine.store().setting(RESTORATION).await?.as_deref() == Some(RESTORED) {
        let why = "the record was restored and not yet brought up to what was published since its backup";
        return Ok(AnchorVerdict::Behind(why.to_owned()));
    }
    let (heads, lists) = match evidence(anchor, &service).await {
        Ok(evidence) => evidence,
        Err(error) => return Ok(AnchorVerdict::Unreadable(error.to_string())),
    };
    if let Some(current) = lineage.as_ref().map(|lineage| lineage.generation)
        && anchor.is_whole()
        && !heads.iter().any(|head| head.generation == current)
    {
        let place = anchor.place();
        return Ok(AnchorVerdict::Unknown(format!(
            "the record was anchored, but {place} does not know its generation {current}: the anchor was lost, or another \
             place is configured (`anchor.dir`)"
        )));
    }
    for head in &heads {
        if let Some(why) = what_is_missing(engine, lineage.as_ref(), head).await? {
            return Ok(AnchorVerdict::Behind(why));
        }
    }
    for (authority, list) in verified_lists(engine, lists) {
        if let Some(why) = newer_list(engine, &authority, &list).await? {
            return Ok(AnchorVerdict::Behind(why));
        }
    }
    Ok(AnchorVerdict::Agrees)
}

type Evidence = (Vec<AnchorHead>, Vec<(AuthorityId, Vec<u8>)>);

async fn evidence(anchor: &dyn Anchor, service: &ServiceDigest) -> Result<Evidence, AnchorError> {
    Ok((anchor.heads(service).await?, anchor.lists(service).await?))
}

/// What the record lacks of a generation, if it lacks anything.
async fn what_is_missing(
    engine: &Engine,
    lineage: Option<&Lineage>,
    head: &AnchorHead,
) -> Result<Option<String>, FlowError> {
    let (generation, newest) = (head.generation, head.sequence());
    if lineage.is_none_or(|lineage| lineage.generation != generation) {
        let covered = lineage.and_then(|lineage| lineage.covered.get(&generation).copied());
        let is_covered = covered.map_or(!head.has_content(), |covered| newest <= covered);
        return Ok((!is_covered).then(|| {
            format!(
                "the anchor has revocations up to {newest} of generation {generation}, of which the record holds those up \
                 to {}",
                covered.unwrap_or(0)
            )
        }));
    }
    if let Some(anchored) = &head.newest
        && row_of(engine, newest).await?.as_ref() != Some(&anchored.row)
    {
        let on_record = engine.store().revocation_sequence().await?;
        return Ok(Some(format!(
            "the anchor has revocations up to {newest}, the record up to {on_record}, and number {newest} is not the same in \
             both"
        )));
    }
    let Some(chain) = head.chain.filter(|chain| chain.sequence > 0) else { return Ok(None) };
    let event = engine.store().events_after(chain.sequence - 1, &EventFilter::default(), 1).await?.into_iter().next();
    if event.is_some_and(|event| event.sequence == chain.sequence && event.hash == chain.hash) {
        return Ok(None);
    }
    let end = engine.store().chain_head().await?.sequence;
    Ok(Some(format!(
        "the anchor knows of {} audit events, the record has {end}, and the event of that number is not the same in both",
        chain.sequence
    )))
}

async fn row_of(engine: &Engine, sequence: u64) -> Result<Option<RevocationRow>, FlowError> {
    let rows = engine.store().revocations_after(sequence.saturating_sub(1), 1).await?;
    Ok(rows.into_iter().next())
}

/// Of each authority the list with the highest number among those that it signed. Another's is none of ours: it may lie there
/// since a folder was used before.
pub(super) fn verified_lists(engine: &Engine, lists: Vec<(AuthorityId, Vec<u8>)>) -> BTreeMap<AuthorityId, ParsedCrl> {
    let mut verified: BTreeMap<AuthorityId, ParsedCrl> = BTreeMap::new();
    let hierarchy = engine.hierarchy();
    for (id, der) in lists {
        let Some(authority) = hierarchy.authority(&id) else { continue };
        let (subject, key) = (authority.certificate().subject(), authority.certificate().public_key());
        let list = ParsedCrl::from_der(der).ok().filter(|list| list.verify(subject, key).is_ok());
        // Deltas and shards are in another sequence of lists.
        let list = list.filter(|list| !list.is_delta() && list.distribution_point().is_none());
        let Some(list) = list.filter(|list| list.number().is_some()) else {
            tracing::warn!(authority = %id, "a list in the anchor was not signed by its authority and is passed over");
            continue;
        };
        if verified.get(&id).is_none_or(|known| known.number() < list.number()) {
            verified.insert(id, list);
        }
    }
    verified
}

/// What is wrong when the anchor has a list that the record does not have.
async fn newer_list(engine: &Engine, authority: &AuthorityId, list: &ParsedCrl) -> Result<Option<String>, FlowError> {
    let number = list.number().unwrap_or(0);
    let on_record = engine.store().newest_crl(authority).await?.map(|newest| newest.intent);
    Ok(match on_record {
        Some(newest) if number < newest.number => None,
        Some(newest) if number == newest.number && sha256(list.to_be_signed()) == newest.to_be_signed_sha256 => None,
        Some(newest) if number == newest.number => {
            Some(format!("CRL {number} of {authority} in the anchor is another than the one on record"))
        }
        newest => Some(format!(
            "CRL {number} of {authority} was published, the newest on record is {}",
            newest.map_or(0, |newest| newest.number)
        )),
    })
}

/// What a process knows to be in the anchor.
#[derive(Debug, Default)]
pub struct Anchored {
    generation: Option<Generation>,
    sequence: u64,
    lists: BTreeMap<AuthorityId, u64>,
    chain: Option<(ChainHead, Timestamp)>,
    compared_at: Option<Timestamp>,
}

/// Writes into the anchor what was committed since the last call; returns how many revocations. A record that was never anchored
/// gets its lineage here. While the record does not agree with its anchor, it is compared anew and nothing is written.
pub async fn follow(engine: &Engine, anchor: &dyn Anchor, anchored: &mut Anchored) -> Result<u64, FlowError> {
    compare_in_time(engine, anchor, anchored).await?;
    engine.check_anchor()?;
    let Some(service) = service(engine) else { return Ok(0) };
    let lineage = match read_lineage(engine).await? {
        Some(lineage) => lineage,
        None => match begin(engine, anchor, &service).await? {
            Some(lineage) => lineage,
            // Another process was first; the next call reads its lineage.
            None => return Ok(0),
        },
    };
    if anchored.generation != Some(lineage.generation) {
        *anchored = take_up(anchor, &service, &lineage).await?;
        anchored.compared_at = Some(engine.now());
    }
    let count = anchor_revocations(engine, anchor, &service, anchored, lineage.generation).await?;
    anchor_lists(engine, anchor, &service, anchored).await?;
    anchor_chain(engine, anchor, &service, anchored, lineage.generation).await?;
    Ok(count)
}

/// Compares once a minute.
async fn compare_in_time(engine: &Engine, anchor: &dyn Anchor, anchored: &mut Anchored) -> Result<(), FlowError> {
    let now = engine.now();
    let agrees = engine.check_anchor().is_ok();
    let is_recent = anchored.compared_at.is_some_and(|at| now.since(at).max(at.since(now)) < COMPARISON_INTERVAL);
    if agrees && (is_recent || anchored.compared_at.is_none()) {
        anchored.compared_at.get_or_insert(now);
        return Ok(());
    }
    compare_again(engine, anchor).await?;
    anchored.compared_at = Some(now);
    Ok(())
}

/// Compares in a running process. An anchor that cannot be read now does not stop a record that agreed with it: what was found
/// then is still so, and the next comparison tells the rest.
pub async fn compare_again(engine: &Engine, anchor: &dyn Anchor) -> Result<(), FlowError> {
    let replacements = engine.replacements();
    let verdict = judge(engine, anchor).await?;
    if engine.check_anchor().is_ok() && matches!(verdict, AnchorVerdict::Unreadable(_)) {
        return Ok(());
    }
    let is_news = *engine.anchor_verdict() != verdict;
    if let Some(why) = verdict.obstacle().filter(|_| is_news) {
        tracing::error!(why, "the record does not agree with its anchor: nothing is signed or changed");
    }
    engine.conclude(verdict, replacements);
    Ok(())
}

/// Gives a record its first generation. The anchor knows it before the record does: so a process that dies in between leaves
/// a generation without anything, which means nothing.
async fn begin(engine: &Engine, anchor: &dyn Anchor, service: &ServiceDigest) -> Result<Option<Lineage>, FlowError> {
    let lineage = Lineage::first(Generation::from_bytes(engine.random()?));
    anchor.begin(service, lineage.generation).await?;
    let is_set = engine.store().set_setting(LINEAGE, None, &lineage.to_json()).await?;
    engine.set_lineage(is_set.then(|| lineage.clone()));
    Ok(is_set.then_some(lineage))
}

/// What the anchor has of a generation already; a place that does not know it yet (a new replica's own) is told of it.
async fn take_up(anchor: &dyn Anchor, service: &ServiceDigest, lineage: &Lineage) -> Result<Anchored, FlowError> {
    let generation = lineage.generation;
    let head = anchor.heads(service).await?.into_iter().find(|head| head.generation == generation);
    let sequence = match head {
        Some(head) => head.sequence().max(lineage.base),
        None => {
            anchor.begin(service, generation).await?;
            lineage.base
        }
    };
    Ok(Anchored { generation: Some(generation), sequence, ..Anchored::default() })
}

async fn anchor_revocations(
    engine: &Engine,
    anchor: &dyn Anchor,
    service: &ServiceDigest,
    anchored: &mut Anchored,
    generation: Generation,
) -> Result<u64, FlowError> {
    let on_record = engine.store().revocation_sequence().await?;
    if on_record < anchored.sequence {
        let why = format!(
            "the sequence of revocations fell from {} to {on_record}: the database was set back while the service ran",
            anchored.sequence
        );
        engine.set_anchor_verdict(AnchorVerdict::Behind(why));
        return engine.check_anchor().map(|()| 0);
    }
    let mut count = 0;
    while anchored.sequence < on_record {
        let rows = engine.store().revocations_after(anchored.sequence, BATCH).await?;
        let Some(last) = rows.last().map(|row| row.sequence) else { break };
        count += rows.len() as u64;
        let mut revocations = Vec::with_capacity(rows.len());
        for row in rows {
            let blocked_key = blocked_key(engine, &row).await?;
            revocations.push(AnchoredRevocation { row, blocked_key });
        }
        anchor.append(service, generation, &revocations).await?;
        anchored.sequence = last;
    }
    Ok(count)
}

/// The key that a revocation blocked: a restored record must block it although it does not know the certificate.
async fn blocked_key(engine: &Engine, row: &RevocationRow) -> Result<Option<[u8; 32]>, FlowError> {
    let compromised = |standing| matches!(standing, Standing::Revoked(revocation) if revocation.reason == RevocationReason::KeyCompromise);
    if !compromised(row.standing) {
        return Ok(None);
    }
    let certificate = engine.store().certificate_by_serial(&row.authority, &row.serial).await?;
    Ok(certificate.map(|certificate| certificate.spki_sha256))
}

async fn anchor_lists(
    engine: &Engine,
    anchor: &dyn Anchor,
    service: &ServiceDigest,
    anchored: &mut Anchored,
) -> Result<(), FlowError> {
    let published = engine.store().published_numbers().await?;
    for (authority, known) in &anchored.lists {
        let on_record = published.iter().find(|(id, _)| id == authority).map_or(0, |(_, number)| *number);
        if on_record < *known {
            let why = format!(
                "the newest list of {authority} was number {known} and is number {on_record}: the database was set back while the \
                 service ran"
            );
            engine.set_anchor_verdict(AnchorVerdict::Behind(why));
            return engine.check_anchor();
        }
    }
    for (authority, number) in published {
        if anchored.lists.get(&authority).is_some_and(|known| *known >= number) {
            continue;
        }
        let Some(list) = engine.published_list(&authority, number).await? else { continue };
        anchor.put_list(service, &authority, list.intent.number, &list.der).await?;
        anchored.lists.insert(authority, list.intent.number);
    }
    Ok(())
}

async fn anchor_chain(
    engine: &Engine,
    anchor: &dyn Anchor,
    service: &ServiceDigest,
    anchored: &mut Anchored,
    generation: Generation,
) -> Result<(), FlowError> {
    let now = engine.now();
    if anchored.chain.is_some_and(|(_, at)| now.since(at).max(at.since(now)) < CHAIN_INTERVAL) {
        return Ok(());
    }
    let head = engine.store().chain_head().await?;
    if anchored.chain.is_none_or(|(noted, _)| noted != head) {
        anchor.put_chain_head(service, generation, head).await?;
    }
    anchored.chain = Some((head, now));
    Ok(())
}

impl From<AnchorError> for FlowError {
    fn from(error: AnchorError) -> Self {
        Self::new(FlowErrorKind::Unavailable, "the anchor of the record cannot be used; its operator must look at it")
            .retry_after(10)
            .with_detail(&error)
    }
}
