//! Managed certificates: `/v1/managed-certificates`, `…/status`, `…/{managed}`, and what is done to one: `POST …/rotate`, `pause`, `resume`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_api::managed::{ManagedCertificate, ManagedFilter, ManagedOptions, ManagedStatus, NewManagedCertificate};
use ca_api::page::Page;
use ca_engine::error::{FlowError, FlowErrorKind};
use ca_engine::flow::managed::change;
use ca_engine::flow::managed::define::{ManagedRequest, define, is_name};
use ca_engine::flow::managed::query::{ManagedReference, Shown, list_managed, managed_standing, show_managed, shown};
use ca_wire::managed::{managed_certificate, read_request, status};

use super::certificates::limit;
use crate::http::authentication::Caller;
use crate::http::extract::{JsonBody, PathText, Query, Wrong};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::request_id;
use crate::http::to_the_end::to_the_end;
use crate::state::AppState;

/// Add a managed certificate: the service rotates it from then on, the first time at once.
///
/// Everything that a rotation would be refused for is told at once, and nothing is issued. The same body again is the one that is there.
#[utoipa::path(
    post,
    path = "/v1/managed-certificates",
    tag = "managed-certificates",
    params(ManagedOptions),
    request_body = NewManagedCertificate,
    responses(
        (status = 200, description = "It is there already; or, of a dry run, it could be", body = ManagedCertificate),
        (
            status = 201, description = "Added", body = ManagedCertificate,
            headers(("Location" = String, description = "Where it is")),
            links(
                ("look" = (operation_id = "get_managed_certificate", parameters(("managed" = "$response.body#/id")))),
                ("remove" = (operation_id = "remove_managed_certificate", parameters(("managed" = "$response.body#/id")))),
            ),
        ),
        refusal::DefineManaged,
    )
)]
pub(crate) async fn add_managed_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    Query(options): Query<ManagedOptions>,
    JsonBody(body): JsonBody<NewManagedCertificate>,
) -> Result<Response, ProblemResponse> {
    let request = read(&body)?;
    let flow = {
        let state = state.clone();
        async move { define(state.engine(), &principal, request, options.dry_run).await }
    };
    let defined = to_the_end(flow).await?;
    let answer = answer(&shown(state.engine(), defined.managed).await?)?;
    if !defined.is_new || options.dry_run {
        return Ok(answer.into_response());
    }
    let location = HeaderValue::from_str(&format!("/v1/managed-certificates/{}", answer.0.id));
    let mut response = (StatusCode::CREATED, answer).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// List managed certificates, in order of their names.
#[utoipa::path(
    get,
    path = "/v1/managed-certificates",
    tag = "managed-certificates",
    params(ManagedFilter),
    responses(
        (status = 200, description = "A page", body = Page<ManagedCertificate>),
        refusal::List,
    )
)]
pub(crate) async fn list_managed_certificates(
    State(state): State<AppState>,
    Caller(principal): Caller,
    Query(query): Query<ManagedFilter>,
) -> Result<Json<Page<ManagedCertificate>>, ProblemResponse> {
    let mut wrong = Wrong::default();
    let limit = limit(query.limit, "?limit", &mut wrong);
    let after = query.cursor.and_then(|cursor| {
        let known = if is_name(&cursor) {
            Ok(cursor)
        } else {
            Err("the cursor is not one that this service gave; begin without one")
        };
        wrong.check("cursor-invalid", "?cursor", known)
    });
    wrong.finish()?;
    let found = list_managed(state.engine(), &principal, after.as_deref(), limit).await?;
    let next_cursor = found.last().filter(|_| found.len() == limit as usize).map(|last| last.managed.name.clone());
    let items = found.iter().map(managed_certificate).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next_cursor }))
}

/// How the whole of them stands.
#[utoipa::path(
    get,
    path = "/v1/managed-certificates/status",
    tag = "managed-certificates",
    responses(
        (status = 200, description = "How many there are, and when what is due will be done", body = ManagedStatus),
        refusal::WholeList,
    )
)]
pub(crate) async fn managed_certificates_status(
    State(state): State<AppState>,
    Caller(principal): Caller,
) -> Result<Json<ManagedStatus>, ProblemResponse> {
    Ok(Json(status(&managed_standing(state.engine(), &principal).await?)))
}

/// Read one, by its id or its name.
#[utoipa::path(
    get,
    path = "/v1/managed-certificates/{managed}",
    tag = "managed-certificates",
    params(("managed" = String, Path, description = "Its id or its name", example = "web")),
    responses(
        (status = 200, description = "It as it stands", body = ManagedCertificate),
        refusal::Named,
    )
)]
pub(crate) async fn get_managed_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(managed): PathText,
) -> Result<Json<ManagedCertificate>, ProblemResponse> {
    let reference = ManagedReference::from(managed.as_str());
    answer(&show_managed(state.engine(), &principal, &reference).await?)
}

