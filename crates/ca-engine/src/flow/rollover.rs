//! Rollover: the next generation of a line of authorities, `tls-2` after `tls`, with a key, a certificate, lists and responders of
//! its own. It is made whole before anybody hears of it, and announced for a later instant, so that every replica and gateway knows
//! it before it issues; from that instant on new certificates come from it. What becomes of the one before is told in
//! [`super::retire`].
//!
//! It may be cut off anywhere and begun again: the key that was made is on record with a note whose it is, what has been established
//! is equipped and announced, and a generation that was not announced issues nothing.

use std::sync::Arc;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::id::AuthorityId;
use ca_core::key::KeyType;
use ca_core::name::DistinguishedName;
use ca_core::policy::AuthorityConstraints;
use ca_core::principal::Principal;
use ca_core::time::{Lifetime, Timestamp};

use super::establish::{AuthorityPlan, equip_authority, establish_generation};
use super::on_host::permit_rollover;
use super::publish_crl::has_published_list;
use super::watch_clock::assure_clock;
use crate::engine::Engine;
use crate::error::{FlowError, FlowErrorKind};
use crate::generation::{generation_id, generation_in, line_of};
use crate::hierarchy::Authority;
use crate::port::keyring::KeyRoom;
use crate::port::signer::Signer;
use crate::port::store::{AuthorityState, Duty, Journal, KeyHome, Lease, NOT_ANNOUNCED, OutboxMessage};

/// The least time between the announcement of a generation and its first certificate: every replica hears of it within a second or
/// two.
pub const LEAST_NOTICE: Lifetime = Lifetime::from_seconds(15);

/// How long a rollover may take before another may take it over.
pub const LEASE: Lifetime = Lifetime::from_seconds(300);

/// The name of the lease under which generations are made.
pub const LEASE_NAME: &str = "rollover";

/// A generation to come.
pub struct RolloverPlan {
    /// The line: the id of its first generation, or of any.
    pub line: AuthorityId,
    /// The authority above it; that of the generation before when absent. Another one is another anchor of trust.
    pub below: Option<AuthorityId>,
    /// The subject of the first generation; the number of a later one is added to it.
    pub subject: DistinguishedName,
    /// How long it lives; the profile's default when absent.
    pub validity: Option<Lifetime>,
    /// What it is confined to.
    pub constraints: AuthorityConstraints,
    /// Its key.
    pub key: GenerationKey,
    /// Ids that are not to be given out, though no authority on record has them: of generations that the record has lost.
    pub taken: Vec<AuthorityId>,
    /// How long after its announcement it begins to issue; at least [`LEAST_NOTICE`].
    pub notice: Lifetime,
}

/// Where the key of a generation comes from.
pub enum GenerationKey {
    /// It is made here, and sealed in the store.
    Make(KeyType),
    /// It is somewhere else already.
    Given {
        /// Where.
        home: KeyHome,
        /// The key.
        signer: Arc<dyn Signer>,
    },
}

impl GenerationKey {
    /// One that is somewhere else.
    pub fn given((home, signer): (KeyHome, Arc<dyn Signer>)) -> Self {
        Self::Given { home, signer }
    }
}

/// A generation that is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its id.
    pub id: AuthorityId,
    /// The generation that issues until then.
    pub before: AuthorityId,
    /// From when on it issues.
    pub issues_from: Timestamp,
}

/// How far a rollover has come.
pub(super) enum Next {
    /// The next generation is made and not announced.
    Made(Arc<Authority>),
    /// It is to be made.
    ToCome(ToCome),
}

/// A generation that has a key and no certificate.
pub(super) struct ToCome {
    pub(super) id: AuthorityId,
    pub(super) parent: AuthorityId,
    pub(super) subject: DistinguishedName,
    pub(super) key_home: KeyHome,
    pub(super) signer: Arc<dyn Signer>,
}

/// Makes the next generation of a line and announces it. The key of the authority above must be at hand. `lease` is the one of
/// [`LEASE_NAME`].
pub async fn roll_over(
    engine: &Engine,
    principal: &Principal,
    plan: RolloverPlan,
    lease: &Lease,
) -> Result<Announced, FlowError> {
    // 1. Who asks, and can it be done at all? Before a key is made.
    permit_rollover(principal)?;
    refuse_short(plan.notice)?;
    engine.reload_hierarchy().await?;
    let newest = newest(engine, &line_of(&plan.line))?;
    if newest.record().issues_from != NOT_ANNOUNCED {
        engine.authority(&above(engine, &newest, plan.below.as_ref())?)?.signer()?;
    }
    // 2. Its name and its key; or one that was made and not announced, which is gone on with.
    let notice = plan.notice;
    let next = match next(engine, principal, &plan, lease).await? {
        Next::Made(made) => return announce(engine, principal, &made, notice).await,
        Next::ToCome(next) => next,
    };
    // 3. Its certificate, its record, its first responder and list.
    establish_generation(engine, principal, &plan_of(&next, plan), Arc::clone(&next.signer)).await?;
    // 4. Out with it.
    let made = engine.authority(&next.id)?;
    announce(engine, principal, &made, notice).await
}

