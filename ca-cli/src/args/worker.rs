//! `worker`: what brings managed certificates to their targets where the service cannot.

use std::path::PathBuf;

use ca_core::time::Lifetime;
use clap::{ArgGroup, Args};

/// `worker`
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("reach").args(["directory", "secret"]).required(true).multiple(true),
    after_help = "\
Rotates managed certificates that are defined with `delivered_by = \"worker\"` and whose targets --directory and --secret name; those of \
others are left alone. It speaks to the service by its own certificate (--cert, --key), to which `ca-server admin grant worker` gave the \
role, and needs nothing else of it. A key lies in memory and in its target only.

Ends at SIGTERM or SIGINT when the step in hand is done. However it ends, another goes on where it was. With --once the exit status is 0 \
when all was rotated, 3 when only the service could not be reached, 1 for anything else.

  ca-cli worker --directory /etc/web --secret tls/"
)]
pub(crate) struct WorkerArgs {
    /// Targets in files below this folder; may be given several times
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Vec<PathBuf>,

    /// Targets that are secrets of AWS Secrets Manager whose names, or ARNs, begin like this; may be given several times
    #[arg(long, value_name = "PREFIX")]
    pub(crate) secret: Vec<String>,

    /// The managed certificate of this name, and no other; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,

    /// The region of secrets whose definition names none [default: as AWS' own tools find it]
    #[arg(long, value_name = "REGION", requires = "secret")]
    pub(crate) aws_region: Option<String>,

    /// Where AWS answers, for a VPC endpoint or an emulator
    #[arg(long, value_name = "URL", requires = "secret")]
    pub(crate) aws_endpoint_url: Option<String>,

    /// How many are rotated at the same time, and so how many keys are in memory
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) at_once: u8,

    /// How often to ask what is due
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub(crate) interval: Lifetime,

    /// Rotate what is due now, once, and say by the exit status how it went
    #[arg(long)]
    pub(crate) once: bool,
}
