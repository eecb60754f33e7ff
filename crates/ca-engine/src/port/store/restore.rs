//! What a restoration changes in the record that nothing else does.

use async_trait::async_trait;
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::revocation::Revocation;
use ca_core::serial::Serial;
use ca_core::time::Timestamp;

use super::{Journal, SettingChange, StoreError};

/// A serial that was revoked and whose certificate is not on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostSerial {
    /// The id under which it is kept; there is no certificate of that id.
    pub id: CertificateId,
    /// The issuer.
    pub authority: AuthorityId,
    /// The serial.
    pub serial: Serial,
    /// How it answers from now on; never on hold, since nobody could end that.
    pub revocation: Revocation,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// SHA-256 of the SubjectPublicKeyInfo to be blocked for ever, where it is known and the reason is `keyCompromise`.
    pub blocked_key: Option<[u8; 32]>,
    /// The event of it.
    pub journal: Journal,
}

/// Numbers that a record from a backup must not give out again, and the settings that open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// The next number of the sequence of revocations is above this one.
    pub revocation_sequence: u64,
    /// How much every lease's token rises: whoever got one after the backup is fenced off.
    pub lease_tokens: u64,
    /// Settings that change with it, or nothing does.
    pub settings: Vec<SettingChange>,
    /// The event of it.
    pub journal: Journal,
}

/// Changes that only a restoration makes.
#[async_trait]
pub trait RestoreStore: Send + Sync {
    /// Puts a serial on record that answers as revoked, as an abandoned one does, with the next number of the sequence, and blocks
    /// the key. `false`, and no event, when the serial is on record already, whatever its state.
    async fn record_lost_serial(&self, lost: LostSerial) -> Result<bool, StoreError>;

    /// Leaves gaps behind the numbers on record. The sequence of revocations never falls; the gap in it is the only one there may be.
    /// Published shards and deltas are withdrawn, since newer ones are out; their intents stay. A conflict, and nothing changes, when
    /// a setting is not as expected.
    async fn leave_gaps(&self, gaps: Gaps) -> Result<(), StoreError>;
}
