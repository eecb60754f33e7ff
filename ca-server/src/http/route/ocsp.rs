//! `POST /ocsp` and `GET /ocsp/{request}` (RFC 6960 appendix A, RFC 9919 §5 and §6)

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use ca_api::problem::ProblemType;
use ca_core::ocsp::decode_get_path;
use ca_engine::error::FlowError;
use ca_engine::flow::answer_status::{StatusAnswer, answer_status, cache_lifetime};

use crate::crl_files::etag;
use crate::http::extract::unreadable_body;
use crate::http::openapi::Octets;
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::route::http_date;
use crate::http::status_front::is_ocsp_request;
use crate::state::AppState;

const RESPONSE: &str = "application/ocsp-response";

/// Ask for the status of certificates.
#[utoipa::path(
    post,
    path = "/ocsp",
    tag = "public",
    request_body(content = Octets, content_type = "application/ocsp-request"),
    responses(
        (status = 200, description = "An OCSPResponse, errors of the protocol included", body = Octets, content_type = "application/ocsp-response"),
        refusal::OcspRequest,
    )
)]
pub(crate) async fn ocsp_post(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ProblemResponse> {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !is_ocsp_request(content_type) {
        return Err(ProblemResponse::new(
            ProblemType::UnsupportedMediaType,
            "the body must be an OCSP request; set Content-Type: application/ocsp-request",
        ));
    }
    let body = body.map_err(|rejection| unreadable_body(&rejection))?;
    let answer = ask(&state, &body).await;
    Ok(respond(&state, answer, &HeaderMap::new(), false))
}

/// Ask for the status of certificates, the request base64 in the path; proxies may keep the answer.
#[utoipa::path(
    get,
    path = "/ocsp/{request}",
    tag = "public",
    params(("request" = String, Path, description = "The OCSPRequest in base64, percent-encoded or not; it may hold slashes")),
    responses(
        (status = 200, description = "An OCSPResponse, errors of the protocol included", body = Octets, content_type = "application/ocsp-response"),
        (status = 304, description = "The answer that the caller has is still the newest"),
        refusal::Anything,
    )
)]
pub(crate) async fn ocsp_get(State(state): State<AppState>, uri: Uri, headers: HeaderMap) -> Response {
    // The raw path: axum's own decoding would turn `%2F` and `/` into the same, and a query has no place here.
    let path = uri.path().strip_prefix("/ocsp/").unwrap_or("");
    // Not base64 or too long: what parses as nothing is `malformedRequest`.
    let request = decode_get_path(path).unwrap_or_default();
    let answer = ask(&state, &request).await;
    respond(&state, answer, &headers, true)
}

async fn ask(state: &AppState, request: &[u8]) -> StatusAnswer {
    let answer = answer_status(state.engine(), request, log_fault).await;
    crate::telemetry::metrics::ocsp_answer(answer.kind, answer.origin);
    answer
}

/// Says what kept a request from being answered.
pub(crate) fn log_fault(error: &FlowError) {
    tracing::error!(%error, detail = error.detail, "an OCSP request could not be answered");
}

fn respond(state: &AppState, answer: StatusAnswer, request: &HeaderMap, cacheable: bool) -> Response {
    // For all that it will have: a map that grows is filled anew.
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(RESPONSE));
    // The octets in memory, not a copy of them.
    let der = Bytes::from_owner(answer.der);
    let (Some(freshness), true) = (answer.freshness, cacheable) else {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return (StatusCode::OK, headers, der).into_response();
    };
    let now = state.engine().now();
    let lifetime = cache_lifetime(&freshness, now, state.max_age());
    let cache_control = format!("public, no-transform, must-revalidate, max-age={}", lifetime.seconds());
    let tag = etag(&der);
    for (name, value) in [
        (header::CACHE_CONTROL, cache_control),
        (header::ETAG, tag.clone()),
        (header::LAST_MODIFIED, http_date(freshness.this_update)),
        (header::EXPIRES, http_date(now.plus(lifetime))),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    let unchanged = request.get(header::IF_NONE_MATCH).is_some_and(|have| have.as_bytes() == tag.as_bytes());
    if unchanged {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (StatusCode::OK, headers, der).into_response()
}
