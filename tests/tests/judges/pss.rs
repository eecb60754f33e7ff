//! Authorities whose RSA keys sign by RSASSA-PSS: certificates, lists and the certificates of OCSP responders, as everybody else
//! sees them.

use crate::material::Material;
use crate::nginx::Nginx;
use crate::tool::Tool;
use crate::{chains, ocsp};

#[test]
fn everybody_verifies_what_is_signed_by_pss() -> anyhow::Result<()> {
    let material = Material::signed_by_pss()?;
    for (file, digest) in [("root", "sha512"), ("tls", "sha512"), ("document", "sha512"), ("good", "sha256")] {
        let file = material.file(&format!("{file}.pem"));
        let said = Tool::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(file).run()?.accepts()?;
        said.says("Signature Algorithm: rsassaPss")?.says(&format!("Hash Algorithm: {digest}"))?;
    }
    // The keys say nothing of PSS: whoever knows no more than rsaEncryption can read them.
    for authority in ["root.pem", "tls.pem", "document.pem"] {
        let said = Tool::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(material.file(authority));
        said.run()?.accepts()?.says("Public Key Algorithm: rsaEncryption")?;
    }
    chains::openssl_judges_purposes(&material)?;
    chains::openssl_judges_lists(&material)?;
    chains::gnutls_judges(&material)?;
    chains::nss_judges(&material)?;
    chains::strongswan_judges(&material)?;
    chains::the_webs_verifier_judges(&material)?;
    ocsp::openssl_judges(&material)?;
    ocsp::openssl_judges_the_root_s(&material)?;
    ocsp::gnutls_judges(&material)?;
    ocsp::a_strict_client_judges(&material)?;
    ocsp::java_judges(&material)?;
    let lists = format!("ssl_crl {};", material.file("crls.pem").display());
    let nginx = Nginx::start(&material, "nginx-pss", &lists)?;
    nginx.lets_in("good")?;
    nginx.refuses("revoked", "certificate revoked")
}
