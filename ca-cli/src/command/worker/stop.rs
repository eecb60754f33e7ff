//! The wish to end: from a signal, heard between steps.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Failure;

/// Whether to end. Clones hear the same.
#[derive(Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens to SIGTERM and SIGINT from now on.
    pub(super) fn listen() -> Result<Self, Failure> {
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
        let (say, hear) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            // Nobody listens any more when the program has ended by itself.
            let _ = say.send(true);
            // A second signal finds the listener gone, and the wish as it was.
            std::future::pending::<()>().await;
        });
        Ok(Self(hear))
    }

    /// Whether somebody wishes it.
    pub(super) fn is_wished(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits so long, or until somebody wishes it.
    pub(super) async fn wait(&mut self, time: Duration) {
        // Ready at once when it is wished already, or nobody can wish it any more.
        let _ = tokio::time::timeout(time, self.0.wait_for(|wished| *wished)).await;
    }
}
