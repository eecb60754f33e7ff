//! What there is a data key for.

use ca_engine::port::keyring::KeyRoom;

/// What a data key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKeyRoom {
    /// Private keys.
    Keys(KeyRoom),
    /// The versions of the key of personal data. The status role is not given it.
    PersonalData,
}

impl DataKeyRoom {
    /// The name in messages, and in what a wrapped key is bound to.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keys(room) => room.as_str(),
            Self::PersonalData => "personal data",
        }
    }
}
