//! Leases: who does a job, with a token that fences off those who wake up late.

use async_trait::async_trait;
use ca_core::time::{Lifetime, Timestamp};

use super::StoreError;

/// A lease that was got. Writes made under it carry its token and are refused once a newer one exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Rises by at least one with every change of holder.
    pub token: u64,
    /// Until when, by the database's clock.
    pub expires_at: Timestamp,
}

/// Leases are rows, judged by the database's clock, never session locks.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Takes a lease that is free or has expired, or prolongs one that `holder` has (keeping its token). `None` while another
    /// holds it.
    async fn acquire_lease(&self, name: &str, holder: &str, lifetime: Lifetime) -> Result<Option<Lease>, StoreError>;

    /// Gives a lease back if it is still this one.
    async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError>;
}
