//! Between the wire's values and the domain's. No decisions.

use ca_api::authority::{AuthorityKey, AuthorityStatus, KeyHome as WireKeyHome, RevocationList};
use ca_api::certificate::{CertificateStatus, SubjectAlternativeName, SubjectAlternativeNameType};
use ca_api::revocation::RevocationReason as WireReason;
use ca_core::name::GeneralName;
use ca_core::profile::Profile;
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::hierarchy::Authority;
use ca_engine::port::store::{AuthorityState, KeyHome, StatusFilter, StoredCertificate, TokenRecord};

use super::extract::Wrong;
use crate::state::AppState;

/// A certificate on record, as the API shows it at `now`.
pub(crate) fn certificate(state: &AppState, stored: &StoredCertificate) -> ca_api::certificate::Certificate {
    let now = state.engine().now();
    ca_api::certificate::Certificate {
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
        certificate: ca_core::pem::encode("CERTIFICATE", &stored.der),
        chain: chain_pem(state, stored),
    }
}

/// The issuer first, the root left out. A root has no chain.
pub(crate) fn chain_pem(state: &AppState, stored: &StoredCertificate) -> String {
    state
        .engine()
        .hierarchy()
        .authority(&stored.authority)
        .map(|authority| {
            authority.chain().into_iter().map(|der| ca_core::pem::encode("CERTIFICATE", der)).collect::<String>()
        })
        .unwrap_or_default()
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

fn revocation(stored: &StoredCertificate) -> Option<ca_api::revocation::Revocation> {
    let Standing::Revoked(revocation) = stored.standing else { return None };
    Some(ca_api::revocation::Revocation {
        revoked_at: revocation.revoked_at.to_rfc3339(),
        reason: wire_reason(revocation.reason),
        invalidity_date: revocation.invalidity_date.map(Timestamp::to_rfc3339),
    })
}

pub(crate) fn status_filter(status: CertificateStatus) -> StatusFilter {
    match status {
        CertificateStatus::Active => StatusFilter::Active,
        CertificateStatus::Revoked => StatusFilter::Revoked,
        CertificateStatus::Held => StatusFilter::Held,
        CertificateStatus::Expired => StatusFilter::Expired,
    }
}

fn names(names: &[GeneralName]) -> Vec<SubjectAlternativeName> {
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

const fn name_type_text(kind: SubjectAlternativeNameType) -> &'static str {
    match kind {
        SubjectAlternativeNameType::Dns => "dns",
        SubjectAlternativeNameType::Ip => "ip",
        SubjectAlternativeNameType::Uri => "uri",
        SubjectAlternativeNameType::Email => "email",
        SubjectAlternativeNameType::Upn => "upn",
        SubjectAlternativeNameType::OtherName => "otherName",
        SubjectAlternativeNameType::DirectoryName => "directoryName",
        SubjectAlternativeNameType::RegisteredId => "registeredID",
    }
}

/// Reads the names of a request; every one that cannot be read is noted with its place.
pub(crate) fn read_names(names: &[SubjectAlternativeName], wrong: &mut Wrong) -> Vec<GeneralName> {
    names
        .iter()
        .enumerate()
        .filter_map(|(index, name)| {
            let pointer = format!("/subject_alternative_names/{index}");
            let read = GeneralName::from_type_and_value(name_type_text(name.kind), &name.value);
            wrong.check("name-invalid", &pointer, read)
        })
        .collect()
}

/// Reads a length of time.
pub(crate) fn read_lifetime(pointer: &str, text: Option<&String>, wrong: &mut Wrong) -> Option<Lifetime> {
    text.and_then(|text| wrong.check("lifetime-invalid", pointer, text.parse()))
}

/// Reads a time.
pub(crate) fn read_time(pointer: &str, text: Option<&String>, wrong: &mut Wrong) -> Option<Timestamp> {
    text.and_then(|text| wrong.check("time-invalid", pointer, Timestamp::parse_rfc3339(text)))
}

pub(crate) fn reason(reason: WireReason) -> RevocationReason {
    match reason {
        WireReason::Unspecified => RevocationReason::Unspecified,
        WireReason::KeyCompromise => RevocationReason::KeyCompromise,
        WireReason::CaCompromise => RevocationReason::CaCompromise,
        WireReason::AffiliationChanged => RevocationReason::AffiliationChanged,
        WireReason::Superseded => RevocationReason::Superseded,
        WireReason::CessationOfOperation => RevocationReason::CessationOfOperation,
        WireReason::CertificateHold => RevocationReason::CertificateHold,
        WireReason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
        WireReason::AaCompromise => RevocationReason::AaCompromise,
    }
}

fn wire_reason(reason: RevocationReason) -> WireReason {
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

/// An authority as the API shows it.
pub(crate) fn authority(state: &AppState, authority: &Authority) -> ca_api::authority::Authority {
    let certificate = authority.certificate();
    let record = authority.record();
    let crl_files = state.crl_files();
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
            available: authority.can_sign(),
        },
        crl: crl_files.get(authority.id()).map(|file| RevocationList {
            number: file.number,
            this_update: file.this_update.to_rfc3339(),
            next_update: file.next_update.to_rfc3339(),
            entries: file.entries,
        }),
        revocation_visible_within: visible_within(state, &record.key_home),
        certificate: certificate.to_pem(),
        chain: authority
            .ancestors()
            .split_last()
            .map(|(_root, between)| between.iter().map(|der| ca_core::pem::encode("CERTIFICATE", der)).collect())
            .unwrap_or_default(),
    }
}

