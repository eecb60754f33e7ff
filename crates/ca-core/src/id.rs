//! Identifiers of things on record.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

use crate::time::Timestamp;

/// Makes an identifier type over a UUIDv7.
macro_rules! uuid_identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A UUIDv7 (RFC 9562 §5.7) of the given instant and ten random octets.
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                let millis = u64::try_from(now.unix_millis()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            /// The identifier of these 16 octets, as stored.
            pub const fn from_bytes(octets: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(octets))
            }

            /// The 16 octets.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                // Only the hyphenated form: one name for one thing.
                if text.len() != 36 {
                    return Err(IdError::NotAUuid);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| IdError::NotAUuid)
            }
        }
    };
}

uuid_identifier!(
    /// The name of a certificate on record; serials are unique only within an issuer.
    CertificateId
);
uuid_identifier!(
    /// The name of an enrolment token on record; not its secret.
    TokenId
);
uuid_identifier!(
    /// The name of an event on its way to one sink; the same at every attempt, so that receivers can tell repetitions.
    DeliveryId
);
uuid_identifier!(
    /// The name of a bulk revocation.
    BulkRevocationId
);
uuid_identifier!(
    /// The name of a move of renewal windows.
    WindowMoveId
);
uuid_identifier!(
    /// The name of one rotation of a managed certificate; the same however often it is begun again.
    RotationId
);
uuid_identifier!(
    /// The name of a managed certificate.
    ManagedCertificateId
);
uuid_identifier!(
    /// The name of a request, in logs, problems and audit events.
    RequestId
);

/// The longest accepted name of an authority, profile or sink, in octets.
const MAX_NAME: usize = 63;

/// The name of an authority: `[a-z0-9-]+`, never ending in `-delta` (that names its delta CRL).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorityId(String);

/// The name of a profile: `[a-z0-9-]+`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(String);

/// The name of a sink, to which events are delivered: `[a-z0-9-]+`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SinkName(String);

impl AuthorityId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ProfileName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SinkName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AuthorityId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check_name(text)?;
        if text.ends_with("-delta") || text == "all" {
            return Err(IdError::Reserved { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for ProfileName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check_name(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for SinkName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check_name(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_name(text: &str) -> Result<(), IdError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(allowed) || text.starts_with('-') {
        return Err(IdError::NotAName { text: text.chars().take(MAX_NAME).collect() });
    }
    Ok(())
}

/// Text that names nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// Not a hyphenated UUID.
    #[error("not an id; ids look like 0199f0c2-7a3e-7c51-9d2e-5b1f0a6c4d21")]
    NotAUuid,
    /// Not `[a-z0-9-]+`.
    #[error("`{text}` is not a name; names are 1 to 63 lower-case letters, digits and hyphens")]
    NotAName {
        /// The first characters of what was given.
        text: String,
    },
    /// A name with a meaning of its own in a URL.
    #[error("`{text}` cannot name an authority: `all` and names ending in `-delta` are those of CRL files")]
    Reserved {
        /// What was given.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authority_ids_leave_crl_names_free() {
        assert!("tls-2".parse::<AuthorityId>().is_ok());
        for text in ["", "TLS", "tls-delta", "all", "../x", "a/b", "-x"] {
            assert!(text.parse::<AuthorityId>().is_err(), "{text}");
        }
    }

    #[test]
    fn certificate_ids_are_ordered_by_time() {
        let early = CertificateId::new(Timestamp::from_unix_seconds(1), [0xff; 10]);
        let late = CertificateId::new(Timestamp::from_unix_seconds(2), [0; 10]);
        assert!(early < late);
        assert_eq!(early.to_string().parse::<CertificateId>(), Ok(early));
    }
}
