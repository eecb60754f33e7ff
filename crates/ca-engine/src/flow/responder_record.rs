//! Takes a responder on record whose certificate is: for whoever made it, and for whoever settled what was ordered of it.

use ca_core::id::AuthorityId;

use crate::engine::Engine;
use crate::error::FlowError;
use crate::port::store::{Lease, ResponderRecord, StoredCertificate};

/// Takes a certificate whose key is on record for the responder's that it is; harmless when it was taken.
pub(super) async fn take_up(
    engine: &Engine,
    lease: Option<&Lease>,
    authority: &AuthorityId,
    certificate: &StoredCertificate,
) -> Result<(), FlowError> {
    if engine.store().responders().await?.iter().any(|responder| responder.certificate == certificate.id) {
        return Ok(());
    }
    let record = ResponderRecord {
        authority: authority.clone(),
        certificate: certificate.id,
        certificate_der: certificate.der.clone(),
        // What sealed keys are named by.
        key_id: hex::encode(certificate.spki_sha256),
        validity: certificate.validity,
    };
    Ok(engine.store().add_responder(lease, record).await?)
}
