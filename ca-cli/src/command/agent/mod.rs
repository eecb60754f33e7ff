//! `agent`: keeps the certificates of one machine renewed, by mutual TLS with the one in place, and has their users load them.

mod clock;
mod hook;
mod issuer;
mod keeper;
mod progress;
mod rotation;
mod schedule;
mod settings;
mod status;

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};

use self::clock::ClockWatch;
use self::keeper::{Keeper, Pauses, Round};
use self::settings::AgentSettings;
use crate::args::{AgentCommand, AgentRunArgs};
use crate::exit::{Exit, Failure};
use crate::printer::Printer;

/// Runs the agent, or shows what it keeps.
pub(super) async fn run(command: &AgentCommand, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        AgentCommand::Run(args) => keep(args, printer).await,
        AgentCommand::Status(args) => {
            status::show(&AgentSettings::read(&args.config_file)?, super::now(), printer).await
        }
    }
}

async fn keep(args: &AgentRunArgs, printer: &Printer) -> Result<Exit, Failure> {
    let mut settings = AgentSettings::read(&args.config_file)?;
    fs::create_dir_all(&settings.state_dir).map_err(|error| Failure::of_file(&settings.state_dir, error))?;
    let _alone = Alone::in_folder(&settings.state_dir)?;
    if args.once {
        let round = Keeper::new(&settings, printer).round(super::now(), Pauses::PassOver).await;
        printer.result(
            &serde_json::json!({ "renewed": round.renewed, "failed": round.failed, "unanswered": round.unanswered }),
            |_| describe(round),
        )?;
        return Ok(round.exit());
    }
    let mut signals = Signals::new()?;
    let started = steady();
    let mut watch = ClockWatch::new(super::now(), started.elapsed());
    loop {
        let mut keeper = Keeper::new(&settings, printer);
        let reads_anew = loop {
            if let Some(seconds) = watch.look(super::now(), started.elapsed()) {
                printer.note(format!(
                    "agent: the clock was set by {seconds} s, or the machine slept; everything is looked at again"
                ));
                keeper.forget_pauses();
            }
            // Every step is whole or not done, so that it may be ended at any time.
            let round = async {
                keeper.round(super::now(), Pauses::Keep).await;
                tokio::time::sleep(settings.interval).await;
            };
            tokio::select! {
                () = round => {}
                reads_anew = signals.next() => break reads_anew,
            }
        };
        if !reads_anew {
            printer.note("agent: ended, as it was told");
            return Ok(Exit::Done);
        }
        match AgentSettings::read(&args.config_file) {
            Ok(read) if read.state_dir == settings.state_dir => {
                settings = read;
                Keeper::new(&settings, printer).forget_pauses();
                printer.note("agent: the configuration was read again");
            }
            Ok(_) => {
                printer.warning("agent: `state_dir` changes with a restart alone; the configuration stays as it was");
            }
            Err(failure) => printer.warning(format!("agent: {failure}; the configuration stays as it was")),
        }
    }
}

fn describe(round: Round) -> String {
    match round {
        Round { renewed: 0, failed: 0, unanswered: 0 } => "nothing was due".to_owned(),
        Round { renewed, failed, unanswered } => {
            format!("{renewed} put in place, {failed} failed, {unanswered} without an answer of the service")
        }
    }
}

/// A clock that is never set.
#[expect(
    clippy::disallowed_methods,
    reason = "the wall clock is held against it: one that could be set would show nothing"
)]
fn steady() -> Instant {
    Instant::now()
}

/// What the agent is told by its supervisor.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::failed);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            reload: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next; whether it is to read its file again, and not to end.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => false,
            _ = self.reload.recv() => true,
        }
    }
}

/// Keeps a second agent away from the same folder.
struct Alone(File);

impl Alone {
    fn in_folder(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("agent.lock");
        let file = File::create(&path).map_err(|error| Failure::of_file(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::Busy(format!("another agent is at work over {}", folder.display())))
            }
            Err(TryLockError::Error(error)) => Err(Failure::of_file(&path, error)),
        }
    }
}

impl Drop for Alone {
    /// Given back by name: a child that is being started holds a copy of the file until it becomes its program.
    fn drop(&mut self) {
        let _closed = self.0.unlock();
    }
}
