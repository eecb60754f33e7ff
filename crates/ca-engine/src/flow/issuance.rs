//! The part every issuance shares: prepare → reserve → sign → check → complete.
//!
//! [`Prepared`], [`Reserved`] and [`Signed`] are move-only with private fields: no step can be skipped or done twice, and
//! what is signed is what is on record (invariants 2 and 3 of the design).

mod asked_again;
pub mod elsewhere;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
use ca_core::hash::sha256;
use ca_core::id::{AuthorityId, CertificateId, TokenId};
use ca_core::lint::{self, Finding, LintContext, LintedTbs};
use ca_core::policy::{Granted, Violation, ViolationCode};
use ca_core::principal::Principal;
use ca_core::profile::{Profile, ProfileKind};
use ca_core::revocation::Standing;
use ca_core::serial::{Serial, ShardNumber};
use ca_core::tbs;
use ca_core::template::{self, CertificateTemplate, Endpoints, Issuer, SerialChoice};
use ca_core::time::{Lifetime, Timestamp};

use super::audit_text::{self, AuditText};
use super::reconcile::abandonment;
use super::watch_clock::{assure_clock, dependable_now};
use crate::engine::Engine;
use crate::error::{Fault, FlowError, FlowErrorKind};
use crate::hierarchy::Hand;
use crate::port::store::{
    CompleteOutcome, Completion, Idempotency, Journal, OpenReservation, OutboxMessage, PersonalData, Reservation,
    ReserveOutcome, StoreError, StoredCertificate,
};

/// Everything an issuance is given once it was granted.
pub(super) struct Order<'a> {
    /// What may be issued.
    pub(super) granted: Granted,
    /// The profile it was granted by.
    pub(super) profile: &'a Profile,
    /// The issuer's side of the certificate.
    pub(super) issuer: Issuer<'a>,
    /// The issuer's id; for a root, its own.
    pub(super) authority: &'a AuthorityId,
    /// By whom it is signed.
    pub(super) hand: Hand<'a>,
    /// The DER of the CSR, where there is one: an issuer elsewhere wants it.
    pub(super) csr: Option<&'a [u8]>,
    /// Where status can be looked up.
    pub(super) endpoints: Endpoints,
    /// The shard of the issuer's CRL that the certificate goes into.
    pub(super) shard: Option<ShardNumber>,
    /// Who asks.
    pub(super) principal: &'a Principal,
    /// Principal reference of the owner.
    pub(super) owner: String,
    /// The predecessor.
    pub(super) renews: Option<CertificateId>,
    /// The idempotency key.
    pub(super) idempotency: Option<AskedOnce>,
    /// The request it came with.
    pub(super) request_id: Option<&'a str>,
}

/// An idempotency key in its scope, and what was asked with it.
pub(super) struct AskedOnce {
    /// SHA-256 over principal, route and key.
    pub(super) scope_sha256: [u8; 32],
    /// SHA-256 over the request.
    pub(super) request_sha256: [u8; 32],
}

/// How long an idempotency key is kept.
pub const IDEMPOTENCY_LIFETIME: Lifetime = Lifetime::from_seconds(24 * 3_600);

/// What came of an issuance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub certificate: StoredCertificate,
    /// Whether it is the answer to an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// A template whose TBS passed the linter, and the reservation to be made of it.
struct Prepared {
    template: CertificateTemplate,
    linted: LintedTbs,
    reservation: Reservation,
}

/// A prepared issuance that is on record: its key may be used once.
struct Reserved {
    template: CertificateTemplate,
    linted: LintedTbs,
}

/// A certificate that is exactly what was reserved, not yet on record.
struct Signed {
    certificate: Certificate,
}

/// What of an order is needed after its template was made.
struct Settled<'a> {
    id: CertificateId,
    /// Of one whose issuer chooses it, a provisional one until then.
    serial: Serial,
    authority: &'a AuthorityId,
    profile: &'a Profile,
    issuer: Issuer<'a>,
    hand: Hand<'a>,
    csr: Option<&'a [u8]>,
    principal: &'a Principal,
    renews: Option<CertificateId>,
    request_id: Option<&'a str>,
    /// What the event commits to, when the certificate is personal data.
    commitment: Option<[u8; 32]>,
    reserved_at: Timestamp,
}

