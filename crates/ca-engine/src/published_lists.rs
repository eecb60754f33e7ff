//! The newest published lists in memory: read from the record once for all who serve, place and anchor them, since one may have
//! tens of megabytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ca_core::id::AuthorityId;

use crate::engine::Engine;
use crate::error::FlowError;
use crate::port::store::PublishedCrl;

/// One list of each authority at most.
#[derive(Default)]
pub(crate) struct PublishedLists {
    by_authority: Mutex<BTreeMap<AuthorityId, Arc<PublishedCrl>>>,
}

impl PublishedLists {
    fn get(&self, authority: &AuthorityId, number: u64) -> Option<Arc<PublishedCrl>> {
        let lists = self.by_authority.lock().unwrap_or_else(PoisonError::into_inner);
        // Neither an older nor a newer one: a record that was set back must show.
        lists.get(authority).filter(|list| list.intent.number == number).cloned()
    }

    pub(crate) fn keep(&self, list: Arc<PublishedCrl>) {
        let mut lists = self.by_authority.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert(list.intent.authority.clone(), list);
    }
}

impl Engine {
    /// The published list of an authority, of which the record said that it has this number; a newer one when there is one
    /// meanwhile.
    pub async fn published_list(
        &self,
        authority: &AuthorityId,
        number: u64,
    ) -> Result<Option<Arc<PublishedCrl>>, FlowError> {
        if let Some(list) = self.published_lists().get(authority, number) {
            return Ok(Some(list));
        }
        let Some(list) = self.store().published_crl(authority).await?.map(Arc::new) else { return Ok(None) };
        self.published_lists().keep(Arc::clone(&list));
        Ok(Some(list))
    }
}
