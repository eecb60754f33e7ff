//! Real requests with something wrong in them, so many a second: OCSP by POST and GET, lists and certificates with the headers of
//! caches and of fetches that go on, and the API as an administrator.
//!
//! A seed decides everything. Each request goes over a connection of its own, which is closed for writing behind it, so that what
//! claims to be longer than it is ends. No answer may be a 5xx, take longer than the caller allows, or say `good` of a serial number
//! that is on nobody's record. No answer at all is right for what is no HTTP.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_core::ocsp::{CertIdHash, CertStatus, ParsedResponse, encode_get_path};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;

use crate::chance::Chance;
use crate::client::{Client, send, tls_config_of};
use crate::identity::{SubjectKey, request};
use crate::percentiles::Percentiles;
use crate::stack::{Site, Stack};
use crate::status::Subject;

/// How long an answer is waited for. What is allowed is for the caller to say.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many requests may be open at once: what comes on top waits, and is counted as slow.
const OPEN: usize = 256;

/// Strings that programs trip over.
const AWKWARD: [&[u8]; 18] = [
    b"\r\n",
    b"\n",
    b"\0",
    b"%00",
    b"%",
    b"../",
    b"//",
    b"\xff\xfe",
    b"-1",
    b"18446744073709551616",
    b"99999999999999999999999999",
    b"bytes=0-,-1,5-2",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 4\r\n",
    b"Expect: 100-continue\r\n",
    b"\x30\x84\xff\xff\xff\xff",
    b"\x30\x80",
    b"\"\\u0000\"",
];

/// What the answers were.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How long answers took, from the last octet of the request to the last of the answer.
    pub took: Percentiles,
    /// How many were answered with each hundred of status codes; the first is how often nothing was answered.
    pub by_hundred: [u64; 6],
    /// OCSP answers that say a status.
    pub statuses: u64,
    /// OCSP answers that are an error of RFC 6960 §2.3.
    pub ocsp_errors: u64,
}

/// Requests to be spoilt, of each kind one or several.
#[derive(Clone)]
pub struct Originals {
    plain: Vec<Original>,
    api: Vec<Original>,
    known_serial: String,
    tls: Arc<ClientConfig>,
}

/// A request as a client sends it.
#[derive(Clone)]
struct Original {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Original {
    fn new(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        Self { head: head.into_bytes(), body: body.to_vec() }
    }

    fn get(path: &str, headers: &[(&str, &str)]) -> Self {
        Self::new(&format!("GET {path}"), headers, b"")
    }

    fn post(path: &str, media_type: &str, body: &[u8]) -> Self {
        Self::new(&format!("POST {path}"), &[("Content-Type", media_type)], body)
    }

    /// The octets on the wire, spoilt: mostly in one of its parts, so that the rest gets far; sometimes anywhere.
    fn spoilt(&self, chance: &mut Chance) -> Vec<u8> {
        let (mut head, mut body) = (self.head.clone(), self.body.clone());
        let whole = |head: &[u8], body: &[u8]| {
            let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            [head, length.as_bytes(), b"\r\n", body].concat()
        };
        match (chance.below(10), body.is_empty()) {
            (0, _) => {
                let mut octets = whole(&head, &body);
                spoil(&mut octets, chance);
                octets
            }
            (1..=3, _) | (_, true) => {
                spoil(&mut head, chance);
                whole(&head, &body)
            }
            _ => {
                spoil(&mut body, chance);
                whole(&head, &body)
            }
        }
    }
}

/// Up to four things go wrong.
fn spoil(octets: &mut Vec<u8>, chance: &mut Chance) {
    for _ in 0..=chance.below(4) {
        let place = chance.below(octets.len() + 1);
        let end = (place + 1 + chance.below(16)).min(octets.len());
        match chance.below(8) {
            0 | 1 if place < octets.len() => octets[place] ^= 1 << chance.below(8),
            2 if place < octets.len() => octets[place] = chance.number() as u8,
            3 if place < end => drop(octets.drain(place..end)),
            4 if place < end => {
                let copy = octets[place..end].to_vec();
                octets.splice(place..place, copy);
            }
            5 => octets.truncate(place),
            6 => {
                let long = vec![chance.number() as u8; chance.below(4_000)];
                octets.splice(place..place, long);
            }
            _ => {
                let awkward = *chance.pick(&AWKWARD);
                octets.splice(place..place, awkward.iter().copied());
            }
        }
    }
}

impl Originals {
    /// From a certificate that is issued for them.
    pub async fn of(stack: &Stack) -> anyhow::Result<Self> {
        let administrator = Site::administrator(stack)?;
        let public = stack.public()?;
        let (certificate, _) = stack.administrator()?.enrol("client", "original.example.com").await?;
        let csr = SubjectKey::generate()?.csr("asked.example.com", &["asked.example.com"])?;
        let tls = tls_config_of(&stack.root_pem()?, Some(&administrator), rustls::DEFAULT_VERSIONS)?;
        Ok(Self {
            plain: plain(&public, &Subject::of(&certificate)?).await?,
            api: api(&certificate.id, &serde_json::to_vec(&request("server", csr))?),
            known_serial: certificate.serial,
            tls: Arc::new(tls),
        })
    }

