//! A drill of a compromise: counted first, then done at a small hierarchy, with the time that each step took.

use anyhow::{Context, ensure};
use ca_api::certificate::{Certificate, CertificateStatus};
use ca_api::managed::ManagedCertificate;
use ca_e2e::cli::Terminal;
use ca_e2e::client::eventually;
use ca_e2e::stack::{EMBEDDED, PATIENCE, Site};
use serde_json::Value;

/// How many managed certificates there are; one more is paused.
const MANAGED: usize = 5;

fn current(terminal: &Terminal, name: &str) -> anyhow::Result<Option<String>> {
    let there: ManagedCertificate = terminal.json(&["managed", "show", name])?;
    Ok(there.current.map(|current| current.certificate))
}

#[tokio::test]
async fn what_an_authority_issued_is_replaced_and_revoked_and_what_is_left_is_told() -> anyhow::Result<()> {
    let site = Site::initialised(&[EMBEDDED])?;
    let stack = site.serve()?;
    let terminal = crate::cli_remote::administrator(&stack)?;
    let mut file = String::new();
    for number in 0..=MANAGED {
        let path = terminal.path(&format!("tls-{number}"));
        file.push_str(&format!(
            "[[managed]]\nname = \"site-{number}\"\nprofile = \"server\"\n\
             subject_alternative_names = [\"dns:site-{number}.example.com\"]\n\
             target = {{ kind = \"directory\", path = \"{}\" }}\n\n",
            path.display()
        ));
    }
    terminal.write("sites.toml", &file)?;
    terminal.done(&["managed", "apply", "--file", "sites.toml", "--yes"])?;
    let names: Vec<String> = (0..=MANAGED).map(|number| format!("site-{number}")).collect();
    eventually(PATIENCE, "the first certificates", async || {
        let there: Vec<ManagedCertificate> = terminal.json(&["managed", "list"])?;
        Ok(there.iter().all(|one| one.current.is_some() && one.rotation.is_none()).then_some(()))
    })
    .await?;
    let paused = &names[MANAGED];
    terminal.done(&["managed", "pause", paused])?;
    let before: Vec<Option<String>> = names.iter().map(|name| current(&terminal, name)).collect::<Result<_, _>>()?;
    // Two holders: one will renew, one will not.
    terminal.done(&["issue", "client", "renews"])?;
    terminal.done(&["issue", "client", "sleeps"])?;

    // 1. It is counted, and nothing is changed.
    let drill = ["authority", "compromise-drill", "tls"];
    let planned: Value = terminal.json(&drill)?;
    assert_eq!(planned["executed"], false);
    assert_eq!(planned["steps"][2]["count"], MANAGED + 1);
    let said = terminal.done(&drill)?;
    ensure!(said.contains("ca-server authority rollover tls") && said.contains("nothing was changed"), "{said}");
    terminal.refused(2, &[&drill[..], &["--execute"]].concat(), &["--confirm tls"])?;
    terminal.refused(1, &[&drill[..], &["--execute", "--confirm", "document"]].concat(), &["another authority"])?;

    // 2. It waits for the next generation, whoever makes it.
    let execute = [&drill[..], &["--execute", "--confirm", "tls", "--within", "10m", "--waves", "1"]].concat();
    let (done, made) = std::thread::scope(|scope| {
        let running = scope.spawn(|| terminal.run(&[&execute[..], &["--output", "json"]].concat()));
        let made = stack.run(&["authority", "rollover", "tls", "--issue-after", "15s"]);
        (running.join(), made)
    });
    let (succeeded, said) = made?;
    ensure!(succeeded, "{said}");
    // One is paused, and stays: that is a failure to be told, with the whole report.
    let done = done.map_err(|_| anyhow::anyhow!("the drill panicked"))??;
    ensure!(done.code == Some(1), "{done:?}");
    let done: Value = serde_json::from_str(&done.stdout)?;
    println!("{done:#}");
    assert_eq!((&done["executed"], &done["next_generation"]), (&Value::from(true), &Value::from("tls-2")));
    for (step, count) in [(0, 1), (1, 2), (2, MANAGED), (3, MANAGED)] {
        assert_eq!(done["steps"][step]["count"], count, "{done:#}");
        ensure!(done["steps"][step]["seconds"].is_f64(), "{done:#}");
    }
    assert_eq!(done["managed_left"], serde_json::json!([paused]));
    for (name, old) in names.iter().zip(&before).take(MANAGED) {
        let old = old.as_deref().context("it had one")?;
        let there: Certificate = terminal.json(&["show", old])?;
        assert_eq!(there.status, CertificateStatus::Revoked);
        let new: Certificate = terminal.json(&["show", &current(&terminal, name)?.context("it has one")?])?;
        assert_eq!((new.authority.as_str(), new.status), ("tls-2", CertificateStatus::Active));
    }
    assert_eq!(current(&terminal, paused)?, before[MANAGED]);

    // 3. It goes on: who renewed meanwhile is replaced too, and nothing that stands is touched.
    terminal.done(&["renew", "renews.crt"])?;
    terminal.done(&["managed", "resume", paused])?;
    let again: Value = terminal.json(&execute)?;
    println!("{again:#}");
    assert_eq!(again["left"], serde_json::json!([{ "profile": "client", "count": 1 }]), "who sleeps is told of");
    assert_eq!(again["managed_left"], serde_json::json!([]));
    assert_eq!((&again["steps"][2]["count"], &again["steps"][3]["count"]), (&Value::from(6), &Value::from(7)));
    let sleeps: Certificate = terminal.json(&["show", "sleeps.crt"])?;
    assert_eq!(sleeps.status, CertificateStatus::Active);
    Ok(())
}
