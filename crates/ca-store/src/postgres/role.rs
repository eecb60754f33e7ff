//! Roles, bound to certificates.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_core::principal::Role;
use ca_engine::port::store::{Holder, Journal, RoleBinding, RoleStore, ShownCertificate, StoreError};

use super::error::Failure;
use super::transaction::{Change, Transaction, read};
use super::{PostgresStore, column, journal};
use crate::row;
use crate::row::role::BindingRow;

#[async_trait]
impl RoleStore for PostgresStore {
    async fn holder(&self, shown: &ShownCertificate) -> Result<Option<Holder>, StoreError> {
        self.holders.look_up(shown.clone()).await
    }

    async fn roles(&self, certificate: CertificateId) -> Result<Vec<Role>, StoreError> {
        const SQL: &str = "SELECT role FROM roles WHERE certificate_id = $1";
        let rows: Vec<(String,)> =
            read(&self.reads, || sqlx::query_as(SQL).bind(column::certificate(certificate))).await?;
        let names: Vec<_> = rows.into_iter().map(|(name,)| name).collect();
        row::role::roles(&names)
    }

    async fn role_bindings(&self) -> Result<Vec<RoleBinding>, StoreError> {
        // Few certificates have a role: this reads the whole table.
        const SQL: &str = "SELECT uuid_send(certificate_id) AS certificate_id, role, granted_at FROM roles";
        let rows: Vec<BindingRow> = read(&self.reads, || sqlx::query_as(SQL)).await?;
        row::role::bindings(rows)
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

struct Grant {
    binding: RoleBinding,
    journal: Journal,
}

#[async_trait]
impl Change for Grant {
    type Answer = ();

    async fn apply(&self, transaction: &mut Transaction) -> Result<(), Failure> {
        const SQL: &str =
            "INSERT INTO roles (certificate_id, role, granted_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let RoleBinding { certificate, role, granted_at } = self.binding;
        let query =
            sqlx::query(SQL).bind(column::certificate(certificate)).bind(role.as_str()).bind(granted_at.unix_millis());
        match transaction.execute(query).await? {
            // It is bound already: nothing to tell.
            0 => Ok(()),
            _ => journal::store(&[&self.journal], transaction).await,
        }
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

    async fn apply(&self, transaction: &mut Transaction) -> Result<bool, Failure> {
        let query = sqlx::query("DELETE FROM roles WHERE certificate_id = $1 AND role = $2")
            .bind(column::certificate(self.certificate))
            .bind(self.role.as_str());
        if transaction.execute(query).await? == 0 {
            return Ok(false);
        }
        journal::store(&[&self.journal], transaction).await?;
        Ok(true)
    }
}
