//! `POST /v1/certificates`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ca_api::certificate::{Certificate, NewCertificate};
use ca_api::problem::ProblemType;
use ca_core::csr::{CsrError, ParsedCsr};
use ca_core::id::ProfileName;
use ca_core::name::DistinguishedName;
use ca_engine::flow::issue::{IssueRequest, issue};

use crate::http::authentication::Caller;
use crate::http::convert;
use crate::http::extract::{JsonBody, Wrong, idempotency_key};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::request_id;
use crate::http::to_the_end::to_the_end;
use crate::state::AppState;

/// Issue a certificate.
///
/// The key stays with the caller: a CSR proves that it has it. With an `Idempotency-Key` the same request has the same
/// answer for a day, whatever became of the connection.
#[utoipa::path(
    post,
    path = "/v1/certificates",
    tag = "certificates",
    params(("idempotency-key" = Option<String>, Header, description = "1 to 255 printable characters", max_length = 255)),
    request_body = NewCertificate,
    responses(
        (
            status = 201, description = "Issued; durable before it is sent", body = Certificate,
            headers(("Location" = String, description = "The certificate's own path")),
            links(
                ("read" = (operation_id = "get_certificate", parameters(("certificate" = "$response.body#/id")))),
                ("renew" = (operation_id = "renew_certificate", parameters(("certificate" = "$response.body#/id")))),
                ("revoke" = (operation_id = "revoke_certificate", parameters(("certificate" = "$response.body#/id")))),
                ("when to renew" = (operation_id = "renewal_info", parameters(("certificate" = "$response.body#/id")))),
            ),
        ),
        refusal::Issue,
    )
)]
pub(crate) async fn issue_certificate(
    State(state): State<AppState>,
    Caller(principal): Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<NewCertificate>,
) -> Result<Response, ProblemResponse> {
    let idempotency_key = idempotency_key(&headers)?;
    let mut wrong = Wrong::default();
    let profile = body.profile.parse::<ProfileName>();
    let profile = profile.map_err(|error| format!("{error}; profiles are {}", state.engine().profile_names()));
    let profile = wrong.check("profile-name-invalid", "/profile", profile);
    let subject = body
        .subject
        .as_deref()
        .and_then(|text| wrong.check("subject-invalid", "/subject", DistinguishedName::from_rfc4514(text)));
    let names = body.subject_alternative_names.as_deref().map(|names| convert::read_names(names, &mut wrong));
    let validity = convert::read_lifetime("/validity", body.validity.as_ref(), &mut wrong);
    wrong.finish()?;
    let csr = read_csr(&body.csr)?;
    let Some(profile) = profile else {
        return Err(ProblemResponse::new(ProblemType::UnknownProfile, "there is no profile of that name"));
    };
    let request = IssueRequest {
        profile,
        csr,
        subject,
        names,
        validity,
        idempotency_key,
        request_id: Some(request_id::current()),
    };
    let flow = {
        let state = state.clone();
        async move { issue(state.engine(), &principal, request).await }
    };
    let issued = to_the_end(flow).await?;
    let certificate = convert::certificate(&state, &issued.certificate);
    Ok(created(certificate))
}

/// Reads a CSR; what is wrong with it or its key becomes a problem of its own.
pub(crate) fn read_csr(pem: &str) -> Result<ParsedCsr, ProblemResponse> {
    ParsedCsr::from_pem(pem).map_err(|error| {
        let kind = if matches!(error, CsrError::Key(_)) { ProblemType::KeyRejected } else { ProblemType::CsrRejected };
        ProblemResponse::about(kind, error.code(), "/csr", error.to_string())
    })
}

/// 201 with the certificate's own path.
pub(crate) fn created(certificate: Certificate) -> Response {
    let location = HeaderValue::from_str(&format!("/v1/certificates/{}", certificate.id));
    let mut response = (StatusCode::CREATED, Json(certificate)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
