//! Which shards of an authority have changed: what a process remembers of the sequence of revocations, so that it reads each entry
//! once.

use std::collections::BTreeMap;

use ca_core::serial::ShardNumber;

/// The newest change of each shard, among the entries that were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardNews {
    /// The entry after which the reading began; `None` before the first.
    pub(crate) read_from: Option<u64>,
    /// The entry that was read last.
    pub(crate) read_until: Option<u64>,
    /// The number of the newest entry that concerns a shard.
    pub(crate) newest: BTreeMap<ShardNumber, u64>,
}

impl ShardNews {
    /// Whether a shard has changed after an entry of the sequence.
    pub(crate) fn changed_after(&self, shard: ShardNumber, sequence: u64) -> bool {
        self.newest.get(&shard).is_some_and(|newest| *newest > sequence)
    }
}
