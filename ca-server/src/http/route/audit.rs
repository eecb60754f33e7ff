//! `GET /v1/audit`

use axum::Json;
use axum::extract::State;
use ca_api::audit::{AuditEvent, AuditFilter};
use ca_api::page::Page;
use ca_engine::flow::query::audit_events;
use ca_engine::port::store::EventFilter;
use ca_wire::audit::audit_event;

use super::certificates::{cursor, limit};
use crate::http::authentication::Caller;
use crate::http::extract::{Query, Wrong};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::state::AppState;

/// Audit events in the order of their chain, from the oldest on.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "audit",
    params(AuditFilter),
    responses(
        (status = 200, description = "A page", body = Page<AuditEvent>),
        refusal::List,
    )
)]
pub(crate) async fn list_audit_events(
    State(state): State<AppState>,
    Caller(principal): Caller,
    Query(query): Query<AuditFilter>,
) -> Result<Json<Page<AuditEvent>>, ProblemResponse> {
    let mut wrong = Wrong::default();
    let limit = limit(query.limit, "?limit", &mut wrong);
    let cursor = cursor::<u64>(query.cursor, "?cursor", &mut wrong);
    wrong.finish()?;
    let after = cursor.or(query.after).unwrap_or(0);
    let filter = EventFilter { action: query.action, principal: query.principal, subject: query.subject };
    let events = audit_events(state.engine(), &principal, after, &filter, limit).await?;
    let next_cursor = events.last().filter(|_| events.len() == limit as usize).map(|event| event.sequence.to_string());
    let items = events.iter().map(audit_event).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next_cursor }))
}
