//! Enrolment tokens: bearer credentials, `cet_…`, good for a few certificates of exactly the names they are bound to.
//!
//! The secret is shown once, in the answer to its creation; [`EnrolmentTokenSecret`] keeps it out of `Debug` and wipes it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zeroize::ZeroizeOnDrop;

use crate::certificate::SubjectAlternativeName;

/// How every enrolment token begins; a bearer credential that begins otherwise is a JWT.
pub const SECRET_PREFIX: &str = "cet_";

/// Body of `POST /v1/enrolment-tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnrolmentToken {
    /// The one profile that may be asked for.
    #[schema(min_length = 1, max_length = 64, example = "server")]
    pub profile: String,
    /// The names that may be asked for, and no others; at least one, unless a common name is given.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub subject_alternative_names: Vec<SubjectAlternativeName>,
    /// The subject common name that may be asked for; absent: only what is one of the names above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub common_name: Option<String>,
    /// How long the token is good for; absent: one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,18}[smhd]$", example = "1h")]
    pub validity: Option<String>,
    /// How many certificates may be had with it; absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10000)]
    pub uses: Option<u32>,
}

/// Answer to `POST /v1/enrolment-tokens`: the token with its secret, which is never shown again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedEnrolmentToken {
    /// The bearer credential.
    pub secret: EnrolmentTokenSecret,
    /// The token as it is on record.
    #[serde(flatten)]
    pub token: EnrolmentToken,
}

/// An enrolment token on record. Item of `GET /v1/enrolment-tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentToken {
    /// The token's name in this API, a UUID; no secret.
    #[schema(format = "uuid")]
    pub id: String,
    /// The one profile that may be asked for.
    #[schema(example = "server")]
    pub profile: String,
    /// The names that may be asked for.
    pub subject_alternative_names: Vec<SubjectAlternativeName>,
    /// The subject common name that may be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// The principal that made it.
    pub created_by: String,
    /// When it was made.
    #[schema(format = "date-time")]
    pub created_at: String,
    /// From when on it is refused.
    #[schema(format = "date-time")]
    pub expires_at: String,
    /// How many certificates may be had with it in all.
    pub uses: u32,
    /// How many of them are left.
    pub uses_left: u32,
    /// Whether it was withdrawn by `DELETE`, and is refused since.
    pub withdrawn: bool,
}

/// Query of `GET /v1/enrolment-tokens`. Newest first, spent and withdrawn ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EnrolmentTokenFilter {
    /// At most so many items a page; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 512)]
    pub cursor: Option<String>,
}

/// A bearer credential; keep it as you would a password.
//
// `Debug` does not show it and dropping it wipes it; that is no business of the OpenAPI document.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, ZeroizeOnDrop)]
#[serde(transparent)]
#[schema(pattern = "^cet_[A-Za-z0-9_-]+$", example = "cet_…")]
pub struct EnrolmentTokenSecret(String);

impl EnrolmentTokenSecret {
    /// Takes the text of a credential.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that shows, stores or sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EnrolmentTokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentTokenSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::page::Page;

    #[test]
    fn a_request_has_its_golden_shapes() {
        golden::round_trips::<NewEnrolmentToken>(include_str!("../testdata/new_enrolment_token.json"));
        golden::round_trips::<NewEnrolmentToken>(include_str!("../testdata/new_enrolment_token_minimal.json"));
    }

    #[test]
    fn a_request_refuses_an_unknown_field() {
        let error = golden::refusal::<NewEnrolmentToken>(
            r#"{"profile": "server", "subject_alternative_names": [], "max_uses": 3}"#,
        );
        assert!(error.contains("unknown field `max_uses`"), "{error}");
    }

    #[test]
    fn tokens_on_record_have_their_golden_shape_without_a_secret() {
        let text = include_str!("../testdata/enrolment_tokens.json");
        golden::round_trips::<Page<EnrolmentToken>>(text);
        assert!(!text.contains(SECRET_PREFIX));
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let created =
            golden::round_trips::<CreatedEnrolmentToken>(include_str!("../testdata/created_enrolment_token.json"));
        assert!(created.secret.expose().starts_with(SECRET_PREFIX));
        let shown = format!("{created:?} {:#?}", created.secret);
        assert!(!shown.contains(SECRET_PREFIX), "{shown}");
        assert!(!shown.contains(created.secret.expose()), "{shown}");
    }
}
