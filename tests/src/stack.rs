//! A service of its own: a hierarchy made by `ca-server init` in a temporary folder, served by `ca-server serve` on free ports.
//!
//! Keys are P-256: an RSA root would cost seconds a test. Certificates carry the URLs of this very service.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_test_services::port;
use tempfile::TempDir;

use crate::client::Client;
use crate::identity::Identity;
use crate::process::Process;
use crate::programs::programs;
use crate::shared_record;

const DATABASE_URL: &str = "CA__DATABASE__URL";

/// The setting of an embedded record.
pub const EMBEDDED: (&str, &str) = (DATABASE_URL, "sqlite:ca.db");

/// How long a service may take to start or to stop.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running service.
pub struct Stack {
    site: Site,
    process: Process,
}

/// A data folder, and how a service in it is configured.
pub struct Site {
    folder: TempDir,
    ports: Ports,
    environment: BTreeMap<String, String>,
    /// A program and its arguments that every command is started through; nothing, most times.
    through: Vec<String>,
    /// Where the data folder is seen from here, when that is elsewhere.
    seen_at: Option<PathBuf>,
}

/// Where a service listens, on the loopback interface.
#[derive(Clone, Copy, Debug)]
struct Ports {
    api: u16,
    public: u16,
    admin: u16,
}

