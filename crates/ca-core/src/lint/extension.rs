//! Rules of extensions: which there are, whether they are critical, and what they may say (RFC 5280 §4.2).

use const_oid::ObjectIdentifier;

use super::inspection::{EMPTY_SEQUENCE, Inspection};
use super::rule::{Rule, ensure, rules};
use crate::profile::ProfileKind;
use crate::tbs::extension::{TLS_STATUS_REQUEST, id};

pub(super) const RULES: &[Rule] = rules![
    extensions_are_known => "RFC 5280 §4.2",
    extensions_are_not_repeated => "RFC 5280 §4.2",
    extension_defaults_are_left_out => "X.690 §11.5",
    extension_values_are_der_of_their_type => "RFC 5280 §4.2",
    constraining_extensions_are_critical => "RFC 5280 §4.2.1.3, §4.2.1.9, §4.2.1.10",
    informing_extensions_are_not_critical => "RFC 5280 §4.2.1.1, §4.2.1.2, §4.2.1.4, §4.2.1.13, §4.2.2.1",
    subject_key_identifier_is_sha1_of_key => "RFC 5280 §4.2.1.2",
    authority_key_identifier_is_the_issuers => "RFC 5280 §4.2.1.1",
    basic_constraints_agree_with_profile => "RFC 5280 §4.2.1.9",
    path_length_is_an_authoritys => "RFC 5280 §4.2.1.9",
    name_constraints_are_an_authoritys => "RFC 5280 §4.2.1.10",
    name_constraints_are_not_empty => "RFC 5280 §4.2.1.10",
    policies_are_listed_once => "RFC 5280 §4.2.1.4",
    policies_have_no_qualifiers => "RFC 5280 §4.2.1.4",
    crl_distribution_points_are_http => "RFC 5280 §4.2.1.13",
    authority_information_is_http => "RFC 5280 §4.2.2.1",
    responder_points_at_no_status_service => "RFC 6960 §4.2.2.2.1",
    tls_feature_is_status_request_with_responder => "RFC 7633 §4.2.3.1",
];

/// The name of a rule for responders that are made here; see [`super::check_received`].
pub(super) const RESPONDER_POINTS_NOWHERE: &str = "responder_points_at_no_status_service";

/// Likewise.
pub(super) const CONSTRAINING_CRITICAL: &str = "constraining_extensions_are_critical";

fn extensions_are_known(seen: &Inspection<'_>) -> Result<(), String> {
    let unknown = seen.view.extensions.iter().find(|extension| !KNOWN.iter().any(|oid| extension.is(oid)));
    ensure(unknown.is_none(), || {
        let identifier = unknown.map(|extension| extension.identifier_text()).unwrap_or_default();
        format!("the extension {identifier} is none that we write")
    })
}

fn extensions_are_not_repeated(seen: &Inspection<'_>) -> Result<(), String> {
    let extensions = &seen.view.extensions;
    let repeated = extensions.iter().enumerate().find(|(index, extension)| {
        extensions[..*index].iter().any(|earlier| earlier.identifier() == extension.identifier())
    });
    ensure(repeated.is_none(), || {
        format!("the extension {} occurs twice", repeated.map(|(_, found)| found.identifier_text()).unwrap_or_default())
    })
}

fn extension_defaults_are_left_out(seen: &Inspection<'_>) -> Result<(), String> {
    let wordy = seen.view.extensions.iter().find(|extension| extension.writes_default);
    ensure(wordy.is_none(), || {
        let identifier = wordy.map(|extension| extension.identifier_text()).unwrap_or_default();
        format!("the extension {identifier} writes critical FALSE, which DER leaves out")
    })
}

fn extension_values_are_der_of_their_type(seen: &Inspection<'_>) -> Result<(), String> {
    ensure(seen.unreadable.is_empty(), || seen.unreadable.join("; "))
}

