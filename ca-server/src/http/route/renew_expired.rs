//! `POST /v1/renewal-nonce` and `POST /v1/certificates/{certificate}/renew-expired`: renewing a certificate that has ended, by a proof that its
//! key signs. Both are asked by callers without a credential: the proof is one, and what it proves is the flow's business.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use ca_api::certificate::Certificate;
use ca_api::renewal::{RenewExpiredCertificate, RenewalNonce};
use ca_engine::flow::renew_expired::{ExpiredRenewRequest, renew_expired, renewal_nonce as nonce_of};

use super::issue_certificate::{created, read_csr};
use crate::http::convert;
use crate::http::extract::{JsonBody, NamedCertificate, idempotency_key};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::request_id;
use crate::http::to_the_end::to_the_end;
use crate::state::AppState;

/// Get a nonce for renewing a certificate that has ended.
///
/// Refused where no profile lets that be. A nonce is good for five minutes and for one renewal.
#[utoipa::path(
    post,
    path = "/v1/renewal-nonce",
    tag = "certificates",
    responses((status = 200, description = "The nonce", body = RenewalNonce), refusal::RenewalNonce)
)]
pub(crate) async fn renewal_nonce(State(state): State<AppState>) -> Result<Json<RenewalNonce>, ProblemResponse> {
    let nonce = nonce_of(state.engine()).await?;
    Ok(Json(RenewalNonce { nonce: nonce.text, expires_at: nonce.expires_at.to_rfc3339() }))
}

/// Renew a certificate that has ended.
///
/// For its holder, by a proof that its key signs, and only where its profile lets that be (`[renewal] after_expiry`). The successor has the same
/// names, and none of its roles.
#[utoipa::path(
    post,
    path = "/v1/certificates/{certificate}/renew-expired",
    tag = "certificates",
    params(
        ("certificate" = String, Path, description = "Id, `authority:serial`, or serial", pattern = "^([a-z0-9-]{1,64}:)?[0-9A-Fa-f-]{1,40}$"),
        ("idempotency-key" = Option<String>, Header, description = "1 to 255 printable characters", max_length = 255),
    ),
    request_body = RenewExpiredCertificate,
    responses(
        (status = 201, description = "Issued", body = Certificate, headers(("Location" = String, description = "The successor's own path"))),
        refusal::RenewExpired,
    )
)]
pub(crate) async fn renew_expired_certificate(
    State(state): State<AppState>,
    uri: Uri,
    NamedCertificate(certificate): NamedCertificate,
    headers: HeaderMap,
    JsonBody(body): JsonBody<RenewExpiredCertificate>,
) -> Result<Response, ProblemResponse> {
    let request = ExpiredRenewRequest {
        certificate,
        csr: read_csr(&body.csr)?,
        proof: body.proof,
        path: uri.path().to_owned(),
        idempotency_key: idempotency_key(&headers)?,
        request_id: Some(request_id::current()),
    };
    let flow = {
        let state = state.clone();
        async move { renew_expired(state.engine(), request).await }
    };
    let issued = to_the_end(flow).await?;
    Ok(created(convert::certificate(&state, &issued.certificate)))
}