impl Settled<'_> {
    fn event(&self) -> Event<'_> {
        Event {
            id: self.id,
            authority: self.authority,
            kind: self.profile.kind(),
            principal: self.principal,
            renews: self.renews,
            request_id: self.request_id,
            commitment: self.commitment,
        }
    }
}

/// Carries an order out. When it fails, nothing is left open: the reservation is abandoned at once where the record can be
/// reached, else by [`super::reconcile`].
pub(super) async fn carry_out(engine: &Engine, order: Order<'_>) -> Result<Issued, FlowError> {
    assure_clock(engine).await?;
    if matches!(order.hand, Hand::Elsewhere(_)) {
        elsewhere::check_order(&order)?;
    }
    let (order, prepared) = prepare(engine, order)?;
    let reserved = match reserve(engine, &order, prepared).await? {
        ReservationResult::Reserved(reserved) => reserved,
        ReservationResult::Replay(id) => {
            let certificate = engine.store().certificate(id).await?.ok_or_else(|| {
                FlowError::internal(format!("certificate {id} of an idempotency key is not on record"))
            })?;
            return Ok(Issued { certificate, replayed: true });
        }
        ReservationResult::InProgress(id) => {
            return match order.hand {
                Hand::Elsewhere(_) => asked_again::collect(engine, order.principal, id).await,
                Hand::Key(_) => Err(in_progress()),
            };
        }
    };
    if let Hand::Elsewhere(issuer) = order.hand {
        return elsewhere::carry_on(engine, order, *reserved, issuer).await;
    }
    let signed = match sign(&order, *reserved).await {
        Ok(signed) => signed,
        Err(error) => {
            give_up(engine, &order, "not-signed").await;
            return Err(error);
        }
    };
    let certificate = complete(engine, &order, signed).await?;
    Ok(Issued { certificate, replayed: false })
}

/// Clock and entropy are used here, once; then everything is values.
fn prepare<'a>(engine: &Engine, order: Order<'a>) -> Result<(Settled<'a>, Prepared), FlowError> {
    let now = engine.now();
    let id = CertificateId::new(now, engine.random()?);
    let serial = match order.hand {
        Hand::Key(_) => engine.new_serial(order.shard)?,
        Hand::Elsewhere(_) => Serial::provisional(engine.random()?),
    };
    let template =
        template::build(order.granted, order.issuer, &order.endpoints, SerialChoice::Ours(serial.clone()), now)
            .map_err(unfit)?;
    let encoded = tbs::encode(&template).map_err(FlowError::internal)?;
    let context = LintContext { issuer: order.issuer, public_key: template.public_key(), profile: order.profile };
    let linted = lint::check(encoded, &context).map_err(|findings| ill_formed(order.profile, &findings))?;
    let audit_text = order.profile.has_personal_data().then(|| audit_text::of(engine, &template)).transpose()?;
    let commitment = audit_text.as_ref().map(AuditText::commitment);
    let reservation = Reservation {
        id,
        authority: order.authority.clone(),
        serial: serial.clone(),
        profile: order.profile.name().clone(),
        validity: template.validity(),
        subject: template.subject().clone(),
        names: template.names().to_vec(),
        spki_sha256: template.public_key().spki_sha256(),
        to_be_signed: linted.der().to_vec(),
        owner: order.owner,
        requested_by: order.principal.reference(),
        renews: order.renews,
        token: token_of(order.principal),
        idempotency: order.idempotency.map(|asked| Idempotency {
            scope_sha256: asked.scope_sha256,
            request_sha256: asked.request_sha256,
            expires_at: now.plus(IDEMPOTENCY_LIFETIME),
        }),
        personal_data: audit_text.map(|text| PersonalData { audit_text: text.to_record() }),
        reserved_at: now,
    };
    let order = Settled {
        id,
        serial,
        authority: order.authority,
        profile: order.profile,
        issuer: order.issuer,
        hand: order.hand,
        csr: order.csr,
        principal: order.principal,
        renews: order.renews,
        request_id: order.request_id,
        commitment,
        reserved_at: now,
    };
    Ok((order, Prepared { template, linted, reservation }))
}

