//! `show`: a certificate for people, from a file or from the record.

use ca_api::certificate::Certificate as Record;
use ca_core::certificate::Certificate;
use serde::Serialize;

use super::list::{reason_name, status_name};
use super::reference::{CertificateFile, Reference};
use crate::exit::{Exit, Failure};
use crate::printer::{Printer, plain};
use crate::service::Service;

/// What a certificate says, for programs.
#[derive(Debug, Serialize)]
struct Shown {
    subject: String,
    issuer: String,
    serial: String,
    not_before: String,
    not_after: String,
    subject_alternative_names: Vec<String>,
    key_type: String,
    signature_algorithm: String,
    authority: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_length: Option<u8>,
    key_usage: Vec<String>,
    extended_key_usage: Vec<String>,
    certificate_policies: Vec<String>,
    must_staple: bool,
    ocsp_urls: Vec<String>,
    crl_urls: Vec<String>,
    ca_issuers_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_key_identifier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authority_key_identifier: Option<String>,
    fingerprint_sha256: String,
}

/// Shows the certificates of a file as they are; whether they stand is not looked up.
pub(super) fn file(file: &CertificateFile, printer: &Printer) -> Result<Exit, Failure> {
    let shown: Vec<Shown> = std::iter::once(&file.certificate).chain(&file.others).map(Shown::of).collect();
    printer.result(&shown, |shown| {
        let texts: Vec<String> = shown.iter().map(|certificate| lines(&certificate.rows())).collect();
        texts.join("\n")
    })?;
    Ok(Exit::Done)
}

/// Shows a certificate on record. A file is shown as it is where the service does not know it or does not tell.
pub(super) async fn run(service: &dyn Service, reference: &Reference, printer: &Printer) -> Result<Exit, Failure> {
    let record = match (reference.record(service).await, reference) {
        (Ok(record), _) => record,
        (Err(failure), Reference::File(as_it_is)) => {
            file(as_it_is, printer)?;
            printer.note(format!("whether it stands is not known: {failure}"));
            return Ok(Exit::Done);
        }
        (Err(failure), Reference::Record(_)) => return Err(failure),
    };
    let certificate = Certificate::from_pem(&record.certificate).map_err(Failure::failed)?;
    printer.result(&record, |record| lines(&[on_record(record), Shown::of(&certificate).rows()].concat()))?;
    Ok(Exit::Done)
}

impl Shown {
    fn of(certificate: &Certificate) -> Self {
        let validity = certificate.validity();
        Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            serial: certificate.serial().to_string(),
            not_before: validity.not_before.to_rfc3339(),
            not_after: validity.not_after.to_rfc3339(),
            subject_alternative_names: certificate.names().iter().map(ToString::to_string).collect(),
            key_type: certificate.public_key().key_type().to_string(),
            signature_algorithm: certificate.signature_algorithm().to_string(),
            authority: certificate.is_authority(),
            path_length: certificate.path_length(),
            key_usage: certificate
                .key_usage()
                .map(|usages| usages.iter().map(|usage| usage.to_string()).collect())
                .unwrap_or_default(),
            extended_key_usage: certificate.extended_key_usage().iter().map(ToString::to_string).collect(),
            certificate_policies: certificate.certificate_policies().iter().map(ToString::to_string).collect(),
            must_staple: certificate.must_staple(),
            ocsp_urls: certificate.ocsp_urls().to_vec(),
            crl_urls: certificate.crl_urls().to_vec(),
            ca_issuers_urls: certificate.ca_issuers_urls().to_vec(),
            subject_key_identifier: certificate.subject_key_identifier().map(hex::encode),
            authority_key_identifier: certificate.authority_key_identifier().map(hex::encode),
            fingerprint_sha256: hex::encode(certificate.fingerprint_sha256()),
        }
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let authority = match (self.authority, self.path_length) {
            (false, _) => String::new(),
            (true, None) => "yes".to_owned(),
            (true, Some(length)) => format!("yes, with at most {length} authorities below"),
        };
        let must_staple = if self.must_staple { "yes" } else { "" };
        vec![
            ("Subject", self.subject.clone()),
            ("Names", self.subject_alternative_names.join(" ")),
            ("Issuer", self.issuer.clone()),
            ("Serial number", self.serial.clone()),
            ("Valid from", self.not_before.clone()),
            ("Valid until", self.not_after.clone()),
            ("Authority", authority),
            ("Key", self.key_type.clone()),
            ("Signature", self.signature_algorithm.clone()),
            ("Key usage", self.key_usage.join(", ")),
            ("Purposes", self.extended_key_usage.join(", ")),
            ("Policies", self.certificate_policies.join(", ")),
            ("Must staple", must_staple.to_owned()),
            ("OCSP", self.ocsp_urls.join(" ")),
            ("CRL", self.crl_urls.join(" ")),
            ("Issuer's certificate", self.ca_issuers_urls.join(" ")),
            ("Key identifier", self.subject_key_identifier.clone().unwrap_or_default()),
            ("Issuer's key identifier", self.authority_key_identifier.clone().unwrap_or_default()),
            ("SHA-256", self.fingerprint_sha256.clone()),
        ]
    }
}

fn on_record(record: &Record) -> Vec<(&'static str, String)> {
    let status = match &record.revocation {
        Some(revocation) => format!(
            "{} since {} ({})",
            status_name(record.status),
            revocation.revoked_at,
            reason_name(revocation.reason)
        ),
        None => status_name(record.status),
    };
    vec![
        ("Id", record.id.clone()),
        ("Status", status),
        ("Issued by", record.authority.clone()),
        ("Profile", record.profile.clone()),
        ("Asked for by", record.owner.clone()),
        ("Successor of", record.renews.clone().unwrap_or_default()),
    ]
}

/// A line for every fact that there is.
pub(super) fn lines(rows: &[(&'static str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let there = rows.iter().filter(|(_, value)| !value.is_empty());
    there.map(|(name, value)| format!("{name:width$}  {}\n", plain(value))).collect()
}
