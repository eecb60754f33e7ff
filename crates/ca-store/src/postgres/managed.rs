//! Managed certificates.

use async_trait::async_trait;
use ca_core::id::{ManagedCertificateId, RotationId};
use ca_core::managed::Urgency;
use ca_core::managed::definition::Deliverer;
use ca_core::time::Timestamp;
use ca_engine::port::store::{
    Journal, LATELY, Lease, ManagedAddition, ManagedCertificate, ManagedCounts, ManagedStore, StoreError,
};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use super::error::Failure;
use super::lease::fence;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, column, journal};
use crate::inconsistency::inconsistent;
use crate::row;
use crate::row::managed::{CountsRow, ManagedRow};

/// The columns of a [`ManagedRow`].
macro_rules! managed_columns {
    () => {
        "uuid_send(m.id) AS id, name, owner, profile, definition, state, revision, created_at, created_by,
         uuid_send(certificate_id) AS certificate_id, uuid_send(rotation_of_current) AS rotation_of_current, not_after,
         uuid_send(rotation_id) AS rotation_id, rotation_step,
         uuid_send(rotation_certificate_id) AS rotation_certificate_id, rotation_begun_at,
         uuid_send(superseded_id) AS superseded_id, superseded_revoke_at, failures, last_failed_at, last_error, next_at,
         deliverer, asked, told, probe_until, service_at"
    };
}

