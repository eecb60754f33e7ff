//! Runs `ca-cli gateway run` in the folder of a gateway's host.

use crate::outcome::Outcome;
use crate::process::Process;
use crate::programs::programs;
use anyhow::Context;
use serde_json::Value;

use crate::gateway_host::World;

/// The arguments of a sidecar beside nginx that reloads by `reload`.
pub fn arguments(world: &World, more: &[&str], reload: &[String]) -> Vec<String> {
    arguments_of(world, "cartorio/generation.conf", more, reload)
}

/// The same, with the name of the bundle in another file.
pub fn arguments_of(world: &World, generation_file: &str, more: &[&str], reload: &[String]) -> Vec<String> {
    let url = format!("{}/crl/all.pem", world.stack.public_url());
    let fixed =
        ["gateway", "run", "--crl-file", "cartorio/crls.pem", "--ca-file", "cartorio/trust.pem", "--crl-url", &url];
    let generation = ["--generation-file", generation_file];
    let mut arguments: Vec<String> = [&fixed[..], &generation, more].concat().into_iter().map(str::to_owned).collect();
    if !reload.is_empty() {
        arguments.push("--".to_owned());
        arguments.extend_from_slice(reload);
    }
    arguments
}

/// What a sidecar needs to speak for the gateway: its certificate, and where it listens.
pub fn speaking(world: &World) -> Vec<String> {
    let api = world.stack.api_url();
    let probe = format!("127.0.0.1:{}", world.port);
    [
        "--url",
        &api,
        "--cert",
        "gw.test.crt",
        "--key",
        "gw.test.key",
        "--root",
        "ca.crt",
        "--id",
        "gw.test",
        "--probe",
        &probe,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// One round.
pub fn once(world: &World, more: &[&str], reload: &[String]) -> anyhow::Result<Outcome> {
    let more = [&["--once"], more].concat();
    once_with(world, &arguments(world, &more, reload))
}

/// The same, of all arguments.
pub fn once_with(world: &World, arguments: &[String]) -> anyhow::Result<Outcome> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    world.terminal.run(&arguments)
}

/// One round that must end with this status: its report, and what was said besides.
pub fn round(world: &World, code: i32, more: &[&str], reload: &[String]) -> anyhow::Result<(Value, String)> {
    let outcome = once(world, &[&["--output", "json"], more].concat(), reload)?.ended_with(code)?;
    let report = serde_json::from_str(&outcome.output).with_context(|| format!("{outcome:?}"))?;
    Ok((report, outcome.errors))
}

/// A sidecar that runs until it is dropped.
pub fn start(world: &World, more: &[&str], reload: &[String]) -> anyhow::Result<Process> {
    start_with(world, &arguments(world, more, reload))
}

/// The same, of all arguments.
pub fn start_with(world: &World, arguments: &[String]) -> anyhow::Result<Process> {
    let config = world.stack.data_folder().join("admin/cli.toml").display().to_string();
    let mut all = vec!["--config".to_owned(), config];
    all.extend_from_slice(arguments);
    let arguments: Vec<&str> = all.iter().map(String::as_str).collect();
    Process::start(&programs()?.cli, &arguments, [("HOME", "/nonexistent")], world.folder())
}
