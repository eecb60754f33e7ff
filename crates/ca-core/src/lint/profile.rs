//! Rules of the profile: the certificate is of the kind that was granted, as far as the octets show it.

use super::inspection::Inspection;
use super::rule::{Rule, ensure, rules};
use crate::policy;
use crate::tbs::extension::id;
use crate::template::BACKDATE;

pub(super) const RULES: &[Rule] = rules![
    key_type_is_the_profiles => "profile: key_types",
    lifetime_is_within_the_profiles => "profile: validity.maximum",
    key_usage_is_the_profiles => "profile: key_usage",
    purposes_are_the_profiles => "profile: extended_key_usage",
    policies_are_the_profiles => "profile: certificate_policies",
    path_length_is_the_profiles => "profile: path_length",
    subject_is_the_profiles => "profile: subject",
    names_are_the_profiles => "profile: names",
    tls_feature_is_the_profiles => "profile: must_staple",
];

fn key_type_is_the_profiles(seen: &Inspection<'_>) -> Result<(), String> {
    let key_type = seen.context.public_key.key_type();
    ensure(seen.context.profile.key_types().contains(&key_type), || format!("the profile takes no {key_type} key"))
}

fn lifetime_is_within_the_profiles(seen: &Inspection<'_>) -> Result<(), String> {
    let Ok(validity) = &seen.validity else { return Ok(()) };
    let lifetime = validity.not_after.since(validity.not_before);
    let maximum = seen.context.profile.maximum_validity();
    ensure(lifetime.seconds() <= maximum.seconds().saturating_add(BACKDATE.seconds()), || {
        format!("the certificate lives {lifetime}, the profile allows {maximum} (and {BACKDATE} of backdating)")
    })
}

fn key_usage_is_the_profiles(seen: &Inspection<'_>) -> Result<(), String> {
    let key_type = seen.context.public_key.key_type();
    let expected = seen.context.profile.key_usage().iter().filter(|usage| usage.fits(key_type)).collect();
    ensure(seen.key_usage.is_none_or(|usages| usages == expected), || format!("the profile's key usage is {expected}"))
}

fn purposes_are_the_profiles(seen: &Inspection<'_>) -> Result<(), String> {
    // An authority's purposes are set when it is made.
    if seen.is_for_authority() {
        return Ok(());
    }
    ensure(seen.purposes() == seen.context.profile.extended_key_usage(), || {
        format!("the profile's purposes are {:?}", seen.context.profile.extended_key_usage())
    })
}

fn policies_are_the_profiles(seen: &Inspection<'_>) -> Result<(), String> {
    let found = seen.certificate_policies.iter().flatten().map(|information| information.policy);
    ensure(found.eq(seen.context.profile.certificate_policies().iter().copied()), || {
        format!("the profile's policies are {:?}", seen.context.profile.certificate_policies())
    })
}

fn path_length_is_the_profiles(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(constraints) = seen.basic_constraints.filter(|constraints| constraints.authority) else { return Ok(()) };
    let expected = seen.context.profile.path_length();
    ensure(constraints.path_length == expected.map(u64::from), || format!("the profile's path length is {expected:?}"))
}

fn subject_is_the_profiles(seen: &Inspection<'_>) -> Result<(), String> {
    let Ok(subject) = &seen.subject else { return Ok(()) };
    told(policy::check_subject_attributes(seen.context.profile, subject))
}

fn names_are_the_profiles(seen: &Inspection<'_>) -> Result<(), String> {
    told(policy::check_names(seen.context.profile, seen.names()))
}

fn tls_feature_is_the_profiles(seen: &Inspection<'_>) -> Result<(), String> {
    let found = seen.extension(&id::TLS_FEATURE).is_some();
    ensure(found == seen.context.profile.must_staple(), || {
        format!("must_staple is {} in the profile and {found} in the certificate", seen.context.profile.must_staple())
    })
}

fn told(violations: Vec<policy::Violation>) -> Result<(), String> {
    ensure(violations.is_empty(), || {
        violations.into_iter().map(|violation| violation.message).collect::<Vec<_>>().join("; ")
    })
}