enum ReservationResult {
    Reserved(Box<Reserved>),
    Replay(CertificateId),
    InProgress(CertificateId),
}

async fn reserve(engine: &Engine, order: &Settled<'_>, prepared: Prepared) -> Result<ReservationResult, FlowError> {
    let Prepared { template, linted, reservation } = prepared;
    match engine.store().reserve(reservation).await {
        Ok(ReserveOutcome::Reserved) => Ok(ReservationResult::Reserved(Box::new(Reserved { template, linted }))),
        Ok(ReserveOutcome::Replay(earlier)) => Ok(ReservationResult::Replay(earlier)),
        Ok(ReserveOutcome::InProgress(earlier)) => Ok(ReservationResult::InProgress(earlier)),
        Ok(refused) => Err(refusal(&refused)),
        Err(error) => {
            // It may be there all the same, and would hold the idempotency key and the predecessor until it is found.
            if matches!(error, StoreError::Unknown { .. }) {
                give_up(engine, order, "not-acknowledged").await;
            }
            Err(error.into())
        }
    }
}

/// The signature is verified before anything becomes a certificate, and the certificate is held against its template.
async fn sign(order: &Settled<'_>, reserved: Reserved) -> Result<Signed, FlowError> {
    let Reserved { template, linted } = reserved;
    let Hand::Key(signer) = order.hand else {
        return Err(FlowError::internal("an issuer elsewhere signs what it is ordered, not what it is given"));
    };
    let signature = signer.sign(&linted).await?;
    let issuer_key = match order.issuer {
        Issuer::Authority(facts) => &facts.public_key,
        Issuer::Itself(_) => template.public_key(),
    };
    let fault = |what: &dyn std::fmt::Display| {
        FlowError::internal(format!("certificate {} of {}: {what}", order.id, order.authority))
    };
    let der = linted.into_certificate(&signature, issuer_key).map_err(|error| fault(&error))?;
    let certificate =
        Certificate::from_der_of_key(der.as_bytes(), template.public_key()).map_err(|error| fault(&error))?;
    // The field only: what it says may be personal data, and this goes to the log.
    certificate
        .check_against(&template)
        .map_err(|mismatch| fault(&format!("its {} is not what was asked for", mismatch.field)))?;
    Ok(Signed { certificate })
}

/// Puts the certificate on record. A completion whose acknowledgement was lost is repeated, which is harmless; when the record
/// stays silent, the certificate does not leave.
async fn complete(engine: &Engine, order: &Settled<'_>, signed: Signed) -> Result<StoredCertificate, FlowError> {
    let Signed { certificate } = signed;
    // The clock may have been set meanwhile. Ahead, it would revoke what came too late in the future, and no list could be made until
    // then; back, it dates nothing before its reservation: a compromise since then would not reach it.
    let now = match dependable_now(engine).await {
        Ok(now) => now.max(order.reserved_at),
        Err(error) => {
            give_up(engine, order, "not-recorded").await;
            return Err(error);
        }
    };
    // Made anew for a repetition, which is rare, instead of copied for all.
    let completion = || Completion {
        id: order.id,
        certificate: certificate.der().to_vec(),
        completed_at: now,
        inherit_roles: order.renews.is_some_and(|predecessor| is_held_by(predecessor, order.principal)),
        personal_data: order.commitment.is_some(),
        journal: journal(&order.event(), &certificate, now),
    };
    let mut outcome = engine.store().complete(completion()).await;
    if outcome.is_err() {
        outcome = engine.store().complete(completion()).await;
    }
    match outcome {
        Ok(CompleteOutcome::Completed(stored)) => Ok(*stored),
        Ok(CompleteOutcome::Overtaken) => Err(overtaken(engine, order).await),
        Ok(CompleteOutcome::NotReserved) => {
            Err(FlowError::new(FlowErrorKind::Unavailable, "the issuance took too long and was given up; try again")
                .retry_after(1)
                .with_detail(format!("reservation {} was abandoned before its completion", order.id)))
        }
        Err(error) => {
            give_up(engine, order, "not-recorded").await;
            // What could not be given up is completed, or else found by `reconcile`.
            match engine.store().certificate(order.id).await {
                Ok(Some(stored)) => Ok(stored),
                _ => Err(error.into()),
            }
        }
    }
}

