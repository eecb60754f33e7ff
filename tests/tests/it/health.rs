//! Health, readiness and metrics.

use ca_api::health::{Readiness, ReadinessStatus};
use ca_api::route;
use ca_e2e::stack::shared;

#[tokio::test]
async fn details_are_for_the_admin_listener_only() -> anyhow::Result<()> {
    let stack = shared()?;
    for client in [stack.public()?, stack.anonymous()?] {
        client.get(route::HEALTH).await?.expect(200)?;
        let ready: Readiness = client.get(route::READY).await?.expect(200)?.json()?;
        assert_eq!((ready.status, ready.checks), (ReadinessStatus::Ready, None));
    }
    let ready: Readiness = stack.admin()?.get(route::READY).await?.expect(200)?.json()?;
    let checks = ready.checks.unwrap_or_default();
    let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    for name in ["store", "clock", "crl:tls", "responder:tls", "key:tls", "crl:root", "responder:root"] {
        assert!(names.contains(&name), "{name} is not looked at: {names:?}");
    }
    Ok(())
}

#[tokio::test]
async fn metrics_count_by_route_and_name_nobody() -> anyhow::Result<()> {
    let stack = shared()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "metric.example.test").await?;
    stack.administrator()?.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?;
    let metrics = stack.admin()?.get(route::METRICS).await?.expect(200)?.text();
    assert!(metrics.contains("/v1/certificates/{certificate}"), "{metrics}");
    for told in ["metric.example.test", &certificate.id, &certificate.serial] {
        assert!(!metrics.contains(told), "metrics name {told}");
    }
    Ok(())
}

#[tokio::test]
async fn logs_have_the_request_id_and_no_names() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let search = serde_json::json!({ "name": "logged-person.example.test" });
    let answer = administrator.post(route::CERTIFICATE_SEARCH, &search).await?.expect(200)?;
    administrator.enrol("client", "logged-person.example.test").await?;
    let refused = administrator.get("/v1/certificates?owner=logged-person.example.test&limit=0").await?;
    assert_eq!(refused.status, 422);
    let logs = stack.logs().join("\n");
    assert!(logs.contains(answer.header("x-request-id")), "a request is logged under its id");
    assert!(!logs.contains("logged-person"), "names are no business of the log");
    for line in stack.logs().iter().filter(|line| line.starts_with('{')) {
        serde_json::from_str::<serde_json::Value>(line)?;
    }
    Ok(())
}
