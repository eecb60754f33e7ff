//! Every route of every listener, on one page.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, header};
use axum::routing::get;
use axum::{Router, middleware};
use ca_api::problem::ProblemType;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::extract::not_found;
use super::guard::guard;
use super::openapi::Document;
use super::problem::ProblemResponse;
use super::route::{
    audit, authorities, bulk_revocations, certificates, crl, gateways, health, issue_certificate, managed, ocsp,
    outbox, profiles, renew_certificate, renew_expired, renewal_windows, revoke_certificate, tokens, worker_rotations,
};
use crate::state::AppState;
use crate::telemetry::metrics;

/// The largest body of an API request, in octets: a CSR of 64 KiB and its names.
const MAXIMUM_BODY: usize = 256 * 1024;

/// The largest OCSP request, in octets; larger than any that [`ca_core::ocsp`] reads.
pub(super) const MAXIMUM_OCSP_BODY: usize = 64 * 1024;

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
    let bulk =
        routes!(bulk_revocations::revoke_certificates).layer(DefaultBodyLimit::max(bulk_revocations::MAXIMUM_BODY));
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(issue_certificate::issue_certificate, certificates::list_certificates))
        .routes(routes!(certificates::search_certificates))
        .routes(routes!(certificates::get_certificate))
        .routes(routes!(renew_certificate::renew_certificate))
        .routes(routes!(renew_certificate::renewal_info))
        .routes(routes!(renew_expired::renew_expired_certificate))
        .routes(routes!(renew_expired::renewal_nonce))
        .routes(routes!(revoke_certificate::revoke_certificate))
        .routes(routes!(revoke_certificate::unhold_certificate))
        .routes(bulk)
        .routes(routes!(bulk_revocations::list_revocations))
        .routes(routes!(bulk_revocations::get_revocation))
        .routes(routes!(bulk_revocations::cancel_revocation))
        .routes(routes!(renewal_windows::move_renewal_windows, renewal_windows::list_renewal_windows))
        .routes(routes!(renewal_windows::restore_renewal_windows))
        .routes(routes!(managed::add_managed_certificate, managed::list_managed_certificates))
        .routes(routes!(managed::managed_certificates_status))
        .routes(routes!(
            managed::get_managed_certificate,
            managed::change_managed_certificate,
            managed::remove_managed_certificate
        ))
        .routes(routes!(managed::rotate_managed_certificate))
        .routes(routes!(managed::pause_managed_certificate))
        .routes(routes!(managed::resume_managed_certificate))
        .routes(routes!(authorities::list_authorities))
        .routes(routes!(authorities::get_authority))
        .routes(routes!(profiles::list_profiles))
        .routes(routes!(profiles::get_profile))
        .routes(routes!(tokens::create_enrolment_token, tokens::list_enrolment_tokens))
        .routes(routes!(tokens::delete_enrolment_token))
        .routes(routes!(audit::list_audit_events))
        .routes(routes!(outbox::list_outbox))
        .routes(routes!(outbox::replay_delivery))
        .routes(routes!(gateways::list_gateways))
        .routes(routes!(gateways::report_gateway))
        .routes(routes!(gateways::remove_gateway))
        .routes(routes!(worker_rotations::list_due_rotations))
        .routes(routes!(worker_rotations::begin_managed_rotation))
        .routes(routes!(worker_rotations::report_managed_rotation))
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
        .routes(routes!(crl::crl_shard))
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
        .layer(middleware::from_fn_with_state(state.clone(), guard))
        .with_state(state)
}
