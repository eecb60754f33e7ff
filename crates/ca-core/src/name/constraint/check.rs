//! Whether names obey the name constraints of their issuer (RFC 5280 §4.2.1.10).

use std::net::IpAddr;

use thiserror::Error;

use super::{Domain, NameConstraints, Subtree, first_address};
use crate::name::{DistinguishedName, DnsName, EmailAddress, GeneralName};
use crate::oid;

/// A name that breaks its issuer's constraints. Directory names are not quoted: they may be personal data.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConstraintViolation {
    /// In none of the permitted subtrees of its kind.
    #[error("{name} is outside what the issuer may certify: {permitted}")]
    NotPermitted {
        /// The name, as `dns:api.example.com`, or `the subject`, `a directoryName`.
        name: String,
        /// The permitted subtrees of its kind, comma-separated.
        permitted: String,
    },
    /// In an excluded subtree.
    #[error("{name} is inside {excluded}, which the issuer must not certify")]
    Excluded {
        /// The name.
        name: String,
        /// The subtree it lies in or touches.
        excluded: String,
    },
    /// Its kind is constrained, but it has no part to compare (a URI without a host name).
    #[error("{name} cannot be held against the issuer's name constraints: {why}")]
    Unjudgeable {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
}

pub(super) fn check(
    constraints: &NameConstraints,
    subject: &DistinguishedName,
    names: &[GeneralName],
) -> Result<(), Vec<ConstraintViolation>> {
    if constraints.is_empty() {
        return Ok(());
    }
    let mut violations = Vec::new();
    check_subject(constraints, subject, names, &mut violations);
    for name in names {
        let label = match name {
            GeneralName::Directory(_) => "a directoryName".to_owned(),
            other => other.to_string(),
        };
        judge(constraints, name, &label, &mut violations);
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

/// The names that a subject holds.
fn check_subject(
    constraints: &NameConstraints,
    subject: &DistinguishedName,
    names: &[GeneralName],
    violations: &mut Vec<ConstraintViolation>,
) {
    if !subject.is_empty() {
        judge(constraints, &GeneralName::Directory(subject.clone()), "the subject", violations);
    }
    for attribute in subject.attributes().filter(|attribute| attribute.oid == oid::EMAIL_ADDRESS) {
        let address = attribute.text.as_deref().map(EmailAddress::parse);
        if let Some(Ok(address)) = address {
            judge(constraints, &GeneralName::Email(address), "the subject's emailAddress", violations);
        } else if constraints.all().any(|subtree| matches!(subtree, Subtree::EmailMailbox(_) | Subtree::EmailDomain(_)))
        {
            let name = "the subject's emailAddress".to_owned();
            violations.push(ConstraintViolation::Unjudgeable { name, why: "it is no e-mail address".to_owned() });
        }
    }
    if !names.iter().any(|name| matches!(name, GeneralName::Dns(_))) {
        for text in subject.common_names() {
            if let Some(host) = host_name(&text) {
                judge(constraints, &GeneralName::Dns(host), &format!("the common name {text}"), violations);
            }
        }
    }
}

/// A common name that clients without a dNSName to look at would take for a host name.
fn host_name(common_name: &str) -> Option<DnsName> {
    if common_name.is_ascii() && common_name.contains('.') { DnsName::parse(common_name).ok() } else { None }
}

fn judge(constraints: &NameConstraints, name: &GeneralName, label: &str, violations: &mut Vec<ConstraintViolation>) {
    let permitted: Vec<&Subtree> = constraints.permitted.iter().filter(|subtree| subtree.is_of_kind(name)).collect();
    let mut excluded = constraints.excluded.iter().filter(|subtree| subtree.is_of_kind(name)).peekable();
    if permitted.is_empty() && excluded.peek().is_none() {
        return;
    }
    let label = label.to_owned();
    if let GeneralName::Uri(uri) = name
        && uri.host().is_none_or(|host| is_address(&host))
    {
        // RFC 5280 §4.2.1.10: such a certificate MUST be rejected.
        let why = "a URI needs a host name, not an address, where URIs are constrained".to_owned();
        violations.push(ConstraintViolation::Unjudgeable { name: label, why });
        return;
    }
    if !permitted.is_empty() && !permitted.iter().any(|subtree| subtree.contains(name)) {
        let permitted = permitted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        violations.push(ConstraintViolation::NotPermitted { name: label.clone(), permitted });
    }
    if let Some(subtree) = excluded.find(|subtree| subtree.touches(name)) {
        violations.push(ConstraintViolation::Excluded { name: label, excluded: subtree.to_string() });
    }
}

/// Whether the host of a URI is an address.
fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<IpAddr>().is_ok()
}

impl NameConstraints {
    fn all(&self) -> impl Iterator<Item = &Subtree> {
        self.permitted.iter().chain(&self.excluded)
    }
}

impl Subtree {
    /// Whether this constrains names of the kind of `name`.
    fn is_of_kind(&self, name: &GeneralName) -> bool {
        matches!(
            (self, name),
            (Self::Dns(_), GeneralName::Dns(_))
                | (Self::EmailMailbox(_) | Self::EmailDomain(_), GeneralName::Email(_))
                | (Self::UriHost(_), GeneralName::Uri(_))
                | (Self::Ip { .. }, GeneralName::Ip(_))
                | (Self::Directory(_), GeneralName::Directory(_))
        )
    }

    /// Whether the name lies in the subtree; a wildcard when all that it stands for does.
    fn contains(&self, name: &GeneralName) -> bool {
        match (self, name) {
            (Self::Dns(domain), GeneralName::Dns(name)) => match domain {
                Domain::Any => true,
                Domain::Host(base) => name.is_within(base),
                Domain::Below(base) => name.is_below(base),
            },
            (Self::EmailMailbox(mailbox), GeneralName::Email(address)) => mailbox == address,
            (Self::EmailDomain(domain), GeneralName::Email(address)) => domain.is_host(address.domain()),
            (Self::UriHost(domain), GeneralName::Uri(uri)) => uri.host().is_some_and(|host| domain.is_host(&host)),
            (Self::Ip { network, prefix }, GeneralName::Ip(address)) => first_address(*address, *prefix) == *network,
            (Self::Directory(base), GeneralName::Directory(name)) => name.is_within(base),
            _ => false,
        }
    }

    /// Whether the name, or one that it stands for as a wildcard, lies in the subtree.
    fn touches(&self, name: &GeneralName) -> bool {
        if self.contains(name) {
            return true;
        }
        match (self, name) {
            // `*.example.org` stands for `a.example.org`, and for nothing deeper (RFC 9525 §6.3).
            (Self::Dns(Domain::Host(base)), GeneralName::Dns(name)) => {
                let parent = name.as_str().strip_prefix("*.");
                parent.is_some_and(|parent| base.as_str().split_once('.').is_some_and(|(_, base)| base == parent))
            }
            _ => false,
        }
    }
}

impl Domain {
    /// Whether this is the host, or the host lies below it where it begins with a dot.
    fn is_host(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Host(base) => host == base.as_str(),
            Self::Below(base) => {
                host.strip_suffix(base.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }
}
