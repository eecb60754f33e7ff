//! Removal of what has expired: a month's tables are dropped, or replaced by small ones with what stays.
//!
//! The work is that of the functions of migration 5, in one transaction: what takes long is done beside the tables in use, and others
//! are kept away for no longer than dropping and attaching takes. The transaction fences itself at its end, so that a holder of the lease
//! who slept through its end drops nothing.

use std::time::Duration;

use async_trait::async_trait;
use ca_core::hash::Sha256;
use ca_core::id::CertificateId;
use ca_core::month::Month;
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    Journal, Lease, MonthRemoval, MonthShare, RemovalOutcome, RemovedCertificate, RetentionStore, StoreError,
};
use sqlx::FromRow;
use tokio::time::sleep;

use super::error::Failure;
use super::transaction::{Change, Transaction, make, read};
use super::{PostgresStore, column, journal};
use crate::row::retention::{RemovedRow, ShareRow, shares};
use crate::row::{self, inconsistent};

#[async_trait]
impl RetentionStore for PostgresStore {
    async fn months_before(&self, instant: Timestamp) -> Result<Vec<Month>, StoreError> {
        const SQL: &str = "SELECT month FROM certificate_months()";
        let rows: Vec<(String,)> = read(&self.reads, || sqlx::query_as(SQL)).await?;
        let parsed = rows.iter().map(|(month,)| month.parse());
        let months: Result<Vec<Month>, _> = parsed.collect();
        let mut months = months.map_err(|_| inconsistent("certificates", "a table that is no month's"))?;
        months.retain(|month| month.end() <= instant);
        Ok(months)
    }

    async fn review_month(&self, month: Month) -> Result<Vec<MonthShare>, StoreError> {
        Ok(make(&self.reads, &Review { month }).await?)
    }

    async fn remove_month(&self, lease: &Lease, removal: MonthRemoval) -> Result<RemovalOutcome, StoreError> {
        row::retention::require_old(removal.month, self.now().await?)?;
        match self.change(Removal { lease: lease.clone(), removal }).await {
            // All of it was taken back.
            Err(StoreError::Conflict { detail }) => {
                tracing::info!(why = detail, "a month is not removed now");
                Ok(RemovalOutcome::Busy)
            }
            outcome => outcome,
        }
    }

    async fn removed(&self, id: CertificateId) -> Result<Option<RemovedCertificate>, StoreError> {
        const SQL: &str = "SELECT s.authority, s.serial, s.not_after FROM serials AS s
                 LEFT JOIN certificates AS c ON c.id = s.certificate_id AND c.not_after = s.not_after
             WHERE s.certificate_id = $1 AND s.state BETWEEN 1 AND 3 AND c.id IS NULL";
        let rows: Vec<RemovedRow> = read(&self.reads, || sqlx::query_as(SQL).bind(column::certificate(id))).await?;
        rows.into_iter().next().map(|row| row.certificate(id)).transpose()
    }
}

/// The time limits of what reads a whole month.
const LONG: &str = "; SET LOCAL statement_timeout = '1h'; SET LOCAL idle_in_transaction_session_timeout = '60s'";

/// How long one answer of it is waited for: a little longer than the server lets it take.
const PATIENCE: Duration = Duration::from_secs(3_700);

struct Review {
    month: Month,
}

#[async_trait]
impl Change for Review {
    type Answer = Vec<MonthShare>;

    const LOCKS: &'static str = LONG;

    async fn apply(&self, transaction: &mut Transaction) -> Result<Vec<MonthShare>, Failure> {
        const SQL: &str = "SELECT profile, reason::bigint AS reason, certificates FROM review_month($1, $2)";
        let [lower_end, upper_end] = ends(self.month);
        let mut rows: Vec<ShareRow> = vec![];
        let query = sqlx::query_as(SQL).bind(lower_end).bind(upper_end);
        transaction.each_row(query, PATIENCE, |row| rows.push(row)).await?;
        Ok(shares(rows)?)
    }
}

