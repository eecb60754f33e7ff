//! What happened last, for whoever reads a failure.

use std::collections::VecDeque;

/// How many events a failure shows.
const KEPT: usize = 30;

/// The last events of a run, each with its step, and a digest of all of them.
#[derive(Default)]
pub(crate) struct Trace {
    events: VecDeque<String>,
    digest: u64,
    aloud: bool,
}

impl Trace {
    /// A trace that also prints every event, when it is to be read `aloud`.
    pub(crate) fn new(aloud: bool) -> Self {
        Self { aloud, ..Self::default() }
    }

    pub(crate) fn note(&mut self, step: u64, event: String) {
        for octet in event.bytes() {
            // FNV-1a: tells two runs apart, which is all it is for.
            self.digest = (self.digest ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
        self.digest = (self.digest ^ step).wrapping_mul(0x0100_0000_01b3);
        if self.aloud {
            println!("{step:>5}  {event}");
        }
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(format!("{step:>5}  {event}"));
    }

    /// The same for two runs in which the same happened.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn text(&self) -> String {
        self.events.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
