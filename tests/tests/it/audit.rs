//! The audit trail: one event for each change, in a chain that anybody can check.

use ca_api::audit::AuditEvent;
use ca_api::page::Page;
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_e2e::client::{Client, eventually};
use ca_e2e::stack::{PATIENCE, Stack};
use serde_json::json;

async fn events(client: &Client, query: &str) -> anyhow::Result<Page<AuditEvent>> {
    client.get(&format!("{}{query}", route::AUDIT)).await?.expect(200)?.json()
}

#[tokio::test]
async fn every_change_has_exactly_one_event() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let before = eventually(PATIENCE, "the chain has begun", || async {
        let page = events(&administrator, "?limit=1000").await?;
        Ok(page.items.last().map(|event| event.sequence))
    })
    .await?;

    let (certificate, _) = administrator.enrol("client", "audited.example.test").await?;
    administrator.revoke(&certificate.id, "certificateHold").await?;
    let path = format!("/v1/certificates/{}", certificate.id);
    let released = administrator.post(&format!("{path}/unhold"), &json!({})).await?.expect(200)?;
    administrator.post(&format!("{path}/renew"), &json!({ "reuse_key": true })).await?.expect(201)?;
    let token = crate::token::make(&administrator, "client", &["t.example.test"], 1).await?;
    administrator.delete(&format!("/v1/enrolment-tokens/{}", token.token.id)).await?.expect(204)?;
    // Neither a refusal nor a reading is a change.
    administrator.get(&path).await?.expect(200)?;
    administrator.post(&format!("{path}/unhold"), &json!({})).await?.expect_problem(ProblemType::NotHeld)?;

    let expected = [
        "certificate-issued",
        "certificate-revoked",
        "certificate-released",
        "certificate-renewed",
        "token-created",
        "token-deleted",
    ];
    let own = certificate.owner.clone();
    let mine = eventually(PATIENCE, "six events of the administrator", || async {
        let page = events(&administrator, &format!("?limit=1000&after={before}&principal={own}")).await?;
        Ok((page.items.len() >= expected.len()).then_some(page.items))
    })
    .await?;
    let actions: Vec<&str> = mine.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(actions, expected);
    assert_eq!(mine[0].subject, format!("certificate:{}", certificate.id));
    assert_eq!(mine[2].request_id.as_deref(), Some(released.header("x-request-id")));
    let text = serde_json::to_string(&mine)?;
    assert!(!text.contains("example.test"), "an audit leaf holds no names: {text}");
    Ok(())
}

#[tokio::test]
async fn the_chain_has_no_gaps_and_comes_in_pages() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    administrator.enrol("client", "chained.example.test").await?;
    eventually(PATIENCE, "the issuance is in the chain", || async {
        let page = events(&administrator, "?action=certificate-issued&limit=1000").await?;
        Ok(page.items.iter().any(|event| event.request_id.is_some()).then_some(()))
    })
    .await?;
    let mut sequences = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = events(&administrator, &query).await?;
        sequences.extend(page.items.iter().map(|event| event.sequence));
        let Some(cursor) = page.next_cursor else { break };
        query = format!("?limit=3&cursor={cursor}");
    }
    let whole: Vec<u64> = (1..=sequences.len() as u64).collect();
    assert_eq!(sequences, whole);
    Ok(())
}
