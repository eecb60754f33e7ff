//! Reading certificates: `GET /v1/certificates`, `POST /v1/certificates/search`, `GET /v1/certificates/{certificate}`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use ca_api::certificate::{Certificate, CertificateFilter, PEM_CERTIFICATE_CHAIN, PKIX_CERT};
use ca_api::page::{DEFAULT_LIMIT, MAXIMUM_LIMIT, Page};
use ca_api::problem::ProblemType;
use ca_api::search::CertificateSearch;
use ca_core::id::CertificateId;
use ca_core::principal::Principal;
use ca_engine::flow::query;
use ca_engine::port::authorizer::Action;
use ca_engine::port::store::{CertificateFilter as Filter, NameQuery, StoredCertificate};
use ca_wire::certificate::status_filter;

use crate::http::authentication::Caller;
use crate::http::convert;
use crate::http::extract::{JsonBody, NamedCertificate, Query, Wrong};
use crate::http::openapi::Octets;
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::state::AppState;

/// List certificates, newest first.
#[utoipa::path(
    get,
    path = "/v1/certificates",
    tag = "certificates",
    params(CertificateFilter),
    responses(
        (status = 200, description = "A page", body = Page<Certificate>),
        refusal::List,
    )
)]
pub(crate) async fn list_certificates(
    State(state): State<AppState>,
    Caller(principal): Caller,
    Query(query): Query<CertificateFilter>,
) -> Result<Json<Page<Certificate>>, ProblemResponse> {
    let mut wrong = Wrong::default();
    let filter = Filter {
        status: query.status.map(status_filter),
        profile: query.profile.and_then(|text| wrong.check("profile-name-invalid", "?profile", text.parse())),
        authority: query.authority.and_then(|text| wrong.check("authority-id-invalid", "?authority", text.parse())),
        expires_before: convert::read_time("?expires_before", query.expires_before.as_ref(), &mut wrong),
        issued_after: convert::read_time("?issued_after", query.issued_after.as_ref(), &mut wrong),
        owner: query.owner,
        serial: query.serial.and_then(|text| wrong.check("serial-invalid", "?serial", text.parse())),
        ..Filter::all(state.engine().now())
    };
    let limit = limit(query.limit, "?limit", &mut wrong);
    let cursor = cursor(query.cursor, "?cursor", &mut wrong);
    wrong.finish()?;
    page(&state, &principal, &filter, cursor, limit).await
}

/// Search certificates by subject or name.
///
/// Names may be personal data: they have no place in a URL, where logs and histories keep them.
#[utoipa::path(
    post,
    path = "/v1/certificates/search",
    tag = "certificates",
    request_body = CertificateSearch,
    responses(
        (status = 200, description = "A page", body = Page<Certificate>),
        refusal::Search,
    )
)]
pub(crate) async fn search_certificates(
    State(state): State<AppState>,
    Caller(principal): Caller,
    JsonBody(search): JsonBody<CertificateSearch>,
) -> Result<Json<Page<Certificate>>, ProblemResponse> {
    let mut wrong = Wrong::default();
    let name = match (search.subject, search.name) {
        (Some(subject), None) => NameQuery::Subject(subject),
        (None, Some(name)) => NameQuery::AnyName(name),
        _ => {
            return Err(ProblemResponse::invalid(
                "search-ambiguous",
                "",
                "search by one of `subject` (the whole of it) and `name` (a common name or alternative name)",
            ));
        }
    };
    let filter = Filter {
        name: Some(name),
        status: search.status.map(status_filter),
        profile: search.profile.and_then(|text| wrong.check("profile-name-invalid", "/profile", text.parse())),
        authority: search.authority.and_then(|text| wrong.check("authority-id-invalid", "/authority", text.parse())),
        ..Filter::all(state.engine().now())
    };
    let limit = limit(search.limit, "/limit", &mut wrong);
    let cursor = cursor(search.cursor, "/cursor", &mut wrong);
    wrong.finish()?;
    page(&state, &principal, &filter, cursor, limit).await
}

/// One certificate: JSON, or by `Accept` its chain as PEM or itself as DER.
#[utoipa::path(
    get,
    path = "/v1/certificates/{certificate}",
    tag = "certificates",
    params(("certificate" = String, Path, description = "Id, `authority:serial`, or serial", pattern = "^([a-z0-9-]{1,64}:)?[0-9A-Fa-f-]{1,40}$")),
    responses(
        (status = 200, description = "The certificate", content(
            (Certificate = "application/json"),
            (String = "application/pem-certificate-chain"),
            (Octets = "application/pkix-cert"),
        )),
        refusal::ReadCertificate,
    )
)]
pub(crate) async fn get_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    NamedCertificate(name): NamedCertificate,
    headers: HeaderMap,
) -> Result<Response, ProblemResponse> {
    let stored = query::permitted(state.engine(), &principal, Action::ReadCertificate, &name).await?;
    represent(&state, &stored, &headers)
}

fn represent(state: &AppState, stored: &StoredCertificate, headers: &HeaderMap) -> Result<Response, ProblemResponse> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    // The first media range that names something we have; weights are for negotiation among many, here there are three.
    for range in accept.split(',') {
        match range.split(';').next().unwrap_or("").trim() {
            "application/json" | "application/*" | "*/*" | "" => {
                return Ok(Json(convert::certificate(state, stored)).into_response());
            }
            PEM_CERTIFICATE_CHAIN => {
                let pem = ca_core::pem::encode("CERTIFICATE", &stored.der) + &convert::chain_pem(state, stored);
                return Ok(([(header::CONTENT_TYPE, PEM_CERTIFICATE_CHAIN)], pem).into_response());
            }
            PKIX_CERT => return Ok(([(header::CONTENT_TYPE, PKIX_CERT)], stored.der.clone()).into_response()),
            _ => {}
        }
    }
    Err(ProblemResponse::new(
        ProblemType::NotAcceptable,
        format!("there are application/json, {PEM_CERTIFICATE_CHAIN} and {PKIX_CERT}"),
    ))
}

async fn page(
    state: &AppState,
    principal: &Principal,
    filter: &Filter,
    cursor: Option<CertificateId>,
    limit: u32,
) -> Result<Json<Page<Certificate>>, ProblemResponse> {
    let page = query::list(state.engine(), principal, filter, cursor, limit).await?;
    Ok(Json(Page {
        items: page.items.iter().map(|stored| convert::certificate(state, stored)).collect(),
        next_cursor: page.next.map(|id| id.to_string()),
    }))
}

/// How many items to give: 1 to 1,000.
pub(crate) fn limit(asked: Option<u32>, pointer: &str, wrong: &mut Wrong) -> u32 {
    let limit = asked.unwrap_or(DEFAULT_LIMIT);
    let checked = if (1..=MAXIMUM_LIMIT).contains(&limit) {
        Ok(limit)
    } else {
        Err(format!("a page has 1 to {MAXIMUM_LIMIT} items"))
    };
    wrong.check("limit-out-of-range", pointer, checked).unwrap_or(DEFAULT_LIMIT)
}

/// Where a page begins; cursors are opaque to callers.
pub(crate) fn cursor<T: std::str::FromStr>(text: Option<String>, pointer: &str, wrong: &mut Wrong) -> Option<T> {
    let read = text?.parse().map_err(|_| "the cursor is not one that this service gave; begin without one");
    wrong.check("cursor-invalid", pointer, read)
}
