//! The profiles that come with the program: the shipped ones, which operators copy and change, and the internal ones, by
//! which the service makes its own certificates.

use super::{Profile, ProfileFaults};

/// A profile's text as it comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its name, that of the file without `.toml`.
    pub name: &'static str,
    /// The TOML.
    pub text: &'static str,
}

impl BuiltIn {
    /// The profile. The texts that come with the program are read by a test, so that this fails on none of them.
    pub fn profile(&self) -> Result<Profile, ProfileFaults> {
        Profile::from_toml(self.text)
    }
}

/// Every profile that comes with the program.
pub fn built_in() -> &'static [BuiltIn] {
    &BUILT_IN
}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$(BuiltIn {
            name: $name,
            text: include_str!(concat!("../../../../policies/profiles/", $name, ".toml")),
        }),*]
    };
}

static BUILT_IN: [BuiltIn; 8] =
    built_in!["root", "subordinate", "ocsp-responder", "api-server", "operator", "server", "client", "document",];
