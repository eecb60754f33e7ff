//! Issuers elsewhere: the `CertificateIssuer` port (`ca_engine::port::certificate_issuer`).

#[cfg(feature = "backend-acm-pca")]
pub mod acm_pca;
