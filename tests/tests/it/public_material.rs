//! What everybody may have without proof: certificates of authorities, the root, and who serves them where.

use ca_api::problem::ProblemType;
use ca_api::route;
use ca_e2e::stack::{Site, shared};
use ca_e2e::tools::openssl;

#[tokio::test]
async fn authorities_certificates_come_as_der_and_as_a_chain() -> anyhow::Result<()> {
    let stack = shared()?;
    let public = stack.public()?;
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    std::fs::write(folder.path().join("root.pem"), stack.root_pem()?)?;
    for authority in ["tls", "document"] {
        let der = public.get(&format!("/ca/{authority}.crt")).await?.expect(200)?;
        assert_eq!(der.header("content-type"), "application/pkix-cert");
        let pem = public.get(&format!("/ca/{authority}.pem")).await?.expect(200)?;
        assert_eq!(pem.header("content-type"), "application/pem-certificate-chain");
        assert_eq!(pem.text().matches("BEGIN CERTIFICATE").count(), 1, "the root is left out");
        std::fs::write(folder.path().join("ca.der"), &der.body)?;
        let as_pem = openssl(["x509", "-inform", "DER", "-in", "ca.der"], folder.path())?.text();
        assert_eq!(as_pem, pem.text());
        std::fs::write(folder.path().join("ca.pem"), as_pem)?;
        openssl(["verify", "-x509_strict", "-CAfile", "root.pem", "ca.pem"], folder.path())?;
    }
    for file in ["nobody.crt", "tls", "tls.der", ".pem", "..%2f..%2fetc%2fpasswd"] {
        public.get(&format!("/ca/{file}")).await?.expect_problem(ProblemType::NotFound)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_root_is_the_one_whose_fingerprint_init_told() -> anyhow::Result<()> {
    let site = Site::empty(&[])?;
    let (succeeded, told) = site.run(&["init"])?;
    assert!(succeeded, "{told}");
    let stack = site.serve()?;
    let roots = stack.public()?.get(route::ROOTS).await?.expect(200)?;
    assert_eq!(roots.text(), stack.root_pem()?);
    assert_eq!(stack.anonymous()?.get(route::ROOTS).await?.expect(200)?.text(), roots.text());
    std::fs::write(stack.work_folder().join("roots.pem"), &roots.body)?;
    let said = openssl(["x509", "-in", "roots.pem", "-noout", "-fingerprint", "-sha256"], stack.work_folder())?.text();
    let fingerprint = said.trim().rsplit('=').next().unwrap_or_default().replace(':', "").to_lowercase();
    assert!(fingerprint.len() == 64 && told.contains(&fingerprint), "{told} {said}");
    Ok(())
}

#[tokio::test]
async fn the_public_listener_has_no_api_and_no_metrics() -> anyhow::Result<()> {
    let stack = shared()?;
    let public = stack.public()?;
    for path in [route::CERTIFICATES, route::AUDIT, route::PROFILES, route::OPENAPI, route::METRICS] {
        public.get(path).await?.expect_problem(ProblemType::NotFound)?;
    }
    let anonymous = stack.anonymous()?;
    for path in [route::OPENAPI, route::HEALTH, route::READY, route::ROOTS, "/crl/all.pem", "/ca/tls.crt"] {
        anonymous.get(path).await?.expect(200)?;
    }
    anonymous.get(route::METRICS).await?.expect_problem(ProblemType::NotFound)?;
    Ok(())
}
