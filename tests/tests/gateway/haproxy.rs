//! HAProxy, configured by the file as it is shipped, with a sidecar that has it reload by its master's socket.

use anyhow::{Context, ensure};
use ca_e2e::process::Process;
use ca_e2e::tools::find;

use ca_e2e::gateway_host::{Gateway, World, begin};
use ca_e2e::sidecar::{arguments_of, once_with, start_with};

const APPLICATION: &str = "backend application\n    mode http\n    http-request return status 200 content-type text/plain \
                           lf-string \"hello %[req.hdr(X-Client-DN)]\"\n";

pub(crate) fn haproxy(world: &World) -> anyhow::Result<Gateway> {
    world.ship("haproxy/mtls-crl.cfg")?;
    let pem = format!("{}{}", world.terminal.read("gw.test.crt")?, world.terminal.read("gw.test.key")?);
    world.terminal.write("cartorio/gateway.pem", &pem)?;
    world.terminal.write("application.cfg", APPLICATION)?;
    let socket = world.path("master.sock").display().to_string();
    let arguments = ["-W", "-S", &socket, "-f", "cartorio/mtls-crl.cfg", "-f", "application.cfg"];
    let bind = format!("127.0.0.1:{}", world.port);
    let environment = [("CARTORIO_BIND", bind.as_str()), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")];
    world.gateway(Process::start(&find("haproxy")?, &arguments, environment, world.folder())?)
}

#[test]
fn haproxy_refuses_within_seconds_who_was_revoked_and_it_is_said() -> anyhow::Result<()> {
    let world = World::new(&["alice", "bob"])?;
    let api = world.stack.api_url();
    let probe = format!("127.0.0.1:{}", world.port);
    let speaking = ["--url", &api, "--cert", "gw.test.crt", "--key", "gw.test.key", "--root", "ca.crt"];
    let speaking = [&speaking[..], &["--id", "gw.test", "--probe", &probe, "--haproxy-socket", "master.sock"]].concat();
    // HAProxy does not start without its lists.
    once_with(&world, &arguments_of(&world, "cartorio/generation.txt", &["--once"], &[]))?.ended_with(0)?;
    let haproxy = haproxy(&world)?;
    let files = ["--haproxy-conf", "cartorio/mtls-crl.cfg", "--haproxy-conf", "application.cfg"];
    let said = world.terminal.done(&[&["gateway", "check"][..], &files].concat())?;
    ensure!(said.contains("frontend mtls") && said.contains("nothing outlives a revocation"), "{said}");
    world.terminal.write("cartorio/long.cfg", "global\n    tune.ssl.cachesize 20000\n")?;
    let longer = [&["gateway", "check"][..], &files, &["--haproxy-conf", "cartorio/long.cfg"]].concat();
    world.terminal.refused(1, &longer, &["NOT RIGHT", "tune.ssl.cachesize 0"])?;
    world.terminal.refused(1, &["gateway", "check", "--haproxy-conf", "application.cfg"], &["no listener"])?;
    world.lets_in("alice")?;
    world.lets_in("bob")?;
    let sidecar = start_with(&world, &arguments_of(&world, "cartorio/generation.txt", &speaking, &[]))?;
    world.gateway_has_spoken(&sidecar).with_context(|| haproxy.0.lines().join("\n"))?;
    let revoked_at = begin();
    let said = world.terminal.run(&["revoke", "bob.crt", "--wait"])?.ended_with(0);
    let said = said.with_context(|| sidecar.lines().join("\n"))?.output;
    println!("revoked to refused by HAProxy: {:.1} s; {said}", revoked_at.elapsed().as_secs_f64());
    ensure!(said.contains("enforced on 1/1 gateways in "), "{said}");
    world.refuses("bob")?;
    world.lets_in("alice")?;
    // Many at once are waited for in the same way.
    let many = ["revoke", "--filter", "name=alice,profile=client", "--yes", "--expect", "1", "--wait"];
    let said = world.terminal.run(&many)?.ended_with(0).with_context(|| sidecar.lines().join("\n"))?.output;
    ensure!(said.contains("tls: enforced on 1/1 gateways in "), "{said}");
    world.refuses("alice")?;
    // It is taken out of service: nobody waits for it any more.
    drop(sidecar);
    let said = world.terminal.done(&["gateway", "remove", "gw.test"])?;
    ensure!(said.contains("gateway gw.test is not on record any more"), "{said}");
    ensure!(!world.terminal.done(&["gateway", "list"])?.contains("gw.test"), "it is listed still");
    world.terminal.refused(1, &["gateway", "remove", "gw.test"], &["no gateway of that name"])?;
    let waited = world.terminal.run(&["revoke", "alice.crt", "--wait=1s"])?.ended_with(1)?.output;
    ensure!(waited.contains("no gateway has said"), "{waited}");
    Ok(())
}
