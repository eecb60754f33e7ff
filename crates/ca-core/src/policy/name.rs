//! The subject alternative names of a request: which ones are meant, and whether the profile allows each.

use const_oid::ObjectIdentifier;

use super::{NamesPointer, Violation, ViolationCode};
use crate::csr::ParsedCsr;
use crate::name::{DistinguishedName, DnsName, GeneralName, Uri};
use crate::profile::{DnsRule, DomainRule, NameRules, Profile, UriRule};
use crate::usage::ExtendedKeyUsage;

/// The names that are meant: the request's own, else the CSR's where the profile takes them.
pub(super) fn asked<'a>(
    rules: &NameRules,
    names: Option<&'a [GeneralName]>,
    csr: Option<&'a ParsedCsr>,
) -> (&'a [GeneralName], NamesPointer) {
    match (names, csr) {
        (Some(names), _) => (names, NamesPointer::Request),
        (None, Some(csr)) if rules.from_csr => (csr.subject_alternative_names(), NamesPointer::Csr),
        (None, _) => (&[], NamesPointer::Request),
    }
}

/// Whether the name's text is `text`, letter case of host names aside.
pub(super) fn reads_as(name: &GeneralName, text: &str) -> bool {
    match name {
        GeneralName::Dns(dns) => dns.as_str().eq_ignore_ascii_case(text),
        GeneralName::Ip(address) => text.parse() == Ok(*address),
        GeneralName::Email(address) => address.as_str() == text,
        GeneralName::Uri(uri) => uri.as_str() == text,
        GeneralName::Other { .. } | GeneralName::Directory(_) | GeneralName::RegisteredId(_) => false,
    }
}

/// Holds every name against the profile.
pub(super) fn check(
    profile: &Profile,
    names: &[GeneralName],
    pointer: NamesPointer,
    reserved: &[GeneralName],
    violations: &mut Vec<Violation>,
) {
    check_counts(profile, names, pointer, violations);
    for (index, name) in names.iter().enumerate() {
        let mut refuse = |code, message: String| violations.push(Violation::new(code, pointer.of(index), message));
        if names[..index].contains(name) {
            refuse(ViolationCode::NameDuplicate, format!("`{name}` is asked for twice; leave one out"));
        }
        if let Err((code, message)) = check_one(profile, name) {
            refuse(code, message);
        }
        if let Some(own) = reserved_by(profile, name, reserved) {
            refuse(ViolationCode::NameReserved, reserved_message(&name.to_string(), own));
        }
    }
}

/// A common name that reads as a name of the API is refused like the name itself: old clients take it for one.
pub(super) fn check_reserved_common_names(
    profile: &Profile,
    subject: &DistinguishedName,
    reserved: &[GeneralName],
    violations: &mut Vec<Violation>,
) {
    if !guards_reserved_names(profile) {
        return;
    }
    for text in subject.common_names() {
        let name = GeneralName::recognise(&text).ok();
        let covered = |own: &&GeneralName| reads_as(own, &text) || name.as_ref().is_some_and(|name| covers(name, own));
        if let Some(own) = reserved.iter().find(covered) {
            violations.push(Violation::new(ViolationCode::NameReserved, "/subject", reserved_message(&text, own)));
        }
    }
}

fn guards_reserved_names(profile: &Profile) -> bool {
    !profile.is_internal() && profile.extended_key_usage().contains(&ExtendedKeyUsage::SERVER_AUTH)
}

fn reserved_by<'r>(profile: &Profile, name: &GeneralName, reserved: &'r [GeneralName]) -> Option<&'r GeneralName> {
    if !guards_reserved_names(profile) {
        return None;
    }
    reserved.iter().find(|own| covers(name, own))
}

/// Whether a certificate for `name` would be accepted for `own`.
fn covers(name: &GeneralName, own: &GeneralName) -> bool {
    match (name, own) {
        (GeneralName::Dns(name), GeneralName::Dns(own)) => {
            // RFC 9525 §6.3: the wildcard stands for exactly one leftmost label.
            let wildcard = || {
                let below = name.as_str().strip_prefix("*.")?;
                Some(own.as_str().split_once('.')?.1 == below)
            };
            name == own || wildcard().unwrap_or(false)
        }
        _ => name == own,
    }
}

fn reserved_message(name: &str, own: &GeneralName) -> String {
    format!(
        "`{name}` is a name of this service itself (`{own}`); a certificate for it is made by the service alone: ask for \
         another name"
    )
}

fn check_counts(profile: &Profile, names: &[GeneralName], pointer: NamesPointer, violations: &mut Vec<Violation>) {
    let rules = profile.names();
    let mut refuse = |code, message: String| violations.push(Violation::new(code, pointer.whole(), message));
    if rules.required && names.is_empty() {
        let message =
            format!("the profile `{}` asks for a subject alternative name, like {}", profile.name(), example(rules));
        refuse(ViolationCode::NameMissing, message);
    }
    if names.len() > rules.maximum && rules.allows_any() {
        let message = format!("{} names are asked for; at most {} may be there", names.len(), rules.maximum);
        refuse(ViolationCode::TooManyNames, message);
    }
    for (kind, count) in counts(rules) {
        let found = names.iter().filter(|name| kind_of(name) == kind).count();
        if found < *count.start() {
            let message = format!("the profile `{}` asks for a name of kind {kind}", profile.name());
            refuse(ViolationCode::NameMissing, message);
        }
        if found > *count.end() {
            let message = format!("{found} names of kind {kind} are asked for; at most {} may be there", count.end());
            refuse(ViolationCode::TooManyNames, message);
        }
    }
}

