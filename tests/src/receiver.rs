//! A receiver of webhooks: a few lines of HTTP of its own, over TLS or not, that keeps what it is told and refuses when asked to.
//!
//! What it was told is verified by Python's `hmac`, not by anything of the service's.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use ca_test_services::port;
use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A request that was taken.
#[derive(Clone, Debug, Serialize)]
pub struct Taken {
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
    /// The body, octet for octet.
    pub body: String,
}

impl Taken {
    /// A field of the body.
    pub fn field(&self, name: &str) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        match &body[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// Everything that was taken, in order; kept when a receiver dies.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    taken: Arc<Mutex<Vec<Taken>>>,
    refuse: Arc<Mutex<(usize, &'static str)>>,
}

impl Inbox {
    /// Has the next so many requests refused, with this status.
    pub fn refuse(&self, count: usize, status: &'static str) {
        *self.refuse.lock().unwrap_or_else(PoisonError::into_inner) = (count, status);
    }

    /// What was taken so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The topics about a certificate, in order, each event once.
    pub fn topics(&self, certificate: &str) -> Vec<String> {
        let mut seen = Vec::new();
        let of_certificate = self.taken().into_iter().filter(|taken| taken.field("certificate") == certificate);
        of_certificate
            .filter(|taken| {
                let is_new = !seen.contains(&taken.id);
                seen.push(taken.id.clone());
                is_new
            })
            .map(|taken| taken.field("topic"))
            .collect()
    }

    /// Fails unless every signature is one by `secret` over what came with it, and an id always came with the same body.
    pub fn verify(&self, secret: &str) -> anyhow::Result<usize> {
        let taken = self.taken();
        let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
        for request in &taken {
            let first = bodies.entry(&request.id).or_insert(&request.body);
            ensure!(*first == request.body, "{} came with two bodies", request.id);
        }
        let mut child = Command::new("python3")
            .args(["-c", VERIFY, secret])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("python3 cannot be started; tests/install.sh installs it")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A script that ends early says why on its standard error.
            let _ = stdin.write_all(&serde_json::to_vec(&taken)?);
        }
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(taken.len())
    }

    /// Takes a request, unless it is to be refused; returns the status of the answer.
    fn offer(&self, request: Taken) -> &'static str {
        let mut refuse = self.refuse.lock().unwrap_or_else(PoisonError::into_inner);
        if refuse.0 > 0 {
            refuse.0 -= 1;
            return refuse.1;
        }
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        "204 No Content"
    }
}

/// The check of a receiver, in the words of another: any of the signatures must fit.
const VERIFY: &str = "
import base64, hmac, json, sys
for taken in json.load(sys.stdin):
    signed = '%s.%s.%s' % (taken['id'], taken['timestamp'], taken['body'])
    digest = hmac.new(sys.argv[1].encode(), signed.encode(), 'sha256').digest()
    good = 'v1,' + base64.b64encode(digest).decode()
    if not any(hmac.compare_digest(good, given) for given in taken['signature'].split(' ')):
        sys.exit('the signature of %s does not fit' % taken['id'])
";

/// A running receiver. Dropping it closes its port and every connection.
pub struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Listens on a free port, or on `address`, and takes into `inbox`.
    pub async fn start(inbox: &Inbox, address: Option<SocketAddr>, tls: Option<TlsAcceptor>) -> anyhow::Result<Self> {
        // One that is come back to must be free then, too.
        let address = match address {
            Some(address) => address,
            None => ([127, 0, 0, 1], port::free()?).into(),
        };
        let listener = TcpListener::bind(address).await.context("no port")?;
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let inbox = inbox.clone();
        let task = tokio::spawn(async move {
            // Dropped with the task, and with it every connection.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (inbox, tls) = (inbox.clone(), tls.clone());
                connections.spawn(async move {
                    // A caller that breaks off, or does not trust this side, is its own business.
                    let _ = match tls {
                        None => answer(stream, &inbox).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => answer(stream, &inbox).await,
                            Err(error) => Err(error.into()),
                        },
                    };
                });
            }
        });
        Ok(Self { address, scheme, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, by a name that certificates may have.
    pub fn url(&self) -> String {
        format!("{}://localhost:{}/ca?tenant=1", self.scheme, self.address.port())
    }

    /// Dies, with its port closed when this returns.
    pub async fn die(mut self) -> SocketAddr {
        self.task.abort();
        // It ends by being cancelled.
        let _ = (&mut self.task).await;
        self.address
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request and its answer.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, inbox: &Inbox) -> anyhow::Result<()> {
    let mut octets = Vec::new();
    let (head, body) = loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await?;
        ensure!(read > 0, "it broke off");
        octets.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&octets).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if body.len() >= header(head, "content-length").parse::<usize>()? {
            break (head.to_owned(), body.to_owned());
        }
    };
    ensure!(head.starts_with("POST /ca?tenant=1 HTTP/1.1\r\n"), "{head}");
    let request = Taken {
        id: header(&head, "webhook-id"),
        timestamp: header(&head, "webhook-timestamp"),
        signature: header(&head, "webhook-signature"),
        body,
    };
    let status = inbox.offer(request);
    stream.write_all(format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

fn header(head: &str, name: &str) -> String {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}
