//! Runs `ca-cli` as a person at a terminal would: in a folder, with nothing of this process's environment.

use std::ffi::OsStr;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::outcome::Outcome;
use crate::programs::programs;
use crate::stack::Site;
use crate::typing::Typing;

/// A working directory, and what every command in it is given.
pub struct Terminal {
    folder: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// A program and its arguments that every command is started through; nothing, most times.
    through: Vec<String>,
}

impl Terminal {
    /// An empty folder. Commands in it know no server and no hierarchy.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ca-e2e-cli-").tempdir().context("no temporary folder")?;
        let mut terminal = Self { folder, arguments: Vec::new(), environment: Vec::new(), through: Vec::new() };
        // What a command may write to without being told.
        terminal.set("HOME", &terminal.folder.path().join("home").display().to_string());
        Ok(terminal)
    }

    /// An empty folder whose commands work on the data folder `./pki`, with a P-256 root.
    pub fn local() -> anyhow::Result<Self> {
        let mut terminal = Self::new()?;
        terminal.arguments = vec!["--local".to_owned(), "./pki".to_owned()];
        terminal.set("CA__AUTHORITY__ROOT__KEY", "software:p256");
        terminal.set("CA__AUTHORITY__DOCUMENT__KEY", "software:p256");
        terminal.set("CA__MANAGED__DIRECTORIES", "/srv");
        Ok(terminal)
    }

    /// An empty folder whose commands read this configuration file.
    pub fn with_config(config: &Path) -> anyhow::Result<Self> {
        let mut terminal = Self::new()?;
        terminal.arguments = vec!["--config".to_owned(), config.display().to_string()];
        Ok(terminal)
    }

    /// Sets a variable of the environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// An empty folder whose commands work on the data folder of a site, as the site's own programs see it.
    pub fn local_at(site: &Site) -> anyhow::Result<Self> {
        let mut terminal = Self::new()?;
        terminal.arguments = vec!["--local".to_owned(), site.own_data_folder().display().to_string()];
        if !site.through().is_empty() {
            // What it is started through may begin elsewhere: `nsenter` does, at the root.
            let folder = terminal.folder().display().to_string();
            terminal.through = [site.through(), &["env".to_owned(), "--chdir".to_owned(), folder]].concat();
        }
        for (name, value) in site.environment() {
            terminal.set(name, value);
        }
        Ok(terminal)
    }

    /// The working directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the working directory.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The text of a file in the working directory.
    pub fn read(&self, file: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.path(file)).with_context(|| format!("{file} cannot be read"))
    }

    /// Writes a file into the working directory.
    pub fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        std::fs::write(self.path(file), text).with_context(|| format!("{file} cannot be written"))
    }

    /// Starts the commands that follow through another program (`unshare --net`, say).
    pub fn start_through(&mut self, through: &[&str]) {
        self.through = through.iter().map(|part| (*part).to_owned()).collect();
    }

    /// Runs a command to its end. Nobody sits at the terminal: a prompt would find no answer.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Outcome> {
        self.run_with(arguments, Stdio::null())
    }

    /// Runs a command to which this is typed.
    pub fn run_typing(&self, arguments: &[&str], typed: &str) -> anyhow::Result<Outcome> {
        let mut file = tempfile::tempfile().context("no temporary file")?;
        file.write_all(typed.as_bytes()).and_then(|()| file.rewind()).context("what is typed cannot be kept")?;
        self.run_with(arguments, file.into())
    }

    fn run_with(&self, arguments: &[&str], input: Stdio) -> anyhow::Result<Outcome> {
        let program = programs()?.cli.as_os_str();
        let mut line = self.through.iter().map(OsStr::new).chain([program]);
        let output = Command::new(line.next().context("nothing to execute")?)
            .args(line)
            .args(&self.arguments)
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder())
            .stdin(input)
            .output()
            .context("ca-cli cannot be started")?;
        Ok(Outcome {
            command: arguments.join(" "),
            code: output.status.code(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts a command that somebody sits before.
    pub fn sit_before(&self, arguments: &[&str]) -> anyhow::Result<Typing> {
        let program = programs()?.cli.to_str().context("the path of ca-cli is not UTF-8")?;
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        let line = self.through.iter().cloned().chain([program.to_owned()]);
        let line: Vec<String> = line.chain(self.arguments.iter().cloned()).chain(arguments).collect();
        let mut prepared = Typing::program();
        prepared
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder());
        Typing::start(prepared, &line)
    }

    /// Runs a command that must succeed, and gives its standard output.
    pub fn done(&self, arguments: &[&str]) -> anyhow::Result<String> {
        Ok(self.run(arguments)?.ended_with(0)?.output)
    }

    /// Runs a command with `--output json` that must succeed.
    pub fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> anyhow::Result<T> {
        let output = self.done(&[&["--output", "json"], arguments].concat())?;
        serde_json::from_str(&output).with_context(|| format!("not JSON of the expected shape: {output}"))
    }

    /// Runs a command that must end with `code` and say all of `hints`.
    pub fn refused(&self, code: i32, arguments: &[&str], hints: &[&str]) -> anyhow::Result<Outcome> {
        let outcome = self.run(arguments)?.ended_with(code)?;
        for hint in hints {
            ensure!(outcome.said().contains(hint), "`{hint}` is missing in what `{arguments:?}` said: {outcome:?}");
        }
        Ok(outcome)
    }
}
