//! Every route of every listener, on one page.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use ca_api::problem::ProblemType;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::extract::not_found;
use super::openapi::Document;
use super::problem::ProblemResponse;
use super::request_id;
use super::route::{
    audit, authorities, certificates, crl, health, issue_certificate, ocsp, outbox, profiles, renew_certificate,
    revoke_certificate, tokens,
};
use super::unread_body;
use crate::state::AppState;
use crate::telemetry::metrics;

/// The largest body of an API request, in octets: a CSR of 64 KiB and its names.
const MAXIMUM_BODY: usize = 256 * 1024;

/// The largest OCSP request, in octets; larger than any that [`ca_core::ocsp`] reads.
const MAXIMUM_OCSP_BODY: usize = 64 * 1024;

/// The most that all header fields of a request may have, names and values, in octets. hyper's own limit is of a buffer and
/// lets through what arrives at once.
const MAXIMUM_HEADER_FIELDS: usize = 32 * 1024;

/// How long a request may take from its headers to its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The HTTPS listener: the API, and what the public listener has.
pub(crate) fn api(state: AppState) -> Router {
    let (router, document) = described().split_for_parts();
    let document = Arc::new(document.to_pretty_json().unwrap_or_default());
    let openapi = get(move || {
        let document = document.as_ref().clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], document) }
    });
    finish(router.route(ca_api::route::OPENAPI, openapi), state)
}

/// The plain HTTP listener, where RFC 5280 clients look: status, lists, certificates, health.
pub(crate) fn public(state: AppState) -> Router {
    let (router, _) = public_routes().split_for_parts();
    finish(router, state)
}

/// The admin listener: metrics and details.
pub(crate) fn admin(state: AppState) -> Router {
    let router = Router::new()
        .route(ca_api::route::METRICS, get(|| async { metrics::render() }))
        .route(ca_api::route::HEALTH, get(health::health))
        .route(ca_api::route::READY, get(health::ready_in_detail));
    finish(router, state)
}

/// The routes that `/openapi.json` describes.
pub(crate) fn described() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(issue_certificate::issue_certificate, certificates::list_certificates))
        .routes(routes!(certificates::search_certificates))
        .routes(routes!(certificates::get_certificate))
        .routes(routes!(renew_certificate::renew_certificate))
        .routes(routes!(renew_certificate::renewal_info))
        .routes(routes!(revoke_certificate::revoke_certificate))
        .routes(routes!(revoke_certificate::unhold_certificate))
        .routes(routes!(authorities::list_authorities))
        .routes(routes!(authorities::get_authority))
        .routes(routes!(profiles::list_profiles))
        .routes(routes!(profiles::get_profile))
        .routes(routes!(tokens::create_enrolment_token, tokens::list_enrolment_tokens))
        .routes(routes!(tokens::delete_enrolment_token))
        .routes(routes!(audit::list_audit_events))
        .routes(routes!(outbox::list_outbox))
        .routes(routes!(outbox::replay_delivery))
        .merge(public_routes())
}

fn public_routes() -> OpenApiRouter<AppState> {
    let ocsp_post = routes!(ocsp::ocsp_post).layer(DefaultBodyLimit::max(MAXIMUM_OCSP_BODY));
    let (_, mut ocsp_get_document, _) = routes!(ocsp::ocsp_get);
    let mut router = OpenApiRouter::new()
        .routes(ocsp_post)
        // Raw `/` and `//` occur in base64: a wildcard, which OpenAPI knows only as one parameter.
        .route(ca_api::route::OCSP_GET, get(ocsp::ocsp_get))
        .route("/ocsp/", get(ocsp::ocsp_get))
        .routes(routes!(crl::crl))
        .routes(routes!(authorities::authority_certificate))
        .routes(routes!(authorities::roots))
        .routes(routes!(health::health))
        .routes(routes!(health::ready));
    router.get_openapi_mut().paths.paths.append(&mut ocsp_get_document.paths);
    router
}

/// What every listener's router has: limits, request ids, problems instead of plain texts.
fn finish(router: Router<AppState>, state: AppState) -> Router {
    router
        .fallback(|| async { not_found() })
        .method_not_allowed_fallback(|method: Method| async move {
            ProblemResponse::new(ProblemType::MethodNotAllowed, format!("{method} is not possible here"))
        })
        .layer(DefaultBodyLimit::max(MAXIMUM_BODY))
        .layer(middleware::from_fn(limit_time))
        .layer(middleware::from_fn(unread_body::read_out))
        .layer(middleware::from_fn(limit_header_fields))
        .layer(middleware::from_fn(harden))
        .layer(CatchPanicLayer::custom(|_panic| {
            tracing::error!("a handler panicked");
            ProblemResponse::new(ProblemType::InternalError, "the service failed; its log says why").into_response()
        }))
        .layer(middleware::from_fn_with_state(state.clone(), request_id::identify))
        .with_state(state)
}

async fn limit_header_fields(request: axum::extract::Request, next: middleware::Next) -> Response {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    if fields.sum::<usize>() <= MAXIMUM_HEADER_FIELDS {
        return next.run(request).await;
    }
    let detail = format!("the header fields have more than {MAXIMUM_HEADER_FIELDS} octets");
    let mut response = ProblemResponse::new(ProblemType::HeaderFieldsTooLarge, detail).into_response();
    // Whoever sends such a header is not worth the connection (RFC 6585 §5). HTTP/2 has no such field; hyper drops it there.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn limit_time(request: axum::extract::Request, next: middleware::Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            ProblemResponse::new(ProblemType::RequestTimeout, "the request took too long; try again").into_response()
        }
    }
}

/// Browsers are no clients of ours; these headers keep them from guessing.
async fn harden(request: axum::extract::Request, next: middleware::Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
