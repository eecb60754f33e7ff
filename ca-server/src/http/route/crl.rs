//! `GET /crl/{file}`: published lists, as they lie in memory. Nothing is signed here.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_core::time::Timestamp;

use super::http_date;
use crate::http::extract::{PathText, not_found};
use crate::http::openapi::Octets;
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::state::AppState;

/// RFC 2585 §4.2.
const PKIX_CRL: &str = "application/pkix-crl";

/// A complete CRL: `{authority}.crl` (DER), or `all.pem`: every list, issuing authorities first, root last.
#[utoipa::path(
    get,
    path = "/crl/{file}",
    tag = "public",
    params(("file" = String, Path, description = "`{authority}.crl` or `all.pem`", example = "tls.crl")),
    responses(
        (status = 200, description = "The newest list", content(
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
    headers: HeaderMap,
) -> Result<Response, ProblemResponse> {
    state.engine().check_anchor()?;
    let files = state.crl_files();
    if file == "all.pem" {
        return Ok(serve(&state, &headers, "application/x-pem-file", || files.all_pem(), files.all_etag(), None));
    }
    let authority = file.strip_suffix(".crl").and_then(|id| id.parse().ok()).ok_or_else(not_found)?;
    let list = files.get(&authority).ok_or_else(not_found)?;
    let period = (list.intent.this_update, list.intent.next_update);
    Ok(serve(&state, &headers, PKIX_CRL, || list.der.clone(), &list.etag, Some(period)))
}

fn serve(
    state: &AppState,
    request: &HeaderMap,
    content_type: &'static str,
    body: impl FnOnce() -> Bytes,
    etag: &str,
    period: Option<(Timestamp, Timestamp)>,
) -> Response {
    let now = state.engine().now();
    let max_age = period.map_or(state.max_age(), |(_, next_update)| state.max_age().min(next_update.since(now)));
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let mut insert = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    insert(header::CACHE_CONTROL, &format!("public, no-transform, must-revalidate, max-age={}", max_age.seconds()));
    insert(header::ETAG, etag);
    if let Some((this_update, _)) = period {
        insert(header::LAST_MODIFIED, &http_date(this_update));
    }
    if is_unchanged(request, etag, period.map(|(this_update, _)| this_update)) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (StatusCode::OK, headers, body()).into_response()
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

    fn asking(name: header::HeaderName, value: &'static str) -> HeaderMap {
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
