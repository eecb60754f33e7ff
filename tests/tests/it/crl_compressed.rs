//! Lists of every kind compressed by gzip, for clients that ask for it, on both listeners.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use ca_core::crl::ParsedCrl;
use ca_e2e::client::{Answer, Client, eventually, send};
use ca_e2e::many::issue_many;
use ca_e2e::stack::{PATIENCE, Stack, shared};
use ca_e2e::tools::{openssl, run};
use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE};
use serde_json::json;

/// So many entries make some kilobytes.
const ENTRIES: usize = 60;

/// A complete list, a shard and a delta, of [`ENTRIES`] each.
const LISTS: [&str; 3] = ["/crl/tls.crl", "/crl/tls/1.crl", "/crl/tls-delta.crl"];

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_compressed_for_who_asks_for_it() -> anyhow::Result<()> {
    let stack = Stack::with(&[("CA__AUTHORITY__TLS__SHARDS", "1"), ("CA__AUTHORITY__TLS__DELTA", "true")])?;
    let administrator = Arc::new(stack.administrator()?);
    issue_many(Arc::clone(&administrator), "client", "compressed.example.test", ENTRIES).await?;
    let all = json!({ "filter": { "profile": "client" }, "reason": "superseded", "expected_count": ENTRIES });
    administrator.post("/v1/certificates/revoke", &all).await?.expect(202)?;
    let (public, api) = (stack.public()?, stack.anonymous()?);
    for path in LISTS {
        let has_all = || async {
            let answer = public.get(path).await?;
            if answer.status == 404 {
                return Ok(None);
            }
            let list = ParsedCrl::from_der(answer.expect(200)?.body)?;
            Ok((list.entries().count() == ENTRIES).then_some(()))
        };
        eventually(PATIENCE, &format!("{path} has all that was revoked"), has_all).await?;
    }
    let folder = tempfile::tempdir_in(stack.work_folder())?;
    for (path, media_type) in LISTS.map(|path| (path, PKIX_CRL)).into_iter().chain([("/crl/all.pem", PEM_FILE)]) {
        for client in [&public, &api] {
            // A list may be made anew between two requests: then all of them are made again.
            let look = || async { compare(client, path, media_type).await };
            eventually(PATIENCE, &format!("{path} stays the same for some requests"), look)
                .await
                .with_context(|| path.to_owned())?;
        }
        let look = || async { read_with_curl(&stack, &public, path, folder.path()).await };
        eventually(PATIENCE, &format!("{path} stays the same for curl"), look).await?;
        let form = if media_type == PKIX_CRL { "DER" } else { "PEM" };
        openssl(["crl", "-inform", form, "-in", "list", "-noout", "-issuer", "-crlnumber"], folder.path())?;
    }
    Ok(())
}

const PKIX_CRL: &str = "application/pkix-crl";
const PEM_FILE: &str = "application/x-pem-file";

async fn get(client: &Client, path: &str, headers: &[(HeaderName, &str)]) -> anyhow::Result<Answer> {
    ask(client, Method::GET, path, headers).await
}

async fn ask(client: &Client, method: Method, path: &str, headers: &[(HeaderName, &str)]) -> anyhow::Result<Answer> {
    let request = headers
        .iter()
        .fold(client.request(method, path), |request, (name, value)| request.header(name.clone(), *value));
    send(request).await
}

