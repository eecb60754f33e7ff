//! Amazon S3: HEAD, GET and PUT of objects, with conditions, checksums, metadata and encryption by KMS.
//!
//! Stricter than an emulator: a body that is not what its headers say is refused, as S3 does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response};

use crate::server::{Answer, Fault, Server};

/// What is asked of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// What is said of it.
    Head,
    /// All of it.
    Get,
    /// To put it there.
    Put,
}

/// An object, and what is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredObject {
    /// Its octets.
    pub octets: Vec<u8>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `x-amz-meta-…`, by the rest of the name.
    pub metadata: BTreeMap<String, String>,
    /// The KMS key that encrypts it.
    pub kms_key: Option<String>,
    /// `x-amz-checksum-sha256`.
    pub checksum_sha256: Option<String>,
}

/// Something done to the bucket between two requests.
type Intrusion = Box<dyn FnOnce(&mut Objects) + Send>;

/// The objects of a bucket by key, with their entity tags.
type Objects = BTreeMap<String, (String, StoredObject)>;

#[derive(Default)]
struct State {
    objects: Objects,
    tags: u64,
    faults: VecDeque<(Operation, Fault)>,
    intrusions: VecDeque<Intrusion>,
    requests: Vec<(Operation, String)>,
}

/// A bucket in memory. Dropping it ends its server.
pub struct S3Double {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl S3Double {
    /// The name of its one bucket.
    pub const BUCKET: &str = "pki-example-org";

    /// An empty bucket.
    pub fn start() -> anyhow::Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Server::start(Arc::new(move |request| lock(&shared).answer(&request)))?;
        Ok(Self { server, state })
    }

    /// What `endpoint_url` is to be.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// An object in place.
    pub fn object(&self, key: &str) -> Option<StoredObject> {
        lock(&self.state).objects.get(key).map(|(_, object)| object.clone())
    }

    /// Puts an object in place behind the back of whoever is tested.
    pub fn plant(&self, key: &str, object: StoredObject) {
        lock(&self.state).place(key, object);
    }

    /// Takes an object away, likewise.
    pub fn remove(&self, key: &str) {
        lock(&self.state).objects.remove(key);
    }

    /// How the next requests of a kind fail, one after the other.
    pub fn fail(&self, operation: Operation, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state).faults.extend(faults.into_iter().map(|fault| (operation, fault)));
    }

    /// Puts an object in place just before the next PUT is judged, as another process would between look and PUT.
    pub fn intrude(&self, key: &str, object: StoredObject) {
        let key = key.to_owned();
        lock(&self.state).intrusions.push_back(Box::new(move |objects| {
            let tag = format!("\"of-another-{}\"", object.octets.len());
            objects.insert(key, (tag, object));
        }));
    }

    /// Takes an object away just before the next PUT is judged.
    pub fn intrude_by_removing(&self, key: &str) {
        let key = key.to_owned();
        lock(&self.state).intrusions.push_back(Box::new(move |objects| {
            objects.remove(&key);
        }));
    }

    /// Every request so far, and the key that it was about.
    pub fn requests(&self) -> Vec<(Operation, String)> {
        lock(&self.state).requests.clone()
    }
}

impl State {
    fn place(&mut self, key: &str, object: StoredObject) -> String {
        self.tags += 1;
        // Not the MD5: with KMS it is none either.
        let tag = format!("\"{:032x}\"", self.tags);
        self.objects.insert(key.to_owned(), (tag.clone(), object));
        tag
    }

    fn answer(&mut self, request: &Request<Bytes>) -> Answer {
        let operation = match *request.method() {
            Method::HEAD => Operation::Head,
            Method::GET => Operation::Get,
            Method::PUT => Operation::Put,
            _ => return Answer::Respond(refusal(501, "NotImplemented"), Duration::ZERO),
        };
        let path = request.uri().path().trim_start_matches('/');
        let Some((S3Double::BUCKET, key)) = path.split_once('/') else {
            return Answer::Respond(refusal(404, "NoSuchBucket"), Duration::ZERO);
        };
        self.requests.push((operation, key.to_owned()));
        let fault = self.faults.iter().position(|(on, _)| *on == operation);
        match fault.and_then(|at| self.faults.remove(at)).map(|(_, fault)| fault) {
            None => Answer::Respond(self.serve(operation, key, request), Duration::ZERO),
            Some(Fault::Silence) => Answer::Silence,
            Some(Fault::SilenceAfterwards) => {
                self.serve(operation, key, request);
                Answer::Silence
            }
            Some(Fault::Refuse(status, code)) => Answer::Respond(refusal(status, code), Duration::ZERO),
            Some(Fault::RefuseAfterwards(status, code)) => {
                self.serve(operation, key, request);
                Answer::Respond(refusal(status, code), Duration::ZERO)
            }
            Some(Fault::LoseAnswer) => {
                self.serve(operation, key, request);
                Answer::Close
            }
        }
    }

