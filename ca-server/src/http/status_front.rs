//! OCSP ahead of the router, on the listener where clients ask for it: a request costs little more than finding its answer.
//!
//! What the router adds for everybody (a request's id, its span, its line in the log, the copies of a route) costs several times
//! what an answer from memory does. Whatever is not a plain OCSP request goes to the router and is answered there.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use futures::StreamExt;
use http_body_util::BodyExt;

use super::guard::{self, REQUEST_TIMEOUT};
use super::route::ocsp;
use super::router::MAXIMUM_OCSP_BODY;
use crate::state::AppState;
use crate::telemetry::metrics;

/// How long the body of a small request may take to arrive; one that takes longer is read by the router, with its limits.
const AT_ONCE: Duration = Duration::from_millis(200);

/// Answers OCSP requests.
#[derive(Clone)]
pub(crate) struct StatusFront {
    state: AppState,
}

impl StatusFront {
    pub(crate) fn new(state: AppState) -> Self {
        Self { state }
    }

    /// The answer, or the request, which is the router's then.
    pub(crate) async fn answer(&self, request: Request) -> Result<Response, Request> {
        if guard::has_too_many_header_fields(&request) {
            return Err(request);
        }
        let started = tokio::time::Instant::now();
        let (route, response) = match asked(&request) {
            Asked::Get => {
                let answer = ocsp::answer_get(&self.state, request.uri().path(), request.headers());
                (ca_api::route::OCSP_GET, guarded(answer).await)
            }
            Asked::Post => {
                let (head, body) = request.into_parts();
                let body = match read(body).await {
                    Ok(body) => body,
                    Err(body) => return Err(Request::from_parts(head, body)),
                };
                (ca_api::route::OCSP, guarded(ocsp::answer_post(&self.state, &body)).await)
            }
            Asked::SomethingElse => return Err(request),
        };
        metrics::request(route, response.status().as_u16(), started.elapsed());
        Ok(response)
    }
}

enum Asked {
    Get,
    Post,
    SomethingElse,
}

fn asked(request: &Request) -> Asked {
    let path = request.uri().path();
    if *request.method() == Method::GET && path.starts_with("/ocsp/") && request.body().is_end_stream() {
        return Asked::Get;
    }
    let is_post = *request.method() == Method::POST && path == ca_api::route::OCSP;
    if is_post && ocsp::has_right_type(request.headers()) && is_small(request.headers()) {
        return Asked::Post;
    }
    Asked::SomethingElse
}

/// Whether the body says how long it is, and that is little. Who waits for `100 Continue` is the router's.
fn is_small(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    length.is_some_and(|length| length <= MAXIMUM_OCSP_BODY) && !headers.contains_key(header::EXPECT)
}

/// The whole body; or, when it does not arrive at once, a body that begins with what has arrived.
async fn read(mut body: Body) -> Result<Bytes, Body> {
    let mut arrived: Vec<Result<Bytes, axum::Error>> = Vec::new();
    let whole = async {
        while let Some(frame) = body.frame().await {
            let is_broken = frame.is_err();
            arrived.extend(frame.map(|frame| frame.into_data().ok()).transpose());
            if is_broken {
                return false;
            }
        }
        true
    };
    let is_whole = tokio::time::timeout(AT_ONCE, whole).await.unwrap_or(false);
    match &mut arrived[..] {
        [Ok(only)] if is_whole => Ok(std::mem::take(only)),
        several if is_whole => Ok(several.iter().flatten().flatten().copied().collect()),
        _ => Err(Body::from_stream(futures::stream::iter(arrived).chain(body.into_data_stream()))),
    }
}

async fn guarded(answer: impl Future<Output = Response>) -> Response {
    let mut response = guard::unless_it_panics(guard::in_time(REQUEST_TIMEOUT, answer)).await;
    guard::harden(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(method: Method, uri: &str, headers: &[(header::HeaderName, &'static str)]) -> Request {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().expect("a URI");
        request
            .headers_mut()
            .extend(headers.iter().map(|(name, value)| (name.clone(), header::HeaderValue::from_static(value))));
        request
    }

    #[test]
    fn what_is_not_plainly_an_ocsp_request_is_the_routers() {
        let ours = (header::CONTENT_TYPE, "application/ocsp-request");
        let length = (header::CONTENT_LENGTH, "70");
        assert!(matches!(asked(&asking(Method::GET, "/ocsp/MEUw", &[])), Asked::Get));
        assert!(matches!(asked(&asking(Method::POST, "/ocsp", &[ours.clone(), length.clone()])), Asked::Post));
        for request in [
            asking(Method::HEAD, "/ocsp/MEUw", &[]),
            asking(Method::GET, "/ocsp", &[]),
            asking(Method::GET, "/crl/tls.crl", &[]),
            asking(Method::GET, "/ocspx/MEUw", &[]),
            asking(Method::POST, "/ocsp/", &[ours.clone(), length.clone()]),
            asking(Method::POST, "/ocsp", &[(header::CONTENT_TYPE, "text/plain"), length.clone()]),
            asking(Method::POST, "/ocsp", std::slice::from_ref(&length)),
            asking(Method::POST, "/ocsp", std::slice::from_ref(&ours)),
            asking(Method::POST, "/ocsp", &[ours.clone(), (header::CONTENT_LENGTH, "65537")]),
            asking(Method::POST, "/ocsp", &[ours.clone(), length.clone(), (header::EXPECT, "100-continue")]),
        ] {
            assert!(matches!(asked(&request), Asked::SomethingElse), "{request:?}");
        }
    }

    #[tokio::test]
    async fn a_body_is_read_whole_or_handed_on_whole() {
        let parts = |parts: &[&'static str]| {
            parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect::<Vec<_>>()
        };
        let body = |parts: Vec<Result<Bytes, std::io::Error>>| Body::from_stream(futures::stream::iter(parts));
        for whole in [vec![], vec!["one"], vec!["in ", "three ", "parts"]] {
            let read = read(body(parts(&whole))).await.expect("it is all there");
            assert_eq!(read, whole.concat());
        }
        let slow = futures::stream::iter(parts(&["at once, "])).chain(futures::stream::once(async {
            tokio::time::sleep(AT_ONCE * 2).await;
            Ok(Bytes::from_static(b"later"))
        }));
        let rest = read(Body::from_stream(slow)).await.expect_err("it takes its time");
        assert_eq!(axum::body::to_bytes(rest, 100).await.expect("whole"), "at once, later");
        let mut broken = parts(&["the beginning"]);
        broken.push(Err(std::io::Error::other("cut off")));
        let rest = read(body(broken)).await.expect_err("it is cut off");
        axum::body::to_bytes(rest, 100).await.expect_err("and stays so");
    }
}
