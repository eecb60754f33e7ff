//! A bug planted before what is on record of authorities.

use ca_engine::port::store::{AuthorityRecord, AuthorityStore, StoreError};

use super::planted::Planted;
use crate::lock;
use crate::planted_bug::PlantedBug;

impl Planted {
    pub(super) async fn authorities(&self) -> Result<Vec<AuthorityRecord>, StoreError> {
        let mut read = self.sound.authorities().await?;
        if self.has(PlantedBug::GenerationNotHeardOf) {
            let mut first = lock(&self.duties);
            for authority in &mut read {
                let told = *first.entry(authority.id.clone()).or_insert(authority.duty());
                (authority.state, authority.issues_from) = (told.state, told.issues_from);
            }
        }
        Ok(read)
    }
}
