//! `cfssl ocspserve`, which gives answers that were signed before, from memory as we do.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::clock::wall;
use crate::process::Running;

/// A running `cfssl ocspserve`.
pub(super) struct Cfssl {
    running: Running,
    address: SocketAddr,
}

impl Cfssl {
    /// Starts it with one answer, its file in a folder.
    pub(super) fn serving(folder: &Path, answer: &[u8]) -> anyhow::Result<Self> {
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).context("no free port")?;
        let responses = folder.join("responses");
        fs::write(&responses, STANDARD.encode(answer) + "\n").context("cfssl's answers cannot be written")?;
        let mut command = Command::new("cfssl");
        command
            .args(["ocspserve", "-address", "127.0.0.1", "-port", &address.port().to_string(), "-loglevel", "4"])
            .arg("-responses")
            .arg(responses)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let running = Running::start(&mut command).context("Debian: golang-cfssl")?;
        let cfssl = Self { running, address };
        let start = wall();
        while TcpStream::connect(address).is_err() {
            ensure!(wall() - start < 10.0, "cfssl does not listen");
            crate::service::pause(Duration::from_millis(10));
        }
        Ok(cfssl)
    }

    /// Where requests are posted.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) fn id(&self) -> u32 {
        self.running.id()
    }
}
