//! Between the domain's values and the API's: answers of local mode, requests to a server. No decisions.

use ca_api::audit::AuditEvent;
use ca_api::authority::{AuthorityKey, AuthorityStatus, KeyHome as WireKeyHome, RevocationList};
use ca_api::certificate::{Certificate, CertificateStatus, SubjectAlternativeName, SubjectAlternativeNameType};
use ca_api::revocation::{Revocation, RevocationReason as WireReason};
use ca_api::token::EnrolmentToken;
use ca_core::name::GeneralName;
use ca_core::pem;
use ca_core::profile::Profile;
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::hierarchy::{Authority, Hierarchy};
use ca_engine::port::store::{AuthorityState, ChainedEvent, CrlIntent, StatusFilter, StoredCertificate, TokenRecord};

/// A certificate on record, as it stands at `now`.
pub(super) fn certificate(hierarchy: &Hierarchy, stored: &StoredCertificate, now: Timestamp) -> Certificate {
    let chain = hierarchy
        .authority(&stored.authority)
        .map(|authority| authority.chain().into_iter().map(|der| pem::encode("CERTIFICATE", der)).collect::<String>());
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
        revocation: revocation(stored),
        renews: stored.renews.map(|id| id.to_string()),
        owner: stored.owner.clone(),
        fingerprint_sha256: hex::encode(stored.fingerprint_sha256),
        certificate: pem::encode("CERTIFICATE", &stored.der),
        chain: chain.unwrap_or_default(),
    }
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

fn revocation(stored: &StoredCertificate) -> Option<Revocation> {
    let Standing::Revoked(revocation) = stored.standing else { return None };
    Some(Revocation {
        revoked_at: revocation.revoked_at.to_rfc3339(),
        reason: wire_reason(revocation.reason),
        invalidity_date: revocation.invalidity_date.map(Timestamp::to_rfc3339),
    })
}

/// A status to filter by.
pub(super) fn wire_status(status: StatusFilter) -> CertificateStatus {
    match status {
        StatusFilter::Active => CertificateStatus::Active,
        StatusFilter::Revoked => CertificateStatus::Revoked,
        StatusFilter::Held => CertificateStatus::Held,
        StatusFilter::Expired => CertificateStatus::Expired,
    }
}

/// Subject alternative names.
pub(super) fn names(names: &[GeneralName]) -> Vec<SubjectAlternativeName> {
    names.iter().map(|name| SubjectAlternativeName { kind: name_type(name), value: name.value_text() }).collect()
}

fn name_type(name: &GeneralName) -> SubjectAlternativeNameType {
    match name {
        GeneralName::Dns(_) => SubjectAlternativeNameType::Dns,
        GeneralName::Ip(_) => SubjectAlternativeNameType::Ip,
        GeneralName::Uri(_) => SubjectAlternativeNameType::Uri,
        GeneralName::Email(_) => SubjectAlternativeNameType::Email,
        GeneralName::Other { .. } if name.as_user_principal_name().is_some() => SubjectAlternativeNameType::Upn,
        GeneralName::Other { .. } => SubjectAlternativeNameType::OtherName,
        GeneralName::Directory(_) => SubjectAlternativeNameType::DirectoryName,
        GeneralName::RegisteredId(_) => SubjectAlternativeNameType::RegisteredId,
    }
}

/// A revocation reason.
pub(super) fn wire_reason(reason: RevocationReason) -> WireReason {
    match reason {
        RevocationReason::Unspecified => WireReason::Unspecified,
        RevocationReason::KeyCompromise => WireReason::KeyCompromise,
        RevocationReason::CaCompromise => WireReason::CaCompromise,
        RevocationReason::AffiliationChanged => WireReason::AffiliationChanged,
        RevocationReason::Superseded => WireReason::Superseded,
        RevocationReason::CessationOfOperation => WireReason::CessationOfOperation,
        RevocationReason::CertificateHold => WireReason::CertificateHold,
        RevocationReason::PrivilegeWithdrawn => WireReason::PrivilegeWithdrawn,
        RevocationReason::AaCompromise => WireReason::AaCompromise,
    }
}

