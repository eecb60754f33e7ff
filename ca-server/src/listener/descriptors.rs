//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::MAXIMUM_CONNECTIONS;

/// What the process opens besides connections: the database and its readers, listeners, files.
const OTHERS: u64 = 128;

/// Raises the soft limit to the hard one. The usual soft limit of 1,024 is for programs that call `select`; a listener may hold
/// more connections than that, and the database must not go without.
pub(crate) fn raise_limit(listeners: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays where it is");
    }
    let needed = (listeners * MAXIMUM_CONNECTIONS) as u64 + OTHERS;
    if let Some(may_open) = getrlimit(Resource::Nofile).current.filter(|may_open| *may_open < needed) {
        tracing::warn!(
            may_open,
            needed,
            "fewer files may be open than this service has when it is full; raise the hard limit (ulimit -Hn, LimitNOFILE)"
        );
    }
}
