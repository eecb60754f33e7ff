//! Reads the plain requests for OCSP where they lie (RFC 9112); sees of every other request only that it is one.
//!
//! Whatever needs care is somebody else's: bodies without a length, expectations, upgrades, fields that come twice, URLs with more
//! than a path. So what is read here can be read in one way only.

use std::str;

/// The largest request that is read here, in octets, its body included.
pub(super) const LARGEST: usize = 16 * 1024;

/// How many header fields a plain request has at the most.
const MOST_FIELDS: usize = 32;

/// What the octets that have arrived are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading<'r> {
    /// A whole request; more may stand behind it.
    Plain(Plain<'r>),
    /// The beginning of one that may be plain.
    Part,
    /// A request for somebody else, or no request.
    Other,
}

/// A plain request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain<'r> {
    pub(super) asked: Asked<'r>,
    /// How many octets it has.
    pub(super) length: usize,
    /// The minor version of its HTTP/1.
    pub(super) minor: u8,
    /// Whether it is the last one of its connection.
    pub(super) is_last: bool,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<'r> {
    /// The request stands in the path, behind `/ocsp/`. The tag is that of an answer which the caller has.
    Get { path: &'r str, if_none_match: Option<&'r [u8]> },
    /// The request is the body.
    Post { body: &'r [u8] },
}

/// Reads what has arrived.
pub(super) fn read(octets: &[u8]) -> Reading<'_> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let size = match head.parse(octets) {
        Ok(httparse::Status::Complete(size)) if size <= LARGEST => size,
        Ok(httparse::Status::Partial) if octets.len() < LARGEST => return Reading::Part,
        Ok(_) | Err(_) => return Reading::Other,
    };
    let Some(fields) = Fields::of(head.headers) else { return Reading::Other };
    let (minor, is_last) = match (head.version, fields.connection) {
        (Some(1), Connection::Unsaid | Connection::KeepAlive) => (1, false),
        (Some(minor @ 1), Connection::Close) | (Some(minor @ 0), Connection::Unsaid | Connection::Close) => {
            (minor, true)
        }
        _ => return Reading::Other,
    };
    let target = head.path.unwrap_or_default();
    match head.method {
        Some("GET") => {
            let path = target.strip_prefix(GET_PREFIX).filter(|path| path.bytes().all(may_stand_in_base64));
            match path {
                Some(path) if fields.content_length.unwrap_or(0) == 0 => Reading::Plain(Plain {
                    asked: Asked::Get { path, if_none_match: fields.if_none_match },
                    length: size,
                    minor,
                    is_last,
                }),
                _ => Reading::Other,
            }
        }
        Some("POST") if target == ca_api::route::OCSP && fields.is_ocsp_request => {
            let Some(length) = fields.content_length.and_then(|length| size.checked_add(length)) else {
                return Reading::Other;
            };
            match octets.get(size..length) {
                Some(body) => Reading::Plain(Plain { asked: Asked::Post { body }, length, minor, is_last }),
                None if length <= LARGEST => Reading::Part,
                None => Reading::Other,
            }
        }
        _ => Reading::Other,
    }
}

const GET_PREFIX: &str = "/ocsp/";

/// What base64 is written with, percent-encoded or not. A query, a fragment and what no URL may hold are not.
fn may_stand_in_base64(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'%' | b'/' | b'+' | b'=')
}

/// The header fields that matter.
#[derive(Default)]
struct Fields<'r> {
    content_length: Option<usize>,
    is_ocsp_request: bool,
    connection: Connection,
    if_none_match: Option<&'r [u8]>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Connection {
    #[default]
    Unsaid,
    KeepAlive,
    Close,
}

impl<'r> Fields<'r> {
    /// `None` where a field asks for more than a plain request does, or can be understood in two ways.
    fn of(fields: &[httparse::Header<'r>]) -> Option<Self> {
        let mut read = Self::default();
        let mut has_type = false;
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            // The length of a name decides most of them.
            match field.name.len() {
                14 if is("content-length") => once(&mut read.content_length, decimal(field.value)?)?,
                12 if is("content-type") => {
                    if std::mem::replace(&mut has_type, true) {
                        return None;
                    }
                    read.is_ocsp_request = is_ocsp_request(field.value);
                }
                10 if is("connection") => {
                    if read.connection != Connection::Unsaid {
                        return None;
                    }
                    read.connection = match field.value {
                        value if value.eq_ignore_ascii_case(b"keep-alive") => Connection::KeepAlive,
                        value if value.eq_ignore_ascii_case(b"close") => Connection::Close,
                        _ => return None,
                    };
                }
                13 if is("if-none-match") => once(&mut read.if_none_match, field.value)?,
                17 if is("transfer-encoding") => return None,
                6 if is("expect") => return None,
                7 if is("upgrade") => return None,
                _ => {}
            }
        }
        Some(read)
    }
}

/// Fills a place; `None` if it was filled before.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// Digits and nothing else.
fn decimal(text: &[u8]) -> Option<usize> {
    let digits = str::from_utf8(text).ok().filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()))?;
    digits.parse().ok()
}

