//! Roles bound to certificates.

use std::collections::btree_map::Entry;

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_core::principal::Role;

use super::record::Record;
use super::{MemoryStore, StoreMethod};
use crate::port::store::{Holder, Journal, RoleBinding, RoleStore, ShownCertificate, StoreError};

#[async_trait]
impl RoleStore for MemoryStore {
    async fn holder(&self, shown: &ShownCertificate) -> Result<Option<Holder>, StoreError> {
        let number = (shown.authority.clone(), shown.serial.clone());
        self.transact(StoreMethod::Holder, |record, _| {
            let stored = record.serials.get(&number).and_then(|id| record.stored(*id));
            let stored = stored.filter(|stored| stored.validity.not_after == shown.not_after);
            Ok(stored.map(|stored| Holder {
                id: stored.id,
                fingerprint_sha256: stored.fingerprint_sha256,
                validity: stored.validity,
                standing: stored.standing,
                roles: record.roles_of(stored.id),
            }))
        })
        .await
    }

    async fn roles(&self, certificate: CertificateId) -> Result<Vec<Role>, StoreError> {
        self.transact(StoreMethod::Roles, |record, _| Ok(record.roles_of(certificate))).await
    }

    async fn role_bindings(&self) -> Result<Vec<RoleBinding>, StoreError> {
        self.transact(StoreMethod::RoleBindings, |record, _| {
            let bindings = record.roles.iter();
            Ok(bindings
                .map(|((certificate, role), granted_at)| RoleBinding {
                    certificate: *certificate,
                    role: *role,
                    granted_at: *granted_at,
                })
                .collect())
        })
        .await
    }

    async fn grant_role(&self, binding: RoleBinding, journal: Journal) -> Result<(), StoreError> {
        self.transact(StoreMethod::GrantRole, |record, _| {
            if let Entry::Vacant(vacant) = record.roles.entry((binding.certificate, binding.role)) {
                vacant.insert(binding.granted_at);
                record.write_journal(journal);
            }
            Ok(())
        })
        .await
    }

    async fn withdraw_role(
        &self,
        certificate: CertificateId,
        role: Role,
        journal: Journal,
    ) -> Result<bool, StoreError> {
        self.transact(StoreMethod::WithdrawRole, |record, _| {
            let was_bound = record.roles.remove(&(certificate, role)).is_some();
            if was_bound {
                record.write_journal(journal);
            }
            Ok(was_bound)
        })
        .await
    }
}

impl Record {
    /// The roles of a certificate, in order.
    pub(super) fn roles_of(&self, certificate: CertificateId) -> Vec<Role> {
        self.roles.keys().filter(|(bound, _)| *bound == certificate).map(|(_, role)| *role).collect()
    }
}
