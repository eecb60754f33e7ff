//! Many managed certificates that are due at once, in secrets of a double: how fast they are rotated, what that takes of memory, and how many
//! calls of AWS each costs.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_api::managed::ManagedStatus;
use ca_api::route;
use ca_test_doubles::SecretsManagerDouble;
use serde_json::json;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::fake_clock::FakeClock;
use crate::stack::{EMBEDDED, Site, Stack};
use tokio::time::Instant;

/// How many are added side by side.
const CALLERS: usize = 16;
/// How long nothing may move before the run has failed.
const STANDSTILL: Duration = Duration::from_secs(120);

/// How many a run is of: 10,000, unless `CA_SOAK_MANAGED` says otherwise.
#[expect(clippy::disallowed_methods, reason = "how long a long run is, is the environment's business")]
pub fn how_many() -> usize {
    std::env::var("CA_SOAK_MANAGED").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000)
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct ManagedFigures {
    count: usize,
    first: Phase,
    again: Phase,
}

#[derive(Clone, Debug)]
struct Phase {
    took: Duration,
    calls: usize,
    resident_kib: u64,
}

/// Adds so many, waits until each was delivered, lets seventy days pass, and waits until each was rotated.
pub async fn rotate_at_once(count: usize) -> anyhow::Result<ManagedFigures> {
    let double = SecretsManagerDouble::start()?;
    let endpoint_url = double.endpoint_url();
    let mut site = Site::initialised(&[
        ("CA__AWS__SECRETS_MANAGER__REGION", "sa-east-1"),
        ("CA__AWS__SECRETS_MANAGER__ENDPOINT_URL", &endpoint_url),
        ("CA__MANAGED__WAVE", "50"),
        ("CA__MANAGED__RATE", "100"),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("PATH", "/usr/bin:/bin"),
        EMBEDDED,
    ])?;
    let clock = FakeClock::of(&mut site)?;
    let mut stack = site.serve()?;
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let client = stack.administrator()?;
        callers.spawn(async move {
            for number in (caller..count).step_by(CALLERS) {
                add(&client, number).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    let first = phase(&mut stack, &double, count, count, began, 0).await?;
    let calls = double.asked().len();
    clock.set("+70d")?;
    let again = phase(&mut stack, &double, count, 2 * count, Instant::now(), calls).await?;
    Ok(ManagedFigures { count, first, again })
}

async fn add(client: &Client, number: usize) -> anyhow::Result<()> {
    let secret = format!("tls/app-{number}");
    let definition = json!({
        "name": format!("app-{number}"), "profile": "server",
        "subject_alternative_names": [format!("dns:app-{number}.managed.example")],
        "target": {"kind": "secrets-manager", "secret": secret, "create": true},
    });
    client.post(route::MANAGED_CERTIFICATES, &definition).await?.expect(201)?;
    Ok(())
}

/// Waits until so many rotations were made in all.
async fn phase(
    stack: &mut Stack,
    double: &SecretsManagerDouble,
    count: usize,
    wanted: usize,
    began: Instant,
    calls_before: usize,
) -> anyhow::Result<Phase> {
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let metrics = stack.admin()?.get(route::METRICS).await?.expect(200)?.text();
        let rotated = metrics.lines().find_map(|line| line.strip_prefix("ca_managed_rotations_total "));
        let rotated: usize = rotated.map(str::parse).transpose().context("no number")?.unwrap_or_default();
        if rotated > last {
            (last, moved) = (rotated, Instant::now());
        }
        if rotated >= wanted {
            break;
        }
        ensure!(moved.elapsed() < STANDSTILL, "nothing moves at {rotated} of {wanted}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let took = began.elapsed();
    let status: ManagedStatus = stack.administrator()?.get(route::MANAGED_STATUS).await?.expect(200)?.json()?;
    ensure!(status.failing == 0 && status.active == count as u64, "{status:?}");
    let resident_kib = stack.process().resident_kib()?;
    Ok(Phase { took, calls: double.asked().len() - calls_before, resident_kib })
}

impl fmt::Display for ManagedFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, phase) in [("delivered first", &self.first), ("rotated when all were due", &self.again)] {
            let Phase { took, calls, resident_kib } = phase;
            let (count, seconds) = (self.count as f64, took.as_secs_f64());
            writeln!(
                f,
                "{} {what} in {seconds:.1} s: {:.1} a second, {:.1} calls each, {} MiB resident",
                self.count,
                count / seconds,
                *calls as f64 / count,
                resident_kib / 1024
            )?;
        }
        Ok(())
    }
}
