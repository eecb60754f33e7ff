//! Whatever goes wrong, the last good bundle stays, and it is said what is wrong.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use ca_e2e::programs::programs;
use ca_e2e::tools::{find, run};
use serde_json::Value;

use ca_e2e::gateway_host::{World, soon};
use ca_e2e::sidecar::{arguments, round, start};

/// Somebody who serves lists that nobody should believe.
struct Impostor {
    url: String,
    body: Arc<Mutex<String>>,
}

impl Impostor {
    fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}/crl/all.pem", listener.local_addr()?);
        let body = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&body);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let body = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let mut request = [0; 4096];
                // Whoever asked and went away is no matter of this test.
                let _ = stream.read(&mut request);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            }
        });
        Ok(Self { url, body })
    }

    fn show(&self, body: &str) {
        body.clone_into(&mut self.body.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A world whose second list is in place, an impostor, the first bundle and the second. Its number may be 3: a delta that is made before
/// it takes 2.
fn with_two_lists() -> anyhow::Result<(World, Impostor, String, String)> {
    let world = World::new(&["bob"])?;
    let impostor = Impostor::start()?;
    let first = world.fetch("/crl/all.pem")?;
    round(&world, 0, &[], &[])?;
    world.revoke("bob")?;
    soon("the second list is in place", || {
        let (report, _) = round(&world, 0, &[], &[])?;
        Ok((report["lists"][0]["entries"] == 1).then_some(()))
    })?;
    let second = world.terminal.read("cartorio/crls.pem")?;
    Ok((world, impostor, first, second))
}

/// One round over an impostor's lists, which must be refused because of `hint`, and change nothing.
fn refused(world: &World, impostor: &Impostor, lists: &str, kind: &str, hint: &str) -> anyhow::Result<()> {
    let before = world.terminal.read("cartorio/crls.pem")?;
    impostor.show(lists);
    let mut arguments = arguments(world, &["--once", "--output", "json"], &[]);
    for argument in &mut arguments {
        if argument.ends_with("/crl/all.pem") {
            argument.clone_from(&impostor.url);
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = world.terminal.run(&arguments)?.ended_with(1)?;
    let report: Value = serde_json::from_str(&outcome.output).with_context(|| format!("{outcome:?}"))?;
    let alarm = report["alarms"][kind].as_str().unwrap_or_default();
    ensure!(alarm.contains(hint), "not {hint:?}: {report}");
    ensure!(world.terminal.read("cartorio/crls.pem")? == before, "{hint}: the bundle was changed");
    Ok(())
}

#[test]
fn lists_that_are_no_proof_no_step_ahead_or_not_whole_never_come_into_place() -> anyhow::Result<()> {
    let (world, impostor, first, second) = with_two_lists()?;
    refused(&world, &impostor, &first, "list", "it has the number 1, and ")?;
    refused(&world, &impostor, "", "list", "there is no `-----BEGIN X509 CRL-----`")?;
    refused(&world, &impostor, "<html>please log in</html>", "list", "there is no `-----BEGIN X509 CRL-----`")?;
    // The last octets of each list are its signature's.
    let end = second.find("-----END").context("PEM")?;
    let mut changed = second.clone();
    let place = end - 6;
    let other = if changed.as_bytes()[place] == b'A' { "B" } else { "A" };
    changed.replace_range(place..=place, other);
    refused(&world, &impostor, &changed, "list", "the list of")?;
    let only_one = &second[..second[end..].find('\n').context("a line ends")? + end + 1];
    refused(&world, &impostor, only_one, "list", "there is none")?;
    refused(&world, &impostor, &second[..end - 20], "list", "has no `-----END X509 CRL-----`")?;
    Ok(())
}

#[test]
fn a_list_that_has_ended_is_not_taken_and_the_one_in_place_raises_an_alarm() -> anyhow::Result<()> {
    let world = World::new(&[])?;
    let (report, _) = round(&world, 0, &[], &[])?;
    ensure!(report["alarms"] == serde_json::json!({}), "{report}");
    // Lists of a week, seven days and nine days later.
    for (later, kind, hint) in
        [("+150h", "next-update", "ends at"), ("+9d", "list", "it ended at"), ("+9d", "next-update", "has ended")]
    {
        let arguments = arguments(&world, &["--once", "--output", "json"], &[]);
        let output = Command::new(find("faketime")?)
            .args(["-f", later])
            .arg(&programs()?.cli)
            .args(&arguments)
            .env("HOME", "/nonexistent")
            .current_dir(world.folder())
            .output()?;
        ensure!(output.status.code() == Some(1), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let alarm = report["alarms"][kind].as_str().unwrap_or_default();
        ensure!(alarm.contains(hint), "{later}: not {hint:?}: {report}");
    }
    Ok(())
}

#[test]
fn a_bundle_that_somebody_changed_is_put_back_without_the_service() -> anyhow::Result<()> {
    let mut world = World::new(&[])?;
    round(&world, 0, &[], &[])?;
    let good = world.terminal.read("cartorio/crls.pem")?;
    world.stack.process().kill();
    let metrics = ["--metrics-file", "gateway.prom"];
    for damage in ["", "nonsense", &good[..good.len() / 2]] {
        world.terminal.write("cartorio/crls.pem", damage)?;
        let (report, said) = round(&world, 1, &metrics, &[])?;
        ensure!(report["changed"] == true, "{report}");
        ensure!(world.terminal.read("cartorio/crls.pem")? == good, "not put back");
        // In the report, in the log and in the metrics.
        let alarm = report["alarms"]["other-octets"].as_str().unwrap_or_default();
        ensure!(alarm.contains(&format!("({} octets", damage.len())), "{report}");
        ensure!(said.contains("had other octets than this sidecar wrote"), "{said}");
        let told = world.terminal.read("gateway.prom")?;
        ensure!(told.contains("ca_gateway_alarm{kind=\"other-octets\"} 1\n"), "{told}");
    }
    std::fs::remove_file(world.path("cartorio/crls.pem"))?;
    let (report, _) = round(&world, 1, &[], &[])?;
    ensure!(report["alarms"]["other-octets"].as_str().is_some_and(|told| told.contains("was gone")), "{report}");
    ensure!(world.terminal.read("cartorio/crls.pem")? == good, "not put back");
    // What it wrote itself is no alarm: the service is away, and nothing else is wrong.
    let (report, _) = round(&world, 3, &metrics, &[])?;
    ensure!(report["alarms"].get("other-octets").is_none(), "{report}");
    ensure!(world.terminal.read("gateway.prom")?.contains("ca_gateway_alarm{kind=\"other-octets\"} 0\n"), "still 1");
    // Nor does a broken state let it forget what lies in place.
    world.terminal.write("cartorio/crls.pem.state/lists.pem", "nonsense")?;
    let (report, _) = round(&world, 3, &[], &[])?;
    ensure!(report["changed"] == false && report["lists"][0]["number"] == 1, "{report}");
    ensure!(world.terminal.read("cartorio/crls.pem")? == good, "not kept");
    Ok(())
}

#[test]
fn a_bundle_whose_copy_was_changed_too_is_fetched_again() -> anyhow::Result<()> {
    let world = World::new(&[])?;
    let sidecar = start(&world, &[], &[])?;
    soon("the bundle is in place", || Ok(world.path("cartorio/crls.pem").exists().then_some(())))?;
    let good = world.terminal.read("cartorio/crls.pem")?;
    for file in ["cartorio/crls.pem.state/lists.pem", "cartorio/crls.pem"] {
        world.terminal.write(file, "nonsense")?;
    }
    // The same list: the service has no other.
    soon("the bundle is put back", || {
        let kept = world.terminal.read("cartorio/crls.pem.state/lists.pem")?;
        Ok((world.terminal.read("cartorio/crls.pem")? == good && kept == good).then_some(()))
    })?;
    drop(sidecar);
    Ok(())
}

#[test]
fn nginx_judges_by_the_lists_it_has_read_whatever_becomes_of_their_file() -> anyhow::Result<()> {
    let world = World::new(&["alice", "bob"])?;
    world.revoke("bob")?;
    soon("the second list is in place", || {
        let (report, _) = round(&world, 0, &[], &[])?;
        Ok((report["lists"][0]["entries"] == 1).then_some(()))
    })?;
    let good = world.terminal.read("cartorio/crls.pem")?;
    let nginx = world.nginx("mtls-crl.conf")?;
    let judges = || world.lets_in("alice").and_then(|()| world.refuses("bob"));
    judges()?;
    // With its sidecar: put back at the next round, and nobody noticed.
    let sidecar = start(&world, &[], &world.nginx_reload())?;
    for damage in ["nonsense", &good[..good.len() / 2]] {
        world.terminal.write("cartorio/crls.pem", damage)?;
        judges()?;
        soon("the bundle is put back", || Ok((world.terminal.read("cartorio/crls.pem")? == good).then_some(())))?;
        judges()?;
    }
    // Without one: a reload is refused and those who judge go on; nginx does not start on it.
    drop(sidecar);
    world.terminal.write("cartorio/crls.pem", "nonsense")?;
    let reload = world.nginx_reload();
    let reloaded = run(&reload[0], &reload[1..], world.folder())?;
    ensure!(!reloaded.succeeded && reloaded.errors.contains("[emerg]"), "{reloaded:?}");
    judges()?;
    let conf = world.path("nginx.conf").display().to_string();
    let tested = run("nginx", ["-t", "-e", "stderr", "-c", &conf], world.folder())?;
    ensure!(!tested.succeeded && tested.errors.contains("crls.pem"), "{tested:?}");
    drop(nginx);
    Ok(())
}

#[test]
fn a_reload_that_fails_is_said_and_tried_again() -> anyhow::Result<()> {
    let world = World::new(&[])?;
    let failing = ["sh", "-c", "echo 'no such process' >&2; exit 1"].map(str::to_owned);
    for changed in [true, false] {
        let (report, said) = round(&world, 1, &[], &failing)?;
        ensure!(report["changed"] == changed && report["reloaded"] == false, "{report}");
        ensure!(said.contains("no such process"), "{said}");
    }
    let working = ["sh", "-c", "echo x >> reloads"].map(str::to_owned);
    let (report, _) = round(&world, 0, &[], &working)?;
    ensure!(report["reloaded"] == true, "{report}");
    let (report, _) = round(&world, 0, &[], &working)?;
    ensure!(report["reloaded"] == false, "{report}");
    ensure!(world.terminal.read("reloads")? == "x\n", "reloaded without a change");
    Ok(())
}

#[test]
fn a_target_that_cannot_be_written_is_said_and_tried_again() -> anyhow::Result<()> {
    let world = World::new(&[])?;
    let target = ["--crl-file", "away/crls.pem", "--state-dir", "state"];
    let url = format!("{}/crl/all.pem", world.stack.public_url());
    let arguments =
        [&["gateway", "run", "--once", "--ca-file", "cartorio/trust.pem", "--crl-url", &url][..], &target].concat();
    let outcome = world.terminal.run(&[&arguments[..], &["--", "touch", "reloaded"]].concat())?.ended_with(1)?;
    ensure!(outcome.errors.contains("away/crls.pem"), "{outcome:?}");
    ensure!(!world.path("reloaded").exists(), "reloaded what is not in place");
    std::fs::create_dir(world.path("away"))?;
    world.terminal.run(&[&arguments[..], &["--", "touch", "reloaded"]].concat())?.ended_with(0)?;
    ensure!(world.path("reloaded").exists() && world.path("away/crls.pem").exists(), "nothing was written");
    Ok(())
}

/// The sidecar on a disk of two pages, in a mount namespace of its own. `$1` is what happens to the disk before a new list comes,
/// `$2` what ends it; the rest is the command.
const SMALL_DISK: &str = r#"
set -eu
happens=$1 ends=$2
shift 2
mount -t tmpfs -o size=8k,mode=0755 tmpfs away
"$@"
before=$(cat away/crls.pem)
sh -c "$happens"
"$CA_CLI" --config "$CONFIG" revoke bob.crt
said=0
for try in $(seq 600); do
    "$@" 2>said || said=$?
    [ "$said" = 0 ] || break
    sleep 0.1
done
cat said
[ "$said" = 1 ]
grep -q 'away/crls.pem: ' said
[ "$(cat away/crls.pem)" = "$before" ]
sh -c "$ends"
"$@"
[ "$(cat away/crls.pem)" != "$before" ]
"#;

#[test]
fn a_disk_that_is_full_or_read_only_keeps_the_last_good_bundle() -> anyhow::Result<()> {
    let is_root = run("id", ["-u"], Path::new("/"))?.text().trim() == "0";
    let namespace: &[&str] = if is_root { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    for (happens, ends) in [
        ("head -c 65536 /dev/zero > away/filler || true", "rm away/filler"),
        ("mount -o remount,ro away", "mount -o remount,rw away"),
    ] {
        let world = World::new(&["bob"])?;
        std::fs::create_dir(world.path("away"))?;
        let config = world.stack.data_folder().join("admin/cli.toml").display().to_string();
        let url = format!("{}/crl/all.pem", world.stack.public_url());
        let cli = programs()?.cli.display().to_string();
        let sidecar = ["gateway", "run", "--once", "--crl-file", "away/crls.pem", "--ca-file", "cartorio/trust.pem"];
        let output = Command::new(find("unshare")?)
            .args(namespace)
            .args(["sh", "-c", SMALL_DISK, "sh", happens, ends, &cli])
            .args(sidecar)
            .args(["--state-dir", "state", "--crl-url", &url])
            .env("CA_CLI", &cli)
            .env("CONFIG", &config)
            .current_dir(world.folder())
            .output()?;
        ensure!(output.status.success(), "{happens}: {output:?}");
    }
    Ok(())
}

#[test]
fn authorities_that_are_not_whole_or_not_trusted_are_refused() -> anyhow::Result<()> {
    let world = World::new(&[])?;
    let other = World::new(&[])?;
    let trust = world.terminal.read("cartorio/trust.pem")?;
    let alone = world.fetch("/ca/tls.pem")?;
    for (authorities, hint) in [
        (alone, "is missing; every authority up to the root"),
        (other.terminal.read("cartorio/trust.pem")?, "but not one that"),
    ] {
        world.terminal.write("cartorio/trust.pem", &authorities)?;
        let (report, _) = round(&world, 1, &[], &[])?;
        let alarm = report["alarms"]["ca-file"].as_str().unwrap_or_default();
        ensure!(alarm.contains(hint), "{report}");
    }
    world.terminal.write("cartorio/trust.pem", &trust)?;
    round(&world, 0, &[], &[])?;
    Ok(())
}
