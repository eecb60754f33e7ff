//! Enrolment tokens: made, listed, withdrawn, used as often as they may be, for what they are bound to and nothing else.

use ca_api::page::Page;
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_api::token::{CreatedEnrolmentToken, EnrolmentToken, NewEnrolmentToken};
use ca_e2e::client::{Client, eventually};
use ca_e2e::identity::{SubjectKey, dns, request};
use ca_e2e::stack::{PATIENCE, shared};
use serde_json::json;

/// Makes a token that is bound to these names, the first of them being its common name.
pub(crate) async fn make(
    administrator: &Client,
    profile: &str,
    names: &[&str],
    uses: u32,
) -> anyhow::Result<CreatedEnrolmentToken> {
    let body = NewEnrolmentToken {
        profile: profile.to_owned(),
        subject_alternative_names: names.iter().map(|name| dns(name)).collect(),
        common_name: names.first().map(|name| (*name).to_owned()),
        validity: None,
        uses: Some(uses),
    };
    administrator.post(route::ENROLMENT_TOKENS, &body).await?.expect(201)?.json()
}

#[tokio::test]
async fn a_token_gets_the_certificate_it_is_bound_to_and_nothing_else() -> anyhow::Result<()> {
    let stack = shared()?;
    let token = make(&stack.administrator()?, "server", &["bound.example.test"], 5).await?;
    let bearer = stack.bearer(token.secret.expose())?;
    let certificate = bearer.enrol("server", "bound.example.test").await?.0;
    assert_eq!(certificate.owner, format!("token:{}", token.token.id));

    let key = SubjectKey::generate()?;
    for (profile, common_name, names) in [
        ("client", "bound.example.test", &["bound.example.test"][..]),
        ("server", "other.example.test", &["bound.example.test"]),
        ("server", "bound.example.test", &["other.example.test"]),
        ("server", "bound.example.test", &["bound.example.test", "other.example.test"]),
        ("server", "bound.example.test", &["*.example.test"]),
    ] {
        let refused = bearer.post(route::CERTIFICATES, &request(profile, key.csr(common_name, names)?)).await?;
        let problem = refused.expect_problem(ProblemType::AccessDenied)?;
        assert!(problem.detail.contains("the names it was made for; ask for those alone"), "{}", problem.detail);
    }
    Ok(())
}

#[tokio::test]
async fn a_used_token_is_worth_nothing() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let token = make(&administrator, "client", &["used.example.test"], 2).await?;
    let bearer = stack.bearer(token.secret.expose())?;
    bearer.enrol("client", "used.example.test").await?;
    bearer.enrol("client", "used.example.test").await?;
    let body = request("client", SubjectKey::generate()?.csr("used.example.test", &["used.example.test"])?);
    let problem = bearer.post(route::CERTIFICATES, &body).await?.expect_problem(ProblemType::TokenUsedUp)?;
    assert!(problem.detail.contains("ask for a new one"), "{}", problem.detail);
    let listed = find(&administrator, &token.token.id).await?;
    assert_eq!(listed.map(|token| token.uses_left), Some(0));
    Ok(())
}

#[tokio::test]
async fn an_expired_token_is_told_so() -> anyhow::Result<()> {
    let stack = shared()?;
    let body = json!({
        "profile": "client",
        "subject_alternative_names": [{ "type": "dns", "value": "late.example.test" }],
        "validity": "1s",
    });
    let created = stack.administrator()?.post(route::ENROLMENT_TOKENS, &body).await?.expect(201)?;
    let token: CreatedEnrolmentToken = created.json()?;
    let bearer = stack.bearer(token.secret.expose())?;
    let problem = eventually(PATIENCE, "the token expires", || async {
        Ok(bearer.get(route::PROFILES).await?.expect_problem(ProblemType::TokenExpired).ok())
    })
    .await?;
    let end = token.token.expires_at;
    assert!(problem.detail.contains(&format!("expired at {end}; ask for a new one")), "{}", problem.detail);
    Ok(())
}

