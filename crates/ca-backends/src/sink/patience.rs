//! How long sinks at AWS wait, and how often they ask.

use std::time::Duration;

use crate::aws::Patience;

/// How long one attempt may take. With a pause and a second attempt it stays below the lease under which events are sent.
pub(super) const ATTEMPT: Duration = Duration::from_millis(2_500);
/// How long a call waits for its turn.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The outbox tries again by itself, later and later: here a second attempt follows only what failed at once.
pub(super) const PATIENCE: Patience = Patience {
    attempts: 2,
    first_pause: Duration::from_millis(100),
    longest_pause: Duration::from_millis(500),
    within: Duration::from_secs(2),
    first_rest: Duration::from_secs(1),
};

/// Of what AWS would do twice if it were asked twice: whoever was not answered looks first whether it is done.
pub(super) const ONCE: Patience = Patience { attempts: 1, ..PATIENCE };
