//! The tables of a month, made before the first certificate that ends in it is reserved. How they go is in [`super::retention`].

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use ca_core::time::Timestamp;

use super::error::Failure;
use super::pool::Pool;
use super::transaction::{Change, Transaction, make};

/// The months whose tables are known to be there.
#[derive(Default)]
pub(super) struct Months {
    known: Mutex<BTreeSet<String>>,
    /// Whoever asks the database; the others of this process wait for the answer instead of asking as well.
    turn: tokio::sync::Mutex<()>,
}

impl Months {
    /// Makes the tables of the month of `not_after`, in a transaction of its own, unless this process knows that they are there.
    pub(super) async fn ensure(&self, pool: &Pool, not_after: Timestamp) -> Result<(), Failure> {
        let mut month = not_after.to_rfc3339();
        // `2027-03` of `2027-03-01T00:00:00Z`
        month.truncate(7);
        if self.known().contains(&month) {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        if self.known().contains(&month) {
            return Ok(());
        }
        self.ensure_now(pool, not_after).await?;
        self.known().insert(month);
        Ok(())
    }

    /// The same, whatever this process knows: of a month that has ended, another may have dropped the tables meanwhile.
    pub(super) async fn ensure_now(&self, pool: &Pool, not_after: Timestamp) -> Result<(), Failure> {
        make(pool, &Month { not_after }).await
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Month {
    not_after: Timestamp,
}

#[async_trait]
impl Change for Month {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        let query = sqlx::query("SELECT ensure_month($1)").bind(self.not_after.unix_millis());
        transaction.execute(query).await.map(|_| ())
    }
}
