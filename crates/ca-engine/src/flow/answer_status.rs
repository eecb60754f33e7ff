//! Answers OCSP requests (RFC 6960, RFC 9919): read, find whose they are, ask the record, sign with the delegated responder.

use ca_core::id::AuthorityId;
use ca_core::ocsp::{
    CertId, CertStatus, OcspRequest, OcspTbs, ResponderError, ResponseTemplate, SingleResponse, assemble,
    error_response, request,
};
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::signing::{Signable, Signature};
use ca_core::time::{Lifetime, Timestamp};

use super::watch_clock::assure_clock;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::hierarchy::{Authority, Hierarchy, Responder};
use crate::port::store::SerialState;

/// An answer to an OCSP request, ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusAnswer {
    /// The DER of the OCSPResponse.
    pub der: Vec<u8>,
    /// What kind of answer it is, for counters.
    pub kind: AnswerKind,
    /// For how long it may be relied on; `None` for errors and answers bound to a nonce, which nobody may keep.
    pub freshness: Option<Freshness>,
}

/// The kind of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerKind {
    /// Of a single certificate: good.
    Good,
    /// Of a single certificate: revoked.
    Revoked,
    /// Of a single certificate: unknown.
    Unknown,
    /// Of several certificates.
    Several,
    /// `malformedRequest`
    Malformed,
    /// `unauthorized`: of no authority of ours (RFC 9919 §3.2.3).
    Unauthorized,
    /// `tryLater`: no responder in force, or the record does not answer.
    TryLater,
    /// `internalError`
    Failed,
}

impl AnswerKind {
    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
            Self::Several => "several",
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::TryLater => "try_later",
            Self::Failed => "failed",
        }
    }
}

/// The period of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// `thisUpdate`
    pub this_update: Timestamp,
    /// `nextUpdate`
    pub next_update: Timestamp,
}

/// Answers one request. Never fails: what goes wrong becomes an OCSP error, and `on_fault` is told for the log.
pub async fn answer_status(engine: &Engine, request_der: &[u8], on_fault: impl FnOnce(&FlowError)) -> StatusAnswer {
    // 1. Read the request.
    let Ok(request) = request::parse(request_der) else {
        return refusal(ResponderError::MalformedRequest, AnswerKind::Malformed);
    };
    // 2. Whose is it? The first CertID of ours decides who signs; nothing of ours is `unauthorized`.
    let hierarchy = engine.hierarchy();
    let authority = request
        .certificates
        .iter()
        .find_map(|cert_id| hierarchy.authorities().iter().find(|authority| authority.identity().matches(cert_id)));
    let Some(authority) = authority else {
        return refusal(ResponderError::Unauthorized, AnswerKind::Unauthorized);
    };
    // 3. A record that may be old calls nothing good.
    if let Err(error) = engine.check_anchor() {
        on_fault(&error);
        return refusal(ResponderError::TryLater, AnswerKind::TryLater);
    }
    // 4. Ask the record and sign.
    match answer(engine, authority, &hierarchy, &request).await {
        Ok(answer) => answer,
        Err(error) => {
            on_fault(&error);
            match error.kind {
                FlowErrorKind::InternalError => refusal(ResponderError::InternalError, AnswerKind::Failed),
                _ => refusal(ResponderError::TryLater, AnswerKind::TryLater),
            }
        }
    }
}

async fn answer(
    engine: &Engine,
    authority: &Authority,
    hierarchy: &Hierarchy,
    request: &OcspRequest,
) -> Result<StatusAnswer, FlowError> {
    assure_clock(engine).await?;
    let now = engine.now();
    let responder = hierarchy.responder(authority.id(), now).ok_or_else(|| {
        let message = format!("authority {} has no OCSP responder in force here", authority.id());
        FlowError::new(FlowErrorKind::Unavailable, message)
    })?;
    let this_update = now.floor_to_second();
    let next_update = this_update.plus(engine.settings().ocsp_validity).min(responder.validity().not_after);
    let mut kind = AnswerKind::Unknown;
    let mut responses = Vec::with_capacity(request.certificates.len());
    for cert_id in &request.certificates {
        let status = status_of(engine, authority, cert_id).await?;
        kind = match status {
            CertStatus::Good => AnswerKind::Good,
            CertStatus::Revoked { .. } => AnswerKind::Revoked,
            CertStatus::Unknown => AnswerKind::Unknown,
        };
        responses.push(SingleResponse {
            cert_id: cert_id.clone(),
            status,
            this_update,
            next_update: Some(next_update),
            archive_cutoff: None,
        });
    }
    if responses.len() > 1 {
        kind = AnswerKind::Several;
    }
    let nonce = request.nonce.clone();
    let freshness = nonce.is_none().then_some(Freshness { this_update, next_update });
    let template =
        ResponseTemplate { responder_key_hash: responder.key_hash(), produced_at: this_update, responses, nonce };
    let to_be_signed = OcspTbs::new(&template).map_err(|findings| {
        FlowError::internal(format!("the OCSP response is not well-formed and was not signed: {findings:?}"))
    })?;
    let signature = sign(responder, &to_be_signed).await?;
    let der = assemble(&to_be_signed, &signature, &[responder.certificate_der()]);
    Ok(StatusAnswer { der, kind, freshness })
}

/// Signs with the responder's key. Its first signature in this process is verified: see [`Responder::is_proved`].
async fn sign(responder: &Responder, to_be_signed: &OcspTbs) -> Result<Signature, FlowError> {
    let signer = responder.signer();
    let signature = signer.sign(to_be_signed).await?;
    if !responder.is_proved() {
        signer
            .public_key()
            .verify(signature.algorithm, to_be_signed.to_be_signed(), &signature.octets)
            .map_err(|error| FlowError::internal(format!("the OCSP responder's key: {error}")))?;
        responder.set_proved();
    }
    Ok(signature)
}

/// The status of one CertID, for the authority that signs: `good` for nothing but what it issued and has not revoked.
async fn status_of(engine: &Engine, authority: &Authority, cert_id: &CertId) -> Result<CertStatus, FlowError> {
    // One responder answers for one authority (RFC 6960 §4.2.2.2): other authorities' certificates are unknown to it.
    if !authority.identity().matches(cert_id) {
        return Ok(CertStatus::Unknown);
    }
    let Some(serial) = cert_id.serial() else { return Ok(CertStatus::Unknown) };
    lookup(engine, authority.id(), &serial).await
}

async fn lookup(engine: &Engine, authority: &AuthorityId, serial: &Serial) -> Result<CertStatus, FlowError> {
    let Some(status) = engine.store().status(authority, serial).await? else { return Ok(CertStatus::Unknown) };
    Ok(match status.state {
        SerialState::Reserved => CertStatus::Unknown,
        SerialState::Issued(Standing::Active) => CertStatus::Good,
        SerialState::Issued(Standing::Revoked(revocation)) | SerialState::Abandoned(revocation) => {
            let reason = Some(revocation.reason).filter(|reason| *reason != RevocationReason::Unspecified);
            CertStatus::Revoked { at: revocation.revoked_at, reason }
        }
    })
}

fn refusal(error: ResponderError, kind: AnswerKind) -> StatusAnswer {
    StatusAnswer { der: error_response(error).to_vec(), kind, freshness: None }
}

/// How long clients may keep an answer: `max_age`, but never past `nextUpdate` (RFC 9919 §5).
pub fn cache_lifetime(freshness: &Freshness, now: Timestamp, max_age: Lifetime) -> Lifetime {
    max_age.min(freshness.next_update.since(now))
}
