//! What `revoke --wait` makes of what gateways say: of one that lags, that is gone, or that runs by another list than the service's.
//! Nobody listens here; the statements are made by the gateways' certificates alone.

use std::process::Command;

use anyhow::{Context, ensure};
use ca_api::certificate::CertificateStatus;
use ca_api::gateway::{ComparedList, EnforcedList, Gateway, GatewayStatus, ListComparison};
use ca_api::route;
use ca_core::crl::ParsedCrl;
use ca_core::hash::sha256;
use ca_e2e::cli::Terminal;
use ca_e2e::client::{Client, eventually, send};
use ca_e2e::outcome::Outcome;
use ca_e2e::programs::programs;
use ca_e2e::stack::{PATIENCE, Stack};
use ca_e2e::tools::find;
use reqwest::Method;
use serde_json::Value;

/// Two gateways that can speak, and an administrator's terminal with the certificate of `alice`.
struct World {
    stack: Stack,
    terminal: Terminal,
    speakers: Vec<(&'static str, Client)>,
}

const GATEWAYS: [&str; 2] = ["gw1.test", "gw2.test"];

impl World {
    async fn start() -> anyhow::Result<Self> {
        let stack = Stack::start()?;
        let terminal = Terminal::with_config(&stack.data_folder().join("admin/cli.toml"))?;
        terminal.done(&["issue", "client", "alice"])?;
        let administrator = stack.administrator()?;
        let mut speakers = Vec::new();
        for name in GATEWAYS {
            let (_, identity) = administrator.enrol("server", name).await?;
            speakers.push((name, stack.holder(&identity)?));
        }
        Ok(Self { stack, terminal, speakers })
    }

    /// The list that the service has now.
    async fn list(&self) -> anyhow::Result<(EnforcedList, ParsedCrl)> {
        let der = self.stack.public()?.get(&route::CRL.replace("{file}", "tls.crl")).await?.expect(200)?.body;
        let sha256 = hex::encode(sha256(&der));
        let list = ParsedCrl::from_der(der)?;
        let number = list.number().context("a list has a number")?;
        Ok((EnforcedList { authority: "tls".to_owned(), number, sha256 }, list))
    }

    /// The first list that has an entry.
    async fn list_with_revocation(&self) -> anyhow::Result<EnforcedList> {
        eventually(PATIENCE, "a list has the revocation", || async {
            let (told, list) = self.list().await?;
            Ok((list.entries().count() > 0).then_some(told))
        })
        .await
    }

    async fn state(&self, gateway: usize, list: &EnforcedList) -> anyhow::Result<ComparedList> {
        let (name, client) = &self.speakers[gateway];
        let status = GatewayStatus { generation: "test".to_owned(), lists: vec![list.clone()] };
        let path = route::GATEWAY_STATUS.replace("{gateway}", name);
        let said: Gateway = send(client.request(Method::PUT, &path).json(&status)).await?.expect(200)?.json()?;
        said.lists.into_iter().next().context("the list that was stated")
    }

