//! `ceremony`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Fingerprint;

/// What to do about a key ceremony.
#[derive(Debug, Subcommand)]
pub(crate) enum CeremonyCommand {
    /// Print what a script leads to, and the fingerprint that is typed when it is run
    Plan(CeremonyPlanArgs),
    /// Carry a script out, once its fingerprint was typed
    Run(CeremonyRunArgs),
    /// Verify what a ceremony left: its transcript, the signature over it, every file that lies beside
    Verify(CeremonyVerifyArgs),
    /// Open a list and its responder that were sealed, when their time has come
    Open(CeremonyOpenArgs),
}

/// `ceremony plan`
#[derive(Debug, Args)]
pub(crate) struct CeremonyPlanArgs {
    /// The script
    #[arg(value_name = "SCRIPT")]
    pub(crate) script: PathBuf,
}

/// `ceremony run`
#[derive(Debug, Args)]
pub(crate) struct CeremonyRunArgs {
    /// The script
    #[arg(value_name = "SCRIPT")]
    pub(crate) script: PathBuf,
    /// Do the same with a key that is thrown away, into a folder that says so
    #[arg(long)]
    pub(crate) rehearsal: bool,
}

/// `ceremony verify`
#[derive(Debug, Args)]
pub(crate) struct CeremonyVerifyArgs {
    /// The output folder of the ceremony
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// SHA-256 fingerprint of the root, as it was written down
    #[arg(long, value_name = "HEX")]
    pub(crate) root_fingerprint: Option<Fingerprint>,
}

/// `ceremony open`
#[derive(Debug, Args)]
pub(crate) struct CeremonyOpenArgs {
    /// The output folder of the ceremony
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Number of the list
    #[arg(value_name = "NUMBER")]
    pub(crate) number: u64,
    /// File whose first line is the passphrase of what is sealed
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: PathBuf,
    /// Who opens it; at least two people
    #[arg(long, value_name = "NAME", required = true)]
    pub(crate) operator: Vec<String>,
}
