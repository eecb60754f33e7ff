//! HAProxy, configured by the file as it is shipped, with a sidecar that has it reload by its master's socket.

use anyhow::{Context, ensure};
use ca_e2e::process::Process;
use ca_e2e::tools::find;

use ca_e2e::gateway_host::{Gateway, World, begin};
use ca_e2e::sidecar::{arguments_of, once_with, start_with};

const APPLICATION: &str = "backend application\n    mode http\n    http-request return status 200 content-type text/plain \
                           lf-string \"hello %[req.hdr(X-Client-DN)]\"\n";

fn haproxy(world: &World) -> anyhow::Result<Gateway> {
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
    world.lets_in("alice")
}