    /// Sends so many a second for some time, in turns to each of the replicas; fails at the first answer that must not be, and says
    /// what was sent. `allowed` is how long an answer may take.
    pub async fn send(
        self,
        replicas: &[&Stack],
        seed: u64,
        rate: u32,
        lasts: Duration,
        allowed: Duration,
    ) -> anyhow::Result<Seen> {
        let originals = Arc::new(self);
        let mut ticks = interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut open, mut seen, mut took) = (JoinSet::new(), Seen::default(), Vec::new());
        for number in 0..u64::from(rate) * lasts.as_secs() {
            ticks.tick().await;
            while open.len() >= OPEN {
                let answer = open.join_next().await.context("there are open ones")?;
                seen.take_in(answer.context("a caller panicked")??, &mut took);
            }
            let replica = replicas.get(number as usize % replicas.len().max(1)).context("no replica")?;
            let addresses = [replica.public_url().replace("http://", ""), replica.api_address().to_string()];
            let originals = Arc::clone(&originals);
            open.spawn(async move {
                let (spoilt, is_plain) = originals.nth(seed, number);
                let answer = originals.ask(&addresses, &spoilt, is_plain).await;
                let judged = answer.and_then(|(took, answer)| originals.judge(took, &answer, allowed));
                judged.with_context(|| format!("seed {seed:#x}, number {number}: {}", spoilt.escape_ascii()))
            });
            while let Some(answer) = open.try_join_next() {
                seen.take_in(answer.context("a caller panicked")??, &mut took);
            }
        }
        while let Some(answer) = open.join_next().await {
            seen.take_in(answer.context("a caller panicked")??, &mut took);
        }
        seen.took = Percentiles::of(took);
        Ok(seen)
    }

