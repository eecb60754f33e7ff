//! A sink that fails when told to, and remembers everything it was told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::yield_once;
use crate::port::sink::{Sink, SinkError, SinkEvent};

/// Events in memory. Clones share them, as several senders share a receiver.
#[derive(Clone, Debug, Default)]
pub struct ScriptedSink {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    script: VecDeque<SinkError>,
    outage: Option<SinkError>,
    offered: Vec<SinkEvent>,
    taken: Vec<SinkEvent>,
}

impl ScriptedSink {
    /// How the next calls fail, in order; after them calls succeed.
    pub fn script(&self, errors: impl IntoIterator<Item = SinkError>) {
        self.state().script.extend(errors);
    }

    /// Makes every call fail so, until it is called with `None`.
    pub fn break_down(&self, error: Option<SinkError>) {
        self.state().outage = error;
    }

    /// Every event that it was offered, in order, refused ones too.
    pub fn offered(&self) -> Vec<SinkEvent> {
        self.state().offered.clone()
    }

    /// Every event that it took, in order.
    pub fn taken(&self) -> Vec<SinkEvent> {
        self.state().taken.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for ScriptedSink {
    async fn deliver(&self, event: &SinkEvent) -> Result<(), SinkError> {
        yield_once().await;
        let mut state = self.state();
        state.offered.push(event.clone());
        let scripted = state.script.pop_front();
        if let Some(error) = scripted.or_else(|| state.outage.clone()) {
            return Err(error);
        }
        state.taken.push(event.clone());
        Ok(())
    }
}
