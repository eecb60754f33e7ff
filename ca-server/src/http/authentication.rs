//! Who asks: the client certificate of the TLS connection, or the bearer of an enrolment token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::{header, request::Parts};
use ca_api::problem::ProblemType;
use ca_core::certificate::Certificate;
use ca_core::principal::Principal;
use ca_engine::flow::authenticate;

use super::problem::ProblemResponse;
use crate::state::AppState;

/// The leaf that the client proved possession of in the TLS handshake, DER.
#[derive(Clone)]
pub(crate) struct PeerCertificate(pub(crate) Arc<[u8]>);

/// A caller that offered a proof which was accepted. Extraction fails for anonymous callers.
pub(crate) struct Caller(pub(crate) Principal);

impl FromRequestParts<AppState> for Caller {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ProblemResponse> {
        let peer = parts.extensions.get::<PeerCertificate>().cloned();
        let bearer = bearer(parts)?;
        match (peer, bearer) {
            (Some(_), Some(_)) => Err(ProblemResponse::new(
                ProblemType::InvalidCredential,
                "two proofs were offered, a client certificate and a token; offer one",
            )),
            (Some(PeerCertificate(der)), None) => certificate_holder(state, &der).await.map(Self),
            (None, Some(token)) => Ok(Self(authenticate::token_bearer(state.engine(), &token).await?)),
            (None, None) => Err(ProblemResponse::new(
                ProblemType::AuthenticationRequired,
                "this needs a client certificate of this service or an enrolment token",
            )),
        }
    }
}

async fn certificate_holder(state: &AppState, der: &[u8]) -> Result<Principal, ProblemResponse> {
    let unaccepted = || {
        ProblemResponse::new(
            ProblemType::InvalidCredential,
            "the client certificate is none of this service's; show one that it issued",
        )
    };
    let certificate = Certificate::from_der(der).map_err(|_| unaccepted())?;
    let hierarchy = state.engine().hierarchy();
    // The handshake verified the chain; which authority of ours it ends in, the record is asked by.
    let issuer = hierarchy.issuer_of(&certificate).ok_or_else(unaccepted)?;
    Ok(authenticate::certificate_holder(state.engine(), issuer.id(), certificate.serial(), der).await?)
}

fn bearer(parts: &Parts) -> Result<Option<String>, ProblemResponse> {
    let Some(value) = parts.headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let wrong = || {
        ProblemResponse::new(
            ProblemType::InvalidCredential,
            "the Authorization header must read `Bearer cet_…`, a token",
        )
    };
    let text = value.to_str().map_err(|_| wrong())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(wrong)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(wrong());
    }
    Ok(Some(token.trim().to_owned()))
}