/// Which generation comes next, and its key, which is made when there is none yet.
pub(super) async fn next(
    engine: &Engine,
    principal: &Principal,
    plan: &RolloverPlan,
    lease: &Lease,
) -> Result<Next, FlowError> {
    permit_rollover(principal)?;
    refuse_short(plan.notice)?;
    engine.check_anchor()?;
    assure_clock(engine).await?;
    engine.reload_hierarchy().await?;
    let line = line_of(&plan.line);
    let before = newest(engine, &line)?;
    if before.record().issues_from == NOT_ANNOUNCED {
        return Ok(Next::Made(before));
    }
    refuse_unfinished(engine, &before)?;
    let parent = above(engine, &before, plan.below.as_ref())?;
    let number = next_number(engine, &line, &plan.taken);
    let id = generation_id(&line, number).map_err(FlowError::internal)?;
    let subject = plan.subject.of_generation(number).map_err(|error| {
        FlowError::invalid("subject", "/subject", format!("the subject of {id} cannot be made: {error}"))
    })?;
    if engine.hierarchy().authorities().iter().any(|other| *other.certificate().subject() == subject) {
        let message =
            format!("an authority has the subject `{subject}` already; relying parties would take one for the other");
        return Err(FlowError::invalid("subject", "/subject", message));
    }
    // On record before it is used.
    let (key_home, signer) = match &plan.key {
        GenerationKey::Given { home, signer } => (home.clone(), Arc::clone(signer)),
        GenerationKey::Make(key_type) => key(engine, &line, &id, *key_type, lease).await?,
    };
    let signer = engine.as_chosen(&id, signer)?;
    let is_known = |other: &Arc<Authority>| other.certificate().public_key() == signer.public_key();
    if let Some(other) = engine.hierarchy().authorities().iter().find(|other| is_known(other)) {
        let message =
            format!("that key is the key of {}: a generation has one of its own, so name another", other.id());
        return Err(FlowError::invalid("key", "/key", message));
    }
    Ok(Next::ToCome(ToCome { id, parent, subject, key_home, signer }))
}

/// The id of the generation that a rollover would make now, for whoever makes its key beforehand; `None` when one is made and not
/// announced, so that no key is needed. Refused while one is announced that does not issue yet. `taken` as in [`RolloverPlan`].
pub async fn generation_to_come(
    engine: &Engine,
    line: &AuthorityId,
    taken: &[AuthorityId],
) -> Result<Option<AuthorityId>, FlowError> {
    engine.check_anchor()?;
    engine.reload_hierarchy().await?;
    let line = line_of(line);
    let newest = newest(engine, &line)?;
    if newest.record().issues_from == NOT_ANNOUNCED {
        return Ok(None);
    }
    refuse_unfinished(engine, &newest)?;
    generation_id(&line, next_number(engine, &line, taken)).map(Some).map_err(FlowError::internal)
}

/// The authority that a generation is to be.
pub(super) fn plan_of(next: &ToCome, plan: RolloverPlan) -> AuthorityPlan {
    AuthorityPlan {
        id: next.id.clone(),
        subject: next.subject.clone(),
        parent: Some(next.parent.clone()),
        validity: plan.validity,
        constraints: plan.constraints,
        key_home: next.key_home.clone(),
    }
}

/// Settles from when on a generation issues, once it has everything that relying parties look up.
pub(super) async fn announce(
    engine: &Engine,
    principal: &Principal,
    authority: &Authority,
    notice: Lifetime,
) -> Result<Announced, FlowError> {
    let id = authority.id();
    equip_authority(engine, principal, id).await?;
    if !has_published_list(engine, id).await? || engine.hierarchy().responder(id, engine.now()).is_none() {
        return Err(FlowError::internal(format!("generation {id} has no list or no responder after it was equipped")));
    }
    let line = line_of(id);
    let hierarchy = engine.hierarchy();
    let generations = hierarchy.generations(&line);
    let before = generations.iter().rev().map(|(_, before)| before.id()).find(|before| *before != id);
    let before = before.cloned().ok_or_else(|| FlowError::internal(format!("{id} has no generation before it")))?;
    let now = engine.now().floor_to_second();
    let announced = Announced { id: id.clone(), before, issues_from: now.plus(notice) };
    let from = Duty { state: AuthorityState::Active, issues_from: NOT_ANNOUNCED };
    let to = Duty { issues_from: announced.issues_from, ..from };
    let event = AuditEvent::new(now, AuditAction::AuthorityAnnounced, principal.reference(), format!("authority:{id}"))
        .with("after", &announced.before)
        .with("fingerprint_sha256", hex::encode(authority.certificate().fingerprint_sha256()))
        .with("issues_from", announced.issues_from);
    let payload = serde_json::json!({
        "after": announced.before.as_str(),
        "authority": id.as_str(),
        "issues_from": announced.issues_from.to_rfc3339(),
    });
    let message = OutboxMessage { topic: "authority.announced", certificate: None, payload: payload.to_string() };
    let changed = engine.store().change_authority(id, from, to, Journal::of(event).telling(message)).await;
    engine.reload_hierarchy().await?;
    // Whether it is so although the acknowledgement was lost, the record tells.
    let recorded = engine.authority(id)?.record().duty();
    if recorded != to {
        return match changed {
            Err(error) => Err(error.into()),
            Ok(_) => Err(FlowError::new(
                FlowErrorKind::Overloaded,
                format!("another process announced {id} at the same time; look at it with `authority show {id}`"),
            )),
        };
    }
    forget_begun(engine, &line).await?;
    Ok(announced)
}

