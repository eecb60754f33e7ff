//! Revoking many certificates: `POST /v1/certificates/revoke`, `/v1/revocations[/{revocation}]`, `POST …/cancel`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_api::bulk_revocation::{
    BulkRevocation, BulkRevocationFilter, RevocationCount, RevocationFilter, RevokeCertificates,
};
use ca_api::page::Page;
use ca_core::id::BulkRevocationId;
use ca_engine::flow::bulk_revoke::{
    BulkFilter, BulkRevokeRequest, BulkSelection, begin_bulk_revocation, bulk_revocation as read,
    cancel_bulk_revocation, count_bulk_revocation, list_bulk_revocations as list, lists_of,
};
use ca_engine::port::store::{BulkRevocation as Operation, NameQuery};
use ca_wire::bulk_revocation::{bulk_revocation, revocation_count};

use super::certificates::{cursor, limit};
use crate::http::authentication::Caller;
use crate::http::convert;
use crate::http::extract::{JsonBody, PathText, Query, Wrong, certificate_name, idempotency_key, not_found};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::request_id;
use crate::http::to_the_end::to_the_end;
use crate::state::AppState;

/// The largest body: ten thousand certificates, each by authority and serial.
pub(crate) const MAXIMUM_BODY: usize = 2 << 20;

/// Revoke many certificates: count them first, then revoke as many as were counted.
///
/// A dry run changes nothing and says how many fit. Without it the certificates that fit now are put on record, and revoked one
/// after the other by the service, also when the server that answered dies. OCSP tells of each at once; lists are made when it has
/// ended, and meanwhile at most every 15 s. With an `Idempotency-Key` the same request is the same bulk revocation for a day.
#[utoipa::path(
    post,
    path = "/v1/certificates/revoke",
    tag = "certificates",
    params(("idempotency-key" = Option<String>, Header, description = "1 to 255 printable characters", max_length = 255)),
    request_body = RevokeCertificates,
    responses(
        (status = 200, description = "Counted; nothing was changed", body = RevocationCount),
        (
            status = 202, description = "On record, and being carried out", body = BulkRevocation,
            headers(("Location" = String, description = "Where to see how far it has come")),
            links(
                ("look" = (operation_id = "get_revocation", parameters(("revocation" = "$response.body#/id")))),
                ("cancel" = (operation_id = "cancel_revocation", parameters(("revocation" = "$response.body#/id")))),
            ),
        ),
        refusal::BulkRevoke,
    )
)]
pub(crate) async fn revoke_certificates(
    State(state): State<AppState>,
    Caller(principal): Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<RevokeCertificates>,
) -> Result<Response, ProblemResponse> {
    let idempotency_key = idempotency_key(&headers)?;
    let mut wrong = Wrong::default();
    let invalidity_date = convert::read_time("/invalidity_date", body.invalidity_date.as_ref(), &mut wrong);
    let selection = read_selection(body.filter, body.certificates, &mut wrong);
    if !body.dry_run && body.expected_count.is_none() {
        let missing = "say how many certificates you mean to revoke: the `count` of a dry run (`dry_run`)";
        wrong.check::<(), _>("expected-count-missing", "/expected_count", Err(missing));
    }
    wrong.finish()?;
    let Some(selection) = selection else {
        return Err(ProblemResponse::invalid("selection-missing", "", WHICH));
    };
    let request = BulkRevokeRequest {
        selection,
        reason: ca_wire::revocation::reason(body.reason),
        invalidity_date,
        request_id: Some(request_id::current()),
    };
    if body.dry_run {
        let count = count_bulk_revocation(state.engine(), &principal, &request).await?;
        return Ok(Json(revocation_count(&count)).into_response());
    }
    let expected = body.expected_count.unwrap_or_default();
    let flow = {
        let state = state.clone();
        async move {
            begin_bulk_revocation(state.engine(), &principal, &request, expected, idempotency_key.as_deref()).await
        }
    };
    let operation = shown(&state, &to_the_end(flow).await?).await?;
    let location = HeaderValue::from_str(&format!("/v1/revocations/{}", operation.id));
    let mut response = (StatusCode::ACCEPTED, Json(operation)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// List bulk revocations, newest first.
#[utoipa::path(
    get,
    path = "/v1/revocations",
    tag = "certificates",
    params(BulkRevocationFilter),
    responses(
        (status = 200, description = "A page", body = Page<BulkRevocation>),
        refusal::List,
    )
)]
pub(crate) async fn list_revocations(
    State(state): State<AppState>,
    Caller(principal): Caller,
    Query(query): Query<BulkRevocationFilter>,
) -> Result<Json<Page<BulkRevocation>>, ProblemResponse> {
    let mut wrong = Wrong::default();
    let limit = limit(query.limit, "?limit", &mut wrong);
    let cursor = cursor::<BulkRevocationId>(query.cursor, "?cursor", &mut wrong);
    wrong.finish()?;
    let found = list(state.engine(), &principal, cursor, limit).await?;
    let next_cursor = found.last().filter(|_| found.len() == limit as usize).map(|last| last.id.to_string());
    let mut items = Vec::with_capacity(found.len());
    for operation in &found {
        items.push(shown(&state, operation).await?);
    }
    Ok(Json(Page { items, next_cursor }))
}

