//! `ca-server check-config`: every fault at once, before anything starts.

use ca_runtime::open::{check_policies, left_to_init};

use super::{load, say};
use crate::args::Global;

pub(super) fn check_config(global: &Global) -> anyhow::Result<()> {
    let config = load(global)?;
    check_policies(&config)?;
    for what in left_to_init(&config) {
        say(what);
    }
    say(format!("the configuration is good; data folder: {}", config.data_dir.display()));
    Ok(())
}
