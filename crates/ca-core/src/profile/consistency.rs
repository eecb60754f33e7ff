//! The rules that hold between the keys of a profile.

use super::reader::Reader;
use super::{Profile, ProfileKind, attribute_name};
use crate::oid;
use crate::usage::{ExtendedKeyUsage, KeyUsage, KeyUsages};

/// Records every contradiction: a profile that could never give a certificate the lints let through is refused at load.
pub(super) fn check(profile: &Profile, reader: &mut Reader<'_>) {
    if profile.key_types.is_empty() {
        reader.fault("key_types", "is missing or empty; list at least one, the default first");
    }
    check_key_usage(profile, reader);
    check_extended_key_usage(profile, reader);
    if profile.kind.is_authority() {
        if profile.must_staple {
            reader.fault("must_staple", "belongs to certificates of TLS servers, not to an authority's");
        }
        if !profile.subject.required.contains(&oid::COMMON_NAME) {
            // RFC 5280 §4.1.2.6: "If the subject is a CA, […] the subject field MUST be populated".
            reader.fault("subject.required", "an authority has a subject: list CN");
        }
    } else if profile.path_length.is_some() {
        // RFC 5280 §4.2.1.9: "CAs MUST NOT include the pathLenConstraint field unless the cA boolean is asserted".
        reader.fault("path_length", "belongs to an authority's certificate (kind = \"subordinate\" or \"root\")");
    }
    if profile.must_staple && !profile.status_urls.ocsp {
        reader
            .fault("must_staple", "asks for a stapled OCSP response, but status_urls.ocsp = false names no responder");
    }
    let fixed_types = profile.subject.fixed.iter().flat_map(|fixed| fixed.attributes().map(|attribute| attribute.oid));
    for oid in fixed_types.collect::<Vec<_>>() {
        if profile.subject.required.contains(&oid) || profile.subject.optional.contains(&oid) {
            let name = attribute_name(oid);
            reader.fault("subject.fixed", format!("sets {name}, which the asker may give too; list it in one place"));
        }
    }
    if profile.names.required && !profile.names.allows_any() {
        reader.fault("names.required", "asks for a name, but no kind of name is allowed; add a table like [names.dns]");
    }
}

fn check_key_usage(profile: &Profile, reader: &mut Reader<'_>) {
    let usages = profile.key_usage;
    if usages.is_empty() {
        reader.fault("key_usage", "is missing or empty; list at least one, like digitalSignature");
    }
    let signs_certificates = usages.contains(KeyUsage::KeyCertSign);
    if profile.kind.is_authority() != signs_certificates {
        // RFC 5280 §4.2.1.3 and §4.2.1.9: keyCertSign and cA go together.
        let message = if signs_certificates {
            "keyCertSign belongs to authorities only"
        } else {
            "an authority signs certificates: list keyCertSign"
        };
        reader.fault("key_usage", message);
    }
    if usages.contains(KeyUsage::CrlSign) && !profile.kind.is_authority() {
        reader.fault("key_usage", "cRLSign belongs to authorities only");
    }
    for key_type in &profile.key_types {
        if !usages.is_empty() && !usages.iter().any(|usage| usage.fits(*key_type)) {
            reader.fault("key_usage", format!("{key_type} keys can do none of {usages}"));
        }
    }
    let only = KeyUsages::EMPTY.with(KeyUsage::EncipherOnly).with(KeyUsage::DecipherOnly);
    if only.iter().any(|usage| usages.contains(usage)) && !usages.contains(KeyUsage::KeyAgreement) {
        reader.fault("key_usage", "encipherOnly and decipherOnly mean nothing without keyAgreement");
    }
}

fn check_extended_key_usage(profile: &Profile, reader: &mut Reader<'_>) {
    let purposes = &profile.extended_key_usage;
    let ocsp_signing = purposes.contains(&ExtendedKeyUsage::OCSP_SIGNING);
    match profile.kind {
        ProfileKind::Root | ProfileKind::Subordinate => {
            if !purposes.is_empty() {
                reader
                    .fault("extended_key_usage", "an authority's purposes are set when it is made, not by the profile");
            }
        }
        ProfileKind::OcspResponder => {
            // RFC 6960 §4.2.2.2; a key that signs status signs nothing else.
            if purposes.as_slice() != [ExtendedKeyUsage::OCSP_SIGNING] {
                reader.fault("extended_key_usage", "a responder has OCSPSigning and nothing else");
            }
            let urls = profile.status_urls;
            if urls.crl || urls.ocsp {
                // RFC 6960 §4.2.2.2.1: with id-pkix-ocsp-nocheck nobody asks for the responder's own status.
                reader.fault("status_urls", "a responder's status is not asked for: set crl = false and ocsp = false");
            }
        }
        ProfileKind::Leaf => {
            if purposes.is_empty() {
                reader.fault(
                    "extended_key_usage",
                    "is missing or empty; a certificate for every purpose is none we issue",
                );
            }
            if ocsp_signing {
                reader.fault("extended_key_usage", "OCSPSigning belongs to kind = \"ocsp-responder\"");
            }
            if purposes.contains(&ExtendedKeyUsage::ANY) {
                reader.fault(
                    "extended_key_usage",
                    "anyExtendedKeyUsage is every purpose, OCSPSigning too; list those meant",
                );
            }
        }
    }
}
