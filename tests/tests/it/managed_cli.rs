//! `ca-cli managed`: what is defined is checked whole, once for each name and target; a file is made so; and what the API answers to it.

use anyhow::ensure;
use ca_api::managed::{ManagedCertificate, ManagedStatus};
use ca_api::problem::ProblemType;
use ca_api::route;
use ca_e2e::cli::Terminal;
use ca_e2e::client::send;
use ca_e2e::stack::shared;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli_remote::administrator;

fn table(name: &str, san: &str, path: &str) -> String {
    format!(
        "[[managed]]\nname = \"{name}\"\nprofile = \"server\"\nsubject_alternative_names = [\"dns:{san}\"]\n\
         target = {{ kind = \"directory\", path = \"{path}\" }}\n\n"
    )
}

#[test]
fn a_definition_is_added_once_shown_paused_and_removed() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.done(&["issue", "client", "first"])?;
    let add =
        ["managed", "add", "web", "--profile", "server", "--san", "www.example.com", "--directory", "/srv/web/tls"];
    let with = |more: &[&'static str]| [&add[..], more].concat();
    let mut elsewhere = add;
    elsewhere[8] = "/etc/web/tls";
    terminal.refused(1, &elsewhere, &["managed.directories", "/etc/web/tls"])?;
    let checked = terminal.done(&with(&["--dry-run"]))?;
    ensure!(checked.contains("folder /srv/web/tls"), "{checked}");
    terminal.refused(1, &["managed", "show", "web"], &["no managed certificate"])?;
    let added: ManagedCertificate = terminal.json(&add)?;
    assert_eq!((added.definition.key_type.as_str(), added.definition.renew_before.as_str()), ("p256", "1/3"));
    let again: ManagedCertificate = terminal.json(&add)?;
    assert_eq!(again, added, "the same again changes nothing");
    terminal.refused(1, &with(&["--keep-key"]), &["`web` that is defined otherwise"])?;
    let mut other = add;
    other[2] = "web-2";
    terminal.refused(1, &other, &["`web` has that target"])?;
    other[8] = "srv";
    let faults = ["--validity", "9999d", "--hook", "ecs:a/b"];
    terminal.refused(1, &[&other[..], &faults].concat(), &["target/path", "validity", "9999d is longer"])?;
    terminal.refused(2, &with(&["--hook", "mail"]), &["is no hook"])?;

    let shown = terminal.done(&["managed", "show", &added.id])?;
    ensure!(shown.contains("dns:www.example.com") && shown.contains("to be issued"), "{shown}");
    let asked: ManagedCertificate = terminal.json(&["managed", "rotate", "web"])?;
    assert!(asked.next_at <= added.next_at || asked.revision >= added.revision);
    terminal.refused(2, &["managed", "rotate", "web", "--wait"], &["ca-server job run expiry-check"])?;
    let paused: ManagedCertificate = terminal.json(&["managed", "pause", "web"])?;
    assert!(paused.paused);
    terminal.refused(1, &["managed", "rotate", "web"], &["`web` is paused"])?;
    let listed = terminal.done(&["managed", "list", "--paused"])?;
    ensure!(listed.contains("web") && listed.contains("paused"), "{listed}");
    let status: ManagedStatus = terminal.json(&["managed", "status"])?;
    assert_eq!((status.active, status.paused), (0, 1));
    let resumed: ManagedCertificate = terminal.json(&["managed", "resume", "web"])?;
    assert!(!resumed.paused);
    terminal.done(&["managed", "remove", "web"])?;
    terminal.refused(1, &["managed", "remove", "web"], &["no managed certificate"])?;
    let events: Vec<Value> = terminal.json(&["audit", "list", "--limit", "1000"])?;
    let told: Vec<&str> = events.iter().filter_map(|event| event["action"].as_str()).collect();
    for action in ["managed-certificate-added", "managed-certificate-changed", "managed-certificate-removed"] {
        ensure!(told.contains(&action), "{action}: {told:?}");
    }
    Ok(())
}

