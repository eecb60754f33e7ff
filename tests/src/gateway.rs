//! A small mTLS gateway over rustls: lets in whoever holds a certificate of the service that its CRL does not list.
//!
//! It reads the lists from the service again and again, as a real gateway would, and fails closed: no list, no entry.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::client::{Client, tls_config};
use crate::identity::Identity;

/// How often the lists are read. A service in earnest would honour `max-age`.
const REFRESH: Duration = Duration::from_millis(200);

/// How long a handshake and its one request may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running gateway; it ends when it is dropped.
pub struct Gateway {
    address: SocketAddr,
    lists: watch::Receiver<String>,
    tasks: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// Starts on a free port, with its own certificate, trusting `root_pem`, fed with `/crl/all.pem` of `public`.
    pub async fn start(identity: &Identity, root_pem: &str, public: Client) -> anyhow::Result<Self> {
        let (etag, crls) = read_lists(&public, "").await?.context("the service has no CRLs")?;
        let config = Arc::new(Mutex::new(server_config(identity, root_pem, &crls)?));
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port is free")?;
        let address = socket.local_addr().context("a bound socket has an address")?;
        let (loaded, lists) = watch::channel(etag);
        let refreshing = refresh(public, identity.clone(), root_pem.to_owned(), Arc::clone(&config), loaded);
        Ok(Self { address, lists, tasks: vec![tokio::spawn(accept(socket, config)), tokio::spawn(refreshing)] })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it judges by lists other than those with this entity tag.
    pub async fn wait_for_lists_after(&mut self, etag: &str) -> anyhow::Result<()> {
        let newer = self.lists.wait_for(|loaded| loaded != etag);
        tokio::time::timeout(TIMEOUT, newer).await.context("the gateway got no newer CRLs")?.context("it ended")?;
        Ok(())
    }

    /// The entity tag of the lists it judges by.
    pub fn lists(&self) -> String {
        self.lists.borrow().clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Calls a gateway as a client: what it says, or why it refused.
pub async fn call(
    address: SocketAddr,
    server_name: &str,
    root_pem: &str,
    identity: Option<&Identity>,
) -> anyhow::Result<String> {
    let mut config = tls_config(root_pem, identity)?;
    config.alpn_protocols.clear();
    let name = ServerName::try_from(server_name.to_owned()).context("not a server name")?;
    let exchange = async {
        let stream = TcpStream::connect(address).await.context("no connection")?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.context("TLS handshake")?;
        // In TLS 1.3 the client ends its handshake before the server has judged it: a refusal is read here.
        stream.write_all(b"GET / HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n").await.context("request")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.context("TLS handshake")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the gateway's answer broke off")?;
        ensure!(head.starts_with("HTTP/1.1 200 "), "the gateway said: {head}");
        Ok(body.to_owned())
    };
    match tokio::time::timeout(TIMEOUT, exchange).await {
        Ok(answer) => answer,
        Err(_) => bail!("the gateway did not answer within {TIMEOUT:?}"),
    }
}

async fn accept(socket: TcpListener, config: Arc<Mutex<Arc<ServerConfig>>>) {
    while let Ok((stream, _)) = socket.accept().await {
        let config = Arc::clone(&config.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::spawn(async move {
            // Whoever is refused learns it by an alert; there is nobody else to tell.
            let _ = tokio::time::timeout(TIMEOUT, greet(stream, config)).await;
        });
    }
}

/// One handshake, one request, one answer that names who was let in.
async fn greet(stream: TcpStream, config: Arc<ServerConfig>) -> anyhow::Result<()> {
    let mut stream = TlsAcceptor::from(config).accept(stream).await?;
    read_request(&mut stream).await?;
    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let subject = match peer {
        Some(leaf) => X509Certificate::from_der(leaf).context("not a certificate")?.1.subject().to_string(),
        None => bail!("a client without a certificate was let in"),
    };
    let body = format!("welcome, {subject}");
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        ensure!(request.len() < 8_192, "the request has no end");
        let mut buffer = [0; 1_024];
        match stream.read(&mut buffer).await? {
            0 => bail!("the request broke off"),
            octets => request.extend_from_slice(&buffer[..octets]),
        }
    }
    Ok(())
}

async fn refresh(
    public: Client,
    identity: Identity,
    root_pem: String,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    loaded: watch::Sender<String>,
) {
    loop {
        tokio::time::sleep(REFRESH).await;
        let known = loaded.borrow().clone();
        // A list that cannot be had or read leaves the old one, which is refused once it has expired.
        let Ok(Some((etag, crls))) = read_lists(&public, &known).await else { continue };
        let Ok(newer) = server_config(&identity, &root_pem, &crls) else { continue };
        *config.lock().unwrap_or_else(PoisonError::into_inner) = newer;
        loaded.send_replace(etag);
    }
}

type Lists = Vec<CertificateRevocationListDer<'static>>;

/// Every list and their entity tag; `None` while they are still those of `known`.
async fn read_lists(public: &Client, known: &str) -> anyhow::Result<Option<(String, Lists)>> {
    let answer = public.get_with("/crl/all.pem", reqwest::header::IF_NONE_MATCH, known).await?;
    if answer.status == 304 {
        return Ok(None);
    }
    let answer = answer.expect(200)?;
    let lists = CertificateRevocationListDer::pem_slice_iter(&answer.body).collect::<Result<Lists, _>>()?;
    Ok((!lists.is_empty()).then(|| (answer.header("etag").to_owned(), lists)))
}

fn server_config(
    identity: &Identity,
    root_pem: &str,
    crls: &[CertificateRevocationListDer<'static>],
) -> anyhow::Result<Arc<ServerConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root_pem.as_bytes()).context("the root is not PEM")?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // Leaf and intermediate are both looked up; what no list covers is refused, and so is a list past its end.
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .with_crls(crls.iter().cloned())
        .enforce_revocation_expiration()
        .build()
        .context("the CRLs cannot be used")?;
    let (chain, key) = identity.for_tls()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    // A resumed session would not be judged anew.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
