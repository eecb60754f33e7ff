//! Leases, judged by the fake clock.

use async_trait::async_trait;
use ca_core::time::Lifetime;

use super::record::LeaseRow;
use super::{MemoryStore, StoreMethod};
use crate::port::store::{Lease, LeaseStore, StoreError};

#[async_trait]
impl LeaseStore for MemoryStore {
    async fn acquire_lease(&self, name: &str, holder: &str, lifetime: Lifetime) -> Result<Option<Lease>, StoreError> {
        self.transact(StoreMethod::AcquireLease, |record, now| {
            let newest = record.leases.get(name);
            let running = newest.filter(|row| row.expires_at > now).and_then(|row| row.holder.as_deref());
            let last_token = newest.map_or(0, |row| row.token);
            let token = match running {
                Some(current) if current == holder => last_token,
                Some(_) => return Ok(None),
                None => last_token + 1,
            };
            let expires_at = now.plus(lifetime);
            let row = LeaseRow { holder: Some(holder.to_owned()), token, expires_at };
            record.leases.insert(name.to_owned(), row);
            Ok(Some(Lease { name: name.to_owned(), holder: holder.to_owned(), token, expires_at }))
        })
        .await
    }

    async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.transact(StoreMethod::ReleaseLease, |record, _| {
            if let Some(row) = record.leases.get_mut(&lease.name).filter(|row| row.token == lease.token) {
                row.holder = None;
            }
            Ok(())
        })
        .await
    }
}
