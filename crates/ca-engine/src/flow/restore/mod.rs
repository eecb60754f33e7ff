//! Brings a record that was set back up to what was published since: numbers past a gap, revocations from the anchor's log and
//! from the last lists, and nothing that could be used twice.
//!
//! It may be cut off at any point and repeated: the record stays closed until the last step, and every step before finds what
//! was done already. What cannot be brought back (certificates issued since the backup) is told, and answers `unknown` until
//! [`super::recover`] has taken it back.

mod standing;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::crl::ParsedCrl;
use ca_core::hash::sha256;
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::principal::{Principal, Role};
use ca_core::serial::Serial;
use ca_core::time::{Lifetime, Timestamp};

use super::follow_anchor::{compare, read_lineage, service, verified_lists};
use super::{publish_crl, reconcile};
use crate::anchor_verdict::AnchorVerdict;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::Authority;
use crate::lineage::{LINEAGE, Lineage, RESTORATION, RESTORED, Restoration, SETTLED};
use crate::port::anchor::{Anchor, AnchorHead, Generation, ServiceDigest};
use crate::port::store::{CrlIntent, Gaps, Journal, Lease, SettingChange, StoreError};
use standing::{standings, take_over};

/// How far numbers are raised past the highest that is known: further than what can have been given out and not been anchored.
pub const GAP: u64 = 1_000_000;

/// How long taking over a list may take.
const LEASE: Lifetime = Lifetime::from_seconds(60);

/// What bringing a record up to its anchor did, and what it could not do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Whether there was an anchor.
    pub with_anchor: bool,
    /// Certificates on record that were revoked or held since the backup, and are so again.
    pub revoked: Vec<(AuthorityId, Serial)>,
    /// Serials that were revoked since the backup and whose certificates were issued since too.
    pub lost: Vec<(AuthorityId, Serial)>,
    /// Serials that were revoked since the backup and whose certificates had been removed after their retention.
    pub removed: Vec<(AuthorityId, Serial)>,
    /// Holds that were ended since the backup and hold again, until an operator ends them.
    pub held_again: Vec<(AuthorityId, Serial)>,
    /// Of each authority, the number of the newest list that is known, and the number that the next one is above.
    pub lists: Vec<(AuthorityId, u64, u64)>,
    /// Issuances that were under way when the backup was made: their serials answer as revoked.
    pub abandoned: u64,
    /// Enrolment tokens that were withdrawn, since their uses after the backup are not known.
    pub tokens_withdrawn: u64,
    /// Who has which role in this record: those granted since the backup are lost, those withdrawn since are back.
    pub roles: Vec<(CertificateId, Role)>,
    /// The newest audit event on record, and the newest that the anchor knew of, where it lies further.
    pub audit_gap: Option<(u64, u64)>,
    /// The newest event that the backup had: certificates issued after it are not on record.
    pub since: Option<Timestamp>,
}

/// What an operator decided about a record that was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The anchor must be there.
    Anchor,
    /// Where there is no anchor, the record counts as it is: whatever was revoked since the backup is lost.
    RecordAlone,
}

/// Brings the record up to its anchor and opens it; `None` when it agrees already. For the operator of the host, alone on the
/// record.
pub async fn restore(
    engine: &Engine,
    principal: &Principal,
    anchor: &dyn Anchor,
    evidence: Evidence,
) -> Result<Option<RestoreReport>, FlowError> {
    if *principal != Principal::LocalOperator {
        let message = "a record is restored on the host of the service";
        return Err(FlowError::new(FlowErrorKind::AccessDenied, message));
    }
    // 1. Is there anything to do, and what is known?
    if compare(engine, anchor).await? == AnchorVerdict::Agrees {
        return Ok(None);
    }
    let service = service(engine).ok_or_else(|| {
        FlowError::new(FlowErrorKind::NotFound, "the record holds no authority: it is not the record of a service")
    })?;
    let lineage = read_lineage(engine).await?;
    let known = known(anchor, &service, lineage.as_ref(), evidence).await?;
    let mut report = RestoreReport { with_anchor: known.is_some(), ..RestoreReport::default() };
    let known = known.unwrap_or_default();
    // 2. From here on the record counts as set back, until the last step.
    close(engine).await?;
    tell_the_gap(engine, &known, &mut report).await?;
    // 3. What was under way when the backup was made.
    let now = engine.store().database_time().await?;
    report.abandoned = reconcile::abandon_all_before(engine, principal, now).await?;
    // 4. Revocations: what the log says, and what the lists say besides.
    let lists = verified_lists(engine, known.lists);
    let standings = standings(engine, anchor, &service, &known.heads, &lists).await?;
    for ((authority, serial), standing) in standings {
        take_over(engine, principal, &authority, &serial, &standing, &mut report).await?;
    }
    // 5. Numbers of lists, past a gap; the newest list is in place meanwhile.
    for authority in engine.hierarchy().authorities() {
        raise_numbers(engine, principal, authority, lists.get(authority.id()), &mut report).await?;
    }
    // 6. What could be used twice.
    withdraw_tokens(engine, principal, &mut report).await?;
    engine.store().drop_expired_idempotency(Timestamp::from_unix_millis(i64::MAX)).await?;
    report.roles = bindings(engine).await?;
    // 7. A generation of its own, whose sequence begins past a gap; then the record is open.
    open_generation(engine, principal, anchor, &service, lineage, &known.heads, &report).await?;
    compare(engine, anchor).await?;
    engine.check_anchor()?;
    engine.reload_hierarchy().await?;
    Ok(Some(report))
}

