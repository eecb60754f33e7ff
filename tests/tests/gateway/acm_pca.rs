//! HAProxy, which knows lists only, before an authority of AWS Private CA: it goes by AWS's list, and is as late as that, and needs the
//! list of AWS's root, which is imported.

use anyhow::{Context, ensure};
use ca_e2e::acm_pca::AcmPcaAuthority;
use ca_e2e::fake_clock::FakeClock;
use ca_e2e::gateway_host::{World, soon};
use ca_e2e::sidecar::{arguments_of, once_with, start_with};
use ca_e2e::stack::EMBEDDED;

use crate::haproxy::haproxy;

/// How far AWS and the service are behind HAProxy, in seconds: what they do later has begun when HAProxy looks.
const BEHIND: i64 = 40 * 60;

/// How long after a revocation the double's list has it, as AWS's does.
const LIST_LAG: i64 = 31 * 60;

#[test]
fn haproxy_goes_by_the_list_of_aws_as_late_as_that_is() -> anyhow::Result<()> {
    let aws = AcmPcaAuthority::start()?;
    aws.advance(-BEHIND);
    // The clock of a database of its own would not go back with it.
    let mut site = aws.empty(&[EMBEDDED])?;
    let clock = FakeClock::of(&mut site)?;
    clock.set(&format!("-{BEHIND}s"))?;
    let list = site.work_folder().join("root.crl");
    std::fs::write(&list, aws.list_of_root()?)?;
    let list = list.display().to_string();
    for command in [&["init"][..], &["import-crl", &list]] {
        let (succeeded, said) = site.run(command)?;
        ensure!(succeeded, "{command:?}: {said}");
    }
    let world = World::of(site.serve()?, &["alice", "bob"])?;
    soon("the list of AWS is there", || Ok(world.fetch("/crl/tls.crl").ok()))?;
    let more = ["--once"];
    soon("every authority has its list", || {
        Ok(once_with(&world, &arguments_of(&world, "cartorio/generation.txt", &more, &[]))?.ended_with(0).ok())
    })?;
    let haproxy = haproxy(&world)?;
    let more = ["--haproxy-socket", "master.sock"];
    let sidecar = start_with(&world, &arguments_of(&world, "cartorio/generation.txt", &more, &[]))?;
    world.lets_in("alice")?;
    world.lets_in("bob")?;
    // AWS hears of it within seconds, and its list stays as it is for half an hour.
    world.revoke("bob")?;
    soon("AWS is told", || Ok(aws.issued().iter().any(|issued| issued.revoked.is_some()).then_some(())))?;
    world.lets_in("bob")?;
    let World { stack, terminal, port } = world;
    // A server that starts looks at once.
    let site = stack.stop()?;
    aws.advance(LIST_LAG);
    clock.set(&format!("-{}s", BEHIND - LIST_LAG))?;
    let world = World { stack: site.serve()?, terminal, port };
    soon("HAProxy refuses who was revoked", || Ok(world.refuses("bob").ok()))
        .with_context(|| [sidecar.lines(), haproxy.0.lines(), world.stack.logs()].concat().join("\n"))?;
    world.lets_in("alice")
}
