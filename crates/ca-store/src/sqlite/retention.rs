//! Removal of what has expired: a month is walked through from its first end to its last, some hundred certificates a commit.
//!
//! What a certificate is found by is computed from its names, since no index leads from an id to its terms.

use std::collections::BTreeSet;

use async_trait::async_trait;
use ca_core::hash::Sha256;
use ca_core::id::{CertificateId, ProfileName};
use ca_core::month::Month;
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    Journal, Lease, MonthRemoval, MonthShare, RemovalOutcome, RemovedCertificate, RetentionStore, StoreError,
};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::SqliteStore;
use super::certificate_record::term;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::lease::fence;
use crate::row::inconsistent;
use crate::row::personal_data::CERTIFICATE;
use crate::row::retention::{RemovableRow, RemovedRow, ShareRow, require_old, shares};

/// SQL of the ids that stay whatever their age, each with the place of its reason in [`ca_engine::port::store::KeptFor::ALL`].
macro_rules! references_sql {
    () => {
        "SELECT certificate_id AS id, 0 AS reason FROM authorities
         UNION ALL SELECT certificate_id, 1 FROM responders
         UNION ALL SELECT certificate_id, 2 FROM roles
         UNION ALL SELECT renews, 3 FROM reservations WHERE abandoned_at IS NULL AND renews IS NOT NULL
         UNION ALL SELECT certificate_id, 4 FROM outbox WHERE certificate_id IS NOT NULL
         UNION ALL SELECT certificate_id, 4 FROM deliveries WHERE certificate_id IS NOT NULL
         UNION ALL SELECT unhex(substr(subject, 13), '-'), 5 FROM audit_events
             WHERE sequence IS NULL AND subject LIKE 'certificate:%'"
    };
}

#[async_trait]
impl RetentionStore for SqliteStore {
    async fn months_before(&self, instant: Timestamp) -> Result<Vec<Month>, StoreError> {
        let mut months = vec![];
        let mut from = Timestamp::from_unix_millis(i64::MIN);
        while let Some(end) = self.first_end(from).await? {
            let month = Month::of(end);
            if month.end() > instant {
                break;
            }
            months.push(month);
            from = month.end();
        }
        Ok(months)
    }

    async fn review_month(&self, month: Month) -> Result<Vec<MonthShare>, StoreError> {
        shares(self.share_rows(month).await?)
    }

    async fn remove_month(&self, lease: &Lease, removal: MonthRemoval) -> Result<RemovalOutcome, StoreError> {
        require_old(removal.month, self.now().await?)?;
        let (goes, stays) = self.counts(&removal).await?;
        if goes == 0 {
            return Ok(RemovalOutcome::Nothing);
        }
        if self.is_under_way(removal.month).await? {
            return Ok(RemovalOutcome::Busy);
        }
        let (mut removed, mut after) = (0, (removal.month.start().unix_millis(), vec![]));
        loop {
            let rows = self.removable(&removal, &after).await?;
            let Some(last) = rows.last() else { break };
            after = (last.not_after, last.id.clone());
            self.know_keys(rows.iter().flat_map(RemovableRow::key_versions)).await?;
            let batch = rows.into_iter().map(|row| self.to_remove(row)).collect::<Result<_, StoreError>>()?;
            removed += self.change(Removal { lease: lease.clone(), removal: removal.clone(), batch, stays }).await?;
        }
        Ok(match removed {
            0 => RemovalOutcome::Nothing,
            removed => RemovalOutcome::Removed { removed, kept: stays },
        })
    }

    async fn removed(&self, id: CertificateId) -> Result<Option<RemovedCertificate>, StoreError> {
        self.removed_row(id).await?.map(|row| row.certificate(id)).transpose()
    }
}

impl SqliteStore {
    /// The first end of a certificate's validity at or after an instant.
    async fn first_end(&self, from: Timestamp) -> Result<Option<Timestamp>, Failure> {
        const SQL: &str = "SELECT not_after FROM certificates WHERE not_after >= $1 ORDER BY not_after LIMIT 1";
        let end: Option<i64> = sqlx::query_scalar(SQL).bind(from.unix_millis()).fetch_optional(&self.readers).await?;
        Ok(end.map(Timestamp::from_unix_millis))
    }

