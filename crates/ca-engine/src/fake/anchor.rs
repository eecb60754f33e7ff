//! An anchor in memory that can be unreadable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ca_core::id::AuthorityId;

use super::yield_once;
use crate::list_octets::ListOctets;
use crate::port::anchor::{Anchor, AnchorError, AnchorHead, AnchoredRevocation, Generation, ServiceDigest};
use crate::port::store::ChainHead;

/// An anchor in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryAnchor {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    services: BTreeMap<ServiceDigest, Kept>,
    outage: Option<String>,
    is_partial: bool,
}

#[derive(Debug, Default)]
struct Kept {
    generations: BTreeMap<Generation, Log>,
    lists: BTreeMap<AuthorityId, (u64, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Log {
    rows: BTreeMap<u64, AnchoredRevocation>,
    chain: Option<ChainHead>,
}

impl MemoryAnchor {
    /// A place of one replica among many, which need not hold what others have anchored.
    pub fn partial() -> Self {
        let anchor = Self::default();
        anchor.state().is_partial = true;
        anchor
    }

    /// Makes every call fail until [`Self::repair`].
    pub fn break_down(&self, detail: &str) {
        self.state().outage = Some(detail.to_owned());
    }

    /// Ends [`Self::break_down`].
    pub fn repair(&self) {
        self.state().outage = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn with<T>(&self, service: &ServiceDigest, look: impl FnOnce(&mut Kept) -> T) -> Result<T, AnchorError> {
        yield_once().await;
        let mut state = self.state();
        if let Some(detail) = &state.outage {
            return Err(AnchorError::Unavailable { detail: detail.clone() });
        }
        Ok(look(state.services.entry(*service).or_default()))
    }
}

#[async_trait]
impl Anchor for MemoryAnchor {
    fn is_whole(&self) -> bool {
        !self.state().is_partial
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }

    async fn heads(&self, service: &ServiceDigest) -> Result<Vec<AnchorHead>, AnchorError> {
        self.with(service, |kept| {
            let heads = kept.generations.iter().map(|(generation, log)| AnchorHead {
                generation: *generation,
                newest: log.rows.last_key_value().map(|(_, row)| row.clone()),
                chain: log.chain,
            });
            heads.collect()
        })
        .await
    }

    async fn revocations(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        sequence: u64,
    ) -> Result<Vec<AnchoredRevocation>, AnchorError> {
        self.with(service, |kept| {
            let rows = kept.generations.get(&generation).map(|log| &log.rows);
            rows.into_iter().flat_map(|rows| rows.range(sequence + 1..)).map(|(_, row)| row.clone()).collect()
        })
        .await
    }

    async fn lists(&self, service: &ServiceDigest) -> Result<Vec<(AuthorityId, Vec<u8>)>, AnchorError> {
        self.with(service, |kept| {
            kept.lists.iter().map(|(authority, (_, der))| (authority.clone(), der.clone())).collect()
        })
        .await
    }

    async fn begin(&self, service: &ServiceDigest, generation: Generation) -> Result<(), AnchorError> {
        self.with(service, |kept| {
            kept.generations.entry(generation).or_default();
        })
        .await
    }

    async fn append(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        rows: &[AnchoredRevocation],
    ) -> Result<(), AnchorError> {
        self.with(service, |kept| {
            let log = kept.generations.entry(generation).or_default();
            log.rows.extend(rows.iter().map(|row| (row.row.sequence, row.clone())));
        })
        .await
    }

    async fn put_list(
        &self,
        service: &ServiceDigest,
        authority: &AuthorityId,
        number: u64,
        der: &ListOctets,
    ) -> Result<(), AnchorError> {
        let octets = der.to_vec().map_err(|error| AnchorError::Unavailable { detail: error.to_string() })?;
        self.with(service, |kept| {
            if kept.lists.get(authority).is_none_or(|(newest, _)| number > *newest) {
                kept.lists.insert(authority.clone(), (number, octets));
            }
        })
        .await
    }

    async fn put_chain_head(
        &self,
        service: &ServiceDigest,
        generation: Generation,
        head: ChainHead,
    ) -> Result<(), AnchorError> {
        self.with(service, |kept| {
            let log = kept.generations.entry(generation).or_default();
            if log.chain.is_none_or(|chain| chain.sequence < head.sequence) {
                log.chain = Some(head);
            }
        })
        .await
    }
}
