//! Reading what is on record: by name, in lists, by search, in the representation that was asked for.

use ca_api::certificate::{Certificate, CertificateStatus, PEM_CERTIFICATE_CHAIN, PKIX_CERT};
use ca_api::page::Page;
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_e2e::client::Client;
use ca_e2e::identity::{SubjectKey, dns, request};
use ca_e2e::stack::{Stack, shared};
use ca_e2e::tools::openssl;
use reqwest::header::ACCEPT;
use serde_json::json;

async fn list(client: &Client, query: &str) -> anyhow::Result<Page<Certificate>> {
    client.get(&format!("{}{query}", route::CERTIFICATES)).await?.expect(200)?.json()
}

#[tokio::test]
async fn a_certificate_is_found_by_each_of_its_names() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("server", "named.example.test").await?;
    let serial = &certificate.serial;
    let names = [certificate.id.clone(), format!("tls:{serial}"), serial.clone(), serial.to_uppercase()];
    for name in names {
        let found: Certificate = administrator.get(&format!("/v1/certificates/{name}")).await?.expect(200)?.json()?;
        assert_eq!(found, certificate, "{name}");
    }
    for name in [format!("document:{serial}"), "tls:00".to_owned(), "nonsense".to_owned(), "a:b:c".to_owned()] {
        let answer = administrator.get(&format!("/v1/certificates/{name}")).await?;
        answer.expect_problem(ProblemType::NotFound)?;
    }
    Ok(())
}

#[tokio::test]
async fn accept_chooses_among_json_pem_and_der() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let (certificate, _) = administrator.enrol("server", "accept.example.test").await?;
    let path = format!("/v1/certificates/{}", certificate.id);
    for json in ["application/json", "*/*", "application/*", "text/html, application/json;q=0.5", ""] {
        let answer = administrator.get_with(&path, ACCEPT, json).await?.expect(200)?;
        assert_eq!(answer.header("content-type"), "application/json", "{json}");
        assert_eq!(answer.json::<Certificate>()?, certificate);
    }
    let pem = administrator.get_with(&path, ACCEPT, PEM_CERTIFICATE_CHAIN).await?.expect(200)?;
    assert_eq!(pem.header("content-type"), PEM_CERTIFICATE_CHAIN);
    assert_eq!(pem.text(), format!("{}{}", certificate.certificate, certificate.chain));
    let der = administrator.get_with(&path, ACCEPT, PKIX_CERT).await?.expect(200)?;
    assert_eq!(der.header("content-type"), PKIX_CERT);
    std::fs::write(stack.work_folder().join("accept.der"), &der.body)?;
    let read = openssl(["x509", "-inform", "DER", "-in", "accept.der", "-outform", "PEM"], stack.work_folder())?;
    assert_eq!(read.text(), certificate.certificate);
    let refused = administrator.get_with(&path, ACCEPT, "text/html").await?;
    let problem = refused.expect_problem(ProblemType::NotAcceptable)?;
    assert!(problem.detail.contains(PKIX_CERT), "{}", problem.detail);
    Ok(())
}

#[tokio::test]
async fn a_list_goes_on_where_its_page_ended() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let mut issued = Vec::new();
    for number in 0..5 {
        issued.push(administrator.enrol("client", &format!("page{number}.example.test")).await?.0.id);
    }
    issued.reverse();
    let mut seen = Vec::new();
    let mut query = "?profile=client&limit=2".to_owned();
    loop {
        let page = list(&administrator, &query).await?;
        assert!(page.items.len() <= 2);
        seen.extend(page.items.into_iter().map(|certificate| certificate.id));
        let Some(cursor) = page.next_cursor else { break };
        query = format!("?profile=client&limit=2&cursor={cursor}");
    }
    assert_eq!(seen, issued, "newest first, none twice, none left out");
    Ok(())
}

#[tokio::test]
async fn filters_all_hold_together() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let (server, _) = administrator.enrol("server", "filter.example.test").await?;
    let (revoked, _) = administrator.enrol("client", "revoked.example.test").await?;
    let (held, _) = administrator.enrol("client", "held.example.test").await?;
    administrator.revoke(&revoked.id, "superseded").await?;
    administrator.revoke(&held.id, "certificateHold").await?;
    let mut short = request("client", SubjectKey::generate()?.csr("short", &["short.example.test"])?);
    short.validity = Some("1h".to_owned());
    let short = administrator.issue(&short).await?;

    let own = &server.owner;
    for (query, expected) in [
        ("profile=server".to_owned(), vec![&server.id]),
        ("profile=client&status=revoked".to_owned(), vec![&revoked.id]),
        ("status=held".to_owned(), vec![&held.id]),
        ("profile=client&status=active".to_owned(), vec![&short.id]),
        ("status=expired".to_owned(), vec![]),
        ("profile=client&authority=document".to_owned(), vec![]),
        (format!("serial={}", held.serial), vec![&held.id]),
        (format!("serial={}", held.serial.to_uppercase()), vec![&held.id]),
        (format!("owner={own}&profile=server"), vec![&server.id]),
        (format!("expires_before={}&profile=client", revoked.not_after), vec![&short.id]),
        (format!("issued_after={}&profile=server", server.not_after), vec![]),
        (format!("issued_after={}&profile=server", server.not_before), vec![&server.id]),
    ] {
        let found = list(&administrator, &format!("?{query}")).await?;
        let found: Vec<&String> = found.items.iter().map(|certificate| &certificate.id).collect();
        assert_eq!(found, expected, "{query}");
    }
    let listed = list(&administrator, "?status=held").await?.items;
    assert_eq!(listed[0].status, CertificateStatus::Held);
    Ok(())
}

