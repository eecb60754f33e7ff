//! The API listener's own certificate: made by the service's own CA, renewed past half of its life, swapped without a
//! restart. Its key is this replica's alone and never leaves the data folder.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use ca_core::certificate::Certificate;
use ca_core::csr::ParsedCsr;
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::principal::Principal;
use ca_core::time::{Lifetime, Timestamp};
use ca_engine::error::FlowErrorKind;
use ca_engine::flow::authenticate::certificate_holder;
use ca_engine::flow::issue::{IssueRequest, issue};
use ca_engine::port::store::ShownCertificate;
use ca_runtime::file::{self, Access, Existing};
use rustls::sign::CertifiedKey;

use super::driver::{Job, Outcome, with_detail};
use crate::listener::tls::{TlsIdentity, certified_key, read_certified_key};
use crate::state::AppState;

/// Where the certificate and its key lie.
#[derive(Clone, Debug)]
pub(crate) struct ApiFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl ApiFiles {
    pub(crate) fn in_folder(folder: &std::path::Path) -> Self {
        Self { certificate: folder.join("api.crt"), key: folder.join("api.key") }
    }
}

/// What lies on disk, when it is of use and not due; a new certificate otherwise. While none can be made (the clock is wrong,
/// the disk is full), what lies on disk is shown all the same: the service still answers, and the job tries again.
pub(crate) async fn obtain(state: &AppState, files: &ApiFiles) -> anyhow::Result<CertifiedKey> {
    let on_disk = read_certified_key(&files.certificate, &files.key);
    if !is_replacement_needed(state, files).await? {
        match on_disk {
            Ok(certificate) => return Ok(certificate),
            // The process died between the two files, or somebody took one away.
            Err(error) => tracing::warn!(error = format!("{error:#}"), "the API's certificate is made anew"),
        }
        return make(state, files).await;
    }
    match (make(state, files).await, on_disk) {
        (Err(error), Ok(certificate)) => {
            let error = format!("{error:#}");
            tracing::warn!(error, "the API keeps the certificate it had: a new one cannot be made now");
            Ok(certificate)
        }
        (made, _) => made,
    }
}

pub(crate) struct ApiCertificateJob {
    identity: Arc<TlsIdentity>,
    files: ApiFiles,
}

impl ApiCertificateJob {
    pub(crate) fn new(identity: Arc<TlsIdentity>, files: ApiFiles) -> Self {
        Self { identity, files }
    }
}

#[async_trait]
impl Job for ApiCertificateJob {
    fn name(&self) -> &'static str {
        "api-certificate"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        self.identity.trust(&state.engine().hierarchy())?;
        if !is_replacement_needed(state, &self.files).await? {
            return Ok(Outcome::Done(0));
        }
        self.identity.show(make(state, &self.files).await?);
        Ok(Outcome::Done(1))
    }
}

/// Whether the certificate on disk will not do: it is due, none of ours, revoked, not in force, or not for exactly the
/// configured names.
async fn is_replacement_needed(state: &AppState, files: &ApiFiles) -> anyhow::Result<bool> {
    let Some(certificate) = read(files) else { return Ok(true) };
    let engine = state.engine();
    let hierarchy = engine.hierarchy();
    let Some(issuer) = hierarchy.issuer_of(&certificate) else { return Ok(true) };
    if is_due(&certificate, engine.now()) || !same_names(certificate.names(), &engine.settings().api_names) {
        return Ok(true);
    }
    let shown = ShownCertificate::new(issuer.id(), &certificate);
    match certificate_holder(engine, &shown, certificate.der()).await {
        Ok(_in_force) => Ok(false),
        Err(error) if error.kind == FlowErrorKind::InvalidCredential => Ok(true),
        // A record that may be old does not say, and makes no other either.
        Err(error) if error.kind == FlowErrorKind::SigningSuspended => Ok(false),
        Err(error) => Err(with_detail(error)),
    }
}

fn read(files: &ApiFiles) -> Option<Certificate> {
    let text = std::fs::read_to_string(&files.certificate).ok()?;
    Certificate::from_pem(&text).ok()
}

fn same_names(have: &[GeneralName], want: &[GeneralName]) -> bool {
    have.len() == want.len() && want.iter().all(|name| have.contains(name))
}

/// Past half of its life.
fn is_due(certificate: &Certificate, now: Timestamp) -> bool {
    let validity = certificate.validity();
    let half = validity.not_after.since(validity.not_before).seconds() / 2;
    now >= validity.not_before.plus(Lifetime::from_seconds(half))
}

async fn make(state: &AppState, files: &ApiFiles) -> anyhow::Result<CertifiedKey> {
    let engine = state.engine();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).context("no key could be made")?;
    let csr = rcgen::CertificateParams::default().serialize_request(&key).context("no CSR could be made")?;
    let names = engine.settings().api_names.clone();
    let common_name = names.first().map(GeneralName::value_text).unwrap_or_default();
    let request = IssueRequest {
        profile: "api-server".parse()?,
        csr: ParsedCsr::from_der(csr.der())?,
        subject: Some(DistinguishedName::builder().common_name(&common_name).build()?),
        names: Some(names),
        validity: None,
        idempotency_key: None,
        request_id: None,
    };
    let issued = issue(engine, &Principal::Job("api-certificate"), request).await.map_err(with_detail)?.certificate;
    let chain = ca_core::pem::encode("CERTIFICATE", &issued.der) + &crate::http::convert::chain_pem(state, &issued);
    let key_pem = zeroize::Zeroizing::new(key.serialize_pem());
    // Two files are not written at once: a pair that does not fit is found at the next start, and made anew.
    file::write(&files.key, key_pem.as_bytes(), Access::Private, Existing::Replace)?;
    file::write(&files.certificate, chain.as_bytes(), Access::Public, Existing::Replace)?;
    certified_key(chain.as_bytes(), key_pem.as_bytes())
}
