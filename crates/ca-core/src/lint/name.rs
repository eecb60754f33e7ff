//! Rules of the subject and of the subject alternative names (RFC 5280 §4.1.2.6, §4.2.1.6).

use super::inspection::{EMPTY_SEQUENCE, Inspection};
use super::rule::{Rule, ensure, rules};
use crate::tbs::extension::id;

pub(super) const RULES: &[Rule] = rules![
    subject_is_a_distinguished_name => "RFC 5280 §4.1.2.4",
    subject_attributes_keep_their_types_and_bounds => "RFC 5280 appendix A.1",
    subject_of_authority_is_not_empty => "RFC 5280 §4.1.2.6",
    subject_is_not_a_tools_default => "CA/Browser Forum BR §7.1.4",
    somebody_is_named => "RFC 5280 §4.1.2.6",
    names_are_critical_exactly_when_subject_is_empty => "RFC 5280 §4.2.1.6",
    names_are_not_an_empty_list => "RFC 5280 §4.2.1.6",
    names_are_not_repeated => "RFC 5280 §4.2.1.6",
];

fn subject_is_a_distinguished_name(seen: &Inspection<'_>) -> Result<(), String> {
    seen.subject.as_ref().map(|_| ()).map_err(Clone::clone)
}

fn subject_attributes_keep_their_types_and_bounds(seen: &Inspection<'_>) -> Result<(), String> {
    let Ok(subject) = &seen.subject else { return Ok(()) };
    let faults: Vec<String> = subject.attribute_faults().iter().map(ToString::to_string).collect();
    ensure(faults.is_empty(), || faults.join("; "))
}

fn subject_of_authority_is_not_empty(seen: &Inspection<'_>) -> Result<(), String> {
    let empty = seen.subject.as_ref().is_ok_and(|subject| subject.is_empty());
    ensure(!(empty && seen.says_authority()), || "an authority has a subject; this one is empty".to_owned())
}

fn subject_is_not_a_tools_default(seen: &Inspection<'_>) -> Result<(), String> {
    let Ok(subject) = &seen.subject else { return Ok(()) };
    let found =
        subject.attributes().filter_map(|attribute| attribute.text).find(|text| TOOL_DEFAULTS.contains(&&**text));
    ensure(found.is_none(), || {
        format!("`{}` is what a tool writes where nobody named the subject", found.as_deref().unwrap_or_default())
    })
}

fn somebody_is_named(seen: &Inspection<'_>) -> Result<(), String> {
    let empty = seen.subject.as_ref().is_ok_and(|subject| subject.is_empty());
    ensure(!empty || seen.extension(&id::SUBJECT_ALT_NAME).is_some(), || {
        "neither a subject nor a subject alternative name is there".to_owned()
    })
}

fn names_are_critical_exactly_when_subject_is_empty(seen: &Inspection<'_>) -> Result<(), String> {
    let (Ok(subject), Some(extension)) = (&seen.subject, seen.extension(&id::SUBJECT_ALT_NAME)) else { return Ok(()) };
    ensure(extension.critical == subject.is_empty(), || {
        if extension.critical {
            "subjectAltName is critical beside a subject".to_owned()
        } else {
            "subjectAltName is not critical though the subject is empty".to_owned()
        }
    })
}

fn names_are_not_an_empty_list(seen: &Inspection<'_>) -> Result<(), String> {
    let empty = seen.extension(&id::SUBJECT_ALT_NAME).is_some_and(|extension| extension.value == EMPTY_SEQUENCE);
    ensure(!empty, || "subjectAltName is there without a name; leave it out".to_owned())
}

fn names_are_not_repeated(seen: &Inspection<'_>) -> Result<(), String> {
    let names = seen.names();
    let repeated = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
    ensure(repeated.is_none(), || {
        format!("the {}th subject alternative name stood there before", repeated.map_or(0, |found| found.0))
    })
}

/// What rcgen and the openssl command line write on their own.
const TOOL_DEFAULTS: [&str; 6] = [
    "rcgen self signed cert",
    "Crab widgits SE",
    "Internet Widgits Pty Ltd",
    "Some-State",
    "Default Company Ltd",
    "Default City",
];
