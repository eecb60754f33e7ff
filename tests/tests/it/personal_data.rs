//! What documents' certificates say of people is written nowhere in clear: no table, no log, no event, no metric; and is read by whom
//! it is meant for all the same.

use ca_api::certificate::{Certificate, NewCertificate, SubjectAlternativeName, SubjectAlternativeNameType};
use ca_api::page::Page;
use ca_api::route;
use ca_api::token::NewEnrolmentToken;
use ca_e2e::client::{Client, send};
use ca_e2e::identity::{SubjectKey, name, request};
use ca_e2e::leak::leaks;
use ca_e2e::stack::{PATIENCE, Site, Stack};
use reqwest::Method;
use serde_json::json;

const NAME: &str = "Ana Zuleica Quaresma";
const EMAIL: &str = "ana.zuleica@quaresma.example";
const CPF: &str = "98765432100";
const TOKEN_NAME: &str = "Bento Wenceslau Xisto";
const TOKEN_EMAIL: &str = "bento@xisto.example";
const SECRETS: [&str; 5] = [NAME, EMAIL, CPF, TOKEN_NAME, TOKEN_EMAIL];

/// Date of birth, CPF, and what else ICP-Brasil puts there (DOC-ICP-04): the very octets that the search term is made of.
fn cpf_name() -> String {
    format!("2.16.76.1.3.1=01011970{CPF}000000000000000000000000000000")
}

fn names() -> Vec<SubjectAlternativeName> {
    vec![name(SubjectAlternativeNameType::Email, EMAIL), name(SubjectAlternativeNameType::OtherName, &cpf_name())]
}

fn document() -> anyhow::Result<NewCertificate> {
    let mut body = request("document", SubjectKey::generate()?.csr(NAME, &[])?);
    body.subject = Some(format!("CN={NAME},O=Example"));
    body.subject_alternative_names = Some(names());
    Ok(body)
}

async fn found(client: &Client, search: serde_json::Value) -> anyhow::Result<Vec<String>> {
    let page: Page<Certificate> = client.post(route::CERTIFICATE_SEARCH, &search).await?.expect(200)?.json()?;
    Ok(page.items.into_iter().map(|item| item.id).collect())
}

/// A service that logs whatever of ours can be logged.
fn talkative() -> anyhow::Result<Stack> {
    Site::initialised(&[])?
        .serve_with(&["--log", "info,ca_server=trace,ca_engine=trace,ca_store=trace,ca_runtime=trace"])
}

fn assert_clean(what: &str, octets: &[u8]) {
    assert!(!octets.is_empty(), "{what} was read");
    let leaks = leaks(octets, &SECRETS);
    let told: Vec<String> = leaks.iter().map(ToString::to_string).collect();
    assert!(leaks.is_empty(), "in {what}: {}", told.join("\n"));
}

