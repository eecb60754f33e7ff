//! Moves of renewal windows.

use ca_api::renewal_window::{MovedWindow, RenewalScope as WireScope, RenewalWindowMove};
use ca_core::id::{AuthorityId, CertificateId, ProfileName};
use ca_core::time::Timestamp;
use ca_engine::port::store::WindowMove;

/// A move on record.
pub fn window_move(window_move: &WindowMove) -> RenewalWindowMove {
    let WindowMove { id, scope, waves, explanation_url, moved_by, moved_at } = window_move;
    RenewalWindowMove {
        id: id.to_string(),
        scope: WireScope {
            authority: scope.authority.as_ref().map(AuthorityId::to_string),
            profile: scope.profile.as_ref().map(ProfileName::to_string),
            certificate: scope.certificate.as_ref().map(CertificateId::to_string),
            issued_after: scope.issued_after.map(Timestamp::to_rfc3339),
            issued_before: Some(scope.issued_before.to_rfc3339()),
        },
        window: MovedWindow { start: Some(waves.window.start.to_rfc3339()), end: waves.window.end.to_rfc3339() },
        waves: waves.count,
        explanation_url: explanation_url.clone(),
        moved_by: moved_by.clone(),
        moved_at: moved_at.to_rfc3339(),
    }
}
