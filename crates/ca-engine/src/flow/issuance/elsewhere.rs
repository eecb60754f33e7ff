//! An issuance by an issuer elsewhere: order → name on record → collect → check → serial on record → complete.
//!
//! Such an issuer chooses serials and encodes by itself. So the reservation holds exactly what it is asked for, under a provisional
//! serial, and the one it has chosen takes that one's place before anything else happens to the certificate: completed it may
//! leave, abandoned it answers as revoked, and is revoked where it was made ([`crate::flow::pass_on_revocations`]). What a crash leaves
//! is settled by [`settle`].

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::{AskedFor, Certificate};
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::lint::{self, LintContext};
use ca_core::principal::Principal;
use ca_core::profile::{Profile, ProfileKind};
use ca_core::revocation::{Revocation, RevocationReason};
use ca_core::serial::Serial;
use ca_core::template::{Endpoints, Issuer, IssuerFacts};
use ca_core::time::{Lifetime, Timestamp};

use super::{Event, Issued, Order, Reserved, Settled, Signed, give_up, is_held_by};
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::flow::reconcile::abandonment;
use crate::flow::responder_record::take_up;
use crate::flow::watch_clock::{TOLERANCE, dependable_now};
use crate::hierarchy::{Authority, Hand};
use crate::port::certificate_issuer::{CertificateIssuer, IssuerError, IssuerOrder, OrderPurpose};
use crate::port::store::{
    AdoptOutcome, CompleteOutcome, Completion, LostSerial, OpenReservation, OpenUpstream, StoreError, UpstreamIntent,
};

/// How often an order is placed whose answer is lost.
const ORDERS: usize = 3;

/// How many issuances are looked at in one reading: what [`crate::port::store::UpstreamStore::open_upstream`] gives at most.
const PAGE: usize = 100;

/// For so long after its reservation an issuance belongs to the process that began it: what that one is refused was not made.
/// Afterwards another may have asked by the same id ([`settle`]), and a refusal says nothing any more.
const UNDER_WAY: Lifetime = Lifetime::from_seconds(30);

/// How long after its reservation an issuance is settled by whoever comes, so that it is no longer under way by any clock. An
/// issuer must remember for longer.
pub const SETTLED_AFTER: Lifetime = Lifetime::from_seconds(UNDER_WAY.seconds() + 2 * TOLERANCE.seconds());

/// Where the status of what an authority issues is found. The list of one that issues elsewhere is its issuer's.
pub(in crate::flow) fn endpoints(engine: &Engine, authority: &Authority, shard: Option<&str>) -> Endpoints {
    let endpoints = engine.endpoints(authority.id(), shard);
    if authority.issues_elsewhere() { Endpoints { crl: None, ..endpoints } } else { endpoints }
}

/// Refuses an order that no issuer elsewhere would take, before anything is put on record.
pub(super) fn check_order(order: &Order<'_>) -> Result<(), FlowError> {
    if order.csr.is_none() {
        return Err(FlowError::invalid(
            "csr-needed",
            "/csr",
            format!("authority {} issues for a CSR only: send one, also to keep the key", order.authority),
        ));
    }
    if order.profile.kind().is_authority() {
        let message = format!("authority {} issues to end entities and its responders only", order.authority);
        return Err(FlowError::new(FlowErrorKind::AuthorityCannotSign, message));
    }
    Ok(())
}

