//! The rollovers that the configuration asks for (`rollover_every`): told of ahead, and carried out when they are due, where the key above
//! can be used here; else the request for whoever holds that key is written. One replica at a time, by the lease of rollovers.

use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use ca_runtime::scheduled_rollover::{NextRollover, Outcome as Done, RolloverSchedule};

use super::driver::{Job, Outcome};
use crate::state::AppState;

pub(crate) struct ScheduledRolloverJob;

#[async_trait]
impl Job for ScheduledRolloverJob {
    fn name(&self) -> &'static str {
        "scheduled-rollover"
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let Some(schedule) = state.rollover_schedule() else { return Ok(Outcome::Done(0)) };
        state.engine().check_anchor()?;
        let (mut done, mut failed) = (0, false);
        for next in schedule.next() {
            match look(schedule, &next, state).await {
                Ok(changed) => done += u64::from(changed),
                Err(error) => {
                    failed = true;
                    let error = format!("{error:#}");
                    tracing::error!(line = %next.line, error, "a rollover that is due was not carried out");
                }
            }
        }
        Ok(if failed { Outcome::Partly } else { Outcome::Done(done) })
    }
}

/// Returns whether something was done.
async fn look(schedule: &RolloverSchedule, next: &NextRollover, state: &AppState) -> anyhow::Result<bool> {
    let (line, now) = (&next.line, state.engine().now());
    if now < next.told_from {
        return Ok(false);
    }
    if now < next.due {
        match next.is_by_itself {
            true => tracing::warn!(%line, due = %next.due, "the next generation will be made then, by itself"),
            false => tracing::warn!(
                %line,
                due = %next.due,
                request = %next.request.display(),
                "a rollover is due then, and the key above is not here: its request will be written, to be signed where that key is"
            ),
        }
        return Ok(false);
    }
    let done = schedule.carry_out(next, state.holder()).await.with_context(|| format!("after {}", next.newest))?;
    match done {
        Done::Announced(announced) => tracing::warn!(
            generation = %announced.id,
            issues_from = %announced.issues_from,
            "the next generation is made; until it issues: a backup, which has its key, and its certificate to every gateway"
        ),
        Done::Requested { generation, file } => tracing::warn!(
            %generation,
            request = %file.display(),
            "a rollover is due: have the request signed where the key above is, and import it with `ca-server authority rollover`"
        ),
        Done::Waiting { file } => {
            tracing::warn!(%line, request = %file.display(), "a rollover is due, and waits for the certificate of its request");
            return Ok(false);
        }
        Done::Elsewhere => return Ok(false),
    }
    Ok(true)
}
