//! Revocation: reasons, what a certificate says of its own, and what came of asking for one.

use ca_api::certificate::Certificate;
use ca_api::revocation::{Revocation, RevocationReason as WireReason};
use ca_api::revoke::RevokedCertificate;
use ca_core::id::CertificateId;
use ca_core::revocation::{RevocationReason, Standing};
use ca_core::time::Timestamp;
use ca_engine::flow::revoke::Reach;

/// Since when and why a certificate is revoked or held, if it is.
pub fn revocation(standing: Standing) -> Option<Revocation> {
    let Standing::Revoked(revocation) = standing else { return None };
    Some(Revocation {
        revoked_at: revocation.revoked_at.to_rfc3339(),
        reason: wire_reason(revocation.reason),
        invalidity_date: revocation.invalidity_date.map(Timestamp::to_rfc3339),
    })
}

/// What came of a revocation: the certificate as it stands, and what a compromise reaches besides.
pub fn revoked(certificate: Certificate, reach: &Reach) -> RevokedCertificate {
    let texts = |ids: &[CertificateId]| ids.iter().map(ToString::to_string).collect();
    RevokedCertificate { certificate, same_key: texts(&reach.same_key), successors: texts(&reach.successors) }
}

/// A reason, as asked for.
pub fn reason(reason: WireReason) -> RevocationReason {
    match reason {
        WireReason::Unspecified => RevocationReason::Unspecified,
        WireReason::KeyCompromise => RevocationReason::KeyCompromise,
        WireReason::CaCompromise => RevocationReason::CaCompromise,
        WireReason::AffiliationChanged => RevocationReason::AffiliationChanged,
        WireReason::Superseded => RevocationReason::Superseded,
        WireReason::CessationOfOperation => RevocationReason::CessationOfOperation,
        WireReason::CertificateHold => RevocationReason::CertificateHold,
        WireReason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
        WireReason::AaCompromise => RevocationReason::AaCompromise,
    }
}

/// A reason, to be shown or asked for.
pub fn wire_reason(reason: RevocationReason) -> WireReason {
    match reason {
        RevocationReason::Unspecified => WireReason::Unspecified,
        RevocationReason::KeyCompromise => WireReason::KeyCompromise,
        RevocationReason::CaCompromise => WireReason::CaCompromise,
        RevocationReason::AffiliationChanged => WireReason::AffiliationChanged,
        RevocationReason::Superseded => WireReason::Superseded,
        RevocationReason::CessationOfOperation => WireReason::CessationOfOperation,
        RevocationReason::CertificateHold => WireReason::CertificateHold,
        RevocationReason::PrivilegeWithdrawn => WireReason::PrivilegeWithdrawn,
        RevocationReason::AaCompromise => WireReason::AaCompromise,
    }
}
