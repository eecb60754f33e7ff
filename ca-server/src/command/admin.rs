//! `ca-server admin`: what whoever has the host may do: the way back in, and the personal data behind audit events.

use std::path::Path;

use ca_core::id::CertificateId;
use ca_engine::flow::personal_data::{audit_text, erase_audit_text};
use ca_runtime::administrator::{AdministratorKey, api_url};
use ca_runtime::open::{Purpose, Runtime};

use super::init::read_csr;
use super::{load, retention, say};
use crate::args::{AdminCommand, Global};
use crate::job::with_detail;

pub(super) async fn admin(global: &Global, command: AdminCommand) -> anyhow::Result<()> {
    match command {
        AdminCommand::Reset { admin_csr } => reset(global, admin_csr.as_deref()).await,
        AdminCommand::Retention { output } => retention::retention(global, output).await,
        AdminCommand::AuditText { certificate, erase } => show_or_erase(global, certificate, erase).await,
    }
}

async fn show_or_erase(global: &Global, certificate: CertificateId, erase: bool) -> anyhow::Result<()> {
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    let answer = match erase {
        true => erase_audit_text(&runtime.engine, certificate).await.map(|()| "erased".to_owned()),
        false => audit_text(&runtime.engine, certificate).await,
    };
    runtime.close().await;
    say(answer.map_err(with_detail)?);
    Ok(())
}

async fn reset(global: &Global, admin_csr: Option<&Path>) -> anyhow::Result<()> {
    let csr = admin_csr.map(read_csr).transpose()?;
    let runtime = Runtime::open(load(global)?, Purpose::Administer).await?;
    let key = csr.as_deref().map_or(AdministratorKey::MadeHere, AdministratorKey::OfCsr);
    let administrator = runtime.reset_administrator(key, &api_url(&runtime.config)).await?;
    runtime.settle().await?;
    runtime.close().await;
    say(format!("administrator: {}", administrator.certificate));
    say(format!("next: ca-cli --config {} list", administrator.settings_file.display()));
    Ok(())
}