fn newest(engine: &Engine, line: &AuthorityId) -> Result<Arc<Authority>, FlowError> {
    let hierarchy = engine.hierarchy();
    let newest = hierarchy.generations(line).pop().map(|(_, authority)| Arc::clone(authority));
    newest.ok_or_else(|| FlowError::new(FlowErrorKind::NotFound, format!("there is no authority `{line}`")))
}

/// The authority that the generation after `authority` is signed by.
fn above(engine: &Engine, authority: &Authority, below: Option<&AuthorityId>) -> Result<AuthorityId, FlowError> {
    let before = authority.record().parent.clone().ok_or_else(|| {
        FlowError::new(
            FlowErrorKind::AuthorityCannotSign,
            format!(
                "{} is a root: another one is another anchor of trust, which every relying party must be given",
                authority.id()
            ),
        )
    })?;
    let Some(below) = below else { return Ok(before) };
    let chosen = engine.authority(below)?;
    match chosen.record().parent.is_none() || chosen.is_external() {
        true => Ok(below.clone()),
        false => Err(FlowError::invalid(
            "not-above",
            "/below",
            format!(
                "{below} issues to others; a generation is below a root, or below an authority whose key others hold"
            ),
        )),
    }
}

fn refuse_short(notice: Lifetime) -> Result<(), FlowError> {
    if notice < LEAST_NOTICE {
        let message = format!(
            "every replica must know the new generation before it issues: that takes {LEAST_NOTICE} at least, not {}",
            notice
        );
        return Err(FlowError::invalid("notice-too-short", "/notice", message));
    }
    Ok(())
}

/// One rollover after the other: nobody could say which generation a third one follows.
fn refuse_unfinished(engine: &Engine, newest: &Authority) -> Result<(), FlowError> {
    let issues_from = newest.record().issues_from;
    if issues_from <= engine.now() {
        return Ok(());
    }
    let message = format!("{} was made already and issues from {issues_from} on", newest.id());
    Err(FlowError::new(FlowErrorKind::AuthorityExists, message))
}

/// One more than the highest that anybody knows of.
fn next_number(engine: &Engine, line: &AuthorityId, taken: &[AuthorityId]) -> u32 {
    let hierarchy = engine.hierarchy();
    let on_record = hierarchy.generations(line).into_iter().map(|(number, _)| number);
    let lost = taken.iter().filter_map(|id| generation_in(line, id));
    on_record.chain(lost).max().unwrap_or(1).saturating_add(1)
}

/// The sealed key of the generation to come: the one that an interrupted rollover made, or a new one.
async fn key(
    engine: &Engine,
    line: &AuthorityId,
    id: &AuthorityId,
    key_type: KeyType,
    lease: &Lease,
) -> Result<(KeyHome, Arc<dyn Signer>), FlowError> {
    let name = setting_name(line);
    let note = engine.store().setting(&name).await?;
    if let Some(begun) = note.as_deref().and_then(|note| key_of(note, id))
        && let Some(sealed) = engine.store().key(begun).await?
        && sealed.key_type == key_type
    {
        let signer = engine.keyring().open(&sealed).await?;
        return Ok((KeyHome::Sealed(sealed.id), signer));
    }
    let (sealed, signer) = engine.keyring().generate(KeyRoom::Authorities, key_type).await?;
    let key = sealed.id.clone();
    engine.store().add_key(sealed).await?;
    let begun = format!("{id} {key}");
    if !engine.store().set_setting(&name, note.as_deref(), begun.as_bytes()).await? {
        let message = format!("another process rolls {line} over, although {} is held; try again", lease.name);
        return Err(FlowError::new(FlowErrorKind::Overloaded, message));
    }
    Ok((KeyHome::Sealed(key), signer))
}

/// The id of the sealed key that a note gives to an authority.
fn key_of<'a>(note: &'a [u8], authority: &AuthorityId) -> Option<&'a str> {
    let (of, key) = std::str::from_utf8(note).ok()?.split_once(' ')?;
    (of == authority.as_str()).then_some(key)
}

async fn forget_begun(engine: &Engine, line: &AuthorityId) -> Result<(), FlowError> {
    let name = setting_name(line);
    if let Some(note) = engine.store().setting(&name).await?.filter(|note| !note.is_empty()) {
        engine.store().set_setting(&name, Some(&note), b"").await?;
    }
    Ok(())
}

/// The setting that says which rollover of a line was begun: the id of the generation to come and that of its sealed key; empty when
/// none is under way.
fn setting_name(line: &AuthorityId) -> String {
    format!("rollover.{line}")
}
