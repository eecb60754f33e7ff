//! A region of AWS, and the address of an endpoint that stands for it.

use std::fmt;

use thiserror::Error;

/// Where AWS is asked. Credentials are no part of it: they come from the role that the machine or the task has, the environment
/// or the profile, as the SDK finds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsPlace {
    /// The region; the SDK looks for one (`AWS_REGION`, the profile, the instance) when it is absent.
    pub region: Option<Region>,
    /// An endpoint instead of AWS's own: an emulator, or an endpoint inside a network.
    pub endpoint_url: Option<EndpointUrl>,
}

/// The name of a region, as in `sa-east-1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region(String);

impl Region {
    /// Reads a name: lower-case letters, digits and single hyphens, with a hyphen inside. Which regions there are is AWS's to say.
    pub fn parse(text: &str) -> Result<Self, PlaceProblem> {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit())
        };
        match text.len() <= 32 && text.contains('-') && text.split('-').all(is_word) {
            true => Ok(Self(text.to_owned())),
            false => Err(PlaceProblem::Region),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `https://host[:port]`, or `http://` for an emulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointUrl(String);

impl EndpointUrl {
    /// Reads a URL. No error quotes it: somebody may have put a password into it.
    pub fn parse(text: &str) -> Result<Self, PlaceProblem> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.ok_or(PlaceProblem::Scheme)?.trim_end_matches('/');
        if host.contains('@') {
            return Err(PlaceProblem::Credentials);
        }
        if host.is_empty()
            || host.contains(['/', '?', '#'])
            || host.contains(|c: char| c.is_whitespace() || c.is_control())
        {
            return Err(PlaceProblem::Host);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no place of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlaceProblem {
    /// Not the name of a region.
    #[error("it is not the name of a region; write it like `sa-east-1`")]
    Region,
    /// Another scheme, or none.
    #[error("it does not begin with https:// (or http:// for an emulator); write it like `https://s3.example.org`")]
    Scheme,
    /// Credentials in the URL.
    #[error("it holds a user or a password; credentials come from the role, the environment or the profile")]
    Credentials,
    /// No host, or more than a host.
    #[error(
        "after the scheme comes a host and perhaps a port, and nothing more; write it like `http://127.0.0.1:5000`"
    )]
    Host,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_regions_and_refuses_what_is_none() {
        for name in ["sa-east-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"] {
            assert_eq!(Region::parse(name).expect(name).as_str(), name);
        }
        for name in ["", "Sao Paulo", "sa_east_1", "SA-EAST-1", "saeast1", "sa--east-1", "-sa-east-1", &"a-".repeat(40)]
        {
            assert_eq!(Region::parse(name), Err(PlaceProblem::Region), "{name}");
        }
    }

    #[test]
    fn takes_endpoints_and_refuses_what_is_more_or_less() {
        for (url, read) in [
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("https://vpce-0a1b.s3.sa-east-1.vpce.amazonaws.com/", "https://vpce-0a1b.s3.sa-east-1.vpce.amazonaws.com"),
            ("http://[::1]:5000", "http://[::1]:5000"),
        ] {
            assert_eq!(EndpointUrl::parse(url).expect(url).as_str(), read);
        }
        for (url, problem) in [
            ("localhost:5000", PlaceProblem::Scheme),
            ("s3://bucket", PlaceProblem::Scheme),
            ("https://key:hunter2@host", PlaceProblem::Credentials),
            ("https://", PlaceProblem::Host),
            ("https://host/path", PlaceProblem::Host),
            ("https://host?x=1", PlaceProblem::Host),
            ("https://a host", PlaceProblem::Host),
        ] {
            assert_eq!(EndpointUrl::parse(url), Err(problem), "{url}");
            assert!(!problem.to_string().contains("hunter2"));
        }
    }
}
