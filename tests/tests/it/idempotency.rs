//! `Idempotency-Key`: a request may be repeated whatever became of the connection, and is carried out once.

use ca_api::certificate::{Certificate, NewCertificate};
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_e2e::client::{Answer, Client, send};
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::stack::shared;
use reqwest::Method;

async fn ask(client: &Client, key: &str, body: &NewCertificate) -> anyhow::Result<Answer> {
    send(client.request(Method::POST, route::CERTIFICATES).header("idempotency-key", key).json(body)).await
}

fn body(host: &str) -> anyhow::Result<NewCertificate> {
    Ok(request("server", SubjectKey::generate()?.csr(host, &[host])?))
}

#[tokio::test]
async fn the_same_request_gets_the_same_certificate() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let body = body("repeated.example.test")?;
    let first: Certificate = ask(&administrator, "repeat-1", &body).await?.expect(201)?.json()?;
    let second: Certificate = ask(&administrator, "repeat-1", &body).await?.expect(201)?.json()?;
    assert_eq!(first, second);
    let other: Certificate = ask(&administrator, "repeat-2", &body).await?.expect(201)?.json()?;
    assert_ne!(first.id, other.id, "another key is another request");
    Ok(())
}

#[tokio::test]
async fn another_request_with_the_same_key_is_a_conflict() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    ask(&administrator, "conflict", &body("first.example.test")?).await?.expect(201)?;
    let refused = ask(&administrator, "conflict", &body("second.example.test")?).await?;
    let problem = refused.expect_problem(ProblemType::IdempotencyConflict)?;
    assert!(problem.detail.contains("new key"), "{}", problem.detail);
    Ok(())
}

#[tokio::test]
async fn a_key_belongs_to_whoever_used_it() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (mine, _) = administrator.enrol("server", "scope.example.test").await?;
    let token = crate::token::make(&administrator, "server", &["scope.example.test"], 2).await?;
    let body = body("scope.example.test")?;
    let by_administrator: Certificate = ask(&administrator, "scope", &body).await?.expect(201)?.json()?;
    let bearer = stack.bearer(token.secret.expose())?;
    let by_bearer: Certificate = ask(&bearer, "scope", &body).await?.expect(201)?.json()?;
    assert_ne!(by_administrator.id, by_bearer.id);
    assert_eq!(by_bearer.owner, format!("token:{}", token.token.id));
    assert_ne!(mine.id, by_bearer.id);
    Ok(())
}

#[tokio::test]
async fn requests_at_the_same_time_make_one_certificate() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let body = body("at-once.example.test")?;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (client, body) = (administrator.clone(), body.clone());
        asking.spawn(async move { ask(&client, "at-once", &body).await });
    }
    let mut ids = std::collections::BTreeSet::new();
    while let Some(answer) = asking.join_next().await {
        let answer = answer??;
        if answer.status == 201 {
            ids.insert(answer.json::<Certificate>()?.id);
        } else {
            let problem = answer.expect_problem(ProblemType::RequestInProgress)?;
            assert!(problem.retry_after.is_some(), "{}", answer.text());
        }
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    Ok(())
}

#[tokio::test]
async fn a_tokens_use_is_spent_once_however_often_its_request_is_repeated() -> anyhow::Result<()> {
    let stack = shared()?;
    let token = crate::token::make(&stack.administrator()?, "server", &["once.example.test"], 1).await?;
    let bearer = stack.bearer(token.secret.expose())?;
    let body = body("once.example.test")?;
    let first: Certificate = ask(&bearer, "once", &body).await?.expect(201)?.json()?;
    let again: Certificate = ask(&bearer, "once", &body).await?.expect(201)?.json()?;
    assert_eq!(first, again);
    ask(&bearer, "once more", &body).await?.expect_problem(ProblemType::TokenUsedUp)?;
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let body = body("no-key.example.test")?;
    for key in ["", &"k".repeat(256)] {
        let problem = ask(&administrator, key, &body).await?.expect_problem(ProblemType::MalformedRequest)?;
        assert!(problem.detail.contains("255"), "{}", problem.detail);
    }
    Ok(())
}
