//! `POST /v1/certificates/{certificate}/renew` and `GET …/renewal-info`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use ca_api::certificate::Certificate;
use ca_api::renewal::{RenewCertificate, RenewalInfo, SuggestedWindow};
use ca_engine::flow::renew::{RenewRequest, renew, renewal_info as renewal_info_of};

use super::issue_certificate::{created, read_csr};
use crate::http::authentication::Caller;
use crate::http::convert;
use crate::http::extract::{JsonBody, NamedCertificate, Wrong, idempotency_key};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::request_id;
use crate::http::to_the_end::to_the_end;
use crate::state::AppState;

/// Renew a certificate.
///
/// The successor has the same names. Its holder may ask from half of the lifetime on, proving itself by mTLS with the
/// certificate that is renewed; others need a role.
#[utoipa::path(
    post,
    path = "/v1/certificates/{certificate}/renew",
    tag = "certificates",
    params(
        ("certificate" = String, Path, description = "Id, `authority:serial`, or serial", pattern = "^([a-z0-9-]{1,64}:)?[0-9A-Fa-f-]{1,40}$"),
        ("idempotency-key" = Option<String>, Header, description = "1 to 255 printable characters", max_length = 255),
    ),
    request_body = RenewCertificate,
    responses(
        (status = 201, description = "Issued", body = Certificate, headers(("Location" = String, description = "The successor's own path"))),
        refusal::Renew,
    )
)]
pub(crate) async fn renew_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    NamedCertificate(name): NamedCertificate,
    headers: HeaderMap,
    JsonBody(body): JsonBody<RenewCertificate>,
) -> Result<Response, ProblemResponse> {
    let idempotency_key = idempotency_key(&headers)?;
    let mut wrong = Wrong::default();
    let validity = convert::read_lifetime("/validity", body.validity.as_ref(), &mut wrong);
    wrong.finish()?;
    let csr = match (&body.csr, body.reuse_key) {
        (Some(pem), false) => Some(read_csr(pem)?),
        (None, true) => None,
        (Some(_), true) => {
            return Err(ProblemResponse::invalid(
                "key-ambiguous",
                "/csr",
                "send a `csr` or `reuse_key: true`, not both",
            ));
        }
        (None, false) => {
            return Err(ProblemResponse::invalid(
                "key-missing",
                "/csr",
                "send a `csr` for a new key, or `reuse_key: true`",
            ));
        }
    };
    let request =
        RenewRequest { certificate: name, csr, validity, idempotency_key, request_id: Some(request_id::current()) };
    let flow = {
        let state = state.clone();
        async move { renew(state.engine(), &principal, request).await }
    };
    let issued = to_the_end(flow).await?;
    Ok(created(convert::certificate(&state, &issued.certificate)))
}

/// When to renew a certificate, in the shape of RFC 9773.
#[utoipa::path(
    get,
    path = "/v1/certificates/{certificate}/renewal-info",
    tag = "certificates",
    params(("certificate" = String, Path, description = "Id, `authority:serial`, or serial", pattern = "^([a-z0-9-]{1,64}:)?[0-9A-Fa-f-]{1,40}$")),
    responses(
        (
            status = 200, description = "The window", body = RenewalInfo,
            headers(("Retry-After" = u64, description = "When to ask again, in seconds: the window may be moved")),
        ),
        refusal::RenewalWindow,
    )
)]
pub(crate) async fn renewal_info(
    State(state): State<AppState>,
    Caller(principal): Caller,
    NamedCertificate(name): NamedCertificate,
) -> Result<Response, ProblemResponse> {
    let info = renewal_info_of(state.engine(), &principal, &name).await?;
    let body = RenewalInfo {
        suggested_window: SuggestedWindow { start: info.window.start.to_rfc3339(), end: info.window.end.to_rfc3339() },
        explanation_url: info.explanation_url,
    };
    Ok(([(header::RETRY_AFTER, info.ask_again_after.seconds().to_string())], Json(body)).into_response())
}
