//! A server that is killed between IssueCertificate and its record: one certificate is on record afterwards, and none is at AWS of which
//! nobody knows. A second later, when who asked asks again; as soon as an open issuance is settled, while AWS remembers the order; and ten
//! minutes later, when it does not.

use std::time::Duration;

use anyhow::{Context, ensure};
use ca_api::certificate::Certificate;
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_e2e::acm_pca::AcmPcaAuthority;
use ca_e2e::client::{Client, eventually, send};
use ca_e2e::fake_clock::FakeClock;
use ca_e2e::identity::{SubjectKey, request};
use ca_e2e::stack::{EMBEDDED, PATIENCE, Stack};
use ca_test_doubles::Fault;
use reqwest::Method;

const A_SECOND: Duration = Duration::from_secs(1);

const KEY: &str = "once-and-only-once";

/// How far the clocks go on while the server is dead. What is open is settled after two and a half minutes, and AWS
/// forgets an order after five.
#[derive(Clone, Copy, Debug)]
enum Pause {
    /// AWS still remembers.
    Short,
    /// It does not.
    Long,
}

impl Pause {
    const fn seconds(self) -> i64 {
        match self {
            Self::Short => 160,
            Self::Long => 690,
        }
    }
}

/// A service whose clock can be set, an order under way in it, and the CSR.
struct Interrupted {
    aws: AcmPcaAuthority,
    clock: FakeClock,
    stack: Stack,
    csr: String,
    /// Certificates that were there before.
    before: usize,
}

async fn begin(prepare: impl FnOnce(&AcmPcaAuthority)) -> anyhow::Result<Interrupted> {
    let aws = AcmPcaAuthority::start()?;
    // The clock of a database of its own would not jump with it.
    let mut site = aws.initialised(&[EMBEDDED])?;
    let clock = FakeClock::of(&mut site)?;
    let stack = site.serve()?;
    let administrator = stack.administrator()?;
    let before = aws.issued().len();
    prepare(&aws);
    let csr = SubjectKey::generate()?.csr("cut-off.example", &["cut-off.example"])?;
    let body = csr.clone();
    tokio::spawn(async move {
        // Its server dies.
        let _cut_off = order(&administrator, &body).await;
    });
    Ok(Interrupted { aws, clock, stack, csr, before })
}

async fn order(client: &Client, csr: &str) -> anyhow::Result<ca_e2e::client::Answer> {
    let ask = client.request(Method::POST, route::CERTIFICATES).header("idempotency-key", KEY);
    send(ask.json(&request("client", csr.to_owned()))).await
}

/// Kills the server, lets the time pass, starts it again.
async fn killed(interrupted: Interrupted, pause: Pause) -> anyhow::Result<(AcmPcaAuthority, Stack, String, usize)> {
    let Interrupted { aws, clock, stack, csr, before } = interrupted;
    let site = stack.kill();
    ensure!(aws.issued().len() == before + 1, "one certificate was made: {:?}", aws.issued());
    aws.double.with(|state| state.make_ready());
    aws.advance(pause.seconds());
    clock.set(&format!("+{}s", pause.seconds()))?;
    let stack = site.serve()?;
    Ok((aws, stack, csr, before))
}

/// The certificate is on record and good, and whoever asks again by the same key is given it.
async fn is_one(aws: &AcmPcaAuthority, stack: &Stack, csr: &str, before: usize) -> anyhow::Result<()> {
    let administrator = stack.administrator()?;
    let made = aws.issued()[before].clone();
    let certificate: Certificate = eventually(PATIENCE * 2, "the certificate is on record", || async {
        let answer = order(&administrator, csr).await?;
        if answer.status >= 400 {
            return Ok(None);
        }
        Ok(Some(answer.json()?))
    })
    .await?;
    ensure!(certificate.serial == made.serial, "it is the one that was made first");
    ensure!(aws.issued().len() == before + 1, "no second one was made: {:?}", aws.issued());
    administrator.get(&format!("/v1/certificates/tls:{}", certificate.serial)).await?.expect(200)?;
    Ok(())
}

/// Kills the server; a second later another has taken its place.
async fn killed_for_a_second(
    interrupted: Interrupted,
) -> anyhow::Result<(AcmPcaAuthority, FakeClock, Stack, String, usize)> {
    let Interrupted { aws, clock, stack, csr, before } = interrupted;
    let site = stack.kill();
    ensure!(aws.issued().len() == before + 1, "one certificate was made: {:?}", aws.issued());
    tokio::time::sleep(A_SECOND).await;
    Ok((aws, clock, site.serve()?, csr, before))
}