fn constraining_extensions_are_critical(seen: &Inspection<'_>) -> Result<(), String> {
    let lax = CRITICAL.iter().find(|oid| seen.extension(oid).is_some_and(|extension| !extension.critical));
    ensure(lax.is_none(), || format!("the extension {} constrains and must be critical", text(lax)))
}

fn informing_extensions_are_not_critical(seen: &Inspection<'_>) -> Result<(), String> {
    let strict = NOT_CRITICAL.iter().find(|oid| seen.extension(oid).is_some_and(|extension| extension.critical));
    ensure(strict.is_none(), || format!("the extension {} informs and must not be critical", text(strict)))
}

fn subject_key_identifier_is_sha1_of_key(seen: &Inspection<'_>) -> Result<(), String> {
    let expected = seen.context.public_key.key_identifier();
    ensure(seen.subject_key_identifier == Some(&expected), || {
        format!("the subject key identifier is not {}, the SHA-1 of the key", hex::encode(expected))
    })
}

fn authority_key_identifier_is_the_issuers(seen: &Inspection<'_>) -> Result<(), String> {
    let (issuer, found) = match (seen.issuer, &seen.authority_key_identifier) {
        // A self-signed certificate may leave it out; where it stands it is the subject's own.
        (None, None) => return Ok(()),
        (None, Some(found)) => (seen.context.public_key.key_identifier().to_vec(), found),
        (Some(facts), Some(found)) => (facts.key_identifier.clone(), found),
        (Some(_), None) => return Err("the authority key identifier is missing".to_owned()),
    };
    ensure(found.key_identifier == Some(&issuer), || {
        format!("the authority key identifier is not {}, the issuer's", hex::encode(&issuer))
    })?;
    // Issuer and serial would tie the certificate to one certificate of the issuer's key and break a renewed issuer.
    ensure(!found.issuer_and_serial, || {
        "the authority key identifier names an issuer and serial; the key is enough".to_owned()
    })
}

fn basic_constraints_agree_with_profile(seen: &Inspection<'_>) -> Result<(), String> {
    match (seen.basic_constraints, seen.is_for_authority()) {
        (None, _) => Err("basicConstraints is missing".to_owned()),
        (Some(found), expected) => ensure(found.authority == expected, || {
            format!(
                "basicConstraints says cA {}, the profile `{}` another",
                found.authority,
                seen.context.profile.name()
            )
        }),
    }
}

fn path_length_is_an_authoritys(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(constraints) = seen.basic_constraints else { return Ok(()) };
    ensure(constraints.authority || constraints.path_length.is_none(), || {
        "pathLenConstraint belongs to authorities".to_owned()
    })
}

fn name_constraints_are_an_authoritys(seen: &Inspection<'_>) -> Result<(), String> {
    ensure(seen.extension(&id::NAME_CONSTRAINTS).is_none() || seen.says_authority(), || {
        "nameConstraints belongs to authorities".to_owned()
    })
}

fn name_constraints_are_not_empty(seen: &Inspection<'_>) -> Result<(), String> {
    let empty = seen.extension(&id::NAME_CONSTRAINTS).is_some_and(|extension| extension.value == EMPTY_SEQUENCE);
    ensure(!empty, || "nameConstraints is there without a subtree; leave it out".to_owned())
}

fn policies_are_listed_once(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(policies) = &seen.certificate_policies else { return Ok(()) };
    ensure(!policies.is_empty(), || "certificatePolicies is there without a policy; leave it out".to_owned())?;
    let repeated = policies
        .iter()
        .enumerate()
        .find(|(index, information)| policies[..*index].iter().any(|earlier| earlier.policy == information.policy));
    ensure(repeated.is_none(), || {
        format!(
            "the policy {} is listed twice",
            repeated.map(|(_, found)| found.policy.to_string()).unwrap_or_default()
        )
    })
}

fn policies_have_no_qualifiers(seen: &Inspection<'_>) -> Result<(), String> {
    let qualified = seen.certificate_policies.iter().flatten().find(|information| information.qualified);
    ensure(qualified.is_none(), || {
        format!(
            "the policy {} has qualifiers; an object identifier alone is recommended",
            qualified.map(|found| found.policy.to_string()).unwrap_or_default()
        )
    })
}

