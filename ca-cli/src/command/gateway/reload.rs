//! Having the gateway read its lists anew: by a command, run without a shell and not for ever, or by the socket of HAProxy's
//! master. Neither proves that it did: nginx and HAProxy both answer before they have tried. The probe does.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Command;

/// No reload takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// As much of what a command says goes into an alarm.
const LONGEST_WORD: usize = 400;
/// What HAProxy answers is a line or two, and the log of its start.
const LONGEST_ANSWER: u64 = 64 << 10;

/// How the gateway is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reload {
    /// Not at all: somebody else does it.
    Nothing,
    /// By this program and its arguments.
    Command(Vec<String>),
    /// By `reload` on the socket of HAProxy's master.
    HaproxySocket(PathBuf),
}

impl Reload {
    /// Tells the gateway; the error says what went wrong.
    pub(super) async fn run(&self) -> Result<(), String> {
        match self {
            Self::Nothing => Ok(()),
            Self::Command(command) => run_command(command).await,
            Self::HaproxySocket(socket) => {
                let told = tokio::time::timeout(PATIENCE, tell_haproxy(socket)).await;
                let told = told.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                told.map_err(|error| format!("{}: {error}", socket.display()))
            }
        }
    }
}

async fn tell_haproxy(socket: &Path) -> io::Result<()> {
    let mut master = UnixStream::connect(socket).await?;
    master.write_all(b"reload\n").await?;
    let mut answer = Vec::new();
    // Until 2.7 the master answers by closing, as it becomes its own successor.
    match master.take(LONGEST_ANSWER).read_to_end(&mut answer).await {
        Err(error) if error.kind() != io::ErrorKind::ConnectionReset => return Err(error),
        _ => {}
    }
    match String::from_utf8_lossy(&answer).contains("Success=0") {
        true => Err(io::Error::other("HAProxy could not load its configuration anew; its log says why")),
        false => Ok(()),
    }
}

async fn run_command(command: &[String]) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let shown = command.join(" ");
    let running = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(PATIENCE, running).await {
        Err(_) => return Err(format!("`{shown}` did not end within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => return Err(format!("`{shown}` cannot be run: {error}")),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].map(|said| String::from_utf8_lossy(&said).trim().to_owned());
    let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_default();
    let said: String = said.lines().last().unwrap_or_default().chars().take(LONGEST_WORD).collect();
    Err(format!("`{shown}` ended with {}: {said}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &[&str]) -> Result<(), String> {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(Reload::Command(command).run())
    }

    #[test]
    fn a_failure_tells_what_the_command_said_last() {
        assert_eq!(run(&["true"]), Ok(()));
        assert_eq!(run(&[]), Ok(()), "nothing to run");
        let failed = run(&["sh", "-c", "echo first >&2; echo 'no such file' >&2; exit 3"]).expect_err("it failed");
        assert!(failed.contains("exit status: 3") && failed.ends_with("no such file"), "{failed}");
        assert!(run(&["/no/such/program"]).expect_err("absent").contains("cannot be run"));
    }
}
