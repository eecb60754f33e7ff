//! `managed`: certificates whose rotation the service owns.

mod apply;
mod rotate;
mod status;

use ca_api::managed::{ManagedCertificate, ManagedTarget};
use ca_core::managed::definition::{Deliverer, EndpointDefinition, ManagedDefinition, SecretLayout, TargetDefinition};
use ca_engine::flow::managed::define::ManagedRequest;

use super::show::lines as fact_lines;
use crate::args::{ManagedAddArgs, ManagedCommand, ManagedListArgs, ManagedTargetArgs, SecretLayout as Layout};
use crate::exit::{Exit, Failure};
use crate::printer::Printer;
use crate::service::{PageRequest, Service};
use crate::settings::Settings;

/// Does what was asked with managed certificates.
pub(super) async fn run(
    service: &dyn Service,
    command: &ManagedCommand,
    settings: &Settings,
    printer: &Printer,
) -> Result<Exit, Failure> {
    match command {
        ManagedCommand::Add(args) => {
            let added = service.add_managed(&request(args), args.dry_run).await?;
            printer.result(&added, describe)?;
            if args.dry_run {
                printer.note("it could be added; nothing was changed");
            }
        }
        ManagedCommand::Apply(args) => return apply::run(service, args, printer).await,
        ManagedCommand::List(args) => list(service, args, printer).await?,
        ManagedCommand::Show(args) => printer.result(&service.managed(&args.name).await?, describe)?,
        ManagedCommand::Status(args) => status::run(service, args, printer).await?,
        ManagedCommand::Rotate(args) => return rotate::run(service, args, settings, printer).await,
        ManagedCommand::Pause(args) => {
            printer.result(&service.pause_managed(&args.name).await?, describe)?;
        }
        ManagedCommand::Resume(args) => {
            printer.result(&service.resume_managed(&args.name).await?, describe)?;
        }
        ManagedCommand::Remove(args) => {
            let there = service.managed(&args.name).await?;
            service.remove_managed(&args.name).await?;
            printer.note(format!("{} is managed no more", there.name));
            if there.current.is_some() || there.rotation.is_some() {
                printer.note("its certificates stay valid until they end or are revoked, and nobody rotates them");
            }
        }
    }
    Ok(Exit::Done)
}

/// Every managed certificate.
pub(super) async fn all(service: &dyn Service) -> Result<Vec<ManagedCertificate>, Failure> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = PageRequest { limit: ca_api::page::MAXIMUM_LIMIT, cursor };
        let page = service.managed_certificates(page).await?;
        found.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

async fn list(service: &dyn Service, args: &ManagedListArgs, printer: &Printer) -> Result<(), Failure> {
    let mut found = all(service).await?;
    found.retain(|one| (!args.failing || one.failures > 0) && (!args.paused || one.paused));
    printer.result(&found, |found| {
        printer.table(
            ["NAME", "PROFILE", "TARGET", "VALID UNTIL", "STATE"],
            found.iter().map(|one| {
                [
                    one.name.clone(),
                    one.profile.clone(),
                    target(&one.definition.target),
                    one.current.as_ref().map(|current| current.not_after.clone()).unwrap_or_default(),
                    state(one),
                ]
            }),
        )
    })
}

/// How one stands, in a few words.
fn state(one: &ManagedCertificate) -> String {
    if one.paused {
        return "paused".to_owned();
    }
    match (&one.last_failure, &one.rotation, &one.current) {
        (Some(_), ..) => format!("failed {} times; again at {}", one.failures, one.next_at),
        (None, Some(_), _) => "being rotated".to_owned(),
        (None, None, None) => "to be issued".to_owned(),
        (None, None, Some(current)) => match &current.due_at {
            Some(due_at) => format!("to be rotated at {due_at}"),
            None => format!("next at {}", one.next_at),
        },
    }
}

