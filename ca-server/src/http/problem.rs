//! From the error of a flow to problem+json (RFC 9457). Internal text is logged here, once, and never sent.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_api::problem::{PROBLEM_JSON, Problem, ProblemType, Violation};
use ca_engine::error::FlowError;
use ca_wire::problem::problem;

use super::request_id;

/// How long a sentence of a problem may be, in characters: it may quote what the caller sent.
const LONGEST_DETAIL: usize = 2_000;

/// An error on its way to the caller.
#[derive(Debug)]
pub(crate) struct ProblemResponse {
    /// Without the request's id, which it gets when it leaves.
    problem: Box<Problem>,
    internal: Option<String>,
}

impl ProblemResponse {
    pub(crate) fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        let problem = Problem {
            kind,
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            errors: Vec::new(),
            request_id: String::new(),
            retry_after: None,
            candidates: Vec::new(),
        };
        Self { problem: Box::new(problem), internal: None }
    }

    /// One value of the request that cannot be read.
    pub(crate) fn invalid(code: &str, pointer: &str, detail: impl Into<String>) -> Self {
        Self::about(ProblemType::InvalidRequest, code, pointer, detail)
    }

    /// A problem of one place in the request.
    pub(crate) fn about(kind: ProblemType, code: &str, pointer: &str, detail: impl Into<String>) -> Self {
        let mut response = Self::new(kind, detail);
        let detail = response.problem.detail.clone();
        response.problem.errors = vec![Violation { code: code.to_owned(), pointer: pointer.to_owned(), detail }];
        response
    }

    /// Several such values.
    pub(crate) fn all_invalid(errors: Vec<Violation>) -> Self {
        let detail = errors.first().map_or_else(String::new, |first| first.detail.clone());
        let mut response = Self::new(ProblemType::InvalidRequest, detail);
        response.problem.errors = errors;
        response
    }
}

impl From<FlowError> for ProblemResponse {
    fn from(error: FlowError) -> Self {
        Self { problem: Box::new(problem(&error, "")), internal: error.detail }
    }
}

impl IntoResponse for ProblemResponse {
    fn into_response(self) -> Response {
        let Self { mut problem, internal } = self;
        problem.request_id = request_id::current();
        abridge(&mut problem.detail);
        problem.errors.iter_mut().for_each(|violation| abridge(&mut violation.detail));
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(internal) = &internal {
            let (request_id, kind) = (&problem.request_id, problem.kind.uri());
            if status.is_server_error() {
                tracing::error!(request_id, problem = kind, detail = internal, "a request failed");
            } else {
                tracing::info!(request_id, problem = kind, detail = internal, "a request was refused");
            }
        }
        let retry_after = problem.retry_after;
        let mut response = (status, axum::Json(problem)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1 wants a challenge; a client certificate has no scheme of its own.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Leaves the middle of a long sentence out: what is wrong stands before what it quotes, and what would be right after it.
fn abridge(detail: &mut String) {
    const KEPT: usize = LONGEST_DETAIL / 2;
    let nth = |detail: &str, nth: usize| detail.char_indices().nth(nth).map(|(place, _)| place);
    if nth(detail, LONGEST_DETAIL).is_none() {
        return;
    }
    let from = nth(detail, KEPT);
    let to = detail.char_indices().rev().nth(KEPT - 1).map(|(place, _)| place);
    if let (Some(from), Some(to)) = (from, to) {
        detail.replace_range(from..to, " … ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_that_quotes_much_keeps_its_beginning_and_its_end() {
        let abridged = |detail: &str| {
            let mut detail = detail.to_owned();
            abridge(&mut detail);
            detail
        };
        let said = abridged(&format!("`{}` is no URI; write https://…", "é".repeat(60_000)));
        assert!(said.starts_with("`ééé") && said.contains("é … é") && said.ends_with("é` is no URI; write https://…"));
        assert_eq!(said.chars().count(), LONGEST_DETAIL + 3);
        let longest = "é".repeat(LONGEST_DETAIL);
        assert_eq!(abridged(&longest), longest);
    }
}
