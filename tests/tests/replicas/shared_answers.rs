//! OCSP answers that replicas share through a Redis, and a Redis that is slow, gone or in the hands of somebody else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_core::ocsp::CertStatus;
use ca_e2e::client::{Client, eventually};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_test_services::{PostgresServer, RedisServer, SlowWay};
use tokio::time::Instant;

use super::answers_from;

/// Two replicas with a database and a Redis. Fields are dropped in this order.
struct Pair {
    replicas: Vec<Stack>,
    redis: RedisServer,
    postgres: PostgresServer,
}

impl Pair {
    async fn start() -> anyhow::Result<Self> {
        Self::with_way(RedisServer::start()?, None).await
    }

    /// The second replica goes to the Redis by another port.
    async fn with_way(redis: RedisServer, port: Option<u16>) -> anyhow::Result<Self> {
        let postgres = PostgresServer::start()?;
        let url = postgres.url(&postgres.empty_database()?);
        let first = Site::initialised(&[("CA__DATABASE__URL", &url), ("CA__REDIS__URL", &redis.url())])?;
        let mut second = first.replica()?;
        second.set("CA__REDIS__URL", &redis.url_through(port.unwrap_or(redis.port())));
        let pair = Self { replicas: vec![first.serve()?, second.serve()?], redis, postgres };
        for replica in &pair.replicas {
            answering(replica, true).await?;
        }
        Ok(pair)
    }

    /// A new certificate that nobody has asked about.
    async fn certificate(&self, name: &str) -> anyhow::Result<(String, Subject)> {
        let (certificate, _) = self.replicas[0].administrator()?.enrol("client", name).await?;
        Ok((certificate.id.clone(), Subject::of(&certificate)?))
    }

    /// Asks a replica; `good` or not.
    async fn is_good(&self, replica: usize, subject: &Subject) -> anyhow::Result<bool> {
        Ok(subject.ask_ocsp(&self.replicas[replica].public()?).await? == CertStatus::Good)
    }

    /// The same, or none where it is not put there soon: one that takes long is given up.
    async fn key_soon(&self) -> anyhow::Result<Option<String>> {
        tokio::time::timeout(Duration::from_secs(5), self.key()).await.ok().transpose()
    }

    /// The one key in the Redis, once it is there.
    async fn key(&self) -> anyhow::Result<String> {
        eventually(PATIENCE, "the answer lies in the Redis", || async {
            Ok(self.redis.keys("cartorio:ocsp:1:*")?.into_iter().next())
        })
        .await
    }
}

/// A number that a replica's metrics tell; 0 for one that it does not tell.
async fn metric(replica: &Stack, name: &str) -> anyhow::Result<f64> {
    let metrics = replica.admin()?.get("/metrics").await?.expect(200)?.text();
    let told = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    told.map_or(Ok(0.0), |number| number.parse().context("no number"))
}

/// Waits until a replica says of its Redis that it answers, or that it does not.
async fn answering(replica: &Stack, answers: bool) -> anyhow::Result<()> {
    let wanted = if answers { 1.0 } else { 0.0 };
    eventually(PATIENCE, "the replica knows how its Redis fares", || async {
        Ok((metric(replica, "ca_ocsp_shared_answering").await? == wanted).then_some(()))
    })
    .await
}

/// What the first replica signed about a new certificate the other gives, once it has read the sequence of revocations and a look at
/// the Redis was quick enough: one that takes long is given up. Until then it signs by itself.
async fn is_shared(pair: &Pair, name: &str) -> anyhow::Result<(String, Subject, String)> {
    let tried = AtomicUsize::new(0);
    let from = async |origin: &'static str| answers_from(&pair.replicas[1], origin).await;
    eventually(PATIENCE, "the other gives what it did not sign", || async {
        for key in pair.redis.keys("cartorio:ocsp:1:*")? {
            pair.redis.command(&["DEL", &key])?;
        }
        answering(&pair.replicas[0], true).await?;
        answering(&pair.replicas[1], true).await?;
        let number = tried.fetch_add(1, Ordering::Relaxed);
        let (id, subject) = pair.certificate(&format!("{name}-{number}.example.com")).await?;
        ensure!(pair.is_good(0, &subject).await?);
        let Some(key) = pair.key_soon().await? else { return Ok(None) };
        let (shared, signed) = (from("shared").await?, from("record").await?);
        ensure!(pair.is_good(1, &subject).await?);
        let rose = (from("shared").await? - shared, from("record").await? - signed);
        ensure!(rose == (1, 0) || rose == (0, 1), "{rose:?}");
        Ok((rose == (1, 0)).then_some((id, subject, key)))
    })
    .await
}

