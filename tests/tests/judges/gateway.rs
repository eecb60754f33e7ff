//! A real gateway lets in who holds a certificate in force, and nobody else, however it learns of revocations.

use anyhow::ensure;
use ca_e2e::client::eventually;
use ca_e2e::stack::PATIENCE;

use crate::material::{Material, free_port, wait};
use crate::nginx::Nginx;

#[test]
fn nginx_asks_for_the_leaf_at_one_responder() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let directives = format!("ssl_ocsp leaf; ssl_ocsp_responder {};", material.ocsp_url());
    judge_by_ocsp(&Nginx::start(&material, "nginx-leaf", &directives)?)
}

#[test]
fn nginx_asks_for_leaf_and_intermediate_where_the_certificates_say() -> anyhow::Result<()> {
    let material = Material::shared()?;
    judge_by_ocsp(&Nginx::start(&material, "nginx-aia", "ssl_ocsp on;")?)
}

#[test]
fn nginx_asks_for_leaf_and_intermediate_at_one_responder() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let directives = format!("ssl_ocsp on; ssl_ocsp_responder {};", material.ocsp_url());
    judge_by_ocsp(&Nginx::start(&material, "nginx-one", &directives)?)
}

fn judge_by_ocsp(nginx: &Nginx) -> anyhow::Result<()> {
    nginx.asks_for_a_certificate()?;
    nginx.lets_in("good")?;
    nginx.refuses("revoked", "certificate revoked")?;
    nginx.refuses("unknown", "certificate status unknown")?;
    nginx.refuses("expired", "certificate has expired")?;
    nginx.refuses("foreign", "self-signed certificate in certificate chain")
}

#[test]
fn nginx_reads_the_lists() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let directives = format!("ssl_crl {};", material.file("crls.pem").display());
    let nginx = Nginx::start(&material, "nginx-crl", &directives)?;
    nginx.asks_for_a_certificate()?;
    nginx.lets_in("good")?;
    nginx.refuses("revoked", "certificate revoked")?;
    // A list names what is revoked; of what was never issued it knows nothing, and only OCSP does.
    nginx.lets_in("unknown")?;
    nginx.refuses("expired", "certificate has expired")?;
    nginx.refuses("foreign", "unable to get certificate CRL")
}

#[test]
fn nginx_lets_nobody_in_while_the_responder_is_down() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let directives = format!("ssl_ocsp leaf; ssl_ocsp_responder http://127.0.0.1:{}/ocsp;", free_port()?);
    let nginx = Nginx::start(&material, "nginx-down", &directives)?;
    nginx.asks_for_a_certificate()?;
    nginx.refuses("good", "certificate status request failed")?;
    nginx.refuses("revoked", "certificate status request failed")
}

#[test]
fn nginx_refuses_a_certificate_as_soon_as_it_is_revoked() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let nginx = Nginx::start(&material, "nginx-at-once", "ssl_ocsp on; ssl_ocsp_cache off;")?;
    let certificate = material.issue_client("short-lived")?;
    nginx.lets_in("short-lived")?;
    wait(async {
        let administrator = material.stack().administrator()?;
        administrator.revoke(&certificate.id, "certificateHold").await?;
        Ok(())
    })?;
    nginx.refuses("short-lived", "certificate revoked")?;
    wait(async {
        let path = format!("/v1/certificates/{}/unhold", certificate.id);
        material.stack().administrator()?.post(&path, &()).await?.expect(200)?;
        Ok(())
    })?;
    nginx.lets_in("short-lived")
}

#[test]
fn nginx_staples_an_answer_that_curl_demands_however_it_judges_clients() -> anyhow::Result<()> {
    let material = Material::shared()?;
    let away = format!("ssl_ocsp leaf; ssl_ocsp_responder http://127.0.0.1:{}/ocsp;", free_port()?);
    let lists = format!("ssl_crl {};", material.file("crls.pem").display());
    let leaf = format!("ssl_ocsp leaf; ssl_ocsp_responder {};", material.ocsp_url());
    for (number, (judging, status)) in
        [("ssl_ocsp on;", 200), (&leaf, 200), (&lists, 200), (&away, 400)].into_iter().enumerate()
    {
        let directives = format!("ssl_stapling on; ssl_stapling_verify on; {judging}");
        let nginx = Nginx::start(&material, &format!("nginx-stapling-{number}"), &directives)?;
        // nginx fetches the answer when the first client has come, and staples it to the next.
        wait(eventually(PATIENCE, "curl is content with what nginx staples", || async {
            Ok(nginx.ask(None, "/health", &["--cert-status"]).ok())
        }))?;
        let reply = nginx.ask(Some("good"), "/", &["--cert-status"])?;
        ensure!(reply.status == status, "{judging}: {reply:?}");
    }
    Ok(())
}
