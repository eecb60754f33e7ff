//! The newest published lists in memory: read from the record once for all who serve, place and anchor them, since one may have
//! tens of megabytes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ca_core::id::AuthorityId;

use crate::error::FlowError;
use crate::port::store::{PublishedCrl, Store};

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
        let mut lists = self.by_authority.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert(list.intent.authority.clone(), list);
    }
}
