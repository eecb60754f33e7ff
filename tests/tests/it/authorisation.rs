//! Who may do what, route by route; and what is no proof of who one is.

use ca_api::problem::ProblemType;
use ca_api::route;
use ca_e2e::client::{Answer, Client, send};
use ca_e2e::gateway::call;
use ca_e2e::identity::{Identity, SubjectKey, request};
use ca_e2e::stack::{Stack, shared};
use ca_e2e::tools::openssl;
use reqwest::Method;
use serde_json::{Value, json};

/// A question, and the status that anonymous callers, bearers of a token, holders of a certificate and administrators get.
type Row = (Method, String, Option<Value>, [u16; 4]);

/// Everything that needs proof, asked about certificate `other` of somebody else and the token `token`.
fn guarded(other: &str, token: &str) -> anyhow::Result<Vec<Row>> {
    let host = "matrix.example.test";
    let csr = SubjectKey::generate()?.csr(host, &[host])?;
    let path = |rest: &str| format!("/v1/certificates/{other}{rest}");
    let new_token =
        json!({ "profile": "client", "subject_alternative_names": [{ "type": "dns", "value": "t.example.test" }] });
    let moved = json!({ "scope": { "certificate": other }, "window": { "end": "2126-01-01T00:00:00Z" } });
    let anybody_known = [401, 200, 200, 200];
    let administrators = [401, 403, 403, 200];
    Ok(vec![
        (
            Method::POST,
            route::CERTIFICATES.into(),
            Some(json!({ "profile": "server", "csr": csr })),
            [401, 403, 403, 201],
        ),
        (Method::GET, route::CERTIFICATES.into(), None, administrators),
        (Method::POST, route::CERTIFICATE_SEARCH.into(), Some(json!({ "name": host })), administrators),
        (Method::GET, path(""), None, administrators),
        (Method::GET, path("/renewal-info"), None, administrators),
        (Method::POST, path("/renew"), Some(json!({ "reuse_key": true })), [401, 403, 403, 201]),
        (Method::POST, path("/unhold"), None, [401, 403, 403, 409]),
        (Method::POST, path("/revoke"), Some(json!({ "reason": "superseded" })), administrators),
        (Method::GET, route::AUTHORITIES.into(), None, anybody_known),
        (Method::GET, "/v1/authorities/tls".into(), None, anybody_known),
        (Method::GET, route::PROFILES.into(), None, anybody_known),
        (Method::GET, "/v1/profiles/server".into(), None, anybody_known),
        (Method::POST, route::ENROLMENT_TOKENS.into(), Some(new_token), [401, 403, 403, 201]),
        (Method::GET, route::ENROLMENT_TOKENS.into(), None, administrators),
        (Method::DELETE, format!("/v1/enrolment-tokens/{token}"), None, [401, 403, 403, 204]),
        (Method::GET, route::AUDIT.into(), None, administrators),
        (Method::GET, route::OUTBOX.into(), None, administrators),
        (Method::POST, route::RENEWAL_WINDOWS.into(), Some(moved), [401, 403, 403, 201]),
        (Method::GET, route::RENEWAL_WINDOWS.into(), None, administrators),
        (Method::DELETE, format!("/v1/renewal-windows/{other}"), None, [401, 403, 403, 404]),
        (
            Method::POST,
            format!("{}?dry_run=true", route::MANAGED_CERTIFICATES),
            Some(json!({
                "name": "matrix", "profile": "server", "subject_alternative_names": [format!("dns:{host}")],
                "target": { "kind": "directory", "path": "/etc/matrix/tls" },
            })),
            administrators,
        ),
        (Method::GET, route::MANAGED_CERTIFICATES.into(), None, administrators),
        (Method::GET, route::MANAGED_STATUS.into(), None, administrators),
        (Method::GET, "/v1/managed-certificates/nobody".into(), None, [401, 403, 403, 404]),
        (Method::DELETE, "/v1/managed-certificates/nobody".into(), None, [401, 403, 403, 404]),
        (Method::POST, "/v1/managed-certificates/nobody/rotate".into(), None, [401, 403, 403, 404]),
        (Method::POST, "/v1/managed-certificates/nobody/pause".into(), None, [401, 403, 403, 404]),
        (Method::POST, "/v1/managed-certificates/nobody/resume".into(), None, [401, 403, 403, 404]),
        (Method::GET, route::GATEWAYS.into(), None, administrators),
        // Nobody speaks for a gateway that its certificate does not name.
        (
            Method::PUT,
            route::GATEWAY_STATUS.replace("{gateway}", "gw.example.test"),
            Some(
                json!({ "generation": "a", "lists": [{ "authority": "tls", "number": 1, "sha256": "0".repeat(64) }] }),
            ),
            [401, 403, 403, 403],
        ),
        // Nothing of that name waits.
        (Method::POST, format!("/v1/outbox/{other}/replay"), None, [401, 403, 403, 404]),
    ])
}

