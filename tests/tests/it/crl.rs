//! CRLs as relying parties fetch them.

use ca_api::problem::ProblemType;
use ca_e2e::stack::shared;
use ca_e2e::tools::{openssl, run};
use reqwest::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};

#[tokio::test]
async fn openssl_verifies_every_list() -> anyhow::Result<()> {
    let stack = shared()?;
    let public = stack.public()?;
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    for authority in ["root", "tls", "document"] {
        let list = public.get(&format!("/crl/{authority}.crl")).await?.expect(200)?;
        assert_eq!(list.header("content-type"), "application/pkix-crl");
        std::fs::write(folder.path().join("list.crl"), &list.body)?;
        let certificate = public.get(&format!("/ca/{authority}.crt")).await?.expect(200)?;
        std::fs::write(folder.path().join("ca.der"), &certificate.body)?;
        openssl(["x509", "-inform", "DER", "-in", "ca.der", "-out", "ca.pem"], folder.path())?;
        let arguments = ["crl", "-inform", "DER", "-in", "list.crl", "-CAfile", "ca.pem", "-noout", "-text"];
        let said = openssl(arguments, folder.path())?.all();
        assert!(said.contains("verify OK"), "{authority}: {said}");
        assert!(said.contains("X509v3 CRL Number"), "{said}");
        assert!(!said.contains("Issuing Distribution Point"), "the complete list is without one: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn all_lists_together_are_what_ssl_crl_of_nginx_wants() -> anyhow::Result<()> {
    let stack = shared()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "chain.example.test").await?;
    let all = stack.public()?.get("/crl/all.pem").await?.expect(200)?.text();
    assert_eq!(all.matches("BEGIN X509 CRL").count(), 3);
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    std::fs::write(folder.path().join("leaf.pem"), &certificate.certificate)?;
    std::fs::write(folder.path().join("all.pem"), &all)?;
    std::fs::write(folder.path().join("trust.pem"), format!("{}{}", certificate.chain, stack.root_pem()?))?;
    let arguments = ["verify", "-crl_check_all", "-CAfile", "trust.pem", "-CRLfile", "all.pem", "leaf.pem"];
    openssl(arguments, folder.path())?;
    // Issuing authorities first, the root last.
    let last = &all[all.rfind("-----BEGIN").unwrap_or_default()..];
    std::fs::write(folder.path().join("last.pem"), last)?;
    let issuer = openssl(["crl", "-in", "last.pem", "-noout", "-issuer"], folder.path())?.text();
    assert!(issuer.contains("Root CA"), "{issuer}");
    Ok(())
}

#[tokio::test]
async fn a_list_that_is_known_is_not_sent_again() -> anyhow::Result<()> {
    let stack = shared()?;
    let public = stack.public()?;
    // The root's list: no other test changes it.
    let list = public.get("/crl/root.crl").await?.expect(200)?;
    let (etag, modified) = (list.header("etag"), list.header("last-modified"));
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert!(list.header("cache-control").contains("max-age=5"), "{}", list.header("cache-control"));
    for known in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let answer = public.get_with("/crl/root.crl", IF_NONE_MATCH, &known).await?.expect(304)?;
        assert_eq!(answer.body, b"");
        assert_eq!(answer.header("etag"), etag);
    }
    public.get_with("/crl/root.crl", IF_NONE_MATCH, "\"other\"").await?.expect(200)?;
    // Two lists may be of one second: a date vouches for later seconds only, an entity tag for the list itself.
    public.get_with("/crl/root.crl", IF_MODIFIED_SINCE, modified).await?.expect(200)?;
    public.get_with("/crl/root.crl", IF_MODIFIED_SINCE, "Fri, 01 Jan 2100 00:00:00 GMT").await?.expect(304)?;
    public.get_with("/crl/root.crl", IF_MODIFIED_SINCE, "Thu, 01 Jan 2026 00:00:00 GMT").await?.expect(200)?;
    public.get_with("/crl/root.crl", IF_MODIFIED_SINCE, "yesterday").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_fetch_that_broke_off_goes_on() -> anyhow::Result<()> {
    let stack = shared()?;
    let public = stack.public()?;
    let list = public.get("/crl/root.crl").await?.expect(200)?;
    assert_eq!(list.header("accept-ranges"), "bytes");
    let length = list.body.len();
    let part = public.get_with("/crl/root.crl", RANGE, "bytes=100-199").await?.expect(206)?;
    assert_eq!(part.body, list.body[100..200]);
    assert_eq!(part.header("content-range"), format!("bytes 100-199/{length}"));
    assert_eq!((part.header("etag"), part.header("content-length")), (list.header("etag"), "100"));
    let beyond = public.get_with("/crl/root.crl", RANGE, "bytes=10000000-").await?;
    beyond.expect_problem(ProblemType::RangeNotSatisfiable)?;
    assert_eq!(beyond.header("content-range"), format!("bytes */{length}"));

    // curl goes on where it stopped, and openssl reads what comes of it.
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    std::fs::write(folder.path().join("root.crl"), &list.body[..150])?;
    let url = format!("{}/crl/root.crl", stack.public_url());
    run(
        "curl",
        ["--silent", "--show-error", "--fail", "--continue-at", "-", "--output", "root.crl", &url],
        folder.path(),
    )?;
    assert_eq!(std::fs::read(folder.path().join("root.crl"))?, list.body);
    openssl(["crl", "-inform", "DER", "-in", "root.crl", "-noout", "-crlnumber"], folder.path())?;
    Ok(())
}

#[tokio::test]
async fn lists_that_there_are_none_of() -> anyhow::Result<()> {
    let stack = shared()?;
    for file in ["nobody.crl", "tls", "tls.pem", "tls-delta.crl", ".crl", "..%2fca.db", "all.crl"] {
        let answer = stack.public()?.get(&format!("/crl/{file}")).await?;
        answer.expect_problem(ProblemType::NotFound)?;
    }
    Ok(())
}
