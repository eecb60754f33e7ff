//! A program that runs beside the test: what it says is collected line by line, and it never outlives its owner.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};

/// A running program.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

/// What a program has said on both of its streams.
#[derive(Default)]
struct Output {
    said: Mutex<Said>,
    changed: Condvar,
}

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    open_streams: usize,
}

impl Process {
    /// Starts a program with no environment but what is given.
    pub fn start<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        program: &Path,
        arguments: &[&str],
        environment: impl IntoIterator<Item = (K, V)>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let output = Arc::new(Output::default());
        output.lock().open_streams = 2;
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|stream| collect(stream, &output)));
        readers.extend(child.stderr.take().map(|stream| collect(stream, &output)));
        let name = program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { name: [&[name.as_str()], arguments].concat().join(" "), child, output, readers })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The memory it has in use (`VmRSS`), in KiB. Linux only.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        line.trim().trim_end_matches("kB").trim().parse().with_context(|| format!("not a size: {line}"))
    }

    /// Everything it has said so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().lines.clone()
    }

    /// Waits until it has said a line that holds `text`, and gives the line. Fails when it ends or the time is over.
    pub fn wait_for_line(&self, text: &str, timeout: Duration) -> anyhow::Result<String> {
        let find = |said: &Said| said.lines.iter().find(|line| line.contains(text)).cloned();
        let waiting = |said: &mut Said| find(said).is_none() && said.open_streams > 0;
        let (said, result) = self
            .output
            .changed
            .wait_timeout_while(self.output.lock(), timeout, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = find(&said) {
            return Ok(line);
        }
        let why = if result.timed_out() { format!("not within {timeout:?}") } else { "it ended".to_owned() };
        bail!("`{}` never said {text:?}: {why}. It said:\n{}", self.name, said.lines.join("\n"));
    }

    /// Waits for its end; fails, and kills it, when the time is over.
    pub fn wait(&mut self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        // Both streams close when the program ends, and nothing else holds them.
        let output = Arc::clone(&self.output);
        let (said, result) = output
            .changed
            .wait_timeout_while(output.lock(), timeout, |said| said.open_streams > 0)
            .unwrap_or_else(PoisonError::into_inner);
        drop(said);
        if result.timed_out() {
            self.kill();
            bail!("`{}` did not end within {timeout:?}", self.name);
        }
        self.child.wait().with_context(|| format!("`{}` cannot be waited for", self.name))
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    pub fn stop(&mut self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        self.ask_to_stop()?;
        self.wait(timeout)
    }

    /// Asks it to stop (SIGTERM).
    pub fn ask_to_stop(&self) -> anyhow::Result<()> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM)
            .with_context(|| format!("`{}` cannot be told to stop", self.name))
    }

    /// Ends it at once (SIGKILL), as a power cut would.
    pub fn kill(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let lines = self.lines();
            let last = lines.len().saturating_sub(40);
            eprintln!("the last lines of `{}`:\n{}", self.name, lines[last..].join("\n"));
        }
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn collect(stream: impl Read + Send + 'static, output: &Arc<Output>) -> JoinHandle<()> {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|octets| octets > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            output.lock().lines.push(text);
            output.changed.notify_all();
            line.clear();
        }
        output.lock().open_streams -= 1;
        output.changed.notify_all();
    })
}
