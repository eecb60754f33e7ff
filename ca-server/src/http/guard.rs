//! What every request of every listener goes through before and after its handler: limits, what is left unread, headers, a
//! panic that must not take the connection along.
//!
//! One function, not a layer each: with each layer axum copies the route once more for every request.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ca_api::problem::ProblemType;

use super::problem::ProblemResponse;
use super::{request_id, unread_body};
use crate::state::AppState;

/// The most that all header fields of a request may have, names and values, in octets. hyper's own limit is of a buffer and
/// lets through what arrives at once.
const MAXIMUM_HEADER_FIELDS: usize = 32 * 1024;

/// How long a request may take from its headers to its answer.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers a request by what comes after this.
pub(crate) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    request_id::identify(&state, request, |request| async {
        let answer = async {
            if has_too_many_header_fields(&request) {
                return header_fields_too_large();
            }
            in_time(REQUEST_TIMEOUT, next.run(unread_body::read_out(request))).await
        };
        let mut response = unless_it_panics(answer).await;
        harden(&mut response);
        response
    })
    .await
}

pub(super) fn has_too_many_header_fields(request: &Request) -> bool {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    fields.sum::<usize>() > MAXIMUM_HEADER_FIELDS
}

fn header_fields_too_large() -> Response {
    let detail = format!("the header fields have more than {MAXIMUM_HEADER_FIELDS} octets");
    let mut response = ProblemResponse::new(ProblemType::HeaderFieldsTooLarge, detail).into_response();
    // Whoever sends such a header is not worth the connection (RFC 6585 §5). HTTP/2 has no such field; hyper drops it there.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

pub(super) async fn in_time(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    let mut answer = pin!(answer);
    // What needs nobody else is there at once, and costs no timer.
    let polled = std::future::poll_fn(|context| std::task::Poll::Ready(answer.as_mut().poll(context))).await;
    if let std::task::Poll::Ready(response) = polled {
        return response;
    }
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
        ProblemResponse::new(ProblemType::RequestTimeout, "the request took too long; try again").into_response()
    })
}

/// What panicked is dropped and not looked at again, so that nothing of it can be seen half done.
pub(super) async fn unless_it_panics(answer: impl Future<Output = Response>) -> Response {
    let mut answer = pin!(answer);
    let polled =
        std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(polled) => polled.map(Some),
            Err(_panic) => std::task::Poll::Ready(None),
        });
    polled.await.unwrap_or_else(|| {
        tracing::error!("a handler panicked");
        ProblemResponse::new(ProblemType::InternalError, "the service failed; its log says why").into_response()
    })
}

/// Browsers are no clients of ours; these headers keep them from guessing.
pub(super) fn harden(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_problem() {
        let response = unless_it_panics(async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        })
        .await;
        assert_eq!(response.status(), 500);
        let body = axum::body::to_bytes(response.into_body(), 4_096).await.expect("a body");
        assert!(!String::from_utf8_lossy(&body).contains("on purpose"), "{body:?}");
    }

    #[tokio::test]
    async fn what_never_ends_is_ended() {
        assert_eq!(in_time(Duration::from_millis(1), std::future::pending()).await.status(), 408);
    }
}
