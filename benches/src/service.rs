//! The service itself: `ca-server` in a release build, a hierarchy in a folder of its own, started and watched.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::clock::wall;
use crate::process::{Running, work_folder, workspace};

/// What cargo tells a program that it runs, of which a build script would take notice.
const PACKAGE_VARIABLES: [&str; 7] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// Longer than any start may take.
const PATIENCE_SECONDS: f64 = 30.0;

/// Where an initialised service lies, and how it is configured.
pub(crate) struct Site {
    program: PathBuf,
    folder: TempDir,
    environment: BTreeMap<&'static str, String>,
    api: SocketAddr,
    public: SocketAddr,
    admin: SocketAddr,
}

impl Site {
    /// Builds `ca-server`, and makes a hierarchy of P-256 keys and an administrator: in an SQLite file, or in an empty database
    /// at `url`.
    pub(crate) fn initialised(url: Option<&str>) -> anyhow::Result<Self> {
        Self::initialised_with(&url.map(|url| ("CA__DATABASE__URL", url)).into_iter().collect::<Vec<_>>())
    }

    /// The same with these settings.
    pub(crate) fn initialised_with(settings: &[(&'static str, &str)]) -> anyhow::Result<Self> {
        let program = build()?;
        let folder = work_folder()?;
        let [api, public, admin] = free_addresses()?;
        let mut environment = BTreeMap::from([
            ("CA__DATA_DIR", folder.path().join("ca-data").display().to_string()),
            ("CA__LISTEN__API", api.to_string()),
            ("CA__LISTEN__PUBLIC", public.to_string()),
            ("CA__LISTEN__ADMIN", admin.to_string()),
            ("CA__PUBLIC__BASE_URL", format!("http://{public}")),
            ("CA__AUTHORITY__ROOT__KEY", "software:p256".to_owned()),
            ("CA__AUTHORITY__TLS__KEY", "software:p256".to_owned()),
            ("CA__AUTHORITY__DOCUMENT__KEY", "software:p256".to_owned()),
            ("CA__SEAL__PASSPHRASE", "a passphrase of the bench".to_owned()),
        ]);
        environment.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let site = Self { program, folder, environment, api, public, admin };
        fs::create_dir(site.data_folder()).context("the data folder cannot be made")?;
        let output = site.command("init").output().context("ca-server cannot be started")?;
        ensure!(output.status.success(), "ca-server init failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(site)
    }

    /// Starts the service and waits until it says that it is ready; with it, how many seconds that took.
    pub(crate) fn serve(&self) -> anyhow::Result<(Running, f64)> {
        let start = wall();
        // The default log, as an operator would have it, into nothing: a terminal is not what is measured.
        let running = Running::start(self.command("serve").stdout(Stdio::null()).stderr(Stdio::null()))?;
        while !self.is_ready() {
            ensure!(wall() - start < PATIENCE_SECONDS, "ca-server is not ready after {PATIENCE_SECONDS} s");
            pause(Duration::from_millis(2));
        }
        Ok((running, wall() - start))
    }

    /// Asks a service to stop and waits for its end.
    pub(crate) fn stop(&self, mut running: Running) -> anyhow::Result<()> {
        let id = rustix::process::Pid::from_child(running.child());
        rustix::process::kill_process(id, rustix::process::Signal::TERM).context("ca-server cannot be told to stop")?;
        let status = running.child().wait().context("ca-server cannot be waited for")?;
        ensure!(status.success(), "ca-server ended with {status}");
        Ok(())
    }

    /// The port of the API, on `localhost`.
    pub(crate) fn api_port(&self) -> u16 {
        self.api.port()
    }

    /// The URL of the API.
    pub(crate) fn api_url(&self) -> String {
        format!("https://localhost:{}", self.api.port())
    }

    /// The public listener.
    pub(crate) fn public_address(&self) -> SocketAddr {
        self.public
    }

    /// The value of a metric, named with its labels as the service prints it; 0 where it does not.
    pub(crate) fn metric(&self, runtime: &Runtime, name: &str) -> anyhow::Result<f64> {
        let url = format!("http://{}/metrics", self.admin);
        let asked = self.client()?.get(url);
        let text = runtime.block_on(async { asked.send().await?.error_for_status()?.text().await })?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Ok(value.unwrap_or(0.0))
    }

    /// A client of its own connection, who proves to be the administrator.
    pub(crate) fn client(&self) -> anyhow::Result<reqwest::Client> {
        let builder = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(self.client_tls()?);
        builder.timeout(Duration::from_secs(30)).build().context("no client can be made")
    }

    /// How such a client shakes hands: TLS 1.3 or 1.2, for HTTP/1.1.
    pub(crate) fn client_tls(&self) -> anyhow::Result<rustls::ClientConfig> {
        let read = |name: &str| {
            let file = self.data_folder().join("admin").join(name);
            fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))
        };
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&read("ca.crt")?).context("the root is not PEM")?)?;
        let chain = CertificateDer::pem_slice_iter(&read("admin.crt")?).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&read("admin.key")?).context("the key is not PEM")?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut tls = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(tls)
    }

    fn data_folder(&self) -> PathBuf {
        self.folder.path().join("ca-data")
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(subcommand)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn is_ready(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(self.public)?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            std::io::Result::Ok(answer)
        };
        ask().is_ok_and(|answer| answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"))
    }
}

/// Builds `ca-server` in the profile of this program and tells where it lies.
fn build() -> anyhow::Result<PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command
        // Every member is selected, as `make bench` does: what both programs share is then built once, with one set of
        // features.
        .args(["build", "--workspace", "--bin", "ca-server", "--message-format=json-render-diagnostics"])
        .current_dir(workspace())
        .stderr(Stdio::inherit());
    // `cargo run` tells a program which package it is of; the build script of ring takes that for its own and builds anew.
    for name in PACKAGE_VARIABLES {
        command.env_remove(name);
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().context("cargo cannot be started")?;
    ensure!(output.status.success(), "ca-server cannot be built: {}", output.status);
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        if message["reason"] == "compiler-artifact"
            && message["target"]["name"] == "ca-server"
            && let Some(program) = message["executable"].as_str()
        {
            return Ok(PathBuf::from(program));
        }
    }
    bail!("cargo built ca-server and did not say where it lies")
}

/// Addresses that were free a moment ago, bound together so that they differ.
fn free_addresses() -> anyhow::Result<[SocketAddr; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free");
    let sockets = [bind()?, bind()?, bind()?];
    let address = |socket: &TcpListener| socket.local_addr().context("a bound socket has an address");
    Ok([address(&sockets[0])?, address(&sockets[1])?, address(&sockets[2])?])
}

#[expect(clippy::disallowed_methods, reason = "waits for another program, on a thread that has nothing else to do")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
