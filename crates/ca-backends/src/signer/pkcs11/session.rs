//! A session that knows whether it may still be closed.

use std::sync::Arc;

use cryptoki::error::Error;
use cryptoki::session::Session;

use super::fault::is_of_gone_session;
use super::module::{Module, Visit};

/// An open session of a module. Dropping it closes it, if it is known to be there.
pub(super) struct OpenSession {
    session: Option<Session>,
    module: Arc<Module>,
    generation: u64,
}

impl OpenSession {
    /// A session that was opened during `visit`.
    pub(super) fn new(session: Session, module: Arc<Module>, visit: &Visit<'_>) -> Self {
        Self { session: Some(session), module, generation: visit.generation() }
    }

    /// In which life of the module it was opened.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The session, in a visit of the module; `None` when the module was initialised anew since.
    pub(super) fn visit(&self) -> Option<(Visit<'_>, &Session)> {
        let session = self.session.as_ref()?;
        Some((self.module.enter_again(self.generation)?, session))
    }

    /// Makes sure that it is not closed when a call said that it is gone: its number may be that of another session by now.
    pub(super) fn heed(&mut self, error: &Error) {
        if is_of_gone_session(error) {
            self.forget();
        }
    }

    fn forget(&mut self) {
        // A session has a number and a share in the module, nothing that would be lost.
        if let Some(session) = self.session.take() {
            std::mem::forget(session);
        }
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        let module = Arc::clone(&self.module);
        match module.enter_again(self.generation) {
            // Closed in the visit.
            Some(_visit) => drop(self.session.take()),
            None => self.forget(),
        }
    }
}
