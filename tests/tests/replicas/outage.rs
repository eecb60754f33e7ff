//! While the database says nothing, or is too slow for all who ask: what was signed is told from memory, what needs the record is
//! shed with 503 and a time to come again, and nothing is lost.

use std::time::Duration;

use anyhow::{Context, ensure};
use ca_api::certificate::Certificate;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::{Answer, Client, eventually};
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_test_services::PostgresServer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{answers_from, chain_is_whole};

/// No answer from memory takes longer, on a machine that has other work.
const AT_ONCE: Duration = Duration::from_secs(1);

fn service(postgres: &PostgresServer) -> anyhow::Result<(Stack, String)> {
    let database = postgres.empty_database()?;
    Ok((Site::initialised(&[("CA__DATABASE__URL", &postgres.url(&database))])?.serve()?, database))
}

/// Asks about a certificate until a time is over; every answer is `good`, and at once.
async fn is_answered(subject: &Subject, public: &Client, duration: Duration) -> anyhow::Result<u64> {
    let (end, mut asked) = (Instant::now() + duration, 0);
    while Instant::now() < end {
        let before = Instant::now();
        ensure!(subject.ask_ocsp(public).await? == CertStatus::Good);
        ensure!(before.elapsed() < AT_ONCE, "an answer from memory took {:?}", before.elapsed());
        asked += 1;
        sleep(Duration::from_millis(50)).await;
    }
    Ok(asked)
}

/// Asks for a certificate, whatever comes of it.
async fn apply(client: Client, name: String) -> anyhow::Result<Answer> {
    client.post(ca_api::route::CERTIFICATES, &request("client", SubjectKey::generate()?.csr(&name, &[&name])?)).await
}

