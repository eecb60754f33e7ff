//! `GET /health`, `GET /ready` on every listener, `GET /metrics` on the admin one

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ca_api::health::{Health, Liveness, Readiness, ReadinessCheck, ReadinessStatus, RecordAccess};
use ca_engine::clock_verdict::ClockVerdict;
use ca_engine::hierarchy::Authority;
use ca_engine::port::store::AuthorityState;

use crate::http::refusal;
use crate::state::AppState;

/// Whether the process lives.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    responses((status = 200, description = "It lives", body = Health), refusal::Anything)
)]
pub(crate) async fn health() -> Json<Health> {
    Json(Health { status: Liveness::Ok })
}

/// Whether the service can do its work: store, keys, clock, fresh CRLs.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "health",
    responses(
        (status = 200, description = "It can", body = Readiness),
        refusal::Anything,
        (status = 503, description = "It cannot; the admin listener says why", body = Readiness),
    )
)]
pub(crate) async fn ready(State(state): State<AppState>) -> Response {
    respond(checks(&state).iter().all(|check| check.ready), None, None)
}

/// The same, with every check; on the admin listener.
pub(crate) async fn ready_in_detail(State(state): State<AppState>) -> Response {
    let checks = checks(&state);
    let access = if state.is_read_only() { RecordAccess::ReadOnly } else { RecordAccess::ReadWrite };
    respond(checks.iter().all(|check| check.ready), Some(access), Some(checks))
}

fn respond(ready: bool, access: Option<RecordAccess>, checks: Option<Vec<ReadinessCheck>>) -> Response {
    let (code, status) = if ready {
        (StatusCode::OK, ReadinessStatus::Ready)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, ReadinessStatus::NotReady)
    };
    (code, Json(Readiness { status, access, checks })).into_response()
}

fn checks(state: &AppState) -> Vec<ReadinessCheck> {
    let engine = state.engine();
    let now = engine.now();
    let mut checks = vec![check("store", state.store_answers().then_some(()).ok_or("the database does not answer"))];
    checks.push(match &*engine.clock_verdict() {
        ClockVerdict::Right => check("clock", Ok::<(), &str>(())),
        ClockVerdict::Unknown => check("clock", Err("the clock was not compared yet")),
        ClockVerdict::Wrong(why) => check("clock", Err(why.as_str())),
    });
    checks.push(check("anchor", engine.anchor_verdict().obstacle().map_or(Ok(()), Err)));
    let hierarchy = engine.hierarchy();
    let crl_files = state.crl_files();
    if hierarchy.authorities().is_empty() {
        checks.push(check("hierarchy", Err("there is no authority; run `ca-server init`")));
    }
    let expected = |authority: &&Arc<Authority>| {
        // After a rollover the generation before it ends some day: nothing is expected of it any more.
        let record = authority.record();
        // Nor of the next one before it issues: nobody has met it.
        !authority.has_ended(now) && record.state != AuthorityState::Retired && now >= record.issues_from
    };
    for authority in hierarchy.authorities().iter().filter(expected) {
        let id = authority.id();
        let responder = hierarchy.responder(id, now);
        // What others have to give is missed once they have given it. An issuer elsewhere gives the list alone, if it is set up to.
        let is_given = |there: bool| there || !authority.is_external();
        let is_list_given = |there: bool| is_given(there) && (there || !authority.issues_elsewhere());
        let fresh = match crl_files.get(id) {
            None => Err("it has not published a CRL"),
            Some(file) if file.intent.next_update <= now => Err("its CRL is past its nextUpdate"),
            Some(_) if crl_files.partial().any(|(of, _, file)| of == id && file.intent.next_update <= now) => {
                Err("a shard of its CRL, or the delta, is past its nextUpdate")
            }
            Some(_) => Ok(()),
        };
        if is_list_given(crl_files.get(id).is_some()) {
            checks.push(check(&format!("crl:{id}"), fresh));
        }
        if is_given(responder.is_some()) {
            let in_force = responder.map(|_| ()).ok_or("it has no OCSP responder in force");
            checks.push(check(&format!("responder:{id}"), in_force));
        }
        // The keys of some authorities are offline by design, of others with others, and the status role holds none.
        let is_elsewhere = authority.record().key_home.is_offline() || authority.is_external();
        if !is_elsewhere && !state.answers_only() {
            let key = match (authority.hand(), state.unusable_key(id)) {
                (Err(error), _) => Err(error.to_string()),
                (Ok(_), Some(why)) => Err(why),
                (Ok(_), None) => Ok(()),
            };
            checks.push(check(&format!("key:{id}"), key));
        }
    }
    checks
}

fn check<E: std::fmt::Display>(name: &str, result: Result<(), E>) -> ReadinessCheck {
    ReadinessCheck { name: name.to_owned(), ready: result.is_ok(), detail: result.err().map(|why| why.to_string()) }
}
