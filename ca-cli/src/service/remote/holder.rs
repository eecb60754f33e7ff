//! What the holder of a certificate asks a server besides what every [`Service`](super::Service) does: when to renew, and for a successor after the
//! end.

use ca_api::certificate::Certificate;
use ca_api::renewal::{RenewExpiredCertificate, RenewalInfo, RenewalNonce};
use ca_api::route;
use ca_core::csr::ParsedCsr;
use ca_engine::flow::query::CertificateName;

use super::{Remote, csr_pem, of_certificate};
use crate::exit::Failure;

impl Remote {
    /// When to renew a certificate, and after how many seconds to ask again.
    pub(crate) async fn renewal_info(&self, name: &CertificateName) -> Result<(RenewalInfo, Option<u64>), Failure> {
        self.exchange.get_and_when_again(&of_certificate(route::CERTIFICATE_RENEWAL_INFO, name)).await
    }

    /// A nonce for [`Self::renew_expired`].
    pub(crate) async fn renewal_nonce(&self) -> Result<RenewalNonce, Failure> {
        self.exchange.post_nothing(route::RENEWAL_NONCE).await
    }

    /// The URL that a proof of renewal names.
    pub(crate) fn renew_expired_url(&self, name: &CertificateName) -> String {
        self.exchange.url(&of_certificate(route::CERTIFICATE_RENEW_EXPIRED, name)).to_string()
    }

    /// The successor of a certificate that has ended. A proof is good for one request, so that this one is not repeated.
    pub(crate) async fn renew_expired(
        &self,
        name: &CertificateName,
        csr: &ParsedCsr,
        proof: String,
        idempotency_key: &str,
    ) -> Result<Certificate, Failure> {
        let body = RenewExpiredCertificate { csr: csr_pem(csr), proof };
        let path = of_certificate(route::CERTIFICATE_RENEW_EXPIRED, name);
        self.exchange.post_unrepeated(&path, &body, idempotency_key).await
    }
}
