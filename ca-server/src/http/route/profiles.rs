//! `GET /v1/profiles` and `GET /v1/profiles/{profile}`

use axum::Json;
use axum::extract::State;
use ca_api::page::Page;
use ca_api::problem::ProblemType;
use ca_api::profile::Profile;
use ca_core::id::ProfileName;
use ca_engine::flow::query::permit;
use ca_engine::port::authorizer::{Action, Resource};

use crate::http::authentication::Caller;
use crate::http::extract::{PathText, not_found};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::state::AppState;

/// List the profiles that may be asked for.
#[utoipa::path(
    get,
    path = "/v1/profiles",
    tag = "profiles",
    responses(
        (status = 200, description = "All of them", body = Page<Profile>),
        refusal::WholeList,
    )
)]
pub(crate) async fn list_profiles(
    State(state): State<AppState>,
    Caller(principal): Caller,
) -> Result<Json<Page<Profile>>, ProblemResponse> {
    permit(state.engine(), &principal, Action::ReadProfile, Resource::Service)?;
    let profiles = state.engine().profiles().values();
    let items =
        profiles.filter(|profile| !profile.is_internal()).map(|profile| ca_wire::profile::profile(profile)).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// One profile.
#[utoipa::path(
    get,
    path = "/v1/profiles/{profile}",
    tag = "profiles",
    params(("profile" = String, Path, description = "Its name", example = "server")),
    responses(
        (status = 200, description = "The profile", body = Profile),
        refusal::Named,
    )
)]
pub(crate) async fn get_profile(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(name): PathText,
) -> Result<Json<Profile>, ProblemResponse> {
    permit(state.engine(), &principal, Action::ReadProfile, Resource::Service)?;
    let name: ProfileName = name.parse().map_err(|_| not_found())?;
    let profile = state.engine().profiles().get(&name).filter(|profile| !profile.is_internal());
    profile.map(|profile| Json(ca_wire::profile::profile(profile))).ok_or_else(|| {
        let known = state.engine().profile_names();
        ProblemResponse::new(ProblemType::NotFound, format!("there is no profile `{name}`; profiles are {known}"))
    })
}
