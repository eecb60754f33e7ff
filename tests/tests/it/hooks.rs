//! Events at AWS: a service that runs tells a topic and a queue of moto, which others wrote.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use ca_e2e::client::{Client, eventually};
use ca_e2e::stack::{PATIENCE, Stack};
use ca_test_services::MotoServer;
use reqwest::Method;
use serde_json::{Value, json};

/// The account that moto has.
const ACCOUNT: &str = "123456789012";

/// moto believes every signature, and goes by the service that it names.
fn signed(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDTEST/20261127/sa-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

async fn sqs(moto: &Client, operation: &str, input: Value) -> anyhow::Result<Value> {
    let request = moto.request(Method::POST, "/").header("authorization", signed("sqs"));
    let request = request.header("x-amz-target", format!("AmazonSQS.{operation}"));
    let answer = request.header("content-type", "application/x-amz-json-1.0").body(input.to_string()).send().await?;
    ensure!(answer.status().is_success(), "{operation}: {}", answer.text().await?);
    Ok(answer.json().await?)
}

async fn sns(moto: &Client, form: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut url = reqwest::Url::parse("http://moto/")?;
    url.query_pairs_mut().extend_pairs(form).append_pair("Version", "2010-03-31");
    let body = url.query().unwrap_or_default().to_owned();
    let request = moto.request(Method::POST, "/").header("authorization", signed("sns"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    let answer = request.send().await?;
    ensure!(answer.status().is_success(), "{form:?}: {}", answer.text().await?);
    Ok(())
}

/// The events that lie in a queue, which are taken out of sight.
async fn received(moto: &Client, url: &str) -> anyhow::Result<Vec<Value>> {
    let input = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10 });
    let answer = sqs(moto, "ReceiveMessage", input).await?;
    let bodies = answer["Messages"].as_array().into_iter().flatten().filter_map(|message| message["Body"].as_str());
    bodies.map(|body| serde_json::from_str(body).context("no JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_and_a_queue_hear_of_what_is_issued_and_revoked() -> anyhow::Result<()> {
    let server = MotoServer::start()?;
    let moto = Client::plain(&server.endpoint_url())?;
    let mut urls = Vec::new();
    for name in ["everything", "revocations"] {
        let made = sqs(&moto, "CreateQueue", json!({ "QueueName": name })).await?;
        urls.push(made["QueueUrl"].as_str().context("its URL")?.to_owned());
    }
    sns(&moto, &[("Action", "CreateTopic"), ("Name", "ca-events")]).await?;
    let (topic, endpoint) =
        (format!("arn:aws:sns:sa-east-1:{ACCOUNT}:ca-events"), format!("arn:aws:sqs:sa-east-1:{ACCOUNT}:revocations"));
    sns(
        &moto,
        &[
            ("Action", "Subscribe"),
            ("TopicArn", &topic),
            ("Protocol", "sqs"),
            ("Endpoint", &endpoint),
            ("Attributes.entry.1.key", "FilterPolicy"),
            ("Attributes.entry.1.value", r#"{"topic": ["certificate.revoked"], "authority": ["tls"]}"#),
            ("Attributes.entry.2.key", "RawMessageDelivery"),
            ("Attributes.entry.2.value", "true"),
        ],
    )
    .await?;
    let stack = Stack::with(&[
        ("CA__SNS__INVENTORY__TOPIC", &topic),
        ("CA__SQS__AUDIT_LOG__QUEUE", &urls[0]),
        ("CA__DEPLOYMENTS__ENABLED", "true"),
        ("CA__AWS__REGION", "sa-east-1"),
        ("CA__AWS__ENDPOINT_URL", &server.endpoint_url()),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("PATH", "/usr/bin:/bin"),
    ])?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", "told.example.com").await?;
    administrator.revoke(&certificate.id, "keyCompromise").await?;
    let id = certificate.id.to_string();
    let mut heard = BTreeSet::new();
    // Beside it the certificates of the service itself are told of.
    while heard.len() < 2 {
        let more = eventually(PATIENCE, "the queue hears of both", || async {
            let events = received(&moto, &urls[0]).await?;
            let of_it = events.into_iter().filter(|event| event["certificate"] == id.as_str());
            let topics: Vec<String> = of_it.filter_map(|event| event["topic"].as_str().map(str::to_owned)).collect();
            Ok((!topics.is_empty()).then_some(topics))
        });
        heard.extend(more.await?);
    }
    ensure!(heard.iter().eq(["certificate.issued", "certificate.revoked"]), "{heard:?}");
    let chosen = eventually(PATIENCE, "the subscriber hears of the revocation", || async {
        let events = received(&moto, &urls[1]).await?;
        Ok((!events.is_empty()).then_some(events))
    });
    let chosen = chosen.await?;
    ensure!(chosen.len() == 1 && chosen[0]["certificate"] == id.as_str(), "{chosen:?}");
    ensure!(chosen[0]["reason"] == "keyCompromise", "{chosen:?}");
    // Nothing waits: the sink of deployments has taken what asks for none.
    eventually(PATIENCE, "every sink has taken everything", || async {
        let page: Value = administrator.get("/v1/outbox").await?.expect(200)?.json()?;
        Ok(page["items"].as_array().is_some_and(Vec::is_empty).then_some(()))
    })
    .await?;
    let admin = stack.admin()?;
    for series in [
        "ca_outbox_deliveries_total{outcome=\"delivered\",sink=\"deployments\"}",
        "ca_aws_calls_total{operation=\"Publish\",outcome=\"answered\",service=\"sns\"}",
        "ca_aws_calls_total{operation=\"SendMessage\",outcome=\"answered\",service=\"sqs\"}",
    ] {
        let mut labels = series.trim_end_matches('}').split(['{', ',']);
        let name = labels.next().unwrap_or_default();
        let labels: Vec<&str> = labels.collect();
        let is_told = |line: &str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
        eventually(PATIENCE, series, || async {
            let metrics = admin.get("/metrics").await?.expect(200)?.text();
            Ok(metrics.lines().any(is_told).then_some(()))
        })
        .await?;
    }
    ensure!(stack.stop().is_ok());
    Ok(())
}
