//! Writes an answer as HTTP/1 into one buffer, head and body, to be sent at once.

use std::io::Write;

use ca_core::time::{Lifetime, Timestamp};
use ca_engine::flow::answer_status::{StatusAnswer, cache_lifetime};

use crate::crl_files::etag;
use crate::http::route::http_date;

/// What goes beside an answer.
pub(super) struct Circumstances<'r> {
    pub(super) now: Timestamp,
    /// For how long caches may keep it at the most; `None` if they may not.
    pub(super) max_age: Option<Lifetime>,
    /// The tag of the answer that the caller has.
    pub(super) if_none_match: Option<&'r [u8]>,
    /// The minor version of the request's HTTP/1.
    pub(super) minor: u8,
    /// Whether the connection ends with it.
    pub(super) is_last: bool,
}

/// Appends the answer; returns its status.
pub(super) fn append(out: &mut Vec<u8>, answer: &StatusAnswer, circumstances: &Circumstances<'_>) -> u16 {
    let Circumstances { now, minor, .. } = *circumstances;
    let mut status = 200;
    match (answer.freshness, circumstances.max_age) {
        (Some(freshness), Some(max_age)) => {
            let lifetime = cache_lifetime(&freshness, now, max_age);
            let tag = etag(&answer.der);
            let outcome = if circumstances.if_none_match == Some(tag.as_bytes()) {
                status = 304;
                "304 Not Modified"
            } else {
                "200 OK"
            };
            put(
                out,
                format_args!(
                    "HTTP/1.{minor} {outcome}\r\ncache-control: public, no-transform, must-revalidate, max-age={}\r\netag: {tag}\r\n\
                     last-modified: {}\r\nexpires: {}\r\n",
                    lifetime.seconds(),
                    http_date(freshness.this_update),
                    http_date(now.plus(lifetime)),
                ),
            );
        }
        _ => put(out, format_args!("HTTP/1.{minor} 200 OK\r\ncache-control: no-store\r\n")),
    }
    if circumstances.is_last {
        out.extend_from_slice(b"connection: close\r\n");
    }
    put(out, format_args!("x-content-type-options: nosniff\r\ndate: {}\r\n", http_date(now)));
    // RFC 9110 §15.4.5 and §8.6: it says nothing about the body that it has not.
    if status == 304 {
        out.extend_from_slice(b"\r\n");
        return status;
    }
    put(out, format_args!("content-type: application/ocsp-response\r\ncontent-length: {}\r\n\r\n", answer.der.len()));
    out.extend_from_slice(&answer.der);
    status
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Nothing that is written to memory fails.
    let _ = out.write_fmt(text);
}
