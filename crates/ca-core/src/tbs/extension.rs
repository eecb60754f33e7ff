//! The extensions of a certificate (RFC 5280 §4.2), in one fixed order.

use const_oid::ObjectIdentifier;

use crate::extension::append as append_extension;
use crate::name::GeneralName;
use crate::template::{CertificateTemplate, SubjectRole};
use crate::tlv::{self, append_nested, tag};
use crate::usage::KeyUsages;

/// Object identifiers of the extensions written and read here.
pub(crate) mod id {
    use const_oid::ObjectIdentifier;

    pub(crate) const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
    pub(crate) const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
    pub(crate) const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
    pub(crate) const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
    pub(crate) const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
    pub(crate) const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
    pub(crate) const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
    pub(crate) const AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
    pub(crate) const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
    pub(crate) const AUTHORITY_INFO_ACCESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");
    pub(crate) const TLS_FEATURE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.24");
    pub(crate) const OCSP_NO_CHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");

    /// id-ad-ocsp, an access method of [`AUTHORITY_INFO_ACCESS`].
    pub(crate) const AD_OCSP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1");
    /// id-ad-caIssuers, an access method of [`AUTHORITY_INFO_ACCESS`].
    pub(crate) const AD_CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
}

/// Appends `[3] EXPLICIT Extensions`.
pub(super) fn append_all(tbs: &mut Vec<u8>, template: &CertificateTemplate) {
    append_nested(tbs, tag::context_constructed(3), |out| append_sequence(out, template));
}

/// Appends the `Extensions` alone.
pub(super) fn append_sequence(out: &mut Vec<u8>, template: &CertificateTemplate) {
    append_nested(out, tag::SEQUENCE, |extensions| {
        append_keys(extensions, template);
        append_usage(extensions, template);
        append_names(extensions, template);
        append_endpoints(extensions, template);
        append_markers(extensions, template);
    });
}

fn append_keys(extensions: &mut Vec<u8>, template: &CertificateTemplate) {
    append_extension(extensions, &id::SUBJECT_KEY_IDENTIFIER, false, |value| {
        tlv::append(value, tag::OCTET_STRING, &template.subject_key_identifier);
    });
    if let Some(identifier) = &template.authority_key_identifier {
        append_extension(extensions, &id::AUTHORITY_KEY_IDENTIFIER, false, |value| {
            append_nested(value, tag::SEQUENCE, |aki| tlv::append(aki, tag::context(0), identifier));
        });
    }
}

fn append_usage(extensions: &mut Vec<u8>, template: &CertificateTemplate) {
    // RFC 5280 §4.2.1.9: critical in an authority's certificate. End entities carry it too, empty (cA defaults to FALSE), for
    // verifiers that take its absence for permission.
    append_extension(extensions, &id::BASIC_CONSTRAINTS, true, |value| {
        append_nested(value, tag::SEQUENCE, |constraints| {
            if let SubjectRole::Authority { path_length } = template.role {
                tlv::append(constraints, tag::BOOLEAN, &[0xff]);
                if let Some(length) = path_length {
                    tlv::append_unsigned(constraints, length.into());
                }
            }
        });
    });
    append_extension(extensions, &id::KEY_USAGE, true, |value| append_key_usage(value, template.key_usage));
    if !template.extended_key_usage.is_empty() {
        // RFC 3161 §2.3: timeStamping alone, and critical. Every other purpose leaves the extension open to verifiers that
        // do not know it.
        let critical = template.extended_key_usage == [crate::usage::ExtendedKeyUsage::TIME_STAMPING];
        append_extension(extensions, &id::EXTENDED_KEY_USAGE, critical, |value| {
            append_nested(value, tag::SEQUENCE, |purposes| {
                for purpose in &template.extended_key_usage {
                    append_oid(purposes, purpose.0);
                }
            });
        });
    }
    if !template.certificate_policies.is_empty() {
        append_extension(extensions, &id::CERTIFICATE_POLICIES, false, |value| {
            append_nested(value, tag::SEQUENCE, |policies| {
                for policy in &template.certificate_policies {
                    // RFC 5280 §4.2.1.4 recommends an OID alone: no qualifiers.
                    append_nested(policies, tag::SEQUENCE, |information| append_oid(information, *policy));
                }
            });
        });
    }
}

