//! Bulk revocations: what is asked for, what it would reach, and how far it has come.

use ca_api::bulk_revocation::{
    BulkRevocation as Wire, BulkRevocationState as WireState, RefusedRevocations, RevocationCount, RevocationExample,
    RevocationFilter, RevocationListNumber, RevocationShare,
};
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::time::Timestamp;
use ca_engine::flow::bulk_revoke::{BulkCount, BulkFilter};
use ca_engine::flow::query::CertificateName;
use ca_engine::port::store::{BulkRevocation, BulkRevocationState, BulkShare, NameQuery, StoredCertificate};

/// A bulk revocation on record, and the lists that have all of it.
pub fn bulk_revocation(operation: &BulkRevocation, lists: &[(AuthorityId, u64)]) -> Wire {
    let list = |(authority, number): &(AuthorityId, u64)| RevocationListNumber {
        authority: authority.to_string(),
        number: *number,
    };
    Wire {
        id: operation.id.to_string(),
        state: match operation.state {
            BulkRevocationState::Running => WireState::Running,
            BulkRevocationState::Completed => WireState::Completed,
            BulkRevocationState::Canceled => WireState::Canceled,
        },
        scope: operation.scope.clone(),
        reason: super::revocation::wire_reason(operation.reason),
        invalidity_date: operation.invalidity_date.map(Timestamp::to_rfc3339),
        requested_by: operation.requested_by.clone(),
        created_at: operation.created_at.to_rfc3339(),
        ended_at: operation.ended_at.map(Timestamp::to_rfc3339),
        count: operation.count,
        revoked: operation.revoked,
        skipped: operation.skipped,
        remaining: operation.count.saturating_sub(operation.revoked + operation.skipped),
        shares: shares(&operation.shares),
        refused: refused(operation.refused, &operation.refused_first),
        lists: lists.iter().map(list).collect(),
    }
}

/// What would be revoked.
pub fn revocation_count(count: &BulkCount) -> RevocationCount {
    RevocationCount {
        count: count.count,
        shares: shares(&count.shares),
        issued_before: count.issued_before.map(Timestamp::to_rfc3339),
        examples: count.examples.iter().map(example).collect(),
        refused: refused(count.refused, &count.refused_first),
        already_revoked: count.already_revoked,
        left_out: count.internal,
    }
}

/// A filter, to be asked with.
pub fn revocation_filter(filter: &BulkFilter) -> RevocationFilter {
    let (name, subject) = match &filter.name {
        Some(NameQuery::AnyName(name)) => (Some(name.clone()), None),
        Some(NameQuery::Subject(subject)) => (None, Some(subject.clone())),
        None => (None, None),
    };
    RevocationFilter {
        profile: filter.profile.as_ref().map(ToString::to_string),
        authority: filter.authority.as_ref().map(ToString::to_string),
        issued_after: filter.issued_after.map(Timestamp::to_rfc3339),
        issued_before: filter.issued_before.map(Timestamp::to_rfc3339),
        expires_before: filter.expires_before.map(Timestamp::to_rfc3339),
        owner: filter.owner.clone(),
        name,
        subject,
        public_key_sha256: filter.spki_sha256.map(hex::encode),
    }
}

/// How a certificate is named, as text.
pub fn certificate_name(name: &CertificateName) -> String {
    match name {
        CertificateName::Id(id) => id.to_string(),
        CertificateName::Serial(authority, serial) => format!("{authority}:{serial}"),
        CertificateName::BareSerial(serial) => serial.to_string(),
    }
}

fn shares(shares: &[BulkShare]) -> Vec<RevocationShare> {
    let share = |share: &BulkShare| RevocationShare {
        authority: share.authority.to_string(),
        profile: share.profile.to_string(),
        count: share.count,
    };
    shares.iter().map(share).collect()
}

fn refused(count: u64, first: &[CertificateId]) -> RefusedRevocations {
    RefusedRevocations { count, certificates: first.iter().map(ToString::to_string).collect() }
}

fn example(certificate: &StoredCertificate) -> RevocationExample {
    RevocationExample {
        id: certificate.id.to_string(),
        authority: certificate.authority.to_string(),
        serial: certificate.serial.to_string(),
        profile: certificate.profile.to_string(),
        subject: certificate.subject.to_rfc4514(),
        not_after: certificate.validity.not_after.to_rfc3339(),
    }
}
