//! Where a webhook is: HTTPS, or plain HTTP on this machine.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;
use thiserror::Error;

/// The URL of a receiver. `Debug` shows no more than its host: paths and queries may hold a receiver's token.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookAddress(Url);

/// Why a text is not the address of a receiver. It does not quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WebhookAddressError {
    /// Not a URL of HTTP.
    #[error("not an address of HTTP; write it like `https://events.example.org/ca`")]
    NotHttp,
    /// Plain HTTP to another machine.
    #[error("events leave this machine by HTTPS alone; http:// is for localhost, 127.0.0.1 and [::1]")]
    NotPrivate,
    /// A user name or password inside.
    #[error("a user name or password has no place in it; receivers know the service by its signature (secret_file)")]
    Credentials,
    /// A fragment, which is never sent (RFC 9110 §7.1).
    #[error("what follows `#` is never sent; leave it out")]
    Fragment,
}

impl WebhookAddress {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, WebhookAddressError> {
        let url: Url = text.parse().map_err(|_| WebhookAddressError::NotHttp)?;
        let host = url.host_str().ok_or(WebhookAddressError::NotHttp)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookAddressError::Credentials);
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(host) => {}
            "http" => return Err(WebhookAddressError::NotPrivate),
            _ => return Err(WebhookAddressError::NotHttp),
        }
        match url.fragment() {
            Some(_) => Err(WebhookAddressError::Fragment),
            None => Ok(Self(url)),
        }
    }

    pub(super) fn url(&self) -> Url {
        self.0.clone()
    }
}

impl fmt::Debug for WebhookAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookAddress({}://{}/…)", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_leave_the_machine_by_https_alone() {
        for text in [
            "https://events.example.org/ca",
            "https://events.example.org:8443/ca?tenant=1",
            "http://localhost:9000/",
            "http://127.0.0.1:9000/x",
            "http://127.8.9.1/x",
            "http://[::1]:9000/x",
        ] {
            assert!(WebhookAddress::parse(text).is_ok(), "{text}");
        }
        for (text, why) in [
            ("http://events.example.org/", WebhookAddressError::NotPrivate),
            ("http://127.0.0.1.example.org/", WebhookAddressError::NotPrivate),
            ("http://10.0.0.1/", WebhookAddressError::NotPrivate),
            ("ftp://events.example.org/", WebhookAddressError::NotHttp),
            ("events.example.org", WebhookAddressError::NotHttp),
            ("", WebhookAddressError::NotHttp),
            ("https://user@events.example.org/", WebhookAddressError::Credentials),
            ("https://:secret@events.example.org/", WebhookAddressError::Credentials),
            ("https://events.example.org/#part", WebhookAddressError::Fragment),
        ] {
            assert_eq!(WebhookAddress::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let address = WebhookAddress::parse("https://events.example.org/hooks/s3cret?key=s3cret").expect("an address");
        assert_eq!(format!("{address:?}"), "WebhookAddress(https://events.example.org/…)");
    }
}
