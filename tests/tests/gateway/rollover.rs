//! A gateway across a rollover: it knows the next generation before anybody shows a certificate of it, and enforces the lists of both.

use anyhow::ensure;
use ca_e2e::gateway_host::{World, soon};
use ca_e2e::sidecar;

#[test]
fn a_gateway_that_has_both_generations_lets_in_and_refuses_by_the_lists_of_both() -> anyhow::Result<()> {
    let world = World::new(&["ana", "bruno"])?;
    sidecar::round(&world, 0, &[], &[])?;
    let _nginx = world.nginx("mtls-crl.conf")?;
    let speaking = sidecar::speaking(&world);
    let speaking: Vec<&str> = speaking.iter().map(String::as_str).collect();
    let sidecar = sidecar::start(&world, &speaking, &world.nginx_reload())?;
    world.gateway_has_spoken(&sidecar)?;
    world.lets_in("ana")?;
    // The generation is made; the gateway is given its certificate before it issues.
    let (done, said) = world.stack.run(&["authority", "rollover", "tls", "--issue-after", "20s"])?;
    ensure!(done, "{said}");
    let next = soon("the service serves the next generation", || Ok(world.fetch("/ca/tls-2.pem").ok()))?;
    let trusted = world.terminal.read("cartorio/trust.pem")?;
    world.terminal.write("cartorio/trust.pem", &format!("{next}{trusted}"))?;
    let three = || Ok((world.terminal.read("cartorio/crls.pem")?.matches("BEGIN X509 CRL").count() == 3).then_some(()));
    soon("the bundle has the lists of both generations", three)?;
    // nginx reads the authorities when it is reloaded, and the lists of both are in place.
    let reload = world.nginx_reload();
    let (program, arguments) = reload.split_first().ok_or_else(|| anyhow::anyhow!("a command"))?;
    let said = ca_e2e::tools::run(program, arguments, world.folder())?;
    ensure!(said.succeeded, "{}", said.all());
    let mut number = 0;
    let clara = loop {
        let name = format!("clara-{number}");
        world.terminal.done(&["issue", "client", &name])?;
        let shown = world.terminal.done(&["--output", "json", "show", &format!("{name}.crt")])?;
        if shown.contains("\"tls-2\"") {
            break name;
        }
        number += 1;
        ensure!(number < 500, "the next generation does not issue: {shown}");
    };
    for who in ["ana", "bruno", &clara] {
        world.lets_in(who)?;
    }
    // One of each generation is revoked.
    for who in ["bruno", &clara] {
        world.revoke(who)?;
    }
    for who in ["bruno", &clara] {
        soon("the gateway refuses who was revoked", || Ok(world.refuses(who).ok()))?;
    }
    world.lets_in("ana")
}
