//! Every command in a document is run: the `sh` blocks of README.md, docs/*.md and docs/runbooks/*.md, in order, each document in a folder of its
//! own, as a person would type them.
//!
//! ```` ```sh ```` is run and must succeed; ```` ```sh expect=1 ```` must end with that code; a block that is nothing but
//! `ca-server dev` or `ca-server … serve` is the other terminal: started, waited for, stopped at the end. A block of another
//! kind with a file name (```` ```nginx gateway.conf ````) is written to that file. Ports are exchanged for free ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ca_e2e::process::Process;
use ca_e2e::programs::programs;
use ca_e2e::stack::PATIENCE;

#[test]
fn readme() -> anyhow::Result<()> {
    follow("README.md")
}

#[test]
fn getting_started() -> anyhow::Result<()> {
    follow("docs/getting-started.md")
}

#[test]
fn gateway() -> anyhow::Result<()> {
    follow("docs/gateway.md")
}

#[test]
fn operating() -> anyhow::Result<()> {
    follow("docs/operating.md")
}

#[test]
fn managed() -> anyhow::Result<()> {
    follow("docs/managed.md")
}

#[test]
fn ceremony() -> anyhow::Result<()> {
    follow("docs/ceremony.md")
}

#[test]
fn aws() -> anyhow::Result<()> {
    follow("docs/aws.md")
}

#[test]
fn hsm() -> anyhow::Result<()> {
    follow("docs/hsm.md")
}

#[test]
fn runbook_restore() -> anyhow::Result<()> {
    follow("docs/runbooks/restore.md")
}

#[test]
fn runbook_compromise() -> anyhow::Result<()> {
    follow("docs/runbooks/compromise.md")
}

#[test]
fn rollover() -> anyhow::Result<()> {
    follow("docs/rollover.md")
}

#[test]
fn renewal() -> anyhow::Result<()> {
    follow("docs/renewal.md")
}

#[test]
fn agent() -> anyhow::Result<()> {
    follow("docs/agent.md")
}

#[test]
fn events() -> anyhow::Result<()> {
    follow("docs/events.md")
}

#[test]
fn personal_data() -> anyhow::Result<()> {
    follow("docs/personal-data.md")
}

#[test]
fn worker() -> anyhow::Result<()> {
    follow("docs/worker.md")
}

/// What the table of faults says is tested is, by a test of that name.
#[test]
fn every_test_that_the_table_of_faults_names_is_there() -> anyhow::Result<()> {
    let operating = std::fs::read_to_string(workspace().join("docs/operating.md"))?;
    let chapter = operating.split("## When something that answers fails").nth(1).context("no such chapter")?;
    let rows = chapter.split("\n## ").next().unwrap_or_default().lines().filter(|line| line.starts_with("| "));
    let mut sources = String::new();
    for folder in ["tests/tests", "crates/ca-engine/tests/flows", "crates/ca-backends/src"] {
        read_all(&workspace().join(folder), &mut sources)?;
    }
    let mut names = 0;
    for cell in rows.skip(1).filter_map(|row| row.rsplit('|').nth(1)) {
        for name in cell.split('`').skip(1).step_by(2) {
            let name = name.trim_end_matches('…');
            ensure!(sources.contains(&format!("fn {name}")), "docs/operating.md: there is no test {name}…");
            names += 1;
        }
    }
    ensure!(names > 10, "only {names} tests are named");
    Ok(())
}

fn read_all(folder: &Path, into: &mut String) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[test]
fn the_guide_for_gateways_shows_what_is_shipped() -> anyhow::Result<()> {
    let guide = std::fs::read_to_string(workspace().join("docs/gateway.md"))?;
    let shipped = std::fs::read_to_string(workspace().join("deploy/nginx/mtls-crl.conf"))?;
    let shown = blocks(&guide).into_iter().find(|block| block.note == "cartorio/mtls-crl.conf");
    ensure!(shown.is_some_and(|shown| shown.text == shipped), "docs/gateway.md shows another mtls-crl.conf");
    Ok(())
}

#[test]
fn every_document_is_followed() -> anyhow::Result<()> {
    let source = include_str!("docs.rs");
    let entries = |folder: &str| std::fs::read_dir(workspace().join("docs").join(folder));
    for entry in entries("")?.chain(entries("runbooks")?) {
        let path = entry?.path();
        if path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let name = path.strip_prefix(workspace().join("docs"))?.to_string_lossy().into_owned();
        let has_commands = blocks(&text).iter().any(|block| block.language == "sh");
        ensure!(
            !has_commands || source.contains(&format!("follow(\"docs/{name}\")")),
            "docs/{name} has commands that no test runs"
        );
    }
    Ok(())
}

/// A fenced block.
#[derive(Debug)]
struct Block {
    language: String,
    note: String,
    text: String,
    line: usize,
}

