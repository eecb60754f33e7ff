//! Why a seal does not open, with what would be right.

use ca_engine::port::entropy::EntropyUnavailable;
use ca_engine::port::store::StoreError;
use ca_engine::port::wrapping_key::WrappingError;
use thiserror::Error;

use super::data_key::SealingError;
use super::room::DataKeyRoom;

/// Why the seal does not open.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The passphrase is another one.
    #[error(
        "the passphrase from {origin} does not open the keys of {}: they were sealed with another one, or the database's record of it was changed; give the passphrase that was in use when they were made",
        room.as_str()
    )]
    WrongPassphrase {
        /// The keys.
        room: DataKeyRoom,
        /// Where the passphrase came from.
        origin: String,
    },
    /// Something else sealed it.
    #[error(
        "the keys of {} are sealed by {by}, and the configuration seals by {configured}; configure what sealed them, or move them with \
         `ca-server reseal` (docs/operating.md)",
        room.as_str()
    )]
    OtherSeal {
        /// The keys.
        room: DataKeyRoom,
        /// What sealed them.
        by: String,
        /// What is configured.
        configured: String,
    },
    /// The key elsewhere that wraps does not open.
    #[error("the keys of {} do not open: {source}", room.as_str())]
    External {
        /// The keys.
        room: DataKeyRoom,
        /// Why.
        source: WrappingError,
    },
    /// The key elsewhere that is to wrap does not.
    #[error("no keys can be sealed: {0}")]
    NotWrapped(WrappingError),
    /// Somebody else changed the record at the same time.
    #[error("the record of the data key of {} was changed meanwhile; run it again", room.as_str())]
    ChangedMeanwhile {
        /// The keys.
        room: DataKeyRoom,
    },
    /// Nothing was sealed here yet.
    #[error("the database holds no sealed keys yet; run `ca-server init` first")]
    NotInitialised,
    /// The record makes no sense.
    #[error("the database's record of the data key of {} cannot be read; it was changed, or made by a newer version", room.as_str())]
    UnreadableRecord {
        /// The keys.
        room: DataKeyRoom,
    },
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopped,
    /// No randomness.
    #[error("no data key could be made: {0}")]
    Entropy(#[from] EntropyUnavailable),
    /// A data key that was made could not be wrapped.
    #[error("the data key could not be wrapped: {0}")]
    Wrapping(#[from] SealingError),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
