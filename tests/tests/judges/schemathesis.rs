//! schemathesis asks the live service whatever its OpenAPI document allows, and more, for a minute, and holds every answer
//! against the document: no 5xx, no status, media type, header or body that is not in it.

use anyhow::{Context, ensure};
use ca_api::certificate::Certificate;
use ca_api::page::Page;
use ca_api::route;
use ca_e2e::client::Client;
use ca_e2e::stack::Stack;

use crate::material::{wait, write};
use crate::tool::Tool;

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// How long schemathesis may ask, in seconds.
const SECONDS: &str = "60";

/// How many certificates it must at least have got. A machine that is busy leads it to some twenty in that time.
const CERTIFICATES: usize = 5;

#[test]
fn schemathesis_finds_no_answer_that_is_not_documented() -> anyhow::Result<()> {
    // One of its own: it revokes what it finds.
    let stack = Stack::start()?;
    let admin = stack.data_folder().join("admin");
    let document = wait(async { stack.anonymous()?.get(route::OPENAPI).await?.expect(200) })?;
    let document = write(stack.work_folder(), "openapi.json", document.body)?;

    let said = Tool::from_pypi("schemathesis")
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/schemathesis"))
        .env("PYTHONHASHSEED", "0")
        .env("OWN_CERTIFICATE", own_certificate(&stack)?)
        .within(stack.work_folder())
        .arg("run")
        .arg(document)
        .args(["--url", &stack.api_url(), "--checks", CHECKS, "--max-time", SECONDS, "--continue-on-failure"])
        .arg("--request-cert")
        .arg(admin.join("admin.crt"))
        .arg("--request-cert-key")
        .arg(admin.join("admin.key"))
        .arg("--tls-verify")
        .arg(admin.join("ca.crt"))
        .run()?;
    let said = said.accepts()?;

    let panics: Vec<String> = stack.logs().into_iter().filter(|line| line.contains("panic")).collect();
    ensure!(panics.is_empty(), "{}", panics.join("\n"));
    wait(async {
        let administrator = stack.administrator()?;
        came_far(&administrator)
            .await
            .with_context(|| format!("schemathesis knocked and never entered:\n{}", said.text()))
    })
}

/// Fails unless certificates were issued, renewed, revoked and held: what is never reached is never judged.
async fn came_far(administrator: &Client) -> anyhow::Result<()> {
    let list = |query: &'static str| async move {
        let answer = administrator.get(&format!("{}?limit=1000&{query}", route::CERTIFICATES)).await?.expect(200)?;
        Ok::<_, anyhow::Error>(answer.json::<Page<Certificate>>()?.items)
    };
    let issued = list("profile=client").await?;
    ensure!(issued.len() >= CERTIFICATES, "{} certificates", issued.len());
    ensure!(issued.iter().any(|certificate| certificate.renews.is_some()), "none of them renewed");
    ensure!(!list("status=revoked").await?.is_empty(), "none of them revoked");
    Ok(())
}

/// Id and serial number of the certificate that schemathesis shows.
fn own_certificate(stack: &Stack) -> anyhow::Result<String> {
    wait(async {
        let answer =
            stack.administrator()?.get(&format!("{}?profile=operator", route::CERTIFICATES)).await?.expect(200)?;
        let own = answer.json::<Page<Certificate>>()?.items.into_iter().next().context("no administrator on record")?;
        Ok(format!("{} {}", own.id, own.serial))
    })
}
