//! `renewal-window`

use ca_core::id::{AuthorityId, CertificateId, ProfileName, WindowMoveId};
use ca_core::time::Lifetime;
use clap::{Args, Subcommand};

use super::value::Instant;

/// `renewal-window …`
#[derive(Debug, Subcommand)]
pub(crate) enum RenewalWindowCommand {
    /// Ask for many certificates to be renewed now or soon, in waves
    Move(RenewalWindowMoveArgs),
    /// List the moves on record, newest first
    List,
    /// Withdraw a move: the windows are where they were before it
    Restore {
        /// Its id
        id: WindowMoveId,
    },
}

/// `renewal-window move`
#[derive(Debug, Args)]
pub(crate) struct RenewalWindowMoveArgs {
    /// Of certificates of this authority
    #[arg(long, value_name = "ID", required_unless_present_any = ["profile", "certificate"])]
    pub(crate) authority: Option<AuthorityId>,

    /// Of certificates of this profile
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<ProfileName>,

    /// Of one certificate, by its id
    #[arg(long, value_name = "ID")]
    pub(crate) certificate: Option<CertificateId>,

    /// Of certificates issued since this time, or so long ago
    #[arg(long, value_name = "TIME")]
    pub(crate) issued_after: Option<Instant>,

    /// Of certificates issued before this time, or so long ago; now, unless given
    #[arg(long, value_name = "TIME")]
    pub(crate) issued_before: Option<Instant>,

    /// When the first are to be renewed, or how long from now; now, unless given
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<Instant>,

    /// Within how long from then all of them are to be renewed
    #[arg(long, value_name = "TIME")]
    pub(crate) within: Lifetime,

    /// In how many waves, one after the other
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    pub(crate) waves: u32,

    /// A page that explains it to those who look
    #[arg(long, value_name = "URL")]
    pub(crate) explanation_url: Option<String>,
}
