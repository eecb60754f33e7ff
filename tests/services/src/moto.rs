//! moto, an emulator of AWS that others wrote, on a port of its own choice.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::keeper::{Keeper, Owner, wait_until};

/// A running emulator; what is in it is lost when it ends. Dropping it ends it.
pub struct MotoServer {
    // Before the folder, so that the server is gone when the folder goes.
    _keeper: Keeper,
    folder: TempDir,
}

impl MotoServer {
    /// An empty one.
    pub fn start() -> anyhow::Result<Self> {
        let program = program();
        ensure!(program.exists(), "the tests need {}, which is not there: run tests/install.sh", program.display());
        let folder = tempfile::Builder::new().prefix("ca-moto-").tempdir().context("no temporary folder")?;
        // A port that is free when it binds, and that it then tells.
        let arguments = ["-H", "127.0.0.1", "-p", "0"];
        let environment = [("PYTHONUNBUFFERED".to_owned(), "1".to_owned())];
        let keeper = Keeper::start_in(&environment, folder.path(), Owner::this(), &program, &arguments)?;
        let server = Self { _keeper: keeper, folder };
        wait_until(&server.log(), || server.address().is_some())?;
        Ok(server)
    }

    /// What `endpoint_url` is to be.
    pub fn endpoint_url(&self) -> String {
        self.address().unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The address that it has told; it is bound by then.
    fn address(&self) -> Option<String> {
        let log = std::fs::read_to_string(self.log()).ok()?;
        let line = log.lines().find_map(|line| line.split_once("Running on ").map(|(_, address)| address))?;
        Some(line.split_whitespace().next()?.trim_end_matches('/').to_owned())
    }
}

/// Where `tests/install.sh` puts what comes from PyPI.
fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools/venv/bin/moto_server")
}
