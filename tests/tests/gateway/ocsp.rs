//! nginx that asks a sidecar on loopback by OCSP goes on while the service is away.

use anyhow::ensure;
use ca_e2e::stack::PATIENCE;
use ca_test_services::port;

use ca_e2e::gateway_host::World;
use ca_e2e::sidecar::start;

#[test]
fn clients_that_came_before_come_in_while_the_service_is_away_and_nobody_else_does() -> anyhow::Result<()> {
    let mut world = World::new(&["alice", "bob", "carol"])?;
    let listen = format!("127.0.0.1:{}", port::free()?);
    let said = format!("OCSP is answered at http://{listen}/ocsp");
    let sidecar = start(&world, &["--ocsp-listen", &listen], &[])?;
    sidecar.wait_for_line(&said, PATIENCE)?;
    world.ship("nginx/mtls-ocsp.conf")?;
    let snippet = world.terminal.read("cartorio/mtls-ocsp.conf")?;
    world
        .terminal
        .write("cartorio/loopback.conf", &format!("{snippet}\nssl_ocsp_responder http://{listen}/ocsp;\n"))?;
    let nginx = world.nginx_with("loopback.conf")?;
    world.lets_in("alice")?;
    world.lets_in("carol")?;
    world.revoke("carol")?;
    world.refuses("carol")?;

    world.stack.process().stop(PATIENCE)?;
    world.lets_in("alice")?;
    world.refuses("carol")?;
    // Nobody ever asked about this one, so nobody knows.
    world.refuses("bob")?;
    // Nor does a restart forget.
    drop(sidecar);
    world.refuses("alice")?;
    let sidecar = start(&world, &["--ocsp-listen", &listen], &[])?;
    sidecar.wait_for_line(&said, PATIENCE)?;
    world.lets_in("alice")?;
    world.refuses("carol")?;
    // What somebody changed on disk is not believed.
    drop(sidecar);
    let mut changed = 0;
    for entry in std::fs::read_dir(world.path("cartorio/crls.pem.state/ocsp"))? {
        let path = entry?.path();
        let mut der = std::fs::read(&path)?;
        let middle = der.len() / 2;
        der[middle] ^= 1;
        std::fs::write(&path, der)?;
        changed += 1;
    }
    ensure!(changed >= 3, "two clients and their issuer are kept, not {changed}");
    let sidecar = start(&world, &["--ocsp-listen", &listen], &[])?;
    sidecar.wait_for_line(&said, PATIENCE)?;
    world.refuses("alice")?;
    drop(nginx);
    Ok(())
}

#[test]
fn an_answer_that_cannot_be_written_is_given_and_the_loss_is_said() -> anyhow::Result<()> {
    let mut world = World::new(&["alice"])?;
    let listen = format!("127.0.0.1:{}", port::free()?);
    let sidecar = start(&world, &["--ocsp-listen", &listen], &[])?;
    sidecar.wait_for_line(&format!("OCSP is answered at http://{listen}/ocsp"), PATIENCE)?;
    // No folder can be made again where a file lies, whoever one is.
    let folder = world.path("cartorio/crls.pem.state/ocsp");
    std::fs::remove_dir_all(&folder)?;
    std::fs::write(&folder, "in the way")?;
    world.ship("nginx/mtls-ocsp.conf")?;
    let snippet = world.terminal.read("cartorio/mtls-ocsp.conf")?;
    world
        .terminal
        .write("cartorio/loopback.conf", &format!("{snippet}\nssl_ocsp_responder http://{listen}/ocsp;\n"))?;
    let nginx = world.nginx_with("loopback.conf")?;
    world.lets_in("alice")?;
    sidecar.wait_for_line("an OCSP answer cannot be written", PATIENCE)?;
    world.stack.process().stop(PATIENCE)?;
    world.lets_in("alice")?;
    drop(nginx);
    Ok(())
}

#[test]
fn it_answers_this_host_alone() -> anyhow::Result<()> {
    let world = World::new(&[])?;
    let arguments = ["gateway", "run", "--crl-file", "c", "--ca-file", "t", "--ocsp-listen", "0.0.0.0:9080"];
    world.terminal.refused(2, &arguments, &["not on loopback"])?;
    Ok(())
}
