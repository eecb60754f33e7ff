//! The request id: made here for each request, in every log line, problem and audit event of it.
//!
//! A caller's own id is not taken over: it would let strangers write into the logs and the audit chain.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use ca_core::id::RequestId;
use tracing::Instrument;

use crate::state::AppState;

/// The header of the answer that carries it.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task answers; empty outside of one.
pub(crate) fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Gives a request its id and a span, has it answered, and logs its end.
pub(crate) async fn identify<A>(state: &AppState, request: Request, answer: impl FnOnce(Request) -> A) -> Response
where
    A: Future<Output = Response>,
{
    let engine = state.engine();
    let id = engine.random().map_or_else(|_| String::new(), |random| RequestId::new(engine.now(), random).to_string());
    let span = tracing::info_span!("request", request_id = id);
    let method = request.method().clone();
    // Only the route's shape, never the path: an OCSP path or a search may name people.
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let started = tokio::time::Instant::now();
    let mut response = CURRENT.scope(id.clone(), answer(request).instrument(span)).await;
    let status = response.status().as_u16();
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(request_id = id, %method, route, status, milliseconds, "request");
    crate::telemetry::metrics::request(route, status, started.elapsed());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}
