//! Roles, bound to certificates.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_core::principal::Role;
use ca_engine::port::store::{Holder, Journal, RoleBinding, RoleStore, ShownCertificate, StoreError};
use sqlx::{FromRow, SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use crate::row;
use crate::row::role::{BindingRow, HolderRow};

#[async_trait]
impl RoleStore for SqliteStore {
    async fn holder(&self, shown: &ShownCertificate) -> Result<Option<Holder>, StoreError> {
        Ok(holder(&self.readers, shown).await?)
    }

    async fn roles(&self, certificate: CertificateId) -> Result<Vec<Role>, StoreError> {
        Ok(roles(&self.readers, certificate).await?)
    }

    async fn role_bindings(&self) -> Result<Vec<RoleBinding>, StoreError> {
        Ok(bindings(&self.readers).await?)
    }

    async fn grant_role(&self, binding: RoleBinding, journal: Journal) -> Result<(), StoreError> {
        self.change(Grant { binding, journal }).await
    }

    async fn withdraw_role(
        &self,
        certificate: CertificateId,
        role: Role,
        journal: Journal,
    ) -> Result<bool, StoreError> {
        self.change(Withdrawal { certificate, role, journal }).await
    }
}

#[derive(FromRow)]
struct HolderAndRole {
    #[sqlx(flatten)]
    holder: HolderRow,
    role: Option<String>,
}

async fn holder(readers: &SqlitePool, shown: &ShownCertificate) -> Result<Option<Holder>, Failure> {
    // A row for each role, and one where there is none.
    const SQL: &str = "SELECT c.id, c.fingerprint_sha256, c.not_before, c.not_after, s.state, s.reason, s.revoked_at,
             s.invalidity_date, r.role
         FROM serials AS s JOIN certificates AS c ON c.id = s.certificate_id
             LEFT JOIN roles AS r ON r.certificate_id = c.id
         WHERE s.serial = $1 AND s.authority = $2 AND s.not_after = $3";
    let query = sqlx::query_as(SQL).bind(shown.serial.as_bytes()).bind(shown.authority.as_str());
    let rows: Vec<HolderAndRole> = query.bind(shown.not_after.unix_millis()).fetch_all(readers).await?;
    let (holders, roles): (Vec<_>, Vec<_>) = rows.into_iter().map(|row| (row.holder, row.role)).unzip();
    let roles: Vec<String> = roles.into_iter().flatten().collect();
    Ok(holders.into_iter().next().map(|holder| holder.with_roles(&roles)).transpose()?)
}

async fn roles(readers: &SqlitePool, certificate: CertificateId) -> Result<Vec<Role>, Failure> {
    let names: Vec<String> = sqlx::query_scalar("SELECT role FROM roles WHERE certificate_id = $1")
        .bind(certificate.as_bytes().as_slice())
        .fetch_all(readers)
        .await?;
    Ok(row::role::roles(&names)?)
}

async fn bindings(readers: &SqlitePool) -> Result<Vec<RoleBinding>, Failure> {
    // Few certificates have a role: this reads the whole table.
    let rows: Vec<BindingRow> =
        sqlx::query_as("SELECT certificate_id, role, granted_at FROM roles ORDER BY certificate_id")
            .fetch_all(readers)
            .await?;
    Ok(row::role::bindings(rows)?)
}

struct Grant {
    binding: RoleBinding,
    journal: Journal,
}

#[async_trait]
impl Change for Grant {
    type Answer = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let RoleBinding { certificate, role, granted_at } = self.binding;
        if is_bound(certificate, role, connection).await? {
            return Ok(());
        }
        const SQL: &str =
            concat!(journal_sql!(), "INSERT INTO roles (certificate_id, role, granted_at) VALUES ($7, $8, $9);");
        journal::bind(SQL, &self.journal)
            .bind(certificate.as_bytes().as_slice())
            .bind(role.as_str())
            .bind(granted_at.unix_millis())
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct Withdrawal {
    certificate: CertificateId,
    role: Role,
    journal: Journal,
}

#[async_trait]
impl Change for Withdrawal {
    type Answer = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool, Failure> {
        if !is_bound(self.certificate, self.role, connection).await? {
            return Ok(false);
        }
        const SQL: &str = concat!(journal_sql!(), "DELETE FROM roles WHERE certificate_id = $7 AND role = $8;");
        journal::bind(SQL, &self.journal)
            .bind(self.certificate.as_bytes().as_slice())
            .bind(self.role.as_str())
            .execute(connection)
            .await?;
        Ok(true)
    }
}

async fn is_bound(certificate: CertificateId, role: Role, connection: &mut SqliteConnection) -> Result<bool, Failure> {
    let bound = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM roles WHERE certificate_id = $1 AND role = $2)")
        .bind(certificate.as_bytes().as_slice())
        .bind(role.as_str())
        .fetch_one(connection)
        .await?;
    Ok(bound)
}
