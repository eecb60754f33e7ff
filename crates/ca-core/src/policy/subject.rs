//! The subject of a request: which one is meant, and whether its attributes are the profile's.

use const_oid::ObjectIdentifier;

use super::{Violation, ViolationCode};
use crate::csr::ParsedCsr;
use crate::name::{DistinguishedName, GeneralName};
use crate::oid;
use crate::profile::{CommonNameRule, Profile, attribute_name};
use crate::tlv::{self, tag};

/// The subject to be granted, the profile's fixed attributes in front, byte for byte otherwise.
pub(super) fn check(
    profile: &Profile,
    subject: Option<&DistinguishedName>,
    csr: Option<&ParsedCsr>,
    names: &[GeneralName],
    violations: &mut Vec<Violation>,
) -> DistinguishedName {
    let rules = profile.subject();
    let from_csr = csr.filter(|_| rules.from_csr).map(|csr| csr.subject());
    let (asked, pointer) = match (subject, from_csr) {
        (Some(subject), _) => (subject.clone(), "/subject"),
        (None, Some(subject)) => (subject.clone(), "/csr"),
        (None, None) => (DistinguishedName::empty(), "/subject"),
    };
    for fault in asked.attribute_faults() {
        violations.push(Violation::new(ViolationCode::SubjectAttributeInvalid, pointer, fault.to_string()));
    }
    let subject = match &rules.fixed {
        Some(fixed) => with_fixed(fixed, asked, pointer, violations),
        None => asked,
    };
    check_attributes(profile, &subject, pointer, violations);
    if rules.common_name == CommonNameRule::OneOfNames {
        check_common_names(&subject, names, pointer, violations);
    }
    subject
}

/// The subject with the fixed attributes in front. A subject that already begins with them (a renewal's) stays as it is.
fn with_fixed(
    fixed: &DistinguishedName,
    asked: DistinguishedName,
    pointer: &str,
    violations: &mut Vec<Violation>,
) -> DistinguishedName {
    let (Some(fixed_rdns), Some(asked_rdns)) = (rdns(fixed), rdns(&asked)) else { return asked };
    if asked_rdns.starts_with(fixed_rdns) {
        return asked;
    }
    for attribute in asked.attributes() {
        if fixed.attributes().any(|set| set.oid == attribute.oid) {
            let name = attribute_name(attribute.oid);
            let message = format!("{name} is set by the profile (`{fixed}`); leave it out of the subject");
            violations.push(Violation::new(ViolationCode::SubjectAttributeFixed, pointer, message));
        }
    }
    let mut der = Vec::with_capacity(fixed_rdns.len() + asked_rdns.len() + 4);
    tlv::append_header(&mut der, tag::SEQUENCE, fixed_rdns.len() + asked_rdns.len());
    der.extend_from_slice(fixed_rdns);
    der.extend_from_slice(asked_rdns);
    DistinguishedName::from_der(&der).unwrap_or_else(|fault| {
        violations.push(Violation::new(ViolationCode::SubjectAttributeInvalid, pointer, fault.to_string()));
        asked
    })
}

/// The DER of the RDNs, one after the other, without the header around them.
fn rdns(name: &DistinguishedName) -> Option<&[u8]> {
    tlv::Reader::only(name.as_der(), tag::SEQUENCE).ok().map(|element| element.content)
}

pub(super) fn check_attributes(
    profile: &Profile,
    subject: &DistinguishedName,
    pointer: &str,
    violations: &mut Vec<Violation>,
) {
    let rules = profile.subject();
    let fixed: Vec<ObjectIdentifier> =
        rules.fixed.iter().flat_map(|fixed| fixed.attributes().map(|attribute| attribute.oid)).collect();
    let mut present: Vec<ObjectIdentifier> = Vec::new();
    let mut count = 0;
    for attribute in subject.attributes() {
        count += 1;
        if present.contains(&attribute.oid) {
            continue;
        }
        present.push(attribute.oid);
        let listed = [&rules.required, &rules.optional, &fixed].iter().any(|list| list.contains(&attribute.oid));
        if !listed {
            let allowed: Vec<String> =
                rules.required.iter().chain(&rules.optional).map(|allowed| attribute_name(*allowed)).collect();
            let message = format!(
                "the profile `{}` takes no {} in the subject; it takes {}",
                profile.name(),
                attribute_name(attribute.oid),
                if allowed.is_empty() { "no attribute at all".to_owned() } else { allowed.join(", ") }
            );
            violations.push(Violation::new(ViolationCode::SubjectAttributeNotAllowed, pointer, message));
        }
    }
    for required in rules.required.iter().filter(|required| !present.contains(required)) {
        let name = attribute_name(*required);
        let message = format!("the profile `{}` asks for {name} in the subject, like `{name}=…`", profile.name());
        violations.push(Violation::new(ViolationCode::SubjectAttributeMissing, pointer, message));
    }
    if count > rules.maximum_attributes {
        let message = format!("the subject has {count} attributes; at most {} may be there", rules.maximum_attributes);
        violations.push(Violation::new(ViolationCode::SubjectTooLarge, pointer, message));
    }
}

fn check_common_names(
    subject: &DistinguishedName,
    names: &[GeneralName],
    pointer: &str,
    violations: &mut Vec<Violation>,
) {
    let common_names = subject.attributes().filter(|attribute| attribute.oid == oid::COMMON_NAME);
    for text in common_names.filter_map(|attribute| attribute.text) {
        if !names.iter().any(|name| super::name::reads_as(name, &text)) {
            let message = format!(
                "the common name `{text}` is none of the subject alternative names; add it there or leave it out"
            );
            violations.push(Violation::new(ViolationCode::CommonNameNotAName, pointer, message));
        }
    }
}
