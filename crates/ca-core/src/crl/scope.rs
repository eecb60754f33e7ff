//! Which list of an authority: the complete one, or one that covers a part. The name of a list is the same in its URL, in its file
//! and in the certificates of its shard.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::id::{AuthorityId, IdError};
use crate::serial::ShardNumber;

/// A part of what an authority has revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartialScope {
    /// What has changed since a complete list (RFC 5280 §5.2.4).
    Delta,
    /// The certificates that name this shard as their distribution point (§5.2.5).
    Shard(ShardNumber),
}

impl PartialScope {
    /// As it stands in the record: 0 is the delta, any other number a shard.
    pub fn to_column(self) -> u32 {
        match self {
            Self::Delta => 0,
            Self::Shard(number) => number.get(),
        }
    }

    /// The reverse of [`Self::to_column`]; `None` for a number that no shard has.
    pub fn from_column(column: u32) -> Option<Self> {
        match column {
            0 => Some(Self::Delta),
            number => ShardNumber::new(number).map(Self::Shard),
        }
    }
}

/// `delta`, `shard 3`.
impl fmt::Display for PartialScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delta => f.write_str("delta"),
            Self::Shard(number) => write!(f, "shard {number}"),
        }
    }
}

/// The name of a list, as in `/crl/{name}`: `tls.crl` the complete one, `tls-delta.crl`, `tls/3.crl`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListName {
    /// Whose list.
    pub authority: AuthorityId,
    /// Which; `None` for the complete one.
    pub part: Option<PartialScope>,
}

impl ListName {
    /// The complete list.
    pub fn complete(authority: AuthorityId) -> Self {
        Self { authority, part: None }
    }

    /// A list that covers a part.
    pub fn partial(authority: AuthorityId, part: PartialScope) -> Self {
        Self { authority, part: Some(part) }
    }

    /// What the list covers: `complete`, `delta`, `shard 3`.
    pub fn scope(&self) -> String {
        self.part.map_or_else(|| "complete".to_owned(), |part| part.to_string())
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.authority;
        match self.part {
            None => write!(f, "{authority}.crl"),
            // No authority has a name that ends so.
            Some(PartialScope::Delta) => write!(f, "{authority}-delta.crl"),
            Some(PartialScope::Shard(number)) => write!(f, "{authority}/{number}.crl"),
        }
    }
}

impl FromStr for ListName {
    type Err = ListNameError;

    fn from_str(text: &str) -> Result<Self, ListNameError> {
        let stem = text.strip_suffix(".crl").ok_or(ListNameError::NoList)?;
        if let Some((authority, number)) = stem.split_once('/') {
            // One name for one list: no sign, no zero before the number.
            let is_plain = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
            let number = number.parse().ok().filter(|_| is_plain).and_then(ShardNumber::new);
            let number = number.ok_or(ListNameError::NoList)?;
            return Ok(Self::partial(authority.parse()?, PartialScope::Shard(number)));
        }
        match stem.strip_suffix("-delta") {
            Some(authority) => Ok(Self::partial(authority.parse()?, PartialScope::Delta)),
            None => Ok(Self::complete(stem.parse()?)),
        }
    }
}

/// Text that names no list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ListNameError {
    /// Not the form of a list's name.
    #[error("a list is called like `tls.crl`, `tls-delta.crl` or `tls/1.crl`")]
    NoList,
    /// No id of an authority before it.
    #[error(transparent)]
    Authority(#[from] IdError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_in_no_other_way() {
        for text in ["tls.crl", "tls-delta.crl", "tls/1.crl", "tls/16383.crl", "tls-2/10.crl"] {
            assert_eq!(text.parse::<ListName>().map(|name| name.to_string()).as_deref(), Ok(text));
        }
        let others = [
            "tls",
            "tls/0.crl",
            "tls/01.crl",
            "tls/+1.crl",
            "tls/16384.crl",
            "tls/.crl",
            "tls/1/2.crl",
            "tls/-delta.crl",
            "/1.crl",
            ".crl",
            "-delta.crl",
            "tls-delta-delta.crl",
            "tls-delta/1.crl",
            "TLS.crl",
            "all.crl",
        ];
        for text in others {
            assert!(text.parse::<ListName>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_delta_and_the_shards_have_columns_of_their_own() {
        for column in [0, 1, 7, ShardNumber::HIGHEST] {
            assert_eq!(PartialScope::from_column(column).map(PartialScope::to_column), Some(column));
        }
        assert_eq!(PartialScope::from_column(0), Some(PartialScope::Delta));
        assert_eq!(PartialScope::from_column(ShardNumber::HIGHEST + 1), None);
    }
}
