//! nginx, configured by the snippets as they are shipped, with a sidecar that feeds it.

use anyhow::{Context, ensure};
use ca_e2e::stack::PATIENCE;
use serde_json::{Value, json};

use ca_e2e::gateway_host::{World, begin, soon};
use ca_e2e::sidecar::{once, round, speaking, start};

#[test]
fn nginx_refuses_within_seconds_who_was_revoked() -> anyhow::Result<()> {
    let world = World::new(&["alice", "bob"])?;
    // nginx does not start without its lists.
    once(&world, &[], &[])?.ended_with(0)?;
    let nginx = world.nginx("mtls-crl.conf")?;
    let sidecar = start(&world, &[], &world.nginx_reload())?;
    world.lets_in("alice")?;
    world.lets_in("bob")?;
    let revoked_at = begin();
    world.revoke("bob")?;
    soon("bob is refused", || Ok((!world.call("bob", &[])?.0).then_some(())))?;
    println!("revoked to refused by nginx: {:.1} s", revoked_at.elapsed().as_secs_f64());
    // A worker of before may have been asked first; it is gone within a moment.
    soon("every worker refuses", || Ok(world.refuses("bob").ok()))?;
    world.lets_in("alice")?;
    sidecar.wait_for_line("is in place: 1 entries", PATIENCE)?;
    ensure!(nginx.0.lines().iter().all(|line| !line.contains("[emerg]")), "{:?}", nginx.0.lines());
    Ok(())
}

#[test]
fn the_shipped_snippets_pass_the_check_and_what_they_prevent_does_not() -> anyhow::Result<()> {
    let world = World::new(&["alice", "bob"])?;
    once(&world, &[], &[])?.ended_with(0)?;
    let check = ["gateway", "check", "--nginx-conf", "nginx.conf"];
    {
        let _nginx = world.nginx("mtls-crl.conf")?;
        ensure!(world.terminal.done(&check)?.contains("server_name gw.test"));
        let (report, _) = round(&world, 0, &["--nginx-conf", "nginx.conf"], &world.nginx_reload())?;
        ensure!(report["alarms"] == json!({}), "{report}");
        let conf = world.terminal.read("cartorio/mtls-crl.conf")?;
        world
            .terminal
            .write("cartorio/mtls-crl.conf", &conf.replace("ssl_session_tickets    off;", "keepalive_time 2h;"))?;
        // nginx itself refuses a directive that stands there twice.
        world.terminal.refused(1, &check, &["keepalive_time", "duplicate"])?;
        world.terminal.write("cartorio/mtls-crl.conf", &conf.replace("ssl_session_tickets    off;", ""))?;
        world.terminal.refused(1, &check, &["NOT RIGHT", "ssl_session_tickets off"])?;
        let (report, _) = round(&world, 1, &["--nginx-conf", "nginx.conf"], &[])?;
        let alarm = report["alarms"]["configuration"].as_str().unwrap_or_default();
        ensure!(alarm.contains("ssl_session_tickets off"), "{report}");
    }
    let _nginx = world.nginx("mtls-ocsp.conf")?;
    world.terminal.done(&check)?;
    world.lets_in("alice")?;
    world.revoke("bob")?;
    world.refuses("bob")
}

#[test]
fn a_revocation_that_is_waited_for_is_enforced_when_it_is_said() -> anyhow::Result<()> {
    let world = World::new(&["alice", "bob"])?;
    world.terminal.refused(
        1,
        &["revoke", "alice.crt", "--wait=1s", "--reason", "certificateHold"],
        &["no gateway has said"],
    )?;
    world.terminal.done(&["unhold", "alice.crt"])?;
    once(&world, &[], &[])?.ended_with(0)?;
    let _nginx = world.nginx("mtls-crl.conf")?;
    let speaking = speaking(&world);
    let speaking: Vec<&str> = speaking.iter().map(String::as_str).collect();
    let sidecar = start(&world, &speaking, &world.nginx_reload())?;
    world.gateway_has_spoken(&sidecar)?;
    let said = world.terminal.run(&["revoke", "bob.crt", "--wait"])?.ended_with(0);
    let said = said.with_context(|| sidecar.lines().join("\n"))?.output;
    println!("{said}");
    ensure!(said.contains("enforced on 1/1 gateways in "), "{said}");
    // It was said, so it is so: at once, whichever worker answers.
    world.refuses("bob")?;
    world.lets_in("alice")?;
    let report: Value = world.terminal.json(&["revoke", "alice.crt", "--wait=60s"])?;
    ensure!(report["status"] == "revoked" && report["enforcement"]["missing"] == json!([]), "{report}");
    // One event, however often it speaks.
    let events = world.terminal.done(&["audit", "list", "--action", "gateway-registered"])?;
    ensure!(events.matches("gateway-registered").count() == 1, "{events}");
    // One that does not enforce it is named.
    drop(sidecar);
    world.terminal.done(&["issue", "client", "carol"])?;
    let outcome = world.terminal.run(&["revoke", "carol.crt", "--wait=3s"])?.ended_with(1)?;
    ensure!(
        outcome.output.contains("enforced on 0/1 gateways after") && outcome.output.contains("not on gw.test"),
        "{outcome:?}"
    );
    Ok(())
}

