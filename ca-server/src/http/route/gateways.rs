//! What gateways enforce: `GET /v1/gateways`, `PUT /v1/gateways/{gateway}/status`, `DELETE /v1/gateways/{gateway}`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ca_api::gateway::{EnforcedList as Wire, Gateway, GatewayStatus};
use ca_api::page::Page;
use ca_core::name::DnsName;
use ca_engine::flow::gateway::{
    MOST_LISTS, Statement, list_gateways as list, remove_gateway as remove, report_gateway as report,
};
use ca_engine::port::store::EnforcedList;
use ca_wire::gateway::gateway;

use crate::http::authentication::Caller;
use crate::http::extract::{JsonBody, PathText, Wrong, not_found};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::request_id;
use crate::http::to_the_end::to_the_end;
use crate::state::AppState;

/// The longest name of a configuration, in characters.
const LONGEST_GENERATION: usize = 128;

/// List the gateways and what each said last of what it enforces.
#[utoipa::path(
    get,
    path = "/v1/gateways",
    tag = "gateways",
    responses(
        (status = 200, description = "Every gateway", body = Page<Gateway>),
        refusal::WholeList,
    )
)]
pub(crate) async fn list_gateways(
    State(state): State<AppState>,
    Caller(principal): Caller,
) -> Result<Json<Page<Gateway>>, ProblemResponse> {
    let found = list(state.engine(), &principal).await?;
    Ok(Json(Page { items: found.iter().map(gateway).collect(), next_cursor: None }))
}

/// Say what a gateway enforces.
///
/// Its id is a DNS name; whoever holds a certificate for servers that names it speaks for it, by mTLS. Only the newest
/// statement is kept.
#[utoipa::path(
    put,
    path = "/v1/gateways/{gateway}/status",
    tag = "gateways",
    params(("gateway" = String, Path, description = "A DNS name that the caller's certificate has", example = "gw1.example.com")),
    request_body = GatewayStatus,
    responses(
        (status = 200, description = "On record", body = Gateway),
        refusal::ReportGateway,
    )
)]
pub(crate) async fn report_gateway(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(id): PathText,
    JsonBody(body): JsonBody<GatewayStatus>,
) -> Result<Json<Gateway>, ProblemResponse> {
    let id = DnsName::parse(&id).ok().filter(|id| !id.is_wildcard()).ok_or_else(not_found)?;
    let mut wrong = Wrong::default();
    let fits = !body.generation.is_empty()
        && body.generation.len() <= LONGEST_GENERATION
        && body.generation.bytes().all(|octet| octet.is_ascii_graphic());
    let generation = if fits { Ok(body.generation) } else { Err("1 to 128 printable ASCII characters, no blanks") };
    let generation = wrong.check("generation-invalid", "/generation", generation);
    let number_fits = (1..=MOST_LISTS).contains(&body.lists.len());
    let number = if number_fits { Ok(()) } else { Err(format!("1 to {MOST_LISTS} lists")) };
    wrong.check("lists-invalid", "/lists", number);
    let lists: Vec<EnforcedList> =
        body.lists.iter().enumerate().filter_map(|(index, list)| read_list(index, list, &mut wrong)).collect();
    wrong.finish()?;
    // What was wrong has been told.
    let statement = Statement { generation: generation.unwrap_or_default(), lists };
    let flow = {
        let state = state.clone();
        let request_id = request_id::current();
        async move { report(state.engine(), &principal, &id, statement, Some(&request_id)).await }
    };
    Ok(Json(gateway(&to_the_end(flow).await?)))
}

/// Take a gateway from the record that is there no more: no revocation waits for it.
///
/// One that speaks again is on record again.
#[utoipa::path(
    delete,
    path = "/v1/gateways/{gateway}",
    tag = "gateways",
    params(("gateway" = String, Path, description = "Its id", example = "gw1.example.com")),
    responses(
        (status = 204, description = "Not on record any more"),
        refusal::Named,
    )
)]
pub(crate) async fn remove_gateway(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(id): PathText,
) -> Result<StatusCode, ProblemResponse> {
    let id = DnsName::parse(&id).map_err(|_| not_found())?;
    let flow = {
        let state = state.clone();
        let request_id = request_id::current();
        async move { remove(state.engine(), &principal, &id, Some(&request_id)).await }
    };
    to_the_end(flow).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read_list(index: usize, list: &Wire, wrong: &mut Wrong) -> Option<EnforcedList> {
    let pointer = |member: &str| format!("/lists/{index}/{member}");
    let authority = wrong.check("authority-invalid", &pointer("authority"), list.authority.parse());
    let mut sha256 = [0; 32];
    let decoded = hex::decode_to_slice(&list.sha256, &mut sha256).map_err(|_| "64 hexadecimal digits");
    wrong.check("sha256-invalid", &pointer("sha256"), decoded)?;
    // Databases count to here.
    let number = i64::try_from(list.number).map(|_| list.number).map_err(|_| "at most 2^63 - 1");
    let number = wrong.check("number-invalid", &pointer("number"), number)?;
    Some(EnforcedList { authority: authority?, number, sha256 })
}
