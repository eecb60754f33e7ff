//! Moving the renewal windows of many certificates: before they are revoked, or before an authority goes.
//!
//! A move is one row, whatever it reaches: where a certificate's window is, is computed when somebody asks. What is renewed leaves the
//! scope, since that ends before the move was made.

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::{AuthorityId, CertificateId, ProfileName, WindowMoveId};
use ca_core::principal::Principal;
use ca_core::renewal::{RenewalScope, RenewalWindow, Waves};
use ca_core::time::Timestamp;

use super::query::permit;
use crate::engine::Engine;
use crate::error::{Fault, FlowError, FlowErrorKind};
use crate::port::authorizer::{Action, Resource};
use crate::port::store::{Journal, WindowMove};

/// The most moves on record: each is looked at whenever somebody asks when to renew.
pub const MOST_MOVES: usize = 100;

/// The most waves of a move.
pub const MOST_WAVES: u32 = 10_000;

/// The longest explanation URL, in octets.
const LONGEST_URL: usize = 2_048;

/// A request to move windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveRequest {
    /// Of this issuer's certificates.
    pub authority: Option<AuthorityId>,
    /// Of certificates of this profile.
    pub profile: Option<ProfileName>,
    /// Of this certificate.
    pub certificate: Option<CertificateId>,
    /// Of certificates issued at or after this instant.
    pub issued_after: Option<Timestamp>,
    /// Of certificates issued before this instant; now when absent.
    pub issued_before: Option<Timestamp>,
    /// Where the windows begin; now when absent.
    pub start: Option<Timestamp>,
    /// Where the last of them ends.
    pub end: Timestamp,
    /// Into how many parts the time between is cut.
    pub waves: u32,
    /// A page that says why.
    pub explanation_url: Option<String>,
    /// The request it came with.
    pub request_id: Option<String>,
}

/// Moves windows. Holders may renew from the beginning of theirs on.
pub async fn move_windows(
    engine: &Engine,
    principal: &Principal,
    request: MoveRequest,
) -> Result<WindowMove, FlowError> {
    permit(engine, principal, Action::MoveRenewalWindows, Resource::Service)?;
    engine.check_anchor()?;
    let now = engine.now();
    let window = RenewalWindow { start: request.start.unwrap_or(now).floor_to_second(), end: request.end };
    let mut faults = faults(engine, &request, window, now);
    if let Some(id) = request.certificate
        && engine.store().certificate(id).await?.is_none()
    {
        faults.push(fault("certificate-unknown", "/certificate", "no certificate of that id is on record".to_owned()));
    }
    if !faults.is_empty() {
        let summary = "the windows cannot be moved as asked";
        return Err(FlowError::of_faults(FlowErrorKind::InvalidRequest, summary, faults));
    }
    if engine.store().window_moves().await?.len() >= MOST_MOVES {
        let message = format!("{MOST_MOVES} moves are on record, and no more can be; withdraw those that are over");
        return Err(FlowError::invalid("moves-too-many", "", message));
    }
    let id = WindowMoveId::new(now, engine.random()?);
    let scope = RenewalScope {
        authority: request.authority,
        profile: request.profile,
        certificate: request.certificate,
        issued_after: request.issued_after,
        issued_before: request.issued_before.unwrap_or(now),
    };
    let event = told(AuditAction::RenewalWindowsMoved, id, now, principal, request.request_id.as_deref())
        .with("scope", text_of(&scope))
        .with("start", window.start)
        .with("end", window.end)
        .with("waves", request.waves);
    let window_move = WindowMove {
        id,
        scope,
        waves: Waves { window, count: request.waves },
        explanation_url: request.explanation_url,
        moved_by: principal.reference(),
        moved_at: now,
    };
    engine.store().add_window_move(window_move.clone(), Journal::of(event)).await?;
    Ok(window_move)
}

