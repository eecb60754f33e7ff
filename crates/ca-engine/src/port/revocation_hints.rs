//! News that there are revocations.

use async_trait::async_trait;

/// Wakes who follows the sequence of revocations. A hint says nothing but that a look may be worth it: one may be lost, or come for
/// nothing, and what is so is told by the sequence alone, which is looked at without hints too.
#[async_trait]
pub trait RevocationHints: Send + Sync {
    /// Waits for the next hint; those that came since the last call count as one. May never be done. Dropping it loses nothing.
    async fn wait(&self);
}

/// No hints at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHints;

#[async_trait]
impl RevocationHints for NoHints {
    async fn wait(&self) {
        std::future::pending::<()>().await;
    }
}
