//! `POST /v1/certificates/{certificate}/renew` and `GET …/renewal-info`.

use ca_api::certificate::Certificate;
use ca_api::page::Page;
use ca_api::problem::ProblemType;
use ca_api::renewal::RenewalInfo;
use ca_api::renewal_window::RenewalWindowMove;
use ca_api::route;
use ca_e2e::client::{Client, send};
use ca_e2e::identity::{Identity, SubjectKey, request};
use ca_e2e::stack::shared;
use reqwest::Method;
use serde_json::json;

/// A certificate of an hour's life is past half of it from its first second on: it was backdated by five minutes and lives for
/// four more.
async fn short_lived(administrator: &Client, host: &str) -> anyhow::Result<(Certificate, Identity)> {
    let key = SubjectKey::generate()?;
    let mut body = request("server", key.csr(host, &[host])?);
    body.validity = Some("4m".to_owned());
    let certificate = administrator.issue(&body).await?;
    let identity = Identity::of(&certificate, &key);
    Ok((certificate, identity))
}

fn path(certificate: &Certificate) -> String {
    format!("/v1/certificates/{}/renew", certificate.id)
}

#[tokio::test]
async fn a_holder_renews_its_certificate_with_a_new_key() -> anyhow::Result<()> {
    let stack = shared()?;
    let host = "renewed.example.test";
    let (certificate, identity) = short_lived(&stack.administrator()?, host).await?;
    let key = SubjectKey::generate()?;
    let body = json!({ "csr": key.csr(host, &[host])? });
    let answer = stack.holder(&identity)?.post(&path(&certificate), &body).await?.expect(201)?;
    let successor: Certificate = answer.json()?;
    assert_eq!(successor.renews.as_ref(), Some(&certificate.id));
    assert_eq!(successor.subject, certificate.subject);
    assert_eq!(successor.subject_alternative_names, certificate.subject_alternative_names);
    assert_eq!(successor.owner, certificate.owner);
    assert!(successor.not_after > certificate.not_after);
    assert_eq!(answer.header("location"), format!("/v1/certificates/{}", successor.id));
    // Both are good: the old one until it is revoked or expires.
    stack.holder(&identity)?.get(route::PROFILES).await?.expect(200)?;
    stack.holder(&Identity::of(&successor, &key))?.get(route::PROFILES).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_key_may_be_kept() -> anyhow::Result<()> {
    let stack = shared()?;
    let (certificate, identity) = short_lived(&stack.administrator()?, "kept.example.test").await?;
    let answer =
        stack.holder(&identity)?.post(&path(&certificate), &json!({ "reuse_key": true })).await?.expect(201)?;
    let successor: Certificate = answer.json()?;
    let identity =
        Identity::from_pem(format!("{}{}", successor.certificate, successor.chain), identity.key_pem().to_owned());
    stack.holder(&identity)?.get(route::PROFILES).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn renewal_too_early_is_refused_with_the_time() -> anyhow::Result<()> {
    let stack = shared()?;
    let (certificate, identity) = stack.administrator()?.enrol("server", "early.example.test").await?;
    let holder = stack.holder(&identity)?;
    let refused = holder.post(&path(&certificate), &json!({ "reuse_key": true })).await?;
    let problem = refused.expect_problem(ProblemType::RenewalTooEarly)?;
    assert!(
        problem.detail.contains("from 20") && problem.detail.contains(&certificate.not_after),
        "{}",
        problem.detail
    );
    let seconds = problem.retry_after.unwrap_or_default();
    assert_eq!(refused.header("retry-after"), seconds.to_string());
    assert!((44 * 86_400..46 * 86_400).contains(&seconds), "half of 90 days, not {seconds} s");
    let info = holder.get(&format!("/v1/certificates/{}/renewal-info", certificate.id)).await?.expect(200)?;
    assert_eq!(info.header("retry-after"), "21600", "six hours");
    let window = info.json::<RenewalInfo>()?.suggested_window;
    let opens_at = problem.detail.split("from ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    assert!(opens_at <= window.start.as_str(), "{} {}", problem.detail, window.start);
    assert!(window.start < window.end && window.end < certificate.not_after, "{window:?}");
    Ok(())
}

#[tokio::test]
async fn a_certificate_has_one_live_successor() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, identity) = short_lived(&administrator, "successor.example.test").await?;
    let holder = stack.holder(&identity)?;
    let body = json!({ "reuse_key": true });
    let first: Certificate = holder.post(&path(&certificate), &body).await?.expect(201)?.json()?;
    let problem = holder.post(&path(&certificate), &body).await?.expect_problem(ProblemType::AlreadyRenewed)?;
    let hint = format!("use its successor {}, or revoke that one first", first.id);
    assert!(problem.detail.contains(&hint), "{}", problem.detail);
    administrator.revoke(&first.id, "superseded").await?;
    holder.post(&path(&certificate), &body).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn what_is_revoked_or_on_hold_is_not_renewed() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    for (reason, hint) in [("superseded", "ask for a new one"), ("certificateHold", "end the hold first")] {
        let (certificate, identity) = administrator.enrol("server", "gone.example.test").await?;
        administrator.revoke(&certificate.id, reason).await?;
        let refused = administrator.post(&path(&certificate), &json!({ "reuse_key": true })).await?;
        let problem = refused.expect_problem(ProblemType::CertificateRevoked)?;
        assert!(problem.detail.contains(reason) && problem.detail.contains(hint), "{}", problem.detail);
        // To its holder it is no proof any more.
        let refused = stack.holder(&identity)?.post(&path(&certificate), &json!({ "reuse_key": true })).await?;
        let problem = refused.expect_problem(ProblemType::InvalidCredential)?;
        assert!(problem.detail.contains("show another one"), "{}", problem.detail);
    }
    Ok(())
}

#[tokio::test]
async fn a_renewal_says_which_key() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("server", "which.example.test").await?;
    let csr = SubjectKey::generate()?.csr("which.example.test", &[])?;
    for (body, code) in [(json!({}), "key-missing"), (json!({ "reuse_key": true, "csr": csr }), "key-ambiguous")] {
        let problem = administrator.post(&path(&certificate), &body).await?;
        let problem = problem.expect_problem(ProblemType::InvalidRequest)?;
        assert_eq!(problem.errors[0].code, code);
        assert!(problem.detail.contains("reuse_key"), "{}", problem.detail);
    }
    Ok(())
}

