//! Issuance while KMS throttles, fails and is silent: what is asked for is done or refused with when to ask again, nothing is lost
//! or doubled, and KMS is asked for little more than it must be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_api::certificate::{Certificate, IDEMPOTENCY_KEY};
use ca_api::route;
use ca_e2e::client::{Client, send};
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::kms::KmsAuthorities;
use ca_e2e::percentiles::Percentiles;
use ca_test_doubles::Weather;
use reqwest::Method;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What came of many issuances.
struct Outcome {
    serials: Vec<String>,
    refused: usize,
    /// How long each request took that was answered with a certificate.
    took: Vec<Duration>,
}

/// Lets `clients` ask for `each` certificates; each of which is asked for under its key until it is there.
async fn issue_all(stack: &ca_e2e::stack::Stack, clients: usize, each: usize) -> anyhow::Result<Outcome> {
    let refused = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (administrator, refused) = (stack.administrator()?, Arc::clone(&refused));
        let csr = SubjectKey::generate()?.csr(&format!("client-{client}.example"), &[])?;
        tasks.spawn(async move {
            let (mut serials, mut took) = (Vec::new(), Vec::new());
            for number in 0..each {
                let (serial, duration) = issue(&administrator, &csr, &format!("{client}-{number}"), &refused).await?;
                serials.push(serial);
                took.push(duration);
            }
            anyhow::Ok((serials, took))
        });
    }
    let (mut serials, mut took) = (Vec::new(), Vec::new());
    for ended in tasks.join_all().await {
        let (some, durations) = ended?;
        serials.extend(some);
        took.extend(durations);
    }
    Ok(Outcome { serials, refused: refused.load(Ordering::Relaxed), took })
}

async fn issue(
    administrator: &Client,
    csr: &str,
    number: &str,
    refused: &AtomicUsize,
) -> anyhow::Result<(String, Duration)> {
    let mut body = request("client", csr.to_owned());
    body.subject_alternative_names = Some(vec![ca_e2e::identity::dns(&format!("weather-{number}.example"))]);
    loop {
        let begun = Instant::now();
        let asked = administrator.request(Method::POST, route::CERTIFICATES).header(IDEMPOTENCY_KEY, number);
        let answer = send(asked.json(&body)).await?;
        if answer.status == 201 {
            return Ok((answer.json::<Certificate>()?.serial, begun.elapsed()));
        }
        ensure!(answer.status == 503, "{}", answer.text());
        let after = answer.header("retry-after").parse().context("refused without when to ask again")?;
        refused.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(after)).await;
    }
}

/// So many certificates in a weather of 10 % throttling, 2 % failures and 1 % silence; the p99 of the requests.
async fn weather(clients: usize, each: usize) -> anyhow::Result<Duration> {
    let authorities = KmsAuthorities::start()?;
    let kms = &authorities.kms;
    let stack = authorities.initialised(&[])?.serve()?;
    let (asked, answered) = kms.count("Sign");
    kms.set_weather(Some(Weather::new(20_261_127, 100, 20, 10)));
    let begun = Instant::now();
    let outcome = issue_all(&stack, clients, each).await?;
    let all = clients * each;
    let lasted = begun.elapsed();
    kms.set_weather(None);
    let (asked, answered) = (kms.count("Sign").0 - asked, kms.count("Sign").1 - answered);
    let took = Percentiles::of(outcome.took);
    println!(
        "{all} certificates for {clients} clients in {lasted:.1?}: {} refused with Retry-After; {asked} calls, {answered} \
         signatures; {took}",
        outcome.refused
    );
    let mut serials = outcome.serials;
    serials.sort_unstable();
    serials.dedup();
    ensure!(serials.len() == all, "{} serials of {all} certificates", serials.len());
    // What is on record is what was promised.
    let metrics = stack.admin()?.get(route::METRICS).await?.expect(200)?.text();
    ensure!(metrics.contains("outcome=\"throttled\""), "{metrics}");
    ensure!(on_record(&stack).await? == all, "the record has other certificates than were handed out");
    // The lists and responders of the service sign too, seldom.
    ensure!(asked * 100 <= all * 125 + 1_000, "{asked} calls for {all} certificates");
    ensure!(answered * 100 <= all * 101 + 1_000, "{answered} signatures for {all} certificates");
    Ok(took.percentile(99))
}

/// How many certificates for clients of these tests are on record, page by page.
async fn on_record(stack: &ca_e2e::stack::Stack) -> anyhow::Result<usize> {
    let administrator = stack.administrator()?;
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let path = format!("{}?profile=client&limit=500{cursor}", route::CERTIFICATES);
        let page: ca_api::page::Page<Certificate> = administrator.get(&path).await?.expect(200)?.json()?;
        count += page.items.len();
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(count),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_while_kms_throttles_fails_and_is_silent() -> anyhow::Result<()> {
    weather(16, 20).await.map(drop)
}

/// The full run, with a bound on how long requests take: for a machine that does nothing else.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a figure for a quiet machine: cargo test --workspace --test it -- --ignored --nocapture five_thousand"]
async fn five_thousand_certificates_in_bad_weather_within_two_seconds_each() -> anyhow::Result<()> {
    // 5,056.
    let p99 = weather(64, 79).await?;
    ensure!(p99 < Duration::from_secs(2), "{p99:?}");
    Ok(())
}