/// Carries on with a reservation. Where the issuer's answer is lost it stays open, for [`settle`]: there may be a certificate.
pub(super) async fn carry_on(
    engine: &Engine,
    mut order: Settled<'_>,
    reserved: Reserved,
    issuer: &dyn CertificateIssuer,
) -> Result<Issued, FlowError> {
    let (Some(csr), Issuer::Authority(facts)) = (order.csr, order.issuer) else {
        give_up(engine, &order, "not-ordered").await;
        return Err(FlowError::internal("an order that no issuer elsewhere would take was let through"));
    };
    let asked_for = match AskedFor::from_tbs_der(reserved.linted.der()) {
        Ok(asked_for) => asked_for,
        Err(error) => {
            give_up(engine, &order, "not-ordered").await;
            return Err(FlowError::internal(error));
        }
    };
    // 1. On record before the issuer is asked.
    let asked_at = match engine.store().database_time().await {
        Ok(asked_at) => asked_at,
        Err(error) => {
            give_up(engine, &order, "not-ordered").await;
            return Err(error.into());
        }
    };
    let intent = UpstreamIntent {
        id: order.id,
        csr: order.commitment.is_none().then(|| csr.to_vec()),
        inherit_roles: order.renews.is_some_and(|predecessor| is_held_by(predecessor, order.principal)),
        request_id: order.request_id.map(str::to_owned),
        asked_at,
    };
    match engine.store().intend_upstream(intent).await {
        Ok(true) => {}
        Ok(false) => return Err(gave_up_meanwhile(order.id)),
        Err(error) => {
            give_up(engine, &order, "not-ordered").await;
            return Err(error.into());
        }
    }
    // 2. Order.
    let purpose = purpose_of(&asked_for);
    let placed = IssuerOrder { id: order.id, csr, asked_for: &asked_for, purpose };
    let name = match place(engine, issuer, &placed, asked_at).await {
        Ok(name) => name,
        Err(error @ IssuerError::Unknown { .. }) => return Err(left_open(order.id, &error)),
        Err(error) if is_others_too(engine, asked_at).await => return Err(left_open(order.id, &error)),
        Err(error) => {
            give_up(engine, &order, "not-issued").await;
            return Err(error.into());
        }
    };
    // 3. By what name it is collected, on record before it is.
    if let Err(error) = note_name(engine, order.id, &name).await {
        return Err(left_open(order.id, &error));
    }
    // 4. Collect and check.
    let verdict = match issuer.collect(&name).await {
        Ok(Some(der)) => judge(facts, order.profile, &asked_for, &der),
        Ok(None) => return Err(left_open(order.id, &"it is not ready yet")),
        Err(error @ IssuerError::Refused { .. }) => {
            give_up(engine, &order, "failed-at-issuer").await;
            return Err(error.into());
        }
        Err(error) => return Err(left_open(order.id, &error)),
    };
    // 5. Its serial on record, whatever it is worth.
    let (certificate, fault) = match verdict {
        Verdict::Fits(certificate) => (certificate, None),
        Verdict::Other { certificate, fault } => (certificate, Some(fault)),
        Verdict::None(fault) => {
            give_up(engine, &order, "no-certificate").await;
            return Err(unfit(order.id, &fault));
        }
    };
    match adopt(engine, order.id, certificate.serial()).await {
        Ok(AdoptOutcome::Adopted) => order.serial = certificate.serial().clone(),
        Ok(AdoptOutcome::SerialTaken) => {
            give_up(engine, &order, "serial-taken").await;
            return Err(unfit(order.id, "its serial is that of another certificate"));
        }
        Ok(AdoptOutcome::NotReserved) => {
            return settled_meanwhile(engine, order.principal, order.id, order.authority, &certificate).await;
        }
        Err(error) => return Err(left_open(order.id, &error)),
    }
    // 6. Complete, or abandon: then it is revoked where it was made.
    if let Some(fault) = fault {
        give_up(engine, &order, "not-what-was-asked-for").await;
        return Err(unfit(order.id, &fault));
    }
    let certificate = super::complete(engine, &order, Signed { certificate }).await?;
    Ok(Issued { certificate, replayed: false })
}

/// What became of issuances that were found open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettledElsewhere {
    /// There are certificates now.
    pub completed: u64,
    /// There will be none.
    pub abandoned: u64,
    /// Their issuer has not said yet.
    pub waiting: u64,
}

/// Settles what was reserved before `before` ([`SETTLED_AFTER`] ago, unless whoever reserved it is known to be dead), ordered, and
/// never ended: asks again by the same id while the issuer remembers it,
/// collects what has a name, completes what is as it was asked for, and abandons the rest, with what is known of it in the audit
/// trail. Many may do so at once. Refused while the record is not known to be the newest.
pub async fn settle(engine: &Engine, principal: &Principal, before: Timestamp) -> Result<SettledElsewhere, FlowError> {
    engine.check_anchor()?;
    let mut settled = SettledElsewhere::default();
    let mut after = None;
    loop {
        let page = engine.store().open_upstream(before, after).await?;
        for open in &page {
            settled.count(&settle_one(engine, principal, open).await?);
        }
        after = page.last().map(|open| (open.reserved_at, open.id));
        if page.len() < PAGE {
            break;
        }
    }
    engine.store().forget_settled_upstream().await?;
    Ok(settled)
}

