//! Enrolment tokens: made for exactly one profile and set of names, used a fixed number of times, then worthless.

use std::fmt;

use ca_core::audit::{AuditAction, AuditEvent};
use ca_core::hash::sha256;
use ca_core::id::{ProfileName, TokenId};
use ca_core::name::{DistinguishedName, GeneralName};
use ca_core::principal::{Principal, TokenBinding};
use ca_core::time::Lifetime;

use super::query::permit;
use crate::engine::Engine;
use crate::error::{Fault, FlowError, FlowErrorKind};
use crate::port::authorizer::{Action, Resource};
use crate::port::store::{Journal, TokenRecord};

/// What every token's text begins with, so that leaks can be searched for.
pub const TOKEN_PREFIX: &str = "cet_";

/// The longest life of a token.
pub const MAXIMUM_LIFETIME: Lifetime = Lifetime::from_days(90);

/// The most uses of a token.
pub const MAXIMUM_USES: u32 = 10_000;

/// A request for a token.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The one profile it may ask for.
    pub profile: ProfileName,
    /// The names it may ask for; a request's names must be a subset.
    pub names: Vec<GeneralName>,
    /// The common name it may ask for beside them.
    pub common_name: Option<String>,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// How often it may be used.
    pub uses: u32,
    /// The request it came with.
    pub request_id: Option<String>,
}

/// Without names: they may be personal data, and this goes to logs.
impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("profile", &self.profile)
            .field("lifetime", &self.lifetime)
            .field("uses", &self.uses)
            .finish_non_exhaustive()
    }
}

/// A token's text. It is shown once and never stored; `Debug` hides it.
pub struct TokenSecret(String);

impl TokenSecret {
    /// The text to be given to who enrols.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}

impl Drop for TokenSecret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// Makes a token: its record, and its text `cet_ID_SECRET` (32 random octets) to be shown once.
pub async fn create_token(
    engine: &Engine,
    principal: &Principal,
    request: TokenRequest,
) -> Result<(TokenRecord, TokenSecret), FlowError> {
    permit(engine, principal, Action::CreateToken, Resource::Service)?;
    engine.check_anchor()?;
    let faults = token_faults(engine, &request);
    if !faults.is_empty() {
        let summary = "the token cannot be made as asked";
        return Err(FlowError::of_faults(FlowErrorKind::InvalidRequest, summary, faults));
    }
    let now = engine.now();
    let id = TokenId::new(now, engine.random()?);
    let secret = zeroize::Zeroizing::new(engine.random::<32>()?);
    let personal_data = engine.profiles().get(&request.profile).is_some_and(|profile| profile.has_personal_data());
    let record = TokenRecord {
        id,
        secret_sha256: sha256(&*secret),
        binding: TokenBinding { profile: request.profile, names: request.names, common_name: request.common_name },
        personal_data,
        uses: request.uses,
        used: 0,
        expires_at: now.plus(request.lifetime).floor_to_second(),
        created_at: now,
        created_by: principal.reference(),
        withdrawn: false,
    };
    let event = AuditEvent::new(now, AuditAction::TokenCreated, principal.reference(), format!("token:{id}"))
        .with("profile", &record.binding.profile)
        .with("uses", record.uses)
        .with("expires_at", record.expires_at)
        .in_request(request.request_id.as_deref());
    engine.store().add_token(record.clone(), Journal::of(event)).await?;
    let digits = zeroize::Zeroizing::new(hex::encode(*secret));
    Ok((record, TokenSecret(format!("{TOKEN_PREFIX}{id}_{}", *digits))))
}

/// Withdraws a token.
pub async fn delete_token(
    engine: &Engine,
    principal: &Principal,
    id: TokenId,
    request_id: Option<&str>,
) -> Result<(), FlowError> {
    permit(engine, principal, Action::DeleteToken, Resource::Token(id))?;
    let event = AuditEvent::new(engine.now(), AuditAction::TokenDeleted, principal.reference(), format!("token:{id}"))
        .in_request(request_id);
    if engine.store().withdraw_token(id, Journal::of(event)).await? {
        Ok(())
    } else {
        Err(FlowError::new(FlowErrorKind::NotFound, "no such token is in force"))
    }
}

/// Tokens, newest first.
pub async fn list_tokens(
    engine: &Engine,
    principal: &Principal,
    after: Option<TokenId>,
    limit: u32,
) -> Result<Vec<TokenRecord>, FlowError> {
    permit(engine, principal, Action::ListTokens, Resource::Service)?;
    Ok(engine.store().tokens(after, limit).await?)
}

fn token_faults(engine: &Engine, request: &TokenRequest) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |code: &str, pointer: &str, message: String| {
        faults.push(Fault { code: code.to_owned(), pointer: pointer.to_owned(), message });
    };
    match engine.profiles().get(&request.profile) {
        Some(profile) if !profile.is_internal() => {}
        _ => fault(
            "unknown-profile",
            "/profile",
            format!("there is no profile `{}` to ask for; profiles are {}", request.profile, engine.profile_names()),
        ),
    }
    if request.names.is_empty() && request.common_name.is_none() {
        fault("names-missing", "/subject_alternative_names", "a token must be bound to at least one name".to_owned());
    }
    // One that no subject can have would be a token that never enrols anybody.
    let common_name = request.common_name.as_ref().map(|name| DistinguishedName::builder().common_name(name).build());
    if let Some(Err(error)) = common_name {
        fault("common-name-invalid", "/common_name", format!("no subject can have this common name: {}", error.why));
    }
    if request.uses == 0 || request.uses > MAXIMUM_USES {
        fault("uses-out-of-range", "/uses", format!("a token has 1 to {MAXIMUM_USES} uses"));
    }
    if request.lifetime == Lifetime::ZERO || request.lifetime > MAXIMUM_LIFETIME {
        fault("lifetime-out-of-range", "/validity", format!("a token lives at most {MAXIMUM_LIFETIME}"));
    }
    faults
}
