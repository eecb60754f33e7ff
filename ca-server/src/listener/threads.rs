//! A listener on threads of its own: what one of them begins it ends, and no other is woken for it.
//!
//! The threads that everything else runs on pass tasks among each other, and stop and start as they run out: for requests that
//! are answered at once, that is much of what they cost.

use std::io;
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{Semaphore, oneshot, watch};

use super::{Listener, MAXIMUM_CONNECTIONS};

/// A listener that is served by its own threads.
pub(crate) struct Apart {
    ended: Vec<oneshot::Receiver<()>>,
}

impl Apart {
    /// Starts as many threads as half the processors are, one at the least; they serve until `stop` says so.
    pub(crate) fn start(listener: Listener, stop: &watch::Receiver<bool>) -> anyhow::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2));
        let connections = Arc::new(Semaphore::new(MAXIMUM_CONNECTIONS));
        let Listener { socket, router, front, tls } = listener;
        let socket = socket.into_std().context("the socket cannot be handed on")?;
        let mut ended = Vec::with_capacity(threads);
        for _ in 0..threads {
            // Each waits for the same queue of connections.
            let socket = socket.try_clone().context("the socket cannot be shared")?;
            let (router, front, tls) = (router.clone(), front.clone(), tls.clone());
            let (connections, stop) = (Arc::clone(&connections), stop.clone());
            let (end, at_end) = oneshot::channel();
            let serve = move |runtime: runtime::Runtime| {
                runtime.block_on(async move {
                    let socket = TcpListener::from_std(socket)?;
                    Listener { socket, router, front, tls }.serve_at_most(connections, stop).await;
                    io::Result::Ok(())
                })
            };
            let runtime = runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
            thread::Builder::new()
                .name("status".to_owned())
                .spawn(move || {
                    if let Err(error) = serve(runtime) {
                        tracing::error!(%error, "a thread that answers OCSP requests ended");
                    }
                    // Whoever waits may have gone.
                    let _ = end.send(());
                })
                .context("the process cannot start its threads")?;
            ended.push(at_end);
        }
        Ok(Self { ended })
    }

    /// Returns once every thread has let its open requests end.
    pub(crate) async fn ended(self) {
        for end in self.ended {
            // One that panicked has ended too.
            let _ = end.await;
        }
    }
}
