//! Limits that an operator sets: a profile that takes few kinds of keys, an authority that ends soon or may certify some names
//! only, and the names of the API. What goes beyond them is refused with what would be right, over HTTP and by `ca-cli`.

use ca_api::certificate::NewCertificate;
use ca_api::problem::{Problem, ProblemType};
use ca_api::route;
use ca_e2e::identity::{SubjectKey, dns, request};
use ca_e2e::stack::{Site, Stack};
use ca_e2e::tools::openssl;

use crate::cli_remote::administrator;

const SERVER: &str = include_str!("../../../policies/profiles/server.toml");

/// Long enough for the API's own certificate, shorter than the default of the profile `server`.
const ISSUER_DAYS: u64 = 40;

fn order(host: &str) -> anyhow::Result<NewCertificate> {
    Ok(request("server", SubjectKey::generate()?.csr(host, &[host])?))
}

/// The one violation there is, told by the problem itself too.
fn violation(problem: &Problem, code: &str, pointer: &str, hint: &str) {
    let [violation] = &problem.errors[..] else { panic!("not one violation: {problem:?}") };
    assert_eq!((violation.code.as_str(), violation.pointer.as_str()), (code, pointer), "{problem:?}");
    assert!(problem.detail.contains(hint), "`{hint}` is missing in: {}", problem.detail);
    assert_eq!(problem.detail, violation.detail);
}

async fn refused(stack: &Stack, body: &NewCertificate) -> anyhow::Result<Problem> {
    let answer = stack.administrator()?.post(route::CERTIFICATES, body).await?;
    answer.expect_problem(ProblemType::ProfileViolation)
}

#[tokio::test]
async fn a_key_of_a_kind_that_the_profile_does_not_take() -> anyhow::Result<()> {
    let mut site = Site::empty(&[])?;
    let policies = site.work_folder().join("policies");
    std::fs::create_dir_all(policies.join("profiles"))?;
    let all = r#"key_types = ["p256", "p384", "p521", "ed25519", "rsa2048", "rsa3072", "rsa4096"]"#;
    assert!(SERVER.contains(all), "the shipped profile lists its keys in another way");
    std::fs::write(policies.join("profiles/server.toml"), SERVER.replace(all, r#"key_types = ["p384", "rsa3072"]"#))?;
    site.set("CA__POLICIES__DIR", &policies.display().to_string());
    let (made, said) = site.run(&["init"])?;
    assert!(made, "{said}");
    let stack = site.serve()?;

    let hint = "the key is p256, which the profile `server` does not take; make one of p384, rsa3072";
    violation(&refused(&stack, &order("key.example.test")?).await?, "key-type-not-allowed", "/csr", hint);

    let terminal = administrator(&stack)?;
    let issue = ["issue", "server", "key.example.test"];
    terminal.refused(1, &[&issue[..], &["--key-type", "p256"]].concat(), &[hint])?;
    terminal.refused(2, &[&issue[..], &["--key-type", "p224"]].concat(), &["p224", "p256, p384, p521"])?;
    assert!(!terminal.path("key.example.test.key").exists(), "no key is left of a refusal");
    // Without a wish it is the profile's first.
    terminal.done(&issue)?;
    let key = openssl(["pkey", "-in", "key.example.test.key", "-noout", "-text"], terminal.folder())?.text();
    assert!(key.contains("384 bit"), "{key}");
    Ok(())
}

#[tokio::test]
async fn a_lifetime_beyond_the_issuers_is_refused_when_asked_for_and_cut_short_when_not() -> anyhow::Result<()> {
    let stack = Stack::with(&[("CA__AUTHORITY__TLS__VALIDITY", &format!("{ISSUER_DAYS}d"))])?;
    let authority = stack.administrator()?.get("/v1/authorities/tls").await?.expect(200)?;
    let end = authority.json::<ca_api::authority::Authority>()?.not_after;

    let body = NewCertificate { validity: Some("90d".to_owned()), ..order("long.example.test")? };
    let problem = refused(&stack, &body).await?;
    // In the second in which the issuer was made, it lasts that many days to the second.
    let whole = problem.detail.contains(&format!(" {ISSUER_DAYS}d "));
    let days = if whole { ISSUER_DAYS } else { ISSUER_DAYS - 1 };
    let hint = format!("at {end}; ask for at most {days}d or leave the validity out");
    violation(&problem, "validity-beyond-issuer", "/validity", &hint);
    // What was said to be right is.
    let body = NewCertificate { validity: Some(format!("{}d", ISSUER_DAYS - 1)), ..body };
    stack.administrator()?.issue(&body).await?;
    // The profile's own default is 90 days.
    let clamped = stack.administrator()?.issue(&order("default.example.test")?).await?;
    assert_eq!(clamped.not_after, end);

    let terminal = administrator(&stack)?;
    let issue = ["issue", "server", "cli.example.test"];
    terminal.refused(1, &[&issue[..], &["--validity", "90d"]].concat(), &[&format!("at {end}; ask for at most")])?;
    assert!(terminal.done(&issue)?.contains(&end), "it says until when the certificate is valid");
    Ok(())
}

#[tokio::test]
async fn a_name_that_the_issuer_may_not_certify() -> anyhow::Result<()> {
    // The administrator's certificate has no name of these kinds, and the API's lies within.
    let stack = Stack::with(&[
        ("CA__AUTHORITY__TLS__PERMITTED_SUBTREES", "dns:example.test,dns:localhost,ip:127.0.0.1/32"),
        ("CA__AUTHORITY__TLS__EXCLUDED_SUBTREES", "dns:secret.example.test"),
    ])?;
    stack.administrator()?.issue(&order("inside.example.test")?).await?;
    for (host, hint) in [("elsewhere.example.org", "example.test"), ("a.secret.example.test", "secret.example.test")] {
        // A common name that reads as a host name is held to the same.
        let body = NewCertificate { subject: Some("O=Example".to_owned()), ..order(host)? };
        let problem = refused(&stack, &body).await?;
        violation(&problem, "issuer-name-constraints", "/csr", hint);
        administrator(&stack)?.refused(1, &["issue", "server", host], &[host, hint])?;
    }
    Ok(())
}

#[tokio::test]
async fn the_names_of_the_api_and_wildcards_that_cover_them() -> anyhow::Result<()> {
    let stack = Stack::with(&[("CA__API__NAMES", "localhost,ca.example.test,127.0.0.1")])?;
    for name in ["ca.example.test", "CA.Example.TEST", "*.example.test"] {
        let body = NewCertificate { subject_alternative_names: Some(vec![dns(name)]), ..order("x.example.test")? };
        let problem = refused(&stack, &body).await?;
        let hint = "(`dns:ca.example.test`); a certificate for it is made by the service alone: ask for another name";
        violation(&problem, "name-reserved", "/subject_alternative_names/0", hint);
        administrator(&stack)?.refused(1, &["issue", "server", name], &[hint])?;
    }
    // To whom it authenticates, a client does not pass for the API.
    administrator(&stack)?.done(&["issue", "client", "ca.example.test"])?;
    administrator(&stack)?.done(&["issue", "server", "*.a.example.test"])?;
    Ok(())
}
