//! The protocol that most services of AWS speak: JSON 1.1 by POST, the operation named by `X-Amz-Target`, refusals with their
//! `__type`. What a service does is its own file's business; here are the wire, faults on demand and by chance, and what was asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response};
use serde_json::{Map, Value, json};

use crate::server::{Answer, Fault, Server};
use crate::weather::Weather;

/// A service behind the protocol.
pub trait JsonService: Send + 'static {
    /// What stands before the dot in `X-Amz-Target`, as in `TrentService`.
    const TARGET: &'static str;
    /// The name that requests are signed for, as in `kms`.
    const SIGNING_NAME: &'static str;
    /// The version of the protocol.
    const VERSION: &'static str = "1.1";
    /// The region that it is in.
    const REGION: &'static str = "sa-east-1";

    /// Does what is asked and answers; a refusal changes nothing.
    fn serve(&mut self, operation: &str, input: &Input) -> Result<Value, AwsError>;

    /// What everybody may fetch under this path, as from a bucket that the service writes to.
    fn published(&mut self, _path: &str) -> Option<Vec<u8>> {
        None
    }
}

/// A refusal as AWS words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsError {
    /// The HTTP status.
    pub status: u16,
    /// `__type`.
    pub code: &'static str,
    /// `message`.
    pub message: String,
}

impl AwsError {
    /// A refusal of the caller's doing (HTTP 400).
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    /// A value that no request may have.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }
}

/// What is asked: the members of the JSON object.
#[derive(Clone, Debug)]
pub struct Input(Map<String, Value>);

impl Input {
    /// From an object; anything else is refused.
    pub fn new(value: Value) -> Result<Self, AwsError> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(AwsError::new("SerializationException", "the request is no JSON object")),
        }
    }

    /// Everything that is asked.
    pub(crate) fn whole(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// A member as it is.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text that may be absent.
    pub fn text(&self, name: &str) -> Result<Option<&str>, AwsError> {
        self.member(name).map(|value| value.as_str().ok_or_else(|| wrong_type(name))).transpose()
    }

    /// A text that must be there.
    pub fn required_text(&self, name: &str) -> Result<&str, AwsError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// A number that may be absent.
    pub fn number(&self, name: &str) -> Result<Option<i64>, AwsError> {
        self.member(name).map(|value| value.as_i64().ok_or_else(|| wrong_type(name))).transpose()
    }

    /// A flag; `false` when it is absent.
    pub fn flag(&self, name: &str) -> Result<bool, AwsError> {
        Ok(self.member(name).map(|value| value.as_bool().ok_or_else(|| wrong_type(name))).transpose()?.unwrap_or(false))
    }

    /// Octets, which travel as base64; they must be there.
    pub fn octets(&self, name: &str) -> Result<Vec<u8>, AwsError> {
        use base64::Engine;

        base64::prelude::BASE64_STANDARD.decode(self.required_text(name)?).map_err(|_| wrong_type(name))
    }

    /// Texts by name; none when it is absent.
    pub fn texts(&self, name: &str) -> Result<BTreeMap<String, String>, AwsError> {
        let Some(value) = self.member(name) else { return Ok(BTreeMap::new()) };
        let members = value.as_object().ok_or_else(|| wrong_type(name))?;
        let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        members.iter().map(text).collect::<Option<_>>().ok_or_else(|| wrong_type(name))
    }

    /// Refuses members that the double does not know.
    pub(crate) fn check_names(&self, known: &[&str]) -> Result<(), AwsError> {
        // AWS passes over what it does not know; a double that did so would hide what it does not imitate.
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(AwsError::new("SerializationException", format!("the double knows no member `{name}`"))),
        }
    }
}

fn missing(name: &str) -> AwsError {
    AwsError::validation(format!(
        "1 validation error detected: Value at '{}' failed to satisfy constraint: Member must not be null",
        lower_first(name)
    ))
}

fn wrong_type(name: &str) -> AwsError {
    AwsError::new("SerializationException", format!("the member `{name}` is of another type"))
}

/// A name as AWS writes it in refusals: `keyId` for `KeyId`.
pub(crate) fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

/// One request, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The operation, as in `Sign`.
    pub operation: String,
    /// `None` for an answer that went out with 200; the code of a refusal, or `silence` or `lost`.
    pub failed: Option<String>,
}

/// Something done to the service between two requests.
type Intrusion<S> = Box<dyn FnOnce(&mut S) + Send>;

struct State<S> {
    service: S,
    /// By operation; `None` for a request that is served.
    faults: VecDeque<(String, Option<Fault>)>,
    intrusions: VecDeque<(String, Intrusion<S>)>,
    weather: Option<Weather>,
    latency: Duration,
    denied: BTreeSet<String>,
    credentials_expired: bool,
    asked: Vec<Asked>,
}

