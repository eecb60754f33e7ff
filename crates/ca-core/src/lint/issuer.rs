//! Rules of the issuer: nothing that its own certificate forbids (RFC 5280 §6.1).

use super::inspection::Inspection;
use super::rule::{Rule, ensure, rules};
use crate::profile::ProfileKind;
use crate::template::ANY_POLICY;
use crate::usage::ExtendedKeyUsage;

pub(super) const RULES: &[Rule] = rules![
    issuer_name_is_the_issuers_subject => "RFC 5280 §4.1.2.4",
    end_entity_is_not_named_like_its_issuer => "RFC 5280 §6.1",
    validity_lies_within_the_issuers => "RFC 5280 §6.1.3 (a)(2)",
    path_length_is_below_the_issuers => "RFC 5280 §6.1.4 (l), (m)",
    names_obey_the_issuers_constraints => "RFC 5280 §6.1.3 (b), (c)",
    purposes_are_among_the_issuers => "CA/Browser Forum BR §7.1.2.10.6",
    policies_are_among_the_issuers => "RFC 5280 §6.1.3 (d)",
];

fn issuer_name_is_the_issuers_subject(seen: &Inspection<'_>) -> Result<(), String> {
    let expected = seen.issuer.map_or(seen.view.subject, |facts| facts.subject.as_der());
    ensure(seen.view.issuer == expected, || {
        "the issuer is not the issuer's subject, octet for octet; verifiers would not find it".to_owned()
    })?;
    // RFC 5280 §4.1.2.4: "The issuer field MUST contain a non-empty distinguished name (DN)".
    ensure(seen.view.issuer.get(1) != Some(&0), || "the issuer is empty".to_owned())
}

fn end_entity_is_not_named_like_its_issuer(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(facts) = seen.issuer.filter(|_| !seen.says_authority()) else { return Ok(()) };
    let alike = seen.subject.as_ref().is_ok_and(|subject| subject.matches(&facts.subject));
    ensure(!alike, || {
        "an end entity has its issuer's name; verifiers would take the certificate for self-issued".to_owned()
    })
}

fn validity_lies_within_the_issuers(seen: &Inspection<'_>) -> Result<(), String> {
    let (Ok(validity), Some(facts)) = (&seen.validity, seen.issuer) else { return Ok(()) };
    let within = facts.validity.not_before <= validity.not_before && validity.not_after <= facts.validity.not_after;
    ensure(within, || {
        format!(
            "valid from {} to {}, its issuer from {} to {}",
            validity.not_before, validity.not_after, facts.validity.not_before, facts.validity.not_after
        )
    })
}

fn path_length_is_below_the_issuers(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(constraints) = seen.basic_constraints.filter(|constraints| constraints.authority) else { return Ok(()) };
    let Some(limit) = seen.issuer.and_then(|facts| facts.path_length) else { return Ok(()) };
    let below = constraints.path_length.is_some_and(|length| length < u64::from(limit));
    ensure(below, || format!("the issuer's path length is {limit}; an authority below it must have a smaller one"))
}

fn names_obey_the_issuers_constraints(seen: &Inspection<'_>) -> Result<(), String> {
    let (Ok(subject), Some(constraints)) =
        (&seen.subject, seen.issuer.and_then(|facts| facts.name_constraints.as_ref()))
    else {
        return Ok(());
    };
    constraints
        .check(subject, seen.names())
        .map_err(|violations| violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

fn purposes_are_among_the_issuers(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(facts) = seen.issuer else { return Ok(()) };
    let allowed = &facts.extended_key_usage;
    // RFC 6960 §4.2.2.2 ties a delegated responder to its issuer's key; verifiers do not nest its purpose.
    let exempt = seen.context.profile.kind() == ProfileKind::OcspResponder;
    if allowed.is_empty() || allowed.contains(&ExtendedKeyUsage::ANY) || exempt {
        return Ok(());
    }
    ensure(seen.extended_key_usage.is_some(), || {
        "the issuer is confined to purposes, this certificate is not".to_owned()
    })?;
    let outside = seen.purposes().iter().find(|purpose| !allowed.contains(purpose));
    ensure(outside.is_none(), || {
        format!("the issuer may not certify {}", outside.map(ToString::to_string).unwrap_or_default())
    })
}

fn policies_are_among_the_issuers(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(facts) = seen.issuer else { return Ok(()) };
    let allowed = &facts.certificate_policies;
    if allowed.is_empty() || allowed.contains(&ANY_POLICY) {
        return Ok(());
    }
    let outside = seen.certificate_policies.iter().flatten().find(|found| !allowed.contains(&found.policy));
    ensure(outside.is_none(), || {
        format!(
            "the issuer does not list the policy {}",
            outside.map(|found| found.policy.to_string()).unwrap_or_default()
        )
    })
}
