//! Lists in S3: what the service puts there, and what it does when S3 refuses, is silent, or is not there.

use anyhow::{Context, ensure};
use ca_e2e::client::{Client, eventually};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_test_doubles::{Fault, Operation, S3Double};
use ca_test_services::MotoServer;
use reqwest::Method;
use reqwest::header::AUTHORIZATION;

/// moto shows objects to those who sign, and believes every signature.
const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=AKIDTEST/20261127/sa-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// Settings of a service with a bucket; credentials as an ECS task or a shell hands them to the SDK.
fn settings(endpoint_url: &str) -> [(&str, &str); 7] {
    [
        ("CA__PUBLISH__S3__BUCKET", S3Double::BUCKET),
        ("CA__AWS__REGION", "sa-east-1"),
        ("CA__AWS__ENDPOINT_URL", endpoint_url),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("PATH", "/usr/bin:/bin"),
    ]
}

/// The list of an authority as the service itself serves it.
async fn served(stack: &Stack, authority: &str) -> anyhow::Result<Vec<u8>> {
    Ok(stack.public()?.get(&format!("/crl/{authority}.crl")).await?.expect(200)?.body)
}

/// The value of one series.
async fn metric(stack: &Stack, series: &str) -> anyhow::Result<Option<f64>> {
    let metrics = stack.admin()?.get("/metrics").await?.expect(200)?.text();
    let told = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    told.map(|number| number.parse().context("no number")).transpose()
}

/// Revokes a new certificate; returns what it is asked about by.
async fn revoke_one(stack: &Stack, name: &str) -> anyhow::Result<Subject> {
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", name).await?;
    administrator.revoke(&certificate.id, "superseded").await?;
    Subject::of(&certificate)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fetched_from_a_bucket_is_what_the_service_serves() -> anyhow::Result<()> {
    let moto = MotoServer::start()?;
    let client = Client::plain(&moto.endpoint_url())?;
    let bucket = format!("/{}", S3Double::BUCKET);
    let made = client.request(Method::PUT, &bucket).send().await?.status();
    ensure!(made.is_success(), "the bucket cannot be made: {made}");
    let stack = Site::initialised(&settings(&moto.endpoint_url()))?.serve()?;
    let subject = revoke_one(&stack, "mirrored.example.com").await?;
    for authority in ["root", "document", "tls"] {
        eventually(PATIENCE, "the bucket has what is served", || async {
            let answer = client.get_with(&format!("{bucket}/crl/{authority}.crl"), AUTHORIZATION, SIGNED).await?;
            if answer.status != 200 {
                return Ok(None);
            }
            let (kind, cache) = (answer.header("content-type"), answer.header("cache-control"));
            ensure!(kind == "application/pkix-crl", "{kind}");
            ensure!(cache == "public, no-transform, must-revalidate, max-age=5", "{cache}");
            let list = &answer.body;
            let is_newest =
                *list == served(&stack, authority).await? && (authority != "tls" || subject.is_listed(list)?);
            Ok(is_newest.then_some(()))
        })
        .await?;
    }
    ensure!(stack.stop().is_ok());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_refuses_is_told_and_holds_up_nothing() -> anyhow::Result<()> {
    let double = S3Double::start()?;
    double.fail(Operation::Put, [Fault::Refuse(403, "AccessDenied"); 500]);
    let stack = Site::initialised(&settings(&double.endpoint_url()))?.serve()?;
    let subject = revoke_one(&stack, "refused.example.com").await?;
    eventually(PATIENCE, "the service's own list has the revocation", || async {
        Ok(subject.is_listed(&served(&stack, "tls").await?)?.then_some(()))
    })
    .await?;
    let series = "ca_crl_mirror_current_timestamp_seconds{mirror=\"s3\",authority=\"tls\"}";
    eventually(PATIENCE, "the metric says that the bucket never had the list", || async {
        Ok((metric(&stack, series).await? == Some(0.0)).then_some(()))
    })
    .await?;
    stack.admin()?.get("/ready").await?.expect(200)?;
    ensure!(double.object("crl/tls.crl").is_none());
    let said = stack.logs().join("\n");
    ensure!(said.contains("PutObject is refused with 403 AccessDenied") && said.contains("s3:ListBucket"), "{said}");
    ensure!(!said.contains("a-secret-of-the-tests"));
    // A job asks once, fails, and says why.
    let site = stack.stop()?;
    let (succeeded, said) = site.run(&["job", "run", "mirror"])?;
    ensure!(!succeeded && said.contains("AccessDenied"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bucket_lacks_is_put_there_when_it_answers_again() -> anyhow::Result<()> {
    let double = S3Double::start()?;
    double.fail(Operation::Put, [Fault::Refuse(503, "SlowDown"); 12]);
    let stack = Site::initialised(&settings(&double.endpoint_url()))?.serve()?;
    let subject = revoke_one(&stack, "late.example.com").await?;
    eventually(PATIENCE, "the bucket has the revocation", || async {
        let Some(object) = double.object("crl/tls.crl") else { return Ok(None) };
        Ok(subject.is_listed(&object.octets)?.then_some(()))
    })
    .await?;
    // Somebody empties the bucket: what a command puts there is there again.
    let site = stack.stop()?;
    let before = double.object("crl/tls.crl").context("a list")?;
    double.remove("crl/tls.crl");
    let (succeeded, said) = site.run(&["job", "run", "mirror"])?;
    ensure!(succeeded && said.contains("mirror: done, 3 changed"), "{said}");
    ensure!(double.object("crl/tls.crl").is_some_and(|object| object.octets == before.octets));
    // One that never answers is no reason not to stop, or not to start and serve.
    double.fail(Operation::Head, [Fault::Silence; 100]);
    let stack = site.serve()?;
    let subject = revoke_one(&stack, "silent.example.com").await?;
    eventually(PATIENCE, "the service's own list has the revocation", || async {
        Ok(subject.is_listed(&served(&stack, "tls").await?)?.then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bucket_is_no_job_and_one_that_cannot_be_is_a_fault_of_the_configuration() -> anyhow::Result<()> {
    let site = Site::initialised(&[])?;
    let (succeeded, said) = site.run(&["job", "run", "mirror"])?;
    ensure!(!succeeded && said.contains("publish.s3.bucket"), "{said}");
    let mut site = site;
    site.set("CA__PUBLISH__S3__BUCKET", "Not A Bucket");
    let (succeeded, said) = site.run(&["check-config"])?;
    ensure!(!succeeded && said.contains("CA__PUBLISH__S3__BUCKET") && said.contains("lower-case"), "{said}");
    // Nobody says which region.
    site.set("CA__PUBLISH__S3__BUCKET", "pki-example-org");
    site.set("AWS_EC2_METADATA_DISABLED", "true");
    let (succeeded, said) = site.run(&["job", "run", "mirror"])?;
    ensure!(!succeeded && said.contains("aws.region"), "{said}");
    Ok(())
}
