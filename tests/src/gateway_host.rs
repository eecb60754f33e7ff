//! A service, a gateway's host with its certificate and its authorities, and clients that call: nginx or HAProxy there are
//! configured by what `deploy/` ships, as it is. Its sidecar is run by [`crate::sidecar`].

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cli::Terminal;
use crate::client::eventually;
use crate::process::Process;
use crate::stack::{PATIENCE, Stack};
use crate::tools::{find, run};
use anyhow::{Context, bail, ensure};
use ca_test_services::port;

/// The name of the gateway.
pub const NAME: &str = "gw.test";

/// How curl is told to speak TLS 1.2, and 1.3.
const VERSIONS: [&[&str]; 2] = [&["--tls-max", "1.2"], &["--tlsv1.3"]];

/// A service and a gateway's host: a folder with `nginx.conf`, and what `deploy/` ships in `cartorio/`.
pub struct World {
    /// The service.
    pub stack: Stack,
    /// `ca-cli` in the host's folder, as an administrator.
    pub terminal: Terminal,
    /// Where the gateway listens, on the loopback interface.
    pub port: u16,
}

impl World {
    /// A fresh service, a server certificate for [`NAME`] and client certificates for `clients`. It has lists of every kind, of
    /// which gateways must take the complete ones.
    pub fn new(clients: &[&str]) -> anyhow::Result<Self> {
        Self::with(&[("CA__AUTHORITY__TLS__SHARDS", "2"), ("CA__AUTHORITY__TLS__DELTA", "true")], clients)
    }

    /// The same with settings of the service.
    pub fn with(settings: &[(&str, &str)], clients: &[&str]) -> anyhow::Result<Self> {
        Self::of(Stack::with(settings)?, clients)
    }

    /// The same beside a service that runs.
    pub fn of(stack: Stack, clients: &[&str]) -> anyhow::Result<Self> {
        let terminal = Terminal::with_config(&stack.data_folder().join("admin/cli.toml"))?;
        std::fs::create_dir(terminal.path("cartorio"))?;
        terminal.done(&["issue", "server", NAME])?;
        for client in clients {
            terminal.done(&["issue", "client", client])?;
        }
        let world = Self { stack, terminal, port: port::free()? };
        let authorities = ["/ca/tls.pem", "/roots.pem"].map(|path| world.fetch(path));
        let [issuing, root] = authorities;
        world.terminal.write("cartorio/trust.pem", &format!("{}{}", issuing?, root?))?;
        Ok(world)
    }

    /// What the public listener has under a path.
    pub fn fetch(&self, path: &str) -> anyhow::Result<String> {
        let url = format!("{}{path}", self.stack.public_url());
        let said = run("curl", ["-sf", "--max-time", "60", &url], self.folder())?;
        ensure!(said.succeeded, "{url}: {}", said.all());
        Ok(said.text())
    }

    /// The host's folder.
    pub fn folder(&self) -> &Path {
        self.terminal.folder()
    }

    /// A path in it.
    pub fn path(&self, file: &str) -> PathBuf {
        self.terminal.path(file)
    }