    /// Revokes alice, again and again, and waits for one second: how many gateways enforce it is settled before.
    fn revoke(&self, code: i32) -> anyhow::Result<(String, Value)> {
        let text = self.terminal.run(&REVOKE)?.ended_with(code)?.said();
        let outcome = self.terminal.run(&[&["--output", "json"], &REVOKE[..]].concat())?.ended_with(code)?;
        let answer: Value = serde_json::from_str(&outcome.output).with_context(|| format!("{outcome:?}"))?;
        ensure!(answer["status"] == serde_json::to_value(CertificateStatus::Revoked)?, "{answer}");
        Ok((text, answer["enforcement"].clone()))
    }
}

const REVOKE: [&str; 5] = ["revoke", "alice.crt", "--reason", "superseded", "--wait=1s"];

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_lags_is_named_and_the_command_fails_until_it_has_caught_up_or_is_removed() -> anyhow::Result<()>
{
    let world = World::start().await?;
    let (before, _) = world.list().await?;
    for gateway in 0..2 {
        world.state(gateway, &before).await?;
    }
    let (text, _) = world.revoke(1)?;
    ensure!(text.contains("enforced on 0/2 gateways after") && text.contains("not on gw1.test, gw2.test"), "{text}");
    let list = world.list_with_revocation().await?;
    world.state(0, &list).await?;
    let (text, enforcement) = world.revoke(1)?;
    ensure!(text.contains("enforced on 1/2 gateways after") && text.contains("not on gw2.test"), "{text}");
    assert_eq!(enforcement["enforced_by"], serde_json::json!(["gw1.test"]));
    assert_eq!(enforcement["missing"], serde_json::json!(["gw2.test"]));
    assert_eq!(enforcement["list"], list.number);
    ensure!(enforcement["seconds"].as_f64().is_some_and(|seconds| seconds >= 1.0), "{enforcement}");
    world.state(1, &list).await?;
    let (text, _) = world.revoke(0)?;
    ensure!(text.contains("enforced on 2/2 gateways in"), "{text}");
    // One that went back, and then for good.
    world.state(1, &before).await?;
    let (text, _) = world.revoke(1)?;
    ensure!(text.contains("enforced on 1/2 gateways after"), "{text}");
    world.terminal.done(&["gateway", "remove", "gw2.test"])?;
    let (text, _) = world.revoke(0)?;
    ensure!(text.contains("enforced on 1/1 gateways in"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_fell_silent_prove_nothing() -> anyhow::Result<()> {
    let world = World::start().await?;
    world.terminal.done(&REVOKE[..4])?;
    let list = world.list_with_revocation().await?;
    for gateway in 0..2 {
        world.state(gateway, &list).await?;
    }
    world.revoke(0)?;
    // Seen from six minutes later, nobody has spoken for five.
    let config = world.stack.data_folder().join("admin/cli.toml");
    let output = Command::new(find("faketime")?)
        .args(["-f", "+6m"])
        .arg(&programs()?.cli)
        .arg("--config")
        .arg(&config)
        .args(REVOKE)
        .env("HOME", "/nonexistent")
        .current_dir(world.terminal.folder())
        .output()?;
    let outcome = Outcome {
        command: REVOKE.join(" "),
        code: output.status.code(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    let said = outcome.ended_with(1)?.said();
    ensure!(said.contains("no gateway has said within the last"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_runs_by_other_octets_under_a_known_number_does_not_count() -> anyhow::Result<()> {
    let world = World::start().await?;
    let (before, _) = world.list().await?;
    world.terminal.done(&REVOKE[..4])?;
    let list = world.list_with_revocation().await?;
    assert_eq!(world.state(0, &list).await?.octets, ListComparison::Same);
    // The list of before under the number of the next.
    let other = EnforcedList { sha256: before.sha256.clone(), ..list.clone() };
    assert_eq!(world.state(1, &other).await?.octets, ListComparison::Other);
    let (text, enforcement) = world.revoke(1)?;
    ensure!(text.contains("enforced on 1/2 gateways after"), "{text}");
    ensure!(text.contains("gw2.test runs by a list that is not this service's of that number"), "{text}");
    assert_eq!(enforcement["other_octets"], serde_json::json!(["gw2.test"]));
    let listed: Vec<Gateway> = world.terminal.json(&["gateway", "list"])?;
    let octets: Vec<ListComparison> = listed.iter().map(|gateway| gateway.lists[0].octets).collect();
    assert_eq!(octets, [ListComparison::Same, ListComparison::Other]);
    let table = world.terminal.done(&["gateway", "list"])?;
    assert_eq!(table.lines().filter(|line| line.contains("(other octets)")).count(), 1, "{table}");
    world.state(1, &list).await?;
    world.revoke(0)?;
    Ok(())
}