/// An authority, with its newest list and how long a revocation takes until it is seen.
pub(super) fn authority(
    authority: &Authority,
    crl: Option<&CrlIntent>,
    key_is_here: bool,
    visible_within: Lifetime,
) -> ca_api::authority::Authority {
    let certificate = authority.certificate();
    let record = authority.record();
    ca_api::authority::Authority {
        id: authority.id().to_string(),
        status: match record.state {
            AuthorityState::Active => AuthorityStatus::Active,
            AuthorityState::Retiring => AuthorityStatus::Retiring,
            AuthorityState::Retired => AuthorityStatus::Retired,
        },
        parent: record.parent.as_ref().map(ToString::to_string),
        subject: certificate.subject().to_string(),
        serial: certificate.serial().to_string(),
        not_before: certificate.validity().not_before.to_rfc3339(),
        not_after: certificate.validity().not_after.to_rfc3339(),
        fingerprint_sha256: hex::encode(certificate.fingerprint_sha256()),
        key: AuthorityKey {
            kind: certificate.public_key().key_type().to_string(),
            home: WireKeyHome::Software,
            available: key_is_here,
        },
        crl: crl.map(|crl| RevocationList {
            number: crl.number,
            this_update: crl.this_update.to_rfc3339(),
            next_update: crl.next_update.to_rfc3339(),
            entries: crl.entries,
        }),
        revocation_visible_within: visible_within.to_string(),
        certificate: certificate.to_pem(),
        chain: authority
            .ancestors()
            .split_last()
            .map(|(_root, between)| between.iter().map(|der| pem::encode("CERTIFICATE", der)).collect())
            .unwrap_or_default(),
    }
}

/// A profile.
pub(super) fn profile(profile: &Profile) -> ca_api::profile::Profile {
    let names = profile.names();
    let name_types = [
        (names.dns.is_some(), SubjectAlternativeNameType::Dns),
        (names.ip.is_some(), SubjectAlternativeNameType::Ip),
        (names.email.is_some(), SubjectAlternativeNameType::Email),
        (names.uri.is_some(), SubjectAlternativeNameType::Uri),
        (names.other.is_some(), SubjectAlternativeNameType::OtherName),
        (names.directory.is_some(), SubjectAlternativeNameType::DirectoryName),
        (names.registered_id.is_some(), SubjectAlternativeNameType::RegisteredId),
    ];
    ca_api::profile::Profile {
        name: profile.name().to_string(),
        authority: profile.authority().map(ToString::to_string).unwrap_or_default(),
        key_types: profile.key_types().iter().map(ToString::to_string).collect(),
        default_validity: profile.default_validity().to_string(),
        maximum_validity: profile.maximum_validity().to_string(),
        key_usage: profile.key_usage().iter().map(|usage| usage.to_string()).collect(),
        extended_key_usage: profile.extended_key_usage().iter().map(ToString::to_string).collect(),
        subject_alternative_name_types: name_types.into_iter().filter_map(|(is, kind)| is.then_some(kind)).collect(),
        certificate_policies: profile.certificate_policies().iter().map(ToString::to_string).collect(),
        must_staple: profile.must_staple(),
        personal_data: profile.has_personal_data(),
    }
}

/// An enrolment token.
pub(super) fn token(record: &TokenRecord) -> EnrolmentToken {
    EnrolmentToken {
        id: record.id.to_string(),
        profile: record.binding.profile.to_string(),
        subject_alternative_names: names(&record.binding.names),
        common_name: record.binding.common_name.clone(),
        created_by: record.created_by.clone(),
        created_at: record.created_at.to_rfc3339(),
        expires_at: record.expires_at.to_rfc3339(),
        uses: record.uses,
        uses_left: if record.withdrawn { 0 } else { record.uses.saturating_sub(record.used) },
        withdrawn: record.withdrawn,
    }
}

/// An audit event: its canonical JSON, and its place in the chain.
pub(super) fn audit_event(chained: &ChainedEvent) -> Result<AuditEvent, serde_json::Error> {
    let mut value: serde_json::Value = serde_json::from_slice(&chained.canonical)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("sequence".to_owned(), chained.sequence.into());
        fields.insert("hash".to_owned(), hex::encode(chained.hash).into());
    }
    serde_json::from_value(value)
}