    async fn share_rows(&self, month: Month) -> Result<Vec<ShareRow>, Failure> {
        const SQL: &str = concat!(
            "SELECT c.profile, r.reason, COUNT(*) AS certificates
             FROM certificates AS c INDEXED BY certificates_by_end
                 LEFT JOIN (SELECT id, MIN(reason) AS reason FROM (",
            references_sql!(),
            ") GROUP BY id) AS r ON r.id = c.id
             WHERE c.not_after >= $1 AND c.not_after < $2 GROUP BY c.profile, r.reason"
        );
        let query = sqlx::query_as(SQL).bind(month.start().unix_millis()).bind(month.end().unix_millis());
        Ok(query.fetch_all(&self.readers).await?)
    }

    /// How many certificates of a month may go, and how many stay.
    async fn counts(&self, removal: &MonthRemoval) -> Result<(u64, u64), StoreError> {
        let mut counts = (0, 0);
        for share in shares(self.share_rows(removal.month).await?)? {
            let goes = share.kept_for.is_none() && removal.profiles.contains(&share.profile);
            *(if goes { &mut counts.0 } else { &mut counts.1 }) += share.certificates;
        }
        Ok(counts)
    }

    /// Whether an issuance that ends in a month is under way.
    async fn is_under_way(&self, month: Month) -> Result<bool, Failure> {
        // Few are open; the index has those alone.
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM reservations INDEXED BY reservations_open
                 WHERE abandoned_at IS NULL AND reserved_at >= $3 AND not_after >= $1 AND not_after < $2)";
        let query = sqlx::query_scalar(SQL).bind(month.start().unix_millis()).bind(month.end().unix_millis());
        Ok(query.bind(i64::MIN).fetch_one(&self.readers).await?)
    }

    /// The next certificates of a month's walk whose profile lets them go.
    async fn removable(
        &self,
        removal: &MonthRemoval,
        (end, id): &(i64, Vec<u8>),
    ) -> Result<Vec<RemovableRow>, Failure> {
        const SQL: &str = "SELECT c.id, c.authority, c.serial, c.not_after, c.subject, c.names, c.fingerprint_sha256
             FROM certificates AS c INDEXED BY certificates_by_end
             WHERE (c.not_after, c.id) > ($1, $2) AND c.not_after < $3
                 AND c.profile IN (SELECT value FROM json_each($4))
             ORDER BY c.not_after, c.id LIMIT $5";
        let profiles: Vec<_> = removal.profiles.iter().map(ProfileName::as_str).collect();
        let query = sqlx::query_as(SQL)
            .bind(end)
            .bind(id.as_slice())
            .bind(removal.month.end().unix_millis())
            .bind(serde_json::Value::from(profiles).to_string())
            .bind(AT_ONCE);
        Ok(query.fetch_all(&self.readers).await?)
    }

    fn to_remove(&self, row: RemovableRow) -> Result<ToRemove, StoreError> {
        let (terms, sealer) = row.terms(&self.personal_data)?;
        let terms = terms.all().map(|(kind, text)| (kind, term(kind, text, sealer.as_ref()))).collect();
        Ok(ToRemove { row, terms })
    }

    async fn removed_row(&self, id: CertificateId) -> Result<Option<RemovedRow>, Failure> {
        const SQL: &str =
            "SELECT authority, serial, not_after FROM serials WHERE certificate_id = $1 AND removed_at IS NOT NULL";
        Ok(sqlx::query_as(SQL).bind(id.as_bytes().as_slice()).fetch_optional(&self.readers).await?)
    }
}

struct ToRemove {
    row: RemovableRow,
    terms: Vec<(u8, String)>,
}

/// Some certificates that may go.
struct Removal {
    lease: Lease,
    removal: MonthRemoval,
    batch: Vec<ToRemove>,
    /// How many of the month stay.
    stays: u64,
}

#[async_trait]
impl Change for Removal {
    type Answer = u64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<u64, Failure> {
        fence(&self.lease, connection).await?;
        let kept = references(&mut *connection).await?;
        let mut fingerprints = vec![];
        for ToRemove { row, terms } in self.batch.iter().filter(|goes| !kept.contains(&goes.row.id)) {
            // One that was encrypted anew meanwhile is found by other terms: it goes with a later run.
            const REMOVE: &str = "DELETE FROM certificates WHERE id = $1 AND subject = $2";
            let remove = sqlx::query(REMOVE).bind(row.id.as_slice()).bind(row.subject.as_slice());
            if remove.execute(&mut *connection).await?.rows_affected() == 0 {
                continue;
            }
            self.remove_traces(row, terms, connection).await?;
            fingerprints.push(row.fingerprint_sha256.as_slice());
        }
        let removed = fingerprints.len() as u64;
        if removed == 0 {
            return Ok(0);
        }
        fingerprints.sort_unstable();
        let mut digest = Sha256::new();
        fingerprints.iter().for_each(|fingerprint| digest.update(fingerprint));
        let journal = Journal::of(self.removal.event(removed, self.stays, &digest.finish()));
        journal::bind(journal_sql!(), &journal).execute(connection).await?;
        Ok(removed)
    }
}

impl Removal {
    async fn remove_traces(
        &self,
        row: &RemovableRow,
        terms: &[(u8, String)],
        connection: &mut SqliteConnection,
    ) -> Result<(), Failure> {
        for (kind, value) in terms {
            const FORGET: &str = "DELETE FROM certificate_names WHERE kind = $1 AND value = $2 AND certificate_id = $3";
            let forget = sqlx::query(FORGET).bind(kind).bind(value.as_str()).bind(row.id.as_slice());
            if forget.execute(&mut *connection).await?.rows_affected() == 0 {
                return Err(inconsistent("certificate_names", "a certificate that is not found by its names").into());
            }
        }
        const ERASE: &str = "DELETE FROM personal_data WHERE id = $1 AND kind = $2";
        sqlx::query(ERASE).bind(row.id.as_slice()).bind(CERTIFICATE).execute(&mut *connection).await?;
        const MARK: &str =
            "UPDATE serials SET removed_at = $3 WHERE serial = $1 AND authority = $2 AND state BETWEEN 1 AND 3";
        let mark = sqlx::query(MARK)
            .bind(row.serial.as_slice())
            .bind(row.authority.as_str())
            .bind(self.removal.at.unix_millis());
        match mark.execute(connection).await?.rows_affected() {
            1 => Ok(()),
            _ => Err(inconsistent("serials", "a certificate whose serial is not issued").into()),
        }
    }
}

/// The ids that stay whatever their age.
async fn references(executor: impl SqliteExecutor<'_>) -> Result<BTreeSet<Vec<u8>>, Failure> {
    const SQL: &str = concat!("SELECT id FROM (", references_sql!(), ") WHERE id IS NOT NULL");
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(SQL).fetch_all(executor).await?;
    Ok(ids.into_iter().collect())
}

/// How many certificates go with one commit: whoever else writes waits no longer than that takes.
const AT_ONCE: i64 = 250;
