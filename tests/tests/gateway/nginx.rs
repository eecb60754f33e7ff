//! nginx, configured by the snippets as they are shipped, with a sidecar that feeds it.

use std::time::Instant;

use anyhow::ensure;
use ca_e2e::stack::PATIENCE;

use crate::sidecar::{once, start};
use crate::world::{World, soon};

#[test]
fn nginx_refuses_within_seconds_who_was_revoked() -> anyhow::Result<()> {
    let world = World::new(&["alice", "bob"])?;
    // nginx does not start without its lists.
    once(&world, &[], &[])?.ended_with(0)?;
    let nginx = world.nginx("mtls-crl.conf")?;
    let sidecar = start(&world, &[], &world.nginx_reload())?;
    world.lets_in("alice")?;
    world.lets_in("bob")?;
    let revoked_at = Instant::now();
    world.revoke("bob")?;
    soon("bob is refused", || Ok((!world.call("bob", &[])?.0).then_some(())))?;
    println!("revoked to refused by nginx: {:.1} s", revoked_at.elapsed().as_secs_f64());
    // A worker of before may have been asked first; it is gone within a moment.
    soon("every worker refuses", || Ok(world.refuses("bob").ok()))?;
    world.lets_in("alice")?;
    sidecar.wait_for_line("list 2 of", PATIENCE)?;
    ensure!(nginx.0.lines().iter().all(|line| !line.contains("[emerg]")), "{:?}", nginx.0.lines());
    Ok(())
}

#[test]
fn a_service_that_is_away_changes_nothing_and_a_restart_does_not_go_back() -> anyhow::Result<()> {
    let mut world = World::new(&["alice", "bob"])?;
    world.revoke("bob")?;
    soon("the second list is in place", || {
        Ok(once(&world, &[], &[])?.ended_with(0)?.output.contains("list 2").then_some(()))
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