    fn serve(&mut self, operation: Operation, key: &str, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        if !header(request, "authorization").is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 Credential=")) {
            return refusal(403, "AccessDenied");
        }
        match (operation, self.objects.get(key)) {
            (Operation::Put, _) => self.put(key, request),
            (_, None) => refusal(404, "NoSuchKey"),
            (operation, Some((tag, object))) => found(operation, tag, object),
        }
    }

    fn put(&mut self, key: &str, request: &Request<Bytes>) -> Response<Full<Bytes>> {
        if let Some(intrusion) = self.intrusions.pop_front() {
            intrusion(&mut self.objects);
        }
        let in_place = self.objects.get(key).map(|(tag, _)| tag.as_str());
        match (header(request, "if-match"), header(request, "if-none-match"), in_place) {
            (Some(_), _, None) => return refusal(404, "NoSuchKey"),
            (Some(wanted), _, Some(tag)) if wanted != tag => return refusal(412, "PreconditionFailed"),
            (_, Some("*"), Some(_)) => return refusal(412, "PreconditionFailed"),
            _ => {}
        }
        let octets = request.body().to_vec();
        let hash = digest(&SHA256, &octets);
        if header(request, "content-encoding").is_some_and(|encoding| encoding.contains("aws-chunked")) {
            return refusal(501, "NotImplemented");
        }
        if header(request, "content-length").and_then(|length| length.parse().ok()) != Some(octets.len()) {
            return refusal(411, "MissingContentLength");
        }
        // S3 takes what is not signed over HTTPS; nobody here is to rely on that.
        if header(request, "x-amz-content-sha256") != Some(&hex::encode(hash)) {
            return refusal(400, "XAmzContentSHA256Mismatch");
        }
        let checksum_sha256 = header(request, "x-amz-checksum-sha256").map(str::to_owned);
        if checksum_sha256.as_ref().is_some_and(|checksum| *checksum != BASE64_STANDARD.encode(hash)) {
            return refusal(400, "BadDigest");
        }
        let by_kms = header(request, "x-amz-server-side-encryption") == Some("aws:kms");
        let text = |name| header(request, name).map(str::to_owned);
        let metadata = request.headers().iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-amz-meta-")?;
            Some((name.to_owned(), value.to_str().ok()?.to_owned()))
        });
        let object = StoredObject {
            octets,
            content_type: text("content-type"),
            cache_control: text("cache-control"),
            metadata: metadata.collect(),
            kms_key: text("x-amz-server-side-encryption-aws-kms-key-id").filter(|_| by_kms),
            checksum_sha256,
        };
        let tag = self.place(key, object);
        respond(200, &[("etag", &tag)], Bytes::new())
    }
}

fn found(operation: Operation, tag: &str, object: &StoredObject) -> Response<Full<Bytes>> {
    let mut headers = vec![("etag".to_owned(), tag.to_owned())];
    let mut say = |name: &str, value: &Option<String>| {
        headers.extend(value.as_ref().map(|value| (name.to_owned(), value.clone())));
    };
    say("content-type", &object.content_type);
    say("cache-control", &object.cache_control);
    say("x-amz-checksum-sha256", &object.checksum_sha256);
    headers.extend(object.metadata.iter().map(|(name, value)| (format!("x-amz-meta-{name}"), value.clone())));
    headers.push(("content-length".to_owned(), object.octets.len().to_string()));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = if operation == Operation::Get { object.octets.clone() } else { Vec::new() };
    respond(200, &headers, body.into())
}

fn refusal(status: u16, code: &str) -> Response<Full<Bytes>> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>Said by the double of \
         S3</Message><RequestId>DOUBLE0123456789</RequestId></Error>"
    );
    respond(status, &[("content-type", "application/xml"), ("x-amz-request-id", "DOUBLE0123456789")], text.into())
}

fn respond(status: u16, headers: &[(&str, &str)], body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::new(body)).expect("headers that were headers before")
}

fn header<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
