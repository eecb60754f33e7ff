//! Sockets: accept, limit, shake hands, serve, stop gracefully. What is served is the router's business.

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
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use crate::http::authentication::PeerCertificate;
use crate::listener::tls::TlsIdentity;

/// How many connections a listener holds at once; more wait in the kernel's queue.
const MAXIMUM_CONNECTIONS: usize = 4_096;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the header of a request may take to arrive; a connection that waits for its next request counts too. Above what
/// load balancers keep idle connections for by default, so that they close first and no request meets a closed one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);

/// The largest header of a request, in octets; an OCSP request may stand in the path.
const MAXIMUM_HEADER: usize = 64 * 1024;

/// How long open requests have when the service stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A bound socket and what it serves.
pub(crate) struct Listener {
    socket: TcpListener,
    router: Router,
    tls: Option<Arc<TlsIdentity>>,
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
        Ok(Self { socket, router, tls })
    }

    /// The address it is bound to; the port is known even if 0 was asked for.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        self.socket.local_addr().context("a bound socket has an address")
    }

    /// Serves until `stop` says so, then lets open requests end.
    pub(crate) async fn serve(self, mut stop: watch::Receiver<bool>) {
        let connections = Arc::new(Semaphore::new(MAXIMUM_CONNECTIONS));
        let graceful = Arc::new(GracefulShutdown::new());
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
            let stream = tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) => stream,
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
            let tls = self.tls.clone();
            let watcher = graceful.watcher();
            tokio::spawn(async move {
                let _permit = permit;
                match tls {
                    None => serve_connection(stream, router, watcher).await,
                    Some(identity) => serve_tls(stream, &identity, router, watcher).await,
                }
            });
        }
        drop(self.socket);
        if let Ok(graceful) = Arc::try_unwrap(graceful)
            && tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown()).await.is_err()
        {
            tracing::warn!("some requests were cut off: they took longer than {STOP_TIMEOUT:?} to end");
        }
    }
}

/// Returns once the service is told to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone stops the service too.
    let _ = stop.wait_for(|stop| *stop).await;
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
    let peer = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let router = match peer {
        Some(leaf) => router.layer(axum::Extension(PeerCertificate(Arc::from(leaf.as_ref())))),
        None => router,
    };
    serve_connection(stream, router, watcher).await;
}

async fn serve_connection<S>(stream: S, router: Router, watcher: hyper_util::server::graceful::Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
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
        .keep_alive_interval(HEADER_TIMEOUT)
        .max_header_list_size(u32::try_from(MAXIMUM_HEADER).unwrap_or(u32::MAX))
        .max_concurrent_streams(100);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}
