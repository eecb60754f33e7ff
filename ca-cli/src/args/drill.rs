//! `authority compromise-drill`

use std::path::PathBuf;

use ca_core::id::AuthorityId;
use ca_core::revocation::RevocationReason;
use ca_core::time::Lifetime;
use clap::{Args, ValueEnum};

use super::value::revocation_reason;

/// `authority compromise-drill ID`
#[derive(Debug, Args)]
#[command(after_help = "\
Without --execute nothing is changed: it counts, and says what each step would do and what would be left.

With it: waits until the next generation issues (`ca-server authority rollover ID --issue-after 15s`, where the root's key is); asks \
the holders of all that ID has issued to renew, in waves; has the managed certificates rotated, within the service's quotas; revokes \
what was replaced. How far it came, and how long each step took, lies in the state file: the same command goes on with it.")]
pub(crate) struct CompromiseDrillArgs {
    /// The authority whose key is taken to be compromised, as in tls
    pub(crate) id: AuthorityId,

    /// Do it, and not only count
    #[arg(long)]
    pub(crate) execute: bool,

    /// The authority's id once more, instead of being asked for it
    #[arg(long, value_name = "ID", requires = "execute")]
    pub(crate) confirm: Option<AuthorityId>,

    /// Within how long everything is to be replaced
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) within: Lifetime,

    /// In how many waves holders are asked to renew
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub(crate) waves: u32,

    /// What is revoked at the end
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = DrillRevocation::Replaced)]
    pub(crate) revoke: DrillRevocation,

    /// Why, as RFC 5280 names it
    #[arg(long, value_parser = revocation_reason(), value_name = "REASON", default_value = "superseded")]
    pub(crate) reason: RevocationReason,

    /// Where it is kept how far it came [default: compromise-drill-ID.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
}

/// What a drill revokes at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrillRevocation {
    /// Nothing
    None,
    /// What has a successor from the next generation
    Replaced,
    /// Everything that the authority has issued, the service's own certificates apart
    All,
}