#[derive(Default)]
struct Known {
    heads: Vec<AnchorHead>,
    lists: Vec<(AuthorityId, Vec<u8>)>,
}

/// What the anchor knows; `None` when there is none and the operator decided to go on without.
async fn known(
    anchor: &dyn Anchor,
    service: &ServiceDigest,
    lineage: Option<&Lineage>,
    evidence: Evidence,
) -> Result<Option<Known>, FlowError> {
    let read = async { Ok((anchor.heads(service).await?, anchor.lists(service).await?)) };
    let read: Result<_, crate::port::anchor::AnchorError> = read.await;
    let why = match read {
        Ok((heads, lists)) => {
            let is_known = |head: &AnchorHead| match lineage {
                Some(lineage) => head.generation == lineage.generation,
                None => head.has_content(),
            };
            if heads.iter().any(is_known) {
                return Ok(Some(Known { heads, lists }));
            }
            if evidence == Evidence::RecordAlone {
                return Ok(None);
            }
            format!("{} knows nothing of this record", anchor.place())
        }
        Err(error) if evidence == Evidence::Anchor => error.to_string(),
        Err(_) => return Ok(None),
    };
    let message = format!(
        "there is no anchor to compare the restored record with ({why}), so nothing is signed: without it nobody knows what \
         was revoked after the backup. Bring the anchor back (`anchor.dir`) and run `ca-server restore --reconcile`; or, if it \
         is lost for good, run `ca-server restore --reconcile --accept-without-anchor`: certificates that were revoked after \
         the backup are then valid again unless you revoke them again"
    );
    Err(FlowError::new(FlowErrorKind::SigningSuspended, message))
}

async fn close(engine: &Engine) -> Result<(), FlowError> {
    let before = engine.store().setting(RESTORATION).await?;
    let is_closed = before.as_deref() == Some(RESTORED);
    if is_closed || engine.store().set_setting(RESTORATION, before.as_deref(), RESTORED).await? {
        return Ok(());
    }
    Err(another_process())
}

fn another_process() -> FlowError {
    FlowError::new(FlowErrorKind::Overloaded, "another process works on the record; stop it and try again")
}

async fn tell_the_gap(engine: &Engine, known: &Known, report: &mut RestoreReport) -> Result<(), FlowError> {
    let end = engine.store().chain_head().await?.sequence;
    let noted = known.heads.iter().filter_map(|head| head.chain).map(|chain| chain.sequence).max().unwrap_or(0);
    report.audit_gap = (noted > end).then_some((end, noted));
    let newest = engine.store().events_after(end.saturating_sub(1), &Default::default(), 1).await?;
    let event = newest.first().and_then(|event| serde_json::from_slice::<serde_json::Value>(&event.canonical).ok());
    report.since = event.and_then(|event| Timestamp::parse_rfc3339(event.get("at")?.as_str()?).ok());
    Ok(())
}

/// Puts the newest list that was published in place, and an intent above all of them that will never be signed: the next list
/// is numbered after it.
async fn raise_numbers(
    engine: &Engine,
    principal: &Principal,
    authority: &Authority,
    list: Option<&ParsedCrl>,
    report: &mut RestoreReport,
) -> Result<(), FlowError> {
    // Others number the lists of what they hold: a gap would keep out their next one.
    let is_external = authority.is_external() || authority.issues_elsewhere();
    let authority = authority.id();
    let store = engine.store();
    let lease = store.acquire_lease(&publish_crl::lease_name(authority), "restore", LEASE).await?.ok_or_else(|| {
        let message =
            "a process that makes lists was at work less than a minute ago; stop it and try again in a minute";
        FlowError::new(FlowErrorKind::Overloaded, message).retry_after(60)
    })?;
    if let Some(list) = list {
        take_over_list(engine, principal, authority, &lease, list).await?;
    }
    let newest = store.newest_crl(authority).await?.map(|newest| newest.intent);
    if let Some(newest) = newest.filter(|_| !is_external) {
        let floor = CrlIntent { number: newest.number.saturating_add(GAP), to_be_signed_sha256: [0; 32], ..newest };
        let known = newest.number;
        report.lists.push((authority.clone(), known, floor.number));
        store.intend_crl(&lease, floor).await?;
    }
    Ok(store.release_lease(&lease).await?)
}

