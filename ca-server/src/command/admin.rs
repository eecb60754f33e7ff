//! `ca-server admin`: what whoever has the host may do: the way back in, roles, and the personal data behind audit events.

use std::path::Path;

use ca_core::id::CertificateId;
use ca_core::principal::{Principal, Role};
use ca_engine::flow::personal_data::{audit_text, erase_audit_text};
use ca_engine::flow::role::{grant_role, withdraw_role};
use ca_runtime::administrator::{AdministratorKey, api_url};
use ca_runtime::open::{Purpose, Runtime};

use super::init::read_csr;
use super::{load, retention, say};
use crate::args::{AdminCommand, Global};
use crate::job::with_detail;

pub(super) async fn admin(global: &Global, command: AdminCommand) -> anyhow::Result<()> {
    match command {
        AdminCommand::Reset { admin_csr } => reset(global, admin_csr.as_deref()).await,
        AdminCommand::Grant { role, certificate } => grant(global, role, certificate).await,
        AdminCommand::Withdraw { role, certificate } => withdraw(global, role, certificate).await,
        AdminCommand::Roles => roles(global).await,
        AdminCommand::Retention { output } => retention::retention(global, output).await,
        AdminCommand::AuditText { certificate, erase } => show_or_erase(global, certificate, erase).await,
    }
}

async fn grant(global: &Global, role: Role, certificate: CertificateId) -> anyhow::Result<()> {
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    let granted = grant_role(&runtime.engine, &Principal::LocalOperator, certificate, role).await;
    runtime.close().await;
    granted.map_err(with_detail)?;
    say(format!("certificate {certificate} has the role {role}; its successors inherit it"));
    Ok(())
}

async fn withdraw(global: &Global, role: Role, certificate: CertificateId) -> anyhow::Result<()> {
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    let withdrawn = withdraw_role(&runtime.engine, &Principal::LocalOperator, certificate, role).await;
    runtime.close().await;
    if !withdrawn.map_err(with_detail)? {
        anyhow::bail!(
            "certificate {certificate} has not got the role {role}; `ca-server admin roles` lists who has one"
        );
    }
    say(format!("certificate {certificate} has not got the role {role} any more"));
    Ok(())
}

async fn roles(global: &Global) -> anyhow::Result<()> {
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    let bindings = runtime.engine.store().role_bindings().await;
    runtime.close().await;
    for binding in bindings? {
        say(format!("{}  {}  since {}", binding.certificate, binding.role, binding.granted_at.to_rfc3339()));
    }
    Ok(())
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