fn append_names(extensions: &mut Vec<u8>, template: &CertificateTemplate) {
    if !template.names.is_empty() {
        // RFC 5280 §4.2.1.6: critical exactly when the subject is empty.
        append_extension(extensions, &id::SUBJECT_ALT_NAME, template.subject.is_empty(), |value| {
            value.extend_from_slice(&GeneralName::encode_all(&template.names));
        });
    }
    if let Some(constraints) = template.name_constraints.to_der() {
        // RFC 5280 §4.2.1.10: "Conforming CAs MUST mark this extension as critical".
        append_extension(extensions, &id::NAME_CONSTRAINTS, true, |value| value.extend_from_slice(&constraints));
    }
}

fn append_endpoints(extensions: &mut Vec<u8>, template: &CertificateTemplate) {
    let endpoints = &template.endpoints;
    if let Some(url) = &endpoints.crl {
        append_extension(extensions, &id::CRL_DISTRIBUTION_POINTS, false, |value| {
            // One DistributionPoint with distributionPoint [0] { fullName [0] { uniformResourceIdentifier [6] } }.
            append_nested(value, tag::SEQUENCE, |points| {
                append_nested(points, tag::SEQUENCE, |point| {
                    append_nested(point, tag::context_constructed(0), |name| {
                        append_nested(name, tag::context_constructed(0), |full| append_uri(full, url));
                    });
                });
            });
        });
    }
    if endpoints.ocsp.is_some() || endpoints.ca_issuers.is_some() {
        append_extension(extensions, &id::AUTHORITY_INFO_ACCESS, false, |value| {
            append_nested(value, tag::SEQUENCE, |descriptions| {
                let methods = [(id::AD_OCSP, &endpoints.ocsp), (id::AD_CA_ISSUERS, &endpoints.ca_issuers)];
                for (method, url) in methods.into_iter().filter_map(|(method, url)| Some((method, url.as_ref()?))) {
                    append_nested(descriptions, tag::SEQUENCE, |description| {
                        append_oid(description, method);
                        append_uri(description, url);
                    });
                }
            });
        });
    }
}

fn append_markers(extensions: &mut Vec<u8>, template: &CertificateTemplate) {
    if template.must_staple {
        append_extension(extensions, &id::TLS_FEATURE, false, |value| {
            // RFC 7633 §4: SEQUENCE OF INTEGER, here status_request (5) alone.
            append_nested(value, tag::SEQUENCE, |features| tlv::append_unsigned(features, TLS_STATUS_REQUEST));
        });
    }
    if template.ocsp_no_check {
        // RFC 6960 §4.2.2.2.1: the value is NULL, and the extension should not be critical.
        append_extension(extensions, &id::OCSP_NO_CHECK, false, |value| tlv::append(value, tag::NULL, &[]));
    }
}

/// The content of a BIT STRING of named bits: trailing zero bits cut off (X.690 §11.2.2), the count of unused bits first.
pub(super) fn append_key_usage(value: &mut Vec<u8>, usages: KeyUsages) {
    let mut octets = [0_u8; 2];
    let mut last = 0;
    for usage in usages.iter() {
        let bit = usage as usize;
        octets[bit / 8] |= 0x80 >> (bit % 8);
        last = bit;
    }
    let used = last / 8 + 1;
    let unused = (7 - last % 8) as u8;
    tlv::append_header(value, tag::BIT_STRING, 1 + used);
    value.push(unused);
    value.extend_from_slice(&octets[..used]);
}

pub(super) fn append_oid(out: &mut Vec<u8>, oid: ObjectIdentifier) {
    tlv::append(out, tag::OBJECT_IDENTIFIER, oid.as_bytes());
}

/// `[6] IA5String`: a GeneralName of kind uniformResourceIdentifier.
fn append_uri(out: &mut Vec<u8>, url: &str) {
    tlv::append(out, tag::context(6), url.as_bytes());
}

/// status_request, the TLS extension of OCSP stapling (RFC 6066 §8).
pub(crate) const TLS_STATUS_REQUEST: u64 = 5;
