//! Asks the record and signs what it says.

use ca_core::ocsp::{CertId, CertStatus, OcspTbs, ResponseTemplate, SingleResponse, assemble};
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::signing::Signature;
use ca_core::time::Timestamp;

use super::Question;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::flow::follow_revocations::assure_following;
use crate::flow::watch_clock::assure_clock;
use crate::hierarchy::{Authority, Responder};
use crate::port::store::SerialState;
use crate::status_answer::{AnswerKind, AnswerOrigin, Freshness, StatusAnswer};

/// Answers by what the record says now.
pub(super) async fn answer(engine: &Engine, question: &Question<'_>) -> Result<StatusAnswer, FlowError> {
    let Question { authority, hierarchy, request } = question;
    // 1. The record is followed and the clock right: else nothing is signed.
    assure_following(engine).await?;
    assure_clock(engine).await?;
    let now = engine.now();
    let responder = hierarchy.responder(authority.id(), now).ok_or_else(|| {
        let message = format!("authority {} has no OCSP responder in force here", authority.id());
        FlowError::new(FlowErrorKind::Unavailable, message)
    })?;
    let this_update = now.floor_to_second();
    let next_update = this_update.plus(engine.settings().ocsp_validity).min(responder.validity().not_after);
    // 2. Ask the record.
    let mut kind = AnswerKind::Unknown;
    let mut responses = Vec::with_capacity(request.certificates.len());
    for cert_id in &request.certificates {
        let (status, not_after) = status_of(engine, authority, cert_id).await?;
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
            // RFC 6960 §4.4.4: what expired is told of all the same, as far back as this authority has issued.
            archive_cutoff: not_after
                .filter(|not_after| *not_after < this_update)
                .map(|_| authority.facts().validity.not_before),
        });
    }
    if responses.len() > 1 {
        kind = AnswerKind::Several;
    }
    // 3. Sign.
    let nonce = request.nonce.clone();
    let freshness = nonce.is_none().then_some(Freshness { this_update, next_update });
    let template =
        ResponseTemplate { responder_key_hash: responder.key_hash(), produced_at: this_update, responses, nonce };
    let to_be_signed = OcspTbs::new(&template).map_err(|findings| {
        FlowError::internal(format!("the OCSP response is not well-formed and was not signed: {findings:?}"))
    })?;
    let signature = sign(responder, &to_be_signed).await?;
    let der = assemble(&to_be_signed, &signature, &[responder.certificate_der()]).into();
    Ok(StatusAnswer { der, kind, freshness, origin: AnswerOrigin::Record })
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
/// With it the end of the certificate's validity, of those that are known.
async fn status_of(
    engine: &Engine,
    authority: &Authority,
    cert_id: &CertId,
) -> Result<(CertStatus, Option<Timestamp>), FlowError> {
    // One responder answers for one authority (RFC 6960 §4.2.2.2): other authorities' certificates are unknown to it.
    let ours = cert_id.serial().filter(|_| authority.identity().matches(cert_id));
    let Some(serial) = ours else { return Ok((CertStatus::Unknown, None)) };
    let known = engine.store().status(authority.id(), &serial).await?;
    let status = known.as_ref().map_or(CertStatus::Unknown, |known| told(known.state));
    Ok((status, known.map(|known| known.not_after).filter(|_| status != CertStatus::Unknown)))
}

fn told(state: SerialState) -> CertStatus {
    match state {
        SerialState::Reserved => CertStatus::Unknown,
        SerialState::Issued(Standing::Active) => CertStatus::Good,
        SerialState::Issued(Standing::Revoked(revocation)) | SerialState::Abandoned(revocation) => {
            let reason = Some(revocation.reason).filter(|reason| *reason != RevocationReason::Unspecified);
            CertStatus::Revoked { at: revocation.revoked_at, reason }
        }
    }
}