/// The kind of a name; a user principal name is an otherName.
fn kind_of(name: &GeneralName) -> &'static str {
    match name {
        GeneralName::Other { .. } => "otherName",
        other => other.type_name(),
    }
}

/// The kinds that have a rule, by [`kind_of`], and how many of each there may be.
fn counts(rules: &NameRules) -> impl Iterator<Item = (&'static str, &crate::profile::Count)> {
    let dns = rules.dns.as_ref().map(|rule| ("dns", &rule.count));
    let ip = rules.ip.as_ref().map(|rule| ("ip", &rule.count));
    let email = rules.email.as_ref().map(|rule| ("email", &rule.count));
    let uri = rules.uri.as_ref().map(|rule| ("uri", &rule.count));
    let other = rules.other.as_ref().map(|rule| ("otherName", &rule.count));
    let directory = rules.directory.as_ref().map(|rule| ("directoryName", &rule.count));
    let registered_id = rules.registered_id.as_ref().map(|rule| ("registeredID", &rule.count));
    [dns, ip, email, uri, other, directory, registered_id].into_iter().flatten()
}

fn example(rules: &NameRules) -> &'static str {
    if rules.dns.is_some() {
        "dns:host.example.org"
    } else if rules.email.is_some() {
        "email:someone@example.org"
    } else if rules.uri.is_some() {
        "uri:urn:example:device:1"
    } else {
        "ip:192.0.2.1"
    }
}

fn check_one(profile: &Profile, name: &GeneralName) -> Result<(), (ViolationCode, String)> {
    let rules = profile.names();
    let not_allowed = || {
        let message = format!(
            "the profile `{}` takes no subject alternative name of kind {}, as `{name}` is; {}",
            profile.name(),
            name.type_name(),
            kinds_taken(rules)
        );
        (ViolationCode::NameKindNotAllowed, message)
    };
    match name {
        GeneralName::Dns(dns) => check_dns(rules.dns.as_ref().ok_or_else(not_allowed)?, dns),
        GeneralName::Ip(address) => {
            let rule = rules.ip.as_ref().ok_or_else(not_allowed)?;
            let inside = rule.within.is_empty() || rule.within.iter().any(|network| network.contains(*address));
            if inside { Ok(()) } else { Err(not_within(name, &rule.within)) }
        }
        GeneralName::Email(address) => {
            let rule = rules.email.as_ref().ok_or_else(not_allowed)?;
            if admits(&rule.within, address.domain()) { Ok(()) } else { Err(not_within(name, &rule.within)) }
        }
        GeneralName::Uri(uri) => check_uri(rules.uri.as_ref().ok_or_else(not_allowed)?, name, uri),
        GeneralName::Other { type_id, .. } => {
            let rule = rules.other.as_ref().ok_or_else(not_allowed)?;
            let inside = rule.types.is_empty() || rule.types.iter().any(|arc| is_at_or_below(*type_id, *arc));
            if inside { Ok(()) } else { Err(not_within(name, &rule.types)) }
        }
        GeneralName::Directory(_) => rules.directory.as_ref().map(|_| ()).ok_or_else(not_allowed),
        GeneralName::RegisteredId(_) => rules.registered_id.as_ref().map(|_| ()).ok_or_else(not_allowed),
    }
}

/// The kinds of names that there are rules for, for people.
fn kinds_taken(rules: &NameRules) -> String {
    let kinds: Vec<&str> = counts(rules).map(|(kind, _)| kind).collect();
    if kinds.is_empty() { "it takes none at all".to_owned() } else { format!("it takes {}", kinds.join(", ")) }
}

fn check_dns(rule: &DnsRule, name: &DnsName) -> Result<(), (ViolationCode, String)> {
    if name.is_wildcard() && !rule.wildcards {
        let message = format!("`{name}` is a wildcard, which the profile does not allow; name each host");
        return Err((ViolationCode::WildcardNotAllowed, message));
    }
    if !name.as_str().contains('.') && !rule.single_labels {
        let message = format!("`{name}` is a single label; the profile asks for a full host name");
        return Err((ViolationCode::SingleLabelNotAllowed, message));
    }
    if admits(&rule.within, name.as_str()) { Ok(()) } else { Err(not_within(name, &rule.within)) }
}

fn check_uri(rule: &UriRule, name: &GeneralName, uri: &Uri) -> Result<(), (ViolationCode, String)> {
    let scheme = uri.as_str().split(':').next().unwrap_or_default().to_ascii_lowercase();
    if !rule.schemes.is_empty() && !rule.schemes.contains(&scheme) {
        let message =
            format!("`{name}` has the scheme {scheme}; the profile takes the schemes {}", rule.schemes.join(", "));
        return Err((ViolationCode::UriSchemeNotAllowed, message));
    }
    let inside = rule.within.is_empty() || uri.host().is_some_and(|host| admits(&rule.within, &host));
    if inside { Ok(()) } else { Err(not_within(name, &rule.within)) }
}

fn admits(within: &[DomainRule], host: &str) -> bool {
    within.is_empty() || within.iter().any(|domain| domain.admits(host))
}

fn is_at_or_below(oid: ObjectIdentifier, arc: ObjectIdentifier) -> bool {
    // An arc ends on an octet whose top bit is clear, so a prefix of octets is a prefix of arcs.
    oid.as_bytes().starts_with(arc.as_bytes())
}

fn not_within(name: &dyn std::fmt::Display, within: &[impl std::fmt::Display]) -> (ViolationCode, String) {
    let within: Vec<String> = within.iter().map(ToString::to_string).collect();
    let message = format!("`{name}` lies outside what the profile allows: {}", within.join(", "));
    (ViolationCode::NameNotWithin, message)
}
