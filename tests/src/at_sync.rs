//! Cuts programs off at one of the moments at which they ask the disk to keep what they have written: between any two steps that last.
//! By a library that is loaded before the C library's own (`tests/c/at_sync.c`), so the moment is counted and not timed.

use std::path::Path;

use anyhow::Context;
use ca_test_services::SoftHsm;

use crate::tools::run;

/// What a program says on standard error when the moment has come.
pub const TOLD: &str = "at_sync: now";

/// The library, compiled.
pub struct AtSync {
    library: String,
}

impl AtSync {
    /// Compiles it into a folder.
    pub fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        let library = folder.join("at_sync.so").display().to_string();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/at_sync.c").display().to_string();
        let said = run("cc", ["-shared", "-fPIC", "-O1", "-Wall", "-o", &library, &source, "-ldl"], folder)?;
        anyhow::ensure!(said.succeeded, "at_sync.c does not compile: {}", said.all());
        Ok(Self { library })
    }

    /// The environment of a program that is ended, as `kill -9` does it, when it asks for the `number`th time, from 1 on.
    pub fn kill(&self, number: u32) -> Vec<(&'static str, String)> {
        vec![("LD_PRELOAD", self.library.clone()), ("AT_SYNC", number.to_string())]
    }

    /// The environment of a program whose tokens are pulled out then.
    pub fn unplug(&self, number: u32, hsm: &SoftHsm) -> anyhow::Result<Vec<(&'static str, String)>> {
        let (from, to) = hsm.places();
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is not UTF-8");
        let mut environment = self.kill(number);
        environment.extend([("AT_SYNC_UNPLUG", text(&from)?), ("AT_SYNC_AWAY", text(&to)?)]);
        Ok(environment)
    }

    /// The names of all that [`Self::kill`] and [`Self::unplug`] set.
    pub const NAMES: [&str; 4] = ["LD_PRELOAD", "AT_SYNC", "AT_SYNC_UNPLUG", "AT_SYNC_AWAY"];
}
