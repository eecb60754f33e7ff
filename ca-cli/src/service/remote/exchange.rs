//! One request and its answer: what may be sent again, how much is read, and what every failure means.

use std::time::Duration;

use ca_api::certificate::IDEMPOTENCY_KEY;
use ca_api::problem::{Problem, ProblemType};
use ca_core::certificate::Certificate;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, redirect};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::Credential;
use crate::exit::{Failure, is_temporary};
use crate::fetch::{not_answered, read_body};
use crate::tls;

/// The longest answer of the API that is read, in octets: a page of 1,000 certificates has some 5 MB.
const LARGEST_ANSWER: usize = 64 << 20;
/// The longest file of revocation lists, in octets: a million entries have some 40 MB, a third more in PEM.
pub(super) const LARGEST_LIST: usize = 256 << 20;
/// How often a request that may be repeated is sent.
const ATTEMPTS: u32 = 3;
/// A server that wants to be left alone longer is left alone.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to one server.
pub(super) struct Exchange {
    base: Url,
    client: Client,
    authorization: Option<HeaderValue>,
}

/// Whether a request may be sent again when its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeatable {
    Yes,
    No,
}

impl Exchange {
    /// `base` has no slash at its end.
    pub(super) fn new(
        base: &str,
        trusted: &[Certificate],
        credential: Credential,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let base: Url = base.parse().map_err(|_| Failure::Usage(format!("`{base}` is not a URL")))?;
        let identity = match &credential {
            Credential::Certificate(files) => Some(files),
            Credential::None | Credential::Token(_) => None,
        };
        let client = Client::builder()
            .tls_backend_preconfigured(tls::client(trusted, identity)?)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            // The API has no redirects; one would carry credentials elsewhere.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("ca-cli/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Failure::failed)?;
        let authorization = match credential {
            Credential::Token(token) => Some(bearer(token.expose_secret())?),
            Credential::None | Credential::Certificate(_) => None,
        };
        Ok(Self { base, client, authorization })
    }

