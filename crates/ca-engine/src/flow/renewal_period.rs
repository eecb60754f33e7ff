//! From when on a certificate may be renewed by its holder: what the profile says, else half of the lifetime; sooner where an operator
//! moved its window.
//!
//! A room of its own below `query` and `renew`, which both ask.

use ca_core::renewal::{RenewalSubject, RenewalWindow, moved_window, usual_window};
use ca_core::time::{Lifetime, Timestamp};

use crate::engine::Engine;
use crate::port::store::{StoreError, StoredCertificate};

/// When the holder of a certificate may renew it, if nobody moves its window.
pub fn opens_at(engine: &Engine, certificate: &StoredCertificate) -> Timestamp {
    let lifetime = certificate.validity.not_after.since(certificate.validity.not_before);
    let share =
        engine.profiles().get(&certificate.profile).map_or(DEFAULT_RENEWAL_SHARE, |profile| profile.renewal().from);
    certificate.validity.not_before.plus(Lifetime::from_seconds((lifetime.seconds() as f64 * share) as u64))
}

/// The window of a certificate, and where it was moved, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedWindow {
    /// Where it is.
    pub window: RenewalWindow,
    /// Whether somebody moved it there.
    pub moved: bool,
    /// A page that says why it was moved.
    pub explanation_url: Option<String>,
}

/// Where the window of a certificate is. Of several moves the newest that has it decides.
pub async fn window(engine: &Engine, certificate: &StoredCertificate) -> Result<PlacedWindow, StoreError> {
    let usual = usual_window(certificate.id, certificate.validity, opens_at(engine, certificate));
    let subject = RenewalSubject {
        id: certificate.id,
        authority: &certificate.authority,
        profile: &certificate.profile,
        issued_at: certificate.issued_at,
    };
    let moves = engine.store().window_moves().await?;
    let Some(newest) = moves.into_iter().find(|window_move| window_move.scope.has(&subject)) else {
        return Ok(PlacedWindow { window: usual, moved: false, explanation_url: None });
    };
    let window = moved_window(usual, certificate.id, &newest.waves);
    let moved = window != usual;
    Ok(PlacedWindow { window, moved, explanation_url: newest.explanation_url.filter(|_| moved) })
}

/// When the holder of a certificate may renew it, wherever its window is.
pub async fn opens_by_now_at(engine: &Engine, certificate: &StoredCertificate) -> Result<Timestamp, StoreError> {
    let usual = opens_at(engine, certificate);
    // Whoever may renew already needs no move: most renewals come in time, and ask the record nothing more.
    if usual <= engine.now() {
        return Ok(usual);
    }
    let placed = window(engine, certificate).await?;
    Ok(if placed.moved { usual.min(placed.window.start) } else { usual })
}

/// From half of the lifetime on, where the profile does not say otherwise.
const DEFAULT_RENEWAL_SHARE: f64 = 0.5;
