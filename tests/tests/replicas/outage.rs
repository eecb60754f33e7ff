//! While the database says nothing, or is too slow for all who ask: what was signed is told from memory, what needs the record is
//! shed with 503 and a time to come again, and nothing is lost.

use std::time::Duration;

use anyhow::ensure;
use ca_api::certificate::Certificate;
use ca_core::ocsp::CertStatus;
use ca_e2e::client::{Answer, Client, eventually};
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::{Subject, is_try_later};
use ca_test_services::PostgresServer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{answers_from, chain_is_whole};

fn service(postgres: &PostgresServer) -> anyhow::Result<(Stack, String)> {
    let database = postgres.empty_database()?;
    Ok((Site::initialised(&[("CA__DATABASE__URL", &postgres.url(&database))])?.serve()?, database))
}

/// No answer from memory takes longer usually: looking at a database that does not answer takes seconds.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Asks about a certificate until a time is over and `enough` says so; every answer is `good`, and there is one to every question.
/// Gives how many there were, and how long one took at the most.
async fn is_answered(
    subject: &Subject,
    public: &Client,
    duration: Duration,
    enough: impl AsyncFn() -> anyhow::Result<bool>,
) -> anyhow::Result<(u64, Duration)> {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < duration || !enough().await? {
        ensure!(began.elapsed() < duration + PATIENCE, "what was waited for did not come");
        let before = Instant::now();
        ensure!(subject.ask_ocsp_once(public).await? == CertStatus::Good);
        took.push(before.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    took.sort_unstable();
    let (usual, longest) = (took[took.len() / 2], took[took.len() - 1]);
    ensure!(usual < AT_ONCE, "an answer from memory takes {usual:?}, usually");
    Ok((took.len() as u64, longest))
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
    // Memory answers also when the record cannot be followed any more.
    let cut_off = async || anyhow::Ok(answers_from(&stack, "outage").await? > 0);
    let (asked, longest) = is_answered(&subject, &public, Duration::from_secs(10), cut_off).await?;
    println!("{asked} answers while the database stood still, within {longest:?}");
    let refused = Subject::of(&unheard)?.ask_ocsp_once(&public).await;
    ensure!(refused.is_err_and(|error| is_try_later(&error)), "no new `good` from nothing");
    public.get("/crl/tls.crl").await?.expect(200)?;
    is_shed(&applying.await??)?;
    postgres.go_on()?;

    let issued = || async { Ok(administrator.enrol("client", "after.example.com").await.ok()) };
    eventually(PATIENCE, "it issues again", issued).await?;
    let followed =
        || async { Ok((Subject::of(&unheard)?.ask_ocsp(&public).await.ok() == Some(CertStatus::Good)).then_some(())) };
    eventually(PATIENCE, "it follows the record again", followed).await?;
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

    // Every look at certificates waits for one who holds their table, until he is sent away.
    std::thread::scope(|scope| {
        let holding = scope.spawn(|| {
            let sql = "BEGIN; LOCK TABLE certificates IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600); COMMIT";
            postgres.run_sql(&database, sql)
        });
        let handle = tokio::runtime::Handle::current();
        let work = tokio::task::block_in_place(|| {
            handle.block_on(async {
                is_held(&postgres, &database).await?;
                work_beside(&administrator, &public, &subject, &unheard).await
            })
        });
        postgres.run_sql(
            "postgres",
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%'
                 AND pid <> pg_backend_pid()",
        )?;
        let held = holding.join().map_err(|_| anyhow::anyhow!("a panic"))?;
        ensure!(held.is_err(), "the table was given back before: {held:?}");
        work
    })?;
    administrator.enrol("client", "after.example.com").await?;
    let found: Certificate =
        administrator.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?.json()?;
    ensure!(found == certificate);
    chain_is_whole(&administrator, 3).await
}

/// Waits until somebody holds the table.
async fn is_held(postgres: &PostgresServer, database: &str) -> anyhow::Result<()> {
    let sql = "SELECT count(*) FROM pg_locks WHERE relation = 'certificates'::regclass AND granted
                   AND mode = 'AccessExclusiveLock'";
    eventually(PATIENCE, "somebody holds the table", || async {
        Ok((postgres.run_sql(database, sql)?.trim() == "1").then_some(()))
    })
    .await
}

/// More callers than there are connections, and OCSP beside them: of what is in memory, and of what is not.
async fn work_beside(
    administrator: &Client,
    public: &Client,
    subject: &Subject,
    unheard: &Certificate,
) -> anyhow::Result<()> {
    let mut callers = JoinSet::new();
    for number in 0..40 {
        callers.spawn(apply(administrator.clone(), format!("crowd-{number}.example.com")));
    }
    let (asked, longest) = is_answered(subject, public, Duration::from_secs(7), async || Ok(true)).await?;
    println!("{asked} answers while all connections waited, within {longest:?}");
    let before = Instant::now();
    ensure!(Subject::of(unheard)?.ask_ocsp(public).await? == CertStatus::Good, "OCSP has connections of its own");
    println!("a look at the record took {:?}", before.elapsed());
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
        Err(error) if is_try_later(&error) => Ok(true),
        other => Err(anyhow::anyhow!("neither `good` nor `tryLater`: {other:?}")),
    };
    // Whoever reads an answer judges it by its `nextUpdate`, too.
    loop {
        ensure!(tries_later(unheard.ask_ocsp_once(&public).await)?, "a new `good` from nothing");
        if tries_later(known.ask_ocsp_once(&public).await)? {
            break;
        }
        ensure!(signed.elapsed() < 2 * LIFE, "`good` for longer than it is valid");
        sleep(Duration::from_millis(200)).await;
    }
    // Times are cut off to the second.
    ensure!(signed.elapsed() > LIFE - Duration::from_secs(2), "given up after {:?}", signed.elapsed());
    for subject in [&known, &unheard] {
        ensure!(tries_later(subject.ask_ocsp_once(&public).await)?, "it came back from nothing");
    }
    postgres.run()?;
    for subject in [&known, &unheard] {
        let again = || async { Ok((subject.ask_ocsp(&public).await.ok() == Some(CertStatus::Good)).then_some(())) };
        eventually(PATIENCE, "it is answered again", again).await?;
    }
    Ok(())
}
