//! The address of a Redis: `redis://[user][:password]@host[:port][/number]`, `rediss://…` with TLS.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

/// Where a Redis is, and who asks. It may hold a password: nothing shows more than the host.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisAddress {
    url: Zeroizing<String>,
    place: String,
    is_encrypted: bool,
}

impl RedisAddress {
    /// Reads a URL. No error quotes it.
    pub fn parse(url: &str) -> Result<Self, AddressProblem> {
        let (is_encrypted, rest) = match (url.strip_prefix("redis://"), url.strip_prefix("rediss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(AddressProblem::Scheme),
        };
        if rest.contains(['?', '#']) {
            return Err(AddressProblem::Parameters);
        }
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        if !database.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(AddressProblem::Database);
        }
        // The last `@` ends the user information.
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let (host, port) = match place.rsplit_once(':') {
            // A colon inside brackets belongs to an IPv6 address.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (place, None),
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
        if host.is_empty() || host.contains(char::is_whitespace) || !port.is_none_or(is_port) {
            return Err(AddressProblem::Host);
        }
        Ok(Self { url: Zeroizing::new(url.to_owned()), place: place.to_owned(), is_encrypted })
    }

    /// Host and port, as they were written.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether it is spoken to by TLS.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// All of it, password included: for who connects, and for nothing that is shown.
    pub fn expose(&self) -> &str {
        &self.url
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({})", self.place)
    }
}

/// Why a text is no address of a Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddressProblem {
    /// Another scheme, or none.
    #[error("not the URL of a Redis; write it like `redis://host:6379` or `rediss://host:6380`")]
    Scheme,
    /// A query or a fragment.
    #[error("a Redis URL has no parameters here; write it like `rediss://host:6380/0`")]
    Parameters,
    /// Something else than a number follows the host.
    #[error("after the host comes the number of a database or nothing, as in `redis://host:6379/0`")]
    Database,
    /// No host, or a port that is none.
    #[error("it names no host, or a port that is none; write it like `redis://host:6379`")]
    Host,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_ports_and_passwords_and_shows_no_password() {
        for (url, place, is_encrypted) in [
            ("redis://localhost", "localhost", false),
            ("rediss://cache.example.org:6380/3", "cache.example.org:6380", true),
            ("redis://:hunter2@10.0.0.1:6379", "10.0.0.1:6379", false),
            ("redis://ca:hun@ter2@[2001:db8::1]:6379/", "[2001:db8::1]:6379", false),
            ("redis://[::1]", "[::1]", false),
        ] {
            let address = RedisAddress::parse(url).expect(url);
            assert_eq!((address.place(), address.is_encrypted()), (place, is_encrypted), "{url}");
            assert!(!format!("{address:?}").contains("ter2"));
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        for (url, problem) in [
            ("localhost:6379", AddressProblem::Scheme),
            ("http://localhost", AddressProblem::Scheme),
            ("rediss://host/#insecure", AddressProblem::Parameters),
            ("redis://host?protocol=resp3", AddressProblem::Parameters),
            ("redis://host/cache", AddressProblem::Database),
            ("redis://", AddressProblem::Host),
            ("redis://:hunter2@/0", AddressProblem::Host),
            ("redis://host:0", AddressProblem::Host),
            ("redis://host:port", AddressProblem::Host),
        ] {
            let found = RedisAddress::parse(url).expect_err(url);
            assert_eq!(found, problem, "{url}");
            assert!(!found.to_string().contains("hunter2"));
        }
    }
}
