//! The end of a generation: it issues no more once the next one does, and signs lists and answers until the last of its certificates
//! has ended. Then its last list is made, which lasts as long as its own certificate, and its key is of no use any more; an operator
//! has it destroyed.

use std::collections::BTreeMap;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::{AuthorityId, ProfileName};
use ca_core::principal::Principal;
use ca_core::profile::Retention;
use ca_core::time::{Lifetime, Timestamp};

use super::on_host::permit_on_host;
use super::publish_crl::{self, publish_last_crl};
use super::respond::PROFILE as RESPONDER;
use super::watch_clock::{TOLERANCE, assure_clock};
use crate::engine::{Engine, HIERARCHY_AGE};
use crate::error::{FlowError, FlowErrorKind};
use crate::generation::{generation_in, line_of};
use crate::hierarchy::Authority;
use crate::port::store::{AuthorityState, Duty, Journal, KeyHome, OutboxMessage};

/// How long after a generation began to issue the one before it retires: by then no replica issues from that, wherever its clock
/// stands and however late it heard.
pub const SETTLING: Lifetime = Lifetime::from_seconds(2 * TOLERANCE.seconds() + HIERARCHY_AGE.seconds());

/// The name of the lease of the job that retires. Not that of a rollover, which runs beside it.
pub const LEASE_NAME: &str = "retire";

/// How long the last list of an authority may take.
const LEASE: Lifetime = Lifetime::from_seconds(60);

/// When a process looks again whether the certificates of a retiring generation have ended: looking reads much.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    ends: BTreeMap<AuthorityId, Timestamp>,
}

/// An authority whose state was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub authority: AuthorityId,
    /// What it is now.
    pub state: AuthorityState,
}

/// Takes every generation as far as it has come; cheap when there is nothing to do. Run by one leased job.
pub async fn retire(engine: &Engine, principal: &Principal, watch: &mut Watch) -> Result<Vec<Step>, FlowError> {
    engine.check_anchor()?;
    assure_clock(engine).await?;
    let mut steps = Vec::new();
    for authority in engine.hierarchy().authorities() {
        let step = match authority.record().state {
            AuthorityState::Active if is_succeeded(engine, authority) => {
                change(engine, principal, authority, AuthorityState::Retiring).await?
            }
            AuthorityState::Retiring => finish(engine, principal, authority, watch).await?,
            AuthorityState::Active | AuthorityState::Retired => None,
        };
        steps.extend(step);
    }
    Ok(steps)
}

/// Whether a later generation of the line has issued for long enough.
fn is_succeeded(engine: &Engine, authority: &Authority) -> bool {
    // A root that another stands beside goes on: whoever trusts it needs its lists as long as it has certificates.
    if authority.record().parent.is_none() || authority.is_external() {
        return false;
    }
    let hierarchy = engine.hierarchy();
    let Some(own) = generation_in(&line_of(authority.id()), authority.id()) else { return false };
    let since = engine.now().minus(SETTLING);
    hierarchy.generations(authority.id()).iter().any(|(number, later)| *number > own && later.issues_at(since))
}

/// Retires a generation whose certificates have all ended: the last list first, so that whoever was revoked before its end is on a
/// list after it (RFC 5280 §3.3).
async fn finish(
    engine: &Engine,
    principal: &Principal,
    authority: &Authority,
    watch: &mut Watch,
) -> Result<Option<Step>, FlowError> {
    let (id, now) = (authority.id(), engine.now());
    if !authority.has_ended(now) {
        if end_of_duty(engine, authority, watch).await?.is_some() {
            return Ok(None);
        }
        // Its issuer alone makes lists of it, and goes on to.
        if authority.issues_elsewhere() {
            return change(engine, principal, authority, AuthorityState::Retired).await;
        }
        let name = publish_crl::lease_name(id);
        // Whoever holds it makes a list of this authority; another run comes.
        let Some(lease) = engine.store().acquire_lease(&name, "retire", LEASE).await? else { return Ok(None) };
        let published = publish_last_crl(engine, principal, id, &lease).await;
        let changed = match published {
            Ok(_) => change(engine, principal, authority, AuthorityState::Retired).await,
            Err(error) => Err(error),
        };
        engine.store().release_lease(&lease).await?;
        return changed;
    }
    change(engine, principal, authority, AuthorityState::Retired).await
}

