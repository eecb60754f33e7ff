//! Managed certificates.

use async_trait::async_trait;
use ca_core::id::{ManagedCertificateId, RotationId};
use ca_core::managed::definition::Deliverer;
use ca_core::time::Timestamp;

use super::record::Record;
use super::{MemoryStore, StoreMethod};
use crate::port::store::{
    Journal, LATELY, Lease, ManagedAddition, ManagedCertificate, ManagedCounts, ManagedStore, StoreError,
};

#[async_trait]
impl ManagedStore for MemoryStore {
    async fn add_managed(&self, managed: ManagedCertificate, journal: Journal) -> Result<ManagedAddition, StoreError> {
        self.transact(StoreMethod::AddManaged, |record, _| {
            if let Some(there) = record.managed.values().find(|there| there.name == managed.name) {
                return Ok(ManagedAddition::NameTaken(there.id));
            }
            if let Some(other) = record.with_target_of(&managed.definition) {
                return Ok(ManagedAddition::TargetTaken(other));
            }
            record.managed.insert(managed.id, managed);
            record.write_journal(journal);
            Ok(ManagedAddition::Added)
        })
        .await
    }

    async fn managed(&self, id: ManagedCertificateId) -> Result<Option<ManagedCertificate>, StoreError> {
        self.transact(StoreMethod::Managed, |record, _| Ok(record.managed.get(&id).cloned())).await
    }

    async fn managed_by_name(&self, name: &str) -> Result<Option<ManagedCertificate>, StoreError> {
        self.transact(StoreMethod::ManagedByName, |record, _| {
            Ok(record.managed.values().find(|managed| managed.name == name).cloned())
        })
        .await
    }

    async fn managed_by_target(&self, definition: &str) -> Result<Option<ManagedCertificateId>, StoreError> {
        self.transact(StoreMethod::ManagedByTarget, |record, _| Ok(record.with_target_of(definition))).await
    }

    async fn managed_certificates(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ManagedCertificate>, StoreError> {
        self.transact(StoreMethod::ManagedCertificates, |record, _| {
            let mut found: Vec<_> = record.managed.values().cloned().collect();
            found.retain(|managed| after.is_none_or(|after| managed.name.as_str() > after));
            found.sort_by(|one, other| one.name.cmp(&other.name));
            found.truncate(limit as usize);
            Ok(found)
        })
        .await
    }

    async fn change_managed(
        &self,
        lease: Option<&Lease>,
        managed: ManagedCertificate,
        journal: Option<Journal>,
    ) -> Result<bool, StoreError> {
        self.transact(StoreMethod::ChangeManaged, |record, _| {
            if let Some(lease) = lease {
                record.check_fence(lease)?;
            }
            let others = record.with_target_of(&managed.definition);
            let there = record.managed.get_mut(&managed.id).filter(|there| there.revision == managed.revision);
            let Some(there) = there else { return Ok(false) };
            if others.is_some_and(|other| other != managed.id) {
                return Err(StoreError::Conflict { detail: "another has that target".to_owned() });
            }
            *there = ManagedCertificate {
                revision: managed.revision + 1,
                name: there.name.clone(),
                created_at: there.created_at,
                created_by: there.created_by.clone(),
                ..managed
            };
            if let Some(journal) = journal {
                record.write_journal(journal);
            }
            Ok(true)
        })
        .await
    }

    async fn remove_managed(
        &self,
        id: ManagedCertificateId,
        revision: u64,
        journal: Journal,
    ) -> Result<bool, StoreError> {
        self.transact(StoreMethod::RemoveManaged, |record, _| {
            let is_it = record.managed.get(&id).is_some_and(|there| there.revision == revision);
            if is_it {
                record.managed.remove(&id);
                record.write_journal(journal);
            }
            Ok(is_it)
        })
        .await
    }

    async fn due_managed(
        &self,
        who: Deliverer,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<ManagedCertificate>, StoreError> {
        self.transact(StoreMethod::DueManaged, |record, _| {
            let mut due: Vec<_> = record.managed.values().filter(|managed| managed.is_due(who, now)).cloned().collect();
            due.sort_by_key(|managed| match who {
                Deliverer::Service => (managed.service_at(), managed.id),
                Deliverer::Worker => (Some(managed.course.next_at), managed.id),
            });
            due.truncate(limit as usize);
            Ok(due)
        })
        .await
    }

    async fn count_managed(&self, now: Timestamp) -> Result<ManagedCounts, StoreError> {
        self.transact(StoreMethod::CountManaged, |record, _| {
            let mut counts = ManagedCounts::default();
            for managed in record.managed.values() {
                if managed.paused {
                    counts.paused += 1;
                    continue;
                }
                counts.active += 1;
                counts.due += u64::from(managed.course.next_at <= now);
                counts.rotating += u64::from(managed.course.rotation.is_some());
                counts.failing += u64::from(managed.course.failures > 0);
                let since = RotationId::new(now.minus(LATELY), [0; 10]);
                let current = managed.course.current.as_ref();
                counts.rotated_lately += u64::from(current.is_some_and(|current| current.rotation >= since));
            }
            Ok(counts)
        })
        .await
    }
}

impl Record {
    fn with_target_of(&self, definition: &str) -> Option<ManagedCertificateId> {
        let wanted = target(definition)?;
        self.managed
            .values()
            .find(|managed| target(&managed.definition).as_ref() == Some(&wanted))
            .map(|managed| managed.id)
    }
}

/// What makes the target of a definition the one that it is; nothing where it names no kind of target.
fn target(definition: &str) -> Option<[String; 4]> {
    let definition: serde_json::Value = serde_json::from_str(definition).ok()?;
    let text = |pointer: &str| definition.pointer(pointer).and_then(|value| value.as_str()).map(str::to_owned);
    Some([
        text("/delivered_by").unwrap_or_else(|| "service".to_owned()),
        text("/target/kind")?,
        text("/target/path").or_else(|| text("/target/secret")).unwrap_or_default(),
        text("/target/region").unwrap_or_default(),
    ])
}
