//! Roles, as their columns give them.

use ca_core::id::CertificateId;
use ca_core::principal::Role;
use ca_core::time::{Timestamp, Validity};
use ca_engine::port::store::{Holder, RoleBinding, SerialState, StoreError};
use sqlx::FromRow;

use super::{RevocationColumns, inconsistent};

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

/// Of the tables `serials` and `certificates`.
#[derive(FromRow)]
pub(crate) struct HolderRow {
    pub(crate) id: Vec<u8>,
    pub(crate) fingerprint_sha256: Vec<u8>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) state: i64,
    pub(crate) reason: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) invalidity_date: Option<i64>,
}

impl HolderRow {
    /// The holder, with the names of its roles.
    pub(crate) fn with_roles(self, names: &[String]) -> Result<Holder, StoreError> {
        let id = CertificateId::from_bytes(super::octets("certificates.id", self.id)?);
        let place = format!("certificates {id}");
        let Self { reason, revoked_at, invalidity_date, .. } = self;
        let columns = RevocationColumns { reason, revoked_at, invalidity_date };
        let SerialState::Issued(standing) = super::serial_state(&place, self.state, columns)? else {
            return Err(inconsistent(&place, "a certificate whose serial is not issued"));
        };
        Ok(Holder {
            id,
            fingerprint_sha256: super::octets(&place, self.fingerprint_sha256)?,
            validity: Validity {
                not_before: Timestamp::from_unix_millis(self.not_before),
                not_after: Timestamp::from_unix_millis(self.not_after),
            },
            standing,
            roles: roles(names)?,
        })
    }
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
