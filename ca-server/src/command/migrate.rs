//! `ca-server migrate`: brings the database's tables to this version, alone.

use super::{load, say};
use crate::args::Global;

pub(super) async fn migrate(global: &Global) -> anyhow::Result<()> {
    let (before, after) = ca_runtime::open::migrate(&load(global)?).await?;
    if before == after {
        say(format!("the database is at version {after} already"));
    } else {
        say(format!("the database was brought from version {before} to {after}"));
    }
    Ok(())
}
