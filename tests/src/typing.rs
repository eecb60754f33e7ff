//! A command that somebody sits before: on a terminal (`script` of util-linux makes one), where it can be typed at and interrupted.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, ensure};

use crate::outcome::Outcome;
use crate::stack::PATIENCE;

/// Debian's package `bsdutils`, which every system has.
const SCRIPT: &str = "/usr/bin/script";

/// What Ctrl-C sends.
const INTERRUPT: &str = "\u{3}";

/// A running command, with what its terminal shows.
pub struct Typing {
    command: String,
    child: Child,
    keyboard: ChildStdin,
    screen: Arc<Screen>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Screen {
    shown: Mutex<(String, bool)>,
    changed: Condvar,
}

impl Typing {
    /// Starts a command, which must name a program, on a terminal of its own. `prepared` has its environment and folder.
    pub fn start(mut prepared: Command, line: &[String]) -> anyhow::Result<Self> {
        let quoted: Vec<String> = line.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
        // In the place of the shell: what is interrupted is the command, and its status is what is told. Whoever runs the tests in the
        // background of a shell has them ignore Ctrl-C, and what they start with them; at a terminal nobody does.
        let command = format!("exec env --default-signal=INT {}", quoted.join(" "));
        let mut child = prepared
            .args(["--quiet", "--return", "--flush", "--command", &command, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("script cannot be started; Debian's package bsdutils has it")?;
        let keyboard = child.stdin.take().context("no keyboard")?;
        let mut stream = child.stdout.take().context("no screen")?;
        let screen = Arc::new(Screen::default());
        let shown = Arc::clone(&screen);
        let reader = std::thread::spawn(move || {
            let mut octets = [0; 4_096];
            while let Ok(count @ 1..) = stream.read(&mut octets) {
                shown.change(|(text, _)| text.push_str(&String::from_utf8_lossy(&octets[..count])));
            }
            shown.change(|(_, ended)| *ended = true);
        });
        Ok(Self { command, child, keyboard, screen, reader: Some(reader) })
    }

    /// The program that gives a terminal, to be prepared for [`Self::start`].
    pub fn program() -> Command {
        Command::new(SCRIPT)
    }

    /// Waits until the terminal has shown a text.
    pub fn sees(&self, text: &str) -> anyhow::Result<()> {
        let shown = self.wait(|(shown, ended)| shown.contains(text) || *ended);
        ensure!(shown.contains(text), "`{}` never showed {text:?}: {shown}", self.command);
        Ok(())
    }

    /// Types a text.
    pub fn types(&mut self, text: &str) -> anyhow::Result<()> {
        self.keyboard
            .write_all(text.as_bytes())
            .and_then(|()| self.keyboard.flush())
            .context("nobody reads the keyboard")
    }

    /// Presses Ctrl-C.
    pub fn interrupts(&mut self) -> anyhow::Result<()> {
        self.types(INTERRUPT)
    }

    /// How the command ended, which it does by itself.
    pub fn ends(mut self) -> anyhow::Result<Outcome> {
        let shown = self.wait(|(_, ended)| *ended);
        ensure!(self.screen.is_dark(), "`{}` does not end: {shown}", self.command);
        let status = self.child.wait()?;
        if let Some(reader) = self.reader.take() {
            reader.join().map_err(|_| anyhow::anyhow!("the screen was not read"))?;
        }
        Ok(Outcome { command: self.command.clone(), code: status.code(), output: shown, errors: String::new() })
    }

    fn wait(&self, is_enough: impl Fn(&(String, bool)) -> bool) -> String {
        let shown = self.screen.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.screen.changed.wait_timeout_while(shown, PATIENCE, |shown| !is_enough(shown));
        waited.unwrap_or_else(PoisonError::into_inner).0.0.clone()
    }
}

impl Drop for Typing {
    fn drop(&mut self) {
        // One that has ended is neither killed nor waited for again.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Screen {
    fn change(&self, change: impl FnOnce(&mut (String, bool))) {
        change(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn is_dark(&self) -> bool {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}