    /// `GET`, with `query` as the parameters.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Failure> {
        let mut url = self.api(path)?;
        append_query(&mut url, query)?;
        self.json(self.client.request(Method::GET, url), Repeatable::Yes).await
    }

    /// `POST` of something that changes the record or not, and is not repeated.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.json(self.client.request(Method::POST, self.api(path)?).json(body), Repeatable::No).await
    }

    /// `POST` of something that happens once however often it is sent, thanks to the idempotency key.
    pub(super) async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        idempotency_key: Option<&str>,
    ) -> Result<T, Failure> {
        let request = self.client.request(Method::POST, self.api(path)?).json(body);
        match idempotency_key {
            Some(key) => self.json(request.header(IDEMPOTENCY_KEY, key), Repeatable::Yes).await,
            None => self.json(request, Repeatable::No).await,
        }
    }

    /// A request with parameters and a body, of something that comes to the same however often it is sent.
    pub(super) async fn send_with_query<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &impl Serialize,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let mut url = self.api(path)?;
        append_query(&mut url, query)?;
        self.json(self.client.request(method, url).json(body), Repeatable::Yes).await
    }

    /// `POST` of something that may be asked again later, but not in the same words.
    pub(super) async fn post_unrepeated<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        idempotency_key: &str,
    ) -> Result<T, Failure> {
        let request = self.client.request(Method::POST, self.api(path)?).json(body);
        self.json(request.header(IDEMPOTENCY_KEY, idempotency_key), Repeatable::No).await
    }

    /// `GET`, and after how many seconds to ask again (`Retry-After`).
    pub(super) async fn get_and_when_again<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(T, Option<u64>), Failure> {
        let request = self.client.request(Method::GET, self.api(path)?).header(ACCEPT, "application/json");
        let response = self.send(request, Repeatable::Yes).await?;
        let again = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = self.body(response, LARGEST_ANSWER).await?;
        let answer = serde_json::from_slice(&body);
        answer.map(|answer| (answer, again)).map_err(|error| self.not_understood(&error))
    }

    /// `POST` without a body.
    pub(super) async fn post_nothing<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.json(self.client.request(Method::POST, self.api(path)?), Repeatable::No).await
    }

    /// `PUT`, which comes to the same however often it is sent.
    pub(super) async fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.json(self.client.request(Method::PUT, self.api(path)?).json(body), Repeatable::Yes).await
    }

    /// `DELETE`.
    pub(super) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(self.client.request(Method::DELETE, self.api(path)?), Repeatable::No).await.map(|_| ())
    }

    /// `GET` of what anyone may have, of at most `limit` octets.
    pub(super) async fn get_public(&self, path: &str, limit: usize) -> Result<Vec<u8>, Failure> {
        let response = self.send(self.client.request(Method::GET, self.url(path)), Repeatable::Yes).await?;
        self.body(response, limit).await
    }

    /// `POST` of an OCSP request (RFC 6960 appendix A.1).
    pub(super) async fn post_ocsp(&self, path: &str, request: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let request = self
            .client
            .request(Method::POST, self.url(path))
            .header(CONTENT_TYPE, "application/ocsp-request")
            .header(ACCEPT, "application/ocsp-response")
            .body(request);
        let response = self.send(request, Repeatable::Yes).await?;
        self.body(response, LARGEST_ANSWER).await
    }

    /// The URL of a path of the API, which is served over TLS alone.
    fn api(&self, path: &str) -> Result<Url, Failure> {
        if self.base.scheme() != "https" {
            return Err(Failure::Usage(format!(
                "{} is a public listener, and the API speaks https only; name it with --url, CA_URL or in the configuration \
                 file, as in https://{}:8443",
                self.base,
                self.base.host_str().unwrap_or("HOST")
            )));
        }
        Ok(self.url(path))
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder, repeatable: Repeatable) -> Result<T, Failure> {
        let response = self.send(request.header(ACCEPT, "application/json"), repeatable).await?;
        // Secrets of new tokens come this way.
        let body = Zeroizing::new(self.body(response, LARGEST_ANSWER).await?);
        serde_json::from_slice(&body).map_err(|error| self.not_understood(&error))
    }

    fn not_understood(&self, error: &serde_json::Error) -> Failure {
        let base = &self.base;
        Failure::Failed(format!("{base} answered something that is not understood: {error}; is it a ca-server?"))
    }

    /// Sends a request, again where that is safe and may help.
    async fn send(&self, request: RequestBuilder, repeatable: Repeatable) -> Result<Response, Failure> {
        let mut request = request;
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        for attempt in 1.. {
            let last = attempt >= ATTEMPTS || repeatable == Repeatable::No;
            // Bodies are in memory, so every request can be copied.
            let copy = request.try_clone().ok_or_else(|| Failure::failed("the request cannot be sent twice"))?;
            let failure = match copy.send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => self.refusal(response).await,
                // Nobody listens: that changes in minutes, not in a second.
                Err(error) if error.is_connect() => return Err(not_answered(self.base.as_str(), &error)),
                Err(error) => not_answered(self.base.as_str(), &error),
            };
            match wait_before_repeating(&failure, attempt).filter(|_| !last) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failure),
            }
        }
        // `1..` does not end.
        Err(Failure::failed("the request was not sent"))
    }

    async fn body(&self, response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
        read_body(response, limit, self.base.as_str()).await
    }

    /// What an answer that is no success says.
    async fn refusal(&self, response: Response) -> Failure {
        let status = response.status();
        let body = match self.body(response, LARGEST_ANSWER).await {
            Ok(body) => body,
            Err(failure) => return failure,
        };
        if let Ok(problem) = serde_json::from_slice::<Problem>(&body) {
            return Failure::Refused(Box::new(problem));
        }
        let what = format!("{} answered {status}, and no problem document says why", self.base);
        match status {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Failure::Unreachable { what: self.base.to_string(), why: format!("a gateway answered {status}") }
            }
            _ => Failure::Failed(format!("{what}; is it a ca-server?")),
        }
    }
}