#[tokio::test]
async fn a_search_finds_by_whole_names_in_whatever_case() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let key = SubjectKey::generate()?;
    let mut body = request("client", key.csr("Searched For", &["search.example.test"])?);
    body.subject = Some("CN=Searched For,O=Example".to_owned());
    let certificate = administrator.issue(&body).await?;
    for search in [
        json!({ "name": "search.example.test" }),
        json!({ "name": "SEARCH.example.TEST" }),
        json!({ "name": "searched for" }),
        json!({ "name": "search.example.test", "profile": "client", "status": "active", "authority": "tls" }),
        json!({ "subject": "CN=Searched For,O=Example" }),
    ] {
        let found: Page<Certificate> =
            administrator.post(route::CERTIFICATE_SEARCH, &search).await?.expect(200)?.json()?;
        let ids: Vec<&String> = found.items.iter().map(|certificate| &certificate.id).collect();
        assert_eq!(ids, [&certificate.id], "{search}");
    }
    for search in [
        json!({ "name": "search.example" }),
        json!({ "name": "%" }),
        json!({ "subject": "CN=Searched For" }),
        json!({ "name": "search.example.test", "status": "revoked" }),
        json!({ "name": "' OR 1=1 --" }),
    ] {
        let found: Page<Certificate> =
            administrator.post(route::CERTIFICATE_SEARCH, &search).await?.expect(200)?.json()?;
        assert_eq!(found.items, [], "{search}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_list_cannot_be_asked_is_said_with_its_place() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    for (query, pointer) in [
        ("limit=0", "?limit"),
        ("limit=1001", "?limit"),
        ("cursor=nonsense", "?cursor"),
        ("serial=xyz", "?serial"),
        ("expires_before=tomorrow", "?expires_before"),
        ("profile=No%20Such%20Name!", "?profile"),
    ] {
        let answer = administrator.get(&format!("{}?{query}", route::CERTIFICATES)).await?;
        let problem = answer.expect_problem(ProblemType::InvalidRequest)?;
        assert_eq!(problem.errors.len(), 1, "{problem:?}");
        assert_eq!(problem.errors[0].pointer, pointer, "{problem:?}");
    }
    for query in ["status=gone", "limit=ten", "nonsense=1"] {
        let answer = administrator.get(&format!("{}?{query}", route::CERTIFICATES)).await?;
        answer.expect_problem(ProblemType::MalformedRequest)?;
    }
    let all_at_once = administrator.get(&format!("{}?limit=0&serial=xyz&cursor=%20", route::CERTIFICATES)).await?;
    assert_eq!(all_at_once.expect_problem(ProblemType::InvalidRequest)?.errors.len(), 3);
    Ok(())
}

#[tokio::test]
async fn authorities_and_profiles_say_what_they_are() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let authorities: Page<ca_api::authority::Authority> =
        administrator.get(route::AUTHORITIES).await?.expect(200)?.json()?;
    let ids: Vec<&str> = authorities.items.iter().map(|authority| authority.id.as_str()).collect();
    assert_eq!(ids, ["root", "document", "tls"], "parents before their children");
    for authority in &authorities.items {
        let path = format!("/v1/authorities/{}", authority.id);
        let alone: ca_api::authority::Authority = administrator.get(&path).await?.expect(200)?.json()?;
        assert_eq!(alone.fingerprint_sha256, authority.fingerprint_sha256);
        assert_eq!(authority.parent.as_deref(), (authority.id != "root").then_some("root"));
        // The root's key lies in its file: a running service does not have it.
        assert_eq!(authority.key.available, authority.id != "root", "{}", authority.id);
        assert!(authority.crl.is_some(), "{} has published a list", authority.id);
    }
    let profiles: Page<ca_api::profile::Profile> = administrator.get(route::PROFILES).await?.expect(200)?.json()?;
    let names: Vec<&str> = profiles.items.iter().map(|profile| profile.name.as_str()).collect();
    assert_eq!(names, ["client", "document", "server"]);
    for path in ["/v1/authorities/nobody", "/v1/authorities/%2e%2e", "/v1/profiles/nothing"] {
        administrator.get(path).await?.expect_problem(ProblemType::NotFound)?;
    }
    Ok(())
}

#[tokio::test]
async fn names_are_shown_as_they_were_asked_for() -> anyhow::Result<()> {
    let stack = shared()?;
    let mut body = request("server", SubjectKey::generate()?.csr("x", &[])?);
    body.subject_alternative_names = Some(vec![dns("bücher.example.test")]);
    let certificate = stack.administrator()?.issue(&body).await?;
    assert_eq!(certificate.subject_alternative_names, [dns("xn--bcher-kva.example.test")]);
    Ok(())
}