#[test]
fn what_is_on_record_becomes_what_a_file_says() -> anyhow::Result<()> {
    let terminal = Terminal::local()?;
    terminal.done(&["issue", "client", "first"])?;
    let both = table("api", "api.example.com", "/srv/api/tls") + &table("web", "www.example.com", "/srv/web/tls");
    terminal.write("both.toml", &both)?;
    let apply = ["managed", "apply", "--file"];
    let planned = terminal.done(&[&apply[..], &["both.toml", "--dry-run"]].concat())?;
    ensure!(planned.contains("+ add") && planned.contains("to do: 2 added"), "{planned}");
    terminal.refused(2, &[&apply[..], &["both.toml"]].concat(), &["--yes"])?;
    assert!(terminal.json::<Vec<ManagedCertificate>>(&["managed", "list"])?.is_empty(), "nobody agreed");
    let done = terminal.done(&[&apply[..], &["both.toml", "--yes"]].concat())?;
    ensure!(done.contains("done: 2 added"), "{done}");
    let again = terminal.done(&[&apply[..], &["both.toml", "--yes"]].concat())?;
    ensure!(again.contains("0 added, 0 changed, 0 removed; 2 as they should be"), "{again}");

    // One is changed, one takes the place and the target of another that goes.
    let other = table("api", "api2.example.com", "/srv/api/tls") + &table("shop", "shop.example.com", "/srv/web/tls");
    terminal.write("other.toml", &other)?;
    let kept: Value = terminal.json(&[&apply[..], &["both.toml", "--dry-run"]].concat())?;
    assert_eq!(kept["applied"], json!(false));
    let plan: Value = terminal.json(&[&apply[..], &["other.toml", "--prune", "--dry-run"]].concat())?;
    let steps: Vec<(&str, &str)> = plan["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| (step["action"].as_str().unwrap_or_default(), step["name"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(steps, [("remove", "web"), ("change", "api"), ("add", "shop")]);
    assert_eq!(plan["steps"][1]["fields"], json!(["subject_alternative_names"]));
    terminal.done(&[&apply[..], &["other.toml", "--prune", "--yes"]].concat())?;
    let there: Vec<ManagedCertificate> = terminal.json(&["managed", "list"])?;
    let names: Vec<&str> = there.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["api", "shop"]);

    // Everything that is wrong is told, and nothing is done.
    let spoilt = table("new", "new.example.com", "/srv/new/tls")
        + &table("bad", "-", "srv/bad").replace("\"server\"", "\"toaster\"")
        + &table("worse", "a.example.com", "/srv/worse").replace("profile", "validity = \"9999d\"\nprofile");
    terminal.write("spoilt.toml", &spoilt)?;
    let told = ["nothing was changed", "bad", "target/path", "no profile `toaster`", "worse", "9999d is longer"];
    terminal.refused(1, &[&apply[..], &["spoilt.toml", "--yes"]].concat(), &told)?;
    assert_eq!(terminal.json::<Vec<ManagedCertificate>>(&["managed", "list"])?.len(), 2);
    let twice = table("a", "a.example", "/srv/a") + &table("b", "b.example", "/srv/a");
    terminal.write("twice.toml", &twice)?;
    terminal.refused(2, &[&apply[..], &["twice.toml", "--dry-run"]].concat(), &["it has the target of a"])?;
    terminal.write("typo.toml", &table("a", "a.example", "/srv/a").replace("subject_alt", "subjectalt"))?;
    terminal.refused(2, &[&apply[..], &["typo.toml", "--dry-run"]].concat(), &["unknown field", "line 4"])?;
    Ok(())
}

#[tokio::test]
async fn over_http_it_is_idempotent_and_conflicts_are_problems_of_their_own() -> anyhow::Result<()> {
    let stack = shared()?;
    let terminal = administrator(&stack)?;
    let client = stack.administrator()?;
    let body = |name: &str, path: &str| {
        json!({
            "name": name, "profile": "server", "subject_alternative_names": ["dns:managed.example.test"],
            "target": { "kind": "directory", "path": path },
        })
    };
    let folder = terminal.folder().join("tls").display().to_string();
    let mut wanted = body("http-web", &folder);
    // It stays as it is meanwhile: nobody shall rotate it under this test.
    let added = client.post(route::MANAGED_CERTIFICATES, &wanted).await?.expect(201)?;
    let location = added.header("location").to_owned();
    let one: ManagedCertificate = added.json()?;
    assert_eq!(location, format!("/v1/managed-certificates/{}", one.id));
    send(client.request(Method::POST, &format!("{location}/pause"))).await?.expect(200)?;
    let again: ManagedCertificate = client.post(route::MANAGED_CERTIFICATES, &wanted).await?.expect(200)?.json()?;
    assert_eq!(again.id, one.id);
    let taken = client.post(route::MANAGED_CERTIFICATES, &body("http-other", &folder)).await?;
    taken.expect_problem(ProblemType::ManagedCertificateExists)?;
    let rotate = send(client.request(Method::POST, "/v1/managed-certificates/http-web/rotate")).await?;
    rotate.expect_problem(ProblemType::ManagedCertificatePaused)?;
    wanted["renew_before"] = json!("1/2");
    let path = "/v1/managed-certificates/http-web";
    let stale = send(client.request(Method::PUT, &format!("{path}?revision=4711")).json(&wanted)).await?;
    stale.expect_problem(ProblemType::ManagedCertificateChanged)?;
    let dry = send(client.request(Method::PUT, &format!("{path}?dry_run=true")).json(&wanted)).await?.expect(200)?;
    assert_eq!(dry.json::<ManagedCertificate>()?.definition.renew_before, "1/2");
    let there: ManagedCertificate = client.get(path).await?.expect(200)?.json()?;
    assert_eq!(there.definition.renew_before, "1/3", "that was dry");
    let put = send(client.request(Method::PUT, path).json(&wanted)).await?.expect(200)?;
    assert_eq!(put.json::<ManagedCertificate>()?.definition.renew_before, "1/2");
    client.delete(path).await?.expect(204)?;
    client.get(&location).await?.expect_problem(ProblemType::NotFound)?;
    let spoilt = body("Http Web", "relative");
    let problem = client.post(route::MANAGED_CERTIFICATES, &spoilt).await?;
    let problem = problem.expect_problem(ProblemType::InvalidRequest)?;
    let places: Vec<&str> = problem.errors.iter().map(|violation| violation.pointer.as_str()).collect();
    assert_eq!(places, ["/name", "/target/path"]);
    Ok(())
}
