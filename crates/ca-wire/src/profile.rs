//! Profiles.

use ca_api::certificate::SubjectAlternativeNameType;
use ca_api::profile::Profile as WireProfile;
use ca_core::profile::Profile;

/// A profile.
pub fn profile(profile: &Profile) -> WireProfile {
    WireProfile {
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
    let types = [
        (names.dns.is_some(), SubjectAlternativeNameType::Dns),
        (names.ip.is_some(), SubjectAlternativeNameType::Ip),
        (names.email.is_some(), SubjectAlternativeNameType::Email),
        (names.uri.is_some(), SubjectAlternativeNameType::Uri),
        (names.other.is_some(), SubjectAlternativeNameType::OtherName),
        (names.directory.is_some(), SubjectAlternativeNameType::DirectoryName),
        (names.registered_id.is_some(), SubjectAlternativeNameType::RegisteredId),
    ];
    types.into_iter().filter_map(|(allowed, kind)| allowed.then_some(kind)).collect()
}
