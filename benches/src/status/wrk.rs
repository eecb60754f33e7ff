//! wrk, which asks over many connections at once.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// What is asked for.
pub(super) struct Load {
    arguments: Vec<OsString>,
}

/// What wrk saw.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) requests: f64,
    /// Seconds.
    pub(super) percentile_99: f64,
}

impl Load {
    pub(super) fn get(url: &str) -> Self {
        Self { arguments: vec![url.into()] }
    }

    /// Its script lies in `folder`.
    pub(super) fn post(url: &str, content_type: &str, body: &[u8], folder: &Path) -> anyhow::Result<Self> {
        let script = folder.join("post.lua");
        let mut text =
            format!("wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"{content_type}\"\nwrk.body = \"");
        for octet in body {
            write!(text, "\\{octet:03}")?;
        }
        text.push_str("\"\n");
        fs::write(&script, text).context("wrk's script cannot be written")?;
        Ok(Self { arguments: vec!["-s".into(), script.into(), url.into()] })
    }

    /// Asks for some seconds. Every answer must be one of status 2xx or 3xx.
    pub(super) fn run(&self, seconds: u32) -> anyhow::Result<Outcome> {
        let output = Command::new("wrk")
            .args(["--threads", "1", "--connections", "64", "--latency", "--duration"])
            .arg(format!("{seconds}s"))
            .args(&self.arguments)
            .output()
            .context("wrk cannot be started (Debian: wrk)")?;
        ensure!(output.status.success(), "wrk failed: {}", String::from_utf8_lossy(&output.stderr));
        read(&String::from_utf8_lossy(&output.stdout))
    }
}

fn read(said: &str) -> anyhow::Result<Outcome> {
    let faults = ["Non-2xx or 3xx responses:", "Socket errors:"];
    ensure!(!faults.iter().any(|fault| said.contains(fault)), "wrk saw faults: {said}");
    let mut lines = said.lines().map(str::trim);
    let percentile_99 = lines.find_map(|line| seconds(line.strip_prefix("99%")?.trim()));
    let requests = lines.find_map(|line| line.split_once(" requests in ")?.0.parse().ok());
    let outcome = requests.zip(percentile_99).map(|(requests, percentile_99)| Outcome { requests, percentile_99 });
    outcome.with_context(|| format!("wrk says something else: {said}"))
}

fn seconds(text: &str) -> Option<f64> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)];
    units.iter().find_map(|(unit, seconds)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
        Latency     1.03ms  500.00us  10.99ms   93.99%\n    Req/Sec    60.00k     2.00k   70.00k    70.00%\n  Latency Distribution\n     \
        50%    0.98ms\n     75%    1.10ms\n     90%    1.40ms\n     99%    2.50ms\n  120001 requests in 2.00s, 100.00MB read\n\
        Requests/sec:  60000.50\n";

    #[test]
    fn reads_what_wrk_says() {
        let outcome = read(SAID).expect("what wrk 4.1 says");
        assert_eq!((outcome.requests, seconds("870.00us"), seconds("1.50s")), (120_001.0, Some(870e-6), Some(1.5)));
        assert!((outcome.percentile_99 - 2.5e-3).abs() < 1e-9);
        assert!(read(&format!("{SAID}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(read("nothing").is_err());
    }
}