fn follow(document: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(workspace().join(document)).with_context(|| document.to_owned())?;
    let folder = tempfile::tempdir()?;
    let ports = free_ports(&["8443", "8080", "9090", "18443", "9000"])?;
    // The last first: 18443 holds 8443.
    let exchange = |text: &str| {
        ports
            .iter()
            .rev()
            .fold(text.to_owned(), |text, (written, free)| text.replace(&format!(":{written}"), &format!(":{free}")))
    };
    let environment = environment(&ports)?;
    let mut here = folder.path().to_path_buf();
    let mut servers = Vec::new();
    let mut followed = 0;
    for block in blocks(&text) {
        let commands = exchange(&block.text);
        let place = format!("{document}:{}", block.line);
        match block.language.as_str() {
            "sh" if is_server(&commands) => servers.push(start(&commands, &environment, &here, &place)?),
            "sh" => here = run(&commands, &block, &environment, &here, &place)?,
            _ if !block.note.is_empty() => std::fs::write(here.join(&block.note), commands).context(place)?,
            _ => continue,
        }
        followed += 1;
    }
    ensure!(followed > 0, "{document} has no block to follow");
    for mut server in servers {
        server.stop(PATIENCE)?;
    }
    Ok(())
}

fn is_server(commands: &str) -> bool {
    let command = commands.trim();
    command.lines().count() == 1
        && command.starts_with("ca-server")
        && (command.ends_with(" dev") || command.ends_with(" serve"))
}

/// Starts the other terminal and waits until the service is ready.
fn start(command: &str, environment: &BTreeMap<String, String>, here: &Path, place: &str) -> anyhow::Result<Process> {
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    let server = Process::start(&programs()?.server, &arguments, environment, here)?;
    let admin = environment.get("CA__LISTEN__ADMIN").cloned().unwrap_or_default();
    for _ in 0..600 {
        let ready = Command::new("curl").args(["-sf", "-o", "/dev/null", &format!("http://{admin}/ready")]).status()?;
        if ready.success() {
            return Ok(server);
        }
        // Not a wait for time to pass, but for another process.
        #[expect(clippy::disallowed_methods, reason = "polls a process that has no other way to say that it is ready")]
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("{place}: `{}` is not ready after a minute; it said:\n{}", command.trim(), server.lines().join("\n"))
}

/// Runs a block with a shell that stops at the first failure; returns the folder that it ended in.
fn run(
    commands: &str,
    block: &Block,
    environment: &BTreeMap<String, String>,
    here: &Path,
    place: &str,
) -> anyhow::Result<PathBuf> {
    let expected: i32 = match block.note.strip_prefix("expect=") {
        Some(code) => code.parse().with_context(|| format!("{place}: {}", block.note))?,
        None => 0,
    };
    let end = tempfile::NamedTempFile::new()?;
    let script = format!("set -eu\nset -o pipefail\n{commands}\npwd > {}\n", end.path().display());
    let output = Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .envs(environment)
        .current_dir(here)
        .stdin(std::process::Stdio::null())
        .output()
        .context("bash cannot be started")?;
    ensure!(
        output.status.code() == Some(expected),
        "{place}: ended with {} and not {expected}:\n{commands}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let ended_in = std::fs::read_to_string(end.path())?;
    Ok(if ended_in.trim().is_empty() { here.to_path_buf() } else { PathBuf::from(ended_in.trim()) })
}

/// What a terminal has: the programs on the path, and the ports of this test.
fn environment(ports: &[(String, String)]) -> anyhow::Result<BTreeMap<String, String>> {
    let programs = programs()?;
    let folder = |program: &Path| program.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
    let mut environment = BTreeMap::from([
        (
            "PATH".to_owned(),
            format!("{}:{}:/usr/sbin:/usr/bin:/sbin:/bin", folder(&programs.server), folder(&programs.cli)),
        ),
        ("HOME".to_owned(), "/nonexistent".to_owned()),
    ]);
    for ((_, free), name) in ports.iter().zip(["API", "PUBLIC", "ADMIN"]) {
        environment.insert(format!("CA__LISTEN__{name}"), format!("127.0.0.1:{free}"));
    }
    Ok(environment)
}

/// A free port for each that is written.
fn free_ports(written: &[&str]) -> anyhow::Result<Vec<(String, String)>> {
    written.iter().map(|written| Ok(((*written).to_owned(), ca_test_services::port::free()?.to_string()))).collect()
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (line, number) in text.lines().zip(1..) {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => {
                let (language, note) = kind.trim().split_once(' ').unwrap_or((kind.trim(), ""));
                open = Some(Block {
                    language: language.to_owned(),
                    note: note.trim().to_owned(),
                    text: String::new(),
                    line: number,
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}