/// The moves on record, newest first.
pub async fn list_window_moves(engine: &Engine, principal: &Principal) -> Result<Vec<WindowMove>, FlowError> {
    permit(engine, principal, Action::ListRenewalWindows, Resource::Service)?;
    Ok(engine.store().window_moves().await?)
}

/// Withdraws a move: the windows are where they were before it.
pub async fn restore_windows(
    engine: &Engine,
    principal: &Principal,
    id: WindowMoveId,
    request_id: Option<&str>,
) -> Result<(), FlowError> {
    permit(engine, principal, Action::MoveRenewalWindows, Resource::Service)?;
    let event = told(AuditAction::RenewalWindowsRestored, id, engine.now(), principal, request_id);
    match engine.store().remove_window_move(id, Journal::of(event)).await? {
        true => Ok(()),
        false => Err(FlowError::new(FlowErrorKind::NotFound, "no move of that id is on record")),
    }
}

fn told(
    action: AuditAction,
    id: WindowMoveId,
    now: Timestamp,
    principal: &Principal,
    request_id: Option<&str>,
) -> AuditEvent {
    AuditEvent::new(now, action, principal.reference(), format!("renewal-window:{id}")).in_request(request_id)
}

/// A scope in words, for the event: it stays when the move is gone.
fn text_of(scope: &RenewalScope) -> String {
    let member = |name: &str, value: Option<String>| value.map(|value| format!("{name} {value}"));
    let members = [
        member("authority", scope.authority.as_ref().map(ToString::to_string)),
        member("profile", scope.profile.as_ref().map(ToString::to_string)),
        member("certificate", scope.certificate.map(|id| id.to_string())),
        member("issued-after", scope.issued_after.map(|instant| instant.to_string())),
        member("issued-before", Some(scope.issued_before.to_string())),
    ];
    members.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn fault(code: &str, pointer: &str, message: String) -> Fault {
    Fault { code: code.to_owned(), pointer: pointer.to_owned(), message }
}

fn faults(engine: &Engine, request: &MoveRequest, window: RenewalWindow, now: Timestamp) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut wrong = |code: &str, pointer: &str, message: String| faults.push(fault(code, pointer, message));
    if request.authority.is_none() && request.profile.is_none() && request.certificate.is_none() {
        let message = "name an authority, a profile or a certificate: without one the move would fit everything";
        wrong("scope-missing", "", message.to_owned());
    }
    if let Some(authority) = &request.authority
        && engine.hierarchy().authorities().iter().all(|known| known.id() != authority)
    {
        wrong("authority-unknown", "/authority", format!("there is no authority `{authority}`"));
    }
    if let Some(profile) = &request.profile
        && engine.profiles().get(profile).is_none()
    {
        let message = format!("there is no profile `{profile}`; profiles are {}", engine.profile_names());
        wrong("unknown-profile", "/profile", message);
    }
    if request.issued_before.is_some_and(|before| before > now) {
        let message = "an instant of the past: else what is renewed would be asked to renew again";
        wrong("time-in-the-future", "/issued_before", message.to_owned());
    }
    let before = request.issued_before.unwrap_or(now);
    if request.issued_after.is_some_and(|after| after >= before) {
        wrong("time-out-of-order", "/issued_after", "an instant before `issued_before`".to_owned());
    }
    if window.end <= now || window.end <= window.start {
        wrong("window-over", "/window/end", "an instant after now, and after the window's start".to_owned());
    }
    let length = window.end.since(window.start).seconds();
    if request.waves == 0 || request.waves > MOST_WAVES || u64::from(request.waves) > length.max(1) {
        let message = format!("1 to {MOST_WAVES} waves, of a second at least");
        wrong("waves-out-of-range", "/waves", message);
    }
    if let Some(url) = &request.explanation_url {
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        if !is_web || url.len() > LONGEST_URL || !url.bytes().all(|octet| octet.is_ascii_graphic()) {
            let message = format!("a URL that begins with https:// or http://, of at most {LONGEST_URL} characters");
            wrong("url-invalid", "/explanation_url", message);
        }
    }
    faults
}
