//! Moved renewal windows: `POST /v1/renewal-windows`, `GET`, `DELETE …/{move}`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ca_api::page::Page;
use ca_api::renewal_window::{MoveRenewalWindows, RenewalWindowMove};
use ca_core::id::WindowMoveId;
use ca_engine::flow::renewal_windows::{MoveRequest, list_window_moves, move_windows, restore_windows};
use ca_wire::renewal_window::window_move;

use crate::http::authentication::Caller;
use crate::http::convert::read_time;
use crate::http::extract::{JsonBody, PathText, Wrong, not_found};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::request_id;
use crate::http::to_the_end::to_the_end;
use crate::state::AppState;

/// Move the renewal windows of many certificates, in waves.
///
/// `GET /v1/certificates/{certificate}/renewal-info` tells of it from then on, and holders may renew from the beginning of their
/// window on. A window is never put off, only brought forward.
#[utoipa::path(
    post,
    path = "/v1/renewal-windows",
    tag = "renewal-windows",
    request_body = MoveRenewalWindows,
    responses(
        (
            status = 201, description = "Moved", body = RenewalWindowMove,
            links(("withdraw" = (operation_id = "restore_renewal_windows", parameters(("move" = "$response.body#/id"))))),
        ),
        refusal::MoveRenewalWindows,
    )
)]
pub(crate) async fn move_renewal_windows(
    State(state): State<AppState>,
    Caller(principal): Caller,
    JsonBody(body): JsonBody<MoveRenewalWindows>,
) -> Result<(StatusCode, Json<RenewalWindowMove>), ProblemResponse> {
    let mut wrong = Wrong::default();
    let scope = body.scope;
    let authority =
        scope.authority.and_then(|name| wrong.check("authority-id-invalid", "/scope/authority", name.parse()));
    let profile = scope.profile.and_then(|name| wrong.check("profile-name-invalid", "/scope/profile", name.parse()));
    let certificate =
        scope.certificate.and_then(|id| wrong.check("certificate-id-invalid", "/scope/certificate", id.parse()));
    let issued_after = read_time("/scope/issued_after", scope.issued_after.as_ref(), &mut wrong);
    let issued_before = read_time("/scope/issued_before", scope.issued_before.as_ref(), &mut wrong);
    let start = read_time("/window/start", body.window.start.as_ref(), &mut wrong);
    let end = read_time("/window/end", Some(&body.window.end), &mut wrong);
    wrong.finish()?;
    let Some(end) = end else { return Err(not_found()) };
    let request = MoveRequest {
        authority,
        profile,
        certificate,
        issued_after,
        issued_before,
        start,
        end,
        waves: body.waves.unwrap_or(1),
        explanation_url: body.explanation_url,
        request_id: Some(request_id::current()),
    };
    let flow = {
        let state = state.clone();
        async move { move_windows(state.engine(), &principal, request).await }
    };
    Ok((StatusCode::CREATED, Json(window_move(&to_the_end(flow).await?))))
}

/// List the moves of renewal windows on record, newest first.
#[utoipa::path(
    get,
    path = "/v1/renewal-windows",
    tag = "renewal-windows",
    responses(
        (status = 200, description = "Every move", body = Page<RenewalWindowMove>),
        refusal::WholeList,
    )
)]
pub(crate) async fn list_renewal_windows(
    State(state): State<AppState>,
    Caller(principal): Caller,
) -> Result<Json<Page<RenewalWindowMove>>, ProblemResponse> {
    let found = list_window_moves(state.engine(), &principal).await?;
    Ok(Json(Page { items: found.iter().map(window_move).collect(), next_cursor: None }))
}

/// Withdraw a move: the windows are where they were before it.
#[utoipa::path(
    delete,
    path = "/v1/renewal-windows/{move}",
    tag = "renewal-windows",
    params(("move" = String, Path, description = "Its id")),
    responses(
        (status = 204, description = "Withdrawn"),
        refusal::Named,
    )
)]
pub(crate) async fn restore_renewal_windows(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(id): PathText,
) -> Result<StatusCode, ProblemResponse> {
    let id: WindowMoveId = id.parse().map_err(|_| not_found())?;
    let flow = {
        let state = state.clone();
        let request_id = request_id::current();
        async move { restore_windows(state.engine(), &principal, id, Some(&request_id)).await }
    };
    to_the_end(flow).await?;
    Ok(StatusCode::NO_CONTENT)
}