async fn ask(client: &Client, method: &Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
    let request = client.request(method.clone(), path);
    send(match body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

/// Anonymous, a bearer of a token, a holder of a certificate, the administrator.
async fn callers(stack: &Stack) -> anyhow::Result<[Client; 4]> {
    let administrator = stack.administrator()?;
    let token = crate::token::make(&administrator, "server", &["bearer.example.test"], 1).await?;
    let (_, identity) = administrator.enrol("client", "holder.example.test").await?;
    Ok([stack.anonymous()?, stack.bearer(token.secret.expose())?, stack.holder(&identity)?, administrator])
}

#[tokio::test]
async fn every_route_asks_who_is_there_and_what_they_may() -> anyhow::Result<()> {
    let stack = shared()?;
    let callers = callers(&stack).await?;
    let (other, _) = callers[3].enrol("client", "other.example.test").await?;
    let token = crate::token::make(&callers[3], "server", &["victim.example.test"], 1).await?;
    for (method, path, body, statuses) in guarded(&other.id, &token.token.id)? {
        for (client, status) in callers.iter().zip(statuses) {
            let answer = ask(client, &method, &path, body.as_ref()).await?;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
            match status {
                401 => {
                    answer.expect_problem(ProblemType::AuthenticationRequired)?;
                    assert_eq!(answer.header("www-authenticate"), "Bearer", "{method} {path}");
                }
                403 => {
                    answer.expect_problem(ProblemType::AccessDenied)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn strangers_learn_nothing_of_what_is_on_record() -> anyhow::Result<()> {
    let stack = shared()?;
    let [anonymous, bearer, holder, administrator] = callers(&stack).await?;
    let (other, _) = administrator.enrol("client", "secret.example.test").await?;
    let there = format!("/v1/certificates/{}", other.id);
    let not_there = "/v1/certificates/01930000-0000-7000-8000-000000000000";
    for client in [anonymous, bearer, holder] {
        let [there, not_there] = [client.get(&there).await?.problem()?, client.get(not_there).await?.problem()?];
        assert_eq!((there.kind, there.detail), (not_there.kind, not_there.detail));
    }
    administrator.get(not_there).await?.expect_problem(ProblemType::NotFound)?;
    Ok(())
}

#[tokio::test]
async fn a_holder_may_read_and_revoke_its_own_certificate() -> anyhow::Result<()> {
    let stack = shared()?;
    let (own, identity) = stack.administrator()?.enrol("client", "own.example.test").await?;
    let holder = stack.holder(&identity)?;
    let path = format!("/v1/certificates/{}", own.id);
    holder.get(&path).await?.expect(200)?;
    holder.get(&format!("{path}/renewal-info")).await?.expect(200)?;
    holder.revoke(&own.id, "cessationOfOperation").await?;
    // It was a principal as long as its certificate stood, and not a moment longer: on this connection too.
    let problem = holder.get(&path).await?.expect_problem(ProblemType::InvalidCredential)?;
    assert!(problem.detail.contains("revoked"), "{}", problem.detail);
    let problem = stack.holder(&identity)?.get(&path).await?.expect_problem(ProblemType::InvalidCredential)?;
    assert!(problem.detail.contains("revoked"), "{}", problem.detail);
    Ok(())
}

#[tokio::test]
async fn a_role_cannot_be_had_by_a_name() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    // The first administrator's own names, on a certificate of somebody else.
    let own = stack.administrator()?.get("/v1/certificates?profile=operator").await?.expect(200)?;
    let own: ca_api::page::Page<ca_api::certificate::Certificate> = own.json()?;
    let subject = own.items[0].subject.clone();
    for subject in [subject.as_str(), "CN=administrator", "CN=operator,O=Cartorio Digital"] {
        let key = SubjectKey::generate()?;
        let mut body = request("client", key.csr("x", &["impostor.example.test"])?);
        body.subject = Some(subject.to_owned());
        let certificate = administrator.issue(&body).await?;
        let impostor = stack.holder(&Identity::of(&certificate, &key))?;
        for answer in [impostor.get(route::CERTIFICATES).await?, impostor.post(route::CERTIFICATES, &body).await?] {
            let problem = answer.expect_problem(ProblemType::AccessDenied)?;
            assert!(problem.detail.contains("ask an administrator for a role or a token"), "{}", problem.detail);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_profile_cannot_be_had_by_a_name() -> anyhow::Result<()> {
    let stack = shared()?;
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    for subject in ["CN=server", "CN=subordinate,OU=root", "CN=operator,title=administrator"] {
        let mut body = request("client", SubjectKey::generate()?.csr("x", &["impostor.example.test"])?);
        body.subject = Some(subject.to_owned());
        let certificate = stack.administrator()?.issue(&body).await?;
        assert_eq!((certificate.profile.as_str(), certificate.subject.as_str()), ("client", subject));
        std::fs::write(folder.path().join("leaf.pem"), &certificate.certificate)?;
        let text = openssl(["x509", "-in", "leaf.pem", "-noout", "-text"], folder.path())?.text();
        let purposes = text.split("Extended Key Usage").nth(1).and_then(|rest| rest.lines().nth(1)).unwrap_or_default();
        assert_eq!(purposes.trim(), "TLS Web Client Authentication", "{text}");
        assert!(!text.contains("CA:TRUE") && !text.contains("Certificate Sign"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn profiles_of_the_service_itself_are_not_for_asking() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    for profile in ["operator", "api-server", "ocsp-responder", "subordinate", "root"] {
        let body = request(profile, SubjectKey::generate()?.csr("x.example.test", &["x.example.test"])?);
        let problem =
            administrator.post(route::CERTIFICATES, &body).await?.expect_problem(ProblemType::ProfileViolation)?;
        assert!(problem.errors.iter().any(|violation| violation.code == "profile-internal"), "{profile}: {problem:?}");
        administrator.get(&format!("/v1/profiles/{profile}")).await?.expect_problem(ProblemType::NotFound)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_proof_is_refused_with_what_would_be_one() -> anyhow::Result<()> {
    let stack = shared()?;
    let anonymous = stack.anonymous()?;
    for value in ["Basic YWRtaW46YWRtaW4=", "Bearer", "cet_x"] {
        let asked = anonymous.request(Method::GET, route::PROFILES).header("authorization", value);
        let problem = send(asked).await?.expect_problem(ProblemType::InvalidCredential)?;
        assert!(problem.detail.contains("Bearer cet_"), "{value}: {}", problem.detail);
    }
    let token = crate::token::make(&stack.administrator()?, "client", &["two.example.test"], 1).await?;
    let both = stack.administrator()?.with_token(token.secret.expose());
    let problem = both.get(route::PROFILES).await?.expect_problem(ProblemType::InvalidCredential)?;
    assert!(problem.detail.contains("offer one"), "{}", problem.detail);
    Ok(())
}

#[tokio::test]
async fn a_certificate_of_another_authority_does_not_pass_the_handshake() -> anyhow::Result<()> {
    let stack = shared()?;
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    // The same names as our own first administrator, from a root of the same name.
    let root = "/O=Cartorio Digital/CN=Cartorio Digital Root CA";
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let tail = ["-x509", "-subj", root, "-keyout", "root.key", "-out", "root.crt"];
    openssl([&["req"][..], &curve, &tail].concat(), folder.path())?;
    let tail = ["-new", "-subj", "/CN=administrator", "-keyout", "leaf.key", "-out", "leaf.csr"];
    openssl([&["req"][..], &curve[..5], &tail].concat(), folder.path())?;
    std::fs::write(folder.path().join("leaf.ext"), "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n")?;
    let files =
        ["-in", "leaf.csr", "-CA", "root.crt", "-CAkey", "root.key", "-extfile", "leaf.ext", "-out", "leaf.crt"];
    openssl([&["x509", "-req"][..], &files].concat(), folder.path())?;
    let read = |file: &str| std::fs::read_to_string(folder.path().join(file));
    let stranger = Identity::from_pem(read("leaf.crt")?, read("leaf.key")?);
    let Err(refused) = call(stack.api_address(), "localhost", &stack.root_pem()?, Some(&stranger)).await else {
        anyhow::bail!("the handshake passed")
    };
    let why = format!("{refused:#}");
    assert!(why.contains("UnknownCA") || why.contains("DecryptError"), "{why}");
    Ok(())
}
