//! Two replicas over PostgreSQL that share an authority of AWS Private CA: what one issues, renews and revokes the other knows; and what
//! one was killed over the other ends, at once where it has a name, and in its time where it has none.

use anyhow::{Context, ensure};
use ca_api::certificate::Certificate;
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_core::ocsp::CertStatus;
use ca_e2e::acm_pca::AcmPcaAuthority;
use ca_e2e::client::{Answer, Client, eventually, send};
use ca_e2e::fake_clock::{FakeClock, environment};
use ca_e2e::identity::{Identity, SubjectKey, request};
use ca_e2e::stack::{PATIENCE, Site, Stack};
use ca_e2e::status::Subject;
use ca_e2e::token_keys::borrowed;
use ca_test_doubles::Fault;
use ca_test_services::PostgresServer;
use reqwest::Method;
use serde_json::json;
use tokio::task::block_in_place;

use super::chain_is_whole;

/// How far the clocks go on until what is open is settled, in seconds.
const SETTLED_AFTER: i64 = 160;

/// The double, two sites that share it, and the server that has their record; the clocks of all can be set.
struct Shared {
    aws: AcmPcaAuthority,
    sites: [(Site, FakeClock); 2],
    postgres: PostgresServer,
}

impl Shared {
    fn new() -> anyhow::Result<Self> {
        let (aws, postgres) = (AcmPcaAuthority::start()?, PostgresServer::start()?);
        let url = postgres.url(&postgres.empty_database()?);
        let mut first = aws.initialised(&[("CA__DATABASE__URL", &url)])?;
        let mut second = first.replica()?;
        for (name, value) in borrowed(&aws.settings()) {
            second.set(name, value);
        }
        let clocks = [FakeClock::of(&mut first)?, FakeClock::of(&mut second)?];
        let [first_clock, second_clock] = clocks;
        Ok(Self { aws, sites: [(first, first_clock), (second, second_clock)], postgres })
    }
}

async fn order(client: &Client, csr: &str, key: &str) -> anyhow::Result<Answer> {
    let ask = client.request(Method::POST, route::CERTIFICATES).header("idempotency-key", key);
    send(ask.json(&request("client", csr.to_owned()))).await
}

/// Places an order at a replica that will be killed over it, and waits until it is under way.
async fn begin(stack: &Stack, key: &'static str, is_under_way: impl Fn() -> bool) -> anyhow::Result<String> {
    let host = format!("{key}.replicas.example");
    let csr = SubjectKey::generate()?.csr(&host, &[&host])?;
    let (administrator, body) = (stack.administrator()?, csr.clone());
    tokio::spawn(async move {
        // Its server dies.
        let _cut_off = order(&administrator, &body, key).await;
    });
    eventually(PATIENCE, "the order is under way", async || Ok(is_under_way().then_some(()))).await?;
    Ok(csr)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_an_authority_of_aws_and_each_ends_what_the_other_was_killed_over() -> anyhow::Result<()> {
    let Shared { aws, sites: [(first, first_clock), (second, second_clock)], mut postgres } = Shared::new()?;
    let (one, other) = block_in_place(|| anyhow::Ok((first.serve()?, second.serve()?)))?;
    main_job(&aws, &one, &other).await?;

    // 1. Its name is on record: the other gives it to who asks there, at once.
    let before = aws.issued().len();
    let looked = aws.double.count("GetCertificate").0;
    aws.double.with(|state| state.hold_back(1_000_000));
    let is_looked_for = || aws.double.count("GetCertificate").0 > looked + 1;
    let csr = begin(&one, "named", is_looked_for).await?;
    let first = one.kill();
    aws.double.with(|state| state.make_ready());
    let given: Certificate = order(&other.administrator()?, &csr, "named").await?.expect(201)?.json()?;
    ensure!(aws.issued().len() == before + 1 && given.serial == aws.issued()[before].serial, "{:?}", aws.issued());

    // 2. Every answer that had its name is lost, and the one who asks again and again dies: the other, while AWS remembers the order.
    let one = block_in_place(|| first.serve())?;
    aws.double.fail("IssueCertificate", [Fault::LoseAnswer; 100]);
    let csr = begin(&one, "nameless", || aws.issued().len() == before + 2).await?;
    let first = one.kill();
    aws.double.mend();
    ensure!(aws.issued().len() == before + 2, "{:?}", aws.issued());
    let administrator = other.administrator()?;
    order(&administrator, &csr, "nameless").await?.expect_problem(ProblemType::RequestInProgress)?;
    let (second, offset) = (block_in_place(|| other.stop())?, format!("+{SETTLED_AFTER}s"));
    block_in_place(|| postgres.restart_with(environment(&offset)?))?;
    aws.advance(SETTLED_AFTER);
    first_clock.set(&offset)?;
    second_clock.set(&offset)?;
    let other = block_in_place(|| second.serve())?;
    let administrator = other.administrator()?;
    let given: Certificate = eventually(PATIENCE * 2, "the other settles it", async || {
        let answer = order(&administrator, &csr, "nameless").await?;
        if answer.status >= 400 {
            return Ok(None);
        }
        Ok(Some(answer.json()?))
    })
    .await
    .with_context(|| other.logs().join("\n"))?;
    ensure!(aws.issued().len() == before + 2 && given.serial == aws.issued()[before + 1].serial, "{:?}", aws.issued());

    // 3. Nothing at AWS is unaccounted for, and the one that was killed twice goes on.
    for issued in aws.issued() {
        administrator.get(&format!("/v1/certificates/tls:{}", issued.serial)).await?.expect(200)?;
    }
    let one = block_in_place(|| first.serve())?;
    let (last, _) = one.administrator()?.enrol("client", "last.replicas.example").await?;
    // Its clock is ahead of this one, by which an answer of OCSP would be judged.
    administrator.get(&format!("/v1/certificates/{}", last.id)).await?.expect(200)?;
    chain_is_whole(&administrator, 4 + 2 + 1).await
}

/// Certificates, a renewal by the holder and a revocation, each through one replica and seen at the other.
async fn main_job(aws: &AcmPcaAuthority, one: &Stack, other: &Stack) -> anyhow::Result<()> {
    for (at, beside, profile) in [(one, other, "server"), (other, one, "client")] {
        let host = format!("{profile}.replicas.example");
        let key = SubjectKey::generate()?;
        let mut body = request(profile, key.csr(&host, &[&host])?);
        body.validity = Some("4m".to_owned());
        let first = at.administrator()?.issue(&body).await?;
        let renewal = json!({ "csr": key.csr(&host, &[&host])? });
        let holder = beside.holder(&Identity::of(&first, &key))?;
        let renewed: Certificate =
            holder.post(&format!("/v1/certificates/{}/renew", first.id), &renewal).await?.expect(201)?.json()?;
        let (subject, public) = (Subject::of(&renewed)?, at.public()?);
        ensure!(subject.ask_ocsp(&public).await? == CertStatus::Good);
        at.administrator()?.revoke(&renewed.id, "superseded").await?;
        let beside = beside.public()?;
        eventually(PATIENCE, "the other replica says revoked", async || {
            Ok(matches!(subject.ask_ocsp(&beside).await?, CertStatus::Revoked { .. }).then_some(()))
        })
        .await?;
    }
    eventually(PATIENCE, "AWS is told of the revocations", async || {
        let told = aws.issued().into_iter().filter(|issued| issued.revoked.as_deref() == Some("SUPERSEDED")).count();
        Ok((told == 2).then_some(()))
    })
    .await
}
