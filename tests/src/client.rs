//! A client of the HTTP API: reqwest over rustls, and raw sockets for what no decent client sends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ca_api::certificate::{Certificate, NewCertificate};
use ca_api::problem::{PROBLEM_JSON, Problem, ProblemType};
use ca_api::route;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, RequestBuilder};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::identity::{Identity, SubjectKey, request};

/// Nothing that is asked here takes longer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A caller of a service, with or without proof of who it is.
#[derive(Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
    token: Option<String>,
}

impl Client {
    /// A caller over HTTPS that trusts `root_pem` alone, and shows `identity` where it has one.
    pub fn new(base: &str, root_pem: &str, identity: Option<&Identity>) -> anyhow::Result<Self> {
        let tls = tls_config(root_pem, identity)?;
        let http = builder().tls_backend_preconfigured(tls).build().context("no HTTPS client can be made")?;
        Ok(Self { base: base.to_owned(), http, token: None })
    }

    /// A caller over plain HTTP.
    pub fn plain(base: &str) -> anyhow::Result<Self> {
        let http = builder().build().context("no HTTP client can be made")?;
        Ok(Self { base: base.to_owned(), http, token: None })
    }

    /// The same with a bearer credential.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// A request to be completed by the caller; see [`send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        send(self.request(Method::GET, path)).await
    }

    /// GET with a header.
    pub async fn get_with(&self, path: &str, header: HeaderName, value: &str) -> anyhow::Result<Answer> {
        send(self.request(Method::GET, path).header(header, value)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Answer> {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        send(self.request(Method::DELETE, path)).await
    }

    /// Asks for a certificate; fails unless it is issued.
    pub async fn issue(&self, body: &NewCertificate) -> anyhow::Result<Certificate> {
        self.post(route::CERTIFICATES, body).await?.expect(201)?.json()
    }

    /// Asks for a certificate with a new key, its common name and its only dNSName being `name`.
    pub async fn enrol(&self, profile: &str, name: &str) -> anyhow::Result<(Certificate, Identity)> {
        let key = SubjectKey::generate()?;
        let certificate = self.issue(&request(profile, key.csr(name, &[name])?)).await?;
        let identity = Identity::of(&certificate, &key);
        Ok((certificate, identity))
    }

    /// Revokes a certificate; fails unless it is done.
    pub async fn revoke(&self, id: &str, reason: &str) -> anyhow::Result<Certificate> {
        let path = format!("/v1/certificates/{id}/revoke");
        self.post(&path, &serde_json::json!({ "reason": reason })).await?.expect(200)?.json()
    }
}

/// Sends a request and reads its answer to the end.
pub async fn send(request: RequestBuilder) -> anyhow::Result<Answer> {
    let response = request.send().await.context("the service did not answer")?;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = response.bytes().await.context("the answer broke off")?.to_vec();
    Ok(Answer { status, headers, body })
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Itself, if it has this status.
    pub fn expect(self, status: u16) -> anyhow::Result<Self> {
        ensure!(self.status == status, "expected {status}, got {}: {}", self.status, self.text());
        Ok(self)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON of a shape.
    pub fn json<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body).with_context(|| format!("not of the expected shape: {}", self.text()))
    }

    /// A header, empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The problem in the body; fails unless media type, status, title and request id are as RFC 9457 and the contract say.
    pub fn problem(&self) -> anyhow::Result<Problem> {
        ensure!(self.header("content-type") == PROBLEM_JSON, "no problem: {} {}", self.status, self.text());
        let problem: Problem = self.json()?;
        ensure!(problem.status == self.status, "status {} in a {}", problem.status, self.status);
        ensure!(problem.kind != ProblemType::Blank, "a type that is not of the contract: {}", self.text());
        ensure!(problem.kind.status() == self.status, "{} came as {}", problem.kind, self.status);
        ensure!(problem.title == problem.kind.title(), "another title: {}", problem.title);
        ensure!(!problem.detail.is_empty(), "{} without a detail", problem.kind);
        ensure!(problem.request_id == self.header("x-request-id"), "another request id: {}", self.text());
        Ok(problem)
    }

    /// The problem, if it is of this kind.
    pub fn expect_problem(&self, kind: ProblemType) -> anyhow::Result<Problem> {
        let problem = self.problem()?;
        ensure!(problem.kind == kind, "expected {kind}, got {}", self.text());
        Ok(problem)
    }
}

/// What a client trusts and shows. TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2.
pub fn tls_config(root_pem: &str, identity: Option<&Identity>) -> anyhow::Result<rustls::ClientConfig> {
    let mut config = tls_config_of(root_pem, identity, rustls::DEFAULT_VERSIONS)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The same in these versions, without a word on what is spoken inside.
pub fn tls_config_of(
    root_pem: &str,
    identity: Option<&Identity>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> anyhow::Result<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(root_pem.as_bytes()) {
        roots.add(root.context("a root is not PEM")?).context("a root cannot be trusted")?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .context("versions of TLS")?
        .with_root_certificates(roots);
    Ok(match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.for_tls()?;
            config.with_client_auth_cert(chain, key).context("certificate and key do not fit")?
        }
    })
}

fn builder() -> reqwest::ClientBuilder {
    // A second call finds the first one's provider, which is the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none())
}

/// Sends octets to a plain listener as they are, and gives what comes back until the service closes the connection.
pub async fn raw(base: &str, octets: &[u8]) -> anyhow::Result<Vec<u8>> {
    let address = base.strip_prefix("http://").context("a raw request goes to a plain listener")?;
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.context("no connection")?;
        // The service may answer and close before it has read all; what it said is still to be read.
        let _ = stream.write_all(octets).await;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return anyhow::Ok(answer),
                Ok(octets) => answer.extend_from_slice(&buffer[..octets]),
            }
        }
    };
    match tokio::time::timeout(TIMEOUT, exchange).await {
        Ok(answer) => answer,
        Err(_) => bail!("the service neither answered nor closed the connection within {TIMEOUT:?}"),
    }
}

/// Asks `question` again and again until it has an answer; fails with `what` when the time is over.
pub async fn eventually<T, F, Fut>(timeout: Duration, what: &str, mut question: F) -> anyhow::Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<Option<T>>>,
{
    let asking = async {
        loop {
            if let Some(answer) = question().await? {
                return anyhow::Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(timeout, asking).await {
        Ok(answer) => answer,
        Err(_) => bail!("not within {timeout:?}: {what}"),
    }
}