impl Site {
    /// An empty data folder. `changes` are settings beyond the harness's own, as environment variables (`CA__…`).
    pub fn empty(changes: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ca-e2e-").tempdir().context("no temporary folder can be made")?;
        let ports = Ports::free()?;
        let mut environment: BTreeMap<String, String> = [
            ("CA__LISTEN__API", format!("127.0.0.1:{}", ports.api)),
            ("CA__LISTEN__PUBLIC", format!("127.0.0.1:{}", ports.public)),
            ("CA__LISTEN__ADMIN", format!("127.0.0.1:{}", ports.admin)),
            ("CA__PUBLIC__BASE_URL", format!("http://127.0.0.1:{}", ports.public)),
            ("CA__AUTHORITY__ROOT__KEY", "software:p256".to_owned()),
            ("CA__AUTHORITY__TLS__KEY", "software:p256".to_owned()),
            ("CA__AUTHORITY__DOCUMENT__KEY", "software:p256".to_owned()),
            // Whatever folder a test makes.
            ("CA__MANAGED__DIRECTORIES", "/".to_owned()),
            // Of 64 MiB, which is the default, the places alone take a debug build a quarter of a second at each start.
            ("CA__STATUS__CACHE", "1MiB".to_owned()),
            ("CA__SEAL__PASSPHRASE", "a passphrase of the end-to-end tests".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if let Some(url) = shared_record::new_database()? {
            environment.insert(DATABASE_URL.to_owned(), url);
        }
        environment.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let site = Self { folder, ports, environment, through: Vec::new(), seen_at: None };
        std::fs::create_dir(site.own_data_folder()).context("the data folder cannot be made")?;
        Ok(site)
    }

    /// A data folder in which `ca-server init` has made the hierarchy and the first administrator.
    pub fn initialised(changes: &[(&str, &str)]) -> anyhow::Result<Self> {
        let site = Self::empty(changes)?;
        let (succeeded, said) = site.run(&["init"])?;
        ensure!(succeeded, "`ca-server init` failed:\n{said}");
        Ok(site)
    }

    /// The same with the embedded record, whatever the others have: for tests that look into its file.
    pub fn embedded() -> anyhow::Result<Self> {
        Self::initialised(&[EMBEDDED])
    }

    /// A data folder of one more replica of this service: the same record and seal, ports of its own.
    pub fn replica(&self) -> anyhow::Result<Self> {
        let url = self.environment.get(DATABASE_URL).context("an embedded record has no replicas")?;
        let changes =
            [(DATABASE_URL, url.as_str()), ("CA__PUBLIC__BASE_URL", &self.environment["CA__PUBLIC__BASE_URL"])];
        let replica = Self::empty(&changes)?;
        // The administrator's files lie where `init` ran.
        copy_folder(&self.own_data_folder().join("admin"), &replica.own_data_folder().join("admin"))?;
        Ok(replica)
    }

    /// The address of its record, as libpq reads it; `None` when that is a file.
    pub fn server_url(&self) -> Option<String> {
        let url = self.environment.get(DATABASE_URL).filter(|url| url.starts_with("postgres:"))?;
        Some(url.replace("&pooler=transaction", ""))
    }

    /// Everything that is on record, as it lies on the disk or as a dump has it.
    pub fn record_octets(&self) -> anyhow::Result<Vec<u8>> {
        if let Some(url) = self.environment.get(DATABASE_URL).filter(|url| url.starts_with("postgres:")) {
            return shared_record::dump(url);
        }
        let read =
            |file| std::fs::read(self.data_folder().join(file)).with_context(|| format!("{file} cannot be read"));
        Ok([read("ca.db")?, read("ca.db-wal")?].concat())
    }

    /// The data folder, as it is seen from here.
    pub fn data_folder(&self) -> PathBuf {
        self.seen_at.clone().unwrap_or_else(|| self.own_data_folder())
    }

    /// The data folder, as the service is told it.
    pub fn own_data_folder(&self) -> PathBuf {
        self.folder.path().join("ca-data")
    }

    /// Starts the commands that follow through another program (`prlimit --nofile=64`, say), which is given `ca-server` and
    /// its arguments after its own.
    pub fn start_through(&mut self, through: &[&str]) {
        self.through = through.iter().map(|part| (*part).to_owned()).collect();
    }

    /// What commands are started through; nothing, most times.
    pub fn through(&self) -> &[String] {
        &self.through
    }

    /// Reads the data folder elsewhere from now on: what the service's path names may lie in a mount namespace.
    pub fn see_data_folder_at(&mut self, path: PathBuf) {
        self.seen_at = Some(path);
    }

    /// A folder for whatever a test writes; it goes with the site.
    pub fn work_folder(&self) -> &Path {
        self.folder.path()
    }

    /// Changes a setting for the commands that follow, and gives what it was.
    pub fn set(&mut self, name: &str, value: &str) -> String {
        self.environment.insert(name.to_owned(), value.to_owned()).unwrap_or_default()
    }

    /// Takes a setting away from the commands that follow, and gives what it was.
    pub fn unset(&mut self, name: &str) -> String {
        self.environment.remove(name).unwrap_or_default()
    }

    /// The settings, as environment variables.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The API's URL.
    pub fn api_url(&self) -> String {
        format!("https://localhost:{}", self.ports.api)
    }

    /// The API's address, for clients of TLS that speak no HTTP.
    pub fn api_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.api).into()
    }

