//! Clients that hold connections, dawdle, or leave in the middle: others are served all the same, and nothing is left open.

use std::time::Duration;

use anyhow::{Context, ensure};
use ca_api::certificate::{Certificate, IDEMPOTENCY_KEY, NewCertificate};
use ca_api::route;
use ca_e2e::client::{Client, eventually, send};
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::outage::Judge;
use ca_e2e::record;
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use reqwest::Method;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Connections on which nothing is ever said.
const IDLE: usize = 1_000;

/// TLS handshakes that are begun and never ended.
const HALF_OPEN: usize = 200;

/// Requests whose header comes an octet at a time.
const DAWDLING: usize = 100;

/// No request of a decent client takes longer beside them, on a machine that has other work.
const RESPONSIVE: Duration = Duration::from_secs(60);

/// What a connection may cost, in KiB.
const CONNECTION_KIB: u64 = 64;

#[tokio::test(flavor = "multi_thread")]
async fn serves_beside_a_thousand_idle_connections_and_hundreds_that_dawdle() -> anyhow::Result<()> {
    let hard = raise_own_limit()?;
    let mut site = Site::initialised(&[])?;
    // What a login shell or systemd gives a program that does not ask for more.
    site.start_through(&["prlimit", &format!("--nofile=1024:{hard}"), "--"]);
    let mut stack = site.serve()?;
    let administrator = stack.administrator()?;
    let (known, _) = administrator.enrol("server", "known.example").await?;
    let before = stack.process().resident_kib()?;

    let public = stack.public_url().replace("http://", "");
    let idle = connect(&public, IDLE, b"").await?;
    // The first octets of a ClientHello: a record of the handshake, its length, and no more.
    let mut half_open = connect(&stack.api_address().to_string(), HALF_OPEN, &[0x16, 0x03, 0x01, 0x02, 0x00]).await?;
    let dawdling = connect(&public, DAWDLING, b"GET /health HTTP/1.1\r\nhost: ").await?;
    let handshakes_began = Instant::now();
    let dawdling = tokio::spawn(dawdle(dawdling));

    let slowest = work(&stack, &administrator, &Subject::of(&known)?).await?;
    let during = stack.process().resident_kib()?;
    println!("resident {before} KiB before, {during} KiB with {IDLE} idle, {HALF_OPEN} half open, {DAWDLING} dawdling");
    println!("slowest request beside them: {slowest:?}");
    ensure!(slowest < RESPONSIVE, "a request took {slowest:?}");
    let allowance = u64::try_from(IDLE + HALF_OPEN + DAWDLING)? * CONNECTION_KIB;
    ensure!(during < before + allowance, "the connections cost {} KiB", during - before);

    // Handshakes have ten seconds, then the service hangs up.
    for stream in &mut half_open {
        let mut octets = Vec::new();
        let closed = timeout(PATIENCE, stream.read_to_end(&mut octets)).await;
        ensure!(closed.is_ok(), "a handshake was still open after {:?}", handshakes_began.elapsed());
    }
    ensure!(handshakes_began.elapsed() > Duration::from_secs(5), "the service hung up on handshakes at once");
    ensure!(
        !stack.logs().iter().any(|line| line.contains("could not be accepted")),
        "the service ran out of descriptors"
    );
    dawdling.abort();
    drop(idle);
    work(&stack, &administrator, &Subject::of(&known)?).await?;
    stack.stop().map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_nothing_open_when_clients_leave_in_the_middle() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let csr = SubjectKey::generate()?.csr("caller.example", &[])?;
    let body = |number: usize| NewCertificate {
        subject: Some(format!("CN=n{number}.example")),
        subject_alternative_names: Some(vec![ca_e2e::identity::dns(&format!("n{number}.example"))]),
        ..request("server", csr.clone())
    };
    let asked = |client: &Client, number: usize| {
        let request = client.request(Method::POST, route::CERTIFICATES);
        send(request.header(IDEMPOTENCY_KEY, format!("left-{number}")).json(&body(number)))
    };
    let administrator = stack.administrator()?;
    // A connection that is there: its handshake takes none of the time.
    administrator.get("/v1/profiles").await?.expect(200)?;
    let mut heard = 0;
    for number in 0..120 {
        let patience = Duration::from_millis(u64::try_from(number % 30)?);
        // Dropping the request resets its stream; a new client each fourth time closes the whole connection.
        let answer = if number % 4 == 3 {
            timeout(patience * 2, asked(&stack.administrator()?, number)).await
        } else {
            timeout(patience, asked(&administrator, number)).await
        };
        heard += usize::from(answer.is_ok());
    }
    println!("{heard} of 120 requests were answered before their client left");
    let open = "SELECT count(*) FROM reservations WHERE abandoned_at IS NULL";
    eventually(PATIENCE, "no reservation is open", || async { Ok((record::number(&stack, open)? == 0).then_some(())) })
        .await?;
    let before: i64 = record::number(&stack, "SELECT count(*) FROM certificates")?;
    let mut again = JoinSet::new();
    for number in 0..120 {
        let question = asked(&administrator, number);
        again.spawn(async move { question.await?.expect(201)?.json::<Certificate>() });
    }
    while let Some(certificate) = again.join_next().await {
        certificate.context("a task panicked")?.context("asking again after leaving")?;
    }
    let after: i64 = record::number(&stack, "SELECT count(*) FROM certificates")?;
    ensure!(after <= before + 120 - i64::try_from(heard)?, "{before} certificates, and {after} after asking again");
    let names =
        record::number(&stack, "SELECT count(*) FROM certificate_names WHERE kind = 0 AND value LIKE 'n%.example'")?;
    ensure!(names == 120, "{names} certificates for 120 applications");
    let judge = Judge::new(&stack).await?;
    judge.serials_are_unique()?;
    judge.nothing_is_open()
}

