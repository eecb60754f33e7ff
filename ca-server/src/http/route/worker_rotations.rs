//! Rotations that workers make: `GET /v1/rotations`, `POST /v1/managed-certificates/{managed}/rotation`,
//! `PUT /v1/managed-certificates/{managed}/rotation/{rotation}`

use axum::Json;
use axum::extract::State;
use ca_api::managed::ManagedRotationStep;
use ca_api::managed_rotation::{DueFilter, DueRotation, RotationFailure, RotationReport, WorkerRotation};
use ca_api::page::Page;
use ca_api::problem::ProblemType;
use ca_core::csr::ParsedCsr;
use ca_core::id::RotationId;
use ca_core::managed::RotationStep;
use ca_engine::flow::managed::outcome::Failure;
use ca_engine::flow::managed::worker::{
    Remedy, advance_rotation, begin_rotation, certify_rotation, due_for_workers, fail_rotation,
};
use ca_wire::managed_rotation::{due_rotation, read_remedy, read_step, worker_rotation};

use super::certificates::limit;
use super::issue_certificate::read_csr;
use crate::http::authentication::Caller;
use crate::http::extract::{JsonBody, PathText, PathTexts, Query, Wrong, not_found};
use crate::http::problem::ProblemResponse;
use crate::http::refusal;
use crate::http::to_the_end::to_the_end;
use crate::state::AppState;

/// The longest text of a failure, in characters.
const LONGEST_FAILURE: usize = 1_000;

/// List the managed certificates that a worker is to bring to their targets now, the most urgent first.
///
/// What another worker is at is left out for as long as it may be at it.
#[utoipa::path(
    get,
    path = "/v1/rotations",
    tag = "managed-certificates",
    params(DueFilter),
    responses(
        (status = 200, description = "What is due; there is no second page", body = Page<DueRotation>),
        refusal::List,
    )
)]
pub(crate) async fn list_due_rotations(
    State(state): State<AppState>,
    Caller(principal): Caller,
    Query(query): Query<DueFilter>,
) -> Result<Json<Page<DueRotation>>, ProblemResponse> {
    let mut wrong = Wrong::default();
    let limit = limit(query.limit, "?limit", &mut wrong);
    wrong.finish()?;
    let due = due_for_workers(state.engine(), &principal, limit).await?;
    let items = due.iter().map(due_rotation).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next_cursor: None }))
}

/// Begin a worker's rotation, or go on with the one under way.
///
/// Other workers leave it alone for a quarter of a minute, and for as long after each word of it.
#[utoipa::path(
    post,
    path = "/v1/managed-certificates/{managed}/rotation",
    tag = "managed-certificates",
    params(("managed" = String, Path, description = "Its id or its name", example = "web")),
    responses(
        (status = 200, description = "Under way", body = WorkerRotation),
        refusal::BeginRotation,
    )
)]
pub(crate) async fn begin_managed_rotation(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathText(managed): PathText,
) -> Result<Json<WorkerRotation>, ProblemResponse> {
    let flow = async move { begin_rotation(state.engine(), &principal, &managed).await };
    Ok(Json(worker_rotation(&to_the_end(flow).await?)?))
}

/// Say what became of a rotation: a request for its key, a step that was made, or why it does not go on.
///
/// The key lies in the target before its request is given. Its certificate is for what the managed certificate defines, and for nothing
/// that the request asks for.
#[utoipa::path(
    put,
    path = "/v1/managed-certificates/{managed}/rotation/{rotation}",
    tag = "managed-certificates",
    params(
        ("managed" = String, Path, description = "Its id or its name", example = "web"),
        ("rotation" = String, Path, description = "The rotation's id", format = "uuid"),
    ),
    request_body = RotationReport,
    responses(
        (status = 200, description = "On record", body = WorkerRotation),
        refusal::ReportRotation,
    )
)]
pub(crate) async fn report_managed_rotation(
    State(state): State<AppState>,
    Caller(principal): Caller,
    PathTexts(managed, rotation): PathTexts,
    JsonBody(body): JsonBody<RotationReport>,
) -> Result<Json<WorkerRotation>, ProblemResponse> {
    let rotation: RotationId = rotation.parse().map_err(|_| not_found())?;
    let word = read(body)?;
    let flow = async move {
        let (engine, managed) = (state.engine(), managed.as_str());
        match word {
            Word::Request(csr) => certify_rotation(engine, &principal, managed, rotation, *csr).await,
            Word::Step(step) => advance_rotation(engine, &principal, managed, rotation, step).await,
            Word::Failure(failure, remedy) => {
                fail_rotation(engine, &principal, managed, rotation, failure, remedy).await
            }
        }
    };
    Ok(Json(worker_rotation(&to_the_end(flow).await?)?))
}

/// What a worker says.
enum Word {
    Request(Box<ParsedCsr>),
    Step(RotationStep),
    Failure(Failure, Remedy),
}

fn read(body: RotationReport) -> Result<Word, ProblemResponse> {
    match (body.csr, body.step, body.failure) {
        (Some(csr), None, None) => Ok(Word::Request(Box::new(read_csr(&csr)?))),
        (None, Some(step), None) => read_made_step(step).map(Word::Step),
        (None, None, Some(failure)) => read_failure(failure).map(|(failure, remedy)| Word::Failure(failure, remedy)),
        _ => {
            let why = "give exactly one of csr, step and failure";
            Err(ProblemResponse::about(ProblemType::InvalidRequest, "report-invalid", "", why))
        }
    }
}

/// A step that a worker can have made.
fn read_made_step(step: ManagedRotationStep) -> Result<RotationStep, ProblemResponse> {
    match step {
        ManagedRotationStep::Begun | ManagedRotationStep::Issued => {
            let why = "a worker says that it is delivered, verified or promoted; the rest is the service's";
            Err(ProblemResponse::about(ProblemType::InvalidRequest, "step-invalid", "/step", why))
        }
        step => Ok(read_step(step)),
    }
}

fn read_failure(failure: RotationFailure) -> Result<(Failure, Remedy), ProblemResponse> {
    let length = failure.detail.chars().count();
    if !(1..=LONGEST_FAILURE).contains(&length) || failure.detail.chars().any(|letter| letter.is_control()) {
        let why = format!("1 to {LONGEST_FAILURE} characters, without control characters");
        return Err(ProblemResponse::about(ProblemType::InvalidRequest, "detail-invalid", "/failure/detail", why));
    }
    let remedy = read_remedy(failure.remedy);
    Ok((Failure { detail: failure.detail, may_pass: failure.may_pass }, remedy))
}
