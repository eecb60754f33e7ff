//! The command line as clap sees it: types and their help, nothing else. What a command does with them is in `command`.

mod agent;
mod audit;
mod authority;
mod bootstrap;
mod bulk_revocation;
mod ceremony;
mod certificate;
mod connection;
mod drill;
mod gateway;
mod issue;
mod managed;
mod outbox;
mod renewal_window;
mod token;
mod value;
mod verify;
mod worker;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use agent::{AgentCommand, AgentRunArgs};
pub(crate) use audit::{AuditCommand, AuditListArgs};
pub(crate) use authority::{
    AuthorityCommand, DestroyKeyArgs, ExportKeyArgs, ExportRootKeyArgs, ProfileCommand, PublishCrlArgs, RolloverArgs,
};
pub(crate) use bootstrap::BootstrapArgs;
pub(crate) use ceremony::{CeremonyCommand, CeremonyOpenArgs, CeremonyPlanArgs, CeremonyRunArgs, CeremonyVerifyArgs};
pub(crate) use certificate::{ListArgs, RenewArgs, RevokeArgs, ShowArgs, Status, UnholdArgs};
pub(crate) use connection::ConnectionArgs;
pub(crate) use drill::{CompromiseDrillArgs, DrillRevocation};
pub(crate) use gateway::{GatewayCheckArgs, GatewayCommand, GatewayRunArgs};
pub(crate) use issue::{IssueArgs, OutputFileArgs};
pub(crate) use managed::{
    ManagedAddArgs, ManagedApplyArgs, ManagedCommand, ManagedListArgs, ManagedRotateArgs, ManagedStatusArgs,
    ManagedTargetArgs, SecretLayout,
};
pub(crate) use outbox::{DeliveryState, OutboxCommand, OutboxListArgs, OutboxReplayArgs};
pub(crate) use renewal_window::{RenewalWindowCommand, RenewalWindowMoveArgs};
pub(crate) use token::{TokenCommand, TokenCreateArgs, TokenListArgs};
pub(crate) use value::{Fingerprint, Instant};
pub(crate) use verify::{Purpose, VerifyArgs};
pub(crate) use worker::WorkerArgs;

/// Certificates from your own certificate authority.
///
/// Works against a server (`--url`, or what `bootstrap` wrote), or without one on a folder of its own (`--local DIR`).
#[derive(Debug, Parser)]
#[command(
    name = "ca-cli",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 unreachable (a retry may help).\n\n\
                  Try it, in an empty folder and without a server:\n  \
                  ca-cli --local ./pki issue client cliente"
)]
pub(crate) struct Cli {
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    pub(crate) output: OutputFormat,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Text for people.
    Table,
    /// JSON for programs, in the shapes of the HTTP API.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Issue a certificate, or one for every row of a file
    Issue(Box<IssueArgs>),
    /// Issue the successor of a certificate
    Renew(Box<RenewArgs>),
    /// Revoke a certificate or many, or put them on hold
    Revoke(Box<RevokeArgs>),
    /// End a hold
    Unhold(UnholdArgs),
    /// List certificates on record, newest first
    List(ListArgs),
    /// Show a certificate
    Show(ShowArgs),
    /// Verify a certificate: chain, dates, OCSP and CRL; and say why not
    Verify(VerifyArgs),
    /// Trust a server by the fingerprint of its root, and remember it
    Bootstrap(BootstrapArgs),
    /// The authorities, their keys and their revocation lists
    #[command(subcommand)]
    Authority(AuthorityCommand),
    /// What each kind of certificate may contain
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Enrolment tokens: credentials for a few certificates of exactly named subjects
    #[command(subcommand)]
    Token(TokenCommand),
    /// What happened, as a chain that proves itself whole
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Events that were not delivered to webhooks, and trying them again
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// When certificates are to be renewed: moving that for many of them
    #[command(subcommand)]
    RenewalWindow(RenewalWindowCommand),
    /// Certificates that the service rotates, and where it brings them
    #[command(subcommand)]
    Managed(ManagedCommand),
    /// What stands beside nginx or HAProxy: fresh revocation lists, and what is enforced
    #[command(subcommand)]
    Gateway(GatewayCommand),
    /// Keeps the certificates of this machine renewed, and has their users load them
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Bring managed certificates to targets that the service cannot reach, as a process of its own
    Worker(Box<WorkerArgs>),
    /// Key ceremonies on a machine without network: a root, what it signs, and a transcript that proves it
    #[command(subcommand)]
    Ceremony(CeremonyCommand),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write a page for every command
    Man(ManArgs),
}

/// `completions`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// `man`
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write ca-cli.1 and a page for every command into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