/// Some requests of every kind, each over a connection of its own; the longest time that one took.
async fn work(stack: &Stack, administrator: &Client, known: &Subject) -> anyhow::Result<Duration> {
    let mut slowest = Duration::ZERO;
    for number in 0..10 {
        let started = Instant::now();
        stack.administrator()?.get(&format!("{}?limit=1", route::CERTIFICATES)).await?.expect(200)?;
        slowest = slowest.max(started.elapsed());
        let started = Instant::now();
        known.ask_ocsp(&stack.public()?).await?;
        slowest = slowest.max(started.elapsed());
        let started = Instant::now();
        administrator.enrol("client", &format!("beside-{number}.example")).await?;
        slowest = slowest.max(started.elapsed());
    }
    Ok(slowest)
}

/// Opens connections and says the same on each.
async fn connect(address: &str, count: usize, octets: &[u8]) -> anyhow::Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(count);
    for number in 0..count {
        let connecting = timeout(PATIENCE, TcpStream::connect(address)).await;
        let mut stream = connecting.with_context(|| format!("connection {number} waits"))??;
        stream.write_all(octets).await.with_context(|| format!("connection {number}"))?;
        streams.push(stream);
    }
    Ok(streams)
}

/// Says an octet on every connection, again and again.
async fn dawdle(mut streams: Vec<TcpStream>) {
    loop {
        for stream in &mut streams {
            // One that was closed meanwhile has been dealt with.
            let _ = stream.write_all(b"a").await;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// The test itself holds as many connections; gives the highest limit there may be.
fn raise_own_limit() -> anyhow::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(1 << 20);
    ensure!(hard >= 4_096, "no more than {hard} files may be open here; raise the hard limit (ulimit -Hn)");
    setrlimit(Resource::Nofile, Rlimit { current: Some(hard), maximum: limit.maximum }).context("RLIMIT_NOFILE")?;
    Ok(hard)
}
