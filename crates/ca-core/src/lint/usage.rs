//! Rules of what the key may be used for (RFC 5280 §4.2.1.3, §4.2.1.12).

use super::inspection::Inspection;
use super::rule::{Rule, ensure, rules};
use crate::tbs::extension::id;
use crate::usage::{ExtendedKeyUsage, KeyUsage};

pub(super) const RULES: &[Rule] = rules![
    key_usage_is_there => "RFC 5280 §4.2.1.3",
    key_cert_sign_goes_with_authority => "RFC 5280 §4.2.1.3, §4.2.1.9",
    crl_sign_is_an_authoritys => "RFC 5280 §4.2.1.3",
    key_usage_fits_key_type => "RFC 3279 §2.3.1, RFC 5480 §3, RFC 8410 §5",
    encipher_only_goes_with_key_agreement => "RFC 5280 §4.2.1.3",
    purposes_of_end_entity_are_there => "RFC 5280 §4.2.1.12",
    purposes_are_listed_once => "RFC 5280 §4.2.1.12",
    purposes_are_not_any => "RFC 5280 §4.2.1.12",
    purposes_are_critical_for_time_stamping_alone => "RFC 3161 §2.3",
    purposes_agree_with_key_usage => "RFC 5280 §4.2.1.12",
    ocsp_signing_goes_with_no_check => "RFC 6960 §4.2.2.2",
    ocsp_signing_is_an_end_entitys => "RFC 6960 §4.2.2.2",
];

/// The name of a rule; see [`super::check_received`].
pub(super) const PURPOSES_NOT_CRITICAL: &str = "purposes_are_critical_for_time_stamping_alone";

fn key_usage_is_there(seen: &Inspection<'_>) -> Result<(), String> {
    ensure(seen.key_usage.is_some_and(|usages| !usages.is_empty()), || "keyUsage is missing or empty".to_owned())
}

fn key_cert_sign_goes_with_authority(seen: &Inspection<'_>) -> Result<(), String> {
    let signs = seen.key_usage.is_some_and(|usages| usages.contains(KeyUsage::KeyCertSign));
    ensure(signs == seen.says_authority(), || {
        format!("keyCertSign is {} and cA is {}", present(signs), present(seen.says_authority()))
    })
}

fn crl_sign_is_an_authoritys(seen: &Inspection<'_>) -> Result<(), String> {
    let signs = seen.key_usage.is_some_and(|usages| usages.contains(KeyUsage::CrlSign));
    ensure(!signs || seen.says_authority(), || "cRLSign belongs to authorities".to_owned())
}

fn key_usage_fits_key_type(seen: &Inspection<'_>) -> Result<(), String> {
    let key_type = seen.context.public_key.key_type();
    let misfit = seen.key_usage.and_then(|usages| usages.iter().find(|usage| !usage.fits(key_type)));
    ensure(misfit.is_none(), || format!("{key_type} keys have no {}", misfit.map_or("", KeyUsage::as_str)))
}

fn encipher_only_goes_with_key_agreement(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(usages) = seen.key_usage else { return Ok(()) };
    let only = usages.contains(KeyUsage::EncipherOnly) || usages.contains(KeyUsage::DecipherOnly);
    ensure(!only || usages.contains(KeyUsage::KeyAgreement), || {
        "encipherOnly and decipherOnly mean nothing without keyAgreement".to_owned()
    })
}

fn purposes_of_end_entity_are_there(seen: &Inspection<'_>) -> Result<(), String> {
    let given = seen.extended_key_usage.as_ref().map(|purposes| !purposes.is_empty());
    ensure(given.unwrap_or(seen.says_authority()), || {
        "extKeyUsage is missing or empty: the certificate would be good for every purpose".to_owned()
    })
}

fn purposes_are_listed_once(seen: &Inspection<'_>) -> Result<(), String> {
    let purposes = seen.purposes();
    let repeated = purposes.iter().enumerate().find(|(index, purpose)| purposes[..*index].contains(purpose));
    ensure(repeated.is_none(), || {
        format!("the purpose {} is listed twice", repeated.map(|(_, found)| found.to_string()).unwrap_or_default())
    })
}

fn purposes_are_not_any(seen: &Inspection<'_>) -> Result<(), String> {
    ensure(!seen.purposes().contains(&ExtendedKeyUsage::ANY), || {
        "anyExtendedKeyUsage is every purpose, OCSPSigning too".to_owned()
    })
}

fn purposes_are_critical_for_time_stamping_alone(seen: &Inspection<'_>) -> Result<(), String> {
    let time_stamping = seen.purposes().contains(&ExtendedKeyUsage::TIME_STAMPING);
    ensure(!time_stamping || seen.purposes().len() == 1 || seen.says_authority(), || {
        "timeStamping stands alone".to_owned()
    })?;
    let critical = seen.extension(&id::EXTENDED_KEY_USAGE).is_some_and(|extension| extension.critical);
    let expected = time_stamping && seen.purposes().len() == 1;
    ensure(critical == expected, || format!("extKeyUsage is {}critical", if critical { "" } else { "not " }))
}

fn purposes_agree_with_key_usage(seen: &Inspection<'_>) -> Result<(), String> {
    let Some(usages) = seen.key_usage.filter(|_| !seen.says_authority()) else { return Ok(()) };
    for purpose in seen.purposes() {
        let needed: &[KeyUsage] = match *purpose {
            ExtendedKeyUsage::SERVER_AUTH => {
                &[KeyUsage::DigitalSignature, KeyUsage::KeyEncipherment, KeyUsage::KeyAgreement]
            }
            ExtendedKeyUsage::CLIENT_AUTH => &[KeyUsage::DigitalSignature, KeyUsage::KeyAgreement],
            ExtendedKeyUsage::CODE_SIGNING => &[KeyUsage::DigitalSignature],
            ExtendedKeyUsage::EMAIL_PROTECTION => &[
                KeyUsage::DigitalSignature,
                KeyUsage::NonRepudiation,
                KeyUsage::KeyEncipherment,
                KeyUsage::KeyAgreement,
            ],
            // RFC 9336 §3.2 names the same two for documents.
            ExtendedKeyUsage::TIME_STAMPING | ExtendedKeyUsage::OCSP_SIGNING | ExtendedKeyUsage::DOCUMENT_SIGNING => {
                &[KeyUsage::DigitalSignature, KeyUsage::NonRepudiation]
            }
            _ => continue,
        };
        ensure(needed.iter().any(|usage| usages.contains(*usage)), || {
            format!("no key usage ({usages}) serves the purpose {purpose}")
        })?;
    }
    Ok(())
}

fn ocsp_signing_goes_with_no_check(seen: &Inspection<'_>) -> Result<(), String> {
    let signs = seen.purposes().contains(&ExtendedKeyUsage::OCSP_SIGNING);
    let unchecked = seen.ocsp_no_check.is_some();
    ensure(signs == unchecked, || {
        format!("OCSPSigning is {} and id-pkix-ocsp-nocheck is {}", present(signs), present(unchecked))
    })
}

fn ocsp_signing_is_an_end_entitys(seen: &Inspection<'_>) -> Result<(), String> {
    let signs = seen.purposes().contains(&ExtendedKeyUsage::OCSP_SIGNING);
    ensure(!signs || !seen.says_authority(), || "OCSPSigning never goes into an authority's certificate".to_owned())
}

fn present(is: bool) -> &'static str {
    if is { "there" } else { "absent" }
}
