//! Puts the newest lists into the mirrors, within a second and apart from their making: a mirror that is slow or refuses holds up
//! nothing else. On every replica that may change the record; that of several one is quicker is no fault.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::bail;
use async_trait::async_trait;
use ca_engine::flow::mirror_lists::{Mirrored, mirror_lists};
use ca_runtime::open::Mirror;
use futures::future::join_all;
use tokio::sync::Mutex;

use super::driver::{Job, Outcome, with_detail};
use crate::state::AppState;
use crate::telemetry::metrics;

#[derive(Default)]
pub(crate) struct MirrorJob {
    /// What is known to be in each mirror, by its name.
    mirrored: Mutex<BTreeMap<&'static str, Mirrored>>,
}

impl MirrorJob {
    /// Fills one mirror; returns how many lists it was handed and what could not be put there.
    async fn fill(state: &AppState, mirror: &Mirror, mirrored: &mut Mirrored) -> anyhow::Result<(u64, Vec<String>)> {
        let engine = state.engine();
        let filled = mirror_lists(engine, &*mirror.publisher, mirrored).await.map_err(with_detail)?;
        for (list, number) in filled.in_place.iter().filter(|(list, _)| list.part.is_none()) {
            metrics::mirror_has(mirror.name, &list.authority, *number);
        }
        let lacking: BTreeSet<_> = filled.missing.keys().map(|list| &list.authority).collect();
        let all: BTreeSet<_> = filled.in_place.keys().map(|list| &list.authority).collect();
        for authority in all.difference(&lacking) {
            metrics::mirror_is_current(mirror.name, authority, engine.now());
        }
        for authority in &lacking {
            metrics::mirror_lacks(mirror.name, authority);
        }
        let missing = filled.missing.iter().map(|(list, error)| format!("{} {list}: {error}", mirror.name));
        Ok((filled.handed, missing.collect()))
    }
}

#[async_trait]
impl Job for MirrorJob {
    fn name(&self) -> &'static str {
        "mirror"
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn changes_the_record(&self) -> bool {
        false
    }

    async fn run(&self, state: &AppState) -> anyhow::Result<Outcome> {
        let mut mirrored = self.mirrored.lock().await;
        for mirror in state.mirrors() {
            mirrored.entry(mirror.name).or_default();
        }
        let fills = mirrored.iter_mut().filter_map(|(name, mirrored)| {
            let mirror = state.mirrors().iter().find(|mirror| mirror.name == *name)?;
            Some(Self::fill(state, mirror, mirrored))
        });
        let (mut done, mut missing) = (0, Vec::new());
        for filled in join_all(fills).await {
            let (handed, lacks) = filled?;
            done += handed;
            missing.extend(lacks);
        }
        if !missing.is_empty() {
            bail!("lists are not in every mirror, which is tried again: {}", missing.join("; "));
        }
        Ok(Outcome::Done(done))
    }
}
