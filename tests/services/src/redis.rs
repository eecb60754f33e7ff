//! A Redis on a free port of the loopback interface, or any other way that it is told.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::keeper::{Keeper, Owner, need, wait_until};
use crate::port;

/// Where Debian's packages `redis-server` and `redis-tools` put the programs.
const PROGRAM: &str = "/usr/bin/redis-server";
const CLIENT: &str = "/usr/bin/redis-cli";

/// A running server. Dropping it ends it.
pub struct RedisServer {
    // Before the folder, so that the server is gone when the folder goes.
    keeper: Option<Keeper>,
    folder: TempDir,
    port: u16,
    is_encrypted: bool,
}

impl RedisServer {
    /// An empty server that asks for [`Self::PASSWORD`].
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(None)
    }

    /// The same behind TLS, with a certificate and its key in PEM.
    pub fn start_encrypted(certificate: &str, key: &str) -> anyhow::Result<Self> {
        Self::start_with(Some((certificate, key)))
    }

    fn start_with(certificate: Option<(&str, &str)>) -> anyhow::Result<Self> {
        need(Path::new(PROGRAM), "redis-server")?;
        let folder = tempfile::Builder::new().prefix("ca-redis-").tempdir().context("no temporary folder")?;
        let port = port::free()?;
        if let Some((certificate, key)) = certificate {
            std::fs::write(folder.path().join("certificate.pem"), certificate).context("the certificate")?;
            std::fs::write(folder.path().join("key.pem"), key).context("its key")?;
        }
        let mut server = Self { keeper: None, folder, port, is_encrypted: certificate.is_some() };
        server.run()?;
        Ok(server)
    }

    /// The password of its default user.
    pub const PASSWORD: &str = "a-password-of-the-tests";

    /// Starts it, after [`Self::kill`], and waits until it answers.
    pub fn run(&mut self) -> anyhow::Result<()> {
        let (folder, port) = (self.folder.path(), self.port.to_string());
        let path = folder.to_str().context("the path of a temporary folder is not UTF-8")?;
        let pid_file = self.pid_file();
        let pid_file = pid_file.to_str().context("not UTF-8")?;
        let listen: &[&str] = match self.is_encrypted {
            // Paths are relative to the folder that it changes to.
            true => &[
                "--port",
                "0",
                "--tls-port",
                &port,
                "--tls-cert-file",
                "certificate.pem",
                "--tls-key-file",
                "key.pem",
                "--tls-ca-cert-file",
                "certificate.pem",
                "--tls-auth-clients",
                "no",
            ],
            false => &["--port", &port],
        };
        let common = [
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--requirepass",
            Self::PASSWORD,
            "--pidfile",
            pid_file,
        ];
        // The folder first: what follows is looked for in it.
        let arguments = [&["--dir", path], listen, &common].concat();
        self.keeper = Some(Keeper::start(folder, Owner::this(), Path::new(PROGRAM), &arguments)?);
        wait_until(&folder.join("log"), || self.command(&["PING"]).is_ok_and(|said| said.trim() == "PONG"))
    }

    /// Ends it at once, and all that it held is lost.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.keeper.take().map_or(Ok(()), |keeper| keeper.end("KILL"))
    }

    /// Stops it where it stands: it takes connections and does not answer, until [`Self::thaw`].
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal("STOP")
    }

    /// Lets it go on.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal("CONT")
    }

    /// The address, password included.
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// The address by another port that leads to it.
    pub fn url_through(&self, port: u16) -> String {
        let scheme = if self.is_encrypted { "rediss" } else { "redis" };
        format!("{scheme}://:{}@127.0.0.1:{port}", Self::PASSWORD)
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends a command by `redis-cli`; returns what it printed.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.command_with(arguments, None).map(|said| String::from_utf8_lossy(&said).into_owned())
    }

    /// Keys that match a pattern.
    pub fn keys(&self, pattern: &str) -> anyhow::Result<Vec<String>> {
        Ok(self.command(&["KEYS", pattern])?.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// The octets under a key.
    pub fn get(&self, key: &str) -> anyhow::Result<Vec<u8>> {
        let mut said = self.command_with(&["GET", key], None)?;
        // The end of the line is the client's.
        ensure!(said.pop() == Some(b'\n'), "redis-cli ends with a line feed");
        Ok(said)
    }

    /// Puts octets under a key, as anybody may who can write.
    pub fn plant(&self, key: &str, octets: &[u8]) -> anyhow::Result<()> {
        self.command_with(&["-x", "SET", key], Some(octets)).map(drop)
    }

    fn command_with(&self, arguments: &[&str], input: Option<&[u8]>) -> anyhow::Result<Vec<u8>> {
        use std::io::Write;
        let port = self.port.to_string();
        let mut client = Command::new(CLIENT);
        if self.is_encrypted {
            client.arg("--tls").arg("--cacert").arg(self.folder.path().join("certificate.pem"));
        }
        let mut client = client
            .args(["-h", "127.0.0.1", "-p", &port, "--no-auth-warning"])
            .env("REDISCLI_AUTH", Self::PASSWORD)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("redis-cli cannot be started")?;
        client.stdin.take().context("no input")?.write_all(input.unwrap_or_default())?;
        let output = client.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(
            output.status.success() && !said.starts_with("ERR") && !said.starts_with("NOAUTH"),
            "redis-cli {arguments:?}: {said} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output.stdout)
    }

    fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = std::fs::read_to_string(self.pid_file()).context("the server's number")?;
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid.trim()).status().context("kill")?;
        ensure!(sent.success(), "no signal {signal} could be sent");
        Ok(())
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // One that was stopped hears no other signal.
        if self.keeper.is_some() {
            let _sent = self.thaw();
        }
    }
}
