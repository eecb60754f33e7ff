//! `worker`: brings managed certificates to targets that the service does not reach, by its API alone.
//!
//! Each round asks what is due, most urgent first, and rotates some at the same time. Nothing is kept here between rounds: what was begun
//! lies on record and, with its key, in the target, so that whoever comes next goes on with it.

mod reach;
mod rotation;
mod round;
mod stop;

use std::time::Duration;

use self::round::{Round, Worker};
use self::stop::Stop;
use crate::args::WorkerArgs;
use crate::exit::{Exit, Failure};
use crate::printer::{Printer, plain};
use crate::settings::{Settings, Target};

/// Works until a signal says to end, or once.
pub(super) async fn run(args: &WorkerArgs, settings: &Settings, printer: &Printer) -> Result<Exit, Failure> {
    let Target::Remote(remote) = &settings.target else {
        return Err(Failure::Usage(
            "a worker speaks to a server: name it with --url, or run `ca-cli bootstrap URL --fingerprint …` once"
                .to_owned(),
        ));
    };
    let Some(identity) = &remote.identity else {
        return Err(Failure::Usage(
            "a worker proves who it is: name its certificate and key with --cert and --key".to_owned(),
        ));
    };
    let mut worker = Worker::new(args, remote.clone(), identity.clone(), settings.timeout, printer)?;
    let mut stop = Stop::listen()?;
    if args.once {
        let round = worker.round(&stop).await?;
        printer.result(&round, describe)?;
        return Ok(round.exit());
    }
    let interval = Duration::from_secs(args.interval.seconds().max(1));
    let mut pauses = Pauses::new(interval);
    while !stop.is_wished() {
        let round = worker.round(&stop).await.unwrap_or_else(Round::not_made);
        worker.tell(&round);
        stop.wait(pauses.after(&round)).await;
    }
    printer.note("worker: ended, since it was told to; what is not done is done by whoever comes next");
    Ok(Exit::Done)
}

/// How long nothing is asked between rounds.
struct Pauses {
    interval: Duration,
    in_vain: u32,
}

impl Pauses {
    fn new(interval: Duration) -> Self {
        Self { interval, in_vain: 0 }
    }

    /// The interval; longer and longer while the service does not answer, up to a minute, or to the interval where that is longer.
    fn after(&mut self, round: &Round) -> Duration {
        self.in_vain = if round.is_in_vain() { self.in_vain.saturating_add(1) } else { 0 };
        let longest = LONGEST_PAUSE.max(self.interval);
        self.interval.saturating_mul(1 << self.in_vain.min(6)).min(longest)
    }
}

/// What is rotated at the end of an outage waits for so long at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

fn describe(round: &Round) -> String {
    let mut lines: Vec<String> =
        round.rotated.iter().map(|done| format!("{}: rotated, {}", plain(&done.name), plain(&done.target))).collect();
    lines.extend(round.failed.iter().map(|failed| format!("{}: {}", plain(&failed.name), plain(&failed.detail))));
    if round.left > 0 {
        lines.push(format!("{} left for the next round, or for another worker", round.left));
    }
    if let Some(why) = &round.unreachable {
        lines.push(plain(why));
    }
    if lines.is_empty() {
        lines.push("nothing is due".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_while_nobody_answers_and_are_short_again_at_once() {
        let mut pauses = Pauses::new(Duration::from_secs(10));
        let away = Round { unreachable: Some("nobody".to_owned()), ..Round::default() };
        let seconds: Vec<u64> = (0..5).map(|_| pauses.after(&away).as_secs()).collect();
        assert_eq!(seconds, [20, 40, 60, 60, 60]);
        assert_eq!(pauses.after(&Round::default()).as_secs(), 10);
        assert_eq!(Pauses::new(Duration::from_secs(300)).after(&away).as_secs(), 300);
    }

    #[test]
    fn a_round_says_what_became_of_what() {
        assert_eq!(describe(&Round::default()), "nothing is due");
        let away = Round { left: 2, unreachable: Some("nobody".to_owned()), ..Round::default() };
        assert!(describe(&away).contains("2 left"), "{}", describe(&away));
        assert_eq!((away.exit(), Round::default().exit()), (Exit::Unreachable, Exit::Done));
    }
}
