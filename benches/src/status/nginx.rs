//! nginx that serves one file.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::clock::wall;
use crate::process::Running;

/// A running nginx.
pub(super) struct Nginx {
    running: Running,
    address: SocketAddr,
}

/// Tuned as one tunes it for such a file.
const CONFIGURATION: &str = r#"
daemon off;
master_process off;
worker_processes 1;
pid PLACE/nginx.pid;
error_log PLACE/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=100 inactive=1h;
    open_file_cache_valid 1h;
    keepalive_requests 1000000000;
    types { }
    default_type application/ocsp-response;
    client_body_temp_path PLACE;
    proxy_temp_path PLACE;
    fastcgi_temp_path PLACE;
    uwsgi_temp_path PLACE;
    scgi_temp_path PLACE;
    server {
        listen ADDRESS;
        root PLACE;
        expires 5s;
    }
}
"#;

impl Nginx {
    /// Starts it in a folder, and has it serve these octets.
    pub(super) fn serving(folder: &Path, octets: &[u8]) -> anyhow::Result<Self> {
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).context("no free port")?;
        fs::write(folder.join("answer"), octets).context("the file cannot be written")?;
        let configuration =
            CONFIGURATION.replace("PLACE", &folder.display().to_string()).replace("ADDRESS", &address.to_string());
        fs::write(folder.join("nginx.conf"), configuration).context("nginx's configuration cannot be written")?;
        // Debian keeps it where only root looks.
        let debians = Path::new("/usr/sbin/nginx");
        let mut command = Command::new(if debians.exists() { debians } else { Path::new("nginx") });
        command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).stderr(Stdio::null());
        let nginx = Self { running: Running::start(&mut command)?, address };
        let start = wall();
        while TcpStream::connect(address).is_err() {
            ensure!(wall() - start < 10.0, "nginx does not listen");
            crate::service::pause(Duration::from_millis(10));
        }
        Ok(nginx)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/answer", self.address)
    }

    pub(super) fn id(&self) -> u32 {
        self.running.id()
    }
}