    /// Copies a file of `deploy/` into `cartorio/`, as it is.
    pub fn ship(&self, file: &str) -> anyhow::Result<()> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let from = package.parent().unwrap_or(package).join("deploy").join(file);
        let name = from.file_name().context("a file has a name")?;
        std::fs::copy(&from, self.path("cartorio").join(name)).with_context(|| from.display().to_string())?;
        Ok(())
    }

    /// Starts nginx with a server block that includes `snippet` and says hello.
    pub fn nginx(&self, snippet: &str) -> anyhow::Result<Gateway> {
        self.ship(&format!("nginx/{snippet}"))?;
        self.nginx_with(snippet)
    }

    /// The same with a file that is in `cartorio/` already.
    pub fn nginx_with(&self, snippet: &str) -> anyhow::Result<Gateway> {
        let folder = self.folder().display();
        let conf = format!(
            "daemon off;\nworker_processes 2;\npid {folder}/nginx.pid;\nerror_log stderr notice;\nevents {{}}\nhttp {{\n  access_log off;\n  \
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi;\n  \
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n  server {{\n    listen 127.0.0.1:{} ssl;\n    \
             server_name {NAME};\n    ssl_certificate {NAME}.crt;\n    ssl_certificate_key {NAME}.key;\n    ssl_protocols TLSv1.2 TLSv1.3;\n    include \
             cartorio/{snippet};\n    location / {{ return 200 \"hello $ssl_client_s_dn\\n\"; }}\n  }}\n}}\n",
            self.port
        );
        self.terminal.write("nginx.conf", &conf)?;
        let conf = self.path("nginx.conf");
        let arguments = ["-e", "stderr", "-c", conf.to_str().context("UTF-8")?];
        let nginx = Process::start(&find("nginx")?, &arguments, [("LC_ALL", "C")], self.folder())?;
        self.gateway(nginx)
    }

    /// A gateway, once it listens.
    pub fn gateway(&self, process: Process) -> anyhow::Result<Gateway> {
        let gateway = Gateway(process);
        let listening = soon("the gateway listens", || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()));
        listening.with_context(|| gateway.0.lines().join("\n"))?;
        Ok(gateway)
    }

    /// What has nginx read its files anew.
    pub fn nginx_reload(&self) -> Vec<String> {
        let conf = self.path("nginx.conf").display().to_string();
        // Debian keeps nginx where only root looks.
        let nginx = find("nginx").map_or_else(|_| "nginx".to_owned(), |path| path.display().to_string());
        [&nginx, "-e", "stderr", "-c", &conf, "-s", "reload"].map(str::to_owned).to_vec()
    }

    /// Calls the gateway with the certificate of `who`: whether it lets in, and what it says.
    pub fn call(&self, who: &str, options: &[&str]) -> anyhow::Result<(bool, String)> {
        let resolve = format!("{NAME}:{}:127.0.0.1", self.port);
        let url = format!("https://{NAME}:{}/", self.port);
        let (certificate, key) = (format!("{who}.crt"), format!("{who}.key"));
        let fixed =
            ["-s", "-S", "--max-time", "60", "--resolve", &resolve, "--cacert", "ca.crt", "--cert", &certificate];
        let said = run("curl", [&fixed[..], &["--key", &key], options, &[&url]].concat(), self.folder())?;
        let is_in = said.succeeded && said.text().starts_with("hello ");
        Ok((is_in, said.all()))
    }

    /// Fails unless this client is let in, in TLS 1.2 and 1.3.
    pub fn lets_in(&self, who: &str) -> anyhow::Result<()> {
        for options in VERSIONS {
            if let (false, said) = self.call(who, options)? {
                bail!("{who} is refused ({options:?}): {said}");
            }
        }
        Ok(())
    }

    /// Fails unless this client is refused, in TLS 1.2 and 1.3.
    pub fn refuses(&self, who: &str) -> anyhow::Result<()> {
        for options in VERSIONS {
            if let (true, said) = self.call(who, options)? {
                bail!("{who} is let in ({options:?}): {said}");
            }
        }
        Ok(())
    }

    /// Waits until the gateway's sidecar has told the service what it enforces.
    pub fn gateway_has_spoken(&self, sidecar: &Process) -> anyhow::Result<()> {
        let listed = || Ok(self.terminal.done(&["gateway", "list"])?.contains(NAME).then_some(()));
        soon("the gateway has spoken", listed).with_context(|| sidecar.lines().join("\n"))
    }

    /// Revokes the certificate of a client.
    pub fn revoke(&self, who: &str) -> anyhow::Result<()> {
        self.terminal.done(&["revoke", &format!("{who}.crt")]).map(drop)
    }
}

/// A running nginx or HAProxy. Its workers end with it: killed, it would leave them behind.
pub struct Gateway(
    /// Its master.
    pub Process,
);

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Err(error) = self.0.stop(Duration::from_secs(10)) {
            eprintln!("{error:#}");
        }
    }
}

/// The beginning of something that is measured.
#[expect(clippy::disallowed_methods, reason = "a measurement that is printed and decides nothing")]
pub fn begin() -> Instant {
    Instant::now()
}

/// Asks until there is an answer, for a minute at most.
pub fn soon<T>(what: &str, mut question: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(eventually(PATIENCE, what, || {
        let answer = question();
        async move { answer }
    }))
}
