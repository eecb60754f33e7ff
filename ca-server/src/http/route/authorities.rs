//! `GET /v1/authorities` and `GET /v1/authorities/{authority}`; public certificates at `/ca/…` and `/roots.pem`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ca_api::authority::Authority;
use ca_api::certificate::{PEM_CERTIFICATE_CHAIN, PKIX_CERT};
use ca_api::page::Page;
use ca_engine::flow::anchors::chain_to_anchor;
use ca_engine::flow::query::permit;
use ca_engine::port::authorizer::{Action, Resource};

use crate::http::authentication::Caller;
use crate::http::convert;
use crate::http::extract::{PathText, not_found};
use crate::http::openapi::Octets;
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::state::AppState;

/// List the authorities.
#[utoipa::path(
    get,
    path = "/v1/authorities",
    tag = "authorities",
    responses(
        (status = 200, description = "All of them", body = Page<Authority>),
        refusal::WholeList,
    )
)]
pub(crate) async fn list_authorities(
    State(state): State<AppState>,
    Caller(principal): Caller,
) -> Result<Json<Page<Authority>>, ProblemResponse> {
    state.engine().follow_hierarchy().await?;
    let hierarchy = state.engine().hierarchy();
    let mut items = Vec::new();
    for authority in hierarchy.authorities() {
        permit(state.engine(), &principal, Action::ReadAuthority, Resource::Authority(authority.id()))?;
        items.push(convert::authority(&state, authority).await?);
    }
    Ok(Json(Page { items, next_cursor: None }))
}

/// One authority.
#[utoipa::path(
    get,
    path = "/v1/authorities/{authority}",
    tag = "authorities",
    params(("authority" = String, Path, description = "Its id", example = "tls")),
    responses(
        (status = 200, description = "The authority", body = Authority),
        refusal::Named,
    )
)]
pub(crate) async fn get_authority(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(id): PathText,
) -> Result<Json<Authority>, ProblemResponse> {
    let authority = looked_up(&state, &id).await?;
    permit(state.engine(), &principal, Action::ReadAuthority, Resource::Authority(authority.id()))?;
    Ok(Json(convert::authority(&state, &authority).await?))
}

/// An authority's certificate: `ID.crt` (DER), or `ID.pem` (the authority, then its parents, the root left out). `ID.ROOT.pem` is the way
/// to it from another root that is trusted, by a cross-certificate.
#[utoipa::path(
    get,
    path = "/ca/{file}",
    tag = "public",
    params(("file" = String, Path, description = "`{authority}.crt`, `{authority}.pem` or `{authority}.{root}.pem`", example = "tls.crt")),
    responses(
        (status = 200, description = "The certificate", content(
            (Octets = "application/pkix-cert"),
            (String = "application/pem-certificate-chain"),
        )),
        refusal::NamedFile,
    )
)]
pub(crate) async fn authority_certificate(
    State(state): State<AppState>,
    PathText(file): PathText,
) -> Result<Response, ProblemResponse> {
    let (id, extension) = file.rsplit_once('.').ok_or_else(not_found)?;
    if let (Some((id, anchor)), "pem") = (id.split_once('.'), extension) {
        return chain_from(&state, id, anchor).await;
    }
    let authority = named(&state, id).map_err(|_| not_found())?;
    match extension {
        "crt" => {
            // RFC 5280 §4.2.2.1: caIssuers points at a single DER certificate.
            let der = authority.certificate().der().to_vec();
            Ok(([(header::CONTENT_TYPE, PKIX_CERT), (header::CACHE_CONTROL, ONE_HOUR)], der).into_response())
        }
        "pem" => {
            let pem: String =
                authority.chain().into_iter().map(|der| ca_core::pem::encode("CERTIFICATE", der)).collect();
            Ok(([(header::CONTENT_TYPE, PEM_CERTIFICATE_CHAIN), (header::CACHE_CONTROL, ONE_HOUR)], pem)
                .into_response())
        }
        _ => Err(not_found()),
    }
}

async fn chain_from(state: &AppState, id: &str, anchor: &str) -> Result<Response, ProblemResponse> {
    let (id, anchor) = (id.parse().map_err(|_| not_found())?, anchor.parse().map_err(|_| not_found())?);
    let chain = chain_to_anchor(state.engine(), &id, &anchor).await?;
    let pem: String = chain.iter().map(|der| ca_core::pem::encode("CERTIFICATE", der)).collect();
    // A cross-certificate may be revoked or replaced.
    Ok(([(header::CONTENT_TYPE, PEM_CERTIFICATE_CHAIN), (header::CACHE_CONTROL, ONE_HOUR)], pem).into_response())
}

/// The roots. Compare the fingerprint before you trust one.
#[utoipa::path(
    get,
    path = "/roots.pem",
    tag = "public",
    responses(
        (status = 200, description = "PEM", content((String = "application/pem-certificate-chain"))),
        refusal::Anything,
    )
)]
pub(crate) async fn roots(State(state): State<AppState>) -> Response {
    let pem: String = state.engine().hierarchy().roots().map(|root| root.certificate().to_pem()).collect();
    ([(header::CONTENT_TYPE, PEM_CERTIFICATE_CHAIN), (header::CACHE_CONTROL, ONE_HOUR)], pem).into_response()
}

const ONE_HOUR: &str = "public, max-age=3600";

fn named(state: &AppState, id: &str) -> Result<Arc<ca_engine::hierarchy::Authority>, ProblemResponse> {
    let id = id.parse().map_err(|_| not_found())?;
    Ok(state.engine().authority(&id)?)
}

/// As [`named`], and asks the record before it says that there is none: another process may just have made it, and whoever made it
/// asks for it next. For callers that are known; strangers are answered from memory.
async fn looked_up(state: &AppState, id: &str) -> Result<Arc<ca_engine::hierarchy::Authority>, ProblemResponse> {
    match named(state, id) {
        Err(_) if state.engine().follow_hierarchy().await? => named(state, id),
        known => known,
    }
}
