//! `/openapi.json` is OpenAPI 3.1 and lists the routes that are served, no more and no fewer.

use std::collections::{BTreeMap, BTreeSet};

use ca_api::problem::ProblemType;
use ca_api::route;
use ca_e2e::client::send;
use ca_e2e::stack::shared;
use reqwest::Method;
use serde_json::Value;

/// The contract: every path with its methods.
fn contract() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let get: &[&str] = &["get"];
    let post: &[&str] = &["post"];
    [
        (route::CERTIFICATES, &["get", "post"][..]),
        (route::CERTIFICATE_SEARCH, post),
        (route::CERTIFICATES_REVOKE, post),
        (route::REVOCATIONS, get),
        (route::REVOCATION, get),
        (route::REVOCATION_CANCEL, post),
        (route::CERTIFICATE, get),
        (route::CERTIFICATE_RENEW, post),
        (route::CERTIFICATE_RENEW_EXPIRED, post),
        (route::RENEWAL_NONCE, post),
        (route::CERTIFICATE_REVOKE, post),
        (route::CERTIFICATE_UNHOLD, post),
        (route::CERTIFICATE_RENEWAL_INFO, get),
        (route::RENEWAL_WINDOWS, &["get", "post"]),
        (route::RENEWAL_WINDOW, &["delete"]),
        (route::MANAGED_CERTIFICATES, &["get", "post"]),
        (route::MANAGED_STATUS, get),
        (route::MANAGED_CERTIFICATE, &["delete", "get", "put"]),
        (route::MANAGED_ROTATE, post),
        (route::MANAGED_PAUSE, post),
        (route::MANAGED_RESUME, post),
        (route::AUTHORITIES, get),
        (route::AUTHORITY, get),
        (route::PROFILES, get),
        (route::PROFILE, get),
        (route::ENROLMENT_TOKENS, &["get", "post"]),
        (route::ENROLMENT_TOKEN, &["delete"]),
        (route::AUDIT, get),
        (route::OUTBOX, get),
        (route::OUTBOX_REPLAY, post),
        (route::GATEWAYS, get),
        (route::GATEWAY, &["delete"]),
        (route::GATEWAY_STATUS, &["put"]),
        (route::ROTATIONS, get),
        (route::MANAGED_ROTATION, post),
        (route::MANAGED_ROTATION_REPORT, &["put"]),
        (route::OCSP, post),
        ("/ocsp/{request}", get),
        (route::CRL, get),
        (route::CRL_SHARD, get),
        (route::AUTHORITY_CERTIFICATE, get),
        (route::ROOTS, get),
        (route::HEALTH, get),
        (route::READY, get),
    ]
    .map(|(path, methods)| (path, methods.iter().copied().collect()))
    .into()
}

#[tokio::test]
async fn the_document_lists_exactly_the_contracts_routes() -> anyhow::Result<()> {
    let stack = shared()?;
    let answer = stack.anonymous()?.get(route::OPENAPI).await?.expect(200)?;
    let document: Value = answer.json()?;
    let version = document["openapi"].as_str().unwrap_or_default();
    assert!(version.starts_with("3.1."), "{version}");
    let mut listed = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        let methods: BTreeSet<&str> =
            operations.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        listed.insert(path.as_str(), methods);
    }
    assert_eq!(listed, contract());
    Ok(())
}

#[tokio::test]
async fn every_operation_says_its_answers_and_its_problems() -> anyhow::Result<()> {
    let stack = shared()?;
    let document: Value = stack.anonymous()?.get(route::OPENAPI).await?.expect(200)?.json()?;
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let name = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap_or_default();
            assert!(!id.is_empty() && ids.insert(id), "{name}: operation id `{id}`");
            assert!(operation["summary"].is_string(), "{name} has no summary");
            let responses = operation["responses"].as_object().cloned().unwrap_or_default();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{name} never succeeds");
            assert!(responses.contains_key("500"), "{name} does not say how it fails");
            assert!(!responses.contains_key("default"), "{name}: a default hides what is not documented");
            let parameters = operation["parameters"]
                .as_array()
                .map_or(0, |parameters| parameters.iter().filter(|parameter| parameter["in"] == "path").count());
            assert_eq!(parameters, path.matches('{').count(), "{name}: path parameters");
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_route_is_served_and_no_other_method_is() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let fill = |path: &str| {
        path.replace("{file}", "nothing")
            .replace("{request}", "AAAA")
            .replace("{certificate}", "01930000-0000-7000-8000-000000000000")
            .replace("{token}", "01930000-0000-7000-8000-000000000000")
            .replace("{authority}", "tls")
            .replace("{profile}", "server")
            .replace("{rotation}", "01930000-0000-7000-8000-000000000000")
    };
    for (path, methods) in contract() {
        for method in ["get", "post", "put", "patch", "delete"] {
            let asked = administrator.request(Method::from_bytes(method.to_uppercase().as_bytes())?, &fill(path));
            let answer = send(asked.json(&serde_json::json!({}))).await?;
            if methods.contains(method) {
                assert!(answer.status != 405 && answer.status < 500, "{method} {path}: {}", answer.text());
            } else {
                answer.expect_problem(ProblemType::MethodNotAllowed)?;
                let allowed = answer.header("allow").to_lowercase();
                assert!(methods.iter().all(|method| allowed.contains(method)), "{path}: Allow: {allowed}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_problem_type_of_the_contract_is_documented() -> anyhow::Result<()> {
    let stack = shared()?;
    let document: Value = stack.anonymous()?.get(route::OPENAPI).await?.expect(200)?.json()?;
    let listed = &document["components"]["schemas"]["ProblemType"]["enum"];
    let listed: BTreeSet<&str> = listed.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let contract: BTreeSet<&str> = ProblemType::ALL.iter().map(|kind| kind.uri()).collect();
    assert_eq!(listed, contract);
    Ok(())
}
