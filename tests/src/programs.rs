//! The programs under test: built by cargo once a process, in the profile of the harness, and found where cargo says.
//!
//! `env!("CARGO_BIN_EXE_…")` knows only programs of the package under test, and these are of others. Cargo's lock of the
//! target folder is free while tests and programs run, so that a harness may build.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, anyhow, ensure};

/// Where the programs lie.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `ca-server`
    pub server: PathBuf,
    /// `ca-cli`
    pub cli: PathBuf,
}

/// The programs, built from the sources as they are. The first call waits for cargo; a failed build fails every call.
pub fn programs() -> anyhow::Result<&'static Programs> {
    static BUILT: OnceLock<Result<Programs, String>> = OnceLock::new();
    BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))).as_ref().map_err(|error| anyhow!("{error}"))
}

fn build() -> anyhow::Result<Programs> {
    let mut command = Command::new(env!("CARGO"));
    command
        // Every member at once: what they share is then built with one set of features, as `cargo test --workspace` and
        // `cargo run --bin demo` do.
        .args(["build", "--quiet", "--workspace", "--bins"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace())
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().context("cargo cannot be started")?;
    ensure!(output.status.success(), "ca-server and ca-cli cannot be built: {}", output.status);
    let messages = String::from_utf8(output.stdout).context("what cargo says is not UTF-8")?;
    let find = |name: &str| {
        executable(&messages, name).ok_or_else(|| anyhow!("cargo built `{name}` and did not say where it lies"))
    };
    Ok(Programs { server: find("ca-server")?, cli: find("ca-cli")? })
}

/// The executable of a target, from cargo's JSON messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["reason"] == "compiler-artifact" && message["target"]["name"] == name;
        is_it.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    })
}

/// The root of the workspace.
fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}
