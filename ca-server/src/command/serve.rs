//! `ca-server serve`: what `init` made, until it is told to stop.

use anyhow::bail;
use ca_runtime::open::{Purpose, Runtime};

use super::load;
use crate::args::{Global, Role};
use crate::serve::run;

pub(super) async fn serve(global: &Global, role: Role) -> anyhow::Result<()> {
    let purpose = match role {
        Role::All => Purpose::Serve,
        Role::Status => Purpose::ServeStatus,
        Role::Worker => Purpose::ServeWorker,
    };
    let runtime = Runtime::open(load(global)?, purpose).await?;
    if runtime.engine.hierarchy().authorities().is_empty() {
        bail!("there is no authority in {}; run `ca-server init` first", runtime.data_folder.path().display());
    }
    run(runtime, role, |addresses| {
        tracing::info!(
            api = addresses.api.map(|address| address.to_string()),
            public = addresses.public.map(|address| address.to_string()),
            admin = %addresses.admin,
            "serving"
        );
    })
    .await
}