/// Settles what was ordered for responders of an authority and never ended, so that no other is ordered beside it. What may be under
/// way still counts as waiting.
pub(in crate::flow) async fn settle_responders(
    engine: &Engine,
    principal: &Principal,
    authority: &AuthorityId,
) -> Result<SettledElsewhere, FlowError> {
    let mut settled = SettledElsewhere::default();
    let now = engine.now();
    // Whoever reserved one may have a clock that is ahead.
    let before = now.plus(Lifetime::from_days(1));
    let mut after = None;
    loop {
        let page = engine.store().open_upstream(before, after).await?;
        for open in &page {
            let is_for_responder = engine
                .profiles()
                .get(&open.profile)
                .is_some_and(|profile| profile.kind() == ProfileKind::OcspResponder);
            if !is_for_responder || open.authority != *authority {
                continue;
            }
            settled.count(&match now.since(open.reserved_at) < SETTLED_AFTER {
                true => waiting(open, &"it may be under way"),
                false => settle_one(engine, principal, open).await?,
            });
        }
        after = page.last().map(|open| (open.reserved_at, open.id));
        if page.len() < PAGE {
            return Ok(settled);
        }
    }
}

impl SettledElsewhere {
    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Completed => self.completed += 1,
            Outcome::Abandoned => self.abandoned += 1,
            Outcome::Waiting => self.waiting += 1,
        }
    }
}

pub(super) enum Outcome {
    Completed,
    Abandoned,
    Waiting,
}

async fn settle_one(engine: &Engine, principal: &Principal, open: &OpenUpstream) -> Result<Outcome, FlowError> {
    let authority = engine.authority(&open.authority)?;
    let Ok(Hand::Elsewhere(issuer)) = authority.hand() else { return Ok(Outcome::Waiting) };
    let asked_for = match &open.order {
        Some(order) => Some(AskedFor::from_tbs_der(&order.to_be_signed).map_err(FlowError::internal)?),
        None => None,
    };
    let name = match (&open.name, &open.order, &asked_for) {
        (Some(name), _, _) => name.clone(),
        (None, Some(order), Some(asked_for)) if is_remembered(engine, issuer, open.asked_at).await? => {
            let purpose = purpose_of(asked_for);
            let order = IssuerOrder { id: open.id, csr: &order.csr, asked_for, purpose };
            match place(engine, issuer, &order, open.asked_at).await {
                Ok(name) => {
                    note_name(engine, open.id, &name).await?;
                    name
                }
                // What it was asked before, it may have done, by an order whose answer nobody got.
                Err(IssuerError::Refused { detail }) => {
                    tracing::warn!(certificate = %open.id, detail, "an issuer refused what was ordered before a crash");
                    return abandon(engine, principal, open, None, "unknown-at-issuer").await;
                }
                Err(error) => return Ok(waiting(open, &error)),
            }
        }
        // Whether there is one nobody can say any more: the event names the id by which it was ordered.
        (None, _, _) => return abandon(engine, principal, open, None, "unknown-at-issuer").await,
    };
    let der = match issuer.collect(&name).await {
        Ok(Some(der)) => der,
        Ok(None) => return Ok(waiting(open, &"it is not ready yet")),
        Err(IssuerError::Refused { detail }) => {
            tracing::warn!(certificate = %open.id, name, detail, "an issuer has no certificate where one was ordered");
            return abandon(engine, principal, open, Some(&name), "failed-at-issuer").await;
        }
        Err(error) => return Ok(waiting(open, &error)),
    };
    let profile = engine.profiles().get(&open.profile);
    let verdict = match (&asked_for, profile) {
        (Some(asked_for), Some(profile)) => judge(authority.facts(), profile, asked_for, &der),
        // What was asked for is personal data, or of a profile that is gone: nobody can say whether this is it.
        _ => match read(authority.facts(), &der) {
            Ok(certificate) => Verdict::Other { certificate, fault: "what was asked for is not known".to_owned() },
            Err(fault) => Verdict::None(fault),
        },
    };
    let (certificate, fits) = match verdict {
        Verdict::Fits(certificate) => (certificate, true),
        Verdict::Other { certificate, .. } => (certificate, false),
        Verdict::None(_) => return abandon(engine, principal, open, Some(&name), "no-certificate").await,
    };
    match adopt(engine, open.id, certificate.serial()).await? {
        AdoptOutcome::Adopted => {}
        AdoptOutcome::SerialTaken => return abandon(engine, principal, open, Some(&name), "serial-taken").await,
        AdoptOutcome::NotReserved => {
            let ended = settled_meanwhile(engine, principal, open.id, &open.authority, &certificate).await;
            return Ok(if ended.is_ok() { Outcome::Completed } else { Outcome::Abandoned });
        }
    }
    let adopted = OpenUpstream { serial: certificate.serial().clone(), ..open.clone() };
    match profile {
        Some(profile) if fits => complete(engine, principal, &adopted, &authority, profile, certificate).await,
        _ => abandon(engine, principal, &adopted, Some(&name), "found-open").await,
    }
}