    /// The public listener's URL.
    pub fn public_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.public)
    }

    /// The admin listener's URL.
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.admin)
    }

    /// The root certificate, PEM.
    pub fn root_pem(&self) -> anyhow::Result<String> {
        read(&self.data_folder().join("admin/ca.crt"))
    }

    /// The first administrator's certificate and key.
    pub fn administrator(&self) -> anyhow::Result<Identity> {
        let folder = self.data_folder().join("admin");
        Ok(Identity::from_pem(read(&folder.join("admin.crt"))?, read(&folder.join("admin.key"))?))
    }

    /// Runs `ca-server` to its end: whether it succeeded, and what it said on both streams.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<(bool, String)> {
        let (program, arguments) = self.command(arguments)?;
        let output = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.settings())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .context("ca-server cannot be started")?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// Starts `ca-server` with these arguments and does not wait for anything.
    pub fn start(&self, arguments: &[&str]) -> anyhow::Result<Process> {
        let (program, arguments) = self.command(arguments)?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Process::start(Path::new(&program), &arguments, self.settings(), self.folder.path())
    }

    /// What is executed, and its arguments.
    fn command(&self, arguments: &[&str]) -> anyhow::Result<(String, Vec<String>)> {
        let server = programs()?.server.to_str().context("the path of ca-server is not UTF-8")?;
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        let mut line = self.through.iter().cloned().chain([server.to_owned()]).chain(arguments);
        let program = line.next().context("nothing to execute")?;
        Ok((program, line.collect()))
    }

    /// Serves until the stack is stopped or dropped.
    pub fn serve(self) -> anyhow::Result<Stack> {
        self.serve_with(&[])
    }

    /// The same with more arguments.
    pub fn serve_with(self, arguments: &[&str]) -> anyhow::Result<Stack> {
        let process = self.start(&[&["serve"], arguments].concat())?;
        process.wait_for_line("\"serving\"", PATIENCE)?;
        Ok(Stack { site: self, process })
    }

    /// The environment of its commands, whole.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = self.environment.clone();
        settings.insert("CA__DATA_DIR".to_owned(), self.own_data_folder().display().to_string());
        settings
    }
}

impl Stack {
    /// A fresh service with the harness's settings.
    pub fn start() -> anyhow::Result<Self> {
        Self::with(&[])
    }

    /// A fresh service with settings beyond the harness's own, as environment variables (`CA__…`).
    pub fn with(changes: &[(&str, &str)]) -> anyhow::Result<Self> {
        Site::initialised(changes)?.serve()
    }

    /// What the service has logged so far.
    pub fn logs(&self) -> Vec<String> {
        self.process.lines()
    }

    /// The running program.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends the service at once (SIGKILL); its folder stays.
    pub fn kill(mut self) -> Site {
        self.process.kill();
        self.site
    }

    /// Stops the service gracefully; its folder stays. Fails unless it ends by itself and says that all is well.
    pub fn stop(mut self) -> anyhow::Result<Site> {
        let status = self.process.stop(PATIENCE)?;
        ensure!(status.success(), "ca-server ended with {status}:\n{}", self.logs().join("\n"));
        Ok(self.site)
    }

    /// A client without any proof of who it is.
    pub fn anonymous(&self) -> anyhow::Result<Client> {
        Client::new(&self.site.api_url(), &self.site.root_pem()?, None)
    }

    /// A client that proves itself by mTLS.
    pub fn holder(&self, identity: &Identity) -> anyhow::Result<Client> {
        Client::new(&self.site.api_url(), &self.site.root_pem()?, Some(identity))
    }

    /// A client that bears an enrolment token.
    pub fn bearer(&self, token: &str) -> anyhow::Result<Client> {
        Ok(self.anonymous()?.with_token(token))
    }

    /// The first administrator.
    pub fn administrator(&self) -> anyhow::Result<Client> {
        self.holder(&self.site.administrator()?)
    }

    /// A client of the public listener.
    pub fn public(&self) -> anyhow::Result<Client> {
        Client::plain(&self.site.public_url())
    }

    /// A client of the admin listener.
    pub fn admin(&self) -> anyhow::Result<Client> {
        Client::plain(&self.site.admin_url())
    }
}

impl Deref for Stack {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

/// A service that tests share while any of them needs it. Tests that change its settings, stop it, or count what is on record
/// start one of their own.
pub fn shared() -> anyhow::Result<Arc<Stack>> {
    static SHARED: Mutex<Weak<Stack>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(stack) = shared.upgrade() {
        return Ok(stack);
    }
    let stack = Arc::new(Stack::start()?);
    *shared = Arc::downgrade(&stack);
    Ok(stack)
}

impl Ports {
    /// Ports that were free a moment ago.
    fn free() -> anyhow::Result<Self> {
        Ok(Self { api: port::free()?, public: port::free()?, admin: port::free()? })
    }
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}
