//! Keys that AWS KMS is going to make: shown whole, and made when their number was typed, or `--yes` said so beforehand.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail};
use ca_runtime::kms_keys::PlannedKmsKey;

use super::say;

/// Shows what is going to be made; an error unless it may be.
pub(super) fn review(planned: &[PlannedKmsKey], yes: bool) -> anyhow::Result<()> {
    if planned.is_empty() {
        return Ok(());
    }
    say("keys that AWS KMS is going to make:");
    for key in planned {
        say(key);
    }
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        bail!("nothing was made: without a terminal, say --yes once you have read it");
    }
    let number = planned.len();
    let mut terminal = io::stderr().lock();
    // Whoever only presses a key has not read it.
    write!(terminal, "type {number} to have {} made: ", if number == 1 { "it" } else { "them" })
        .and_then(|()| terminal.flush())
        .context("the terminal")?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("the terminal")?;
    if line.trim() != number.to_string() {
        bail!("that is another number; nothing was made");
    }
    Ok(())
}
