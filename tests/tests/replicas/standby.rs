//! Replicas that can only read: over a hot standby, until it takes over, and with a user who may do no more.

use anyhow::ensure;
use ca_api::certificate::{Certificate, IDEMPOTENCY_KEY};
use ca_api::health::{Readiness, ReadinessStatus, RecordAccess};
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::{Client, eventually, send};
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::stack::{PATIENCE, Site};
use ca_e2e::status::Subject;
use ca_test_services::PostgresServer;
use tokio::time::Instant;

use super::chain_is_whole;

const URL: &str = "CA__DATABASE__URL";

async fn is_ready(admin: &Client, access: RecordAccess) -> anyhow::Result<()> {
    let ready: Readiness = admin.get(route::READY).await?.expect(200)?.json()?;
    ensure!(ready.status == ReadinessStatus::Ready && ready.access == Some(access), "{ready:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_standby_it_tells_and_refuses_until_the_standby_takes_over() -> anyhow::Result<()> {
    let mut primary = PostgresServer::start()?;
    let database = primary.empty_database()?;
    let stack = Site::initialised(&[(URL, &primary.url(&database))])?.serve()?;
    let (good, identity) = stack.administrator()?.enrol("client", "good.example.com").await?;
    let (revoked, _) = stack.administrator()?.enrol("client", "revoked.example.com").await?;
    stack.administrator()?.revoke(&revoked.id, "keyCompromise").await?;
    let listed = || async {
        let list = stack.public()?.get("/crl/tls.crl").await?.expect(200)?;
        Ok(Subject::of(&revoked)?.is_listed(&list.body)?.then_some(()))
    };
    eventually(PATIENCE, "the list has it", listed).await?;
    let standby = primary.standby()?;

    // The primary is dead; the replica starts over the standby, with the responder that lies there.
    let mut site = stack.kill();
    primary.end("KILL")?;
    site.set(URL, &standby.url(&database));
    let stack = site.serve()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    ensure!(Subject::of(&good)?.ask_ocsp(&public).await? == CertStatus::Good);
    ensure!(matches!(Subject::of(&revoked)?.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
    let list = public.get("/crl/tls.crl").await?.expect(200)?;
    ensure!(Subject::of(&revoked)?.is_listed(&list.body)?);
    let found: Certificate =
        stack.holder(&identity)?.get(&format!("/v1/certificates/{}", good.id)).await?.expect(200)?.json()?;
    ensure!(found == good);
    public.get(route::READY).await?.expect(200)?;
    is_ready(&stack.admin()?, RecordAccess::ReadOnly).await?;
    let applied = request("client", SubjectKey::generate()?.csr("new.example.com", &["new.example.com"])?);
    for refused in [
        administrator.post(route::CERTIFICATES, &applied).await?,
        administrator
            .post(&format!("/v1/certificates/{}/revoke", good.id), &serde_json::json!({ "reason": "superseded" }))
            .await?,
    ] {
        let problem = refused.expect_problem(ProblemType::Unavailable)?;
        ensure!(problem.status == 503 && problem.detail.contains("read-only"), "{problem:?}");
        ensure!(!refused.header("retry-after").is_empty());
    }

    // It takes over; the replica that runs over it finds out by itself.
    standby.promote()?;
    let issued = || async { Ok(administrator.enrol("client", "after.example.com").await.ok()) };
    let (after, _) = eventually(PATIENCE, "it issues", issued).await?;
    administrator.revoke(&good.id, "superseded").await?;
    ensure!(matches!(Subject::of(&good)?.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
    ensure!(Subject::of(&after)?.ask_ocsp(&public).await? == CertStatus::Good);
    let writable = || async { Ok(is_ready(&stack.admin()?, RecordAccess::ReadWrite).await.ok()) };
    eventually(PATIENCE, "it says that it can write", writable).await?;
    let listed = || async {
        let list = public.get("/crl/tls.crl").await?.expect(200)?;
        Ok(Subject::of(&good)?.is_listed(&list.body)?.then_some(()))
    };
    eventually(PATIENCE, "its jobs work again", listed).await?;
    stack.stop().map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_synchronous_standby_is_away_nothing_is_acknowledged_and_nothing_lost() -> anyhow::Result<()> {
    let primary = PostgresServer::start()?;
    let stack = Site::initialised(&[(URL, &primary.url(&primary.empty_database()?))])?.serve()?;
    let mut standby = primary.standby()?;
    primary.wait_for_standby()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let (known, _) = administrator.enrol("client", "known.example.com").await?;
    let subject = Subject::of(&known)?;
    ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);

    standby.end("KILL")?;
    let path = format!("/v1/certificates/{}/revoke", known.id);
    let reason = serde_json::json!({ "reason": "superseded" });
    let key = SubjectKey::generate()?;
    let applied = request("client", key.csr("waits.example.com", &["waits.example.com"])?);
    let application = || {
        let request = administrator.request(reqwest::Method::POST, route::CERTIFICATES);
        send(request.header(IDEMPOTENCY_KEY, "waits").json(&applied))
    };
    let asked = Instant::now();
    let (applied, revoked) = tokio::join!(application(), administrator.post(&path, &reason));
    for refused in [applied?, revoked?] {
        refused.expect_problem(ProblemType::Unavailable)?;
        ensure!(!refused.header("retry-after").is_empty(), "and when to come again");
    }
    println!("refused after {:?}", asked.elapsed());
    // What was not acknowledged is not told, and what is known is.
    ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
    administrator.get(&format!("/v1/certificates/{}", known.id)).await?.expect(200)?;

    standby.run()?;
    let acknowledged = || async { Ok((administrator.post(&path, &reason).await?.status == 200).then_some(())) };
    eventually(PATIENCE, "the revocation is acknowledged", acknowledged).await?;
    ensure!(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }));
    administrator.enrol("client", "after.example.com").await?;
    // What was given up while nothing could be committed is either closed or made; never both.
    let answer = application().await?;
    ensure!(answer.status == 201 || answer.problem()?.kind == ProblemType::RequestInProgress, "{}", answer.text());
    chain_is_whole(&administrator, 4).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_replica_over_a_standby_has_no_api_and_answers_about_status() -> anyhow::Result<()> {
    let primary = PostgresServer::start()?;
    let database = primary.empty_database()?;
    let stack = Site::initialised(&[(URL, &primary.url(&database))])?.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "known.example.com").await?;
    let standby = primary.standby()?;
    let mut other = stack.replica()?;
    other.set(URL, &standby.url(&database));
    let other = other.serve()?;
    ensure!(Subject::of(&certificate)?.ask_ocsp(&other.public()?).await? == CertStatus::Good);
    other.anonymous()?.get(route::HEALTH).await.expect_err("it can have no certificate made for its API");
    // What the primary revokes arrives by replication, and is followed.
    stack.administrator()?.revoke(&certificate.id, "superseded").await?;
    let public = other.public()?;
    let told = || async {
        let status = Subject::of(&certificate)?.ask_ocsp(&public).await?;
        Ok(matches!(status, CertStatus::Revoked { .. }).then_some(()))
    };
    eventually(PATIENCE, "the standby's replica says revoked", told).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_role_is_content_with_a_user_who_may_only_read() -> anyhow::Result<()> {
    let postgres = PostgresServer::start()?;
    let database = postgres.empty_database()?;
    let stack = Site::initialised(&[(URL, &postgres.url(&database))])?.serve()?;
    let (certificate, _) = stack.administrator()?.enrol("client", "known.example.com").await?;
    postgres.run_sql(
        &database,
        "CREATE ROLE reader LOGIN PASSWORD 'reads';
         GRANT USAGE ON SCHEMA public TO reader;
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
    )?;
    let mut site = stack.replica()?;
    site.set(URL, &postgres.url_of("reader", "reads", &database));
    let status_role = site.start(&["serve", "--role", "status"])?;
    status_role.wait_for_line("\"serving\"", PATIENCE)?;
    let public = Client::plain(&site.public_url())?;
    let subject = Subject::of(&certificate)?;
    ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
    public.get("/crl/tls.crl").await?.expect(200)?;
    is_ready(&Client::plain(&site.admin_url())?, RecordAccess::ReadOnly).await?;
    stack.administrator()?.revoke(&certificate.id, "superseded").await?;
    let told = || async { Ok(matches!(subject.ask_ocsp(&public).await?, CertStatus::Revoked { .. }).then_some(())) };
    eventually(PATIENCE, "it says revoked", told).await
}