struct Removal {
    lease: Lease,
    removal: MonthRemoval,
}

#[derive(FromRow)]
struct SetApart {
    outcome: String,
    removed: i64,
    kept: i64,
}

#[async_trait]
impl Change for Removal {
    type Answer = RemovalOutcome;

    const LOCKS: &'static str = LONG;

    // The server answers when the files of large tables are gone from the disk; nobody else waits for that.
    const COMMIT_PATIENCE: Duration = Duration::from_secs(600);

    async fn apply(&self, transaction: &mut Transaction) -> Result<RemovalOutcome, Failure> {
        const SET_APART: &str = "SELECT outcome, removed, kept FROM set_month_apart($1, $2, $3)";
        let [lower_end, upper_end] = ends(self.removal.month);
        let profiles: Vec<_> = self.removal.profiles.iter().map(ca_core::id::ProfileName::as_str).collect();
        let query = sqlx::query_as(SET_APART).bind(lower_end).bind(upper_end).bind(profiles);
        let apart: Option<SetApart> = transaction.patient_row(query, PATIENCE).await?;
        let apart = apart.ok_or_else(|| inconsistent("set_month_apart", "no answer"))?;
        match apart.outcome.as_str() {
            "set apart" => {}
            "nothing" => return Ok(RemovalOutcome::Nothing),
            _ => return Ok(RemovalOutcome::Busy),
        }
        let digest = self.digest(transaction).await?;
        self.replace(transaction).await?;
        let removed = row::unsigned("certificates", apart.removed)?;
        let kept = row::unsigned("certificates", apart.kept)?;
        if removed == 0 {
            // A month without a certificate had tables, and has none any more: nothing to tell.
            return Ok(RemovalOutcome::Nothing);
        }
        journal::store(&[&Journal::of(self.removal.event(removed, kept, &digest))], transaction).await?;
        Ok(RemovalOutcome::Removed { removed, kept })
    }
}

impl Removal {
    async fn digest(&self, transaction: &mut Transaction) -> Result<[u8; 32], Failure> {
        const SQL: &str = "SELECT fingerprint FROM removed_fingerprints($1, $2) AS fingerprint";
        let [lower_end, upper_end] = ends(self.removal.month);
        let mut digest = Sha256::new();
        let query = sqlx::query_as(SQL).bind(lower_end).bind(upper_end);
        transaction.each_row(query, PATIENCE, |(fingerprint,): (Vec<u8>,)| digest.update(&fingerprint)).await?;
        Ok(digest.finish())
    }

    /// Asks for the tables now and then, never for long: who reads or issues waits behind whoever waits for all of them.
    async fn replace(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str = "SELECT drop_month($1, $2, $3, $4)";
        let [lower_end, upper_end] = ends(self.removal.month);
        for attempt in 1..=ATTEMPTS {
            let query = sqlx::query_as(SQL)
                .bind(lower_end)
                .bind(upper_end)
                .bind(self.lease.name.as_str())
                // A token that no column holds matches nothing.
                .bind(i64::try_from(self.lease.token).ok());
            let answer: Option<(String,)> = transaction.row(query).await?;
            let answer = answer.map(|(answer,)| answer).unwrap_or_default();
            match answer.as_str() {
                "done" => return Ok(()),
                "fenced" => return Err(StoreError::Fenced { lease: self.lease.name.clone() }.into()),
                "in use" if attempt < ATTEMPTS => sleep(PAUSE).await,
                why => {
                    let detail = format!("the month {} is {why}", self.removal.month);
                    return Err(StoreError::Conflict { detail }.into());
                }
            }
        }
        Ok(())
    }
}

/// The ends of a month, as the functions take them.
fn ends(month: Month) -> [i64; 2] {
    [month.start().unix_millis(), month.end().unix_millis()]
}

/// How often the tables are asked for, and how long others have in between.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(1_000);