#[test]
fn a_gateway_that_resumes_sessions_is_not_vouched_for() -> anyhow::Result<()> {
    let world = World::new(&[])?;
    once(&world, &[], &[])?.ended_with(0)?;
    world.ship("nginx/mtls-crl.conf")?;
    let snippet = world.terminal.read("cartorio/mtls-crl.conf")?;
    let resuming = snippet
        .replace("ssl_session_cache      off;", "ssl_session_cache shared:sessions:1m;")
        .replace("ssl_session_tickets    off;", "ssl_session_tickets on;");
    ensure!(snippet != resuming);
    world.terminal.write("cartorio/resuming.conf", &resuming)?;
    let _nginx = world.nginx_with("resuming.conf")?;
    let speaking = speaking(&world);
    let speaking: Vec<&str> = speaking.iter().map(String::as_str).collect();
    let (report, _) = round(&world, 1, &speaking, &[])?;
    let alarm = report["alarms"]["probe"].as_str().unwrap_or_default();
    ensure!(alarm.contains("resumed a session of before"), "{report}");
    ensure!(!world.terminal.done(&["gateway", "list"])?.contains("gw.test"), "it was vouched for");
    Ok(())
}

#[test]
fn a_certificate_that_must_be_refused_is_shown_and_one_that_is_let_in_vouches_for_nothing() -> anyhow::Result<()> {
    let world = World::new(&["alice", "bob"])?;
    world.revoke("bob")?;
    soon("the second list is in place", || {
        Ok(once(&world, &[], &[])?.ended_with(0)?.output.contains(", 1 entries").then_some(()))
    })?;
    let _nginx = world.nginx("mtls-crl.conf")?;
    let speaking = [speaking(&world), ["--config-file", "gateway.toml"].map(str::to_owned).to_vec()].concat();
    let speaking: Vec<&str> = speaking.iter().map(String::as_str).collect();
    let shows = |who: &str| {
        let file = format!("probe_revoked_certificate = \"{who}.crt\"\nprobe_revoked_key = \"{who}.key\"\n");
        world.terminal.write("gateway.toml", &file)
    };
    shows("alice")?;
    let (report, _) = round(&world, 1, &speaking, &[])?;
    let alarm = report["alarms"]["probe"].as_str().unwrap_or_default();
    ensure!(alarm.contains("let the revoked certificate of the probe in"), "{report}");
    ensure!(!world.terminal.done(&["gateway", "list"])?.contains("gw.test"), "it was vouched for");
    shows("bob")?;
    let (report, _) = round(&world, 0, &speaking, &[])?;
    ensure!(report["stated"] == true && report["alarms"] == json!({}), "{report}");
    ensure!(world.terminal.done(&["gateway", "list"])?.contains("gw.test"), "nothing was said of it");
    Ok(())
}

#[test]
fn a_certificate_speaks_for_the_gateways_it_names_alone() -> anyhow::Result<()> {
    let world = World::new(&["other.test"])?;
    once(&world, &[], &[])?.ended_with(0)?;
    let _nginx = world.nginx("mtls-crl.conf")?;
    let api = world.stack.api_url();
    let probe = format!("127.0.0.1:{}", world.port);
    // A client's certificate names `other.test`, and is none for servers; a server's does not name it.
    for holder in ["other.test", "gw.test"] {
        let (certificate, key) = (format!("{holder}.crt"), format!("{holder}.key"));
        let (report, _) = round(
            &world,
            1,
            &[
                "--url",
                &api,
                "--cert",
                &certificate,
                "--key",
                &key,
                "--root",
                "ca.crt",
                "--id",
                "other.test",
                "--probe-name",
                "gw.test",
                "--probe",
                &probe,
            ],
            &[],
        )?;
        let alarm = report["alarms"]["statement"].as_str().unwrap_or_default();
        ensure!(alarm.contains("access policy"), "{holder}: {report}");
    }
    Ok(())
}

#[test]
fn a_service_that_is_away_changes_nothing_and_a_restart_does_not_go_back() -> anyhow::Result<()> {
    let mut world = World::new(&["alice", "bob"])?;
    world.revoke("bob")?;
    soon("the second list is in place", || {
        Ok(once(&world, &[], &[])?.ended_with(0)?.output.contains(", 1 entries").then_some(()))
    })?;
    let nginx = world.nginx("mtls-crl.conf")?;
    world.stack.process().stop(PATIENCE)?;
    let outcome = once(&world, &[], &world.nginx_reload())?.ended_with(3)?;
    ensure!(outcome.errors.contains("cannot be reached"), "{outcome:?}");
    world.lets_in("alice")?;
    world.refuses("bob")?;
    drop(nginx);
    Ok(())
}
