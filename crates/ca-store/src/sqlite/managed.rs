//! Managed certificates.

use async_trait::async_trait;
use ca_core::id::{ManagedCertificateId, RotationId};
use ca_core::managed::Urgency;
use ca_core::managed::definition::Deliverer;
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    Journal, LATELY, Lease, ManagedAddition, ManagedCertificate, ManagedCounts, ManagedStore, StoreError,
};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use super::lease::fence;
use crate::row;
use crate::row::managed::{CountsRow, ManagedRow};

/// The columns of a [`ManagedRow`].
macro_rules! managed_columns {
    () => {
        "id, name, owner, profile, definition, state, revision, created_at, created_by, certificate_id, rotation_of_current,
         not_after, rotation_id, rotation_step, rotation_certificate_id, rotation_begun_at, superseded_id,
         superseded_revoke_at, failures, last_failed_at, last_error, next_at,
         deliverer, asked, told, probe_until, service_at"
    };
}

/// The column `target`, of a definition that is a parameter; as in migration 22.
macro_rules! target_of {
    ($definition:literal) => {
        concat!(
            "coalesce(json_extract(",
            $definition,
            ", '$.delivered_by'), 'service') || char(10)
             || json_extract(",
            $definition,
            ", '$.target.kind') || char(10)
             || coalesce(json_extract(",
            $definition,
            ", '$.target.path'), json_extract(",
            $definition,
            ", '$.target.secret'), '')
             || char(10) || coalesce(json_extract(",
            $definition,
            ", '$.target.region'), '')"
        )
    };
}

/// The id of the one with the target of a definition.
const WITH_TARGET: &str = concat!("SELECT id FROM managed_certificates WHERE target = ", target_of!("$1"));

#[async_trait]
impl ManagedStore for SqliteStore {
    async fn add_managed(&self, managed: ManagedCertificate, journal: Journal) -> Result<ManagedAddition, StoreError> {
        self.change(Addition { managed, journal }).await
    }

    async fn managed(&self, id: ManagedCertificateId) -> Result<Option<ManagedCertificate>, StoreError> {
        by_id(&self.readers, id).await?.map(TryInto::try_into).transpose()
    }

    async fn managed_by_name(&self, name: &str) -> Result<Option<ManagedCertificate>, StoreError> {
        by_name(&self.readers, name).await?.map(TryInto::try_into).transpose()
    }

    async fn managed_by_target(&self, definition: &str) -> Result<Option<ManagedCertificateId>, StoreError> {
        Ok(by_target(&self.readers, definition).await?.map(read_id).transpose()?)
    }

    async fn managed_certificates(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ManagedCertificate>, StoreError> {
        list(&self.readers, after, limit).await?.into_iter().map(TryInto::try_into).collect()
    }

    async fn change_managed(
        &self,
        lease: Option<&Lease>,
        managed: ManagedCertificate,
        journal: Option<Journal>,
    ) -> Result<bool, StoreError> {
        self.change(Alteration { lease: lease.cloned(), managed, journal }).await
    }

    async fn remove_managed(
        &self,
        id: ManagedCertificateId,
        revision: u64,
        journal: Journal,
    ) -> Result<bool, StoreError> {
        self.change(Removal { id, revision, journal }).await
    }

    async fn due_managed(
        &self,
        who: Deliverer,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ManagedCertificate>, StoreError> {
        due(&self.readers, who, now, limit).await?.into_iter().map(TryInto::try_into).collect()
    }

    async fn count_managed(&self, now: Timestamp) -> Result<ManagedCounts, StoreError> {
        counts(&self.readers, now).await?.try_into()
    }
}

async fn by_id(readers: &SqlitePool, id: ManagedCertificateId) -> Result<Option<ManagedRow>, Failure> {
    const SQL: &str = concat!("SELECT ", managed_columns!(), " FROM managed_certificates WHERE id = $1");
    Ok(sqlx::query_as(SQL).bind(id.as_bytes().as_slice()).fetch_optional(readers).await?)
}

async fn by_name(readers: &SqlitePool, name: &str) -> Result<Option<ManagedRow>, Failure> {
    const SQL: &str = concat!("SELECT ", managed_columns!(), " FROM managed_certificates WHERE name = $1");
    Ok(sqlx::query_as(SQL).bind(name).fetch_optional(readers).await?)
}

async fn by_target(readers: &SqlitePool, definition: &str) -> Result<Option<Vec<u8>>, Failure> {
    Ok(sqlx::query_scalar(WITH_TARGET).bind(definition).fetch_optional(readers).await?)
}

fn read_id(id: Vec<u8>) -> Result<ManagedCertificateId, StoreError> {
    Ok(ManagedCertificateId::from_bytes(row::octets("managed_certificates.id", id)?))
}

async fn list(readers: &SqlitePool, after: Option<&str>, limit: u32) -> Result<Vec<ManagedRow>, Failure> {
    const SQL: &str =
        concat!("SELECT ", managed_columns!(), " FROM managed_certificates WHERE name > $1 ORDER BY name LIMIT $2");
    // No name is empty.
    Ok(sqlx::query_as(SQL).bind(after.unwrap_or_default()).bind(limit).fetch_all(readers).await?)
}

async fn due(readers: &SqlitePool, who: Deliverer, now: Timestamp, limit: u32) -> Result<Vec<ManagedRow>, Failure> {
    const SERVICE: &str = concat!(
        "SELECT ",
        managed_columns!(),
        " FROM managed_certificates WHERE state = 0 AND service_at <= $1 ORDER BY service_at, id LIMIT $2"
    );
    const WORKER: &str = concat!(
        "SELECT ",
        managed_columns!(),
        " FROM managed_certificates WHERE state = 0 AND deliverer = 1 AND next_at <= $1 ORDER BY next_at, id LIMIT $2"
    );
    let sql = match who {
        Deliverer::Service => SERVICE,
        Deliverer::Worker => WORKER,
    };
    Ok(sqlx::query_as(sql).bind(now.unix_millis()).bind(limit).fetch_all(readers).await?)
}

async fn counts(readers: &SqlitePool, now: Timestamp) -> Result<CountsRow, Failure> {
    // All of them: this reads the whole table.
    const SQL: &str = "SELECT count(*) FILTER (WHERE state = 0) AS active, count(*) FILTER (WHERE state = 1) AS paused,
             count(*) FILTER (WHERE state = 0 AND next_at <= $1) AS due,
             count(*) FILTER (WHERE state = 0 AND rotation_id IS NOT NULL) AS rotating,
             count(*) FILTER (WHERE state = 0 AND failures > 0) AS failing,
             count(*) FILTER (WHERE state = 0 AND rotation_of_current >= $2) AS rotated_lately
         FROM managed_certificates";
    // An id begins with the time at which it was made.
    let since = RotationId::new(now.minus(LATELY), [0; 10]);
    let query = sqlx::query_as(SQL).bind(now.unix_millis()).bind(since.as_bytes().to_vec());
    Ok(query.fetch_one(readers).await?)
}

struct Addition {
    managed: ManagedCertificate,
    journal: Journal,
}

#[async_trait]
impl Change for Addition {
    type Answer = ManagedAddition;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<ManagedAddition, Failure> {
        let Self { managed, journal } = self;
        const LOOK: &str = "SELECT id FROM managed_certificates WHERE name = $1";
        let there: Option<Vec<u8>> =
            sqlx::query_scalar(LOOK).bind(managed.name.as_str()).fetch_optional(&mut *connection).await?;
        if let Some(id) = there {
            return Ok(ManagedAddition::NameTaken(read_id(id)?));
        }
        let there: Option<Vec<u8>> =
            sqlx::query_scalar(WITH_TARGET).bind(managed.definition.as_str()).fetch_optional(&mut *connection).await?;
        if let Some(id) = there {
            return Ok(ManagedAddition::TargetTaken(read_id(id)?));
        }
        const SQL: &str = "INSERT INTO managed_certificates (id, revision, owner, profile, definition, state, certificate_id,
                 rotation_of_current, not_after, rotation_id, rotation_step, rotation_certificate_id, rotation_begun_at,
                 superseded_id, superseded_revoke_at, failures, last_failed_at, last_error, next_at, deliverer, asked, told,
                 probe_until, service_at, name, created_at, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
                 $24, $25, $26, $27)";
        bind(SQL, managed)?
            .bind(managed.name.as_str())
            .bind(managed.created_at.unix_millis())
            .bind(managed.created_by.as_str())
            .execute(&mut *connection)
            .await?;
        journal::bind(journal_sql!(), journal).execute(connection).await?;
        Ok(ManagedAddition::Added)
    }
}

struct Alteration {
    lease: Option<Lease>,
    managed: ManagedCertificate,
    journal: Option<Journal>,
}

#[async_trait]
impl Change for Alteration {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        if let Some(lease) = &self.lease {
            fence(lease, &mut *connection).await?;
        }
        const SQL: &str =
            "UPDATE managed_certificates SET revision = revision + 1, owner = $3, profile = $4, definition = $5,
                 state = $6, certificate_id = $7, rotation_of_current = $8, not_after = $9, rotation_id = $10,
                 rotation_step = $11, rotation_certificate_id = $12, rotation_begun_at = $13, superseded_id = $14,
                 superseded_revoke_at = $15, failures = $16, last_failed_at = $17, last_error = $18, next_at = $19,
                 deliverer = $20, asked = $21, told = $22, probe_until = $23, service_at = $24
             WHERE id = $1 AND revision = $2";
        let changed = bind(SQL, &self.managed)?.execute(&mut *connection).await?.rows_affected() > 0;
        if let Some(journal) = self.journal.as_ref().filter(|_| changed) {
            journal::bind(journal_sql!(), journal).execute(connection).await?;
        }
        Ok(changed)
    }
}

/// Begins a query whose parameters $1 to $24 are what may change, after id and revision.
fn bind<'q>(
    sql: &'static str,
    managed: &'q ManagedCertificate,
) -> Result<Query<'q, Sqlite, SqliteArguments>, StoreError> {
    let course = &managed.course;
    let (current, rotation, superseded) = (course.current, course.rotation, course.superseded);
    let last_failure = course.last_failure.as_ref();
    Ok(sqlx::query(sql)
        .bind(managed.id.as_bytes().as_slice())
        .bind(row::signed("the revision", managed.revision)?)
        .bind(managed.owner.as_str())
        .bind(managed.profile.as_str())
        .bind(managed.definition.as_str())
        .bind(i64::from(managed.paused))
        .bind(current.map(|current| current.certificate.as_bytes().to_vec()))
        .bind(current.map(|current| current.rotation.as_bytes().to_vec()))
        .bind(current.map(|current| current.not_after.unix_millis()))
        .bind(rotation.map(|rotation| rotation.id.as_bytes().to_vec()))
        .bind(rotation.map(|rotation| rotation.step.as_str()))
        .bind(rotation.and_then(|rotation| rotation.certificate).map(|id| id.as_bytes().to_vec()))
        .bind(rotation.map(|rotation| rotation.begun_at.unix_millis()))
        .bind(superseded.map(|superseded| superseded.certificate.as_bytes().to_vec()))
        .bind(superseded.map(|superseded| superseded.revoke_at.unix_millis()))
        .bind(course.failures)
        .bind(last_failure.map(|failure| failure.at.unix_millis()))
        .bind(last_failure.map(|failure| failure.error.as_str()))
        .bind(course.next_at.unix_millis())
        .bind(row::managed::deliverer(managed.delivered_by))
        .bind(i64::from(course.asked))
        .bind(course.told.map(Urgency::as_str))
        .bind(course.probe_until.map(Timestamp::unix_millis))
        .bind(managed.service_at().map(Timestamp::unix_millis)))
}

struct Removal {
    id: ManagedCertificateId,
    revision: u64,
    journal: Journal,
}

#[async_trait]
impl Change for Removal {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        const SQL: &str = "DELETE FROM managed_certificates WHERE id = $1 AND revision = $2";
        let query =
            sqlx::query(SQL).bind(self.id.as_bytes().as_slice()).bind(row::signed("the revision", self.revision)?);
        let removed = query.execute(&mut *connection).await?.rows_affected() > 0;
        if removed {
            journal::bind(journal_sql!(), &self.journal).execute(connection).await?;
        }
        Ok(removed)
    }
}