/// The end of the last certificate that an authority answers for, if it has not come. Where one of its profiles is evidence for ever, it answers as long
/// as its own certificate lets it.
async fn end_of_duty(
    engine: &Engine,
    authority: &Authority,
    watch: &mut Watch,
) -> Result<Option<Timestamp>, FlowError> {
    let line = line_of(authority.id());
    let own_end = authority.facts().validity.not_after;
    let mut profiles = engine.profiles().values().filter(|profile| profile.authority() == Some(&line));
    if profiles.any(|profile| profile.retention() == Retention::Forever) {
        return Ok(Some(own_end));
    }
    if let Some(known) = watch.ends.get(authority.id()).filter(|end| engine.now() <= **end) {
        return Ok(Some(*known));
    }
    let responders: [ProfileName; 1] = [RESPONDER.parse().map_err(FlowError::internal)?];
    let end = engine.store().last_end(authority.id(), &responders, engine.now()).await?;
    if let Some(end) = end {
        watch.ends.insert(authority.id().clone(), end);
    }
    Ok(end)
}

async fn change(
    engine: &Engine,
    principal: &Principal,
    authority: &Authority,
    state: AuthorityState,
) -> Result<Option<Step>, FlowError> {
    let id = authority.id();
    let from = authority.record().duty();
    let (action, topic) = match state {
        AuthorityState::Retired => (AuditAction::AuthorityRetired, "authority.retired"),
        _ => (AuditAction::AuthorityRetiring, "authority.retiring"),
    };
    let event = AuditEvent::new(engine.now(), action, principal.reference(), format!("authority:{id}"));
    let payload = serde_json::json!({ "authority": id.as_str() }).to_string();
    let journal = Journal::of(event).telling(OutboxMessage { topic, certificate: None, payload });
    let changed = engine.store().change_authority(id, from, Duty { state, ..from }, journal).await?;
    engine.reload_hierarchy().await?;
    Ok(changed.then(|| Step { authority: id.clone(), state }))
}

/// Destroys the key of a retired authority, for ever. `fingerprint` is that of its certificate (SHA-256, hexadecimal, colons allowed):
/// whoever gives it has looked at what goes. Returns whether there was a key.
pub async fn destroy_key(
    engine: &Engine,
    principal: &Principal,
    id: &AuthorityId,
    fingerprint: &str,
) -> Result<bool, FlowError> {
    permit_on_host(principal, "keys are destroyed")?;
    engine.check_anchor()?;
    engine.reload_hierarchy().await?;
    let authority = engine.authority(id)?;
    let (record, certificate) = (authority.record(), authority.certificate());
    let refused = |message: String| FlowError::new(FlowErrorKind::AuthorityCannotSign, message);
    match record.state {
        AuthorityState::Retired => {}
        AuthorityState::Active => {
            return Err(refused(format!(
                "{id} issues certificates; its key is destroyed after a rollover, when all of them have ended"
            )));
        }
        AuthorityState::Retiring => {
            return Err(refused(format!(
                "{id} still signs lists and answers for certificates that have not ended; the job `rollover` retires it when they \
                 have"
            )));
        }
    }
    let given: String = fingerprint.chars().filter(|character| *character != ':').collect();
    let own = hex::encode(certificate.fingerprint_sha256());
    if !given.eq_ignore_ascii_case(&own) {
        let message =
            format!("the certificate of {id} (`{}`) has the SHA-256 fingerprint {own}", certificate.subject());
        return Err(FlowError::invalid("fingerprint", "/confirm", message));
    }
    let KeyHome::Sealed(key) = &record.key_home else {
        return Err(refused(format!("the key of {id} is not in the record; destroy it where it lies")));
    };
    let event = AuditEvent::new(
        engine.now(),
        AuditAction::AuthorityKeyDestroyed,
        principal.reference(),
        format!("authority:{id}"),
    )
    .with("fingerprint_sha256", own)
    .with("key", key);
    Ok(engine.store().destroy_key(key, Journal::of(event)).await?)
}
