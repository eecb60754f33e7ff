//! Python's `cryptography` (Rust and OpenSSL inside), driven by the scripts in `peers/`.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use ca_core::certificate::Certificate;
use serde_json::{Value, json};

use super::Measured;
use crate::clock::Spent;
use crate::process::workspace;
use crate::spread::{Cost, ROUNDS};

/// Issues the same certificate.
pub(crate) fn issue(csr: &str, certificate: &Certificate) -> anyhow::Result<Measured> {
    let asked = json!({ "csr": csr, "certificate": hex::encode(certificate.der()), "rounds": ROUNDS, "times": 500 });
    run("issue.py", &asked)
}

/// Makes a CRL of so many entries.
pub(crate) fn crl(entries: u64) -> anyhow::Result<Measured> {
    run("crl.py", &json!({ "entries": entries, "rounds": 5 }))
}

fn run(script: &str, asked: &Value) -> anyhow::Result<Measured> {
    let interpreter = interpreter()?;
    let mut child = Command::new(&interpreter)
        .arg(workspace().join("benches/peers").join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} cannot be started", interpreter.display()))?;
    let mut stdin = child.stdin.take().context("a piped stream is there")?;
    stdin.write_all(asked.to_string().as_bytes()).with_context(|| format!("{script} reads nothing"))?;
    drop(stdin);
    let output = child.wait_with_output().with_context(|| format!("{script} does not end"))?;
    ensure!(output.status.success(), "{script} failed: {}", output.status);
    let answer: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("{script} answers nonsense"))?;
    let rounds: Option<Vec<Spent>> = answer["rounds"].as_array().and_then(|rounds| {
        rounds.iter().map(|round| Some(Spent { processor: round[0].as_f64()?, wall: round[1].as_f64()? })).collect()
    });
    let version = format!("Python cryptography {}", answer["version"].as_str().unwrap_or("of unknown version"));
    Ok(Measured { version, cost: Cost::of(&rounds.with_context(|| format!("{script} answers nonsense"))?) })
}

/// The Python of the tests where `tests/install.sh` has made it, else the system's, if it has the package.
fn interpreter() -> anyhow::Result<PathBuf> {
    let candidates = [workspace().join("target/test-tools/venv/bin/python"), PathBuf::from("python3")];
    for candidate in candidates {
        let found = Command::new(&candidate).args(["-c", "import cryptography"]).stderr(Stdio::null()).status();
        if found.is_ok_and(|status| status.success()) {
            return Ok(candidate);
        }
    }
    bail!("no Python with `cryptography` is here; tests/install.sh makes one")
}
