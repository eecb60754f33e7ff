//! `POST /v1/certificates/{certificate}/revoke` and `…/unhold`

use axum::Json;
use axum::extract::State;
use ca_api::certificate::Certificate;
use ca_api::revoke::{RevokeCertificate, RevokedCertificate};
use ca_engine::flow::query::permitted;
use ca_engine::flow::revoke::{RevokeRequest, revoke, unhold};
use ca_engine::port::authorizer::Action;

use crate::http::authentication::Caller;
use crate::http::convert;
use crate::http::extract::{JsonBody, NamedCertificate, Wrong};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::request_id;
use crate::http::to_the_end::to_the_end;
use crate::state::AppState;

/// Revoke a certificate, or put it on hold.
///
/// Asking again with the same reason is harmless. `keyCompromise` replaces any other reason, blocks the key for ever, takes the
/// roles from successors made since, and names the certificates that it reaches besides.
#[utoipa::path(
    post,
    path = "/v1/certificates/{certificate}/revoke",
    tag = "certificates",
    params(("certificate" = String, Path, description = "Id, `authority:serial`, or serial", pattern = "^([a-z0-9-]{1,64}:)?[0-9A-Fa-f-]{1,40}$")),
    request_body = RevokeCertificate,
    responses(
        (
            status = 200, description = "Revoked; no answer says `good` any more", body = RevokedCertificate,
            links(("end the hold" = (operation_id = "unhold_certificate", parameters(("certificate" = "$response.body#/id"))))),
        ),
        refusal::Revoke,
    )
)]
pub(crate) async fn revoke_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    NamedCertificate(name): NamedCertificate,
    JsonBody(body): JsonBody<RevokeCertificate>,
) -> Result<Json<RevokedCertificate>, ProblemResponse> {
    let mut wrong = Wrong::default();
    let invalidity_date = convert::read_time("/invalidity_date", body.invalidity_date.as_ref(), &mut wrong);
    wrong.finish()?;
    let certificate = permitted(state.engine(), &principal, Action::RevokeCertificate, &name).await?.id;
    let request = RevokeRequest {
        certificate,
        reason: ca_wire::revocation::reason(body.reason),
        invalidity_date,
        request_id: Some(request_id::current()),
    };
    let flow = {
        let state = state.clone();
        async move { revoke(state.engine(), &principal, &request).await }
    };
    let revoked = to_the_end(flow).await?;
    Ok(Json(convert::revoked(&state, &revoked)))
}

/// End a hold.
#[utoipa::path(
    post,
    path = "/v1/certificates/{certificate}/unhold",
    tag = "certificates",
    params(("certificate" = String, Path, description = "Id, `authority:serial`, or serial", pattern = "^([a-z0-9-]{1,64}:)?[0-9A-Fa-f-]{1,40}$")),
    responses(
        (status = 200, description = "Active again", body = Certificate),
        refusal::Unhold,
    )
)]
pub(crate) async fn unhold_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    NamedCertificate(name): NamedCertificate,
) -> Result<Json<Certificate>, ProblemResponse> {
    let id = permitted(state.engine(), &principal, Action::ReleaseCertificate, &name).await?.id;
    let request_id = request_id::current();
    let flow = {
        let state = state.clone();
        async move { unhold(state.engine(), &principal, id, Some(&request_id)).await }
    };
    let released = to_the_end(flow).await?;
    Ok(Json(convert::certificate(&state, &released)))
}
