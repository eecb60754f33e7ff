//! Limits: what is too large, too long, too slow or not HTTP is refused, and the service goes on.

use ca_api::problem::{Problem, ProblemType};
use ca_api::route;
use ca_e2e::client::{raw, send};
use ca_e2e::stack::shared;
use reqwest::Method;

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() -> anyhow::Result<()> {
    let stack = shared()?;
    let body = serde_json::json!({ "profile": "server", "csr": "x".repeat(300 * 1024) });
    let answer = stack.administrator()?.post(route::CERTIFICATES, &body).await?;
    answer.expect_problem(ProblemType::ContentTooLarge)?;
    Ok(())
}

#[tokio::test]
async fn a_csr_beyond_its_own_limit_is_refused() -> anyhow::Result<()> {
    let stack = shared()?;
    let body = serde_json::json!({ "profile": "server", "csr": "x".repeat(100 * 1024) });
    let answer = stack.administrator()?.post(route::CERTIFICATES, &body).await?;
    assert_eq!(answer.expect_problem(ProblemType::CsrRejected)?.errors[0].code, "csr-too-long");
    Ok(())
}

#[tokio::test]
async fn headers_and_paths_beyond_the_limit_are_refused() -> anyhow::Result<()> {
    let stack = shared()?;
    let long = "x".repeat(80 * 1024);
    for request in [
        format!("GET /health HTTP/1.1\r\nhost: ca\r\nx-long: {long}\r\n\r\n"),
        format!("GET /ocsp/{long} HTTP/1.1\r\nhost: ca\r\n\r\n"),
    ] {
        let answer = raw(&stack.public_url(), request.as_bytes()).await?;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 431 ") || answer.starts_with("HTTP/1.1 414 "), "{answer}");
    }
    stack.public()?.get(route::HEALTH).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn what_is_not_http_is_told_so() -> anyhow::Result<()> {
    let stack = shared()?;
    for request in ["nonsense\r\n\r\n", "GET /health HTTP/9.9\r\n\r\n", "GET /hea\0lth HTTP/1.1\r\nhost: ca\r\n\r\n"] {
        let answer = raw(&stack.public_url(), request.as_bytes()).await?;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    stack.public()?.get(route::HEALTH).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn bodies_of_other_kinds_are_refused() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/xml"] {
        let asked = administrator.request(Method::POST, route::CERTIFICATES).header("content-type", kind).body("{}");
        let problem = send(asked).await?.expect_problem(ProblemType::UnsupportedMediaType)?;
        assert!(problem.detail.contains("application/json"), "{}", problem.detail);
    }
    let asked = administrator.request(Method::POST, route::CERTIFICATES).header("content-type", "application/json");
    send(asked.body("{ not json")).await?.expect_problem(ProblemType::MalformedRequest)?;
    Ok(())
}

#[tokio::test]
async fn what_is_nowhere_is_a_problem_too() -> anyhow::Result<()> {
    let stack = shared()?;
    for client in [stack.anonymous()?, stack.public()?, stack.admin()?] {
        for path in ["/", "/nothing", "/v1", "/v1/certificates/a/b/c", "/v2/certificates"] {
            let problem: Problem = client.get(path).await?.expect_problem(ProblemType::NotFound)?;
            assert!(!problem.request_id.is_empty());
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_answer_is_hardened_and_has_an_id_of_its_own() -> anyhow::Result<()> {
    let stack = shared()?;
    let anonymous = stack.anonymous()?;
    let mut ids = std::collections::BTreeSet::new();
    for path in [route::HEALTH, route::ROOTS, "/nothing", route::CERTIFICATES] {
        let asked = anonymous.request(Method::GET, path).header("x-request-id", "forged-by-the-caller");
        let answer = send(asked).await?;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(!answer.header("cache-control").is_empty(), "{path}");
        assert!(ids.insert(answer.header("x-request-id").to_owned()), "{path}");
    }
    assert!(!ids.contains("forged-by-the-caller"));
    Ok(())
}
