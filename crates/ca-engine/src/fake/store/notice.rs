//! Ends of certificates, and notices of them.

use async_trait::async_trait;
use ca_core::id::CertificateId;
use ca_core::revocation::Standing;
use ca_core::time::{Lifetime, Timestamp};

use super::{MemoryStore, StoreMethod};
use crate::port::store::{EndingCertificate, ExpiryNotice, Journal, ManagedStanding, NoticeStore, StoreError};

#[async_trait]
impl NoticeStore for MemoryStore {
    async fn ending_certificates(
        &self,
        after: (Timestamp, CertificateId),
        ends_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<EndingCertificate>, StoreError> {
        self.transact(StoreMethod::EndingCertificates, |record, _| {
            let mut found: Vec<EndingCertificate> = record
                .issuances
                .keys()
                .filter_map(|id| record.stored(*id))
                .filter(|certificate| {
                    let place = (certificate.validity.not_after, certificate.id);
                    certificate.standing == Standing::Active
                        && place > after
                        && certificate.validity.not_after < ends_before
                        && record.live_successor(certificate.id).is_none()
                })
                .map(|certificate| EndingCertificate {
                    id: certificate.id,
                    authority: certificate.authority.clone(),
                    serial: certificate.serial.clone(),
                    profile: certificate.profile.clone(),
                    validity: certificate.validity,
                    owner: certificate.owner.clone(),
                    noted: record.expiry_notices.get(&certificate.id).map(|notice| notice.before),
                    managed: record
                        .managed
                        .values()
                        .find(|managed| {
                            managed.course.current.is_some_and(|current| current.certificate == certificate.id)
                        })
                        .map(|managed| ManagedStanding {
                            name: managed.name.clone(),
                            paused: managed.paused,
                            failures: managed.course.failures,
                        }),
                })
                .collect();
            found.sort_by_key(|certificate| (certificate.validity.not_after, certificate.id));
            found.truncate(limit as usize);
            Ok(found)
        })
        .await
    }

    async fn expiry_notice(&self, certificate: CertificateId) -> Result<Option<Lifetime>, StoreError> {
        self.transact(StoreMethod::ExpiryNotice, |record, _| {
            Ok(record.expiry_notices.get(&certificate).map(|notice| notice.before))
        })
        .await
    }

    async fn note_expiry(&self, notice: ExpiryNotice, journal: Option<Journal>) -> Result<bool, StoreError> {
        self.transact(StoreMethod::NoteExpiry, |record, _| {
            let noted = record.expiry_notices.get(&notice.certificate);
            if noted.is_some_and(|noted| noted.before <= notice.before) {
                return Ok(false);
            }
            record.expiry_notices.insert(notice.certificate, notice);
            if let Some(journal) = journal {
                record.write_journal(journal);
            }
            Ok(true)
        })
        .await
    }

    async fn drop_expiry_notices(&self, ended_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.transact(StoreMethod::DropExpiryNotices, |record, _| {
            let ended = record.expiry_notices.values().filter(|notice| notice.not_after < ended_before);
            let ended: Vec<CertificateId> = ended.map(|notice| notice.certificate).take(limit as usize).collect();
            for certificate in &ended {
                record.expiry_notices.remove(certificate);
            }
            Ok(ended.len() as u64)
        })
        .await
    }
}
