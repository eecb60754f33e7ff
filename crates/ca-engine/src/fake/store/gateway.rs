//! What gateways say.

use async_trait::async_trait;
use ca_core::id::CertificateId;

use super::{MemoryStore, StoreMethod};
use crate::port::store::{GatewayRecord, GatewayStore, Journal, StoreError};

#[async_trait]
impl GatewayStore for MemoryStore {
    async fn gateways(&self) -> Result<Vec<GatewayRecord>, StoreError> {
        self.transact(StoreMethod::Gateways, |record, _| Ok(record.gateways.values().cloned().collect())).await
    }

    async fn gateway(&self, id: &str) -> Result<Option<GatewayRecord>, StoreError> {
        self.transact(StoreMethod::Gateway, |record, _| Ok(record.gateways.get(id).cloned())).await
    }

    async fn put_gateway(
        &self,
        gateway: GatewayRecord,
        spoken_by: Option<CertificateId>,
        journal: Option<Journal>,
    ) -> Result<(), StoreError> {
        self.transact(StoreMethod::PutGateway, |record, _| {
            if record.gateways.get(&gateway.id).map(|there| there.certificate) != spoken_by {
                return Err(StoreError::Conflict { detail: format!("another speaks for gateway {}", gateway.id) });
            }
            record.gateways.insert(gateway.id.clone(), gateway);
            if let Some(journal) = journal {
                record.write_journal(journal);
            }
            Ok(())
        })
        .await
    }

    async fn remove_gateway(&self, id: &str, journal: Journal) -> Result<bool, StoreError> {
        self.transact(StoreMethod::RemoveGateway, |record, _| {
            let removed = record.gateways.remove(id).is_some();
            if removed {
                record.write_journal(journal);
            }
            Ok(removed)
        })
        .await
    }
}
