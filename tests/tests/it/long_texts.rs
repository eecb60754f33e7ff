//! Texts as long as a request may be, in every place that takes a text: each is refused in words, and the service goes on. A
//! reader that calls itself for each character would end the process with its stack, which no handler can catch.

use anyhow::{Context, ensure};
use ca_api::certificate::Certificate;
use ca_api::page::Page;
use ca_api::route;
use ca_e2e::client::{Answer, Client};
use ca_e2e::identity::SubjectKey;
use ca_e2e::stack::shared;
use serde_json::{Value, json};

/// What the texts repeat: digits and dots of identifiers, and whatever opens, escapes or separates in some grammar.
const REPEATED: [&str; 18] = [
    "0",
    "1.",
    "1",
    "a",
    "a.",
    "*.",
    "a@",
    "é",
    "\\",
    "\"",
    "[",
    "{",
    "(",
    "CN=a,",
    "+",
    "%",
    "-----BEGIN ",
    "\u{202e}",
];

/// Octets of a text in a body; the body itself may have 256 KiB.
const IN_A_BODY: usize = 60_000;

/// Octets of a text in a path or a query.
const IN_A_PATH: usize = 16_000;

fn long(repeated: &str, octets: usize) -> String {
    repeated.repeat(octets / repeated.len())
}

/// Refused, in words, which are shorter than the text.
fn refused(answer: anyhow::Result<Answer>, what: &str) -> anyhow::Result<()> {
    let what = || what.chars().take(200).collect::<String>();
    let answer = answer.with_context(what)?;
    ensure!((400..500).contains(&answer.status), "{} to {}: {}", answer.status, what(), answer.text());
    answer.problem().with_context(what)?;
    ensure!(answer.body.len() < 16_000, "{} octets say that {} is wrong", answer.body.len(), what());
    Ok(())
}

async fn post_each(client: &Client, path: &str, bodies: Vec<Value>) -> anyhow::Result<()> {
    for body in bodies {
        refused(client.post(path, &body).await, &format!("{path} {body}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn in_the_bodies_of_requests() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    let csr = SubjectKey::generate()?.csr("long.example.test", &["long.example.test"])?;
    for text in REPEATED.map(|repeated| long(repeated, IN_A_BODY)) {
        let names = ["dns", "ip", "email", "uri", "directory", "registeredID", "otherName", "upn", &text];
        let names = names.map(|kind| json!([{ "type": kind, "value": text }]));
        let other_name = json!([{ "type": "otherName", "value": format!("{text};UTF8:x") }]);
        let names: Vec<Value> = names.into_iter().chain([other_name]).collect();
        let certificate = |name: &Value| json!({ "profile": "server", "csr": csr, "subject_alternative_names": name });
        let token = |name: &Value| json!({ "profile": "server", "subject_alternative_names": name });
        post_each(&administrator, route::CERTIFICATES, names.iter().map(certificate).collect()).await?;
        post_each(&administrator, route::ENROLMENT_TOKENS, names.iter().map(token).collect()).await?;

        let certificates = vec![
            json!({ "profile": text, "csr": csr }),
            json!({ "profile": "server", "csr": text }),
            json!({ "profile": "server", "csr": csr, "subject": text }),
            json!({ "profile": "server", "csr": csr, "subject": format!("{text}=x") }),
            json!({ "profile": "server", "csr": csr, "validity": text }),
            json!({ "profile": "server", "csr": csr, text.as_str(): 1 }),
        ];
        post_each(&administrator, route::CERTIFICATES, certificates).await?;
        let tokens = vec![
            json!({ "profile": text, "common_name": "x" }),
            json!({ "profile": "server", "common_name": text }),
            json!({ "profile": "server", "common_name": "x", "validity": text }),
        ];
        post_each(&administrator, route::ENROLMENT_TOKENS, tokens).await?;
        // Any text may be looked for.
        for key in ["subject", "name"] {
            let found = administrator.post(route::CERTIFICATE_SEARCH, &json!({ key: text })).await?.expect(200)?;
            ensure!(found.json::<Page<Certificate>>()?.items.is_empty(), "{key}: {}", found.text());
        }
        let searches = ["status", "profile", "authority", "cursor"].map(|key| json!({ key: text }));
        post_each(&administrator, route::CERTIFICATE_SEARCH, searches.to_vec()).await?;
        let revocations = ["reason", "invalidity_date", "note"].map(|key| json!({ "reason": "superseded", key: text }));
        post_each(&administrator, "/v1/certificates/tls:01/revoke", revocations.to_vec()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn in_paths_and_queries() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    for text in REPEATED.map(|repeated| percent_encoded(&long(repeated, IN_A_PATH / 3))) {
        for key in
            ["status", "profile", "authority", "expires_before", "issued_after", "serial", "limit", "cursor", &text]
        {
            let path = format!("{}?{key}={text}", route::CERTIFICATES);
            refused(administrator.get(&path).await, &path)?;
        }
        for before in ["/v1/certificates/", "/v1/certificates/tls:", "/v1/authorities/", "/v1/profiles/", "/v1/"] {
            let path = format!("{before}{text}");
            refused(administrator.get(&path).await, &path)?;
        }
    }
    Ok(())
}

/// JSON within JSON, as deep as it goes.
#[tokio::test]
async fn in_depth() -> anyhow::Result<()> {
    let stack = shared()?;
    let administrator = stack.administrator()?;
    for (opens, closes) in [("[", "]"), ("{\"a\":", "}")] {
        let body = format!("{}1{}", opens.repeat(20_000), closes.repeat(20_000));
        for path in [route::CERTIFICATES, route::CERTIFICATE_SEARCH, route::ENROLMENT_TOKENS] {
            let request = administrator.request(reqwest::Method::POST, path).header("content-type", "application/json");
            refused(ca_e2e::client::send(request.body(body.clone())).await, path)?;
        }
    }
    Ok(())
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(octet).to_string(),
            _ => format!("%{octet:02X}"),
        })
        .collect()
}