fn crl_distribution_points_are_http(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(points) = &seen.distribution_points else { return Ok(()) };
    ensure(!points.is_empty(), || "cRLDistributionPoints is there without a point; leave it out".to_owned())?;
    for point in points {
        ensure(!point.more && !point.urls.is_empty(), || {
            "a distribution point says something else than the URL of a complete CRL of the issuer".to_owned()
        })?;
        for url in &point.urls {
            check_url(url)?;
        }
    }
    Ok(())
}

fn authority_information_is_http(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(descriptions) = &seen.access_descriptions else { return Ok(()) };
    ensure(!descriptions.is_empty(), || "authorityInfoAccess is there without a description; leave it out".to_owned())?;
    for description in descriptions {
        let known = [id::AD_OCSP, id::AD_CA_ISSUERS].contains(&description.method);
        ensure(known, || format!("the access method {} is none that we write", description.method))?;
        check_url(description.url.ok_or("the location of an access method is no URL")?)?;
    }
    Ok(())
}

fn responder_points_at_no_status_service(seen: &Inspection<'_>) -> Result<(), String> {
    if seen.context.profile.kind() != ProfileKind::OcspResponder {
        return Ok(());
    }
    let points = seen.extension(&id::CRL_DISTRIBUTION_POINTS).is_some()
        || seen.access_descriptions.iter().flatten().any(|description| description.method == id::AD_OCSP);
    ensure(!points, || "a responder with id-pkix-ocsp-nocheck points at a status service of its own".to_owned())
}

fn tls_feature_is_status_request_with_responder(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(features) = &seen.tls_features else { return Ok(()) };
    ensure(features == &[TLS_STATUS_REQUEST] && !seen.says_authority(), || {
        "the TLS feature is something else than status_request of a server".to_owned()
    })?;
    let responder = seen.access_descriptions.iter().flatten().any(|description| description.method == id::AD_OCSP);
    ensure(responder, || "a stapled OCSP response is demanded, but no responder is named to get it from".to_owned())
}

/// RFC 5280 §8 warns of https: validating its certificate may ask for the same status again.
fn check_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("http://");
    let host = rest.and_then(|rest| rest.split(['/', ':']).next());
    ensure(host.is_some_and(|host| !host.is_empty()), || format!("`{url}` is not an http URL"))?;
    // RFC 3986 §2: printable ASCII without blanks and delimiters of texts.
    let clean = url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    ensure(clean, || format!("`{url}` has characters that no URL may have"))
}

fn text(oid: Option<&ObjectIdentifier>) -> String {
    oid.map(ToString::to_string).unwrap_or_default()
}

const KNOWN: [ObjectIdentifier; 12] = [
    id::SUBJECT_KEY_IDENTIFIER,
    id::AUTHORITY_KEY_IDENTIFIER,
    id::BASIC_CONSTRAINTS,
    id::KEY_USAGE,
    id::EXTENDED_KEY_USAGE,
    id::CERTIFICATE_POLICIES,
    id::SUBJECT_ALT_NAME,
    id::NAME_CONSTRAINTS,
    id::CRL_DISTRIBUTION_POINTS,
    id::AUTHORITY_INFO_ACCESS,
    id::TLS_FEATURE,
    id::OCSP_NO_CHECK,
];

const CRITICAL: [ObjectIdentifier; 3] = [id::BASIC_CONSTRAINTS, id::KEY_USAGE, id::NAME_CONSTRAINTS];

const NOT_CRITICAL: [ObjectIdentifier; 7] = [
    id::SUBJECT_KEY_IDENTIFIER,
    id::AUTHORITY_KEY_IDENTIFIER,
    id::CERTIFICATE_POLICIES,
    id::CRL_DISTRIBUTION_POINTS,
    id::AUTHORITY_INFO_ACCESS,
    id::TLS_FEATURE,
    id::OCSP_NO_CHECK,
];
