//! Follows the record: lists published and authorities added by other replicas or by commands. On every replica.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_engine::flow::republish::republish;
use ca_engine::hierarchy::Hierarchy;

use super::driver::{Job, Outcome, with_detail};
use crate::crl_files::CrlFiles;
use crate::listener::tls::TlsIdentity;
use crate::state::AppState;

pub(crate) struct FollowJob {
    /// What the API listener asks clients for, where there is one.
    identity: Option<Arc<TlsIdentity>>,
    /// The authorities that it was told of last.
    asked_for: Mutex<Vec<AuthorityId>>,
}

impl FollowJob {
    pub(crate) fn new(identity: Option<Arc<TlsIdentity>>) -> Self {
        Self { identity, asked_for: Mutex::default() }
    }

    /// Has the API listener ask for the certificates of every authority, whoever learnt of it.
    fn ask_for_all(&self, hierarchy: &Hierarchy) -> anyhow::Result<()> {
        let Some(identity) = &self.identity else { return Ok(()) };
        let ids: Vec<AuthorityId> = hierarchy.authorities().iter().map(|authority| authority.id().clone()).collect();
        let mut asked_for = self.asked_for.lock().unwrap_or_else(PoisonError::into_inner);
        if *asked_for != ids {
            identity.trust(hierarchy)?;
            *asked_for = ids;
        }
        Ok(())
    }
}

#[async_trait]
impl Job for FollowJob {
    fn name(&self) -> &'static str {
        "follow"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn changes_the_record(&self) -> bool {
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        // A generation that was announced must be known here before it issues elsewhere.
        state.engine().follow_hierarchy().await.map_err(with_detail)?;
        self.ask_for_all(&state.engine().hierarchy())?;
        let mut published = state.engine().store().published_numbers().await?;
        published.sort();
        let mut partial = state.engine().store().published_partial_numbers().await?;
        partial.sort();
        let files = state.crl_files();
        if published != files.numbers() || partial != files.partial_numbers() {
            // Whoever made a list may have made a responder too.
            state.engine().reload_hierarchy().await.map_err(with_detail)?;
            refresh(state).await?;
        }
        // Also what could not be put in place when it was made: nothing to do, most times.
        republish(state.engine()).await.map_err(with_detail)?;
        Ok(Outcome::Done(0))
    }
}

/// Takes the newest lists into memory.
pub(crate) async fn refresh(state: &AppState) -> anyhow::Result<()> {
    let files = CrlFiles::load(state.engine(), &state.crl_files()).await.map_err(with_detail)?;
    state.set_crl_files(files);
    Ok(())
}
