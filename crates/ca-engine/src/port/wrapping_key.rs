//! A key outside of the service that wraps small secrets and never leaves its place: whoever wants what it wrapped must ask it, and
//! can be refused.

use std::fmt;

use async_trait::async_trait;
use thiserror::Error;
use zeroize::Zeroizing;

/// What is wrapped. It is bound to what comes of it, so that who may open one thing may not open another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrappingPurpose {
    /// The key above the data keys of authorities and of personal data, and of responders where these have no seal of their own.
    Authorities,
    /// The key above the data key of responders.
    Responders,
    /// The password of the root's key file.
    RootKey,
}

impl WrappingPurpose {
    /// The name, on record and for the key's own policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorities => "authorities",
            Self::Responders => "responders",
            Self::RootKey => "root-key",
        }
    }

    /// The reverse of [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Authorities, Self::Responders, Self::RootKey].into_iter().find(|purpose| purpose.as_str() == name)
    }
}

/// The way to such a key.
#[async_trait]
pub trait WrappingKey: Send + Sync {
    /// The key's name as it stands on record: another name is another key.
    fn name(&self) -> &str;

    /// Wraps a secret of at most 4,096 octets.
    async fn wrap(&self, purpose: WrappingPurpose, secret: &[u8]) -> Result<Vec<u8>, WrappingError>;

    /// Opens what this key wrapped for the same purpose.
    async fn unwrap(&self, purpose: WrappingPurpose, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, WrappingError>;
}

impl fmt::Debug for dyn WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappingKey({})", self.name())
    }
}

/// Why a key does not wrap or open. The texts say what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WrappingError {
    /// It cannot be reached, and was given time; the same call may succeed later.
    #[error("{detail}")]
    Unavailable {
        /// What happened.
        detail: String,
    },
    /// It refuses, and will do so until something is changed.
    #[error("{detail}")]
    Refused {
        /// Why, and what helps.
        detail: String,
    },
}
