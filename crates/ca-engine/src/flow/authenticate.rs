//! From a proof that was checked on the wire to a principal: what the record says about it.

use ca_core::hash::{digests_equal, sha256};
use ca_core::id::TokenId;
use ca_core::principal::Principal;
use ca_core::revocation::{Revocation, RevocationReason, Standing};
use ca_core::time::Validity;

use super::recover;
use super::token::TOKEN_PREFIX;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::port::store::{Holder, ShownCertificate};

/// The holder of a client certificate that the TLS handshake verified against an authority of ours. It must be on record,
/// octet for octet, in force, neither revoked nor held: asked of the record at each request, not of a CRL. Nobody is admitted by a
/// record that may be old: it does not know who was revoked since.
pub async fn certificate_holder(engine: &Engine, shown: &ShownCertificate, der: &[u8]) -> Result<Principal, FlowError> {
    engine.check_anchor()?;
    let unaccepted = |message: &str| FlowError::new(FlowErrorKind::InvalidCredential, message);
    let known = match engine.store().holder(shown).await? {
        // Issued after the backup that the record comes from, perhaps: then it is taken back now.
        None if recover::presented(engine, der).await?.is_some() => engine.store().holder(shown).await?,
        known => known,
    };
    let holder = known
        .filter(|holder| digests_equal(&sha256(der), &holder.fingerprint_sha256))
        .ok_or_else(|| unaccepted("the client certificate is not on record; show one that this service issued"))?;
    match holder.standing {
        Standing::Active => {}
        Standing::Revoked(Revocation { reason: RevocationReason::CertificateHold, .. }) => {
            return Err(unaccepted("the client certificate is on hold; show another one, or have the hold ended"));
        }
        Standing::Revoked(Revocation { reason, .. }) => {
            let message = format!("the client certificate is revoked ({reason}); show another one, or get a new one");
            return Err(unaccepted(&message));
        }
    }
    let Validity { not_before, not_after } = holder.validity;
    if !holder.validity.contains(engine.now()) {
        let message = format!(
            "the client certificate is valid from {not_before} to {not_after}, and it is {} now; show another one",
            engine.now()
        );
        return Err(unaccepted(&message));
    }
    let Holder { id, roles, .. } = holder;
    let ShownCertificate { authority, serial, .. } = shown.clone();
    Ok(Principal::Certificate { id, authority, serial, roles })
}

/// The bearer of an enrolment token. Unknown, wrong and withdrawn tokens are told apart by nobody. Whether a use is left is
/// decided with the reservation: a repeated request must find its answer though the use is spent.
pub async fn token_bearer(engine: &Engine, text: &str) -> Result<Principal, FlowError> {
    let unknown = || FlowError::new(FlowErrorKind::InvalidCredential, "the token is not known; ask for a new one");
    let (id, secret) = parse(text).ok_or_else(unknown)?;
    let record = engine.store().token(id).await?.filter(|record| !record.withdrawn).ok_or_else(unknown)?;
    if !digests_equal(&sha256(&secret), &record.secret_sha256) {
        return Err(unknown());
    }
    if record.expires_at <= engine.now() {
        let message = format!("the token expired at {}; ask for a new one", record.expires_at);
        return Err(FlowError::new(FlowErrorKind::TokenExpired, message));
    }
    Ok(Principal::EnrolmentToken { id, binding: record.binding })
}

fn parse(text: &str) -> Option<(TokenId, [u8; 32])> {
    let (id, secret) = text.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
    let mut octets = [0; 32];
    hex::decode_to_slice(secret, &mut octets).ok()?;
    Some((id.parse().ok()?, octets))
}
