//! Roles, bound to certificates.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_core::principal::Role;
use ca_engine::port::store::{Journal, RoleBinding, RoleStore, StoreError};
use sqlx::{SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::change::Change;
use super::error::Failure;
use super::journal::{self, journal_sql};
use crate::row;
use crate::row::role::BindingRow;

#[async_trait]
impl RoleStore for SqliteStore {
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