/// Change what is wanted of one: the body takes the place of all of it, but for the name.
///
/// What concerns the certificate or its target has it rotated at once.
#[utoipa::path(
    put,
    path = "/v1/managed-certificates/{managed}",
    tag = "managed-certificates",
    params(("managed" = String, Path, description = "Its id or its name", example = "web"), ManagedOptions),
    request_body = NewManagedCertificate,
    responses(
        (status = 200, description = "Changed; or, of a dry run, it could be", body = ManagedCertificate),
        refusal::ChangeManaged,
    )
)]
pub(crate) async fn change_managed_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(managed): PathText,
    Query(options): Query<ManagedOptions>,
    JsonBody(body): JsonBody<NewManagedCertificate>,
) -> Result<Json<ManagedCertificate>, ProblemResponse> {
    let request = read(&body)?;
    let flow = async move {
        let reference = ManagedReference::from(managed.as_str());
        let ManagedOptions { dry_run, revision } = options;
        change::redefine(state.engine(), &principal, &reference, request, revision, dry_run).await
    };
    answer(&to_the_end(flow).await?)
}

/// Take one from the record: its certificates stay valid, and its target stays as it is.
#[utoipa::path(
    delete,
    path = "/v1/managed-certificates/{managed}",
    tag = "managed-certificates",
    params(("managed" = String, Path, description = "Its id or its name", example = "web")),
    responses(
        (status = 204, description = "Not on record any more"),
        refusal::Named,
    )
)]
pub(crate) async fn remove_managed_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(managed): PathText,
) -> Result<StatusCode, ProblemResponse> {
    let request_id = request_id::current();
    let flow = async move {
        let reference = ManagedReference::from(managed.as_str());
        change::remove_managed(state.engine(), &principal, &reference, Some(&request_id)).await
    };
    to_the_end(flow).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have one rotated at once, or an attempt that waits made at once.
#[utoipa::path(
    post,
    path = "/v1/managed-certificates/{managed}/rotate",
    tag = "managed-certificates",
    params(("managed" = String, Path, description = "Its id or its name", example = "web")),
    responses(
        (status = 202, description = "It is next", body = ManagedCertificate),
        refusal::RotateManaged,
    )
)]
pub(crate) async fn rotate_managed_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(managed): PathText,
) -> Result<(StatusCode, Json<ManagedCertificate>), ProblemResponse> {
    let request_id = request_id::current();
    let flow = async move {
        let reference = ManagedReference::from(managed.as_str());
        change::rotate_managed(state.engine(), &principal, &reference, Some(&request_id)).await
    };
    Ok((StatusCode::ACCEPTED, answer(&to_the_end(flow).await?)?))
}

/// Have nothing done for one until it is resumed.
#[utoipa::path(
    post,
    path = "/v1/managed-certificates/{managed}/pause",
    tag = "managed-certificates",
    params(("managed" = String, Path, description = "Its id or its name", example = "web")),
    responses(
        (status = 200, description = "It is paused", body = ManagedCertificate),
        refusal::Named,
    )
)]
pub(crate) async fn pause_managed_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(managed): PathText,
) -> Result<Json<ManagedCertificate>, ProblemResponse> {
    let request_id = request_id::current();
    let flow = async move {
        let reference = ManagedReference::from(managed.as_str());
        change::pause_managed(state.engine(), &principal, &reference, Some(&request_id)).await
    };
    answer(&to_the_end(flow).await?)
}

/// Look after one again: what became due meanwhile is due at once.
#[utoipa::path(
    post,
    path = "/v1/managed-certificates/{managed}/resume",
    tag = "managed-certificates",
    params(("managed" = String, Path, description = "Its id or its name", example = "web")),
    responses(
        (status = 200, description = "It is not paused", body = ManagedCertificate),
        refusal::Named,
    )
)]
pub(crate) async fn resume_managed_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(managed): PathText,
) -> Result<Json<ManagedCertificate>, ProblemResponse> {
    let request_id = request_id::current();
    let flow = async move {
        let reference = ManagedReference::from(managed.as_str());
        change::resume_managed(state.engine(), &principal, &reference, Some(&request_id)).await
    };
    answer(&to_the_end(flow).await?)
}

fn read(body: &NewManagedCertificate) -> Result<ManagedRequest, ProblemResponse> {
    let read = read_request(body).map_err(|faults| {
        let summary = "the managed certificate cannot be as it is asked for";
        FlowError::of_faults(FlowErrorKind::InvalidRequest, summary, faults)
    });
    Ok(ManagedRequest { request_id: Some(request_id::current()), ..read? })
}

fn answer(shown: &Shown) -> Result<Json<ManagedCertificate>, ProblemResponse> {
    Ok(Json(managed_certificate(shown)?))
}
