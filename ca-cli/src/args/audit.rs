//! `audit`

use clap::{Args, Subcommand};

/// `audit …`
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List what happened, oldest first
    List(AuditListArgs),
    /// Follow the whole chain of events, and say whether it is whole
    Verify,
}

/// `audit list`
#[derive(Debug, Args)]
pub(crate) struct AuditListArgs {
    /// Only events after this sequence number
    #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
    pub(crate) after: u64,

    /// Only events of this action, as in certificate-issued
    #[arg(long)]
    pub(crate) action: Option<String>,

    /// Only events of this principal: certificate:ID, token:ID, local, job:NAME
    #[arg(long)]
    pub(crate) principal: Option<String>,

    /// Only events about this subject: certificate:ID, authority:ID, token:ID
    #[arg(long)]
    pub(crate) subject: Option<String>,

    /// At most so many; 0 lists all of them
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub(crate) limit: u64,
}
