//! Processor time and wall time of a piece of work.
//!
//! Judged is processor time: what a thread or a process spent on a processor hardly depends on what else the machine does.
//! Wall time stands beside it, and tells how busy the machine was.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Whose processor time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The calling thread's: for work that stays on it.
    Thread,
    /// Of all threads of this process, ended ones too.
    Process,
}

/// What work has taken, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spent {
    pub(crate) processor: f64,
    pub(crate) wall: f64,
}

impl Spent {
    /// The share of one of `times` equal pieces.
    pub(crate) fn per(self, times: u32) -> Self {
        Self { processor: self.processor / f64::from(times), wall: self.wall / f64::from(times) }
    }
}

/// Both clocks, running.
pub(crate) struct Stopwatch {
    scope: Scope,
    processor: f64,
    wall: f64,
}

impl Stopwatch {
    /// Starts now.
    pub(crate) fn start(scope: Scope) -> Self {
        Self { scope, processor: processor(scope), wall: wall() }
    }

    /// What was spent since the start.
    pub(crate) fn spent(&self) -> Spent {
        Spent { processor: processor(self.scope) - self.processor, wall: wall() - self.wall }
    }
}

/// Seconds of a clock that never steps.
pub(crate) fn wall() -> f64 {
    seconds(clock_gettime(ClockId::Monotonic))
}

fn processor(scope: Scope) -> f64 {
    seconds(clock_gettime(match scope {
        Scope::Thread => ClockId::ThreadCPUTime,
        Scope::Process => ClockId::ProcessCPUTime,
    }))
}

fn seconds(time: Timespec) -> f64 {
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
