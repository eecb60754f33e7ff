//! Where the authority is: the flags that every command takes.

use std::path::PathBuf;

use ca_core::time::Lifetime;
use clap::Args;

/// Where the authority is. What is not given comes from the environment, then from the configuration file.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Work without a server, on the data folder DIR (made when it is missing)
    #[arg(long, global = true, value_name = "DIR", conflicts_with_all = ["url", "root", "cert", "key", "config"])]
    pub(crate) local: Option<PathBuf>,

    /// The server's API, https://HOST:PORT [env: CA_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// The root certificate to trust, PEM [env: CA_ROOT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,

    /// The client certificate to authenticate with, PEM [env: CA_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of the client certificate, PKCS#8 PEM [env: CA_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// The configuration file [env: CA_CONFIG] [default: ~/.config/ca-cli/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// How long one request may take
    #[arg(long, global = true, value_name = "TIME", default_value = "30s")]
    pub(crate) timeout: Option<Lifetime>,
}
