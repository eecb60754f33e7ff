//! `bootstrap`

use clap::Args;

use super::value::Fingerprint;

/// `bootstrap URL`
#[derive(Debug, Args)]
#[command(after_help = "\
The fingerprint is what you trust: get it from whoever runs the server, not from the server. `ca-server` prints it.

Writes the configuration file (--config, CA_CONFIG, else ~/.config/ca-cli/config.toml) and the root beside it.")]
pub(crate) struct BootstrapArgs {
    /// The server: its API (https://HOST:8443) or its public listener (http://HOST:8080)
    pub(crate) server: String,

    /// SHA-256 of the root certificate, in hexadecimal
    #[arg(long, value_name = "SHA256")]
    pub(crate) fingerprint: Fingerprint,

    /// Replace a configuration that names another server or root
    #[arg(long)]
    pub(crate) force: bool,
}
