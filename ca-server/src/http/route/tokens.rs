//! Enrolment tokens: `POST /v1/enrolment-tokens`, `GET`, `DELETE …/{token}`

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_api::page::Page;
use ca_api::token::{
    CreatedEnrolmentToken, EnrolmentToken, EnrolmentTokenFilter, EnrolmentTokenSecret, NewEnrolmentToken,
};
use ca_core::id::{ProfileName, TokenId};
use ca_core::time::Lifetime;
use ca_engine::flow::token::{TokenRequest, create_token, delete_token, list_tokens};

use super::certificates::{cursor, limit};
use crate::http::authentication::Caller;
use crate::http::convert;
use crate::http::extract::{JsonBody, PathText, Query, Wrong, not_found};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::request_id;
use crate::state::AppState;

/// How long a token lives when nothing else is asked for.
const DEFAULT_LIFETIME: Lifetime = Lifetime::from_seconds(3_600);

/// Make an enrolment token. Its secret is shown this once.
#[utoipa::path(
    post,
    path = "/v1/enrolment-tokens",
    tag = "enrolment-tokens",
    request_body = NewEnrolmentToken,
    responses(
        (
            status = 201, description = "Made", body = CreatedEnrolmentToken,
            links(("withdraw" = (operation_id = "delete_enrolment_token", parameters(("token" = "$response.body#/id"))))),
        ),
        refusal::CreateToken,
    )
)]
pub(crate) async fn create_enrolment_token(
    State(state): State<AppState>,
    Caller(principal): Caller,
    JsonBody(body): JsonBody<NewEnrolmentToken>,
) -> Result<Response, ProblemResponse> {
    let mut wrong = Wrong::default();
    let profile = wrong.check("profile-name-invalid", "/profile", body.profile.parse::<ProfileName>());
    let names = convert::read_names(&body.subject_alternative_names, &mut wrong);
    let lifetime = convert::read_lifetime("/validity", body.validity.as_ref(), &mut wrong);
    wrong.finish()?;
    let Some(profile) = profile else { return Err(not_found()) };
    let request = TokenRequest {
        profile,
        names,
        common_name: body.common_name,
        lifetime: lifetime.unwrap_or(DEFAULT_LIFETIME),
        uses: body.uses.unwrap_or(1),
        request_id: Some(request_id::current()),
    };
    let (record, secret) = create_token(state.engine(), &principal, request).await?;
    let created = CreatedEnrolmentToken {
        secret: EnrolmentTokenSecret::new(secret.expose().to_owned()),
        token: ca_wire::token::token(&record),
    };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(created)).into_response())
}

/// List the tokens, newest first; never their secrets.
#[utoipa::path(
    get,
    path = "/v1/enrolment-tokens",
    tag = "enrolment-tokens",
    params(EnrolmentTokenFilter),
    responses(
        (status = 200, description = "A page", body = Page<EnrolmentToken>),
        refusal::List,
    )
)]
pub(crate) async fn list_enrolment_tokens(
    State(state): State<AppState>,
    Caller(principal): Caller,
    Query(query): Query<EnrolmentTokenFilter>,
) -> Result<Json<Page<EnrolmentToken>>, ProblemResponse> {
    let mut wrong = Wrong::default();
    let limit = limit(query.limit, "?limit", &mut wrong);
    let cursor = cursor::<TokenId>(query.cursor, "?cursor", &mut wrong);
    wrong.finish()?;
    let tokens = list_tokens(state.engine(), &principal, cursor, limit).await?;
    let next_cursor = tokens.last().filter(|_| tokens.len() == limit as usize).map(|token| token.id.to_string());
    Ok(Json(Page { items: tokens.iter().map(ca_wire::token::token).collect(), next_cursor }))
}

/// Withdraw a token.
#[utoipa::path(
    delete,
    path = "/v1/enrolment-tokens/{token}",
    tag = "enrolment-tokens",
    params(("token" = String, Path, description = "Its id")),
    responses(
        (status = 204, description = "Withdrawn"),
        refusal::Named,
    )
)]
pub(crate) async fn delete_enrolment_token(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(id): PathText,
) -> Result<StatusCode, ProblemResponse> {
    let id: TokenId = id.parse().map_err(|_| not_found())?;
    delete_token(state.engine(), &principal, id, Some(&request_id::current())).await?;
    Ok(StatusCode::NO_CONTENT)
}
