//! Fetching what is public (roots, issuers' certificates, revocation lists, OCSP answers) with limits on time and size, and
//! what it means when nobody answers.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};
use rustls::ClientConfig;

use crate::exit::Failure;

/// How often a redirect is followed.
const REDIRECTS: usize = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a conditional request brought.
pub(crate) enum Fetched {
    /// The same as last time (304).
    Unchanged,
    /// Something else.
    New {
        /// The body.
        octets: Vec<u8>,
        /// Its entity tag.
        etag: Option<String>,
    },
}

/// Fetches without saying who asks.
pub(crate) struct Fetcher {
    client: Client,
}

impl Fetcher {
    /// `timeout` is for one request as a whole.
    pub(crate) fn new(tls: ClientConfig, timeout: Duration) -> Result<Self, Failure> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .redirect(redirect::Policy::limited(REDIRECTS))
            .user_agent(concat!("ca-cli/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Failure::failed)?;
        Ok(Self { client })
    }

    /// `GET` of at most `limit` octets.
    pub(crate) async fn get(&self, url: &str, limit: usize) -> Result<Vec<u8>, Failure> {
        self.send(self.client.get(read_url(url)?), url, limit).await
    }

    /// `GET` of at most `limit` octets, unless they are still those with this entity tag (RFC 9110 §13.1.2).
    pub(crate) async fn get_unless(&self, url: &str, etag: Option<&str>, limit: usize) -> Result<Fetched, Failure> {
        let mut request = self.client.get(read_url(url)?);
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = request.send().await.map_err(|error| not_answered(url, &error))?;
        if response.status() == StatusCode::NOT_MODIFIED && etag.is_some() {
            return Ok(Fetched::Unchanged);
        }
        let response = checked(response, url)?;
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        Ok(Fetched::New { octets: read_body(response, limit, url).await?, etag })
    }

    /// `POST` of an OCSP request (RFC 6960 appendix A.1).
    pub(crate) async fn post_ocsp(&self, url: &str, request: Vec<u8>, limit: usize) -> Result<Vec<u8>, Failure> {
        let request = self
            .client
            .post(read_url(url)?)
            .header(CONTENT_TYPE, "application/ocsp-request")
            .header(ACCEPT, "application/ocsp-response")
            .body(request);
        self.send(request, url, limit).await
    }

    async fn send(&self, request: RequestBuilder, url: &str, limit: usize) -> Result<Vec<u8>, Failure> {
        let response = request.send().await.map_err(|error| not_answered(url, &error))?;
        read_body(checked(response, url)?, limit, url).await
    }
}

/// A response that is a success.
fn checked(response: Response, url: &str) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_server_error() {
        return Err(Failure::Unreachable { what: url.to_owned(), why: format!("it answered {status}") });
    }
    if !status.is_success() {
        return Err(Failure::Failed(format!("{url} answered {status}")));
    }
    Ok(response)
}

/// An address in a certificate is a stranger's word: nothing but HTTP is spoken.
fn read_url(text: &str) -> Result<Url, Failure> {
    let url: Url = text.parse().map_err(|_| Failure::Failed(format!("`{text}` is not a URL")))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(Failure::Failed(format!("`{text}`: {scheme} is not spoken here, http and https are"))),
    }
}

/// Reads a body of at most `limit` octets from `what`.
pub(crate) async fn read_body(mut response: Response, limit: usize, what: &str) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| not_answered(what, &error))? {
        if body.len() + chunk.len() > limit {
            return Err(Failure::Failed(format!("{what} answered more than {limit} octets")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What it means that no answer came from `what`. A certificate that is not trusted is no matter of trying again.
pub(crate) fn not_answered(what: &str, error: &reqwest::Error) -> Failure {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(reason)) => Failure::Failed(format!(
            "{what} shows a certificate that is not to be trusted: {reason:?}; is it the right server, and --root (CA_ROOT, \
             or the configured one) its root?"
        )),
        Some(rustls::Error::AlertReceived(alert)) => Failure::Failed(format!(
            "{what} broke off the TLS handshake: {alert:?}; is the client certificate in force?"
        )),
        Some(other) => Failure::Failed(format!("{what}: TLS: {other}")),
        None if error.is_timeout() => {
            Failure::Unreachable { what: what.to_owned(), why: "it took too long (--timeout)".to_owned() }
        }
        None => Failure::Unreachable { what: what.to_owned(), why: innermost(error) },
    }
}

/// The TLS error inside, if it is one.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(tls) = unwrapped(inner).downcast_ref() {
            return Some(tls);
        }
        source = inner.source();
    }
    None
}

/// What an I/O error wraps: it names the source of that as its own, not that itself. Connectors wrap more than once.
fn unwrapped<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => unwrapped(inner),
        None => error,
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_errors_are_found_however_often_they_are_wrapped() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let wrapped = std::io::Error::other(std::io::Error::other(tls.clone()));
        assert_eq!(unwrapped(&wrapped).downcast_ref(), Some(&tls));
        let plain = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert!(unwrapped(&plain).downcast_ref::<rustls::Error>().is_none());
    }

    #[test]
    fn nothing_but_http_is_spoken() {
        assert!(read_url("http://pki.example.org/crl/tls.crl").is_ok());
        for url in ["ldap://x/cn=y", "file:///etc/passwd", "not a url"] {
            assert!(read_url(url).is_err(), "{url}");
        }
    }
}
