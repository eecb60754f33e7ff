//! `managed rotate`: has one rotated at once, and waits for it when asked to.

use std::time::Duration;

use ca_api::managed::ManagedCertificate;
use ca_core::time::Lifetime;

use super::describe;
use crate::args::ManagedRotateArgs;
use crate::exit::{Exit, Failure};
use crate::printer::Printer;
use crate::service::Service;
use crate::settings::{Settings, Target};

/// How often it is looked again.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

pub(super) async fn run(
    service: &dyn Service,
    args: &ManagedRotateArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let is_local = matches!(settings.target, Target::Local(_));
    if is_local && args.wait.is_some() {
        return Err(Failure::Usage(
            "nobody rotates while this command has the folder: leave --wait out, then start a server, or run `ca-server job \
             run expiry-check`"
                .to_owned(),
        ));
    }
    let before = service.managed(&args.name).await?;
    let asked = service.rotate_managed(&args.name).await?;
    let Some(limit) = args.wait else {
        printer.result(&asked, describe)?;
        printer.note(if is_local {
            "it is next, once a server runs on this folder or `ca-server job run expiry-check` does"
        } else {
            "it is next; `ca-cli managed show` tells how far it has come"
        });
        return Ok(Exit::Done);
    };
    let spinner = printer.spinner(format!("rotating {}", before.name));
    let ended = wait(service, args, &before, limit, |there| {
        let step = there.rotation.as_ref().map(|rotation| format!("{:?}", rotation.step).to_lowercase());
        spinner.message(format!(
            "rotating {}: {}",
            before.name,
            step.unwrap_or_else(|| "waits for its turn".to_owned())
        ));
    })
    .await?;
    drop(spinner);
    match ended {
        Ended::Rotated(there) => {
            printer.result(&there, describe)?;
            Ok(Exit::Done)
        }
        Ended::Failed(there) => {
            printer.result(&there, describe)?;
            let detail = there.last_failure.map(|failure| failure.detail).unwrap_or_default();
            Err(Failure::Failed(format!("the rotation failed: {detail}; it is tried again at {}", there.next_at)))
        }
        Ended::OutOfTime(there) => {
            printer.result(&there, describe)?;
            Err(Failure::Failed(format!("it was not rotated within {limit}; it goes on at the service")))
        }
    }
}

/// How the waiting ended.
enum Ended {
    /// Another certificate is current, and nothing is under way.
    Rotated(ManagedCertificate),
    /// An attempt failed since.
    Failed(ManagedCertificate),
    /// Neither.
    OutOfTime(ManagedCertificate),
}

async fn wait(
    service: &dyn Service,
    args: &ManagedRotateArgs,
    before: &ManagedCertificate,
    limit: Lifetime,
    look: impl Fn(&ManagedCertificate),
) -> Result<Ended, Failure> {
    let current = |one: &ManagedCertificate| one.current.as_ref().map(|current| current.certificate.clone());
    let failed_at = |one: &ManagedCertificate| one.last_failure.as_ref().map(|failure| failure.at.clone());
    let until = super::super::now().plus(limit);
    loop {
        let there = service.managed(&args.name).await?;
        look(&there);
        if current(&there) != current(before) && there.rotation.is_none() {
            return Ok(Ended::Rotated(there));
        }
        if failed_at(&there).is_some() && failed_at(&there) != failed_at(before) {
            return Ok(Ended::Failed(there));
        }
        if super::super::now() >= until {
            return Ok(Ended::OutOfTime(there));
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
