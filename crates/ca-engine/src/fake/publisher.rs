//! A place for CRLs that fails when told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ca_core::crl::ListName;
use ca_core::id::AuthorityId;

use super::yield_once;
use crate::port::list_octets::ListOctets;
use crate::port::publisher::{PublishError, Publisher};

/// How one call of [`Publisher::publish_crl`] fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFault {
    /// Before anything was put in place.
    Before,
    /// After the list was put in place: only the acknowledgement is lost.
    After,
}

/// Lists in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct FlakyPublisher {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    lists: BTreeMap<ListName, (u64, Vec<u8>)>,
    script: VecDeque<PublishFault>,
    calls: Vec<(ListName, u64)>,
}

impl FlakyPublisher {
    /// How the next calls fail, in order; after them calls succeed.
    pub fn script(&self, faults: impl IntoIterator<Item = PublishFault>) {
        self.state().script.extend(faults);
    }

    /// The number and octets of the complete list in place.
    pub fn published(&self, authority: &AuthorityId) -> Option<(u64, Vec<u8>)> {
        self.published_list(&ListName::complete(authority.clone()))
    }

    /// The number and octets of the list in place.
    pub fn published_list(&self, list: &ListName) -> Option<(u64, Vec<u8>)> {
        self.state().lists.get(list).cloned()
    }

    /// Every call, in order, with the number it brought.
    pub fn calls(&self) -> Vec<(ListName, u64)> {
        self.state().calls.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Publisher for FlakyPublisher {
    async fn publish_crl(&self, list: &ListName, number: u64, der: &ListOctets) -> Result<(), PublishError> {
        yield_once().await;
        let octets = der.to_vec().map_err(|error| PublishError { detail: error.to_string() })?;
        let mut state = self.state();
        state.calls.push((list.clone(), number));
        let fault = state.script.pop_front();
        if fault == Some(PublishFault::Before) {
            return Err(PublishError { detail: "failed by the test, nothing was put in place".to_owned() });
        }
        if state.lists.get(list).is_none_or(|(newest, _)| number > *newest) {
            state.lists.insert(list.clone(), (number, octets));
        }
        if fault == Some(PublishFault::After) {
            return Err(PublishError { detail: "failed by the test, the list is in place".to_owned() });
        }
        Ok(())
    }
}
