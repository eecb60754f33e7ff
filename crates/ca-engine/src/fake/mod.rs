//! Fakes of every port, for the tests of flows, and the contract suites that fakes and real adapters pass alike.
//!
//! A fake behaves as the port's documentation says, keeps what it was given in plain memory, and fails only where a test
//! told it to. Nothing here belongs into a running service: keys are not sealed and randomness is a counter.

mod anchor;
mod authorizer;
mod certificate_issuer;
mod certificate_target;
mod clock;
pub mod contract;
mod entropy;
mod keyring;
mod managed_ports;
mod personal_data;
mod publisher;
mod shared_answers;
mod signer;
mod sink;
mod store;

pub use anchor::MemoryAnchor;
pub use authorizer::ScriptedAuthorizer;
pub use certificate_issuer::{IssuerCall, IssuerFault, MadeElsewhere, ScriptedIssuer};
pub use certificate_target::{MemoryTarget, TargetFault};
pub use clock::FakeClock;
pub use entropy::SeededEntropy;
pub use keyring::MemoryKeyring;
pub use managed_ports::{CountedKeys, MemoryManagedPorts, MemoryTargets, ShownChains};
pub use personal_data::FakeVault;
pub use publisher::{FlakyPublisher, PublishFault};
pub use shared_answers::MemorySharedAnswers;
pub use signer::{ScriptedSigner, SigningStep};
pub use sink::ScriptedSink;
pub use store::{
    BulkRow, CrlRow, EventRow, IdempotencyRow, Issuance, IssuanceState, LeaseRow, MemoryStore, PublishedPartials,
    QueuedMessage, Record, StoreFault, StoreMethod, UpstreamRow,
};

/// Lets other futures of the same task run once. Every asynchronous call of a fake begins so: flows that a test joins on one
/// thread then interleave at every port call, always in the same way.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests;
