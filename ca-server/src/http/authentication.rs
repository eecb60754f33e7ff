//! Who asks: the client certificate of the TLS connection, or the bearer of an enrolment token.

use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::{header, request::Parts};
use ca_api::problem::ProblemType;
use ca_core::certificate::Certificate;
use ca_core::principal::Principal;
use ca_engine::flow::authenticate;
use ca_engine::port::store::ShownCertificate;

use super::problem::ProblemResponse;
use crate::state::AppState;

/// The leaf that the client proved possession of in the TLS handshake. One for a connection, cheap to clone.
#[derive(Clone)]
pub(crate) struct PeerCertificate(Arc<Leaf>);

struct Leaf {
    der: Vec<u8>,
    /// Whose it is, once somebody asked: who signed a certificate does not change, and finding out costs a verification.
    shown: OnceLock<ShownCertificate>,
}

impl PeerCertificate {
    /// A leaf by its DER.
    pub(crate) fn new(der: &[u8]) -> Self {
        Self(Arc::new(Leaf { der: der.to_vec(), shown: OnceLock::new() }))
    }

    /// What it says of itself; `None` when no authority of ours signed it that is known by now.
    fn shown(&self, state: &AppState) -> Option<&ShownCertificate> {
        if self.0.shown.get().is_none() {
            let certificate = Certificate::from_der(&self.0.der).ok()?;
            let hierarchy = state.engine().hierarchy();
            let issuer = hierarchy.issuer_of(&certificate)?;
            // Another request of the connection may have been faster, with the same.
            let _known = self.0.shown.set(ShownCertificate::new(issuer.id(), &certificate));
        }
        self.0.shown.get()
    }
}

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
            (Some(peer), None) => certificate_holder(state, &peer).await.map(Self),
            (None, Some(token)) => Ok(Self(authenticate::token_bearer(state.engine(), &token).await?)),
            (None, None) => Err(ProblemResponse::new(
                ProblemType::AuthenticationRequired,
                "this needs a client certificate of this service or an enrolment token",
            )),
        }
    }
}

async fn certificate_holder(state: &AppState, peer: &PeerCertificate) -> Result<Principal, ProblemResponse> {
    // The handshake verified the chain; which authority of ours it ends in, the record is asked by.
    let shown = peer.shown(state).ok_or_else(|| {
        ProblemResponse::new(
            ProblemType::InvalidCredential,
            "the client certificate is none of this service's; show one that it issued",
        )
    })?;
    Ok(authenticate::certificate_holder(state.engine(), shown, &peer.0.der).await?)
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
