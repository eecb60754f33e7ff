//! The part every issuance shares: prepare → reserve → sign → check → complete.
//!
//! [`Prepared`], [`Reserved`] and [`Signed`] are move-only with private fields: no step can be skipped or done twice, and
//! what is signed is what is on record (invariants 2 and 3 of the design).

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::certificate::Certificate;
use ca_core::hash::sha256;
use ca_core::id::{CertificateId, TokenId};
use ca_core::lint::{self, LintContext, LintedTbs};
use ca_core::policy::{Granted, Violation};
use ca_core::principal::Principal;
use ca_core::profile::Profile;
use ca_core::signing::Signable;
use ca_core::tbs;
use ca_core::template::{self, CertificateTemplate, Endpoints, Issuer, SerialChoice};
use ca_core::time::Timestamp;

use crate::engine::Engine;
use crate::error::{Fault, FlowError, FlowErrorKind};
use crate::port::signer::Signer;
use crate::port::store::{
    CompleteOutcome, Completion, Idempotency, Journal, OutboxMessage, Reservation, ReserveOutcome, StoredCertificate,
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
    pub(super) authority: &'a ca_core::id::AuthorityId,
    /// The issuer's key.
    pub(super) signer: &'a dyn Signer,
    /// Where status can be looked up.
    pub(super) endpoints: Endpoints,
    /// Who asks.
    pub(super) principal: &'a Principal,
    /// Principal reference of the owner.
    pub(super) owner: String,
    /// The predecessor, and whether its roles go over.
    pub(super) renews: Option<CertificateId>,
    /// The idempotency key.
    pub(super) idempotency: Option<Idempotency>,
    /// The request it came with.
    pub(super) request_id: Option<&'a str>,
}

/// What came of an issuance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub certificate: StoredCertificate,
    /// Whether it is the answer to an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// A template whose TBS passed the linter, and the reservation to be made of it.
struct Prepared<'a> {
    order: Settled<'a>,
    template: CertificateTemplate,
    linted: LintedTbs,
    reservation: Reservation,
}

/// A prepared issuance that is on record: its key may be used once.
struct Reserved<'a> {
    order: Settled<'a>,
    template: CertificateTemplate,
    linted: LintedTbs,
    id: CertificateId,
}

/// A certificate that is exactly what was reserved, not yet on record.
struct Signed<'a> {
    order: Settled<'a>,
    certificate: Certificate,
    id: CertificateId,
}

/// What of an order is needed after its template was made.
struct Settled<'a> {
    authority: &'a ca_core::id::AuthorityId,
    issuer: Issuer<'a>,
    signer: &'a dyn Signer,
    principal: &'a Principal,
    renews: Option<CertificateId>,
    request_id: Option<&'a str>,
}

/// Carries an order out.
pub(super) async fn carry_out(engine: &Engine, order: Order<'_>) -> Result<Issued, FlowError> {
    engine.check_clock()?;
    let prepared = prepare(engine, order)?;
    let reserved = match reserve(engine, prepared).await? {
        ReservationResult::Reserved(reserved) => reserved,
        ReservationResult::Replay(id) => {
            let certificate = engine.store().certificate(id).await?.ok_or_else(|| {
                FlowError::internal(format!("certificate {id} of an idempotency key is not on record"))
            })?;
            return Ok(Issued { certificate, replayed: true });
        }
    };
    let signed = sign(*reserved).await?;
    let certificate = complete(engine, signed).await?;
    Ok(Issued { certificate, replayed: false })
}

/// Clock and entropy are used here, once; then everything is values.
fn prepare<'a>(engine: &Engine, order: Order<'a>) -> Result<Prepared<'a>, FlowError> {
    let now = engine.now();
    let id = CertificateId::new(now, engine.random()?);
    let serial = engine.new_serial()?;
    let template =
        template::build(order.granted, order.issuer, &order.endpoints, SerialChoice::Ours(serial.clone()), now)
            .map_err(violations)?;
    let profile = template.profile().clone();
    let encoded = tbs::encode(&template).map_err(FlowError::internal)?;
    let context = LintContext { issuer: order.issuer, public_key: template.public_key(), profile: order.profile };
    let linted = lint::check(encoded, &context).map_err(|findings| {
        let mut error = FlowError::internal(format!("the linter refused a certificate of {profile}: {findings:?}"));
        error.message = "the certificate would break a rule of RFC 5280, so it was not signed".to_owned();
        error.kind = FlowErrorKind::ProfileViolation;
        error.faults = findings
            .iter()
            .map(|finding| Fault {
                code: finding.rule.to_owned(),
                pointer: String::new(),
                message: format!("{} ({})", finding.detail, finding.clause),
            })
            .collect();
        error
    })?;
    let reservation = Reservation {
        id,
        authority: order.authority.clone(),
        serial,
        profile,
        validity: template.validity(),
        subject: template.subject().clone(),
        names: template.names().to_vec(),
        spki_sha256: template.public_key().spki_sha256(),
        to_be_signed: linted.to_be_signed().to_vec(),
        owner: order.owner,
        requested_by: order.principal.reference(),
        renews: order.renews,
        token: token_of(order.principal),
        idempotency: order.idempotency,
        reserved_at: now,
    };
    let order = Settled {
        authority: order.authority,
        issuer: order.issuer,
        signer: order.signer,
        principal: order.principal,
        renews: order.renews,
        request_id: order.request_id,
    };
    Ok(Prepared { order, template, linted, reservation })
}

