//! One round: what is due, some of it at the same time, the most urgent first.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use ca_engine::port::certificate_target::ManagedPorts;
use ca_runtime::managed::ports_of_worker;
use serde::Serialize;
use tokio::task::JoinSet;

use super::reach::Reach;
use super::rotation::{Became, Bench, Failed, Rotated, definition_of, rotate};
use super::stop::Stop;
use crate::args::WorkerArgs;
use crate::exit::{Exit, Failure};
use crate::printer::{Printer, plain};
use crate::service::Service;
use crate::service::remote::{Credential, Remote};
use crate::settings::{IdentityFiles, RemoteSettings};

/// Rotates, round by round.
pub(super) struct Worker {
    reach: Reach,
    at_once: usize,
    remote: RemoteSettings,
    identity: IdentityFiles,
    timeout: Duration,
    ports: ManagedPorts,
    printer: Printer,
    ready: Option<Ready>,
    was_away: bool,
}

/// What is made of the files of the identity, which somebody may renew.
struct Ready {
    files: [Vec<u8>; 2],
    remote: Arc<Remote>,
}

/// What became of a round.
#[derive(Debug, Default, Serialize)]
pub(super) struct Round {
    /// What is current in its target now.
    pub(super) rotated: Vec<Rotated>,
    /// What is not, and why.
    pub(super) failed: Vec<Failed>,
    /// How many were not taken up, or not ended.
    pub(super) left: usize,
    /// Why the service was not reached, if it was not.
    pub(super) unreachable: Option<String>,
}

impl Round {
    /// One that was not made.
    pub(super) fn not_made(failure: Failure) -> Self {
        match failure.exit() {
            Exit::Unreachable => Self { unreachable: Some(failure.to_string()), ..Self::default() },
            _ => Self {
                failed: vec![Failed { name: "worker".to_owned(), detail: failure.to_string() }],
                ..Self::default()
            },
        }
    }

    fn add(&mut self, became: Became) {
        match became {
            Became::Rotated(rotated) => self.rotated.push(rotated),
            Became::Failed(failed) => self.failed.push(failed),
            Became::Left => self.left += 1,
            Became::Away(why) => {
                self.left += 1;
                self.unreachable.get_or_insert(why);
            }
        }
    }

    /// Whether nothing came of it since nobody answered.
    pub(super) fn is_in_vain(&self) -> bool {
        self.unreachable.is_some() && self.rotated.is_empty()
    }

    /// The exit status that it leads to.
    pub(super) fn exit(&self) -> Exit {
        match (&self.failed[..], &self.unreachable) {
            ([], None) => Exit::Done,
            ([], Some(_)) => Exit::Unreachable,
            _ => Exit::Failed,
        }
    }
}

impl Worker {
    /// Nothing is asked yet.
    pub(super) fn new(
        args: &WorkerArgs,
        remote: RemoteSettings,
        identity: IdentityFiles,
        timeout: Duration,
        printer: &Printer,
    ) -> Result<Self, Failure> {
        let ports = ports_of_worker(args.aws_region.as_deref(), args.aws_endpoint_url.as_deref());
        Ok(Self {
            reach: Reach::of(args),
            at_once: usize::from(args.at_once),
            remote,
            identity,
            timeout,
            ports: ports.map_err(|problem| Failure::Usage(format!("--aws-region or --aws-endpoint-url: {problem}")))?,
            printer: printer.clone(),
            ready: None,
            was_away: false,
        })
    }

    /// One round. What goes wrong with one certificate is told in what comes back; the error is that nothing could be asked.
    pub(super) async fn round(&mut self, stop: &Stop) -> Result<Round, Failure> {
        let remote = self.remote()?;
        let due = remote.due_rotations().await?;
        // 1. Which of it is this worker's.
        let mut mine = Vec::new();
        for due in due {
            if self.reach.has(&due.name, &definition_of(&due.definition)?.target) {
                mine.push(due);
            }
        }
        if mine.is_empty() {
            return Ok(Round::default());
        }
        // 2. By what a certificate is verified before it is current: the roots that this connection trusts.
        let roots = remote.roots().await?;
        let (ports, reach, stop) = (self.ports.clone(), self.reach.clone(), stop.clone());
        let bench = Arc::new(Bench { remote, ports, reach, roots, stop });
        // 3. Some at the same time, in the order of the service.
        let mut round = Round::default();
        let mut at_work = JoinSet::new();
        let mut waiting = mine.into_iter();
        loop {
            let is_open = !bench.stop.is_wished() && round.unreachable.is_none();
            if is_open
                && at_work.len() < self.at_once
                && let Some(due) = waiting.next()
            {
                let bench = Arc::clone(&bench);
                at_work.spawn(async move { rotate(&bench, due).await });
                continue;
            }
            match at_work.join_next().await {
                Some(Ok(became)) => round.add(became),
                // It panicked, or the program ends.
                Some(Err(error)) => round.failed.push(Failed { name: "worker".to_owned(), detail: error.to_string() }),
                None => break,
            }
        }
        round.left += waiting.len();
        Ok(round)
    }

    /// Tells people what a round did; what does not answer, once.
    pub(super) fn tell(&mut self, round: &Round) {
        for done in &round.rotated {
            self.printer.note(format!(
                "worker: {} was rotated in {} s: {}",
                plain(&done.name),
                done.seconds,
                plain(&done.target)
            ));
        }
        for failed in &round.failed {
            self.printer.warning(format!("worker: {}: {}", plain(&failed.name), plain(&failed.detail)));
        }
        match (&round.unreachable, self.was_away) {
            (Some(why), false) => self.printer.warning(format!("worker: {why}; it is asked again and again")),
            (None, true) => self.printer.note("worker: the service answers again"),
            _ => {}
        }
        self.was_away = round.unreachable.is_some();
    }

    /// The way to the service, by the identity as it lies there now.
    fn remote(&mut self) -> Result<Arc<Remote>, Failure> {
        let read = |path| fs::read(path).map_err(|error| Failure::of_file(path, error));
        let files = [read(&self.identity.certificate)?, read(&self.identity.key)?];
        if let Some(ready) = self.ready.as_ref().filter(|ready| ready.files == files) {
            return Ok(Arc::clone(&ready.remote));
        }
        let credential = Credential::Certificate(self.identity.clone());
        let remote = Arc::new(Remote::new(&self.remote, credential, self.timeout)?);
        self.ready = Some(Ready { files, remote: Arc::clone(&remote) });
        Ok(remote)
    }
}