/// Why a certificate was not issued that was signed already: its key or its predecessor fell meanwhile.
async fn overtaken(engine: &Engine, order: &Settled<'_>) -> FlowError {
    if let Some(predecessor) = order.renews
        && let Ok(Some(stored)) = engine.store().certificate(predecessor).await
        && stored.standing != Standing::Active
    {
        return FlowError::new(
            FlowErrorKind::CertificateRevoked,
            "the certificate was revoked or put on hold while its successor was being made; nothing was issued",
        );
    }
    FlowError::new(
        FlowErrorKind::KeyBlocked,
        "the key was reported as compromised while the certificate was being made; nothing was issued",
    )
}

/// Abandons the reservation of an issuance that failed. Where that fails too, [`super::reconcile`] will find it.
async fn give_up(engine: &Engine, order: &Settled<'_>, cause: &str) {
    let open = OpenReservation {
        id: order.id,
        authority: order.authority.clone(),
        serial: order.serial.clone(),
        reserved_at: order.reserved_at,
    };
    let Ok(now) = dependable_now(engine).await else { return };
    let journal = abandonment(now, order.principal, &open, cause, order.request_id);
    let _ = engine.store().abandon(order.id, journal).await;
}

/// Whether `principal` stands for the certificate itself, so that roles pass to a successor it asks for. Whoever renews somebody else's certificate may bring a key of
/// its own: a registrar would become an administrator by renewing one's certificate.
pub(super) fn is_held_by(certificate: CertificateId, principal: &Principal) -> bool {
    match principal {
        Principal::Certificate { id, .. } => *id == certificate,
        Principal::LocalOperator => true,
        _ => false,
    }
}

/// What an issuance's event tells.
struct Event<'a> {
    id: CertificateId,
    authority: &'a AuthorityId,
    kind: ProfileKind,
    principal: &'a Principal,
    renews: Option<CertificateId>,
    request_id: Option<&'a str>,
    /// What it commits to, when the certificate is personal data.
    commitment: Option<[u8; 32]>,
}

fn journal(told: &Event<'_>, certificate: &Certificate, now: Timestamp) -> Journal {
    let id = told.id;
    let (action, topic) = match (told.kind, told.renews) {
        (ProfileKind::OcspResponder, _) => (AuditAction::ResponderIssued, "certificate.issued"),
        (_, None) => (AuditAction::CertificateIssued, "certificate.issued"),
        (_, Some(_)) => (AuditAction::CertificateRenewed, "certificate.renewed"),
    };
    let mut event = AuditEvent::new(now, action, told.principal.reference(), format!("certificate:{id}"))
        .with("authority", told.authority)
        .with("serial", certificate.serial())
        .with("fingerprint_sha256", hex::encode(sha256(certificate.der())))
        .with("not_after", certificate.validity().not_after)
        .in_request(told.request_id);
    if let Some(predecessor) = told.renews {
        event = event.with("renews", predecessor);
    }
    if let Some(commitment) = told.commitment {
        event = event.with(audit_text::DETAIL, hex::encode(commitment));
    }
    let payload = serde_json::json!({
        "authority": told.authority.as_str(),
        "certificate": id.to_string(),
        "not_after": certificate.validity().not_after.to_rfc3339(),
        "renews": told.renews.map(|predecessor| predecessor.to_string()),
        "serial": certificate.serial().to_string(),
    });
    Journal::of(event).telling(OutboxMessage { topic, certificate: Some(id), payload: payload.to_string() })
}

