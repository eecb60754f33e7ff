//! A clock that a test sets for the programs it starts, by libfaketime (Debian package `faketime`). The test's own clock and
//! the machine's stay as they are.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::stack::Site;

/// The wall clock of the programs of one site. It can be set while they run; what they measure with stays true.
pub struct FakeClock {
    file: PathBuf,
}

impl FakeClock {
    /// Takes the place of the clock of every program that is started in `site` from now on; right, to begin with.
    pub fn of(site: &mut Site) -> anyhow::Result<Self> {
        let clock = Self { file: site.work_folder().join("clock") };
        clock.set("+0")?;
        let file = clock.file.to_str().context("a path that is not UTF-8")?;
        site.set("FAKETIME_TIMESTAMP_FILE", file);
        // Else it would look into the file every ten seconds.
        site.set("FAKETIME_NO_CACHE", "1");
        // Timers are no clocks: a service whose time jumps still waits as long as it meant to.
        site.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        site.set("LD_PRELOAD", &library()?);
        Ok(clock)
    }

    /// Sets it this far from the true time: `-1h`, `+1800d`, `+0`.
    pub fn set(&self, offset: &str) -> anyhow::Result<()> {
        // A reader finds the old offset or the new one, never half of it.
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{offset}\n")).context("the clock cannot be set")?;
        std::fs::rename(&new, &self.file).context("the clock cannot be set")
    }
}

/// The environment of a program whose clock is this far from the true time from its start to its end; for servers of others, which
/// take no file of ours.
pub fn environment(offset: &str) -> anyhow::Result<Vec<(String, String)>> {
    let library = library()?;
    let pairs = [("LD_PRELOAD", library.as_str()), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
}

/// The library, where the `faketime` program says it lies.
fn library() -> anyhow::Result<String> {
    // It names a semaphore by its process id, and may find one of that name that a process of earlier left: another id is tried.
    let mut said = String::new();
    for _ in 0..10 {
        let output = Command::new("faketime")
            .args(["-f", "+0", "env"])
            .output()
            .context("faketime cannot be started; tests/install.sh installs it")?;
        if output.status.success() {
            return preloaded(output.stdout);
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
    }
    bail!("faketime: {said}")
}

/// The library, as the environment of what it starts names it.
fn preloaded(environment: Vec<u8>) -> anyhow::Result<String> {
    let environment = String::from_utf8(environment).context("faketime said what is not UTF-8")?;
    let library = environment.lines().find_map(|line| line.strip_prefix("LD_PRELOAD="));
    library.map(str::to_owned).context("faketime names no library")
}
