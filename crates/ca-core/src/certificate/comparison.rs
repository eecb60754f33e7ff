//! Whether a certificate is the one that was meant: what a signer or another service sends back is held against the
//! template, field by field.

use std::fmt;

use thiserror::Error;

use super::Certificate;
use crate::template::{CertificateTemplate, SerialChoice, SubjectRole};

/// What a certificate says other than its template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the certificate is not what was asked for: its {field} is {found}, {expected} was meant")]
pub struct Mismatch {
    /// Which field.
    pub field: &'static str,
    /// What was meant.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Certificate {
    /// Holds the certificate against its template; the first difference is told. The serial is compared where it was ours
    /// to choose, endpoints where the template names them.
    pub fn check_against(&self, template: &CertificateTemplate) -> Result<(), Mismatch> {
        if let SerialChoice::Ours(serial) = template.serial() {
            same("serial number", serial, self.serial())?;
        }
        same("signature algorithm", template.signature_algorithm().as_str(), self.signature_algorithm().as_str())?;
        same("issuer", template.issuer(), self.issuer())?;
        same("subject", template.subject(), self.subject())?;
        same_debug("public key", template.public_key(), self.public_key())?;
        same("notBefore", &template.validity().not_before, &self.validity().not_before)?;
        same("notAfter", &template.validity().not_after, &self.validity().not_after)?;
        self.check_extensions(template)
    }

    fn check_extensions(&self, template: &CertificateTemplate) -> Result<(), Mismatch> {
        let role = match (self.is_authority(), self.path_length()) {
            (true, path_length) => SubjectRole::Authority { path_length },
            (false, _) => SubjectRole::EndEntity,
        };
        same_debug("basic constraints", &template.role(), &role)?;
        same_debug("key usage", &Some(template.key_usage()), &self.key_usage())?;
        same_debug("extended key usage", template.extended_key_usage(), self.extended_key_usage())?;
        same_debug("certificate policies", template.certificate_policies(), self.certificate_policies())?;
        same_debug("subject alternative names", template.names(), self.names())?;
        let constraints = Some(template.name_constraints()).filter(|constraints| !constraints.is_empty());
        same_debug("name constraints", &constraints, &self.name_constraints())?;
        same_debug("TLS feature status_request", &template.must_staple, &self.must_staple())?;
        same_debug("ocsp-nocheck", &template.ocsp_no_check, &self.ocsp_no_check())?;
        same_debug(
            "subject key identifier",
            &Some(&template.subject_key_identifier[..]),
            &self.subject_key_identifier(),
        )?;
        same_debug(
            "authority key identifier",
            &template.authority_key_identifier.as_deref(),
            &self.authority_key_identifier(),
        )?;
        let endpoints = template.endpoints();
        for (field, meant, found) in [
            ("CRL distribution point", &endpoints.crl, self.crl_urls()),
            ("OCSP URL", &endpoints.ocsp, self.ocsp_urls()),
            ("issuer URL", &endpoints.ca_issuers, self.ca_issuers_urls()),
        ] {
            if let Some(url) = meant {
                same_debug(field, std::slice::from_ref(url), found)?;
            }
        }
        Ok(())
    }
}

pub(super) fn same<T: PartialEq + fmt::Display + ?Sized>(
    field: &'static str,
    expected: &T,
    found: &T,
) -> Result<(), Mismatch> {
    if expected == found {
        return Ok(());
    }
    Err(Mismatch { field, expected: expected.to_string(), found: found.to_string() })
}

pub(super) fn same_debug<T: PartialEq + fmt::Debug + ?Sized>(
    field: &'static str,
    expected: &T,
    found: &T,
) -> Result<(), Mismatch> {
    if expected == found {
        return Ok(());
    }
    Err(Mismatch { field, expected: format!("{expected:?}"), found: format!("{found:?}") })
}
