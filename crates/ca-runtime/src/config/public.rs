//! `[public]`: the addresses that certificates carry for ever.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ca_core::name::DnsName;

use super::listen::ListenConfig;
use super::settings::Settings;

/// What certificates say of where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicConfig {
    /// The start of CRL, AIA and OCSP URLs; without it certificates carry none.
    pub base_url: Option<BaseUrl>,
}

/// An `http://` URL without a slash at its end, to which `/ocsp`, `/crl/…` and `/ca/…` are appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// The URL of a listener.
    pub(super) fn of_listener(address: SocketAddr) -> Self {
        Self(format!("http://{address}"))
    }

    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PublicConfig {
    pub(super) fn read(settings: &mut Settings, listen: &ListenConfig) -> Self {
        let Some(text) = settings.text("public.base_url").map(str::to_owned) else { return Self { base_url: None } };
        match parse(&text) {
            Ok((_, true)) if !listen.public.ip().is_loopback() => {
                let detail = format!(
                    "`{text}` is this machine's own loopback, but `listen.public` is {}: every certificate would point its \
                     readers at themselves; write the name by which others reach that listener",
                    listen.public
                );
                settings.invalid("public.base_url", detail);
                Self { base_url: None }
            }
            Ok((base_url, _)) => Self { base_url: Some(base_url) },
            Err(detail) => {
                settings.invalid("public.base_url", detail);
                Self { base_url: None }
            }
        }
    }
}

/// Reads a base URL, and says whether its host is loopback.
fn parse(text: &str) -> Result<(BaseUrl, bool), String> {
    let right = "write it like http://pki.example.org";
    let Some(rest) = text.strip_prefix("http://") else {
        return Err(match text.strip_prefix("https://") {
            // RFC 5280 §8: an https URI in a CRL distribution point or AIA makes checking a certificate depend on checking
            // a certificate.
            Some(_) => {
                "https makes clients need a certificate to check a certificate (RFC 5280 §8); use http, what it \
                        serves is signed"
                    .to_owned()
            }
            None => format!("`{text}` does not begin with http://; {right}"),
        });
    };
    let trimmed = rest.trim_end_matches('/');
    let (authority, path) = trimmed.split_once('/').unwrap_or((trimmed, ""));
    if !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte)) {
        return Err(format!(
            "its path `/{path}` may hold letters, digits and `-._~/` only: no query, fragment or escape"
        ));
    }
    let is_loopback = host_is_loopback(authority).ok_or_else(|| format!("`{authority}` is not a host; {right}"))?;
    Ok((BaseUrl(format!("http://{trimmed}")), is_loopback))
}

/// Whether the host of `host[:port]` is loopback; `None` when it is no host that others could reach or resolve.
fn host_is_loopback(authority: &str) -> Option<bool> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            let address: Ipv6Addr = host.parse().ok()?;
            (Host::Address(IpAddr::V6(address)), after.strip_prefix(':').or_else(|| after.is_empty().then_some("80"))?)
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
            let host = host.parse().map(Host::Address).or_else(|_| DnsName::parse(host).map(Host::Name)).ok()?;
            (host, port)
        }
    };
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse() != Ok(0u16);
    if !is_port || port.parse::<u16>().is_err() {
        return None;
    }
    match host {
        Host::Address(address) if address.is_unspecified() => None,
        Host::Address(address) => Some(address.to_canonical().is_loopback()),
        // RFC 6761 §6.3: `localhost` and names under it are loopback.
        Host::Name(name) if name.is_wildcard() => None,
        Host::Name(name) => {
            let name = name.to_string();
            Some(name == "localhost" || name.ends_with(".localhost"))
        }
    }
}

enum Host {
    Address(IpAddr),
    Name(DnsName),
}