async fn take_over_list(
    engine: &Engine,
    principal: &Principal,
    authority: &AuthorityId,
    lease: &Lease,
    list: &ParsedCrl,
) -> Result<(), FlowError> {
    let number = list.number().unwrap_or(0);
    let newest = engine.store().newest_crl(authority).await?;
    let digest = sha256(list.to_be_signed());
    let is_intended = newest
        .as_ref()
        .is_some_and(|newest| newest.intent.number == number && newest.intent.to_be_signed_sha256 == digest);
    if !is_intended && newest.as_ref().is_some_and(|newest| newest.intent.number >= number) {
        return Ok(());
    }
    let intent = CrlIntent {
        authority: authority.clone(),
        number,
        this_update: list.this_update(),
        next_update: list.next_update().unwrap_or(list.this_update()),
        entries: list.entry_count(),
        // Numbers of the sequence before the restoration say nothing after it.
        revocation_sequence: 0,
        to_be_signed_sha256: digest,
    };
    if !is_intended {
        engine.store().intend_crl(lease, intent.clone()).await?;
    }
    let journal = publish_crl::publication(engine, principal, &intent);
    Ok(engine.store().publish_crl(lease, authority, number, list.as_der().into(), journal).await?)
}

async fn withdraw_tokens(engine: &Engine, principal: &Principal, report: &mut RestoreReport) -> Result<(), FlowError> {
    let mut after = None;
    loop {
        let page = engine.store().tokens(after, 500).await?;
        let Some(last) = page.last().map(|token| token.id) else { return Ok(()) };
        for token in page.iter().filter(|token| !token.withdrawn && token.used < token.uses) {
            let event = AuditEvent::new(
                engine.now(),
                AuditAction::TokenDeleted,
                principal.reference(),
                format!("token:{}", token.id),
            )
            .with("cause", "restored");
            report.tokens_withdrawn += u64::from(engine.store().withdraw_token(token.id, Journal::of(event)).await?);
        }
        after = Some(last);
    }
}

async fn bindings(engine: &Engine) -> Result<Vec<(CertificateId, Role)>, FlowError> {
    let bindings = engine.store().role_bindings().await?;
    Ok(bindings.into_iter().map(|binding| (binding.certificate, binding.role)).collect())
}

async fn open_generation(
    engine: &Engine,
    principal: &Principal,
    anchor: &dyn Anchor,
    service: &ServiceDigest,
    before: Option<Lineage>,
    heads: &[AnchorHead],
    report: &RestoreReport,
) -> Result<(), FlowError> {
    let generation = Generation::from_bytes(engine.random()?);
    anchor.begin(service, generation).await?;
    let highest = heads.iter().map(AnchorHead::sequence).max().unwrap_or(0);
    let on_record = engine.store().revocation_sequence().await?;
    let floor = on_record.max(highest).saturating_add(GAP);
    let expected = engine.store().setting(LINEAGE).await?;
    let mut covered = before.as_ref().map(|before| before.covered.clone()).unwrap_or_default();
    if let Some(before) = &before {
        covered.insert(before.generation, on_record);
    }
    covered.extend(heads.iter().map(|head| (head.generation, head.sequence())));
    let mut restorations = before.map(|before| before.restorations).unwrap_or_default();
    let until = engine.store().database_time().await?;
    restorations.push(Restoration { since: report.since.unwrap_or(until), until, with_anchor: report.with_anchor });
    // Without an anchor the new place is given everything.
    let base = if report.with_anchor { floor } else { 0 };
    let lineage = Lineage { generation, base, covered, restorations };
    let change = |name: &str, expected, value| SettingChange { name: name.to_owned(), expected, value };
    // In one change: a restoration that is repeated after this one was made finds nothing to do, and one that is repeated before
    // it leaves no event of what was not done.
    let gaps = Gaps {
        revocation_sequence: floor,
        lease_tokens: GAP,
        settings: vec![
            change(LINEAGE, expected, lineage.to_json()),
            change(RESTORATION, Some(RESTORED.to_vec()), SETTLED.to_vec()),
        ],
        journal: Journal::of(restoration_event(engine, principal, generation, report)),
    };
    match engine.store().leave_gaps(gaps).await {
        Err(StoreError::Conflict { .. }) => Err(another_process()),
        answer => Ok(answer?),
    }
}

fn restoration_event(
    engine: &Engine,
    principal: &Principal,
    generation: Generation,
    report: &RestoreReport,
) -> AuditEvent {
    let mut event = AuditEvent::new(engine.now(), AuditAction::RecordRestored, principal.reference(), "service")
        .with("abandoned", report.abandoned)
        .with("generation", generation)
        .with("lost_serials", report.lost.len())
        .with("revoked_again", report.revoked.len())
        .with("tokens_withdrawn", report.tokens_withdrawn)
        .with("with_anchor", report.with_anchor);
    if let Some((end, noted)) = report.audit_gap {
        event = event.with("audit_events_missing", format!("{} to {noted}", end + 1));
    }
    if let Some(since) = report.since {
        event = event.with("since", since);
    }
    event
}
