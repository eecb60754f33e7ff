//! The alert rules for Prometheus: judged by promtool, and every metric that they or the documents name is one that a service has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ca_core::ocsp::CertStatus;
use ca_e2e::client::eventually;
use ca_e2e::stack::{PATIENCE, Site};
use ca_e2e::status::Subject;
use ca_e2e::tools::run;
use ca_test_doubles::S3Double;
use ca_test_services::RedisServer;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(workspace().join(path)).with_context(|| path.to_owned())
}

/// What a text calls by a metric's name: the words that begin with `ca_`, without what Prometheus adds to a histogram's.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let names = words.filter(|word| word.starts_with("ca_"));
    names.map(|name| name.strip_suffix("_bucket").unwrap_or(name).to_owned()).collect()
}

#[test]
fn promtool_finds_the_rules_sound_and_their_tests_pass() -> anyhow::Result<()> {
    let folder = workspace().join("deploy/prometheus");
    let checked = run("promtool", ["check", "rules", "rules.yml"], &folder)?.all();
    ensure!(checked.contains("SUCCESS"), "{checked}");
    let tested = run("promtool", ["test", "rules", "rules_test.yml"], &folder)?.all();
    ensure!(tested.contains("SUCCESS") && !tested.contains("FAILED"), "{tested}");
    // Each alert is told once and kept quiet once.
    let (rules, tests) = (read("deploy/prometheus/rules.yml")?, read("deploy/prometheus/rules_test.yml")?);
    let names: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    ensure!(names.len() > 10, "{names:?}");
    for name in names {
        let blocks = tests.split("  - interval:").filter(|block| block.contains(&format!("alertname: {name}\n")));
        let (quiet, told): (Vec<&str>, Vec<&str>) = blocks.partition(|block| block.contains("exp_alerts: []"));
        ensure!(!quiet.is_empty() && !told.is_empty(), "{name} is not tested both ways");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_is_named_exists_and_every_one_that_exists_is_documented() -> anyhow::Result<()> {
    let redis = RedisServer::start()?;
    let s3 = S3Double::start()?;
    let stack = Site::initialised(&[
        ("CA__AUTHORITY__TLS__SHARDS", "1"),
        ("CA__AUTHORITY__TLS__DELTA", "true"),
        ("CA__AUTHORITY__TLS__ROLLOVER_EVERY", "365d"),
        ("CA__REDIS__URL", &redis.url()),
        ("CA__AUTHORITY__TLS__SHARDS", "2"),
        ("CA__AUTHORITY__TLS__DELTA", "true"),
        ("CA__PUBLISH__S3__BUCKET", S3Double::BUCKET),
        ("CA__AWS__REGION", "sa-east-1"),
        ("CA__AWS__ENDPOINT_URL", &s3.endpoint_url()),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-tests"),
    ])?
    .serve()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("client", "metrics.example.com").await?;
    let subject = Subject::of(&certificate)?;
    ensure!(subject.ask_ocsp(&stack.public()?).await? == CertStatus::Good);
    administrator.revoke(&certificate.id, "superseded").await?;
    let operating = read("docs/operating.md")?;
    let table = operating.split("## Metrics").nth(1).context("docs/operating.md has no chapter Metrics")?;
    let table = table.split("\n## ").next().unwrap_or_default();
    let documented: BTreeSet<String> =
        table.lines().filter(|line| line.starts_with("| `ca_")).flat_map(metrics_in).collect();
    let mentioned = metrics_in(table);
    ensure!(documented.len() > 20, "{documented:?}");
    let rules = metrics_in(&read("deploy/prometheus/rules.yml")?);
    let (of_sidecars, rules): (BTreeSet<_>, BTreeSet<_>) =
        rules.into_iter().partition(|name| name.starts_with("ca_gateway_"));
    ensure!(!of_sidecars.is_empty(), "the rules ask nothing of sidecars");
    let (guide, sidecar) = (metrics_in(&read("docs/gateway.md")?), read("ca-cli/src/command/gateway/metrics.rs")?);
    for name in of_sidecars {
        ensure!(guide.contains(&name), "{name} is not in docs/gateway.md");
        let told = format!("\"{}\"", name.trim_start_matches("ca_gateway_"));
        ensure!(sidecar.contains(&told), "no sidecar tells {name}");
    }
    ensure!(rules.is_subset(&documented), "not documented: {:?}", rules.difference(&documented));
    // A histogram appears with what it measures first.
    eventually(PATIENCE, "the service tells of everything that is documented", || async {
        let text = stack.admin()?.get("/metrics").await?.expect(200)?.text();
        let told: BTreeSet<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect();
        let undocumented: Vec<_> = told.difference(&mentioned).collect();
        ensure!(undocumented.is_empty(), "not in docs/operating.md: {undocumented:?}");
        Ok(documented.is_subset(&told).then_some(()))
    })
    .await
}