fn token_of(principal: &Principal) -> Option<TokenId> {
    match principal {
        Principal::EnrolmentToken { id, .. } => Some(*id),
        _ => None,
    }
}

/// A request that its profile or its issuer does not allow, with everything that is wrong.
pub(super) fn violations(violations: Vec<Violation>) -> FlowError {
    let faults = violations
        .into_iter()
        .map(|violation| Fault {
            code: violation.code.as_str().to_owned(),
            pointer: violation.pointer,
            message: violation.message,
        })
        .collect();
    FlowError::of_faults(FlowErrorKind::ProfileViolation, "the profile does not allow what was asked for", faults)
}

/// A request that its issuer does not allow; or an issuer that cannot issue at all now, which is nobody's fault who asks.
fn unfit(broken: Vec<Violation>) -> FlowError {
    let of = |code| broken.iter().find(|violation| violation.code == code).map(|violation| violation.message.clone());
    if let Some(message) = of(ViolationCode::IssuerNotYetValid) {
        return FlowError::new(FlowErrorKind::SigningSuspended, message);
    }
    if let Some(message) = of(ViolationCode::IssuerExpired) {
        return FlowError::new(FlowErrorKind::AuthorityCannotSign, message);
    }
    violations(broken)
}

/// A certificate that the linter refused. The log is told the rules only: their findings may quote names.
fn ill_formed(profile: &Profile, findings: &[Finding]) -> FlowError {
    let rules: Vec<&str> = findings.iter().map(|finding| finding.rule).collect();
    let faults = findings
        .iter()
        .map(|finding| Fault {
            code: finding.rule.to_owned(),
            pointer: String::new(),
            message: format!("{} ({})", finding.detail, finding.clause),
        })
        .collect();
    let message = "the certificate would break a rule of RFC 5280, so it was not signed";
    FlowError::new(FlowErrorKind::ProfileViolation, message).with_faults(faults).with_detail(format!(
        "a certificate of profile {} breaks {}",
        profile.name(),
        rules.join(", ")
    ))
}

fn in_progress() -> FlowError {
    FlowError::new(
        FlowErrorKind::RequestInProgress,
        "the same request with this idempotency key is being worked on; try again in a moment",
    )
    .retry_after(1)
}

pub(super) fn refusal(outcome: &ReserveOutcome) -> FlowError {
    match outcome {
        ReserveOutcome::InProgress(_) => in_progress(),
        ReserveOutcome::IdempotencyConflict => FlowError::new(
            FlowErrorKind::IdempotencyConflict,
            "this idempotency key was used for another request within the last day; use a new key",
        ),
        ReserveOutcome::KeyBlocked => FlowError::new(
            FlowErrorKind::KeyBlocked,
            "this public key was reported as compromised and is blocked for ever; make a new key",
        ),
        ReserveOutcome::TokenSpent => FlowError::new(
            FlowErrorKind::TokenUsedUp,
            "the token was used as often as it may be, has expired or was withdrawn; ask for a new one",
        ),
        ReserveOutcome::SuccessorExists(successor) => FlowError::new(
            FlowErrorKind::AlreadyRenewed,
            format!("the certificate was renewed already; use its successor {successor}, or revoke that one first"),
        ),
        ReserveOutcome::PredecessorNotActive => FlowError::new(
            FlowErrorKind::CertificateRevoked,
            "a certificate that is revoked or on hold cannot be renewed; ask for a new one",
        ),
        ReserveOutcome::SerialTaken => {
            FlowError::new(FlowErrorKind::Overloaded, "the serial number drawn was taken; try again").retry_after(1)
        }
        ReserveOutcome::Reserved | ReserveOutcome::Replay(_) => {
            FlowError::internal("a reservation that was made cannot be refused")
        }
    }
}