#[tokio::test]
async fn the_right_time_to_renew_what_is_revoked_is_now() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("server", "replace.example.test").await?;
    let revoked = administrator.revoke(&certificate.id, "keyCompromise").await?;
    let info = administrator.get(&format!("/v1/certificates/{}/renewal-info", certificate.id)).await?.expect(200)?;
    let window = info.json::<RenewalInfo>()?.suggested_window;
    assert_eq!(revoked.revocation.map(|revocation| revocation.revoked_at), Some(window.end));
    Ok(())
}

#[tokio::test]
async fn a_window_that_is_moved_lets_its_holder_renew_until_it_is_withdrawn() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, identity) = administrator.enrol("server", "moved.example.test").await?;
    let holder = stack.holder(&identity)?;
    let info_path = format!("/v1/certificates/{}/renewal-info", certificate.id);
    let usual = holder.get(&info_path).await?.expect(200)?.json::<RenewalInfo>()?;
    let body = json!({
        "scope": { "certificate": certificate.id },
        "window": { "start": "2020-01-01T00:00:00Z", "end": "2126-01-01T00:00:00Z" },
        "explanation_url": "https://pki.example.org/why",
    });
    let moved: RenewalWindowMove = administrator.post(route::RENEWAL_WINDOWS, &body).await?.expect(201)?.json()?;
    let info = holder.get(&info_path).await?.expect(200)?.json::<RenewalInfo>()?;
    assert_eq!(info.suggested_window.start, "2020-01-01T00:00:00Z");
    assert_eq!(info.suggested_window.end, usual.suggested_window.end, "it is never put off");
    assert_eq!(info.explanation_url.as_deref(), Some("https://pki.example.org/why"));
    let listed: Page<RenewalWindowMove> = administrator.get(route::RENEWAL_WINDOWS).await?.expect(200)?.json()?;
    assert!(listed.items.contains(&moved), "{listed:?}");
    let withdraw = route::RENEWAL_WINDOW.replace("{move}", &moved.id);
    send(administrator.request(Method::DELETE, &withdraw)).await?.expect(204)?;
    assert_eq!(holder.get(&info_path).await?.expect(200)?.json::<RenewalInfo>()?, usual);
    let early = holder.post(&path(&certificate), &json!({ "reuse_key": true })).await?;
    early.expect_problem(ProblemType::RenewalTooEarly)?;
    administrator.post(route::RENEWAL_WINDOWS, &body).await?.expect(201)?;
    holder.post(&path(&certificate), &json!({ "reuse_key": true })).await?.expect(201)?;
    Ok(())
}
