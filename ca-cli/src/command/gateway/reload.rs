//! Having the gateway read its lists anew: a command, run without a shell and not for ever.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// No reload takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// As much of what a command says goes into an alarm.
const LONGEST_WORD: usize = 400;

/// Runs `command`; the error says what went wrong.
pub(super) async fn reload(command: &[String]) -> Result<(), String> {
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
        runtime.block_on(reload(&command))
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
