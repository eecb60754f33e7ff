//! `ca-server admin reset`: the way back in, for whoever has the host; audited.

use ca_runtime::administrator::{AdministratorKey, api_url};
use ca_runtime::open::{Purpose, Runtime};

use super::init::read_csr;
use super::{load, say};
use crate::args::{AdminCommand, Global};

pub(super) async fn admin(global: &Global, command: AdminCommand) -> anyhow::Result<()> {
    let AdminCommand::Reset { admin_csr } = command;
    let csr = admin_csr.as_deref().map(read_csr).transpose()?;
    let runtime = Runtime::open(load(global)?, Purpose::Administer).await?;
    let key = csr.as_deref().map_or(AdministratorKey::MadeHere, AdministratorKey::OfCsr);
    let administrator = runtime.reset_administrator(key, &api_url(&runtime.config)).await?;
    runtime.settle().await?;
    runtime.close().await;
    say(format!("administrator: {}", administrator.certificate));
    say(format!("next: ca-cli --config {} list", administrator.settings_file.display()));
    Ok(())
}
