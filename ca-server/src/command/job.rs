//! `ca-server job list|run NAME`: one job, once, for cron, EventBridge or an ECS scheduled task.

use ca_runtime::open::{Purpose, Runtime};

use super::{load, say};
use crate::args::{Global, JobCommand};
use crate::job::{self, Outcome};
use crate::serve::state_of;

pub(super) async fn job(global: &Global, command: JobCommand) -> anyhow::Result<()> {
    let name = match command {
        JobCommand::List => {
            let width = job::NAMES.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 2;
            for (name, description) in job::NAMES {
                say(format!("{name:<width$}{description}"));
            }
            return Ok(());
        }
        JobCommand::Run { name } => name,
    };
    let config = load(global)?;
    let job = job::by_name(&name, config.status.crl_interval)
        .ok_or_else(|| anyhow::anyhow!("there is no job `{name}`; `ca-server job list` names them"))?;
    let runtime = Runtime::open(config, Purpose::Job).await?;
    if name == "mirror" && runtime.mirrors.is_empty() {
        anyhow::bail!("mirror: there is none; `publish.s3.bucket` names one");
    }
    // Unlike any other process's: a server may be at work beside it.
    let random = runtime.engine.random::<8>()?;
    let state = state_of(&runtime, format!("job-{}", hex::encode(random)));
    let outcome = job::run_once(&*job, &state).await;
    job::release_leases(&state).await;
    runtime.close().await;
    match outcome? {
        Outcome::Done(count) => say(format!("{name}: done, {count} changed")),
        Outcome::Elsewhere => say(format!("{name}: another replica is at it")),
        Outcome::Partly => anyhow::bail!("{name}: not done for every authority; the log says why for each"),
    }
    Ok(())
}
