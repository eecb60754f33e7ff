//! `ca-server init`: the hierarchy and the first administrator. Harmless to repeat.

use std::path::Path;

use anyhow::Context;
use ca_runtime::administrator::{Administrator, AdministratorKey, api_url};
use ca_runtime::hierarchy::Progress;
use ca_runtime::open::{Purpose, Runtime};

use super::{kms_keys, load, say};
use crate::args::{Global, InitArgs};

pub(super) async fn init(global: &Global, args: &InitArgs) -> anyhow::Result<()> {
    let csr = args.admin_csr.as_deref().map(read_csr).transpose()?;
    let runtime = Runtime::open(load(global)?, Purpose::Initialise).await?;
    let planned = runtime.planned_kms_keys(false).await?;
    kms_keys::review(&planned, args.yes)?;
    runtime.make_kms_keys(&planned, &tell).await?;
    let made = runtime.init_hierarchy(&tell).await?;
    let key = csr.as_deref().map_or(AdministratorKey::MadeHere, AdministratorKey::OfCsr);
    let administrator = runtime.make_first_administrator(key, &api_url(&runtime.config)).await?;
    runtime.settle().await?;
    runtime.close().await;
    if made.is_empty() {
        say("the hierarchy was there already");
    }
    tell_root(&runtime);
    tell_administrator(administrator);
    Ok(())
}

/// Who the administrator is, and what to type next.
pub(super) fn tell_administrator(administrator: Option<Administrator>) {
    match administrator {
        Some(administrator) => {
            say(format!("administrator: {}", administrator.certificate));
            say("");
            say("next: ca-server serve");
            say(format!("then: ca-cli --config {} issue client NAME", administrator.settings_file.display()));
        }
        None => say("there is an administrator already; `ca-server admin reset` makes another in their place"),
    }
}

/// Tells of the work while it goes on; RSA keys take a while.
pub(super) fn tell(progress: Progress) {
    match progress {
        Progress::MakingKey { authority, key_type } => say(format!("making the {key_type} key of `{authority}` …")),
        Progress::MadeInKms { authority, arn } => say(format!("the key of `{authority}` is {arn}")),
        Progress::Established { authority } => say(format!("authority `{authority}` is established")),
        _ => {}
    }
}

/// The fingerprint by which clients know the root, and where its key lies.
pub(super) fn tell_root(runtime: &Runtime) {
    for root in runtime.engine.hierarchy().roots() {
        say(format!("root: {}", root.certificate().subject()));
        say(format!("      SHA-256 {}", hex::encode(root.certificate().fingerprint_sha256())));
    }
    let key = runtime.data_folder.root_key_file();
    if key.exists() {
        say(format!("      its key lies in {}: move it to a safe place that is offline", key.display()));
    }
}

pub(super) fn read_csr(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("the CSR {} cannot be read", path.display()))
}
