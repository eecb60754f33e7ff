//! Extractors that answer with problems where axum's own answer with plain text.

use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, request::Parts};
use ca_api::certificate::IDEMPOTENCY_KEY;
use ca_api::problem::{ProblemType, Violation};
use ca_core::id::{AuthorityId, CertificateId};
use ca_core::serial::Serial;
use ca_engine::flow::query::CertificateName;
use serde::de::DeserializeOwned;

use super::problem::ProblemResponse;

/// The longest idempotency key, in characters.
const MAXIMUM_IDEMPOTENCY_KEY: usize = 255;

/// A JSON body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ProblemResponse;

    async fn from_request(request: Request, state: &S) -> Result<Self, ProblemResponse> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(match rejection {
                JsonRejection::MissingJsonContentType(_) => ProblemResponse::new(
                    ProblemType::UnsupportedMediaType,
                    "the body must be JSON; set Content-Type: application/json",
                ),
                JsonRejection::BytesRejection(rejection) => unreadable_body(&rejection),
                other => ProblemResponse::new(ProblemType::MalformedRequest, other.body_text()),
            }),
        }
    }
}

/// What is wrong with a body that is too long or breaks off.
pub(crate) fn unreadable_body(rejection: &BytesRejection) -> ProblemResponse {
    if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        return ProblemResponse::new(ProblemType::ContentTooLarge, "the body is larger than this route takes");
    }
    ProblemResponse::new(ProblemType::MalformedRequest, "the body could not be read to its end")
}

/// The query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(QueryRejection::FailedToDeserializeQueryString(rejection)) => {
                Err(ProblemResponse::new(ProblemType::MalformedRequest, rejection.body_text()))
            }
            Err(_) => Err(ProblemResponse::new(ProblemType::MalformedRequest, "the query cannot be read")),
        }
    }
}

/// One parameter of the path, as text.
pub(crate) struct PathText(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathText {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        match axum::extract::Path::<String>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(text)) => Ok(Self(text)),
            Err(PathRejection::FailedToDeserializePathParams(_)) => Err(not_found()),
            Err(_) => Err(ProblemResponse::new(ProblemType::MalformedRequest, "the path cannot be read")),
        }
    }
}

/// The two variable segments of a path.
pub(crate) struct PathTexts(pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathTexts {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        match axum::extract::Path::<(String, String)>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path((first, second))) => Ok(Self(first, second)),
            Err(PathRejection::FailedToDeserializePathParams(_)) => Err(not_found()),
            Err(_) => Err(ProblemResponse::new(ProblemType::MalformedRequest, "the path cannot be read")),
        }
    }
}

/// A certificate, named in the path by id, `authority:serial` or bare serial.
pub(crate) struct NamedCertificate(pub(crate) CertificateName);

impl<S: Send + Sync> FromRequestParts<S> for NamedCertificate {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        let PathText(text) = PathText::from_request_parts(parts, state).await?;
        certificate_name(&text).map(Self).ok_or_else(|| {
            ProblemResponse::new(
                ProblemType::NotFound,
                "no certificate is named like that; use its id, `authority:serial`, or its serial in hexadecimal",
            )
        })
    }
}

/// How a certificate is named: by id, `authority:serial` or bare serial.
pub(crate) fn certificate_name(text: &str) -> Option<CertificateName> {
    if let Ok(id) = text.parse::<CertificateId>() {
        return Some(CertificateName::Id(id));
    }
    if let Some((authority, serial)) = text.split_once(':')
        && let (Ok(authority), Ok(serial)) = (authority.parse::<AuthorityId>(), serial.parse::<Serial>())
    {
        return Some(CertificateName::Serial(authority, serial));
    }
    text.parse().ok().map(CertificateName::BareSerial)
}

/// The answer where nothing is.
pub(crate) fn not_found() -> ProblemResponse {
    ProblemResponse::new(ProblemType::NotFound, "there is nothing here")
}

/// The idempotency key, where one was sent: 1 to 255 printable characters.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ProblemResponse> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= MAXIMUM_IDEMPOTENCY_KEY);
    match key {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(ProblemResponse::new(
            ProblemType::MalformedRequest,
            "the Idempotency-Key must be 1 to 255 printable ASCII characters",
        )),
    }
}

/// Collects what is wrong with the values of a request.
#[derive(Default)]
pub(crate) struct Wrong(Vec<Violation>);

impl Wrong {
    /// The value, or a note of what is wrong with it.
    pub(crate) fn check<T, E: std::fmt::Display>(
        &mut self,
        code: &str,
        pointer: &str,
        value: Result<T, E>,
    ) -> Option<T> {
        value
            .map_err(|error| {
                self.0.push(Violation {
                    code: code.to_owned(),
                    pointer: pointer.to_owned(),
                    detail: error.to_string(),
                });
            })
            .ok()
    }

    /// Fails if anything was wrong.
    pub(crate) fn finish(self) -> Result<(), ProblemResponse> {
        if self.0.is_empty() { Ok(()) } else { Err(ProblemResponse::all_invalid(self.0)) }
    }
}
