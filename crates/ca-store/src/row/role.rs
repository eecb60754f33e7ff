//! Roles, as their columns give them.

use ca_core::id::CertificateId;
use ca_core::principal::Role;
use ca_core::time::Timestamp;
use ca_engine::port::store::{RoleBinding, StoreError};
use sqlx::FromRow;

const PLACE: &str = "roles.role";

/// The roles of a certificate, in order.
pub(crate) fn roles(names: &[String]) -> Result<Vec<Role>, StoreError> {
    let mut roles: Vec<Role> = names.iter().map(|name| super::parse(PLACE, name)).collect::<Result<_, _>>()?;
    roles.sort_unstable();
    Ok(roles)
}

/// Every binding, in order of certificate and role.
pub(crate) fn bindings(rows: Vec<BindingRow>) -> Result<Vec<RoleBinding>, StoreError> {
    let mut bindings: Vec<RoleBinding> = rows.into_iter().map(RoleBinding::try_from).collect::<Result<_, _>>()?;
    bindings.sort_unstable_by_key(|binding| (binding.certificate, binding.role));
    Ok(bindings)
}

#[derive(FromRow)]
pub(crate) struct BindingRow {
    pub(crate) certificate_id: Vec<u8>,
    pub(crate) role: String,
    pub(crate) granted_at: i64,
}

impl TryFrom<BindingRow> for RoleBinding {
    type Error = StoreError;

    fn try_from(row: BindingRow) -> Result<Self, StoreError> {
        Ok(Self {
            certificate: CertificateId::from_bytes(super::octets("roles.certificate_id", row.certificate_id)?),
            role: super::parse(PLACE, &row.role)?,
            granted_at: Timestamp::from_unix_millis(row.granted_at),
        })
    }
}