    /// The request of a number, and whether it goes to the public listener.
    fn nth(&self, seed: u64, number: u64) -> (Vec<u8>, bool) {
        let mut chance = Chance::new(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        let is_plain = chance.below(4) > 0;
        let original = chance.pick(if is_plain { &self.plain } else { &self.api }).clone();
        (original.spoilt(&mut chance), is_plain)
    }

    async fn ask(&self, addresses: &[String; 2], octets: &[u8], is_plain: bool) -> anyhow::Result<(Duration, Vec<u8>)> {
        let [public, api] = addresses;
        let exchange = async {
            if is_plain {
                return exchange(TcpStream::connect(public).await.context("no connection")?, octets).await;
            }
            let stream = TcpStream::connect(api).await.context("no connection")?;
            let name = ServerName::try_from("localhost").context("a name")?;
            let connector = TlsConnector::from(Arc::clone(&self.tls));
            exchange(connector.connect(name, stream).await.context("TLS handshake")?, octets).await
        };
        timeout(PATIENCE, exchange).await.with_context(|| format!("no end of it within {PATIENCE:?}"))?
    }

    fn judge(&self, took: Duration, answer: &[u8], allowed: Duration) -> anyhow::Result<Judged> {
        ensure!(took <= allowed, "it took {took:?}");
        let mut headers = [status_line(answer), None];
        // An interim answer goes before.
        if headers[0] == Some(100) {
            headers[1] = answer
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
                .and_then(|end| status_line(&answer[end + 4..]));
        }
        let status = headers[1].or(headers[0]);
        let Some(status) = status else {
            ensure!(answer.is_empty(), "no HTTP: {}", answer.escape_ascii());
            return Ok(Judged { took, hundred: 0, status: None });
        };
        ensure!(status < 500, "answered by {status}: {}", answer.escape_ascii());
        let hundred = usize::from(status / 100);
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        // Behind it there may be what was said of octets that followed the request; and nothing at all is said to HEAD.
        let body = length.and_then(|length| answer.get(end + 4..end + 4 + length)).filter(|body| !body.is_empty());
        let Some(body) = body.filter(|_| status == 200 && head.contains("application/ocsp-response")) else {
            return Ok(Judged { took, hundred, status: None });
        };
        match ParsedResponse::from_der(body).context("an answer that cannot be read")? {
            ParsedResponse::Failed(_) => Ok(Judged { took, hundred, status: Some(false) }),
            ParsedResponse::Answered(response) => {
                for single in response.responses() {
                    let serial = single.cert_id.serial().map(|serial| serial.to_string()).unwrap_or_default();
                    let is_wrong = single.status == CertStatus::Good && serial != self.known_serial;
                    ensure!(!is_wrong, "`good` of {serial}, which nobody issued");
                }
                Ok(Judged { took, hundred, status: Some(true) })
            }
        }
    }
}

struct Judged {
    took: Duration,
    hundred: usize,
    /// Of OCSP: whether it says a status.
    status: Option<bool>,
}

impl Seen {
    fn take_in(&mut self, judged: Judged, took: &mut Vec<Duration>) {
        took.push(judged.took);
        self.by_hundred[judged.hundred.min(5)] += 1;
        self.statuses += u64::from(judged.status == Some(true));
        self.ocsp_errors += u64::from(judged.status == Some(false));
    }
}

/// The status code of an answer that begins here.
fn status_line(answer: &[u8]) -> Option<u16> {
    let line = answer.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

/// Sends, ends the writing, and reads to the end: how long that took from there, and what came.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    octets: &[u8],
) -> anyhow::Result<(Duration, Vec<u8>)> {
    // The service may answer and close before it has read all; what it said is still to be read.
    let _ = stream.write_all(octets).await;
    let _ = stream.shutdown().await;
    let sent = Instant::now();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    Ok((sent.elapsed(), answer))
}

async fn plain(public: &Client, subject: &Subject) -> anyhow::Result<Vec<Original>> {
    let list = public.get("/crl/tls.crl").await?.expect(200)?;
    let (etag, modified) = (list.header("etag").to_owned(), list.header("last-modified").to_owned());
    let mut all = Vec::new();
    for hash in [CertIdHash::Sha1, CertIdHash::Sha256] {
        let asked = subject.ocsp_request(hash);
        let path = encode_get_path(&asked);
        all.push(Original::post("/ocsp", "application/ocsp-request", &asked));
        all.push(Original::get(&format!("/ocsp/{path}"), &[]));
        all.push(Original::get(&format!("/ocsp/{path}"), &[("If-None-Match", "\"0123\"")]));
        all.push(Original::get(&format!("/ocsp/{}", path.replace("%2F", "/").replace("%2B", "+")), &[]));
    }
    all.push(Original::post("/ocsp", "application/ocsp-request", &subject.ocsp_request_with_nonce(&[7; 32])));
    for path in ["/crl/tls.crl", "/crl/all.pem", "/ca/tls.pem", "/ca/tls.crt", "/roots.pem"] {
        all.push(Original::get(path, &[("If-None-Match", &etag), ("If-Modified-Since", &modified)]));
        all.push(Original::get(path, &[("Range", "bytes=10-99"), ("If-Range", &etag)]));
        all.push(Original::new(&format!("HEAD {path}"), &[("Accept-Encoding", "gzip"), ("Range", "bytes=-20")], b""));
    }
    all.extend(["/health", "/ready"].map(|path| Original::get(path, &[])));
    // What is refused as it stands proves nothing when it is refused spoilt.
    let asked = public.request(reqwest::Method::POST, "/ocsp").header("content-type", "application/ocsp-request");
    send(asked.body(subject.ocsp_request_with_nonce(&[7; 32]))).await?.expect(200)?;
    Ok(all)
}

fn api(id: &str, application: &[u8]) -> Vec<Original> {
    let json = "application/json";
    vec![
        Original::post("/v1/certificates", json, application),
        Original::get("/v1/certificates?limit=5&profile=client&status=valid", &[("Accept", json)]),
        Original::get(&format!("/v1/certificates/{id}"), &[]),
        Original::get(&format!("/v1/certificates/{id}/renewal-info"), &[]),
        Original::post("/v1/certificates/search", json, br#"{"subject":"CN=original.example.com"}"#),
        Original::post("/v1/certificates/tls:4f00aa/revoke", json, br#"{"reason":"superseded"}"#),
        Original::post(
            "/v1/enrolment-tokens",
            json,
            br#"{"profile":"server","subject_alternative_names":[{"type":"dns","value":"a.example"}],"uses":1}"#,
        ),
        Original::get("/v1/audit?limit=3", &[]),
        Original::get("/v1/authorities/tls", &[("If-None-Match", "\"x\"")]),
        Original::get("/v1/profiles/server", &[]),
        Original::get("/v1/gateways", &[]),
        Original::get("/v1/renewal-windows", &[]),
        Original::get("/v1/managed-certificates?limit=5", &[]),
        Original::post(
            "/v1/managed-certificates?dry_run=true",
            json,
            br#"{"name":"web","profile":"server","subject_alternative_names":["dns:a.example"],
                "target":{"kind":"directory","path":"/etc/web/tls"}}"#,
        ),
        Original::get("/openapi.json", &[]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_spoils_the_same_and_nearly_everything_is_spoilt() {
        let original = Original::post("/ocsp", "application/ocsp-request", b"\x30\x03\x02\x01\x01");
        let of = |seed| original.spoilt(&mut Chance::new(seed));
        let whole = [&original.head[..], b"Content-Length: 5\r\n\r\n", &original.body].concat();
        let same = (0..1_000).filter(|seed| of(*seed) == whole).count();
        assert!((0..1_000).all(|seed| of(seed) == of(seed)) && same < 50, "{same} of 1000 were left as they are");
    }

    #[test]
    fn the_status_is_read_from_the_line_alone() {
        assert_eq!(status_line(b"HTTP/1.1 404 Not Found\r\n"), Some(404));
        assert_eq!([&b""[..], b"HTTP/2 200", b"HTTP/1.1 20"].map(status_line), [None; 3]);
    }
}