#[tokio::test]
async fn no_table_log_event_or_metric_names_a_person() -> anyhow::Result<()> {
    let stack = talkative()?;
    let administrator = stack.administrator()?;
    // A certificate, asked for twice with a key that is itself a CPF, and once with another body.
    let body = document()?;
    let ask = |key: &str, body: &NewCertificate| {
        send(administrator.request(Method::POST, route::CERTIFICATES).header("idempotency-key", key).json(body))
    };
    let issued: Certificate = ask(CPF, &body).await?.expect(201)?.json()?;
    assert_eq!(issued.subject, format!("CN={NAME},O=Example"));
    assert_eq!(issued.subject_alternative_names, names());
    let again: Certificate = ask(CPF, &body).await?.expect(201)?.json()?;
    assert_eq!(again, issued);
    ask(CPF, &document()?).await?.expect(409)?;
    // Renewed, revoked.
    let path = format!("/v1/certificates/{}", issued.id);
    let renewed = administrator.post(&format!("{path}/renew"), &json!({ "reuse_key": true })).await?.expect(201)?;
    let successor: Certificate = renewed.json()?;
    assert_eq!(successor.subject_alternative_names, names());
    administrator.revoke(&successor.id, "keyCompromise").await?;
    // A token for somebody, used and left.
    for uses in [1, 2] {
        let body = NewEnrolmentToken {
            profile: "document".to_owned(),
            subject_alternative_names: vec![name(SubjectAlternativeNameType::Email, TOKEN_EMAIL)],
            common_name: Some(TOKEN_NAME.to_owned()),
            validity: None,
            uses: Some(uses),
        };
        let token: ca_api::token::CreatedEnrolmentToken =
            administrator.post(route::ENROLMENT_TOKENS, &body).await?.expect(201)?.json()?;
        let mut body = request("document", SubjectKey::generate()?.csr(TOKEN_NAME, &[])?);
        body.subject_alternative_names = Some(vec![name(SubjectAlternativeNameType::Email, TOKEN_EMAIL)]);
        let bearer = stack.bearer(token.secret.expose())?;
        let certificate = bearer.issue(&body).await?;
        assert_eq!(certificate.subject, format!("CN={TOKEN_NAME}"));
        // What it is not bound to.
        bearer.post(route::CERTIFICATES, &document()?).await?.expect(403)?;
    }
    let tokens = administrator.get(route::ENROLMENT_TOKENS).await?.expect(200)?;
    assert!(tokens.text().contains(TOKEN_EMAIL), "who may read it does");
    // Requests that come to nothing, each in another way.
    let mut refused = vec![];
    for (subject, names) in [
        (format!("CN={NAME},C=Brasil {CPF}"), names()),
        (format!("{NAME} {CPF}"), names()),
        (format!("CN={NAME},2.5.4.99={CPF}"), names()),
        (format!("CN={NAME}"), vec![name(SubjectAlternativeNameType::Email, &format!("{NAME}@{CPF}"))]),
        (format!("CN={NAME}"), vec![name(SubjectAlternativeNameType::OtherName, &format!("1.2.3.4={NAME} {CPF}"))]),
        (format!("CN={NAME}"), vec![]),
    ] {
        let mut body = document()?;
        body.subject = Some(subject);
        body.subject_alternative_names = Some(names);
        refused.push(administrator.post(route::CERTIFICATES, &body).await?.status);
        body.profile = "server".to_owned();
        refused.push(administrator.post(route::CERTIFICATES, &body).await?.status);
    }
    assert!(refused.iter().all(|status| (400..500).contains(status)), "{refused:?}");
    stack.anonymous()?.post(route::CERTIFICATES, &document()?).await?.expect(401)?;
    // It is found by whom it is meant for.
    let both = [successor.id.clone(), issued.id.clone()];
    for search in [
        json!({ "name": EMAIL.to_uppercase() }),
        json!({ "name": NAME }),
        json!({ "name": cpf_name() }),
        json!({ "subject": format!("CN={NAME},O=Example") }),
    ] {
        assert_eq!(found(&administrator, search.clone()).await?, both, "{search}");
    }
    assert_eq!(found(&administrator, json!({ "name": CPF })).await?, Vec::<String>::new());
    let read: Certificate = administrator.get(&path).await?.expect(200)?.json()?;
    assert_eq!(read.certificate, issued.certificate);

    // Events have their place within a second.
    let events = ca_e2e::client::eventually(PATIENCE, "the events are in the chain", || async {
        let events = serde_json::to_string(&ca_e2e::record::audit_events(&administrator).await?)?;
        Ok((events.matches("personal_data_commitment").count() == 4).then_some(events))
    })
    .await?;
    let metrics = stack.admin()?.get("/metrics").await?.expect(200)?;
    assert_clean("the audit events", events.as_bytes());
    assert_clean("the metrics", &metrics.body);
    assert_clean("the record of a running service", &stack.record_octets()?);
    let logs = stack.logs().join("\n");
    assert!(logs.contains("serving"), "it is the log that was read");
    assert_clean("the log", logs.as_bytes());
    // The hunt finds what is planted.
    let planted = [logs.as_bytes(), format!("\n{NAME}").as_bytes()].concat();
    assert_eq!(leaks(&planted, &SECRETS).len(), 1);
    let site = stack.stop()?;
    let (succeeded, said) = site.run(&["job", "run", "personal-data-key"])?;
    assert!(succeeded, "{said}");
    assert_clean("what a replacement of the key said", said.as_bytes());
    Ok(())
}

#[tokio::test]
async fn a_replacement_of_the_key_that_was_killed_is_gone_on_with_and_loses_nothing() -> anyhow::Result<()> {
    let stack = Stack::start()?;
    let administrator = stack.administrator()?;
    let mut issuing = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let client = administrator.clone();
        issuing.spawn(async move {
            let mut issued = Vec::new();
            for _ in 0..40 {
                issued.push(client.issue(&document()?).await?);
            }
            anyhow::Ok(issued)
        });
    }
    let mut issued = Vec::new();
    while let Some(some) = issuing.join_next().await {
        issued.extend(some??);
    }
    // Beside the running server, and killed after its first step.
    let mut job = stack.start(&["job", "run", "personal-data-key"])?;
    job.wait_for_line("\"progress\"", PATIENCE)?;
    job.kill();
    let in_between = document()?;
    issued.push(administrator.issue(&in_between).await?);
    // The lease of the dead ends within seconds.
    let said = ca_e2e::client::eventually(PATIENCE, "the lease of the dead ends", || async {
        let (succeeded, said) = stack.run(&["job", "run", "personal-data-key"])?;
        anyhow::ensure!(succeeded, "{said}");
        Ok((!said.contains("another replica is at it")).then_some(said))
    })
    .await?;
    assert!(said.contains("\"keys_dropped\":1"), "{said}");
    assert!(said.contains("\"older_keys_left\":0"), "{said}");
    for certificate in issued.iter().step_by(20) {
        let read: Certificate =
            administrator.get(&format!("/v1/certificates/{}", certificate.id)).await?.expect(200)?.json()?;
        assert_eq!(read, *certificate);
    }
    let mut found_by_name = 0;
    let mut cursor: Option<String> = None;
    loop {
        let page: Page<Certificate> = administrator
            .post(route::CERTIFICATE_SEARCH, &json!({ "name": EMAIL, "limit": 1000, "cursor": cursor }))
            .await?
            .expect(200)?
            .json()?;
        found_by_name += page.items.len();
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found_by_name, issued.len());
    assert_clean("the record", &stack.record_octets()?);
    // A restart knows the new key, and the service goes on under it.
    let stack = stack.stop()?.serve()?;
    let read: Certificate =
        stack.administrator()?.get(&format!("/v1/certificates/{}", issued[0].id)).await?.expect(200)?.json()?;
    assert_eq!(read, issued[0]);
    Ok(())
}