/// Whether others may have asked for what this process is asking.
async fn is_others_too(engine: &Engine, asked_at: Timestamp) -> bool {
    engine.store().database_time().await.map_or(true, |now| now.since(asked_at) >= UNDER_WAY)
}

/// Whether an issuer still knows an order that was first placed at `asked_at`, at the earliest. By the database's clock, which is one:
/// an order that it has forgotten makes a second certificate.
async fn is_remembered(
    engine: &Engine,
    issuer: &dyn CertificateIssuer,
    asked_at: Timestamp,
) -> Result<bool, StoreError> {
    Ok(engine.store().database_time().await? < asked_at.plus(issuer.remembers_for()))
}

pub(super) async fn complete(
    engine: &Engine,
    principal: &Principal,
    open: &OpenUpstream,
    authority: &Authority,
    profile: &Profile,
    certificate: Certificate,
) -> Result<Outcome, FlowError> {
    let now = dependable_now(engine).await?.max(open.reserved_at);
    let mut journal = super::journal(
        &Event {
            id: open.id,
            authority: authority.id(),
            kind: profile.kind(),
            principal,
            renews: open.renews,
            request_id: open.request_id.as_deref(),
            commitment: None,
        },
        &certificate,
        now,
    );
    journal.event = journal.event.with("requested_by", &open.requested_by);
    let completion = Completion {
        id: open.id,
        certificate: certificate.der().to_vec(),
        completed_at: now,
        inherit_roles: open.inherit_roles,
        personal_data: false,
        journal,
    };
    match engine.store().complete(completion).await? {
        CompleteOutcome::Completed(stored) => {
            if profile.kind() == ProfileKind::OcspResponder {
                take_up(engine, None, authority.id(), &stored).await?;
            }
            Ok(Outcome::Completed)
        }
        CompleteOutcome::Overtaken | CompleteOutcome::NotReserved => Ok(Outcome::Abandoned),
    }
}

async fn abandon(
    engine: &Engine,
    principal: &Principal,
    open: &OpenUpstream,
    name: Option<&str>,
    cause: &str,
) -> Result<Outcome, FlowError> {
    let reservation = OpenReservation {
        id: open.id,
        authority: open.authority.clone(),
        serial: open.serial.clone(),
        reserved_at: open.reserved_at,
    };
    let now = dependable_now(engine).await?;
    let mut journal = abandonment(now, principal, &reservation, cause, open.request_id.as_deref());
    if let Some(name) = name {
        journal.event = journal.event.with("name_at_issuer", name);
    }
    engine.store().abandon(open.id, journal).await?;
    Ok(Outcome::Abandoned)
}

fn waiting(open: &OpenUpstream, why: &dyn std::fmt::Display) -> Outcome {
    tracing::warn!(certificate = %open.id, authority = %open.authority, %why, "an issuance elsewhere cannot be settled yet");
    Outcome::Waiting
}

/// What an issuer's answer is worth.
pub(super) enum Verdict {
    /// It is the certificate that was asked for.
    Fits(Certificate),
    /// It is one of the authority, but not that.
    Other { certificate: Certificate, fault: String },
    /// It is none of the authority.
    None(String),
}

pub(super) fn judge(facts: &IssuerFacts, profile: &Profile, asked_for: &AskedFor, der: &[u8]) -> Verdict {
    let certificate = match read(facts, der) {
        Ok(certificate) => certificate,
        Err(fault) => return Verdict::None(fault),
    };
    // The field only: what it says may be personal data, and this goes to the log.
    if let Err(mismatch) = certificate.check_answers(asked_for) {
        let fault = format!("its {} is not what was asked for", mismatch.field);
        return Verdict::Other { certificate, fault };
    }
    // What it was to be signed by was settled when it was asked for; the authority may be told another algorithm since.
    let facts = facts.clone().signing_by(asked_for.signature_algorithm());
    let context = LintContext { issuer: Issuer::Authority(&facts), public_key: asked_for.public_key(), profile };
    match lint::check_received(certificate.tbs_der(), &context) {
        Ok(()) => Verdict::Fits(certificate),
        Err(findings) => {
            let rules: Vec<&str> = findings.iter().map(|finding| finding.rule).collect();
            Verdict::Other { certificate, fault: format!("it breaks {}", rules.join(", ")) }
        }
    }
}

fn read(facts: &IssuerFacts, der: &[u8]) -> Result<Certificate, String> {
    let certificate = Certificate::from_der(der).map_err(|error| error.to_string())?;
    certificate.verify_signed_by(&facts.public_key).map_err(|_| "the authority's key did not sign it".to_owned())?;
    Ok(certificate)
}

