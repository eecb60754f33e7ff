//! `ca-server init --external-root`, `import-crl` and `import-responder`: a root that others hold.

use std::path::PathBuf;

use anyhow::bail;
use ca_runtime::administrator::{AdministratorKey, api_url};
use ca_runtime::open::{Purpose, Runtime};

use super::backup::read_passphrase;
use super::init::{read_csr, tell, tell_administrator, tell_root};
use super::{kms_keys, load, say, warn};
use crate::args::{Global, ImportResponderArgs, InitArgs};

pub(super) async fn init(global: &Global, args: &InitArgs) -> anyhow::Result<()> {
    let csr = args.admin_csr.as_deref().map(read_csr).transpose()?;
    let runtime = Runtime::open(load(global)?, Purpose::Initialise).await?;
    let done = match args.import.is_empty() {
        true => request(&runtime, args).await,
        false => import(&runtime, args, csr.as_deref()).await,
    };
    runtime.close().await;
    done
}

async fn request(runtime: &Runtime, args: &InitArgs) -> anyhow::Result<()> {
    let folder = args.requests.clone().unwrap_or_else(|| runtime.data_folder.path().join("requests"));
    let planned = runtime.planned_kms_keys(true).await?;
    kms_keys::review(&planned, args.yes)?;
    runtime.make_kms_keys(&planned, &tell).await?;
    for requested in runtime.request_certificates(&folder, &tell).await? {
        say(format!("{}: the request of `{}`", requested.file.display(), requested.authority));
        say(format!("      SHA-256 of its public key {}", hex::encode(requested.spki_sha256)));
    }
    say("");
    say(
        "have each signed as an authority: basicConstraints cA with path length 0, keyUsage keyCertSign and cRLSign, and the",
    );
    say("extensions that the request asks for; then, with their certificates and those of all authorities above:");
    say("next: ca-server init --external-root --import FILE --root-fingerprint SHA256");
    Ok(())
}

async fn import(runtime: &Runtime, args: &InitArgs, csr: Option<&str>) -> anyhow::Result<()> {
    let adopted = runtime.adopt_hierarchy(&args.import, &args.root_fingerprint).await?;
    let key = csr.map_or(AdministratorKey::MadeHere, AdministratorKey::OfCsr);
    let administrator = runtime.make_first_administrator(key, &api_url(&runtime.config)).await?;
    runtime.settle().await?;
    for authority in adopted.authorities {
        say(format!("authority `{authority}` is on record"));
    }
    for note in adopted.notes {
        warn(format!("note: {note}"));
    }
    tell_root(runtime);
    say("      its key is not here: give its lists to `ca-server import-crl FILE`, each before the one before it ends");
    tell_administrator(administrator);
    Ok(())
}

/// `ca-server import-crl FILE…`
pub(super) async fn import_crls(global: &Global, files: &[PathBuf]) -> anyhow::Result<()> {
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    let mut failed = 0;
    for file in files {
        let imported = async { anyhow::Ok(runtime.import_crl(&std::fs::read(file)?).await?) };
        match imported.await {
            Ok(imported) => {
                let intent = &imported.list.intent;
                let what = if imported.was_known { "was published before" } else { "is published" };
                say(format!(
                    "{}: CRL {} of `{}` {what}; it ends at {}",
                    file.display(),
                    intent.number,
                    intent.authority,
                    intent.next_update
                ));
                for serial in imported.revoked {
                    warn(format!(
                        "serial number {serial} of `{}` is on it and is revoked on record now",
                        intent.authority
                    ));
                }
            }
            Err(error) => {
                failed += 1;
                warn(format!("{}: {error:#}", file.display()));
            }
        }
    }
    runtime.close().await;
    if failed > 0 {
        bail!("{failed} of {} lists were not taken", files.len());
    }
    Ok(())
}

/// `ca-server import-responder FILE --key FILE --passphrase-file FILE`
pub(super) async fn import_responder(global: &Global, args: &ImportResponderArgs) -> anyhow::Result<()> {
    let passphrase = read_passphrase(&args.passphrase_file)?;
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    let imported = runtime.import_responder(&args.certificate, &args.key, &passphrase).await;
    runtime.close().await;
    let (authority, not_after) = imported?;
    say(format!("{}: answers for `{authority}` until {not_after}", args.certificate.display()));
    Ok(())
}
