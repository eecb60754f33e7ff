//! `GET /crl/{file}` and `GET /crl/{authority}/{file}`: published lists, as they lie in memory. Nothing is signed here.

use std::ops::Range;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_api::problem::ProblemType;
use ca_core::time::Timestamp;

use super::byte_range::{self, Wanted};
use super::http_date;
use crate::http::extract::{PathText, PathTexts, not_found};
use crate::http::openapi::Octets;
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::state::AppState;

/// RFC 2585 §4.2.
const PKIX_CRL: &str = "application/pkix-crl";

/// A CRL: `{authority}.crl`, complete, or `{authority}-delta.crl`, where the authority has one (DER); or `all.pem`: every complete list,
/// issuing authorities first, root last.
#[utoipa::path(
    get,
    path = "/crl/{file}",
    tag = "public",
    params(("file" = String, Path, description = "`{authority}.crl`, `{authority}-delta.crl` or `all.pem`", example = "tls.crl")),
    responses(
        (status = 200, description = "The newest list", content(
            (Octets = "application/pkix-crl"),
            (String = "application/x-pem-file"),
        )),
        (status = 206, description = "The part that the caller asked for with `Range`", content(
            (Octets = "application/pkix-crl"),
            (String = "application/x-pem-file"),
        )),
        (status = 304, description = "The list that the caller has is still the newest"),
        refusal::PublishedList,
    )
)]
pub(crate) async fn crl(
    State(state): State<AppState>,
    PathText(file): PathText,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ProblemResponse> {
    state.engine().check_anchor()?;
    let files = state.crl_files();
    if file == "all.pem" {
        let list = Served { content_type: "application/x-pem-file", etag: files.all_etag(), period: None };
        return serve(&state, (&method, &headers), list, || files.all_pem());
    }
    serve_named(&state, &method, &headers, &file)
}

/// A shard of a CRL: the certificates that name this URL as their distribution point.
#[utoipa::path(
    get,
    path = "/crl/{authority}/{file}",
    tag = "public",
    params(
        ("authority" = String, Path, description = "The id of an authority", example = "tls"),
        ("file" = String, Path, description = "`{shard}.crl`", example = "1.crl"),
    ),
    responses(
        (status = 200, description = "The newest list of the shard", body = Octets, content_type = "application/pkix-crl"),
        (
            status = 206,
            description = "The part that the caller asked for with `Range`",
            body = Octets,
            content_type = "application/pkix-crl"
        ),
        (status = 304, description = "The list that the caller has is still the newest"),
        refusal::PublishedList,
    )
)]
pub(crate) async fn crl_shard(
    State(state): State<AppState>,
    PathTexts(authority, file): PathTexts,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ProblemResponse> {
    state.engine().check_anchor()?;
    serve_named(&state, &method, &headers, &format!("{authority}/{file}"))
}

fn serve_named(
    state: &AppState,
    method: &Method,
    headers: &HeaderMap,
    name: &str,
) -> Result<Response, ProblemResponse> {
    let files = state.crl_files();
    let name = name.parse().map_err(|_| not_found())?;
    let list = files.named(&name).ok_or_else(not_found)?;
    let period = (list.intent.this_update, list.intent.next_update);
    let served = Served { content_type: PKIX_CRL, etag: &list.etag, period: Some(period) };
    serve(state, (method, headers), served, || list.der.clone())
}

/// What is served, but for its octets.
struct Served<'a> {
    content_type: &'static str,
    etag: &'a str,
    /// `thisUpdate` and `nextUpdate` of a single list.
    period: Option<(Timestamp, Timestamp)>,
}

fn serve(
    state: &AppState,
    (method, request): (&Method, &HeaderMap),
    Served { content_type, etag, period }: Served<'_>,
    body: impl FnOnce() -> Bytes,
) -> Result<Response, ProblemResponse> {
    let now = state.engine().now();
    let max_age = period.map_or(state.max_age(), |(_, next_update)| state.max_age().min(next_update.since(now)));
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    insert_text(
        &mut headers,
        header::CACHE_CONTROL,
        &format!("public, no-transform, must-revalidate, max-age={}", max_age.seconds()),
    );
    insert_text(&mut headers, header::ETAG, etag);
    if let Some((this_update, _)) = period {
        insert_text(&mut headers, header::LAST_MODIFIED, &http_date(this_update));
    }
    if is_unchanged(request, etag, period.map(|(this_update, _)| this_update)) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let body = body();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    match byte_range::wanted(method, request, etag, body.len()) {
        Wanted::Whole => Ok((StatusCode::OK, headers, body).into_response()),
        Wanted::Part(part) => {
            insert_text(&mut headers, header::CONTENT_RANGE, &content_range(&part, body.len()));
            Ok((StatusCode::PARTIAL_CONTENT, headers, body.slice(part)).into_response())
        }
        Wanted::Nothing => {
            let detail = format!("there are {} octets; ask for a range within them, or for none", body.len());
            let mut response = ProblemResponse::new(ProblemType::RangeNotSatisfiable, detail).into_response();
            insert_text(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{}", body.len()));
            Ok(response)
        }
    }
}

/// RFC 9110 §14.4.
fn content_range(part: &Range<usize>, length: usize) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1))
}

fn insert_text(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// RFC 9110 §13.2.2: an entity tag decides before a date does.
fn is_unchanged(request: &HeaderMap, etag: &str, last_modified: Option<Timestamp>) -> bool {
    if let Some(tags) = request.get(header::IF_NONE_MATCH) {
        return tags.to_str().is_ok_and(|tags| {
            tags.split(',').any(|tag| {
                let tag = tag.trim();
                tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag
            })
        });
    }
    let (Some(since), Some(last_modified)) = (request.get(header::IF_MODIFIED_SINCE), last_modified) else {
        return false;
    };
    // Two lists may be of one second: a caller that has the first of them must get the second. So a date alone never vouches
    // for its own second (RFC 9110 §8.8.2.2 calls it weak); an entity tag does.
    since.to_str().ok().and_then(super::parse_http_date).is_some_and(|since| last_modified < since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    /// 2026-01-02T03:04:05Z
    const MADE: Timestamp = Timestamp::from_unix_seconds(1_767_323_045);

    #[test]
    fn a_date_of_the_list_s_own_second_does_not_vouch_for_it() {
        let since = |date| is_unchanged(&asking(header::IF_MODIFIED_SINCE, date), "\"a\"", Some(MADE));
        assert!(!since("Fri, 02 Jan 2026 03:04:04 GMT"));
        assert!(!since("Fri, 02 Jan 2026 03:04:05 GMT"));
        assert!(since("Fri, 02 Jan 2026 03:04:06 GMT"));
        assert!(!since("yesterday"));
    }

    #[test]
    fn an_entity_tag_decides_before_a_date() {
        let mut asked = asking(header::IF_NONE_MATCH, "\"b\"");
        asked.insert(header::IF_MODIFIED_SINCE, HeaderValue::from_static("Fri, 02 Jan 2026 03:04:06 GMT"));
        assert!(!is_unchanged(&asked, "\"a\"", Some(MADE)));
        for tags in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(is_unchanged(&asking(header::IF_NONE_MATCH, tags), "\"a\"", Some(MADE)), "{tags}");
        }
    }
}
