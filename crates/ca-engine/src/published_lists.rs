//! The newest published lists in memory: read from the record once for all who serve, place and anchor them, since one may have
//! tens of megabytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ca_core::crl::ListName;
use ca_core::id::AuthorityId;

use crate::error::FlowError;
use crate::port::store::{PublishedCrl, PublishedPartial, Store};

/// Of how many lists of an authority the digests are remembered when newer ones have come. A gateway is some lists behind at the most.
const DIGESTS: usize = 256;

/// One complete list of each authority at most, and one of each of its shards and its delta.
#[derive(Default)]
pub(crate) struct PublishedLists {
    by_authority: Mutex<BTreeMap<AuthorityId, Arc<PublishedCrl>>>,
    /// SHA-256 of the complete lists that passed through here, by their numbers; the record keeps the newest list alone.
    digests: Mutex<BTreeMap<AuthorityId, BTreeMap<u64, [u8; 32]>>>,
    partial: Mutex<BTreeMap<ListName, Arc<PublishedPartial>>>,
}

impl PublishedLists {
    fn get(&self, authority: &AuthorityId, number: u64) -> Option<Arc<PublishedCrl>> {
        let lists = self.by_authority.lock().unwrap_or_else(PoisonError::into_inner);
        // Neither an older nor a newer one: a record that was set back must show.
        lists.get(authority).filter(|list| list.intent.number == number).cloned()
    }

    /// What [`crate::engine::Engine::published_list`] promises.
    pub(crate) async fn read(
        &self,
        store: &dyn Store,
        authority: &AuthorityId,
        number: u64,
    ) -> Result<Option<Arc<PublishedCrl>>, FlowError> {
        if let Some(list) = self.get(authority, number) {
            return Ok(Some(list));
        }
        let Some(list) = store.published_crl(authority).await?.map(Arc::new) else { return Ok(None) };
        self.keep(Arc::clone(&list));
        Ok(Some(list))
    }

    pub(crate) fn keep(&self, list: Arc<PublishedCrl>) {
        {
            let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
            let of_authority = digests.entry(list.intent.authority.clone()).or_default();
            of_authority.insert(list.intent.number, list.der.sha256());
            if of_authority.len() > DIGESTS {
                of_authority.pop_first();
            }
        }
        let mut lists = self.by_authority.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert(list.intent.authority.clone(), list);
    }

    /// SHA-256 of a complete list, if this process has seen it lately.
    pub(crate) fn digest(&self, authority: &AuthorityId, number: u64) -> Option<[u8; 32]> {
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        digests.get(authority)?.get(&number).copied()
    }

    /// What [`crate::engine::Engine::published_partial`] promises.
    pub(crate) async fn read_partial(
        &self,
        store: &dyn Store,
        list: &ListName,
        number: u64,
    ) -> Result<Option<Arc<PublishedPartial>>, FlowError> {
        let Some(scope) = list.part else { return Ok(None) };
        let known = self.partial.lock().unwrap_or_else(PoisonError::into_inner).get(list).cloned();
        if let Some(known) = known.filter(|known| known.intent.crl.number == number) {
            return Ok(Some(known));
        }
        let Some(found) = store.published_partial_crl(&list.authority, scope).await?.map(Arc::new) else {
            return Ok(None);
        };
        self.keep_partial(list, Arc::clone(&found));
        Ok(Some(found))
    }

    pub(crate) fn keep_partial(&self, list: &ListName, published: Arc<PublishedPartial>) {
        self.partial.lock().unwrap_or_else(PoisonError::into_inner).insert(list.clone(), published);
    }
}