fn is_shed(answer: &Answer) -> anyhow::Result<()> {
    ensure!(answer.status == 503, "{}: {}", answer.status, answer.text());
    ensure!(!answer.header("retry-after").is_empty(), "and when to come again: {}", answer.text());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_stands_still_memory_answers_and_issuance_is_shed() -> anyhow::Result<()> {
    let postgres = PostgresServer::start()?;
    let (stack, _) = service(&postgres)?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let (certificate, _) = administrator.enrol("client", "known.example.com").await?;
    let (unheard, _) = administrator.enrol("client", "unheard.example.com").await?;
    let subject = Subject::of(&certificate)?;
    ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);

    postgres.stand_still()?;
    let applying = tokio::spawn(apply(administrator.clone(), "shed.example.com".to_owned()));
    let asked = is_answered(&subject, &public, Duration::from_secs(10)).await?;
    println!("{asked} answers while the database stood still");
    ensure!(answers_from(&stack, "outage").await? > 0, "memory answers though the record cannot be followed");
    let refused = Subject::of(&unheard)?.ask_ocsp(&public).await;
    ensure!(refused.is_err_and(|error| error.to_string().contains("TryLater")), "no new `good` from nothing");
    public.get("/crl/tls.crl").await?.expect(200)?;
    is_shed(&applying.await??)?;
    postgres.go_on()?;

    let issued = || async { Ok(administrator.enrol("client", "after.example.com").await.ok()) };
    eventually(PATIENCE, "it issues again", issued).await?;
    let followed =
        || async { Ok((Subject::of(&unheard)?.ask_ocsp(&public).await.ok() == Some(CertStatus::Good)).then_some(())) };
    eventually(Duration::from_secs(10), "it follows the record again", followed).await?;
    let found: Certificate =
        administrator.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?.json()?;
    ensure!(found == certificate);
    chain_is_whole(&administrator, 3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_exhausted_by_slow_queries_sheds_load_and_ocsp_is_answered() -> anyhow::Result<()> {
    let postgres = PostgresServer::start()?;
    let (stack, database) = service(&postgres)?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let (certificate, _) = administrator.enrol("client", "known.example.com").await?;
    let (unheard, _) = administrator.enrol("client", "unheard.example.com").await?;
    let subject = Subject::of(&certificate)?;
    ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);

    // Every look at certificates waits for one who holds their table.
    let (sender, held) = std::sync::mpsc::channel();
    let work = std::thread::scope(|scope| {
        let holding = scope.spawn(|| {
            sender.send(())?;
            let sql = "BEGIN; LOCK TABLE certificates IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(12); COMMIT";
            postgres.run_sql(&database, sql)
        });
        held.recv().context("nobody holds the table")?;
        let handle = tokio::runtime::Handle::current();
        let work =
            tokio::task::block_in_place(|| handle.block_on(work_beside(&administrator, &public, &subject, &unheard)));
        holding.join().map_err(|_| anyhow::anyhow!("a panic"))??;
        work
    });
    work?;
    administrator.enrol("client", "after.example.com").await?;
    let found: Certificate =
        administrator.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?.json()?;
    ensure!(found == certificate);
    chain_is_whole(&administrator, 3).await
}

/// More callers than there are connections, and OCSP beside them: of what is in memory, and of what is not.
async fn work_beside(
    administrator: &Client,
    public: &Client,
    subject: &Subject,
    unheard: &Certificate,
) -> anyhow::Result<()> {
    sleep(Duration::from_millis(500)).await;
    let mut callers = JoinSet::new();
    for number in 0..40 {
        callers.spawn(apply(administrator.clone(), format!("crowd-{number}.example.com")));
    }
    let asked = is_answered(subject, public, Duration::from_secs(7)).await?;
    println!("{asked} answers while all connections waited");
    let before = Instant::now();
    ensure!(Subject::of(unheard)?.ask_ocsp(public).await? == CertStatus::Good, "OCSP has connections of its own");
    ensure!(before.elapsed() < AT_ONCE, "a look at the record took {:?}", before.elapsed());
    let mut shed = 0;
    while let Some(answer) = callers.join_next().await {
        let answer = answer??;
        if answer.status != 201 {
            is_shed(&answer)?;
            shed += 1;
        }
    }
    ensure!(shed > 0, "nobody was shed: the pool was not exhausted");
    println!("{shed} of 40 callers were shed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_before_the_outage_is_given_until_its_end_and_no_other_after_it() -> anyhow::Result<()> {
    const LIFE: Duration = Duration::from_secs(30);
    let mut postgres = PostgresServer::start()?;
    let url = postgres.url(&postgres.empty_database()?);
    let life = format!("{}s", LIFE.as_secs());
    let stack = Site::initialised(&[("CA__DATABASE__URL", &url), ("CA__STATUS__OCSP_VALIDITY", &life)])?.serve()?;
    let (administrator, public) = (stack.administrator()?, stack.public()?);
    let subjects = ["known.example.com", "unheard.example.com"];
    let [known, unheard] = subjects.map(|name| administrator.enrol("client", name));
    let (known, unheard) = (Subject::of(&known.await?.0)?, Subject::of(&unheard.await?.0)?);
    let signed = Instant::now();
    ensure!(known.ask_ocsp(&public).await? == CertStatus::Good);
    postgres.end("KILL")?;
    let tries_later = |answer: anyhow::Result<CertStatus>| match answer {
        Ok(CertStatus::Good) => Ok(false),
        Err(error) if error.to_string().contains("TryLater") => Ok(true),
        other => Err(anyhow::anyhow!("neither `good` nor `tryLater`: {other:?}")),
    };
    // Whoever reads an answer judges it by its `nextUpdate`, too.
    loop {
        ensure!(tries_later(unheard.ask_ocsp(&public).await)?, "a new `good` from nothing");
        if tries_later(known.ask_ocsp(&public).await)? {
            break;
        }
        ensure!(signed.elapsed() < 2 * LIFE, "`good` for longer than it is valid");
        sleep(Duration::from_millis(200)).await;
    }
    // Times are cut off to the second.
    ensure!(signed.elapsed() > LIFE - Duration::from_secs(2), "given up after {:?}", signed.elapsed());
    for subject in [&known, &unheard] {
        ensure!(tries_later(subject.ask_ocsp(&public).await)?, "it came back from nothing");
    }
    postgres.run()?;
    for subject in [&known, &unheard] {
        let again = || async { Ok((subject.ask_ocsp(&public).await.ok() == Some(CertStatus::Good)).then_some(())) };
        eventually(PATIENCE, "it is answered again", again).await?;
    }
    Ok(())
}
