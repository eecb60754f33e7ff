//! Two replicas behind a pooler, over a primary and the synchronous standby that takes its place: and everything that can be done
//! to them. Each replica has a folder of its own; they share the seal and the folder of the anchor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use ca_test_services::{PgBouncer, PostgresServer};
use tempfile::TempDir;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use crate::client::eventually;
use crate::stack::{Site, Stack};

/// How many connections the pooler has to the database: fewer than both replicas together.
const CONNECTIONS: u32 = 20;

/// How long whatever was done lasts before it is put right.
const DOWNTIME: Duration = Duration::from_secs(2);

/// How far the standby is behind when the primary dies.
const LAG: Duration = Duration::from_secs(1);

/// How long a cluster may take until it is whole again.
const RECOVERY: Duration = Duration::from_secs(60);

/// What can be done to a cluster. All of it is real: processes are killed, connections are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `kill -9` of a replica, and its restart.
    KillReplica(usize),
    /// `pg_terminate_backend` of every connection, several times.
    CutConnections,
    /// `kill -9` of the pooler, and its restart.
    KillPooler,
    /// An orderly restart of the database.
    RestartDatabase,
    /// `kill -9` of the database, and its restart.
    CrashDatabase,
    /// `kill -9` of the primary for good; the standby is promoted, the pooler sent there, and a new standby made.
    FailOver,
}

impl Fault {
    /// Each of them, in the order in which they are done.
    pub const ALL: [Self; 7] = [
        Self::KillReplica(0),
        Self::CutConnections,
        Self::RestartDatabase,
        Self::KillReplica(1),
        Self::KillPooler,
        Self::CrashDatabase,
        Self::FailOver,
    ];
}

/// The cluster. Fields are dropped in this order.
pub struct Cluster {
    replicas: Vec<Option<Stack>>,
    pooler: PgBouncer,
    primary: PostgresServer,
    standby: PostgresServer,
    _anchor: TempDir,
}

impl Cluster {
    /// A cluster that serves, and whose every change is on two servers before it counts.
    pub fn start() -> anyhow::Result<Self> {
        let primary = PostgresServer::start()?;
        let pooler = PgBouncer::start(&primary, CONNECTIONS)?;
        let anchor = tempfile::tempdir().context("no folder for the anchor")?;
        let folder = anchor.path().join("anchor");
        let folder = folder.to_str().context("a path that is not UTF-8")?;
        let url = format!("{}&pooler=transaction", pooler.url(&primary.empty_database()?));
        let settings = [("CA__DATABASE__URL", url.as_str()), ("CA__ANCHOR__DIR", folder)];
        let first = Site::initialised(&settings)?;
        let mut second = first.replica()?;
        second.set("CA__ANCHOR__DIR", folder);
        let standby = primary.standby()?;
        primary.wait_for_standby()?;
        let replicas = [first, second].map(|site| site.serve().map(Some));
        let replicas = replicas.into_iter().collect::<anyhow::Result<_>>()?;
        Ok(Self { replicas, pooler, primary, standby, _anchor: anchor })
    }

    /// The replicas that serve.
    pub fn replicas(&self) -> impl Iterator<Item = &Stack> {
        self.replicas.iter().flatten()
    }

    /// One of the replicas.
    pub fn replica(&self, number: usize) -> anyhow::Result<&Stack> {
        self.replicas.get(number).and_then(Option::as_ref).context("that replica does not run")
    }

    /// Stops every replica in order, does something to the record, and starts them again.
    pub fn restart_after(&mut self, sql: &str) -> anyhow::Result<()> {
        block_in_place(|| {
            let mut sites = Vec::new();
            for slot in &mut self.replicas {
                sites.push(slot.take().context("a replica is gone")?.stop()?);
            }
            let url = sites[0].server_url().context("the record is no server's")?;
            ca_test_services::run_sql_at(&url, sql)?;
            self.replicas = sites.into_iter().map(|site| site.serve().map(Some)).collect::<anyhow::Result<_>>()?;
            Ok(())
        })
    }