enum ReservationResult<'a> {
    Reserved(Box<Reserved<'a>>),
    Replay(CertificateId),
}

async fn reserve<'a>(engine: &Engine, prepared: Prepared<'a>) -> Result<ReservationResult<'a>, FlowError> {
    let Prepared { order, template, linted, reservation } = prepared;
    let id = reservation.id;
    match engine.store().reserve(reservation).await? {
        ReserveOutcome::Reserved => Ok(ReservationResult::Reserved(Box::new(Reserved { order, template, linted, id }))),
        ReserveOutcome::Replay(earlier) => Ok(ReservationResult::Replay(earlier)),
        refused => Err(refusal(&refused)),
    }
}

/// The signature is verified before anything becomes a certificate, and the certificate is held against its template.
async fn sign(reserved: Reserved<'_>) -> Result<Signed<'_>, FlowError> {
    let Reserved { order, template, linted, id } = reserved;
    let signature = order.signer.sign(&linted).await?;
    let issuer_key = match order.issuer {
        Issuer::Authority(facts) => &facts.public_key,
        Issuer::Itself => template.public_key(),
    };
    let fault = |error: &dyn std::fmt::Display| {
        FlowError::internal(format!("certificate {id} of {}: {error}", order.authority))
    };
    let der = linted.into_certificate(&signature, issuer_key).map_err(|error| fault(&error))?;
    let certificate = Certificate::from_der(der.as_bytes()).map_err(|error| fault(&error))?;
    certificate.check_against(&template).map_err(|error| fault(&error))?;
    Ok(Signed { order, certificate, id })
}

async fn complete(engine: &Engine, signed: Signed<'_>) -> Result<StoredCertificate, FlowError> {
    let Signed { order, certificate, id } = signed;
    let now = engine.now();
    let completion = Completion {
        id,
        certificate: certificate.der().to_vec(),
        completed_at: now,
        inherit_roles: order.renews.is_some_and(|predecessor| is_held_by(predecessor, order.principal)),
        journal: issuance_journal(&order, &certificate, id, now),
    };
    match engine.store().complete(completion).await? {
        CompleteOutcome::Completed(stored) => Ok(*stored),
        CompleteOutcome::Overtaken => Err(FlowError::new(
            FlowErrorKind::KeyBlocked,
            "the key was blocked or the predecessor revoked while the certificate was being made; nothing was issued",
        )),
        CompleteOutcome::NotReserved => {
            Err(FlowError::new(FlowErrorKind::Unavailable, "the issuance took too long and was given up; try again")
                .retry_after(1)
                .with_detail(format!("reservation {id} was abandoned before its completion")))
        }
    }
}

/// Whether roles pass to a successor that `principal` asks for. Whoever renews somebody else's certificate may bring a key of
/// its own: a registrar would become an administrator by renewing one's certificate.
fn is_held_by(certificate: CertificateId, principal: &Principal) -> bool {
    match principal {
        Principal::Certificate { id, .. } => *id == certificate,
        Principal::LocalOperator => true,
        _ => false,
    }
}

fn issuance_journal(order: &Settled<'_>, certificate: &Certificate, id: CertificateId, now: Timestamp) -> Journal {
    let (action, topic) = match order.renews {
        None => (AuditAction::CertificateIssued, "certificate.issued"),
        Some(_) => (AuditAction::CertificateRenewed, "certificate.renewed"),
    };
    let mut event = AuditEvent::new(now, action, order.principal.reference(), format!("certificate:{id}"))
        .with("authority", order.authority)
        .with("serial", certificate.serial())
        .with("fingerprint_sha256", hex::encode(sha256(certificate.der())))
        .with("not_after", certificate.validity().not_after)
        .in_request(order.request_id);
    if let Some(predecessor) = order.renews {
        event = event.with("renews", predecessor);
    }
    let payload = serde_json::json!({
        "authority": order.authority.as_str(),
        "certificate": id.to_string(),
        "not_after": certificate.validity().not_after.to_rfc3339(),
        "renews": order.renews.map(|predecessor| predecessor.to_string()),
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
    FlowError::new(FlowErrorKind::ProfileViolation, "the profile does not allow what was asked for").with_faults(faults)
}

fn refusal(outcome: &ReserveOutcome) -> FlowError {
    match outcome {
        ReserveOutcome::InProgress => FlowError::new(
            FlowErrorKind::RequestInProgress,
            "the same request with this idempotency key is being worked on; try again in a moment",
        )
        .retry_after(1),
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
            "the token was used as often as it may be, or was withdrawn; ask for a new one",
        ),
        ReserveOutcome::SuccessorExists(successor) => FlowError::new(
            FlowErrorKind::AlreadyRenewed,
            format!("the certificate was renewed already; its successor is {successor}"),
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
