//! OCSP on loopback: the service is asked, and while it is away what it said before is said again until it ends, so that
//! `ssl_ocsp` survives an outage. Answers are kept in memory and on disk, and believed only when they are proved.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ca_core::certificate::Certificate;
use ca_core::crl::CLOCK_SKEW;
use ca_core::hash::sha256;
use ca_core::ocsp::request::{self, MAX_REQUEST_OCTETS};
use ca_core::ocsp::{
    CertId, CertStatus, IssuerIdentity, ParsedResponse, ResponderError, decode_get_path, error_response,
};
use ca_core::time::Timestamp;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::exit::Failure;
use crate::fetch::Fetcher;
use crate::files::write_public;
use crate::printer::Printer;

/// Where to listen, and whom to ask.
#[derive(Clone, Debug)]
pub(super) struct OcspSettings {
    /// On loopback: whoever reaches it is answered.
    pub(super) listen: SocketAddr,
    /// The service's responder.
    pub(super) url: String,
    /// The authorities whose responders are believed.
    pub(super) ca_file: PathBuf,
    /// Where answers are kept.
    pub(super) folder: PathBuf,
}

/// Answers that are kept, and who is asked for new ones.
struct Responder {
    settings: OcspSettings,
    fetcher: Fetcher,
    kept: Mutex<BTreeMap<Key, Kept>>,
    printer: Printer,
    /// Whether it was said that answers cannot be written.
    is_told: AtomicBool,
}

/// SHA-256 over the CertID.
type Key = [u8; 32];

#[derive(Clone)]
struct Kept {
    der: Bytes,
    this_update: Timestamp,
    next_update: Timestamp,
}

