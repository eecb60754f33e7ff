//! Events that are not delivered: `GET /v1/outbox`, `POST /v1/outbox/{delivery}/replay`

use axum::Json;
use axum::extract::State;
use ca_api::outbox::{Delivery, DeliveryFilter};
use ca_api::page::Page;
use ca_core::id::DeliveryId;
use ca_engine::flow::outbox::{list_deliveries, replay_delivery as replay};
use ca_wire::outbox::{delivery, is_dead};

use super::certificates::{cursor, limit};
use crate::http::authentication::Caller;
use crate::http::extract::{PathText, Query, Wrong, not_found};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::request_id;
use crate::state::AppState;

/// List the events that sinks have not taken, newest first.
#[utoipa::path(
    get,
    path = "/v1/outbox",
    tag = "outbox",
    params(DeliveryFilter),
    responses(
        (status = 200, description = "A page", body = Page<Delivery>),
        refusal::List,
    )
)]
pub(crate) async fn list_outbox(
    State(state): State<AppState>,
    Caller(principal): Caller,
    Query(query): Query<DeliveryFilter>,
) -> Result<Json<Page<Delivery>>, ProblemResponse> {
    let mut wrong = Wrong::default();
    let limit = limit(query.limit, "?limit", &mut wrong);
    let cursor = cursor::<DeliveryId>(query.cursor, "?cursor", &mut wrong);
    wrong.finish()?;
    let found = list_deliveries(state.engine(), &principal, query.state.map(is_dead), cursor, limit).await?;
    let next_cursor = found.last().filter(|_| found.len() == limit as usize).map(|last| last.id.to_string());
    Ok(Json(Page { items: found.iter().map(delivery).collect(), next_cursor }))
}

/// Have an event tried again at once, as if it had never been tried.
#[utoipa::path(
    post,
    path = "/v1/outbox/{delivery}/replay",
    tag = "outbox",
    params(("delivery" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "It is due", body = Delivery),
        refusal::Named,
    )
)]
pub(crate) async fn replay_delivery(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(id): PathText,
) -> Result<Json<Delivery>, ProblemResponse> {
    let id: DeliveryId = id.parse().map_err(|_| not_found())?;
    let replayed = replay(state.engine(), &principal, id, Some(&request_id::current())).await?;
    Ok(Json(delivery(&replayed)))
}
