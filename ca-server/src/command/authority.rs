//! `ca-server authority`: the next generation of an authority, and the end of the last one's key. On the host that has the root's key,
//! beside the running service.

use std::path::Path;

use anyhow::Context;
use ca_core::id::AuthorityId;
use ca_core::time::Lifetime;
use ca_runtime::file::{self, Access, Existing};
use ca_runtime::open::{Purpose, Runtime};

use super::init::tell;
use super::{kms_keys, load, say};
use crate::args::{AuthorityCommand, Global};

pub(super) async fn authority(global: &Global, command: AuthorityCommand) -> anyhow::Result<()> {
    match command {
        AuthorityCommand::Rollover { id, below, csr_out: Some(file), yes, .. } => {
            request(global, &id, below.as_ref(), &file, yes).await
        }
        AuthorityCommand::Rollover { id, below, issue_after, import, yes, .. } => {
            roll_over(global, &id, below.as_ref(), issue_after, import.as_deref(), yes).await
        }
        AuthorityCommand::ImportRoot { file, root_fingerprint } => import_root(global, &file, &root_fingerprint).await,
        AuthorityCommand::ImportCross { file } => import_cross(global, &file).await,
        AuthorityCommand::DestroyKey { id, confirm } => destroy_key(global, &id, &confirm).await,
    }
}

/// The request for the next generation's certificate. It is no secret; a file that is there is left alone.
async fn request(
    global: &Global,
    id: &AuthorityId,
    below: Option<&AuthorityId>,
    file: &Path,
    yes: bool,
) -> anyhow::Result<()> {
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    make_kms_key(&runtime, id, false, yes).await?;
    let asked = runtime.request_generation(id, below).await;
    runtime.close().await;
    let (id, pem) = asked?;
    file::write(file, pem.as_bytes(), Access::Public, Existing::Keep)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    say(format!("{} asks for the certificate of `{id}`; `--import FILE` takes it", file.display()));
    Ok(())
}

/// Has KMS make the key of the generation to come, if the configuration asks for that.
async fn make_kms_key(runtime: &Runtime, id: &AuthorityId, signed_here: bool, yes: bool) -> anyhow::Result<()> {
    let planned: Vec<_> = runtime.planned_kms_key_of_generation(id, signed_here).await?.into_iter().collect();
    kms_keys::review(&planned, yes)?;
    Ok(runtime.make_kms_keys(&planned, &tell).await?)
}

async fn roll_over(
    global: &Global,
    id: &AuthorityId,
    below: Option<&AuthorityId>,
    notice: Lifetime,
    import: Option<&Path>,
    yes: bool,
) -> anyhow::Result<()> {
    let read = |file: &Path| std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()));
    let certificate = import.map(read).transpose()?;
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    if certificate.is_none() {
        make_kms_key(&runtime, id, true, yes).await?;
    }
    let rolled = match &certificate {
        Some(octets) => runtime.import_generation(id, below, octets, notice).await,
        None => runtime.roll_over(id, below, notice).await,
    };
    let key = runtime.data_folder.root_key_file();
    let public = runtime.config.public.base_url.as_ref().map(ToString::to_string).unwrap_or_default();
    runtime.close().await;
    let announced = rolled?;
    say(format!(
        "generation `{}` is made; it issues from {} on, and `{}` until then",
        announced.id, announced.issues_from, announced.before
    ));
    say(format!(
        "until then: a backup, which has its key; and its certificate to every gateway: {public}/ca/{}.pem",
        announced.id
    ));
    if key.exists() {
        say(format!("the root's key lies in {}: take it away again", key.display()));
    }
    Ok(())
}

async fn import_root(global: &Global, file: &Path, fingerprints: &[[u8; 32]]) -> anyhow::Result<()> {
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    let taken = runtime.import_root(file, fingerprints).await;
    runtime.close().await;
    let id = taken?;
    say(format!(
        "root `{id}` is on record; /roots.pem has it from now on, and everybody who is to trust it must be given it"
    ));
    say("its key is not here: give its lists to `ca-server import-crl FILE`, each before the one before it ends");
    say(format!("next: ca-server authority rollover tls --below {id} --csr-out FILE"));
    Ok(())
}

async fn import_cross(global: &Global, file: &Path) -> anyhow::Result<()> {
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    let taken = runtime.import_cross_certificate(file).await;
    let public = runtime.config.public.base_url.as_ref().map(ToString::to_string).unwrap_or_default();
    runtime.close().await;
    let cross = taken?;
    say(format!("whoever trusts `{}` comes to what is below `{}` by it: certificate {}", cross.by, cross.of, cross.id));
    say(format!("of each authority ID below `{}`, {public}/ca/ID.{}.pem is the way there", cross.of, cross.by));
    Ok(())
}

async fn destroy_key(global: &Global, id: &AuthorityId, fingerprint: &str) -> anyhow::Result<()> {
    let runtime = Runtime::open(load(global)?, Purpose::Job).await?;
    let destroyed = runtime.destroy_authority_key(id, fingerprint).await;
    runtime.close().await;
    say(match destroyed? {
        true => format!("the key of `{id}` is destroyed; backups that were made before still have it, sealed"),
        false => format!("the key of `{id}` was destroyed before"),
    });
    Ok(())
}
