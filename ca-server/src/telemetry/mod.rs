//! Logs and metrics: the names of fields and counters, once.

pub(crate) mod logs;
pub(crate) mod metrics;
