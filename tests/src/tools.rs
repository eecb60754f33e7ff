//! Programs that others wrote, as judges. One that is missing fails the test; no test is skipped for it.
//!
//! `tests/install.sh` installs them all.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Where a program lies: in `PATH`, or where Debian keeps what only root looks for.
#[expect(clippy::disallowed_methods, reason = "programs are found as a shell finds them")]
pub fn find(program: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file());
    found.with_context(|| format!("{program} is not installed; run tests/install.sh"))
}

/// What a program said, and whether it succeeded.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whether its exit status was 0.
    pub succeeded: bool,
    /// Its standard output.
    pub output: Vec<u8>,
    /// Its standard error.
    pub errors: String,
}

impl Said {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Both streams, for messages.
    pub fn all(&self) -> String {
        format!("{}{}", self.text(), self.errors)
    }
}

/// Runs an installed program in `folder` to its end.
pub fn run<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
    folder: &Path,
) -> anyhow::Result<Said> {
    let output = Command::new(find(program)?)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} cannot be started"))?;
    Ok(Said {
        succeeded: output.status.success(),
        output: output.stdout,
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs openssl; fails, with what it said, unless it succeeds.
pub fn openssl<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, folder: &Path) -> anyhow::Result<Said> {
    let said = run("openssl", arguments, folder)?;
    if !said.succeeded {
        bail!("openssl refused: {}", said.all());
    }
    Ok(said)
}
