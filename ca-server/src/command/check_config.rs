//! `ca-server check-config`: every fault at once, before anything starts.

use ca_runtime::open::check_policies;

use super::{load, say};
use crate::args::Global;

pub(super) fn check_config(global: &Global) -> anyhow::Result<()> {
    let config = load(global)?;
    check_policies(&config)?;
    say(format!("the configuration is good; data folder: {}", config.data_dir.display()));
    Ok(())
}
