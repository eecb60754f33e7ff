//! `agent`: keeping the certificates of this machine renewed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `agent …`
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Keep the certificates of this machine renewed
    Run(AgentRunArgs),
    /// Show what is in place, until when, and what is wrong
    Status(AgentStatusArgs),
}

/// `agent run`
#[derive(Debug, Args)]
#[command(after_help = "\
A certificate is renewed by mutual TLS with itself, at a random time in the window that the service suggests. Key, certificate \
and chain change together; then the command of `reload` is run. SIGHUP reads the file again, SIGTERM ends.

With --once the exit status is 0 when all is well, 3 when only the service could not be reached, 1 for anything else that failed.

  ca-cli agent run --config-file /etc/ca-agent/agent.toml")]
pub(crate) struct AgentRunArgs {
    /// Settings in TOML
    #[arg(long, value_name = "FILE", default_value = "/etc/ca-agent/agent.toml")]
    pub(crate) config_file: PathBuf,

    /// Do it once, whatever pause there is after a failure, and say by the exit status how it went
    #[arg(long)]
    pub(crate) once: bool,
}

/// `agent status`
#[derive(Debug, Args)]
#[command(after_help = "\
Asks nobody. The exit status is 1 when a certificate is missing, has ended, should have been renewed long ago, or is not in use \
because the command of `reload` failed.")]
pub(crate) struct AgentStatusArgs {
    /// Settings in TOML
    #[arg(long, value_name = "FILE", default_value = "/etc/ca-agent/agent.toml")]
    pub(crate) config_file: PathBuf,
}