/// A target in words.
fn target(target: &ManagedTarget) -> String {
    match target {
        ManagedTarget::Directory { path } => format!("folder {path}"),
        ManagedTarget::Pkcs12 { path, .. } => format!("PKCS#12 file {path}"),
        ManagedTarget::SecretsManager { secret, region: Some(region), .. } => format!("secret {secret} in {region}"),
        ManagedTarget::SecretsManager { secret, region: None, .. } => format!("secret {secret}"),
    }
}

fn describe(one: &ManagedCertificate) -> String {
    let wanted = &one.definition;
    let mut lines = vec![
        ("Name", one.name.clone()),
        ("Id", one.id.clone()),
        ("Profile", one.profile.clone()),
        ("Subject", wanted.subject.clone().unwrap_or_default()),
        ("Names", wanted.subject_alternative_names.join(", ")),
        ("Key", if wanted.keep_key { format!("{}, kept", wanted.key_type) } else { wanted.key_type.clone() }),
        ("Validity", wanted.validity.clone().unwrap_or_default()),
        ("Target", target(&wanted.target)),
        ("Brought by", format!("{:?}", wanted.delivered_by).to_lowercase()),
        ("Rotated", format!("{} before its end", wanted.renew_before)),
        ("Hooks", wanted.hooks.join(", ")),
        ("Served at", wanted.endpoint.as_ref().map(|endpoint| endpoint.address.clone()).unwrap_or_default()),
        ("State", state(one)),
    ];
    if let Some(current) = &one.current {
        lines.push(("Certificate", current.certificate.clone()));
        lines.push(("Valid until", current.not_after.clone()));
    }
    if let Some(rotation) = &one.rotation {
        let step = format!("{:?}", rotation.step).to_lowercase();
        lines.push(("Rotation", format!("{}, {step}, begun at {}", rotation.id, rotation.begun_at)));
    }
    if let Some(superseded) = &one.superseded {
        lines.push(("Before it", format!("{}, to be revoked at {}", superseded.certificate, superseded.revoke_at)));
    }
    if let Some(failure) = &one.last_failure {
        lines.push(("Last failure", format!("{}: {}", failure.at, failure.detail)));
    }
    lines.push(("Owner", one.owner.clone()));
    fact_lines(&lines)
}

/// What the flags of `add` ask for.
fn request(args: &ManagedAddArgs) -> ManagedRequest {
    ManagedRequest {
        name: args.name.clone(),
        profile: args.profile.clone(),
        definition: ManagedDefinition {
            subject: args.subject.clone(),
            subject_alternative_names: args.names.iter().map(ToString::to_string).collect(),
            validity: args.validity.map(|validity| validity.to_string()),
            key_type: args.key_type,
            keep_key: args.keep_key,
            target: target_of(&args.target),
            delivered_by: if args.target.by_worker { Deliverer::Worker } else { Deliverer::Service },
            renew_before: args.renew_before,
            hooks: args.hooks.clone(),
            endpoint: args.endpoint.as_ref().map(|address| EndpointDefinition {
                address: address.clone(),
                server_name: args.server_name.clone(),
                within: args.served_within.to_string(),
            }),
            revoke_superseded_after: args.revoke_superseded_after.map(|overlap| overlap.to_string()),
        },
        request_id: None,
    }
}

/// The flags leave exactly one of them.
fn target_of(args: &ManagedTargetArgs) -> TargetDefinition {
    match (&args.secret, &args.pkcs12) {
        (Some(secret), _) => TargetDefinition::SecretsManager {
            secret: secret.clone(),
            region: args.region.clone(),
            create: args.create,
            layout: match args.layout {
                Layout::Json => SecretLayout::Json,
                Layout::Pem => SecretLayout::Pem,
            },
            kms_key: args.kms_key.clone(),
            tags: args.tags.iter().cloned().collect(),
            replicas: args.replicas.iter().cloned().collect(),
        },
        (None, Some(path)) => TargetDefinition::Pkcs12 {
            path: path.clone(),
            passphrase_file: args.passphrase_file.clone().unwrap_or_default(),
        },
        (None, None) => TargetDefinition::Directory { path: args.directory.clone().unwrap_or_default() },
    }
}
