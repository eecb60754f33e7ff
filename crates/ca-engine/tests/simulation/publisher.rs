//! The folder of published CRLs that every replica writes to, as object storage is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ca_core::crl::ListName;
use ca_core::id::AuthorityId;
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::publisher::{PublishError, Publisher};

use crate::auditor::Auditor;
use crate::executor::nap;
use crate::lock;
use crate::planted_bug::PlantedBug;
use crate::random::Random;

/// The newest list of each name: its number and DER.
type Lists = BTreeMap<ListName, (u64, Vec<u8>)>;

/// The newest list of each authority; now and then it cannot be reached.
#[derive(Clone)]
pub(crate) struct SharedFolder {
    lists: Arc<Mutex<Lists>>,
    random: Arc<Mutex<Random>>,
    auditor: Arc<Mutex<Auditor>>,
    bug: Option<PlantedBug>,
}

impl SharedFolder {
    pub(crate) fn new(seed: u64, auditor: Arc<Mutex<Auditor>>, bug: Option<PlantedBug>) -> Self {
        let random = Arc::new(Mutex::new(Random::new(seed ^ 0xf01d)));
        Self { lists: Arc::default(), random, auditor, bug }
    }

    /// The complete lists that are in place.
    pub(crate) fn newest(&self) -> Vec<(AuthorityId, Vec<u8>)> {
        let lists = lock(&self.lists);
        let complete = lists.iter().filter(|(list, _)| list.part.is_none());
        complete.map(|(list, (_, der))| (list.authority.clone(), der.clone())).collect()
    }

    pub(crate) fn of_replica(&self) -> Self {
        self.clone()
    }
}

#[async_trait]
impl Publisher for SharedFolder {
    async fn publish_crl(&self, list: &ListName, number: u64, der: &ListOctets) -> Result<(), PublishError> {
        let octets = der.to_vec().map_err(|error| PublishError { detail: error.to_string() })?;
        nap().await;
        if lock(&self.random).one_in(12) {
            return Err(PublishError { detail: "the folder cannot be reached".to_owned() });
        }
        let newer = {
            let mut lists = lock(&self.lists);
            let newest = lists.get(list).map_or(0, |(newest, _)| *newest);
            let newer = number > newest || (self.bug == Some(PlantedBug::OlderListPublished) && number < newest);
            if newer {
                lists.insert(list.clone(), (number, octets.clone()));
            }
            newer
        };
        if newer {
            lock(&self.auditor).list_in_place(list, number, &octets);
        }
        nap().await;
        Ok(())
    }
}
