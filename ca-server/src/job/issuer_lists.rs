//! Takes the lists of authorities that issue elsewhere from their issuers, which alone can sign them. One replica at a time for each
//! authority.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ca_core::id::AuthorityId;
use ca_core::principal::Principal;
use ca_engine::flow::follow_issuer_list::{FollowedList, INTERVAL, follow_issuer_list};
use ca_engine::flow::publish_crl::lease_name;
use ca_engine::hierarchy::Authority;

use super::driver::{Job, Outcome, lease, with_detail};
use super::each_authority::EachAuthority;
use crate::state::AppState;

pub(crate) struct IssuerListsJob {
    authorities: EachAuthority,
    /// Which version of each list this process has seen last: what is still there need not be fetched.
    seen: Mutex<BTreeMap<AuthorityId, String>>,
}

impl IssuerListsJob {
    pub(crate) fn new() -> Self {
        // Every run tries again: they are a minute apart.
        Self { authorities: EachAuthority::new("issuer-lists", Duration::ZERO), seen: Mutex::default() }
    }

    /// Looks at the list of one authority's issuer; returns whether there was a new one.
    async fn follow(&self, state: &AppState, id: &AuthorityId) -> anyhow::Result<u64> {
        let Some(lease) = lease(state, &lease_name(id)).await? else { return Ok(0) };
        let seen = self.seen().get(id).cloned();
        let principal = Principal::Job("issuer-lists");
        let followed = follow_issuer_list(state.engine(), &principal, id, &lease, seen.as_deref()).await;
        let (version, taken) = match followed.map_err(with_detail)? {
            FollowedList::MadeHere | FollowedList::None(_) => (None, 0),
            FollowedList::Unchanged { version } => (version, 0),
            FollowedList::Taken { version, .. } => (version, 1),
        };
        match version {
            Some(version) => self.seen().insert(id.clone(), version),
            None => self.seen().remove(id),
        };
        Ok(taken)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, BTreeMap<AuthorityId, String>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Job for IssuerListsJob {
    fn name(&self) -> &'static str {
        "issuer-lists"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(INTERVAL.seconds())
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let is_elsewhere = |authority: &Authority| authority.issues_elsewhere() && authority.hand().is_ok();
        let follow = |id| async move { self.follow(state, &id).await };
        let outcome = self.authorities.run(state, is_elsewhere, follow).await;
        if outcome != Outcome::Done(0) {
            super::follow::refresh(state).await?;
        }
        Ok(outcome)
    }
}