/// Asks for a list in every way; nothing when another list took its place meanwhile.
async fn compare(client: &Client, path: &str, media_type: &str) -> anyhow::Result<Option<()>> {
    const GZIP: (HeaderName, &str) = (ACCEPT_ENCODING, "gzip");
    let plain = get(client, path, &[]).await?.expect(200)?;
    let tag = plain.header("etag").to_owned();
    let gzip_tag = format!("{}-gzip\"", tag.trim_end_matches('"'));
    let part = (RANGE, "bytes=100-199");
    let compressed = get(client, path, &[GZIP]).await?;
    let head = ask(client, Method::HEAD, path, &[GZIP]).await?;
    let refused = get(client, path, &[(ACCEPT_ENCODING, "gzip;q=0, *;q=0.5, identity")]).await?;
    let known = get(client, path, &[GZIP, (IF_NONE_MATCH, &gzip_tag)]).await?;
    let plain_known = get(client, path, &[(IF_NONE_MATCH, &tag)]).await?;
    let knows_plain = get(client, path, &[GZIP, (IF_NONE_MATCH, &tag)]).await?;
    let knows_compressed = get(client, path, &[(IF_NONE_MATCH, &gzip_tag)]).await?;
    let ranged = get(client, path, &[GZIP, part.clone()]).await?;
    let ranged_of_compressed = get(client, path, &[GZIP, part, (IF_RANGE, &gzip_tag)]).await?;
    if get(client, path, &[]).await?.expect(200)?.body != plain.body {
        return Ok(None);
    }

    for (answer, status, tag, body) in [
        (&plain, 200, &tag, &plain.body[..]),
        (&refused, 200, &tag, &plain.body),
        (&knows_compressed, 200, &tag, &plain.body),
        (&ranged, 206, &tag, &plain.body[100..200]),
        (&ranged_of_compressed, 200, &tag, &plain.body),
        (&plain_known, 304, &tag, b""),
        (&compressed, 200, &gzip_tag, &compressed.body),
        (&knows_plain, 200, &gzip_tag, &compressed.body),
        (&head, 200, &gzip_tag, b""),
        (&known, 304, &gzip_tag, b""),
    ] {
        let context = format!("{path}: {} {:?}", answer.status, answer.headers);
        ensure!((answer.status, answer.header("etag")) == (status, tag), "{status} {tag}; {context}");
        ensure!(answer.body == body, "{context}");
        ensure!(answer.header("vary").eq_ignore_ascii_case("accept-encoding"), "{context}");
        ensure!(answer.header("cache-control").contains("no-transform"), "{context}");
        ensure!(status == 304 || answer.header("content-type") == media_type, "{context}");
        let is_compressed = *tag == gzip_tag && status != 304;
        ensure!(answer.header("content-encoding") == if is_compressed { "gzip" } else { "" }, "{context}");
        ensure!(answer.headers.contains_key("accept-ranges") == (status != 304 && !is_compressed), "{context}");
    }
    ensure!(head.header("content-length") == compressed.body.len().to_string(), "{:?}", head.headers);
    // RFC 1952 §2.3.1.
    ensure!(compressed.body.starts_with(&[0x1f, 0x8b, 8]), "no gzip");
    ensure!(compressed.body.len() < plain.body.len() * 9 / 10, "{} of {}", compressed.body.len(), plain.body.len());
    Ok(Some(()))
}

/// Leaves what curl makes of the compressed list as the file `list`; nothing when another list took its place meanwhile.
async fn read_with_curl(stack: &Stack, public: &Client, path: &str, folder: &Path) -> anyhow::Result<Option<()>> {
    let plain = public.get(path).await?.expect(200)?.body;
    let url = format!("{}{path}", stack.public_url());
    let arguments =
        ["--silent", "--show-error", "--fail", "--compressed", "--dump-header", "headers", "--output", "list", &url];
    run("curl", arguments, folder)?;
    if public.get(path).await?.expect(200)?.body != plain {
        return Ok(None);
    }
    let headers = std::fs::read_to_string(folder.join("headers"))?.to_ascii_lowercase();
    ensure!(headers.contains("content-encoding: gzip"), "{headers}");
    ensure!(std::fs::read(folder.join("list"))? == plain, "curl made something else of {path}");
    Ok(Some(()))
}

#[tokio::test]
async fn a_list_of_a_few_octets_is_left_as_it_is() -> anyhow::Result<()> {
    let stack = shared()?;
    // The root's list: no other test changes it.
    let list = stack.public()?.get_with("/crl/root.crl", ACCEPT_ENCODING, "gzip").await?.expect(200)?;
    ensure!(list.body.len() < 1_024, "{} octets", list.body.len());
    ParsedCrl::from_der(list.body.clone())?;
    assert_eq!((list.header("content-encoding"), list.header("vary")), ("", "Accept-Encoding"));
    assert!(!list.header("etag").contains("gzip"), "{}", list.header("etag"));
    Ok(())
}
