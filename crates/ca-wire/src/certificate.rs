//! Certificates on record.

use ca_api::certificate::{Certificate, CertificateStatus};
use ca_core::pem;
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::Timestamp;
use ca_engine::hierarchy::Hierarchy;
use ca_engine::port::store::{StatusFilter, StoredCertificate};

use crate::name::names;
use crate::revocation::revocation;

/// A certificate on record, as it stands at `now`.
pub fn certificate(hierarchy: &Hierarchy, stored: &StoredCertificate, now: Timestamp) -> Certificate {
    Certificate {
        id: stored.id.to_string(),
        serial: stored.serial.to_string(),
        authority: stored.authority.to_string(),
        profile: stored.profile.to_string(),
        subject: stored.subject.to_string(),
        subject_alternative_names: names(&stored.names),
        not_before: stored.validity.not_before.to_rfc3339(),
        not_after: stored.validity.not_after.to_rfc3339(),
        status: status(stored, now),
        revocation: revocation(stored.standing),
        renews: stored.renews.map(|id| id.to_string()),
        owner: stored.owner.clone(),
        fingerprint_sha256: hex::encode(stored.fingerprint_sha256),
        certificate: pem::encode("CERTIFICATE", &stored.der),
        chain: chain_pem(hierarchy, stored),
    }
}

/// The chain of a certificate in PEM: its issuer first, the root left out; empty for a root, and for an issuer that is not of
/// this hierarchy.
pub fn chain_pem(hierarchy: &Hierarchy, stored: &StoredCertificate) -> String {
    let authority = hierarchy.authority(&stored.authority);
    authority.map(|authority| authority.chain_pem().to_owned()).unwrap_or_default()
}

pub(crate) fn pem_of<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    certificates.into_iter().map(|der| pem::encode("CERTIFICATE", der)).collect()
}

fn status(stored: &StoredCertificate, now: Timestamp) -> CertificateStatus {
    match stored.standing {
        Standing::Revoked(revocation) if revocation.reason == RevocationReason::CertificateHold => {
            CertificateStatus::Held
        }
        Standing::Revoked(_) => CertificateStatus::Revoked,
        Standing::Active if stored.validity.not_after < now => CertificateStatus::Expired,
        Standing::Active => CertificateStatus::Active,
    }
}

/// A status to filter by, as asked for.
pub fn status_filter(status: CertificateStatus) -> StatusFilter {
    match status {
        CertificateStatus::Active => StatusFilter::Active,
        CertificateStatus::Revoked => StatusFilter::Revoked,
        CertificateStatus::Held => StatusFilter::Held,
        CertificateStatus::Expired => StatusFilter::Expired,
    }
}

/// A status to filter by, to ask for.
pub fn wire_status(status: StatusFilter) -> CertificateStatus {
    match status {
        StatusFilter::Active => CertificateStatus::Active,
        StatusFilter::Revoked => CertificateStatus::Revoked,
        StatusFilter::Held => CertificateStatus::Held,
        StatusFilter::Expired => CertificateStatus::Expired,
    }
}
