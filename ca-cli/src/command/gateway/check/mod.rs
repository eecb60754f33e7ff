//! `gateway check`: does the configuration of nginx or HAProxy let anything outlive a revocation?

mod haproxy;
mod rules;
mod syntax;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;

use self::rules::CheckedServer;
use crate::args::GatewayCheckArgs;
use crate::exit::{Exit, Failure};
use crate::printer::{Printer, plain};

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    servers: Vec<CheckedServer>,
}

/// Checks the configuration that nginx prints, or the files that HAProxy is given.
pub(super) async fn run(args: &GatewayCheckArgs, printer: &Printer) -> Result<Exit, Failure> {
    let (servers, none) = match &args.haproxy_conf[..] {
        [] => (servers(args.nginx_conf.as_deref()).await?, NO_SERVER),
        files => (haproxy_servers(files)?, NO_LISTENER),
    };
    let report = Report { servers };
    printer.result(&report, |report| describe(report, none))?;
    let is_right = !report.servers.is_empty() && report.servers.iter().all(|server| server.faults.is_empty());
    Ok(if is_right { Exit::Done } else { Exit::Failed })
}

/// What is wrong with nginx's configuration, in one text; `None` when nothing is.
pub(super) async fn faults(conf: &Path) -> Option<String> {
    match servers(Some(conf)).await {
        Err(failure) => Some(failure.to_string()),
        Ok(servers) if servers.is_empty() => Some(NO_SERVER.to_owned()),
        Ok(servers) => {
            let told = servers
                .iter()
                .flat_map(|server| server.faults.iter().map(move |fault| format!("{}: {fault}", server.server)));
            let told: Vec<String> = told.collect();
            (!told.is_empty()).then(|| told.join("; "))
        }
    }
}

/// Every server that verifies clients, as nginx itself reads its files.
async fn servers(conf: Option<&Path>) -> Result<Vec<CheckedServer>, Failure> {
    let dump = dump(conf).await?;
    let configuration = syntax::read(&dump)
        .map_err(|error| Failure::Failed(format!("nginx's configuration cannot be read: {error}")))?;
    Ok(rules::servers(&configuration))
}

/// Every listener that verifies clients, of files that HAProxy reads one after the other.
fn haproxy_servers(files: &[PathBuf]) -> Result<Vec<CheckedServer>, Failure> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(|error| Failure::of_file(path, error));
    let texts = files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    haproxy::servers(&texts)
        .map_err(|error| Failure::Failed(format!("HAProxy's configuration cannot be read: {}", plain(&error))))
}

/// What `nginx -T` prints.
async fn dump(conf: Option<&Path>) -> Result<String, Failure> {
    // Debian keeps it where only root looks.
    for program in ["nginx", "/usr/sbin/nginx"] {
        let mut command = Command::new(program);
        command.args(["-T", "-q", "-e", "stderr"]);
        if let Some(conf) = conf {
            let conf = std::path::absolute(conf).map_err(|error| Failure::of_file(conf, error))?;
            command.arg("-c").arg(conf);
        }
        let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = match tokio::time::timeout(PATIENCE, running).await {
            Err(_) => return Err(Failure::failed("`nginx -T` does not end")),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Ok(Err(error)) => return Err(Failure::Failed(format!("{program}: {error}"))),
            Ok(Ok(output)) => output,
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::Failed(format!("nginx refuses its configuration: {}", plain(said.trim()))));
        }
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::failed("nginx is not installed here"))
}

fn describe(report: &Report, none: &str) -> String {
    if report.servers.is_empty() {
        return none.to_owned();
    }
    let mut lines = Vec::new();
    for server in &report.servers {
        let verdict = if server.faults.is_empty() { "nothing outlives a revocation" } else { "NOT RIGHT" };
        lines.push(format!("{}: {verdict}", plain(&server.server)));
        lines.extend(server.faults.iter().map(|fault| format!("- {}", plain(fault))));
    }
    lines.join("\n")
}

const NO_SERVER: &str = "no server of nginx verifies clients (ssl_verify_client)";
const NO_LISTENER: &str = "no listener of HAProxy verifies clients (bind … ssl … verify required)";
const PATIENCE: Duration = Duration::from_secs(20);
