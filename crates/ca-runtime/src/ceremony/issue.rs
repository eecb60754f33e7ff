//! Certificates and lists of a ceremony, by the profiles, templates, lints and encoders of the service.

use ca_core::certificate::Certificate;
use ca_core::crl::{CrlContext, CrlEntry, CrlLint, CrlTemplate, CrlWriter, LintedCrl, ParsedCrl, PreviousCrl};
use ca_core::lint::{self, LintContext, LintedTbs};
use ca_core::policy::{self, CertificateRequest, Origin, Surroundings};
use ca_core::profile::Profile;
use ca_core::serial::Serial;
use ca_core::signing::{Envelope, Signable};
use ca_core::tbs;
use ca_core::template::{self, CertificateTemplate, Endpoints, Issuer, IssuerFacts, SerialChoice};
use ca_core::time::Timestamp;
use ca_engine::port::signer::Signer;

use super::CeremonyError;

/// A certificate to be issued.
pub(super) struct Order<'a> {
    /// What it is, for people.
    pub(super) what: &'a str,
    pub(super) profile: &'a Profile,
    pub(super) request: CertificateRequest<'a>,
    pub(super) issuer: Issuer<'a>,
    pub(super) endpoints: &'a Endpoints,
    pub(super) serial: Serial,
    /// When it begins.
    pub(super) at: Timestamp,
}

/// A certificate that may be signed once its digest is on record.
pub(super) struct Prepared {
    template: CertificateTemplate,
    pub(super) linted: LintedTbs,
}

/// Holds an order against its profile and issuer, encodes it, and lints it.
pub(super) fn prepare(order: Order<'_>) -> Result<Prepared, CeremonyError> {
    let refused = |violations| CeremonyError::Refused { what: order.what.to_owned(), violations };
    let surroundings = Surroundings { origin: Origin::Service, reserved_names: &[] };
    let granted = policy::evaluate(order.profile, &order.request, &surroundings).map_err(refused)?;
    let serial = SerialChoice::Ours(order.serial);
    let template = template::build(granted, order.issuer, order.endpoints, serial, order.at).map_err(refused)?;
    let encoded = tbs::encode(&template).map_err(|error| fault(order.what, error))?;
    let context = LintContext { issuer: order.issuer, public_key: template.public_key(), profile: order.profile };
    let linted = lint::check(encoded, &context)
        .map_err(|findings| CeremonyError::Findings { what: order.what.to_owned(), findings })?;
    Ok(Prepared { template, linted })
}

/// Signs it; the signature is verified and the certificate held against its template.
pub(super) async fn sign(
    what: &str,
    prepared: Prepared,
    issuer: Issuer<'_>,
    signer: &dyn Signer,
) -> Result<Certificate, CeremonyError> {
    let Prepared { template, linted } = prepared;
    let signature = signer.sign(&linted).await?;
    let key = match issuer {
        Issuer::Authority(facts) => &facts.public_key,
        Issuer::Itself(_) => template.public_key(),
    };
    let der = linted.into_certificate(&signature, key).map_err(|error| fault(what, error))?;
    let certificate = Certificate::from_der(der.as_bytes()).map_err(|error| fault(what, error))?;
    certificate
        .check_against(&template)
        .map_err(|mismatch| fault(what, format!("its {} is not what was asked for", mismatch.field)))?;
    Ok(certificate)
}

/// A list that may be signed once its digest is on record.
pub(super) struct PreparedList {
    pub(super) linted: LintedCrl,
    octets: Vec<u8>,
}

/// Encodes and lints a list.
pub(super) fn prepare_list(
    what: &str,
    root: &IssuerFacts,
    times: (Timestamp, Timestamp),
    number: u64,
    entries: &[CrlEntry],
    previous: Option<PreviousCrl>,
) -> Result<PreparedList, CeremonyError> {
    let mut writer = CrlWriter::new(CrlTemplate {
        issuer: root.subject.clone(),
        authority_key_identifier: root.key_identifier.clone(),
        signature_algorithm: root.signature_algorithm,
        this_update: times.0,
        next_update: times.1,
        number,
        base_number: None,
        issuing_distribution_point: None,
        freshest_crl: None,
        expired_certs_on_crl: None,
    })
    .map_err(|error| fault(what, error))?;
    entries.iter().try_for_each(|entry| writer.push(entry)).map_err(|error| fault(what, error))?;
    // Nothing was taken: a root revokes few.
    let tbs = writer.finish().map_err(|error| fault(what, error))?;
    let octets = [tbs.before, tbs.after].concat();
    let mut lint = CrlLint::new(CrlContext {
        issuer: &root.subject,
        key_identifier: &root.key_identifier,
        signature_algorithm: root.signature_algorithm,
        previous,
    });
    lint.update(&octets);
    let linted = lint.finish().map_err(|findings| CeremonyError::Findings { what: what.to_owned(), findings })?;
    Ok(PreparedList { linted, octets })
}

/// Signs it; the result is read again and its signature verified.
pub(super) async fn sign_list(
    what: &str,
    prepared: PreparedList,
    root: &IssuerFacts,
    signer: &dyn Signer,
) -> Result<Vec<u8>, CeremonyError> {
    let PreparedList { linted, octets } = prepared;
    let signature = signer.sign(&linted).await?;
    linted.message().verify(&root.public_key, &signature).map_err(|error| fault(what, error))?;
    let Envelope { before, after } = linted.envelope(&signature).map_err(|error| fault(what, error))?;
    let list = ParsedCrl::from_der([before, octets, after].concat()).map_err(|error| fault(what, error))?;
    list.verify(&root.subject, &root.public_key).map_err(|error| fault(what, error))?;
    Ok(list.as_der().to_vec())
}

pub(super) fn fault(what: &str, detail: impl ToString) -> CeremonyError {
    CeremonyError::Fault { what: what.to_owned(), detail: detail.to_string() }
}
