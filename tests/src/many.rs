//! Many certificates in short time, where a test is about their number and not about their keys.

use std::sync::Arc;

use anyhow::Context;
use ca_api::certificate::Certificate;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::identity::{SubjectKey, request};

/// How many are asked for at once.
const TOGETHER: usize = 24;

/// So many certificates, all of one new key, under the names `host-NUMBER.PARENT`.
pub async fn issue_many(
    client: Arc<Client>,
    profile: &'static str,
    parent: &str,
    count: usize,
) -> anyhow::Result<Vec<Certificate>> {
    let key = Arc::new(SubjectKey::generate()?);
    let mut callers = JoinSet::new();
    for caller in 0..TOGETHER.min(count) {
        let (client, key, parent) = (Arc::clone(&client), Arc::clone(&key), parent.to_owned());
        callers.spawn(async move {
            let mut issued = Vec::new();
            for number in (caller..count).step_by(TOGETHER) {
                let name = format!("host-{number}.{parent}");
                issued.push(client.issue(&request(profile, key.csr(&name, &[&name])?)).await?);
            }
            anyhow::Ok(issued)
        });
    }
    let mut issued = Vec::with_capacity(count);
    while let Some(caller) = callers.join_next().await {
        issued.extend(caller.context("a caller did not end")??);
    }
    Ok(issued)
}