/// The column `target`, of a definition that is a parameter; as in migration 22.
macro_rules! target_of {
    ($definition:literal) => {
        concat!(
            "coalesce(",
            $definition,
            "::jsonb #>> '{delivered_by}', 'service') || chr(10)
             || (",
            $definition,
            "::jsonb #>> '{target,kind}') || chr(10)
             || coalesce(",
            $definition,
            "::jsonb #>> '{target,path}', ",
            $definition,
            "::jsonb #>> '{target,secret}', '')
             || chr(10) || coalesce(",
            $definition,
            "::jsonb #>> '{target,region}', '')"
        )
    };
}

/// The id of the one with the target of a definition.
const WITH_TARGET: &str =
    concat!("SELECT uuid_send(m.id) AS id FROM managed_certificates m WHERE m.target = ", target_of!("$1::text"));

#[async_trait]
impl ManagedStore for PostgresStore {
    async fn add_managed(&self, managed: ManagedCertificate, journal: Journal) -> Result<ManagedAddition, StoreError> {
        self.change(Addition { managed, journal }).await
    }

    async fn managed(&self, id: ManagedCertificateId) -> Result<Option<ManagedCertificate>, StoreError> {
        const SQL: &str = concat!("SELECT ", managed_columns!(), " FROM managed_certificates m WHERE m.id = $1");
        let rows: Vec<ManagedRow> = read(&self.reads, || sqlx::query_as(SQL).bind(column::managed(id))).await?;
        rows.into_iter().next().map(TryInto::try_into).transpose()
    }

    async fn managed_by_name(&self, name: &str) -> Result<Option<ManagedCertificate>, StoreError> {
        const SQL: &str = concat!("SELECT ", managed_columns!(), " FROM managed_certificates m WHERE m.name = $1");
        let name = name.to_owned();
        let rows: Vec<ManagedRow> = read(&self.reads, || sqlx::query_as(SQL).bind(name.clone())).await?;
        rows.into_iter().next().map(TryInto::try_into).transpose()
    }

    async fn managed_by_target(&self, definition: &str) -> Result<Option<ManagedCertificateId>, StoreError> {
        let definition = definition.to_owned();
        let rows: Vec<(Vec<u8>,)> = read(&self.reads, || sqlx::query_as(WITH_TARGET).bind(definition.clone())).await?;
        rows.into_iter().next().map(|(id,)| read_id(id)).transpose()
    }

    async fn managed_certificates(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ManagedCertificate>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            managed_columns!(),
            " FROM managed_certificates m WHERE m.name > $1 ORDER BY m.name LIMIT $2"
        );
        // No name is empty.
        let after = after.unwrap_or_default().to_owned();
        let query = || sqlx::query_as(SQL).bind(after.clone()).bind(i64::from(limit));
        let rows: Vec<ManagedRow> = read(&self.reads, query).await?;
        rows.into_iter().map(TryInto::try_into).collect()
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
        const SERVICE: &str = concat!(
            "SELECT ",
            managed_columns!(),
            " FROM managed_certificates m WHERE state = 0 AND service_at <= $1 ORDER BY service_at, m.id LIMIT $2"
        );
        const WORKER: &str = concat!(
            "SELECT ",
            managed_columns!(),
            " FROM managed_certificates m WHERE state = 0 AND deliverer = 1 AND next_at <= $1 ORDER BY next_at, m.id LIMIT $2"
        );
        let sql = match who {
            Deliverer::Service => SERVICE,
            Deliverer::Worker => WORKER,
        };
        let query = || sqlx::query_as(sql).bind(now.unix_millis()).bind(i64::from(limit));
        let rows: Vec<ManagedRow> = read(&self.reads, query).await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    async fn count_managed(&self, now: Timestamp) -> Result<ManagedCounts, StoreError> {
        // All of them: this reads the whole table.
        const SQL: &str = "SELECT count(*) FILTER (WHERE state = 0) AS active,
                 count(*) FILTER (WHERE state = 1) AS paused,
                 count(*) FILTER (WHERE state = 0 AND next_at <= $1) AS due,
                 count(*) FILTER (WHERE state = 0 AND rotation_id IS NOT NULL) AS rotating,
                 count(*) FILTER (WHERE state = 0 AND failures > 0) AS failing,
                 count(*) FILTER (WHERE state = 0 AND rotation_of_current >= $2) AS rotated_lately
             FROM managed_certificates m";
        // An id begins with the time at which it was made.
        let since = column::rotation(RotationId::new(now.minus(LATELY), [0; 10]));
        let rows: Vec<CountsRow> =
            read(&self.reads, || sqlx::query_as(SQL).bind(now.unix_millis()).bind(since)).await?;
        let counts = rows.into_iter().next();
        counts.ok_or_else(|| inconsistent("managed_certificates", "no count"))?.try_into()
    }
}

struct Addition {
    managed: ManagedCertificate,
    journal: Journal,
}

#[async_trait]
impl Change for Addition {
    type Answer = ManagedAddition;

    async fn apply(&self, transaction: &mut Transaction) -> Result<ManagedAddition, Failure> {
        let Self { managed, journal } = self;
        let other: Option<(Vec<u8>,)> =
            transaction.row(sqlx::query_as(WITH_TARGET).bind(managed.definition.as_str())).await?;
        const SQL: &str = "INSERT INTO managed_certificates (id, revision, owner, profile, definition, state, certificate_id,
                 rotation_of_current, not_after, rotation_id, rotation_step, rotation_certificate_id, rotation_begun_at,
                 superseded_id, superseded_revoke_at, failures, last_failed_at, last_error, next_at, deliverer, asked, told,
                 probe_until, service_at, name, created_at, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
                 $24, $25, $26, $27)
             ON CONFLICT (name) DO NOTHING";
        let query = bind(SQL, managed)?
            .bind(managed.name.as_str())
            .bind(managed.created_at.unix_millis())
            .bind(managed.created_by.as_str());
        // One with the same name is told of as that, whatever its target.
        if other.is_none() && transaction.execute(query).await? > 0 {
            journal::store(&[journal], transaction).await?;
            return Ok(ManagedAddition::Added);
        }
        const LOOK: &str = "SELECT uuid_send(id) AS id FROM managed_certificates WHERE name = $1";
        let there: Option<(Vec<u8>,)> = transaction.row(sqlx::query_as(LOOK).bind(managed.name.as_str())).await?;
        match (there, other) {
            (Some((id,)), _) => Ok(ManagedAddition::NameTaken(read_id(id)?)),
            (None, Some((id,))) => Ok(ManagedAddition::TargetTaken(read_id(id)?)),
            // It was removed since the first statement.
            (None, None) => Err(StoreError::Conflict { detail: "the name was taken a moment ago".to_owned() }.into()),
        }
    }
}

fn read_id(id: Vec<u8>) -> Result<ManagedCertificateId, StoreError> {
    Ok(ManagedCertificateId::from_bytes(row::octets("managed_certificates.id", id)?))
}

struct Alteration {
    lease: Option<Lease>,
    managed: ManagedCertificate,
    journal: Option<Journal>,
}

#[async_trait]
impl Change for Alteration {
    type Answer = bool;

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        if let Some(lease) = &self.lease {
            fence(lease, transaction).await?;
        }
        const SQL: &str =
            "UPDATE managed_certificates SET revision = revision + 1, owner = $3, profile = $4, definition = $5,
                 state = $6, certificate_id = $7, rotation_of_current = $8, not_after = $9, rotation_id = $10,
                 rotation_step = $11, rotation_certificate_id = $12, rotation_begun_at = $13, superseded_id = $14,
                 superseded_revoke_at = $15, failures = $16, last_failed_at = $17, last_error = $18, next_at = $19,
                 deliverer = $20, asked = $21, told = $22, probe_until = $23, service_at = $24
             WHERE id = $1 AND revision = $2";
        if transaction.execute(bind(SQL, &self.managed)?).await? == 0 {
            return Ok(false);
        }
        if let Some(journal) = &self.journal {
            journal::store(&[journal], transaction).await?;
        }
        Ok(true)
    }
}

/// Begins a query whose parameters $1 to $24 are what may change, after id and revision.
fn bind<'q>(
    sql: &'static str,
    managed: &'q ManagedCertificate,
) -> Result<Query<'q, Postgres, PgArguments>, StoreError> {
    let course = &managed.course;
    let (current, rotation, superseded) = (course.current, course.rotation, course.superseded);
    let last_failure = course.last_failure.as_ref();
    Ok(sqlx::query(sql)
        .bind(column::managed(managed.id))
        .bind(row::signed("the revision", managed.revision)?)
        .bind(managed.owner.as_str())
        .bind(managed.profile.as_str())
        .bind(managed.definition.as_str())
        .bind(i64::from(managed.paused))
        .bind(current.map(|current| column::certificate(current.certificate)))
        .bind(current.map(|current| column::rotation(current.rotation)))
        .bind(current.map(|current| current.not_after.unix_millis()))
        .bind(rotation.map(|rotation| column::rotation(rotation.id)))
        .bind(rotation.map(|rotation| rotation.step.as_str()))
        .bind(rotation.and_then(|rotation| rotation.certificate).map(column::certificate))
        .bind(rotation.map(|rotation| rotation.begun_at.unix_millis()))
        .bind(superseded.map(|superseded| column::certificate(superseded.certificate)))
        .bind(superseded.map(|superseded| superseded.revoke_at.unix_millis()))
        .bind(i64::from(course.failures))
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        const SQL: &str = "DELETE FROM managed_certificates WHERE id = $1 AND revision = $2";
        let query = sqlx::query(SQL).bind(column::managed(self.id)).bind(row::signed("the revision", self.revision)?);
        if transaction.execute(query).await? == 0 {
            return Ok(false);
        }
        journal::store(&[&self.journal], transaction).await?;
        Ok(true)
    }
}