/// How far a bulk revocation has come.
#[utoipa::path(
    get,
    path = "/v1/revocations/{revocation}",
    tag = "certificates",
    params(("revocation" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "How it stands", body = BulkRevocation),
        refusal::Named,
    )
)]
pub(crate) async fn get_revocation(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(id): PathText,
) -> Result<Json<BulkRevocation>, ProblemResponse> {
    let id: BulkRevocationId = id.parse().map_err(|_| not_found())?;
    Ok(Json(shown(&state, &read(state.engine(), &principal, id).await?).await?))
}

/// End a bulk revocation that is running.
///
/// What it has revoked stays revoked, and what it has not stands. Asking again is harmless.
#[utoipa::path(
    post,
    path = "/v1/revocations/{revocation}/cancel",
    tag = "certificates",
    params(("revocation" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "Nothing more is revoked by it", body = BulkRevocation),
        refusal::CancelRevocation,
    )
)]
pub(crate) async fn cancel_revocation(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(id): PathText,
) -> Result<Json<BulkRevocation>, ProblemResponse> {
    let id: BulkRevocationId = id.parse().map_err(|_| not_found())?;
    let flow = {
        let state = state.clone();
        let request_id = request_id::current();
        async move { cancel_bulk_revocation(state.engine(), &principal, id, Some(&request_id)).await }
    };
    Ok(Json(shown(&state, &to_the_end(flow).await?).await?))
}

async fn shown(state: &AppState, operation: &Operation) -> Result<BulkRevocation, ProblemResponse> {
    Ok(bulk_revocation(operation, &lists_of(state.engine(), operation).await?))
}

const WHICH: &str = "say which certificates: either `filter` or `certificates`";

fn read_selection(
    filter: Option<RevocationFilter>,
    certificates: Option<Vec<String>>,
    wrong: &mut Wrong,
) -> Option<BulkSelection> {
    match (filter, certificates) {
        (Some(filter), None) => Some(BulkSelection::Filter(read_filter(filter, wrong))),
        (None, Some(names)) => {
            let read = names.iter().enumerate().filter_map(|(index, text)| {
                let name = certificate_name(text).ok_or("use its id, `authority:serial`, or its serial in hexadecimal");
                wrong.check("certificate-invalid", &format!("/certificates/{index}"), name)
            });
            Some(BulkSelection::Certificates(read.collect()))
        }
        _ => {
            wrong.check::<(), _>("selection-ambiguous", "", Err(WHICH));
            None
        }
    }
}

fn read_filter(filter: RevocationFilter, wrong: &mut Wrong) -> BulkFilter {
    let name = match (filter.subject, filter.name) {
        (Some(subject), None) => Some(NameQuery::Subject(subject)),
        (None, Some(name)) => Some(NameQuery::AnyName(name)),
        (None, None) => None,
        _ => {
            wrong.check::<(), _>("search-ambiguous", "/filter", Err("filter by one of `subject` and `name`, not both"));
            None
        }
    };
    let digest = |text: String| {
        let mut octets = [0; 32];
        hex::decode_to_slice(text, &mut octets).map(|()| octets).map_err(|_| "64 hexadecimal digits")
    };
    BulkFilter {
        profile: filter.profile.and_then(|text| wrong.check("profile-name-invalid", "/filter/profile", text.parse())),
        authority: filter
            .authority
            .and_then(|text| wrong.check("authority-id-invalid", "/filter/authority", text.parse())),
        issued_after: convert::read_time("/filter/issued_after", filter.issued_after.as_ref(), wrong),
        issued_before: convert::read_time("/filter/issued_before", filter.issued_before.as_ref(), wrong),
        expires_before: convert::read_time("/filter/expires_before", filter.expires_before.as_ref(), wrong),
        owner: filter.owner,
        name,
        spki_sha256: filter
            .public_key_sha256
            .and_then(|text| wrong.check("sha256-invalid", "/filter/public_key_sha256", digest(text))),
    }
}
