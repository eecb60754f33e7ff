//! Commands that are run when something changed or is in danger: without a shell, not for ever, and what they say is kept short.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// No command takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// As much of what a command says is told.
const LONGEST_WORD: usize = 400;
/// So many octets of it are looked at.
const KEPT: usize = 4_096;

/// Runs a program with its arguments and variables of the environment beside ours; the error says what went wrong.
pub(super) async fn run(command: &[String], variables: &[(&str, &str)]) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let started = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = started.map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    let said = [
        child.stderr.take().map(|said| tokio::spawn(last_of(said))),
        child.stdout.take().map(|said| tokio::spawn(last_of(said))),
    ];
    let status = match tokio::time::timeout(PATIENCE, child.wait()).await {
        Err(_) => return Err(format!("`{program}` did not end within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => return Err(format!("`{program}` cannot be waited for: {error}")),
        Ok(Ok(status)) => status,
    };
    if status.success() {
        return Ok(());
    }
    let mut words = String::new();
    for reader in said.into_iter().flatten() {
        // What it left running may hold the pipe open.
        let read = tokio::time::timeout(Duration::from_secs(1), reader).await;
        let read = read.ok().and_then(Result::ok).unwrap_or_default();
        if words.is_empty() {
            String::from_utf8_lossy(&read).trim().clone_into(&mut words);
        }
    }
    let word: String = words.lines().last().unwrap_or_default().chars().take(LONGEST_WORD).collect();
    Err(format!("`{program}` ended with {status}: {word}"))
}

/// The last octets of what a program says; all of it is read, so that it never waits for us.
async fn last_of(mut said: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut last = Vec::new();
    let mut piece = [0; KEPT];
    while let Ok(read @ 1..) = said.read(&mut piece).await {
        last.extend_from_slice(piece.get(..read).unwrap_or_default());
        last.drain(..last.len().saturating_sub(KEPT));
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_failure_tells_what_the_command_said_last_and_no_more_than_a_line() {
        assert_eq!(run(&[], &[]).await, Ok(()), "nothing to run");
        assert_eq!(run(&words(&["sh", "-c", "test \"$CA_X\" = y"]), &[("CA_X", "y")]).await, Ok(()));
        let failed = run(&words(&["sh", "-c", "echo first >&2; printf 'x%.0s' $(seq 9000) >&2; exit 3"]), &[]).await;
        let failed = failed.expect_err("it failed");
        assert!(failed.contains("exit status: 3") && failed.ends_with("xxx") && failed.len() < 500, "{failed}");
        let started = tokio::time::Instant::now();
        let failed = run(&words(&["sh", "-c", "sleep 100 & exit 4"]), &[]).await.expect_err("it failed");
        assert!(
            failed.contains("exit status: 4") && started.elapsed() < PATIENCE,
            "what it left running is not waited for"
        );
        assert!(run(&words(&["/no/such/program"]), &[]).await.expect_err("absent").contains("cannot be run"));
    }
}
