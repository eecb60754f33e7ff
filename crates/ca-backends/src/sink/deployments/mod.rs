//! The sink that has a new certificate taken: of the events `certificate.rotated` that name hooks it makes deployments of CodeDeploy and
//! of services of ECS. All other events it takes and does nothing about.
//!
//! An event may come again, and half of it may be done. Each hook looks first whether its deployment is there already, and this process
//! remembers what it did for an event until all of it is done.

mod codedeploy;
mod ecs;
mod fault;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ca_core::id::DeliveryId;
use ca_core::managed::definition::Hook;
use ca_core::time::Timestamp;
use ca_engine::port::sink::{Sink, SinkError, SinkEvent};
use serde::Deserialize;

use self::codedeploy::CodeDeploy;
use self::ecs::Ecs;
use crate::aws::{AwsAccess, Tally};

/// The topic that hooks wait for.
const TOPIC: &str = "certificate.rotated";
/// Of so many events that are half done it is remembered what was done.
const REMEMBERED: usize = 1_000;

/// Makes deployments in one account and region.
pub struct Deployments {
    codedeploy: CodeDeploy,
    ecs: Ecs,
    /// How long all hooks of one event may take, so that the lease lasts under which events are sent. What is not done by then is gone
    /// on with at the next attempt.
    within: Duration,
    done: Mutex<BTreeMap<DeliveryId, BTreeSet<Hook>>>,
}

/// What of an event is needed here.
#[derive(Deserialize)]
struct Rotated {
    /// When the certificate was current in its target, by the database's clock.
    time: String,
    #[serde(default)]
    hooks: Vec<Hook>,
}

/// One deployment that is asked for.
struct Order<'a> {
    delivery: DeliveryId,
    rotated_at: Timestamp,
    hook: &'a Hook,
}

impl Deployments {
    pub(super) fn new(
        access: &AwsAccess,
        region: String,
        attempt: Duration,
        codedeploy: Arc<Tally>,
        ecs: Arc<Tally>,
    ) -> Self {
        Self {
            codedeploy: CodeDeploy::new(access, region.clone(), attempt, codedeploy),
            ecs: Ecs::new(access, region, attempt, ecs),
            within: attempt.mul_f64(2.5),
            done: Mutex::default(),
        }
    }

    async fn carry_out(&self, delivery: DeliveryId, rotated_at: Timestamp, hooks: &[Hook]) -> Result<(), SinkError> {
        let mut errors = Vec::new();
        for hook in hooks {
            if self.is_done(delivery, hook) {
                continue;
            }
            let order = Order { delivery, rotated_at, hook };
            let made = match hook {
                Hook::CodeDeploy { application, group } => self.codedeploy.deploy(application, group, &order).await,
                Hook::Ecs { cluster, service } => self.ecs.deploy(cluster, service, &order).await,
            };
            match made {
                Ok(()) => self.remember(delivery, hook),
                // The others are not kept waiting by it.
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            self.lock().remove(&delivery);
        }
        together(errors)
    }

    fn is_done(&self, delivery: DeliveryId, hook: &Hook) -> bool {
        self.lock().get(&delivery).is_some_and(|done| done.contains(hook))
    }

    fn remember(&self, delivery: DeliveryId, hook: &Hook) {
        let mut done = self.lock();
        done.entry(delivery).or_default().insert(hook.clone());
        // Those that were given up are never asked for again; the oldest id is that of the oldest event.
        while done.len() > REMEMBERED {
            done.pop_first();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeliveryId, BTreeSet<Hook>>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Deployments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployments").finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for Deployments {
    async fn deliver(&self, event: &SinkEvent) -> Result<(), SinkError> {
        if event.topic != TOPIC {
            return Ok(());
        }
        let unreadable = |detail: String| SinkError::Gone { detail: format!("the event cannot be read: {detail}") };
        let rotated: Rotated = serde_json::from_str(&event.body).map_err(|error| unreadable(error.to_string()))?;
        let rotated_at = Timestamp::parse_rfc3339(&rotated.time).map_err(|error| unreadable(error.to_string()))?;
        let all = self.carry_out(event.id, rotated_at, &rotated.hooks);
        tokio::time::timeout(self.within, all).await.unwrap_or_else(|_| {
            let detail =
                "AWS took too long over the deployments of one event; what is left is made at the next attempt";
            Err(SinkError::Unavailable { detail: detail.to_owned(), retry_after: None })
        })
    }
}

/// One error of several: what passes by itself before what somebody must put right, which is told in the text all the same.
fn together(errors: Vec<SinkError>) -> Result<(), SinkError> {
    if errors.is_empty() {
        return Ok(());
    }
    let detail = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let passing = errors.iter().find_map(|error| match error {
        SinkError::Unavailable { retry_after, .. } => Some(*retry_after),
        _ => None,
    });
    Err(match passing {
        Some(retry_after) => SinkError::Unavailable { detail, retry_after },
        None => SinkError::Refused { detail },
    })
}

#[cfg(test)]
mod tests;
