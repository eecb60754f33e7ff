//! nginx as an mTLS gateway, and curl as its client.

use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

use anyhow::{Context, ensure};
use ca_e2e::client::eventually;
use ca_e2e::process::Process;
use ca_e2e::stack::PATIENCE;
use ca_e2e::tools::find;

use crate::material::{Material, SERVER_NAME, free_port, wait, write};
use crate::tool::Tool;

const CONFIGURATION: &str = include_str!("../../nginx/gateway.conf");

/// A running gateway.
pub(crate) struct Nginx {
    process: Process,
    port: u16,
    material: Arc<Material>,
}

/// An answer through the gateway.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Nginx {
    /// Starts a gateway that judges by these directives.
    pub(crate) fn start(material: &Arc<Material>, test: &str, directives: &str) -> anyhow::Result<Self> {
        let port = free_port()?;
        let folder = material.folder_for(test)?;
        let configuration = CONFIGURATION
            .replace("%FOLDER%", &folder.display().to_string())
            .replace("%MATERIAL%", &material.file("").display().to_string())
            .replace("%PORT%", &port.to_string())
            .replace("%REVOCATION%", directives);
        let file = write(&folder, "nginx.conf", configuration)?;
        let file = file.to_str().context("a temporary folder's name is UTF-8")?;
        let process = Process::start(&find("nginx")?, &["-e", "stderr", "-c", file], [("LC_ALL", "C")], &folder)?;
        let nginx = Self { process, port, material: Arc::clone(material) };
        nginx.wait_until_it_listens()?;
        Ok(nginx)
    }

    fn wait_until_it_listens(&self) -> anyhow::Result<()> {
        let listening = wait(eventually(PATIENCE, "nginx listens", || async {
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok())
        }));
        listening.map(drop).with_context(|| format!("nginx said:\n{}", self.process.lines().join("\n")))
    }

    /// Asks for a path by curl, with the certificate of `who` where there is one.
    pub(crate) fn ask(&self, who: Option<&str>, path: &str, options: &[&str]) -> anyhow::Result<Reply> {
        let mut curl = Tool::new("curl")
            .args(["--silent", "--show-error", "--max-time", "15", "--write-out", "\n%{http_code}"])
            .args(["--resolve", &format!("{SERVER_NAME}:{}:127.0.0.1", self.port), "--cacert"])
            .arg(self.material.file("root.pem"))
            .args(options);
        if let Some(who) = who {
            let file = |extension: &str| self.material.file(&format!("{who}.{extension}"));
            curl = curl.arg("--cert").arg(file("chain.pem")).arg("--key").arg(file("key"));
        }
        let verdict = curl.arg(format!("https://{SERVER_NAME}:{}{path}", self.port)).run()?.accepts()?;
        let text = verdict.text();
        let (body, status) = text.rsplit_once('\n').context("curl writes the status last")?;
        Ok(Reply { status: status.parse().context("a status is a number")?, body: body.to_owned() })
    }

    /// Fails unless this certificate opens the gateway, in TLS 1.2 and 1.3.
    pub(crate) fn lets_in(&self, who: &str) -> anyhow::Result<()> {
        for (option, version) in [("--tls-max=1.2", "TLSv1.2"), ("--tlsv1.3", "TLSv1.3")] {
            let reply = self.ask(Some(who), "/", &curl_option(option))?;
            let expected = format!("welcome, CN={who}, by {version}");
            ensure!(reply.status == 200 && reply.body == expected, "{who}, {version}: {reply:?}\n{}", self.log());
        }
        Ok(())
    }

    /// Fails unless this certificate is refused for that reason, in TLS 1.2 and 1.3.
    pub(crate) fn refuses(&self, who: &str, because: &str) -> anyhow::Result<()> {
        for option in ["--tls-max=1.2", "--tlsv1.3"] {
            let reply = self.ask(Some(who), "/", &curl_option(option))?;
            let right = reply.status == 400 && reply.body.contains(because);
            ensure!(right, "{who}, {option}: not {because:?} but {reply:?}\n{}", self.log());
        }
        Ok(())
    }

    /// Fails unless the gateway tells callers without a certificate apart from others: health for all, the rest for none.
    pub(crate) fn asks_for_a_certificate(&self) -> anyhow::Result<()> {
        for (path, status) in [("/health", 200), ("/", 403)] {
            let reply = self.ask(None, path, &[])?;
            ensure!(reply.status == status, "{path} without a certificate: {reply:?}\n{}", self.log());
        }
        Ok(())
    }

    /// What nginx said so far.
    pub(crate) fn log(&self) -> String {
        self.process.lines().join("\n")
    }
}

/// `--option=value` as curl takes it.
fn curl_option(option: &str) -> Vec<&str> {
    option.split('=').collect()
}
