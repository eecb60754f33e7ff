//! From columns to the values of the core, for every database alike. A column that cannot be one makes the row
//! [`StoreError::Inconsistent`].
//!
//! An adapter's query gives columns of these names and types: ids, digests and serials as octets, counts, codes and instants as
//! 64-bit integers. One file per room of the port has its rows; what tables and indexes there are is the adapter's business.
//! `place` names table and column in errors, never a value.

pub(crate) mod audit;
pub(crate) mod authority;
pub(crate) mod bulk_revocation;
pub(crate) mod certificate;
pub(crate) mod crl;
pub(crate) mod gateway;
pub(crate) mod managed;
pub(crate) mod notice;
pub(crate) mod outbox;
pub(crate) mod personal_data;
pub(crate) mod renewal;
pub(crate) mod reservation;
pub(crate) mod retention;
pub(crate) mod role;
pub(crate) mod search;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod upstream;

use std::str::FromStr;

use ca_core::id::{AuthorityId, ProfileName};
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::serial::Serial;
use ca_core::time::Timestamp;
use ca_engine::port::store::{SerialState, StoreError};

pub(crate) use crate::inconsistency::inconsistent;

/// The octets of an id or a digest.
pub(crate) fn octets<const LENGTH: usize>(place: &str, column: Vec<u8>) -> Result<[u8; LENGTH], StoreError> {
    let length = column.len();
    column.try_into().map_err(|_| inconsistent(place, format_args!("{length} octets instead of {LENGTH}")))
}

/// A name of an authority.
pub(crate) fn authority(place: &str, column: &str) -> Result<AuthorityId, StoreError> {
    parse(place, column)
}

/// A name of a profile.
pub(crate) fn profile(place: &str, column: &str) -> Result<ProfileName, StoreError> {
    parse(place, column)
}

/// Whatever has a text form.
pub(crate) fn parse<T: FromStr>(place: &str, column: &str) -> Result<T, StoreError> {
    column.parse().map_err(|_| inconsistent(place, "not one of the names that may stand there"))
}

/// A serial number.
pub(crate) fn serial(place: &str, column: &[u8]) -> Result<Serial, StoreError> {
    Serial::from_bytes(column).map_err(|error| inconsistent(place, error))
}

/// A subject.
pub(crate) fn distinguished_name(place: &str, column: &[u8]) -> Result<DistinguishedName, StoreError> {
    DistinguishedName::from_der(column).map_err(|_| inconsistent(place, "not the DER of a distinguished name"))
}

/// Subject alternative names; none are stored as no octets, since GeneralNames cannot be empty (RFC 5280 §4.2.1.6).
pub(crate) fn general_names(place: &str, column: &[u8]) -> Result<Vec<GeneralName>, StoreError> {
    if column.is_empty() {
        return Ok(Vec::new());
    }
    GeneralName::decode_all(column).map_err(|_| inconsistent(place, "not the DER of GeneralNames"))
}

/// What [`general_names`] reads.
pub(crate) fn general_names_column(names: &[GeneralName]) -> Vec<u8> {
    if names.is_empty() { Vec::new() } else { GeneralName::encode_all(names) }
}

/// A count or number that cannot be negative.
pub(crate) fn unsigned(place: &str, column: i64) -> Result<u64, StoreError> {
    u64::try_from(column).map_err(|_| inconsistent(place, "a negative number"))
}

/// A number as a column holds it; `what` names it to the caller.
pub(crate) fn signed(what: &str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number)
        .map_err(|_| StoreError::Conflict { detail: format!("{what} is larger than a record can hold") })
}

/// The columns of a revocation, in the tables `serials` and `revocations`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RevocationColumns {
    pub(crate) reason: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) invalidity_date: Option<i64>,
}

impl RevocationColumns {
    /// The columns of a standing.
    pub(crate) fn of(standing: Standing) -> Self {
        match standing {
            Standing::Active => Self { reason: None, revoked_at: None, invalidity_date: None },
            Standing::Revoked(revocation) => Self {
                reason: Some(i64::from(revocation.reason.code())),
                revoked_at: Some(revocation.revoked_at.unix_millis()),
                invalidity_date: revocation.invalidity_date.map(Timestamp::unix_millis),
            },
        }
    }

    /// The standing of the columns.
    pub(crate) fn standing(self, place: &str) -> Result<Standing, StoreError> {
        match (self.reason, self.revoked_at) {
            (None, None) => Ok(Standing::Active),
            (Some(code), Some(revoked_at)) => {
                let reason = u8::try_from(code).ok().and_then(RevocationReason::from_code);
                Ok(Standing::Revoked(Revocation {
                    revoked_at: Timestamp::from_unix_millis(revoked_at),
                    reason: reason.ok_or_else(|| inconsistent(place, format_args!("{code} is no reason code")))?,
                    invalidity_date: self.invalidity_date.map(Timestamp::from_unix_millis),
                }))
            }
            _ => Err(inconsistent(place, "a reason without a date, or a date without a reason")),
        }
    }

    /// The revocation of the columns, which must be there.
    pub(crate) fn revocation(self, place: &str) -> Result<Revocation, StoreError> {
        match self.standing(place)? {
            Standing::Revoked(revocation) => Ok(revocation),
            Standing::Active => Err(inconsistent(place, "a revocation without a reason")),
        }
    }
}

/// The column `serials.state`.
pub(crate) mod state {
    /// An issuance is under way.
    pub(crate) const RESERVED: i64 = 0;
    /// Issued, neither revoked nor held.
    pub(crate) const ACTIVE: i64 = 1;
    /// Issued and on hold.
    pub(crate) const HELD: i64 = 2;
    /// Issued and revoked for good.
    pub(crate) const REVOKED: i64 = 3;
    /// Never issued; answers as revoked.
    pub(crate) const ABANDONED: i64 = 4;
}

/// The state column of an issued certificate that stands so.
pub(crate) fn state_of(standing: Standing) -> i64 {
    match standing {
        Standing::Active => state::ACTIVE,
        Standing::Revoked(Revocation { reason: RevocationReason::CertificateHold, .. }) => state::HELD,
        Standing::Revoked(_) => state::REVOKED,
    }
}

/// The state of a serial number from its columns, which must agree with each other.
pub(crate) fn serial_state(place: &str, state: i64, columns: RevocationColumns) -> Result<SerialState, StoreError> {
    let standing = columns.standing(place)?;
    match (state, standing) {
        (state::RESERVED, Standing::Active) => Ok(SerialState::Reserved),
        (state::ABANDONED, Standing::Revoked(revocation)) => Ok(SerialState::Abandoned(revocation)),
        (state::ACTIVE | state::HELD | state::REVOKED, standing) if state_of(standing) == state => {
            Ok(SerialState::Issued(standing))
        }
        _ => Err(inconsistent(place, format_args!("state {state} does not go with its revocation"))),
    }
}
