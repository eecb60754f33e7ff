//! `GET /crl/{file}` and `GET /crl/{authority}/{file}`: published lists. Nothing is signed here.

use std::io;
use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_api::problem::ProblemType;
use ca_core::time::Timestamp;
use ca_engine::error::FlowError;
use ca_engine::port::list_octets::ListOctets;
use futures::stream;

use super::byte_range::{self, Wanted};
use super::content_coding;
use super::http_date;
use crate::http::extract::{PathText, PathTexts, not_found};
use crate::http::openapi::Octets;
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::served_list::{ContentCoding, ServedList};
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
        (status = 200, description = "The newest list, by gzip where `Accept-Encoding` asks for it", content(
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
        let served = Served { content_type: "application/x-pem-file", list: files.all_pem(), period: None };
        return serve(&state, (&method, &headers), served).await;
    }
    serve_named(&state, &method, &headers, &file).await
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
    serve_named(&state, &method, &headers, &format!("{authority}/{file}")).await
}

async fn serve_named(
    state: &AppState,
    method: &Method,
    headers: &HeaderMap,
    name: &str,
) -> Result<Response, ProblemResponse> {
    let files = state.crl_files();
    let name = name.parse().map_err(|_| not_found())?;
    let list = files.named(&name).ok_or_else(not_found)?;
    let period = (list.intent.this_update, list.intent.next_update);
    let served = Served { content_type: PKIX_CRL, list: &list.served, period: Some(period) };
    serve(state, (method, headers), served).await
}

/// What is served.
#[derive(Clone, Copy)]
struct Served<'a> {
    content_type: &'static str,
    list: &'a ServedList,
    /// `thisUpdate` and `nextUpdate` of a single list.
    period: Option<(Timestamp, Timestamp)>,
}

async fn serve(
    state: &AppState,
    asked: (&Method, &HeaderMap),
    served: Served<'_>,
) -> Result<Response, ProblemResponse> {
    if served.list.is_worth_compressing() && content_coding::wanted(asked.1) == ContentCoding::Gzip {
        match serve_in(ContentCoding::Gzip, state, asked, served).await {
            Ok(response) => return Ok(response),
            // No room, most likely. A list as it is is better than none.
            Err(error) => tracing::warn!(%error, "a published list cannot be compressed; it is served as it is"),
        }
    }
    serve_in(ContentCoding::Identity, state, asked, served).await.map_err(unreadable)
}

async fn serve_in(
    coding: ContentCoding,
    state: &AppState,
    (method, request): (&Method, &HeaderMap),
    Served { content_type, list, period }: Served<'_>,
) -> io::Result<Response> {
    let now = state.engine().now();
    let max_age = period.map_or(state.max_age(), |(_, next_update)| state.max_age().min(next_update.since(now)));
    let etag = list.etag(coding);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // What is compressed here is compressed for the whole way: caches may neither undo it nor do it (RFC 9110 §7.7).
    insert_text(
        &mut headers,
        header::CACHE_CONTROL,
        &format!("public, no-transform, must-revalidate, max-age={}", max_age.seconds()),
    );
    // Also what is in one coding for everybody today: it may be larger tomorrow.
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    insert_text(&mut headers, header::ETAG, &etag);
    if let Some((this_update, _)) = period {
        insert_text(&mut headers, header::LAST_MODIFIED, &http_date(this_update));
    }
    if is_unchanged(request, &etag, period.map(|(this_update, _)| this_update)) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let octets = list.octets(coding, state.engine().spool()).await?;
    let length = usize::try_from(octets.count()).map_err(io::Error::other)?;
    if coding == ContentCoding::Gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return Ok((StatusCode::OK, headers, body(method, octets, 0..length).await?).into_response());
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    match byte_range::wanted(method, request, &etag, length) {
        Wanted::Whole => Ok((StatusCode::OK, headers, body(method, octets, 0..length).await?).into_response()),
        Wanted::Part(part) => {
            insert_text(&mut headers, header::CONTENT_RANGE, &content_range(&part, length));
            Ok((StatusCode::PARTIAL_CONTENT, headers, body(method, octets, part).await?).into_response())
        }
        Wanted::Nothing => {
            let detail = format!("there are {length} octets; ask for a range within them, or for none");
            let mut response = ProblemResponse::new(ProblemType::RangeNotSatisfiable, detail).into_response();
            insert_text(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{length}"));
            Ok(response)
        }
    }
}

/// The octets of a part: at once when they are few, else piece by piece as the client takes them.
async fn body(method: &Method, octets: ListOctets, part: Range<usize>) -> io::Result<Response> {
    if *method == Method::HEAD || part.len() > PIECE {
        let length = part.len();
        let pieces = stream::try_unfold(part, move |part| read_piece(octets.clone(), part));
        let body = if *method == Method::HEAD { Body::empty() } else { Body::from_stream(pieces) };
        return Ok(([(header::CONTENT_LENGTH, length)], body).into_response());
    }
    let (all, _) = read_piece(octets, part).await?.unwrap_or_default();
    Ok(all.into_response())
}

/// The next octets of a part, and what remains; `None` at its end.
async fn read_piece(octets: ListOctets, part: Range<usize>) -> io::Result<Option<(Bytes, Range<usize>)>> {
    if part.is_empty() {
        return Ok(None);
    }
    let end = part.end.min(part.start + PIECE);
    let read = move || {
        let mut piece = vec![0; end - part.start];
        octets.read(part.start as u64, &mut piece).map(|()| Bytes::from(piece))
    };
    // What fits into a piece may lie in memory; a thread of its own would cost more than it reads.
    let piece = if part.len() <= IN_PASSING { read()? } else { blocking(read).await? };
    Ok(Some((piece, end..part.end)))
}

/// Octets that are read at a time.
const PIECE: usize = 256 * 1024;

/// So many are read on the spot.
const IN_PASSING: usize = 64 * 1024;

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn unreadable(error: io::Error) -> ProblemResponse {
    FlowError::internal(format!("a published list cannot be read: {error}")).into()
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
