//! The wall clock.

use ca_core::time::Timestamp;

/// Tells the time. Clones and threads of one process share one clock.
pub trait Clock: Send + Sync {
    /// The present instant in UTC. It may step back when the machine's clock is set; flows that need order do not rely on it.
    fn now(&self) -> Timestamp;
}
