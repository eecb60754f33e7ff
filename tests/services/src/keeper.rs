//! What runs a server and ends it: a shell that waits on its input, so that the server goes however this process ends.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

/// Starts a program, and ends it by the signal whose name it reads; by INT, and removes the folder, when its input ends.
const SCRIPT: &str = r#"
    folder=$1; shift
    "$@" >>"$folder/log" 2>&1 &
    read -r how
    kill -"${how:-INT}" $!
    wait $!
    [ -n "$how" ] || rm -rf "$folder" 2>/dev/null"#;

/// A running server.
pub(crate) struct Keeper {
    shell: Child,
}

impl Keeper {
    /// Runs a program in the background; its output goes to `log` in the folder.
    pub(crate) fn start(folder: &Path, owner: Owner, program: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_in(&[], folder, owner, program, arguments)
    }

    /// The same with variables of its environment.
    pub(crate) fn start_in(
        environment: &[(String, String)],
        folder: &Path,
        owner: Owner,
        program: &Path,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = owner.command("/bin/sh");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.args(["-c", SCRIPT, "sh"]).arg(folder).arg(program).args(arguments).stdin(Stdio::piped());
        // So that an interrupt from the keyboard does not end the shell before the server.
        let shell = command.process_group(0).spawn().context("a shell cannot be started")?;
        Ok(Self { shell })
    }

    /// Sends a signal (`KILL`, `QUIT`, `TERM`) and waits until the server is gone; its folder stays.
    pub(crate) fn end(mut self, signal: &str) -> anyhow::Result<()> {
        let mut input = self.shell.stdin.take().context("the shell has no input")?;
        input.write_all(format!("{signal}\n").as_bytes()).context("the shell does not listen")?;
        self.shell.wait().context("the shell does not end")?;
        Ok(())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // The end of its input is what the shell waits for. After `end` it is gone already.
        drop(self.shell.stdin.take());
        let _ended = self.shell.wait();
    }
}

/// Who a server runs as: root may not run one, and then it is the user that its package makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner(Option<(u32, u32)>);

impl Owner {
    pub(crate) fn find() -> anyhow::Result<Self> {
        if id(&["-u"])? != 0 {
            return Ok(Self(None));
        }
        let context = "there is no user `postgres`, which the package postgresql-15 makes; run tests/install.sh";
        Ok(Self(Some((id(&["-u", "postgres"]).context(context)?, id(&["-g", "postgres"]).context(context)?))))
    }

    /// Whoever runs the tests.
    pub(crate) const fn this() -> Self {
        Self(None)
    }

    /// A folder below `parent` that it owns, and that others may look into.
    pub(crate) fn folder(self, parent: &Path) -> anyhow::Result<TempDir> {
        let folder = tempfile::Builder::new().prefix("ca-").tempdir_in(parent);
        let folder = folder.with_context(|| format!("no folder can be made in {}", parent.display()))?;
        if let Self(Some((user, group))) = self {
            chown(folder.path(), Some(user), Some(group)).context("the folder cannot be handed over")?;
        }
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).context("permissions")?;
        Ok(folder)
    }

    /// Makes a file its own.
    pub(crate) fn hand_over(self, file: &Path) -> anyhow::Result<()> {
        if let Self(Some((user, group))) = self {
            chown(file, Some(user), Some(group)).context("the file cannot be handed over")?;
        }
        Ok(())
    }

    /// A command that runs as it.
    pub(crate) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Self(Some((user, group))) = self {
            command.uid(user).gid(group);
        }
        // Where it was started from may be a folder that the user must not enter.
        command.current_dir("/");
        command
    }
}

fn id(arguments: &[&str]) -> anyhow::Result<u32> {
    let output = Command::new("id").args(arguments).output().context("`id` cannot be started")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

/// Fails with the name of the package unless a program is there.
pub(crate) fn need(program: &Path, package: &str) -> anyhow::Result<()> {
    ensure!(
        program.exists(),
        "the tests need {}, which is not there: run tests/install.sh, or apt-get install {package}",
        program.display()
    );
    Ok(())
}

/// Asks until the answer is yes, for half a minute.
#[expect(clippy::disallowed_methods, reason = "a test that starts a server has nothing else to do meanwhile")]
pub(crate) fn wait_until(log: &Path, mut is_there: impl FnMut() -> bool) -> anyhow::Result<()> {
    for _ in 0..600 {
        if is_there() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("the server does not answer:\n{}", std::fs::read_to_string(log).unwrap_or_default())
}