/// Of an order that is placed again the profile may be gone: what is on record says what it was for.
fn purpose_of(asked_for: &AskedFor) -> OrderPurpose {
    match asked_for.ocsp_no_check() {
        true => OrderPurpose::OcspResponder,
        false => OrderPurpose::EndEntity,
    }
}

/// Places an order, again by the same id when the answer is lost. It counts for nothing where the issuer may have forgotten what was
/// ordered before: then there may be two certificates, and both are given up under the id that they were ordered by.
async fn place(
    engine: &Engine,
    issuer: &dyn CertificateIssuer,
    order: &IssuerOrder<'_>,
    asked_at: Timestamp,
) -> Result<String, IssuerError> {
    let mut lost = None;
    for _ in 0..ORDERS {
        // This process may have stood still.
        check_remembered(engine, issuer, asked_at).await?;
        match issuer.order(order).await {
            // And again: between the look and the order, too.
            Ok(name) => return check_remembered(engine, issuer, asked_at).await.map(|()| name),
            Err(error @ IssuerError::Unknown { .. }) => lost = Some(error),
            // What the first one did is still not known.
            Err(error) if lost.is_some() => lost = Some(IssuerError::Unknown { detail: error.to_string() }),
            Err(error) => return Err(error),
        }
    }
    Err(lost.unwrap_or(IssuerError::Unknown { detail: "it was not asked".to_owned() }))
}

async fn check_remembered(
    engine: &Engine,
    issuer: &dyn CertificateIssuer,
    asked_at: Timestamp,
) -> Result<(), IssuerError> {
    match is_remembered(engine, issuer, asked_at).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(IssuerError::Unknown { detail: "it was first asked longer ago than it remembers".to_owned() }),
        Err(error) => Err(IssuerError::Unknown { detail: error.to_string() }),
    }
}

/// Records a name; once more when the acknowledgement was lost.
async fn note_name(engine: &Engine, id: CertificateId, name: &str) -> Result<(), StoreError> {
    match engine.store().name_upstream(id, name).await {
        Err(StoreError::Unknown { .. }) => engine.store().name_upstream(id, name).await,
        noted => noted,
    }
}

/// Adopts a serial; once more when the acknowledgement was lost.
pub(super) async fn adopt(engine: &Engine, id: CertificateId, serial: &Serial) -> Result<AdoptOutcome, StoreError> {
    match engine.store().adopt_serial(id, serial).await {
        Err(StoreError::Unknown { .. }) => engine.store().adopt_serial(id, serial).await,
        adopted => adopted,
    }
}

/// Another has ended the issuance: with this certificate, or without knowing of it. Then its serial is put on record as revoked, and
/// so it is revoked where it was made.
pub(super) async fn settled_meanwhile(
    engine: &Engine,
    principal: &Principal,
    id: CertificateId,
    authority: &AuthorityId,
    certificate: &Certificate,
) -> Result<Issued, FlowError> {
    if let Some(certificate) = engine.store().certificate(id).await? {
        return Ok(Issued { certificate, replayed: false });
    }
    let now = dependable_now(engine).await?;
    let subject = format!("certificate:{id}");
    let event = AuditEvent::new(now, AuditAction::IssuanceAbandoned, principal.reference(), subject)
        .with("authority", authority)
        .with("cause", "abandoned-before-it-came")
        .with("serial", certificate.serial());
    let revocation =
        Revocation { revoked_at: now.floor_to_second(), reason: RevocationReason::Unspecified, invalidity_date: None };
    let lost = LostSerial {
        id: CertificateId::new(now, engine.random()?),
        authority: authority.clone(),
        serial: certificate.serial().clone(),
        revocation,
        not_after: certificate.validity().not_after,
        blocked_key: None,
        journal: crate::port::store::Journal::of(event),
    };
    engine.store().record_lost_serial(lost).await?;
    Err(gave_up_meanwhile(id))
}

pub(super) fn gave_up_meanwhile(id: CertificateId) -> FlowError {
    FlowError::new(FlowErrorKind::Unavailable, "the issuance took too long and was given up; try again")
        .retry_after(1)
        .with_detail(format!("reservation {id} was abandoned before its certificate came"))
}

pub(super) fn left_open(id: CertificateId, why: &dyn std::fmt::Display) -> FlowError {
    FlowError::new(
        FlowErrorKind::Unavailable,
        "the authority's issuer has not answered in time; try again with the same idempotency key: what it has made is not made twice",
    )
    .retry_after(5)
    .with_detail(format!("issuance {id} is left open: {why}"))
}

fn unfit(id: CertificateId, fault: &str) -> FlowError {
    FlowError::internal(format!("what came of {id} from its issuer was refused: {fault}"))
}
