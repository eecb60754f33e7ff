//! A restoration that is killed, again and again and ever later: whoever begins it again ends with the whole record.

use std::time::Duration;

use anyhow::{bail, ensure};
use ca_e2e::client::eventually;
use ca_e2e::record::{audit_events, rehash};
use ca_e2e::stack::PATIENCE;

use super::restore::{Lost, list, lose, ocsp};

/// How long the first attempt lives.
const FIRST: Duration = Duration::from_millis(40);

/// How much longer each attempt lives than the one before: so much, and an eighth, or a slow machine would never come to its end.
const STEP: Duration = Duration::from_millis(40);

#[tokio::test(flavor = "multi_thread")]
async fn a_restoration_that_is_killed_anywhere_is_begun_again_and_ends_whole() -> anyhow::Result<()> {
    let Lost { site, backup, old, new, revoked, number, .. } = lose().await?;
    let (restore, reconcile) = (backup.restore_command(), ["restore".to_owned(), "--reconcile".to_owned()]);
    let (mut kills, mut kills_when_loaded, mut is_loaded) = (0, 0, false);
    for life in std::iter::successors(Some(FIRST), |life| Some(*life + STEP.max(*life / 8))) {
        let arguments: Vec<&str> =
            if is_loaded { &reconcile[..] } else { &restore[..] }.iter().map(String::as_str).collect();
        let mut process = site.start(&arguments)?;
        match process.wait(life) {
            Ok(status) if status.success() => break,
            Ok(_) => {
                // What the last attempt loaded is closed until it is reconciled; the message says so.
                let said = process.lines().join("\n");
                ensure!(!is_loaded && said.contains("not empty") && said.contains("restore --reconcile"), "{said}");
                is_loaded = true;
            }
            Err(_) => {
                kills += 1;
                kills_when_loaded += u32::from(is_loaded);
            }
        }
        if life > Duration::from_secs(120) {
            bail!("the restoration does not end");
        }
    }
    println!("killed {kills} times, {kills_when_loaded} of them after the record was loaded");
    ensure!(kills > 3, "it was never killed");
    let (succeeded, said) = site.run(&["restore", "--reconcile"])?;
    ensure!(succeeded && said.contains("nothing to do"), "{said}");
    let stack = site.serve()?;
    for certificate in &revoked {
        ensure!(ocsp(&stack, certificate)? == "revoked", "{} is revoked no more", certificate.id);
    }
    ensure!(ocsp(&stack, &old[2].0)? == "good" && ocsp(&stack, &new[5].0)? == "unknown");
    let after = list(&stack.public()?, stack.work_folder()).await?;
    ensure!(after.number > number && revoked.iter().all(|certificate| after.has(certificate)), "the list is another");
    let administrator = stack.administrator()?;
    let chained = || async {
        let events = audit_events(&administrator).await?;
        Ok(events.iter().any(|event| event.action == "record-restored").then_some(events))
    };
    let events = eventually(PATIENCE, "the event of the restoration", chained).await?;
    rehash(&events)?;
    let restored = events.iter().filter(|event| event.action == "record-restored").count();
    ensure!(restored == 1, "restored {restored} times");
    Ok(())
}
