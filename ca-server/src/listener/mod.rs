//! Sockets: accept, limit, shake hands, serve, stop gracefully. What is served is the router's business.

mod begun;
pub(crate) mod descriptors;
mod patience;
pub(crate) mod threads;
pub(crate) mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

use crate::http::authentication::PeerCertificate;
use crate::http::status_front::{Served, StatusFront};
use crate::listener::begun::Begun;
use crate::listener::patience::Patient;
use crate::listener::tls::TlsIdentity;

/// How many connections a listener holds at once; more wait in the kernel's queue.
const MAXIMUM_CONNECTIONS: usize = 4_096;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the header of a request may take to arrive; a connection that waits for its next request counts too. Above what
/// load balancers keep idle connections for by default, so that they close first and no request meets a closed one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);

/// How long nothing may move on a connection, in whatever state it is; above all that a request may take.
const IDLE_TIMEOUT: Duration = HEADER_TIMEOUT;

/// How often a peer of HTTP/2 is asked whether it is still there; below [`IDLE_TIMEOUT`], so that one that answers stays.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// The largest header of a request, in octets; an OCSP request may stand in the path.
const MAXIMUM_HEADER: usize = 64 * 1024;

/// How long open requests have when the service stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A bound socket and what it serves.
pub(crate) struct Listener {
    socket: TcpListener,
    router: Router,
    front: Option<Front>,
    tls: Option<Arc<TlsIdentity>>,
}

/// What serves a connection first, as long as it asks for OCSP.
#[derive(Clone)]
struct Front {
    status: StatusFront,
    /// Where whatever else is asked for is served.
    others: Handle,
}

impl Listener {
    /// Binds a socket. `name` is the configuration key to change when the address is taken.
    pub(crate) async fn bind(
        name: &str,
        address: SocketAddr,
        router: Router,
        tls: Option<Arc<TlsIdentity>>,
    ) -> anyhow::Result<Self> {
        let socket = TcpListener::bind(address).await.map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::AddrInUse => "another program listens there; stop it or choose another port",
                std::io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose a higher one",
                std::io::ErrorKind::AddrNotAvailable => "this machine has no such address",
                _ => "choose another address",
            };
            anyhow::anyhow!("cannot listen on {address} (listen.{name}): {error}; {hint}")
        })?;
        Ok(Self { socket, router, front: None, tls })
    }

    /// Has OCSP requests of a listener without TLS answered ahead of the router, which is left where this is called.
    pub(crate) fn with_front(mut self, status: StatusFront) -> Self {
        self.front = Some(Front { status, others: Handle::current() });
        self
    }

    /// The address it is bound to; the port is known even if 0 was asked for.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        self.socket.local_addr().context("a bound socket has an address")
    }

    /// Serves until `stop` says so, then lets open requests end.
    pub(crate) async fn serve(self, stop: watch::Receiver<bool>) {
        self.serve_at_most(Arc::new(Semaphore::new(MAXIMUM_CONNECTIONS)), stop).await;
    }

    async fn serve_at_most(self, connections: Arc<Semaphore>, mut stop: watch::Receiver<bool>) {
        let graceful = Arc::new(GracefulShutdown::new());
        loop {
            // Connections may all be taken for long: whoever says stop must be heard meanwhile.
            let permit = tokio::select! {
                permit = Arc::clone(&connections).acquire_owned() => match permit {
                    Ok(permit) => permit,
                    Err(_) => return,
                },
                () = stopped(&mut stop) => break,
            };
            let stream = tokio::select! {
                accepted = accept(&self.socket) => match accepted {
                    Ok(stream) => stream,
                    Err(error) => {
                        // Out of descriptors, or the peer is gone already: wait, do not spin.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
                () = stopped(&mut stop) => break,
            };
            let router = self.router.clone();
            let watcher = graceful.watcher();
            match &self.tls {
                Some(identity) => {
                    let identity = Arc::clone(identity);
                    tokio::spawn(async move {
                        let _permit = permit;
                        serve_tls(stream, &identity, router, watcher).await;
                    });
                }
                None => {
                    let (front, stop) = (self.front.clone(), stop.clone());
                    tokio::spawn(serve_plainly(stream, front, router, watcher, stop, permit));
                }
            }
        }
        drop(self.socket);
        if let Ok(graceful) = Arc::try_unwrap(graceful)
            && tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown()).await.is_err()
        {
            tracing::warn!("some requests were cut off: they took longer than {STOP_TIMEOUT:?} to end");
        }
    }
}

/// The next connection. What is written goes out at once: an answer in several parts, or the second of two that were asked for at
/// once, would otherwise wait until the peer has acknowledged the first, which takes some 40 ms (RFC 896, RFC 1122 §4.2.3.2).
async fn accept(socket: &TcpListener) -> std::io::Result<TcpStream> {
    let (stream, _) = socket.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Returns once the service is told to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone stops the service too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Serves a connection without TLS; what is not the front's, where the router is.
async fn serve_plainly(
    stream: TcpStream,
    front: Option<Front>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
    mut stop: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) {
    let Some(Front { status, others }) = front else {
        serve_connection(Patient::new(stream, IDLE_TIMEOUT), Protocol::Http1, None, router, watcher).await;
        return;
    };
    let mut stream = Patient::new(stream, IDLE_TIMEOUT);
    let served = status.serve(&mut stream, stopped(&mut stop)).await;
    // A socket is served by the threads that it is registered with.
    let moved = match served {
        Ok(Served::Over) => return,
        Ok(Served::Others(begun)) => stream.into_inner().into_std().map(|stream| (begun, stream)),
        Err(error) => Err(error),
    };
    match moved {
        Ok((begun, stream)) => {
            others.spawn(async move {
                let _permit = permit;
                match TcpStream::from_std(stream) {
                    Ok(stream) => {
                        let stream = Begun::new(begun, Patient::new(stream, IDLE_TIMEOUT));
                        serve_connection(stream, Protocol::Http1, None, router, watcher).await;
                    }
                    Err(error) => tracing::warn!(%error, "a connection could not be handed on"),
                }
            });
        }
        Err(error) => tracing::debug!(%error, "a connection ended early"),
    }
}

async fn serve_tls(
    stream: TcpStream,
    identity: &TlsIdentity,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, identity.acceptor().accept(stream)).await;
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            return;
        }
    };
    let (_, session) = stream.get_ref();
    let peer = session.peer_certificates().and_then(|chain| chain.first());
    let peer = peer.map(|leaf| PeerCertificate::new(leaf));
    let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
    serve_connection(Patient::new(stream, IDLE_TIMEOUT), protocol, peer, router, watcher).await;
}

/// What a connection speaks: over TLS what ALPN agreed on (RFC 7301), else HTTP/1. Never guessed from its first octets: those
/// would be awaited without an end.
#[derive(Clone, Copy)]
enum Protocol {
    Http1,
    Http2,
}

async fn serve_connection<S>(
    stream: S,
    protocol: Protocol,
    peer: Option<PeerCertificate>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        if let Some(peer) = peer.clone() {
            request.extensions_mut().insert(peer);
        }
        router.clone().oneshot(request)
    });
    let builder = builder(protocol);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// How requests are read from a connection.
fn builder(protocol: Protocol) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAXIMUM_HEADER)
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_header_list_size(u32::try_from(MAXIMUM_HEADER).unwrap_or(u32::MAX))
        .max_concurrent_streams(100);
    match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    }
}

#[cfg(test)]
mod tests;
