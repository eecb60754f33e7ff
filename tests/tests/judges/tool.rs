//! Runs a program that others wrote, and keeps what it said.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use ca_e2e::tools::find;

/// No judge thinks longer; schemathesis says itself how long it takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program about to be run.
pub(crate) struct Tool {
    command: Command,
    name: String,
    input: Vec<u8>,
}

/// How it ended, and what it said.
pub(crate) struct Verdict {
    /// Whether it ended with 0.
    pub(crate) accepted: bool,
    /// Its standard output.
    pub(crate) stdout: Vec<u8>,
    said: String,
    command: String,
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Where `tests/install.sh` puts what comes from PyPI.
pub(crate) fn virtual_environment() -> PathBuf {
    workspace().join("target/test-tools/venv")
}

impl Tool {
    /// A program of the system.
    pub(crate) fn new(program: &str) -> Self {
        // One that is missing is told of when it is run.
        Self::at(&find(program).unwrap_or_else(|_| program.into()))
    }

    /// A program of the virtual environment.
    pub(crate) fn from_pypi(program: &str) -> Self {
        Self::at(&virtual_environment().join("bin").join(program))
    }

    /// A script of `tests/python`, in the virtual environment.
    pub(crate) fn python(script: &str) -> Self {
        let mut tool = Self::from_pypi("python");
        script.clone_into(&mut tool.name);
        tool.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script))
    }

    /// A program of this file.
    pub(crate) fn at(program: &Path) -> Self {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C.UTF-8");
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        Self { command, name, input: Vec::new() }
    }

    /// One more argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The folder it runs in.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What it reads from its standard input.
    pub(crate) fn input(mut self, octets: impl Into<Vec<u8>>) -> Self {
        self.input = octets.into();
        self
    }

    /// Runs it to its end. Fails when it is not installed, or does not end.
    pub(crate) fn run(mut self) -> anyhow::Result<Verdict> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!("{} is not installed: run tests/install.sh", self.name),
            _ => anyhow!(error).context(format!("{} cannot be started", self.name)),
        })?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that wants no input may have closed it.
            let _ = stdin.write_all(&self.input);
        }
        let id = rustix::process::Pid::from_child(&child);
        let (sender, ended) = channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let output = match ended.recv_timeout(PATIENCE) {
            Ok(output) => output.with_context(|| format!("{} cannot be waited for", self.name))?,
            Err(RecvTimeoutError::Timeout) => {
                rustix::process::kill_process(id, rustix::process::Signal::KILL).context("it cannot be ended")?;
                bail!("{} did not end within {PATIENCE:?}", self.name)
            }
            Err(RecvTimeoutError::Disconnected) => bail!("nobody waited for {}", self.name),
        };
        let arguments: Vec<_> = self.command.get_args().map(OsStr::to_string_lossy).collect();
        Ok(Verdict::of(output, format!("{} {}", self.name, arguments.join(" "))))
    }
}

impl Verdict {
    fn of(output: Output, command: String) -> Self {
        let said = [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).join("\n");
        Self { accepted: output.status.success(), stdout: output.stdout, said, command }
    }

    /// Itself, if the program ended with 0.
    pub(crate) fn accepts(self) -> anyhow::Result<Self> {
        ensure!(self.accepted, "refused by `{}`:\n{}", self.command, self.said);
        Ok(self)
    }

    /// Itself, if the program did not end with 0, and said `because`.
    pub(crate) fn refuses(self, because: &str) -> anyhow::Result<Self> {
        ensure!(!self.accepted, "accepted by `{}`, which should say {because:?}:\n{}", self.command, self.said);
        self.says(because)
    }

    /// Itself, if the program said `text`, in whatever case.
    pub(crate) fn says(self, text: &str) -> anyhow::Result<Self> {
        let found = self.said.to_lowercase().contains(&text.to_lowercase());
        ensure!(found, "`{}` did not say {text:?} but:\n{}", self.command, self.said);
        Ok(self)
    }

    /// Itself, if the program did not say `text`.
    pub(crate) fn never_says(self, text: &str) -> anyhow::Result<Self> {
        ensure!(!self.said.contains(text), "`{}` said {text:?}:\n{}", self.command, self.said);
        Ok(self)
    }

    /// Its standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}
