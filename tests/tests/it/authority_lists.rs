//! What is told of an authority's revocation lists is what is served at their URLs.

use anyhow::{Context, ensure};
use ca_api::authority::{Authority, PublishedList};
use ca_core::crl::ParsedCrl;
use ca_e2e::cli::Terminal;
use ca_e2e::client::{Client, eventually};
use ca_e2e::stack::{PATIENCE, Stack};

use crate::cli_remote::administrator;

/// Whether a list is served as it is told of; `None` when another one has come meanwhile.
async fn is_served(stack: &Stack, public: &Client, told: &PublishedList) -> anyhow::Result<Option<()>> {
    let url = told.url.as_deref().context("a URL")?;
    let path = url.strip_prefix(&stack.public_url()).with_context(|| format!("{url} is elsewhere"))?;
    let der = public.get(path).await?.expect(200)?.body;
    let list = ParsedCrl::from_der(der.clone())?;
    if list.number() != Some(told.number) {
        return Ok(None);
    }
    ensure!((list.entries().count() as u64, der.len() as u64) == (told.entries, told.octets), "{told:?}");
    ensure!(list.this_update().to_rfc3339() == told.this_update, "{told:?}");
    ensure!(list.next_update().map(|end| end.to_rfc3339()).as_deref() == Some(&told.next_update), "{told:?}");
    Ok(Some(()))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_of_an_authority_is_told_as_it_is_served() -> anyhow::Result<()> {
    let settings = [("CA__AUTHORITY__TLS__SHARDS", "3"), ("CA__AUTHORITY__TLS__DELTA", "true")];
    let stack = Stack::with(&settings)?;
    let (client, public) = (stack.administrator()?, stack.public()?);
    let (certificate, _) = client.enrol("client", "listed.example.test").await?;
    client.revoke(&certificate.id, "superseded").await?;
    let as_served = || async {
        let told: Authority = client.get("/v1/authorities/tls").await?.expect(200)?.json()?;
        let lists = &told.revocation_lists;
        let (Some(complete), Some(delta), Some(shards)) = (&lists.complete, &lists.delta, &lists.shards) else {
            return Ok(None);
        };
        // They are made one after the other. A delta to a complete list that has the revocation already is empty.
        if (complete.entries, shards.entries, shards.lists.len()) != (1, 1, 3) {
            return Ok(None);
        }
        assert_eq!(told.crl.as_ref().map(|crl| crl.number), Some(complete.number));
        let numbers: Vec<_> = shards.lists.iter().map(|list| list.shard).collect();
        assert_eq!((shards.count, numbers), (3, vec![Some(1), Some(2), Some(3)]));
        assert_eq!(shards.octets, shards.lists.iter().map(|list| list.octets).sum::<u64>());
        assert_eq!(shards.lists.iter().map(|list| &list.next_update).min(), Some(&shards.first_next_update));
        for list in shards.lists.iter().chain([complete, delta]) {
            if is_served(&stack, &public, list).await?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(told))
    };
    let told = eventually(PATIENCE * 4, "what is told is what is served", as_served).await?;
    let root: Authority = client.get("/v1/authorities/root").await?.expect(200)?.json()?;
    ensure!(root.revocation_lists.delta.is_none() && root.revocation_lists.shards.is_none(), "{root:?}");

    // The command says the same, with a server and without one.
    let shown = administrator(&stack)?.done(&["authority", "show", "tls"])?;
    let urls: Vec<String> = told
        .revocation_lists
        .shards
        .iter()
        .flat_map(|shards| &shards.lists)
        .chain(&told.revocation_lists.complete)
        .chain(&told.revocation_lists.delta)
        .filter_map(|list| list.url.clone())
        .collect();
    assert_eq!(urls.len(), 5);
    for text in urls.iter().map(String::as_str).chain(["complete", "delta", "shard 2", "3 shards together"]) {
        ensure!(shown.contains(text), "{text} is missing: {shown}");
    }
    let site = tokio::task::block_in_place(|| stack.stop())?;
    let local: Authority = Terminal::local_at(&site)?.json(&["authority", "show", "tls"])?;
    let places = |authority: &Authority| {
        let lists = &authority.revocation_lists;
        let shards = lists.shards.iter().flat_map(|shards| &shards.lists);
        shards.chain(&lists.complete).chain(&lists.delta).filter_map(|list| list.url.clone()).collect::<Vec<_>>()
    };
    assert_eq!(places(&local), urls);
    Ok(())
}
