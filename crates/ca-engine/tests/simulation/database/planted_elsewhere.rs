//! Bugs planted before what is on record of issuances elsewhere.

use ca_core::id::CertificateId;
use ca_core::serial::Serial;
use ca_engine::port::store::{AdoptOutcome, StoreError, UpstreamIntent, UpstreamStore};

use super::planted::Planted;
use crate::planted_bug::PlantedBug;

impl Planted {
    pub(super) async fn intend_upstream(&self, intent: UpstreamIntent) -> Result<bool, StoreError> {
        match self.has(PlantedBug::OrderNotOnRecord) {
            // Acknowledged, and its commit fails.
            true => Ok(true),
            false => self.sound.intend_upstream(intent).await,
        }
    }

    pub(super) async fn name_upstream(&self, id: CertificateId, name: &str) -> Result<(), StoreError> {
        match self.has(PlantedBug::OrderNotOnRecord) {
            true => Ok(()),
            false => self.sound.name_upstream(id, name).await,
        }
    }

    pub(super) async fn adopt_serial(&self, id: CertificateId, serial: &Serial) -> Result<AdoptOutcome, StoreError> {
        match self.has(PlantedBug::ReleasedBeforeAdopted) {
            true => Ok(AdoptOutcome::Adopted),
            false => self.sound.adopt_serial(id, serial).await,
        }
    }
}
