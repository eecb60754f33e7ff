//! `outbox`

use ca_core::id::DeliveryId;
use clap::{Args, Subcommand, ValueEnum};

/// `outbox …`
#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
    /// List the events that sinks have not taken, newest first
    List(OutboxListArgs),
    /// Have events tried again at once, as if they had never been tried
    Replay(OutboxReplayArgs),
}

/// `outbox list`
#[derive(Debug, Args)]
pub(crate) struct OutboxListArgs {
    /// Only those of this state
    #[arg(long, value_enum, value_name = "STATE")]
    pub(crate) state: Option<DeliveryState>,

    /// At most so many; 0 lists all of them
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub(crate) limit: u64,
}

/// `outbox replay ID…`
#[derive(Debug, Args)]
pub(crate) struct OutboxReplayArgs {
    /// Their ids
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) ids: Vec<DeliveryId>,

    /// Every dead letter there is
    #[arg(long)]
    pub(crate) all: bool,
}

/// Whether an event is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeliveryState {
    /// It is
    Pending,
    /// It is not, unless it is replayed
    Dead,
}
