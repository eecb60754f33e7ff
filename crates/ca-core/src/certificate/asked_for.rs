//! A certificate as an issuer elsewhere was asked for it, and whether what came back is that certificate.
//!
//! Such an issuer encodes by itself: the serial number, the order of extensions and the string types of the subject are its own,
//! and it may add where status is found. Everything else must be as it was asked for; nothing may be added that was not.

use const_oid::ObjectIdentifier;
use std::borrow::Cow;

use super::comparison::{same, same_debug};
use super::{Certificate, CertificateError, Extensions, Mismatch};
use crate::der_time::read_time;
use crate::key::{PublicKey, SignatureAlgorithm};
use crate::name::{DistinguishedName, GeneralName};
use crate::tbs::TbsView;
use crate::tbs::extension::id;
use crate::time::Validity;
use crate::usage::{ExtendedKeyUsage, KeyUsages};

/// Everything that is asked for: what a TBSCertificate says, its serial number apart.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedFor {
    signature_algorithm: SignatureAlgorithm,
    issuer: DistinguishedName,
    validity: Validity,
    subject: DistinguishedName,
    public_key: PublicKey,
    extensions: Extensions,
    encoded: Vec<AskedExtension>,
}

/// An extension as it would be encoded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedExtension {
    /// Its object identifier, dotted.
    pub identifier: String,
    /// Whether it is critical.
    pub critical: bool,
    /// The octets of its value.
    pub value: Vec<u8>,
}

impl AskedFor {
    /// Reads the DER of the TBSCertificate that was linted and put on record.
    pub fn from_tbs_der(der: &[u8]) -> Result<Self, CertificateError> {
        let view = TbsView::read(der)?;
        let encoded = view.extensions.iter().map(|extension| AskedExtension {
            identifier: extension.identifier_text(),
            critical: extension.critical,
            value: extension.value.to_vec(),
        });
        Ok(Self {
            signature_algorithm: SignatureAlgorithm::from_identifier_der(view.signature_algorithm)?,
            issuer: DistinguishedName::from_der(view.issuer)?,
            validity: Validity { not_before: read_time(&view.not_before)?, not_after: read_time(&view.not_after)? },
            subject: DistinguishedName::from_der(view.subject)?,
            public_key: PublicKey::from_spki_der(view.public_key)?,
            extensions: Extensions::read(&view)?,
            encoded: encoded.collect(),
        })
    }

    /// The algorithm to sign with.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// The issuer's name.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// First and last second of validity.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The subject.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// The subject's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The subject alternative names.
    pub fn names(&self) -> &[GeneralName] {
        &self.extensions.names
    }

    /// Whether an authority is to be certified.
    pub fn is_authority(&self) -> bool {
        self.extensions.authority
    }

    /// What the key may be used for.
    pub fn key_usage(&self) -> Option<KeyUsages> {
        self.extensions.key_usage
    }

    /// The purposes.
    pub fn extended_key_usage(&self) -> &[ExtendedKeyUsage] {
        &self.extensions.extended_key_usage
    }

    /// The certificate policies.
    pub fn certificate_policies(&self) -> &[ObjectIdentifier] {
        &self.extensions.certificate_policies
    }

    /// Whether the certificate of a responder is wanted that is trusted without a status of its own.
    pub fn ocsp_no_check(&self) -> bool {
        self.extensions.ocsp_no_check
    }

    /// Every extension, as it would be encoded here.
    pub fn encoded_extensions(&self) -> &[AskedExtension] {
        &self.encoded
    }
}

impl Certificate {
    /// Holds a certificate that an issuer elsewhere made against what it was asked for; the first difference is told. Its signature
    /// is not verified here.
    pub fn check_answers(&self, asked: &AskedFor) -> Result<(), Mismatch> {
        same("signature algorithm", asked.signature_algorithm.as_str(), self.signature_algorithm().as_str())?;
        same("issuer", &asked.issuer, self.issuer())?;
        same_debug("subject", &values(&asked.subject), &values(self.subject()))?;
        same_debug("public key", &asked.public_key, self.public_key())?;
        same("notBefore", &asked.validity.not_before, &self.validity().not_before)?;
        same("notAfter", &asked.validity.not_after, &self.validity().not_after)?;
        let (meant, found) = (&asked.extensions, &self.extensions);
        same_debug("basic constraints", &(meant.authority, meant.path_length), &(found.authority, found.path_length))?;
        same_debug("key usage", &meant.key_usage, &found.key_usage)?;
        same_debug("extended key usage", &sorted(&meant.extended_key_usage), &sorted(&found.extended_key_usage))?;
        same_debug("certificate policies", &sorted(&meant.certificate_policies), &sorted(&found.certificate_policies))?;
        same_debug("subject alternative names", &encoded(&meant.names), &encoded(&found.names))?;
        same_debug("name constraints", &meant.name_constraints, &found.name_constraints)?;
        same_debug("TLS feature status_request", &meant.must_staple, &found.must_staple)?;
        same_debug("ocsp-nocheck", &meant.ocsp_no_check, &found.ocsp_no_check)?;
        same_debug("subject key identifier", &meant.subject_key_identifier, &found.subject_key_identifier)?;
        same_debug("authority key identifier", &meant.authority_key_identifier, &found.authority_key_identifier)?;
        for (field, meant, found) in [
            ("CRL distribution point", &meant.crl_urls, &found.crl_urls),
            ("OCSP URL", &meant.ocsp_urls, &found.ocsp_urls),
            ("issuer URL", &meant.ca_issuers_urls, &found.ca_issuers_urls),
        ] {
            // Where none of ours was asked for, the issuer names its own.
            if !meant.is_empty() {
                same_debug(field, meant, found)?;
            }
        }
        self.check_nothing_added(asked)
    }

    fn check_nothing_added(&self, asked: &AskedFor) -> Result<(), Mismatch> {
        let unreadable = |error: crate::tlv::DerError| Mismatch {
            field: "extensions",
            expected: "readable".to_owned(),
            found: error.to_string(),
        };
        let view = TbsView::read(self.tbs_der()).map_err(unreadable)?;
        for extension in &view.extensions {
            let identifier = extension.identifier_text();
            let is_asked = asked.encoded.iter().any(|asked| asked.identifier == identifier);
            let says_where_status_is =
                extension.is(&id::CRL_DISTRIBUTION_POINTS) || extension.is(&id::AUTHORITY_INFO_ACCESS);
            if !is_asked && !says_where_status_is {
                return Err(Mismatch { field: "extensions", expected: "none besides".to_owned(), found: identifier });
            }
        }
        Ok(())
    }
}

/// The number of its RDN, its type, and its text or else its octets.
type AttributeValue<'a> = (usize, ObjectIdentifier, Result<Cow<'a, str>, &'a [u8]>);

/// A name as RDNs of types and texts: another string type of the same text is the same value.
fn values(name: &DistinguishedName) -> Vec<AttributeValue<'_>> {
    name.attributes()
        .map(|attribute| (attribute.rdn, attribute.oid, attribute.text.ok_or(attribute.value_der)))
        .collect()
}

fn sorted<T: Clone + Ord>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values
}

fn encoded(names: &[GeneralName]) -> Vec<Vec<u8>> {
    let names: Vec<Vec<u8>> = names.iter().map(|name| GeneralName::encode_all(std::slice::from_ref(name))).collect();
    sorted(&names)
}

#[cfg(test)]
mod tests;