/// Every certificate that AWS has made is on record under its serial.
async fn none_is_unaccounted_for(aws: &AcmPcaAuthority, stack: &Stack) -> anyhow::Result<()> {
    let administrator = stack.administrator()?;
    for issued in aws.issued() {
        administrator.get(&format!("/v1/certificates/tls:{}", issued.serial)).await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_again_a_second_after_a_crash_is_given_what_was_made_and_has_a_name() -> anyhow::Result<()> {
    // Its name is on record, and no look for it is answered.
    let interrupted = begin(|aws| aws.double.fail("GetCertificate", [Fault::Silence])).await?;
    eventually(PATIENCE, "the server looks for what it has ordered", || async {
        let is_silent = |asked: &ca_test_doubles::Asked| asked.failed.as_deref() == Some("silence");
        Ok(interrupted.aws.double.asked().iter().any(is_silent).then_some(()))
    })
    .await?;
    let (aws, clock, stack, csr, before) = killed_for_a_second(interrupted).await?;
    let answer = order(&stack.administrator()?, &csr).await?;
    let certificate: Certificate = answer.expect(201)?.json()?;
    ensure!(certificate.serial == aws.issued()[before].serial && aws.issued().len() == before + 1);
    // Nothing is left to be settled, and nothing changes when its time has come.
    let site = stack.stop()?;
    aws.advance(Pause::Short.seconds());
    clock.set(&format!("+{}s", Pause::Short.seconds()))?;
    let stack = site.serve()?;
    is_one(&aws, &stack, &csr, before).await?;
    none_is_unaccounted_for(&aws, &stack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_again_a_second_after_a_crash_waits_for_what_has_no_name_yet() -> anyhow::Result<()> {
    let interrupted = begin(lose_the_name).await?;
    wait_for_the_second_attempt(&interrupted).await?;
    let (aws, clock, stack, csr, before) = killed_for_a_second(interrupted).await?;
    let is_answered = |asked: &&ca_test_doubles::Asked| asked.operation == "IssueCertificate" && asked.failed.is_none();
    let answered = || aws.double.asked().iter().filter(is_answered).count();
    let ordered = answered();
    let administrator = stack.administrator()?;
    for _ in 0..3 {
        let answer = order(&administrator, &csr).await?;
        answer.expect_problem(ProblemType::RequestInProgress)?;
        ensure!(!answer.header("retry-after").is_empty(), "it is told when to ask again");
    }
    ensure!(aws.issued().len() == before + 1, "no second one was made: {:?}", aws.issued());
    ensure!(answered() == ordered, "AWS was asked for another: {:?}", aws.double.asked());
    let site = stack.stop()?;
    aws.advance(Pause::Short.seconds());
    clock.set(&format!("+{}s", Pause::Short.seconds()))?;
    let stack = site.serve()?;
    is_one(&aws, &stack, &csr, before).await?;
    none_is_unaccounted_for(&aws, &stack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_and_not_collected_is_on_record_once_soon_and_after_ten_minutes() -> anyhow::Result<()> {
    for pause in [Pause::Short, Pause::Long] {
        // It is never ready while this server lives.
        let interrupted = begin(|aws| aws.double.with(|state| state.hold_back(1_000_000))).await?;
        let looked = interrupted.aws.double.count("GetCertificate").0;
        eventually(PATIENCE, "the server looks for what it has ordered", || async {
            Ok((interrupted.aws.double.count("GetCertificate").0 > looked + 1).then_some(()))
        })
        .await?;
        let (aws, stack, csr, before) = killed(interrupted, pause).await?;
        is_one(&aws, &stack, &csr, before).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_and_whose_name_was_lost_is_asked_for_again_and_is_the_same() -> anyhow::Result<()> {
    let interrupted = begin(lose_the_name).await?;
    wait_for_the_second_attempt(&interrupted).await?;
    let (aws, stack, csr, before) = killed(interrupted, Pause::Short).await?;
    is_one(&aws, &stack, &csr, before).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_name_any_more_is_given_up_and_told_in_the_audit_trail() -> anyhow::Result<()> {
    let interrupted = begin(lose_the_name).await?;
    wait_for_the_second_attempt(&interrupted).await?;
    let (aws, stack, csr, before) = killed(interrupted, Pause::Long).await?;
    let orphan = aws.issued()[before].clone();
    let token = orphan.token.context("an order has a token")?;
    let administrator = stack.administrator()?;
    // The event has the id by which it was ordered, which AWS has in its own trail.
    eventually(PATIENCE * 2, "the audit trail tells of it", || async {
        let events = administrator.get(&format!("{}?limit=100", route::AUDIT)).await?.expect(200)?.text();
        Ok((events.contains(&token) && events.contains("unknown-at-issuer")).then_some(()))
    })
    .await?;
    // Whoever asks again is given another one, and that is the only one on record.
    let certificate: Certificate = eventually(PATIENCE * 2, "another certificate is issued", || async {
        let answer = order(&administrator, &csr).await?;
        if answer.status >= 400 {
            return Ok(None);
        }
        Ok(Some(answer.json()?))
    })
    .await?;
    ensure!(certificate.serial != orphan.serial && aws.issued().len() == before + 2);
    administrator.get(&format!("/v1/certificates/tls:{}", certificate.serial)).await?.expect(200)?;
    Ok(())
}

/// The order is carried out and its answer lost; those after it are met with silence.
fn lose_the_name(aws: &AcmPcaAuthority) {
    aws.double.fail("IssueCertificate", [Fault::LoseAnswer, Fault::Silence]);
}

async fn wait_for_the_second_attempt(interrupted: &Interrupted) -> anyhow::Result<()> {
    let ordered = interrupted.before;
    eventually(PATIENCE, "the server asks again", || async {
        let is_silent = |asked: &&ca_test_doubles::Asked| asked.failed.as_deref() == Some("silence");
        let asked = interrupted.aws.double.asked();
        Ok((asked.iter().filter(is_silent).count() == 1 && interrupted.aws.issued().len() == ordered + 1).then_some(()))
    })
    .await
}
