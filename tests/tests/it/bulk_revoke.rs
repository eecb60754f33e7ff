//! Revocation of many: counted first, carried out by the service, told by OCSP at once and by one list at the end.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::ensure;
use ca_api::bulk_revocation::{BulkRevocation, BulkRevocationState, RevocationCount};
use ca_api::page::Page;
use ca_api::problem::ProblemType;
use ca_core::crl::ParsedCrl;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::{Client, eventually, send};
use ca_e2e::many::issue_many;
use ca_e2e::record::audit_events;
use ca_e2e::stack::{PATIENCE, Stack, shared};
use ca_e2e::status::Subject;
use ca_e2e::tools::openssl;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

const ROUTE: &str = "/v1/certificates/revoke";

/// How many are revoked: thirty batches.
const MANY: usize = 3_000;

async fn ended(client: &Client, id: &str) -> anyhow::Result<BulkRevocation> {
    let path = format!("/v1/revocations/{id}");
    let look = || async {
        let there: BulkRevocation = client.get(&path).await?.expect(200)?.json()?;
        Ok((there.state != BulkRevocationState::Running).then_some(there))
    };
    eventually(PATIENCE, "the bulk revocation ends", look).await
}

async fn list(public: &Client) -> anyhow::Result<ParsedCrl> {
    Ok(ParsedCrl::from_der(public.get("/crl/tls.crl").await?.expect(200)?.body)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_are_revoked_with_a_list_or_two() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let (administrator, public) = (Arc::new(stack.administrator()?), stack.public()?);
    let issued = issue_many(Arc::clone(&administrator), "client", "many.example.test", MANY).await?;
    let (other, _) = administrator.enrol("server", "other.example.test").await?;
    let filter = json!({ "profile": "client" });

    // 1. Counted.
    let body = json!({ "filter": filter, "reason": "superseded", "dry_run": true });
    let count: RevocationCount = administrator.post(ROUTE, &body).await?.expect(200)?.json()?;
    assert_eq!((count.count, count.already_revoked, count.left_out), (MANY as u64, 0, 0));
    assert_eq!(count.shares.len(), 1);
    assert!(count.examples.len() == 10 && count.examples[0].subject.contains("many.example.test"));
    let first_list = list(&public).await?.number();
    let began = Instant::now();

    // 2. Begun with what was counted, and carried out.
    let body = json!({
        "filter": { "profile": "client", "issued_before": count.issued_before },
        "reason": "superseded",
        "expected_count": count.count,
    });
    let answer = administrator.post(ROUTE, &body).await?.expect(202)?;
    let begun: BulkRevocation = answer.json()?;
    assert_eq!(answer.header("location"), format!("/v1/revocations/{}", begun.id));
    let done = ended(&administrator, &begun.id).await?;
    assert_eq!((done.state, done.revoked), (BulkRevocationState::Completed, MANY as u64));
    assert_eq!((done.skipped, done.remaining, done.refused.count), (0, 0, 0));

    // 3. OCSP says so at once, and a list soon, of which there was one or another one before.
    for certificate in issued.iter().step_by(97) {
        let status = Subject::of(certificate)?.ask_ocsp(&public).await?;
        ensure!(matches!(status, CertStatus::Revoked { .. }), "{status:?}");
    }
    ensure!(Subject::of(&other)?.ask_ocsp(&public).await? == CertStatus::Good, "it was not asked for");
    let complete = || async {
        let list = list(&public).await?;
        Ok((list.entries().count() == MANY).then_some(list))
    };
    let newest = eventually(PATIENCE, "the list has all of them", complete).await?;
    let made = newest.number().unwrap_or_default() - first_list.unwrap_or_default();
    // At most one each 15 s while it ran, and one at the end.
    let most = 3 + began.elapsed().as_secs() / 15;
    ensure!((1..=most).contains(&made), "{made} lists were made for {MANY} revocations, not {most} at the most");
    let told: BulkRevocation = ended(&administrator, &begun.id).await?;
    assert_eq!(told.lists.iter().map(|list| Some(list.number)).collect::<Vec<_>>(), [newest.number()]);

    // 4. OpenSSL reads the same.
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    std::fs::write(folder.path().join("list.crl"), public.get("/crl/tls.crl").await?.expect(200)?.body)?;
    let text = openssl(["crl", "-inform", "DER", "-in", "list.crl", "-noout", "-text"], folder.path())?.text();
    let serials: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Serial Number: "))
        .map(|serial| serial.to_lowercase().trim_start_matches('0').to_owned())
        .collect();
    let expected: BTreeSet<String> =
        issued.iter().map(|certificate| certificate.serial.trim_start_matches('0').to_owned()).collect();
    ensure!(serials == expected, "{} serials instead of {}", serials.len(), expected.len());

    // 5. One event for each, and two for the whole.
    let whole = || async {
        let events = audit_events(&administrator).await?;
        let of = |action: &str| events.iter().filter(|event| event.action == action).count();
        let counts = (of("certificate-revoked"), of("bulk-revocation-begun"), of("bulk-revocation-completed"));
        Ok((counts == (MANY, 1, 1)).then_some(()))
    };
    eventually(PATIENCE, "every event has its place", whole).await
}

#[tokio::test]
async fn a_request_that_says_too_little_or_too_much_is_refused() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let unknown = "0193467e-ca00-7000-8000-0123456789ab";
    let cases: [(Value, &str); 9] = [
        (json!({ "filter": { "owner": "nobody" }, "reason": "superseded" }), "expected-count-missing"),
        (json!({ "reason": "superseded", "dry_run": true }), "selection-ambiguous"),
        (
            json!({ "filter": { "owner": "x" }, "certificates": [unknown], "reason": "superseded", "dry_run": true }),
            "selection-ambiguous",
        ),
        (json!({ "filter": {}, "reason": "superseded", "dry_run": true }), "filter-too-wide"),
        (
            json!({ "filter": { "issued_before": "2030-01-01T00:00:00Z" }, "reason": "superseded", "dry_run": true }),
            "filter-too-wide",
        ),
        (
            json!({ "filter": { "profile": "Ana Souza" }, "reason": "superseded", "dry_run": true }),
            "profile-name-invalid",
        ),
        (json!({ "certificates": [], "reason": "superseded", "dry_run": true }), "certificates-out-of-range"),
        (json!({ "certificates": ["x y"], "reason": "superseded", "dry_run": true }), "certificate-invalid"),
        (json!({ "certificates": [unknown], "reason": "superseded", "dry_run": true }), "certificate-unknown"),
    ];
    for (body, code) in cases {
        let problem = administrator.post(ROUTE, &body).await?.expect_problem(ProblemType::InvalidRequest)?;
        let codes: Vec<&str> = problem.errors.iter().map(|error| error.code.as_str()).collect();
        ensure!(codes == [code], "{body}: {codes:?}");
    }
    let body = json!({ "filter": { "owner": "nobody" }, "reason": "superseded", "expected_count": 3 });
    let problem = administrator.post(ROUTE, &body).await?.expect_problem(ProblemType::RevocationCountChanged)?;
    ensure!(problem.detail.contains('3') && problem.detail.contains('0'), "{}", problem.detail);
    for path in [format!("/v1/revocations/{unknown}"), "/v1/revocations/x".to_owned()] {
        administrator.get(&path).await?.expect_problem(ProblemType::NotFound)?;
        administrator.post(&format!("{path}/cancel"), &json!({})).await?.expect_problem(ProblemType::NotFound)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_list_may_be_longer_than_other_requests() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let asked = |names: Vec<String>| json!({ "certificates": names, "reason": "superseded", "dry_run": true });
    // What is no name needs no look at the record.
    let body = asked(vec!["no name ".repeat(500); 100]);
    ensure!(body.to_string().len() > 256 * 1024, "no other route takes so much");
    let problem = administrator.post(ROUTE, &body).await?.expect_problem(ProblemType::InvalidRequest)?;
    assert_eq!((problem.errors.len(), problem.errors[99].pointer.as_str()), (100, "/certificates/99"));
    let body = asked(vec!["0193467e-ca00-7000-8000-0123456789ab".to_owned(); 10_001]);
    let problem = administrator.post(ROUTE, &body).await?.expect_problem(ProblemType::InvalidRequest)?;
    assert_eq!(problem.errors[0].code, "certificates-out-of-range");
    let body = asked(vec!["no name ".repeat(500); 600]);
    administrator.post(ROUTE, &body).await?.expect_problem(ProblemType::ContentTooLarge)?;
    Ok(())
}

#[tokio::test]
async fn who_may_not_revoke_in_bulk_is_told_nothing() -> anyhow::Result<()> {
    let stack = shared()?;
    let (certificate, identity) = stack.administrator()?.enrol("client", "bulk-holder.example.test").await?;
    let holder = stack.holder(&identity)?;
    for body in [
        json!({ "certificates": [certificate.id], "reason": "superseded", "dry_run": true }),
        json!({ "certificates": [certificate.id], "reason": "superseded", "expected_count": 1 }),
    ] {
        holder.post(ROUTE, &body).await?.expect_problem(ProblemType::AccessDenied)?;
        stack.anonymous()?.post(ROUTE, &body).await?.expect_problem(ProblemType::AuthenticationRequired)?;
    }
    holder.get("/v1/revocations").await?.expect_problem(ProblemType::AccessDenied)?;
    Ok(())
}

#[tokio::test]
async fn asking_again_with_the_same_key_is_the_same_bulk_revocation() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (one, _) = administrator.enrol("client", "bulk-one.example.test").await?;
    let (other, _) = administrator.enrol("client", "bulk-other.example.test").await?;
    let name = format!("tls:{}", one.serial);
    let body = json!({ "certificates": [name], "reason": "keyCompromise", "expected_count": 1 });
    let ask = |body: Value| {
        let request = administrator.request(Method::POST, ROUTE).header("idempotency-key", "bulk once").json(&body);
        async move { send(request).await }
    };
    let first: BulkRevocation = ask(body.clone()).await?.expect(202)?.json()?;
    ended(&administrator, &first.id).await?;
    let again: BulkRevocation = ask(body).await?.expect(202)?.json()?;
    assert_eq!((again.id, again.revoked), (first.id.clone(), 1));
    let changed = json!({ "certificates": [other.id], "reason": "keyCompromise", "expected_count": 1 });
    ask(changed).await?.expect_problem(ProblemType::IdempotencyConflict)?;
    let page: Page<BulkRevocation> = administrator.get("/v1/revocations?limit=1000").await?.expect(200)?.json()?;
    assert_eq!(page.items.iter().filter(|there| there.id == first.id).count(), 1);
    let refused = administrator.post(&format!("/v1/revocations/{}/cancel", first.id), &json!({})).await?;
    refused.expect_problem(ProblemType::RevocationCompleted)?;
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_filtered_by_is_in_no_log_and_on_no_record() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    administrator.enrol("client", "hidden-name.example.test").await?;
    let filter = json!({ "name": "Hidden-Name.example.test" });
    let body = json!({ "filter": filter, "reason": "superseded", "expected_count": 1 });
    let begun: BulkRevocation = administrator.post(ROUTE, &body).await?.expect(202)?.json()?;
    assert_eq!(begun.scope, "name=(not kept)");
    assert_eq!(ended(&administrator, &begun.id).await?.revoked, 1);
    let events = format!("{:?}", audit_events(&administrator).await?).to_lowercase();
    ensure!(!events.contains("hidden-name"), "an audit event tells the name");
    let logs = stack.logs().join("\n").to_lowercase();
    ensure!(!logs.contains("hidden-name"), "the log tells the name");
    Ok(())
}