#[tokio::test]
async fn a_withdrawn_token_is_as_unknown_as_one_that_never_was() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let token = make(&administrator, "client", &["withdrawn.example.test"], 1).await?;
    let path = format!("{}/{}", route::ENROLMENT_TOKENS, token.token.id);
    let bearer = stack.bearer(token.secret.expose())?;
    bearer.get(route::PROFILES).await?.expect(200)?;
    administrator.delete(&path).await?.expect(204)?;
    let withdrawn = bearer.get(route::PROFILES).await?.expect_problem(ProblemType::InvalidCredential)?;
    administrator.delete(&path).await?.expect_problem(ProblemType::NotFound)?;
    assert!(find(&administrator, &token.token.id).await?.is_none_or(|token| token.uses_left == 0));

    let wrong_secret = format!("cet_{}_{}", token.token.id, "0".repeat(64));
    for secret in [wrong_secret.as_str(), "cet_", "cet_nonsense", "eyJhbGciOiJub25lIn0.e30."] {
        let problem = stack.bearer(secret)?.get(route::PROFILES).await?;
        let problem = problem.expect_problem(ProblemType::InvalidCredential)?;
        assert_eq!(problem.detail, withdrawn.detail);
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_shown_once_and_stored_nowhere() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let token = make(&administrator, "client", &["shown.example.test"], 1).await?;
    let secret = token.secret.expose();
    assert!(secret.starts_with("cet_"), "a token is recognisable");
    let list = administrator.get(route::ENROLMENT_TOKENS).await?.expect(200)?;
    assert!(list.text().contains(&token.token.id));
    let events = administrator.get(route::AUDIT).await?.expect(200)?;
    let digits = secret.rsplit('_').next().unwrap_or_default();
    assert!(digits.len() >= 32, "a secret of 128 bits at least");
    for (what, text) in [("list", list.text()), ("audit", events.text()), ("log", stack.logs().join("\n"))] {
        assert!(!text.contains(digits), "the {what} has the secret");
    }
    let record = stack.record_octets()?;
    assert!(record.windows(8).any(|window| window == b"operator"), "it is the record that was read");
    assert!(!record.windows(digits.len()).any(|window| window == digits.as_bytes()), "the record has the secret");
    Ok(())
}

#[tokio::test]
async fn a_token_that_could_do_anything_is_refused() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let names = json!([{ "type": "dns", "value": "limits.example.test" }]);
    for (body, code) in [
        (json!({ "profile": "nonsense", "subject_alternative_names": names }), "unknown-profile"),
        (json!({ "profile": "operator", "subject_alternative_names": names }), "unknown-profile"),
        (json!({ "profile": "client", "subject_alternative_names": [] }), "names-missing"),
        (json!({ "profile": "client", "subject_alternative_names": names, "uses": 0 }), "uses-out-of-range"),
        (json!({ "profile": "client", "subject_alternative_names": names, "uses": 10_001 }), "uses-out-of-range"),
        (
            json!({ "profile": "client", "subject_alternative_names": names, "validity": "91d" }),
            "lifetime-out-of-range",
        ),
        (json!({ "profile": "client", "subject_alternative_names": names, "validity": "soon" }), "lifetime-invalid"),
    ] {
        let problem = administrator.post(route::ENROLMENT_TOKENS, &body).await?;
        let problem = problem.expect_problem(ProblemType::InvalidRequest)?;
        let codes: Vec<&str> = problem.errors.iter().map(|violation| violation.code.as_str()).collect();
        assert_eq!(codes, [code], "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn tokens_come_in_pages() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(make(&administrator, "client", &["pages.example.test"], 1).await?.token.id);
    }
    let first: Page<EnrolmentToken> = administrator.get("/v1/enrolment-tokens?limit=2").await?.expect(200)?.json()?;
    assert_eq!(first.items.len(), 2);
    let cursor = first.next_cursor.unwrap_or_default();
    let path = format!("/v1/enrolment-tokens?limit=1000&cursor={cursor}");
    let rest: Page<EnrolmentToken> = administrator.get(&path).await?.expect(200)?.json()?;
    let ids: Vec<&String> = first.items.iter().chain(&rest.items).map(|token| &token.id).collect();
    assert!(made.iter().all(|id| ids.contains(&id)), "{made:?} {ids:?}");
    assert!(ids.is_sorted_by(|newer, older| newer > older), "newest first, none twice: {ids:?}");
    Ok(())
}

async fn find(administrator: &Client, id: &str) -> anyhow::Result<Option<EnrolmentToken>> {
    let page: Page<EnrolmentToken> = administrator.get("/v1/enrolment-tokens?limit=1000").await?.expect(200)?.json()?;
    Ok(page.items.into_iter().find(|token| token.id == id))
}