/// How long to wait before the same request may succeed; `None` when it will not.
fn wait_before_repeating(failure: &Failure, attempt: u32) -> Option<Duration> {
    let short = Duration::from_millis(200) * attempt;
    match failure {
        Failure::Unreachable { .. } => Some(short),
        Failure::Refused(problem) if is_temporary(problem) || problem.kind == ProblemType::RequestInProgress => {
            let wait = problem.retry_after.map_or(short, |seconds| Duration::from_secs(seconds.into()));
            (wait <= LONGEST_WAIT).then_some(wait)
        }
        _ => None,
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Failure::Usage("the enrolment token is not one: it begins with cet_".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Appends the fields of a struct as query parameters.
fn append_query(url: &mut Url, query: &impl Serialize) -> Result<(), Failure> {
    let value = serde_json::to_value(query).map_err(Failure::failed)?;
    if let Some(fields) = value.as_object().filter(|fields| !fields.is_empty()) {
        let mut pairs = url.query_pairs_mut();
        for (name, value) in fields {
            match value {
                serde_json::Value::String(text) => pairs.append_pair(name, text),
                other => pairs.append_pair(name, &other.to_string()),
            };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(base: &str) -> Exchange {
        Exchange::new(base, &[], Credential::None, Duration::from_secs(1)).expect("ready")
    }

    #[test]
    fn queries_carry_what_is_set_and_are_encoded() {
        let filter = ca_api::certificate::CertificateFilter {
            owner: Some("certificate:a b&c".to_owned()),
            limit: Some(7),
            ..ca_api::certificate::CertificateFilter::default()
        };
        let mut url = exchange("https://ca.example.org/below").url("/v1/certificates");
        append_query(&mut url, &filter).expect("encoded");
        assert_eq!(url.path(), "/below/v1/certificates");
        let mut pairs: Vec<&str> = url.query().expect("a query").split('&').collect();
        pairs.sort_unstable();
        assert_eq!(pairs, ["limit=7", "owner=certificate%3Aa+b%26c"]);
        let mut url = exchange("https://ca.example.org").url("/v1/profiles");
        append_query(&mut url, &()).expect("encoded");
        assert_eq!(url.as_str(), "https://ca.example.org/v1/profiles");
    }

    #[test]
    fn the_api_is_asked_over_tls_alone() {
        let exchange = exchange("http://ca.example.org:8080");
        let failure = exchange.api("/v1/certificates").expect_err("plain").to_string();
        assert!(failure.contains("https only"), "{failure}");
    }

    #[test]
    fn a_token_never_shows() {
        let value = bearer("cet_secret").expect("a header");
        assert!(!format!("{value:?}").contains("secret"));
        assert!(bearer("cet_\n").is_err());
    }

    #[test]
    fn what_will_not_change_is_not_repeated() {
        let problem = |kind: ProblemType, retry_after| {
            Failure::Refused(Box::new(Problem {
                kind,
                title: String::new(),
                status: kind.status(),
                detail: String::new(),
                errors: Vec::new(),
                request_id: String::new(),
                retry_after,
                candidates: Vec::new(),
            }))
        };
        let seconds = Duration::from_secs;
        assert_eq!(wait_before_repeating(&problem(ProblemType::Overloaded, Some(2)), 1), Some(seconds(2)));
        assert_eq!(wait_before_repeating(&problem(ProblemType::Overloaded, Some(600)), 1), None);
        assert!(wait_before_repeating(&problem(ProblemType::RequestInProgress, None), 1).is_some());
        assert_eq!(wait_before_repeating(&problem(ProblemType::ProfileViolation, None), 1), None);
        assert_eq!(wait_before_repeating(&Failure::failed("x"), 1), None);
    }

    #[tokio::test]
    async fn nobody_there_is_told_as_unreachable() {
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let failure =
            exchange(&format!("http://127.0.0.1:{port}")).get_public("/health", 10).await.expect_err("nobody");
        assert!(matches!(failure, Failure::Unreachable { .. }), "{failure}");
        assert!(failure.to_string().contains("refused"), "{failure}");
    }
}