async fn ask(subject: &Subject, public: &Client) -> anyhow::Result<Duration> {
    let began = Instant::now();
    ensure!(subject.ask_ocsp(public).await? == CertStatus::Good);
    Ok(began.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_signed_the_other_gives_and_no_good_comes_back_after_a_revocation() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    let (id, subject, key) = is_shared(&pair, "shared").await?;
    let lives: u64 = pair.redis.command(&["TTL", &key])?.trim().parse()?;
    ensure!((1..=300).contains(&lives), "{lives} seconds");
    // Revoked: at once where it was done, soon at the other, though the `good` lies there and is put there again.
    let good = pair.redis.get(&key)?;
    pair.replicas[0].administrator()?.revoke(&id, "keyCompromise").await?;
    ensure!(!pair.is_good(0, &subject).await?);
    eventually(PATIENCE, "the other says revoked", || async {
        pair.redis.plant(&key, &good)?;
        Ok((!pair.is_good(1, &subject).await?).then_some(()))
    })
    .await?;
    // Nor after a restart: that process has seen nothing of the revocation.
    let stopped = pair.replicas.pop().context("two replicas")?.kill();
    pair.redis.plant(&key, &good)?;
    pair.replicas.push(stopped.serve()?);
    answering(&pair.replicas[1], true).await?;
    for _ in 0..20 {
        ensure!(!pair.is_good(1, &subject).await?);
        pair.redis.plant(&key, &good)?;
    }
    ensure!(answers_from(&pair.replicas[1], "shared").await? == 0);
    // What never changed is shared with that one, too.
    is_shared(&pair, "other").await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_puts_into_the_redis_is_not_given() -> anyhow::Result<()> {
    let pair = Pair::start().await?;
    // It looks at all.
    is_shared(&pair, "sound").await?;
    let shared = answers_from(&pair.replicas[1], "shared").await?;
    let refused = async || metric(&pair.replicas[1], "ca_ocsp_shared_looks_total{outcome=\"refused\"}").await;
    let tried = AtomicUsize::new(0);
    // A look that takes long is given up, and refuses nothing: others are planted then.
    eventually(PATIENCE, "both were refused", || async {
        let number = tried.fetch_add(1, Ordering::Relaxed);
        for key in pair.redis.keys("cartorio:ocsp:1:*")? {
            pair.redis.command(&["DEL", &key])?;
        }
        answering(&pair.replicas[0], true).await?;
        answering(&pair.replicas[1], true).await?;
        let (_, subject) = pair.certificate(&format!("planted-{number}.example.com")).await?;
        ensure!(pair.is_good(0, &subject).await?);
        let Some(key) = pair.key_soon().await? else { return Ok(None) };
        let sound = pair.redis.get(&key)?;
        let mut bent = sound.clone();
        *bent.last_mut().context("an answer")? ^= 1;
        let (_, other) = pair.certificate(&format!("another-{number}.example.com")).await?;
        // Of another certificate, of none, and of none of ours.
        pair.redis.command(&["DEL", &key])?;
        ensure!(pair.is_good(0, &other).await?);
        let Some(other_key) = pair.key_soon().await? else { return Ok(None) };
        pair.redis.plant(&key, &pair.redis.get(&other_key)?)?;
        pair.redis.plant(&other_key, &bent)?;
        let before = refused().await?;
        ensure!(pair.is_good(1, &subject).await? && pair.is_good(1, &other).await?);
        ensure!(answers_from(&pair.replicas[1], "shared").await? == shared, "what was planted was given");
        Ok((refused().await? == before + 2.0).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stands_still_or_is_gone_costs_one_moment_once() -> anyhow::Result<()> {
    let mut pair = Pair::start().await?;
    let public = pair.replicas[1].public()?;
    let mut subjects = Vec::new();
    for number in 0..12 {
        subjects.push(pair.certificate(&format!("number-{number}.example.com")).await?.1);
    }
    answering(&pair.replicas[1], true).await?;
    let mut subjects = subjects.iter();
    let mut next = || subjects.next().context("enough certificates");
    let mut usual = Duration::ZERO;
    for _ in 0..3 {
        usual = usual.max(ask(next()?, &public).await?);
    }
    // It stands still: the first pays, at most some 20 ms; the others do not even ask.
    answering(&pair.replicas[1], true).await?;
    let failures = async || metric(&pair.replicas[1], "ca_ocsp_shared_failures_total").await;
    let before = failures().await?;
    pair.redis.freeze()?;
    let first = ask(next()?, &public).await?;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(ask(next()?, &public).await?);
    }
    println!("usually up to {usual:?}; the first while Redis stands still {first:?}, then {others:?}");
    answering(&pair.replicas[1], false).await?;
    // One that was under way may fail with it.
    let failed = failures().await? - before;
    ensure!((1.0..=2.0).contains(&failed), "{failed} of five looked, though it stands still");
    pair.redis.thaw()?;
    answering(&pair.replicas[1], true).await?;
    // It is killed, and comes back empty.
    pair.redis.kill()?;
    ask(next()?, &public).await?;
    ask(next()?, &public).await?;
    answering(&pair.replicas[1], false).await?;
    pair.redis.run()?;
    answering(&pair.replicas[1], true).await?;
    ask(next()?, &public).await?;
    // The database is gone, too: what lies in Redis is not believed then.
    let unheard = next()?;
    ask(unheard, &pair.replicas[0].public()?).await?;
    pair.key().await?;
    pair.postgres.end("KILL")?;
    eventually(PATIENCE, "the other follows no more", || async {
        Ok((metric(&pair.replicas[1], "ca_revocation_lag_seconds").await? > 3.0).then_some(()))
    })
    .await?;
    ensure!(unheard.ask_ocsp_once(&public).await.is_err(), "tryLater, and no good");
    ensure!(unheard.ask_ocsp(&pair.replicas[0].public()?).await? == CertStatus::Good, "in memory where it was signed");
    pair.postgres.run()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_merely_slow_is_asked_once_and_no_answer_is_wrong_for_it() -> anyhow::Result<()> {
    let redis = RedisServer::start()?;
    let way = SlowWay::start(redis.port(), "GETRANGE")?;
    let pair = Pair::with_way(redis, Some(way.port())).await?;
    let public = pair.replicas[1].public()?;
    let mut subjects = Vec::new();
    for number in 0..9 {
        subjects.push(pair.certificate(&format!("slow-{number}.example.com")).await?);
    }
    let mut usual = Duration::ZERO;
    for (_, subject) in &subjects[..3] {
        usual = usual.max(ask(subject, &public).await?);
    }
    ensure!(way.asked() > 0, "the Redis is not asked by this way");
    answering(&pair.replicas[1], true).await?;

    // The first of those who come then waits for as long as a look may take, and goes on without; nobody else even asks.
    way.delay(SLOW);
    let (before, failures) = (way.asked(), metric(&pair.replicas[1], "ca_ocsp_shared_failures_total").await?);
    let first = ask(&subjects[3].1, &public).await?;
    let mut others = Vec::new();
    for (_, subject) in &subjects[4..8] {
        others.push(ask(subject, &public).await?);
    }
    println!("usually up to {usual:?}; the first at a slow Redis {first:?}, then {others:?}");
    answering(&pair.replicas[1], false).await?;
    // One that was under way may fail with it.
    let looks = way.asked() - before;
    ensure!((1..=2).contains(&looks), "{looks} of five looked, though it is slow");
    // It did not wait for the answer: that came, and would have been taken.
    ensure!(metric(&pair.replicas[1], "ca_ocsp_shared_failures_total").await? > failures);

    // Revoked at the other: what lies in the Redis, and how slow that is, does not matter.
    let (id, subject) = &subjects[8];
    ensure!(pair.is_good(0, subject).await? && pair.is_good(1, subject).await?);
    pair.replicas[0].administrator()?.revoke(id, "keyCompromise").await?;
    let began = Instant::now();
    eventually(PATIENCE, "the one with the slow Redis says revoked", || async {
        Ok((!pair.is_good(1, subject).await?).then_some(()))
    })
    .await?;
    println!("revoked at the one with the slow Redis after {:?}", began.elapsed());
    for (_, good) in &subjects[..8] {
        ensure!(pair.is_good(1, good).await?);
    }

    // It is given back to use once it is as fast as it was.
    way.delay(Duration::ZERO);
    answering(&pair.replicas[1], true).await?;
    let asked = way.asked();
    is_shared(&pair, "late").await?;
    ensure!(way.asked() > asked);
    ensure!(!pair.is_good(1, subject).await?);
    Ok(())
}

/// So long a slow Redis takes for an answer.
const SLOW: Duration = Duration::from_millis(500);
