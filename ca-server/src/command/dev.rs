//! `ca-server dev`: try it. Everything is made on first start; loopback only; leaves live for a week at most.

use ca_runtime::administrator::{AdministratorKey, api_url};
use ca_runtime::open::{Purpose, Runtime};

use super::init::{tell, tell_root};
use super::{load, say};
use crate::args::{Global, Role};
use crate::serve::run;

pub(super) async fn dev(global: &Global) -> anyhow::Result<()> {
    let config = load(global)?.for_development(std::env::current_dir()?).map_err(|faults| {
        anyhow::anyhow!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  "))
    })?;
    let runtime = Runtime::open(config, Purpose::Develop).await?;
    runtime.write_config_template()?;
    runtime.init_hierarchy(&tell).await?;
    let api = api_url(&runtime.config);
    runtime.make_first_administrator(AdministratorKey::MadeHere, &api).await?;
    let settings = runtime.data_folder.admin_folder().join("cli.toml");
    tell_root(&runtime);
    run(runtime, Role::All, |addresses| {
        say(format!("API     {api}"));
        if let Some(public) = addresses.public {
            say(format!("status  http://{public} (OCSP, CRL, certificates)"));
        }
        say(format!("admin   http://{}/metrics", addresses.admin));
        say("");
        say(format!("next: ca-cli --config {} issue client cliente", settings.display()));
    })
    .await
}
