//! `gateway`: what stands beside nginx or HAProxy.

use std::net::SocketAddr;
use std::path::PathBuf;

use ca_core::name::DnsName;
use ca_core::time::Lifetime;
use clap::{Args, Subcommand};

/// `gateway …`
#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Keep the revocation lists of a gateway on this host fresh, and say what it enforces
    Run(Box<GatewayRunArgs>),
    /// Check that nothing in the configuration of nginx or HAProxy lets a session or a connection outlive a revocation
    Check(GatewayCheckArgs),
    /// List gateways and what each said last of what it enforces
    List,
    /// Take a gateway from the record that is there no more, so that no revocation waits for it
    Remove(GatewayRemoveArgs),
}

/// `gateway remove`
#[derive(Debug, Args)]
pub(crate) struct GatewayRemoveArgs {
    /// Its id, as `gateway list` shows it
    #[arg(value_parser = DnsName::parse)]
    pub(crate) gateway: DnsName,
}

/// `gateway check`
#[derive(Debug, Args)]
#[command(after_help = "\
Reads what `nginx -T` prints, and judges every server that verifies clients: ssl_session_cache, ssl_session_tickets, \
keepalive_time, ssl_crl, ssl_ocsp, ssl_ocsp_cache. With --haproxy-conf every bind that verifies clients: crl-file, \
tune.ssl.cachesize, no-tls-tickets, hard-stop-after, errors that are passed over. The exit status is 0 when all of them are right.")]
pub(crate) struct GatewayCheckArgs {
    /// The configuration [default: the one nginx was built with]
    #[arg(long, value_name = "FILE")]
    pub(crate) nginx_conf: Option<PathBuf>,

    /// The files of HAProxy instead, in the order of its -f; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "nginx_conf")]
    pub(crate) haproxy_conf: Vec<PathBuf>,
}

/// `gateway run`
#[derive(Debug, Args)]
#[command(after_help = "\
Every flag has a key of the same name in --config-file (crl_file, ca_file, …; reload = [\"nginx\", \"-s\", \"reload\"]); a flag \
counts before it. The lists come from --url, or from --crl-url.

What cannot be proved, has ended, is older than what is in place or incomplete never comes into place: the last good bundle \
stays, and an alarm is raised. With --once the exit status is 0 when all is well, 3 when only the service could not be reached, \
1 for any other alarm.

  ca-cli gateway run --crl-file crls.pem --ca-file trust.pem -- nginx -s reload")]
pub(crate) struct GatewayRunArgs {
    /// Settings in TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) config_file: Option<PathBuf>,

    /// Where the bundle of revocation lists goes: `ssl_crl` of nginx, `crl-file` of HAProxy
    #[arg(long, value_name = "FILE")]
    pub(crate) crl_file: Option<PathBuf>,

    /// The authorities whose clients are accepted, up to the root: `ssl_client_certificate`, `ca-file`
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,

    /// Where the lists are [default: /crl/all.pem of --url]
    #[arg(long, value_name = "URL")]
    pub(crate) crl_url: Option<String>,

    /// What must outlive a restart [default: CRL_FILE.state]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// Write which bundle is in place here, for the gateway to load with it: FILE.conf for nginx to include, else plain
    #[arg(long, value_name = "FILE")]
    pub(crate) generation_file: Option<PathBuf>,

    /// How often to ask for news [default: 1s]
    #[arg(long, value_name = "TIME")]
    pub(crate) interval: Option<Lifetime>,

    /// How long before the first list ends to raise an alarm [default: 1d]
    #[arg(long, value_name = "TIME")]
    pub(crate) alarm_before: Option<Lifetime>,

    /// Write metrics here, for the textfile collector of Prometheus' node exporter
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_file: Option<PathBuf>,

    /// Have HAProxy reload by its master's socket (haproxy -W -S SOCKET)
    #[arg(long, value_name = "SOCKET", conflicts_with = "reload")]
    pub(crate) haproxy_socket: Option<PathBuf>,

    /// Check this configuration of nginx at the start and with every reload, as `gateway check` does
    #[arg(long, value_name = "FILE")]
    pub(crate) nginx_conf: Option<PathBuf>,

    /// Answer OCSP here, on loopback: the service is asked, and what it said counts until it ends while it is away
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "once")]
    pub(crate) ocsp_listen: Option<SocketAddr>,

    /// The service's OCSP responder [default: /ocsp beside --crl-url]
    #[arg(long, value_name = "URL")]
    pub(crate) ocsp_url: Option<String>,

    /// Say what the gateway enforces, by this name: a DNS name in its certificate (--cert, --key)
    #[arg(long, value_name = "NAME")]
    pub(crate) id: Option<String>,

    /// The gateway's port on this host, asked before anything is said
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) probe: Option<String>,

    /// The name in the certificate that it shows there [default: --id]
    #[arg(long, value_name = "NAME")]
    pub(crate) probe_name: Option<String>,

    /// Do it once, and say by the exit status how it went
    #[arg(long)]
    pub(crate) once: bool,

    /// The command that has the gateway read the lists anew, run without a shell when they changed
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) reload: Vec<String>,
}
