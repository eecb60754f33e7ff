//! pkilint, a linter that others wrote, over many files at once. Where it is wrong, `tests/pkilint/divergences.json` says why.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

const DIVERGENCES: &str = include_str!("../pkilint/divergences.json");

/// What is linted, each with what it is.
#[derive(Debug, Default)]
pub struct Exhibits(Vec<(&'static str, PathBuf)>);

/// Something that pkilint found, a warning or worse.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "what is not compared is shown")]
pub struct Finding {
    file: String,
    node: String,
    severity: String,
    code: String,
    message: Option<String>,
}

/// What pkilint says that is not so.
#[derive(Debug, Deserialize)]
pub struct Divergence {
    code: String,
    /// What the finding's message begins with.
    message: String,
    #[serde(rename = "reason")]
    _reason: String,
}

/// What it found.
#[derive(Debug)]
pub struct Verdict {
    /// Nothing explains these.
    pub unexplained: Vec<Finding>,
    /// Divergences of the list that were not met.
    pub never_said: Vec<Divergence>,
}

impl Exhibits {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A certificate, the only one in its file, PEM or DER.
    pub fn certificate(&mut self, file: PathBuf) {
        self.0.push(("certificate", file));
    }

    /// A revocation list, PEM or DER.
    pub fn list(&mut self, file: PathBuf) {
        self.0.push(("crl", file));
    }

    /// An OCSP response, DER; the certificates in it are linted too.
    pub fn response(&mut self, file: PathBuf) {
        self.0.push(("ocsp", file));
    }

    /// Has all of them linted.
    pub fn lint(&self) -> anyhow::Result<Verdict> {
        let said = self.findings()?;
        let findings: Vec<Finding> =
            said.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("pkilint says other things")?;
        let divergences: Vec<Divergence> = serde_json::from_str(DIVERGENCES).context("the list of divergences")?;
        let (said, never_said): (Vec<_>, Vec<_>) =
            divergences.into_iter().partition(|divergence| findings.iter().any(|finding| divergence.explains(finding)));
        let is_unexplained = |finding: &Finding| !said.iter().any(|divergence| divergence.explains(finding));
        Ok(Verdict { unexplained: findings.into_iter().filter(is_unexplained).collect(), never_said })
    }

    /// Fails unless there is nothing to be found that is not explained.
    pub fn must_be_clean(&self) -> anyhow::Result<()> {
        let unexplained = self.lint()?.unexplained;
        ensure!(unexplained.is_empty(), "pkilint found:\n{unexplained:#?}");
        Ok(())
    }

    fn findings(&self) -> anyhow::Result<String> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = tests.parent().unwrap_or(tests).join("target/test-tools/venv/bin/python");
        ensure!(python.exists(), "{} is not there: run tests/install.sh", python.display());
        let list: String = self.0.iter().map(|(kind, path)| format!("{kind} {}\n", path.display())).collect();
        let input = tempfile::NamedTempFile::new().context("no temporary file")?;
        std::fs::write(input.path(), list).context("the list of exhibits")?;
        let output = Command::new(python)
            .arg(tests.join("python/lint_judge.py"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::from(input.reopen().context("the list of exhibits")?))
            .output()
            .context("pkilint cannot be started")?;
        ensure!(output.status.success(), "pkilint failed:\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).context("pkilint says other things")
    }
}

impl Divergence {
    fn explains(&self, finding: &Finding) -> bool {
        finding.code == self.code && finding.message.as_deref().unwrap_or("").starts_with(&self.message)
    }
}