/// A service in memory. Dropping it ends its server.
pub struct JsonDouble<S> {
    server: Server,
    state: Arc<Mutex<State<S>>>,
}

impl<S: JsonService> JsonDouble<S> {
    /// A service that listens.
    pub(crate) fn of(service: S) -> anyhow::Result<Self> {
        let state = Arc::new(Mutex::new(State {
            service,
            faults: VecDeque::new(),
            intrusions: VecDeque::new(),
            weather: None,
            latency: Duration::ZERO,
            denied: BTreeSet::new(),
            credentials_expired: false,
            asked: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let server = Server::start(Arc::new(move |request| lock(&shared).answer(&request)))?;
        Ok(Self { server, state })
    }

    /// What `endpoint_url` is to be.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Asks the service directly: no fault, no permission, no entry among what was asked.
    pub fn ask(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        lock(&self.state).service.serve(operation, &Input::new(input)?)
    }

    /// Looks at the service, or changes it behind everybody's back.
    pub fn with<T>(&self, change: impl FnOnce(&mut S) -> T) -> T {
        change(&mut lock(&self.state).service)
    }

    /// How the next requests of an operation fail, one after the other.
    pub fn fail(&self, operation: &str, faults: impl IntoIterator<Item = Fault>) {
        self.fail_later(operation, 0, faults);
    }

    /// The same, after so many that are served.
    pub fn fail_later(&self, operation: &str, served: usize, faults: impl IntoIterator<Item = Fault>) {
        let before = std::iter::repeat_n(None, served);
        let all = before.chain(faults.into_iter().map(Some)).map(|fault| (operation.to_owned(), fault));
        lock(&self.state).faults.extend(all);
    }

    /// Takes back all faults that nothing has met yet.
    pub fn mend(&self) {
        lock(&self.state).faults.clear();
    }

    /// Changes the service just before the next request of an operation is judged: between a look and what relies on it.
    pub fn intrude(&self, operation: &str, change: impl FnOnce(&mut S) + Send + 'static) {
        lock(&self.state).intrusions.push_back((operation.to_owned(), Box::new(change)));
    }

    /// Lets requests fail by chance from now on, the same ones for the same seed; `None` ends that.
    pub fn set_weather(&self, weather: Option<Weather>) {
        lock(&self.state).weather = weather;
    }

    /// How long each answer takes from now on.
    pub fn set_latency(&self, latency: Duration) {
        lock(&self.state).latency = latency;
    }

    /// Takes the permission for an operation away.
    pub fn deny(&self, operation: &str) {
        lock(&self.state).denied.insert(operation.to_owned());
    }

    /// Gives it back.
    pub fn allow(&self, operation: &str) {
        lock(&self.state).denied.remove(operation);
    }

    /// Whether everybody's session has ended.
    pub fn set_credentials_expired(&self, expired: bool) {
        lock(&self.state).credentials_expired = expired;
    }

    /// Every request so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.state).asked.clone()
    }

    /// How many requests of an operation there were, and how many of them were answered with what they wanted.
    pub fn count(&self, operation: &str) -> (usize, usize) {
        let state = lock(&self.state);
        let of = || state.asked.iter().filter(|asked| asked.operation == operation);
        (of().count(), of().filter(|asked| asked.failed.is_none()).count())
    }
}

impl<S: JsonService> State<S> {
    fn answer(&mut self, request: &Request<Bytes>) -> Answer {
        if *request.method() == Method::GET {
            let octets = self.service.published(request.uri().path());
            return Answer::Respond(publish(request, octets), self.latency);
        }
        let target = header(request, "x-amz-target").and_then(|target| target.split_once('.'));
        let operation = match target {
            Some((service, operation)) if service == S::TARGET && *request.method() == Method::POST => {
                operation.to_owned()
            }
            _ => String::new(),
        };
        let fault = self.fault_of(&operation);
        let outcome = match fault {
            Some(Fault::Silence) => return self.note(operation, "silence", Answer::Silence),
            Some(Fault::SilenceAfterwards) => {
                let _done = self.serve(&operation, request);
                return self.note(operation, "silence", Answer::Silence);
            }
            Some(Fault::Refuse(status, code)) => Err(said_by_the_double(status, code)),
            Some(Fault::RefuseAfterwards(status, code)) => {
                let _done = self.serve(&operation, request);
                Err(said_by_the_double(status, code))
            }
            Some(Fault::LoseAnswer) => {
                let _done = self.serve(&operation, request);
                return self.note(operation, "lost", Answer::Close);
            }
            None => self.serve(&operation, request),
        };
        let failed = outcome.as_ref().err().map(|error| error.code.to_owned());
        self.asked.push(Asked { operation, failed });
        // AWS tells requests apart by a UUID.
        let id = format!("d0b1e000-0000-4000-8000-{:012x}", self.asked.len());
        Answer::Respond(respond(&id, outcome), self.latency)
    }

    fn note(&mut self, operation: String, failed: &str, answer: Answer) -> Answer {
        self.asked.push(Asked { operation, failed: Some(failed.to_owned()) });
        answer
    }

    fn fault_of(&mut self, operation: &str) -> Option<Fault> {
        let at = self.faults.iter().position(|(on, _)| on == operation);
        match at.and_then(|at| self.faults.remove(at)) {
            Some((_, fault)) => fault,
            None => self.weather.as_mut().and_then(Weather::next),
        }
    }

    fn serve(&mut self, operation: &str, request: &Request<Bytes>) -> Result<Value, AwsError> {
        self.check_caller(operation, request)?;
        if operation.is_empty() {
            return Err(AwsError::new("UnknownOperationException", "no such target"));
        }
        let content_type = format!("application/x-amz-json-{}", S::VERSION);
        if header(request, "content-type") != Some(content_type.as_str()) {
            return Err(AwsError::new("UnknownOperationException", format!("not {content_type}")));
        }
        let input = serde_json::from_slice(request.body())
            .map_err(|error| AwsError::new("SerializationException", error.to_string()))?;
        let input = Input::new(input)?;
        if let Some(at) = self.intrusions.iter().position(|(on, _)| on == operation)
            && let Some((_, change)) = self.intrusions.remove(at)
        {
            change(&mut self.service);
        }
        self.service.serve(operation, &input)
    }

    /// Who asks, and whether they may: the scope of the signature, the session, the permission. The signature itself is not
    /// verified: the double knows no secret.
    fn check_caller(&self, operation: &str, request: &Request<Bytes>) -> Result<(), AwsError> {
        let signature = header(request, "authorization").and_then(|value| value.strip_prefix("AWS4-HMAC-SHA256 "));
        let Some(credential) = signature.and_then(|value| value.strip_prefix("Credential=")) else {
            return Err(AwsError::new("MissingAuthenticationTokenException", "Missing Authentication Token"));
        };
        let scope: Vec<&str> = credential.split(',').next().unwrap_or_default().split('/').collect();
        let [_key, _date, region, service, "aws4_request"] = scope[..] else {
            return Err(AwsError::new("IncompleteSignatureException", "Credential must have 5 parts"));
        };
        if region != S::REGION {
            return Err(AwsError::new(
                "InvalidSignatureException",
                format!("Credential should be scoped to a valid region, not '{region}'."),
            ));
        }
        if service != S::SIGNING_NAME {
            return Err(AwsError::new(
                "InvalidSignatureException",
                format!("Credential should be scoped to correct service: '{}'.", S::SIGNING_NAME),
            ));
        }
        if self.credentials_expired {
            return Err(AwsError::new(
                "ExpiredTokenException",
                "The security token included in the request is expired",
            ));
        }
        if self.denied.contains(operation) {
            return Err(AwsError::new(
                "AccessDeniedException",
                format!(
                    "User: arn:aws:sts::111122223333:assumed-role/ca/service is not authorized to perform: \
                     {}:{operation} because no identity-based policy allows the {}:{operation} action",
                    S::SIGNING_NAME,
                    S::SIGNING_NAME
                ),
            ));
        }
        Ok(())
    }
}

fn said_by_the_double(status: u16, code: &'static str) -> AwsError {
    let message = if code == "ThrottlingException" { "Rate exceeded" } else { "Said by the double" };
    AwsError { status, code, message: message.to_owned() }
}

/// Octets under a tag of their own, or 404.
fn publish(request: &Request<Bytes>, octets: Option<Vec<u8>>) -> Response<Full<Bytes>> {
    let Some(octets) = octets else {
        let mut nothing = Response::new(Full::new(Bytes::new()));
        *nothing.status_mut() = hyper::StatusCode::NOT_FOUND;
        return nothing;
    };
    let tag = format!("\"{}\"", hex::encode(digest(&SHA256, &octets)));
    let is_seen = header(request, "if-none-match") == Some(tag.as_str());
    let (status, body) = if is_seen { (304, Bytes::new()) } else { (200, Bytes::from(octets)) };
    Response::builder()
        .status(status)
        .header("etag", tag)
        .body(Full::new(body))
        .expect("a status and a header that are ones")
}

fn respond(id: &str, outcome: Result<Value, AwsError>) -> Response<Full<Bytes>> {
    let (status, body) = match outcome {
        Ok(body) => (200, body),
        Err(error) => (error.status, json!({"__type": error.code, "message": error.message})),
    };
    // Operations that tell nothing answer with nothing.
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    Response::builder()
        .status(status)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amzn-requestid", id)
        .body(Full::new(body))
        .expect("a status and headers that are ones")
}

fn header<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

fn lock<S>(state: &Mutex<State<S>>) -> MutexGuard<'_, State<S>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
