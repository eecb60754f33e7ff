//! An HTTP/1.1 server on a free port of the loopback interface, on a thread of its own: it answers while the test's own runtime
//! is busy, and ends with what started it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this status and code, and nothing happens.
    Refuse(u16, &'static str),
    /// It is done, and then answered with this status and code.
    RefuseAfterwards(u16, &'static str),
    /// It is never answered, and nothing happens.
    Silence,
    /// It is done, and never answered.
    SilenceAfterwards,
    /// It is done, and the connection ends without an answer.
    LoseAnswer,
}

/// What becomes of a request.
pub(crate) enum Answer {
    /// After a while.
    Respond(Response<Full<Bytes>>, Duration),
    Silence,
    Close,
}

/// How requests are answered.
pub(crate) type Handler = dyn Fn(Request<Bytes>) -> Answer + Send + Sync;

/// A running server. Dropping it ends it and cuts off every connection.
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(handler: Arc<Handler>) -> anyhow::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime can be made")?;
        // Bound by the time this returns; not by the runtime, which must not be entered from within another.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        listener.set_nonblocking(true).context("a socket that does not block")?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, handler) => {}
                    // Whoever held the other end is gone.
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, handler: Arc<Handler>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&handler)));
            // A client that goes away is no fault of the double's.
            let _ended = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, handler: Arc<Handler>) -> Result<Response<Full<Bytes>>, anyhow::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    match handler(Request::from_parts(head, body)) {
        Answer::Respond(response, latency) => {
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            Ok(response)
        }
        Answer::Silence => std::future::pending().await,
        Answer::Close => anyhow::bail!("the answer is lost"),
    }
}
