//! Certificates of a ceremony: the root's own and those below it. Each is on record before the key is used.

use std::sync::Arc;

use ca_core::certificate::Certificate;
use ca_core::id::AuthorityId;
use ca_core::policy::CertificateRequest;
use ca_core::profile::Profile;
use ca_core::template::{Endpoints, Issuer};
use ca_core::time::Timestamp;
use ca_engine::port::signer::Signer;

use super::super::CeremonyError;
use super::super::issue::{self, Order, fault};
use super::Run;
use crate::file::Access;

impl Run<'_> {
    pub(super) async fn sign_subordinate(&mut self, id: &AuthorityId) -> Result<(), CeremonyError> {
        let script = self.ceremony.script.subordinates.iter().find(|subordinate| subordinate.id == *id);
        let (Some(script), Some(csr)) = (script, self.ceremony.requests.get(id)) else {
            return Err(fault(id.as_str(), "there is no request of it"));
        };
        let profile = self.profile("subordinate")?;
        let base = self.ceremony.script.base_url.as_deref();
        let endpoints = Endpoints {
            crl: base.map(|base| format!("{base}/crl/root.crl")),
            ocsp: base.map(|base| format!("{base}/ocsp")),
            ca_issuers: base.map(|base| format!("{base}/ca/root.crt")),
        };
        let request = CertificateRequest {
            public_key: csr.public_key(),
            csr: Some(csr),
            subject: Some(csr.subject()),
            names: None,
            validity: Some(script.validity),
            constraints: Some(&script.constraints),
        };
        let what = format!("the certificate of `{id}`");
        let certificate = self.certify_below(&what, &profile, request, &endpoints, self.now).await?;
        let file = format!("{id}.crt");
        self.put(&file, certificate.to_pem().as_bytes(), Access::Public, "authority-certificate", |entry| {
            entry
                .with("fingerprint_sha256", hex::encode(certificate.fingerprint_sha256()))
                .with("not_after", certificate.validity().not_after)
                .with("serial", certificate.serial())
                .with("subject", certificate.subject())
        })?;
        self.authorities.push(certificate);
        Ok(())
    }

    pub(super) async fn certify_below(
        &mut self,
        what: &str,
        profile: &Profile,
        request: CertificateRequest<'_>,
        endpoints: &Endpoints,
        at: Timestamp,
    ) -> Result<Certificate, CeremonyError> {
        let serial = self.serial()?;
        let root = self.root.as_ref().ok_or_else(|| fault(what, "the root is not open"))?;
        let (facts, signer) = (root.facts.clone(), Arc::clone(&root.signer));
        let issuer = Issuer::Authority(&facts);
        self.certify(Order { what, profile, request, issuer, endpoints, serial, at }, &*signer).await
    }

    /// On record before the key is used.
    pub(super) async fn certify(
        &mut self,
        order: Order<'_>,
        signer: &dyn Signer,
    ) -> Result<Certificate, CeremonyError> {
        let (what, issuer) = (order.what, order.issuer);
        let prepared = issue::prepare(order)?;
        let intent = self.entry("intent").with("to_be_signed_sha256", hex::encode(prepared.linted.sha256()));
        self.record.write(&intent.with("what", what))?;
        issue::sign(what, prepared, issuer, signer).await
    }
}