/// Listens from now on; answers until the process ends.
pub(super) async fn listen(settings: OcspSettings, fetcher: Fetcher, printer: &Printer) -> Result<(), Failure> {
    let listen = settings.listen;
    let failed = |error: std::io::Error| Failure::Failed(format!("{listen}: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    fs::create_dir_all(&settings.folder).map_err(|error| Failure::of_file(&settings.folder, error))?;
    printer.note(format!("gateway: OCSP is answered at http://{}/ocsp", listener.local_addr().map_err(failed)?));
    let responder = Arc::new(Responder {
        settings,
        fetcher,
        kept: Mutex::default(),
        printer: printer.clone(),
        is_told: AtomicBool::new(false),
    });
    responder.drop_ended(super::super::now());
    tokio::spawn(accept(listener, responder));
    Ok(())
}

async fn accept(listener: TcpListener, responder: Arc<Responder>) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Descriptors have run out, perhaps; they come back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let responder = Arc::clone(&responder);
        tokio::spawn(async move {
            let service = service_fn(|request| respond(Arc::clone(&responder), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever went away needs no answer.
            let _ = connection.await;
            drop(permit);
        });
    }
}

async fn respond(responder: Arc<Responder>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let der = match *request.method() {
        Method::GET => request.uri().path().strip_prefix("/ocsp").map(|path| decode_get_path(path).unwrap_or_default()),
        Method::POST if request.uri().path().trim_end_matches('/') == "/ocsp" => {
            let body = Limited::new(request.into_body(), MAX_REQUEST_OCTETS).collect();
            match tokio::time::timeout(PATIENCE, body).await {
                Ok(Ok(body)) => Some(body.to_bytes().to_vec()),
                // An empty request is malformed, which is what it is answered.
                _ => Some(Vec::new()),
            }
        }
        _ => None,
    };
    let (status, body) = match der {
        Some(der) => (StatusCode::OK, responder.answer(der, super::super::now()).await),
        None => (StatusCode::NOT_FOUND, Bytes::new()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/ocsp-response"));
    Ok(response)
}

impl Responder {
    /// The DER of the answer to the DER of a request.
    async fn answer(&self, octets: Vec<u8>, now: Timestamp) -> Bytes {
        let error = |error| Bytes::from_static(error_response(error));
        let Ok(asked) = request::parse(&octets) else { return error(ResponderError::MalformedRequest) };
        let Some(issuer) = self.issuer(&asked.certificates[0]) else { return error(ResponderError::Unauthorized) };
        let live = self.ask(octets).await;
        let [id] = &asked.certificates[..] else {
            // Nothing is kept of what asks for many: the client itself proves what it gets.
            return live.unwrap_or_else(|| error(ResponderError::TryLater));
        };
        let fresh = live.clone().and_then(|der| proved(&der, id, &issuer, now));
        if asked.nonce.is_some() {
            // An answer to this request alone.
            return fresh.map_or_else(|| error(ResponderError::TryLater), |fresh| fresh.der);
        }
        match self.keep(id, &issuer, fresh, now) {
            Some(kept) => kept.der,
            None => error(ResponderError::TryLater),
        }
    }

    /// The authority of the gateway that a CertID names.
    fn issuer(&self, id: &CertId) -> Option<Certificate> {
        let text = fs::read_to_string(&self.settings.ca_file).ok()?;
        let authorities = Certificate::all_from_pem(&text).ok()?;
        authorities.into_iter().find(|authority| identity(authority).matches(id))
    }

    /// What the service answers, if it does.
    async fn ask(&self, request: Vec<u8>) -> Option<Bytes> {
        let asked = self.fetcher.post_ocsp(&self.settings.url, request, LARGEST_ANSWER);
        let answered = tokio::time::timeout(PATIENCE, asked).await;
        answered.ok()?.ok().map(Bytes::from)
    }

    /// Writes an answer, for after a restart. One that cannot be written is in memory all the same; that is said once.
    fn write(&self, key: &Key, der: &[u8]) {
        match write_public(&self.file(key), der) {
            Ok(()) => self.is_told.store(false, Ordering::Relaxed),
            Err(error) if !self.is_told.swap(true, Ordering::Relaxed) => self.printer.warning(format!(
                "gateway: an OCSP answer cannot be written, and will be missing after a restart: {error}; make room in {}",
                self.settings.folder.display()
            )),
            Err(_) => {}
        }
    }

    /// Keeps a new answer, and gives the newest that is known and has not ended.
    fn keep(&self, id: &CertId, issuer: &Certificate, fresh: Option<Kept>, now: Timestamp) -> Option<Kept> {
        let key = sha256(id.as_der());
        let before = self.kept().get(&key).cloned().or_else(|| self.read(&key, id, issuer, now));
        let before = before.filter(|before| before.next_update >= now);
        let newest = match (fresh, before) {
            (Some(fresh), Some(before)) if before.this_update > fresh.this_update => before,
            (Some(fresh), before) => {
                if before.is_none_or(|before| before.der != fresh.der) {
                    self.write(&key, &fresh.der);
                }
                fresh
            }
            (None, Some(before)) => before,
            (None, None) => return None,
        };
        let mut kept = self.kept();
        if kept.len() >= MOST_KEPT {
            // They are on disk still.
            kept.clear();
        }
        kept.insert(key, newest.clone());
        Some(newest)
    }

    fn read(&self, key: &Key, id: &CertId, issuer: &Certificate, now: Timestamp) -> Option<Kept> {
        let der = Bytes::from(fs::read(self.file(key)).ok()?);
        proved(&der, id, issuer, now)
    }

    fn file(&self, key: &Key) -> PathBuf {
        self.settings.folder.join(format!("{}.der", hex::encode(key)))
    }

    /// Removes answers on disk that have ended.
    fn drop_ended(&self, now: Timestamp) {
        let Ok(entries) = fs::read_dir(&self.settings.folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "der") && has_ended(&path, now) {
                // One that stays is judged again before it is used.
                let _ = fs::remove_file(path);
            }
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer about one certificate, if the issuer or whom it delegated signed it, it has begun and it has not ended (RFC 6960
/// §3.2). One that does not say when it ends is not kept, nor is `unknown`: it may be issued the next moment.
fn proved(der: &Bytes, id: &CertId, issuer: &Certificate, now: Timestamp) -> Option<Kept> {
    let Ok(ParsedResponse::Answered(response)) = ParsedResponse::from_der(der) else { return None };
    response.verify(issuer.subject(), issuer.public_key(), now).ok()?;
    let single = response.find(&identity(issuer), &id.serial()?)?;
    let next_update = single.next_update?;
    let is_current = single.this_update <= now.plus(CLOCK_SKEW) && next_update >= now;
    let is_known = single.status != CertStatus::Unknown;
    (is_current && is_known).then(|| Kept { der: der.clone(), this_update: single.this_update, next_update })
}

fn has_ended(path: &Path, now: Timestamp) -> bool {
    let parsed = fs::read(path).ok().and_then(|der| ParsedResponse::from_der(&der).ok());
    match parsed {
        Some(ParsedResponse::Answered(response)) => {
            response.responses().iter().all(|single| single.next_update.is_none_or(|next| next < now))
        }
        _ => true,
    }
}

fn identity(issuer: &Certificate) -> IssuerIdentity {
    IssuerIdentity::new(issuer.subject().as_der(), issuer.public_key().subject_public_key())
}

/// nginx waits for 60 s; a gateway's clients do not.
const PATIENCE: Duration = Duration::from_secs(2);
/// An answer about one certificate has some 2,000 octets, about a hundred some 20,000.
const LARGEST_ANSWER: usize = 256 << 10;
const MOST_CONNECTIONS: usize = 256;
/// Some 20 MB.
const MOST_KEPT: usize = 10_000;