/// Whether a content type is `application/ocsp-request` (RFC 6960 appendix C.1), whatever parameters it has.
pub(crate) fn is_ocsp_request(content_type: &[u8]) -> bool {
    let essence = content_type.split(|octet| *octet == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/ocsp-request")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Asked<'_> {
        Asked::Get { path, if_none_match: None }
    }

    fn plain<'r>(octets: &'r str, asked: Asked<'r>, length: usize, is_last: bool) {
        let minor = u8::from(!octets.contains("HTTP/1.0"));
        assert_eq!(read(octets.as_bytes()), Reading::Plain(Plain { asked, length, minor, is_last }), "{octets:?}");
    }

    #[test]
    fn reads_what_is_plain() {
        let whole = "GET /ocsp/MEUw HTTP/1.1\r\nHost: pki\r\n\r\n";
        plain(whole, get("MEUw"), whole.len(), false);
        plain(&format!("{whole}GET /ocs"), get("MEUw"), whole.len(), false);
        let old = "GET /ocsp//MAP77%2F8%3D HTTP/1.0\r\n\r\n";
        plain(old, get("/MAP77%2F8%3D"), old.len(), true);
        let last = "GET /ocsp/MEUw HTTP/1.1\r\nconnection: Close\r\nContent-Length: 0\r\n\r\n";
        plain(last, get("MEUw"), last.len(), true);
        let kept = "GET /ocsp/MEUw HTTP/1.1\r\nConnection: keep-alive\r\nIf-None-Match: \"a\"\r\n\r\n";
        plain(kept, Asked::Get { path: "MEUw", if_none_match: Some(b"\"a\"") }, kept.len(), false);
        let post =
            "POST /ocsp HTTP/1.1\r\nContent-Type: Application/OCSP-Request; a=b\r\nContent-Length: 2\r\n\r\n0\x031";
        plain(post, Asked::Post { body: b"0\x03" }, post.len() - 1, false);
    }

    #[test]
    fn waits_for_the_rest_of_what_may_become_plain() {
        let post = "POST /ocsp HTTP/1.1\r\nContent-Type: application/ocsp-request\r\nContent-Length: 2\r\n\r\n0\x03";
        for length in 1..post.len() {
            assert_eq!(read(&post.as_bytes()[..length]), Reading::Part, "{length}");
        }
    }

    #[test]
    fn leaves_to_others_what_is_not_plain() {
        let post = "POST /ocsp HTTP/1.1\r\nContent-Type: application/ocsp-request\r\n";
        let long = format!("GET /ocsp/{} HTTP/1.1\r\n\r\n", "A".repeat(LARGEST));
        for other in [
            "HEAD /ocsp/MEUw HTTP/1.1\r\n\r\n",
            "GET /ocsp HTTP/1.1\r\n\r\n",
            "GET /crl/tls.crl HTTP/1.1\r\n\r\n",
            "GET /ocspx/MEUw HTTP/1.1\r\n\r\n",
            "GET /ocsp/MEUw?a=b HTTP/1.1\r\n\r\n",
            "GET /ocsp/ME\u{e4}w HTTP/1.1\r\n\r\n",
            "GET http://pki/ocsp/MEUw HTTP/1.1\r\n\r\n",
            "GET /ocsp/MEUw HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "GET /ocsp/MEUw HTTP/1.1\r\nConnection: close, x\r\n\r\n",
            "GET /ocsp/MEUw HTTP/1.1\r\nConnection: close\r\nConnection: close\r\n\r\n",
            "GET /ocsp/MEUw HTTP/1.1\r\nContent-Length: 1\r\n\r\n0",
            "GET /ocsp/MEUw HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /ocsp/MEUw HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
            "GET /ocsp/MEUw HTTP/1.1\r\nIf-None-Match: a\r\nIf-None-Match: b\r\n\r\n",
            "POST /ocsp/ HTTP/1.1\r\nContent-Type: application/ocsp-request\r\nContent-Length: 1\r\n\r\n0",
            "POST /ocsp HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n0",
            "POST /ocsp HTTP/1.1\r\nContent-Length: 1\r\n\r\n0",
            &format!("{post}\r\n"),
            &format!("{post}Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n0"),
            &format!("{post}Content-Length: 1\r\nContent-Length: 1\r\n\r\n0"),
            &format!("{post}Content-Length: +1\r\n\r\n0"),
            &format!("{post}Content-Length: 99999999999999999999\r\n\r\n0"),
            &format!("{post}Content-Length: 18446744073709551615\r\n\r\n0"),
            &format!("{post}Content-Length: 65536\r\n\r\n0"),
            &format!("{post}Content-Length: 1\r\nExpect: 100-continue\r\n\r\n0"),
            &format!("{post}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0"),
            &format!("GET /ocsp/MEUw HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_FIELDS + 1)),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\u{16}\u{3}\u{1}",
            &long,
            &long[..LARGEST],
        ] {
            assert_eq!(read(other.as_bytes()), Reading::Other, "{other:?}");
        }
    }
}