    /// Does something to the cluster, puts right what an operator would, and waits until both replicas follow the record again.
    pub async fn strike(&mut self, fault: Fault) -> anyhow::Result<()> {
        // As an operator looks before a restart: what was not yet on the standby must not be the only copy.
        self.is_redundant().await?;
        match fault {
            Fault::KillReplica(number) => {
                let stack = self.replicas[number].take().context("that replica does not run")?;
                let site = block_in_place(|| stack.kill());
                sleep(DOWNTIME).await;
                self.replicas[number] = Some(block_in_place(|| site.serve())?);
            }
            Fault::CutConnections => {
                for _ in 0..10 {
                    let cut = block_in_place(|| self.primary.cut_connections())?;
                    ensure!(cut > 0, "there was no connection to cut");
                    sleep(Duration::from_millis(200)).await;
                }
            }
            Fault::KillPooler => {
                block_in_place(|| self.pooler.kill())?;
                sleep(DOWNTIME).await;
                block_in_place(|| self.pooler.run())?;
            }
            Fault::RestartDatabase => self.restart_database("INT").await?,
            Fault::CrashDatabase => self.restart_database("KILL").await?,
            Fault::FailOver => self.fail_over().await?,
        }
        self.is_followed().await
    }

    async fn restart_database(&mut self, signal: &str) -> anyhow::Result<()> {
        block_in_place(|| self.primary.end(signal))?;
        sleep(DOWNTIME).await;
        block_in_place(|| self.primary.run())
    }

    async fn fail_over(&mut self) -> anyhow::Result<()> {
        // The standby lags when the primary dies: what waits for it was promised to nobody.
        self.standby.stand_still()?;
        sleep(LAG).await;
        block_in_place(|| self.primary.end("KILL"))?;
        self.standby.go_on()?;
        sleep(DOWNTIME).await;
        block_in_place(|| {
            self.standby.promote()?;
            self.pooler.point_at(&self.standby)?;
            let next = self.standby.standby()?;
            self.primary = std::mem::replace(&mut self.standby, next);
            self.primary.wait_for_standby()
        })
    }

    async fn is_redundant(&self) -> anyhow::Result<()> {
        let streams = || async { Ok(block_in_place(|| self.primary.has_synchronous_standby()).then_some(())) };
        eventually(RECOVERY, "the standby streams", streams).await
    }

    /// Both replicas have looked at the sequence of revocations a moment ago.
    async fn is_followed(&self) -> anyhow::Result<()> {
        for replica in self.replicas() {
            let admin = replica.admin()?;
            let follows = || async {
                let Ok(answer) = admin.get("/metrics").await else { return Ok(None) };
                let metrics = answer.text();
                let lag = metrics.lines().find_map(|line| line.strip_prefix("ca_revocation_lag_seconds "));
                Ok(lag.and_then(|lag| lag.parse::<f64>().ok()).filter(|lag| *lag < 2.0).map(drop))
            };
            eventually(RECOVERY, "a replica follows the record again", follows).await?;
        }
        Ok(())
    }
}

/// When something was done to a cluster, and when it was whole again.
#[derive(Clone, Debug, Default)]
pub struct Disturbances(Arc<Mutex<Vec<Disturbance>>>);

/// From when until when; without an end while it goes on.
type Disturbance = (Instant, Option<Instant>);

impl Disturbances {
    /// One begins.
    pub fn begin(&self) {
        self.lock().push((Instant::now(), None));
    }

    /// The one that began last is over.
    pub fn end(&self) {
        if let Some((_, end)) = self.lock().last_mut() {
            *end = Some(Instant::now());
        }
    }

    /// Until when a replica may not have heard of what was acknowledged at an instant: `patience` later, and as long after the end
    /// of each disturbance that came before that. `None` while the disturbance goes on.
    pub fn excuse(&self, acknowledged: Instant, patience: Duration) -> Option<Instant> {
        excuse(&self.lock(), acknowledged, patience)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Disturbance>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn excuse(disturbances: &[Disturbance], acknowledged: Instant, patience: Duration) -> Option<Instant> {
    let mut until = acknowledged + patience;
    for (begin, end) in disturbances {
        if *begin <= until && end.is_none_or(|end| end + patience > until) {
            until = (*end)? + patience;
        }
    }
    Some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_disturbance_excuses_what_was_acknowledged_before_its_end_and_nothing_else() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let disturbances = [(at(10), Some(at(20))), (at(24), Some(at(30))), (at(50), Some(at(55)))];
        let excused = |seconds| excuse(&disturbances, at(seconds), PATIENCE);
        assert_eq!(excused(4), Some(at(9)), "it was over before");
        assert_eq!(excused(6), Some(at(35)), "the first falls into its time, the second into what follows");
        assert_eq!(excused(15), Some(at(35)));
        assert_eq!(excused(19), Some(at(35)), "the second as well");
        assert_eq!(excused(31), Some(at(36)), "all is well again");
        assert_eq!(excused(60), Some(at(65)));
        assert_eq!(excuse(&[(at(10), None)], at(7), PATIENCE), None, "it goes on");
        assert_eq!(excuse(&[(at(10), None)], at(4), PATIENCE), Some(at(9)));
    }
}