/// The worst case until a revocation is seen: a kept OCSP answer, or, for an offline authority, its CRL's life.
fn visible_within(state: &AppState, key_home: &KeyHome) -> String {
    match key_home {
        KeyHome::File => state.engine().settings().offline_crl_validity.to_string(),
        _ => Lifetime::from_seconds(state.max_age().seconds() + 1).to_string(),
    }
}

/// A profile as the API shows it.
pub(crate) fn profile(profile: &Profile) -> ca_api::profile::Profile {
    ca_api::profile::Profile {
        name: profile.name().to_string(),
        authority: profile.authority().map(ToString::to_string).unwrap_or_default(),
        key_types: profile.key_types().iter().map(ToString::to_string).collect(),
        default_validity: profile.default_validity().to_string(),
        maximum_validity: profile.maximum_validity().to_string(),
        key_usage: profile.key_usage().iter().map(|usage| usage.to_string()).collect(),
        extended_key_usage: profile.extended_key_usage().iter().map(ToString::to_string).collect(),
        subject_alternative_name_types: name_types(profile),
        certificate_policies: profile.certificate_policies().iter().map(ToString::to_string).collect(),
        must_staple: profile.must_staple(),
        personal_data: profile.has_personal_data(),
    }
}

fn name_types(profile: &Profile) -> Vec<SubjectAlternativeNameType> {
    let names = profile.names();
    [
        (names.dns.is_some(), SubjectAlternativeNameType::Dns),
        (names.ip.is_some(), SubjectAlternativeNameType::Ip),
        (names.email.is_some(), SubjectAlternativeNameType::Email),
        (names.uri.is_some(), SubjectAlternativeNameType::Uri),
        (names.other.is_some(), SubjectAlternativeNameType::OtherName),
        (names.directory.is_some(), SubjectAlternativeNameType::DirectoryName),
        (names.registered_id.is_some(), SubjectAlternativeNameType::RegisteredId),
    ]
    .into_iter()
    .filter_map(|(allowed, kind)| allowed.then_some(kind))
    .collect()
}

/// An enrolment token as the API shows it; its secret is not on record.
pub(crate) fn token(record: &TokenRecord) -> ca_api::token::EnrolmentToken {
    ca_api::token::EnrolmentToken {
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
