//! Profiles: what each kind of certificate may contain, as far as those who ask for one need to know.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::SubjectAlternativeNameType;

/// A profile. Answer of `GET /v1/profiles/{profile}`, item of `GET /v1/profiles`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Profile {
    /// Its name.
    #[schema(example = "server")]
    pub name: String,
    /// The authority that issues it.
    #[schema(example = "tls")]
    pub authority: String,
    /// The kinds of keys it takes, the preferred one first.
    #[schema(example = json!(["p256", "rsa3072"]))]
    pub key_types: Vec<String>,
    /// How long its certificates are valid when the request does not say.
    #[schema(pattern = "^[0-9]{1,18}[smhd]$", example = "90d")]
    pub default_validity: String,
    /// The longest validity that may be asked for.
    #[schema(pattern = "^[0-9]{1,18}[smhd]$", example = "365d")]
    pub maximum_validity: String,
    /// Key usages (RFC 5280 §4.2.1.3), by their names there.
    #[schema(example = json!(["digitalSignature"]))]
    pub key_usage: Vec<String>,
    /// Extended key usages: RFC names where there is one, else dotted OIDs.
    #[schema(example = json!(["serverAuth", "clientAuth"]))]
    pub extended_key_usage: Vec<String>,
    /// The kinds of names that may be asked for.
    pub subject_alternative_name_types: Vec<SubjectAlternativeNameType>,
    /// Certificate policies (RFC 5280 §4.2.1.4), as dotted OIDs.
    pub certificate_policies: Vec<String>,
    /// Whether its certificates demand a stapled OCSP response (RFC 7633).
    pub must_staple: bool,
    /// Whether subjects and names are personal data.
    pub personal_data: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::page::Page;

    #[test]
    fn a_profile_has_its_golden_shapes() {
        golden::round_trips::<Profile>(include_str!("../testdata/profile.json"));
        golden::round_trips::<Page<Profile>>(include_str!("../testdata/profiles.json"));
    }
}
